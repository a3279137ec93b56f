"""The way in: what Slack and GitHub send becomes rows, many in one commit.

A commit costs a disk flush however much is in it, so one thread takes whatever has come in since the last
one, stores it together, and only then are the senders told.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import threading
import time
from collections import deque

from msgspec.structs import replace

from bot.deploys.clock import Clock
from bot.store import jobs
from bot.store.engine import Store

BATCH = 256  # rows in one commit at most
ROOM = 20_000  # rows that may wait; past that the sender is told to come again
LONGEST_ID = 255  # characters of a delivery's id; the column's length
# A NUL as JSON writes it. Behind an odd number of backslashes it is none: `\\u0000` is a backslash and `u0000`.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
STORM = 8  # rows in one commit from which on more is coming in than one at a time
GATHER = 0.012  # seconds that a storm is let gather at most before each commit: fewer flushes, more stored a second
# Rows after which it is not let gather any longer. Senders who wait for their answers send nothing meanwhile: with more
# in one commit, nothing would come in while it is made.
ENOUGH = 96
CALM = 0.25  # seconds after which a storm counts as over


_Received = tuple[jobs.NewJob, "asyncio.Future[None]"]


class Full(Exception):
    """More came in than can be stored in time; nothing was stored of this one."""


class Intake:
    """Stores what was received. `put` is called on one event loop; a thread of its own does the writing.

    Whatever comes in while a batch is being committed goes along with the next one.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: deque[_Received] = deque()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._storm_at = 0.0
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def put(self, job: jobs.NewJob) -> asyncio.Future[None]:
        """A future that is done when the job is committed (or was known already). Raises Full.

        The future fails with what the database said when it can't be stored.
        """
        if self._closed.is_set() or len(self._waiting) >= ROOM:
            raise Full
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append((_storable(job), stored))
        if not self._wanted.is_set():
            self._wanted.set()
        return stored

    def pressed(self) -> bool:
        """Whether so much comes in that acknowledging it in time needs all there is of this process."""
        return time.monotonic() - self._storm_at < CALM

    def close(self, seconds: float | None = None) -> None:
        """Stores what still waits, then stops; waits for that up to `seconds`, without end for None.

        What is not stored by then was never acknowledged, and whoever sent it comes again.
        """
        self._closed.set()
        self._wanted.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                if self.pressed():
                    self._gather()
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                problem = self._write(batch)
                with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever asked
                    batch[0][1].get_loop().call_soon_threadsafe(_tell, batch, problem)
            if self._closed.is_set() and not self._waiting:
                return

    def _gather(self) -> None:
        end = time.monotonic() + GATHER
        while len(self._waiting) < ENOUGH and time.monotonic() < end and not self._closed.is_set():
            self._closed.wait(0.001)

    def _write(self, batch: list[_Received]) -> Exception | None:
        try:
            with self._store.write() as connection:
                jobs.add_received(connection, [job for job, _ in batch], self._clock.now())
        except Exception as error:  # the senders are told, each of them; this thread goes on
            return error
        finally:
            if len(batch) >= STORM:
                self._storm_at = time.monotonic()
        return None


def _storable(job: jobs.NewJob) -> jobs.NewJob:
    """The job as both databases take it: one that is refused would take its whole batch along."""
    if "\\u0000" in job.payload:  # PostgreSQL keeps no NUL in its text, nor does anyone mean one
        job = replace(job, payload=_NUL.sub(r"\1\\ufffd", job.payload))
    if job.delivery is not None and len(job.delivery) > LONGEST_ID:
        digest = hashlib.sha256(job.delivery.encode()).hexdigest()
        job = replace(job, delivery=f"{job.delivery[: LONGEST_ID - len(digest) - 1]}#{digest}")
    return job


def _tell(batch: list[_Received], problem: Exception | None) -> None:
    for _, stored in batch:
        if stored.done():
            continue  # who asked has hung up
        if problem is None:
            stored.set_result(None)
        else:
            stored.set_exception(problem)
