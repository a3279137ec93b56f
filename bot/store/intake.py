"""The way in: what Slack and GitHub send becomes rows, many in one commit.

A commit costs a disk flush however much is in it, so one thread takes whatever has come in since the last
one, stores it together, and only then are the senders told.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import replace

from bot.deploys.clock import Clock
from bot.store import jobs
from bot.store.engine import Store

BATCH = 256  # rows in one commit at most
ROOM = 20_000  # rows that may wait; past that the sender is told to come again


class Full(Exception):
    """More came in than can be stored in time; nothing was stored of this one."""


class Intake:
    """Stores what was received. `put` is called on one event loop; a thread of its own does the writing."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: deque[tuple[jobs.NewJob, asyncio.Future[None]]] = deque()
        self._wanted = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def put(self, job: jobs.NewJob) -> asyncio.Future[None]:
        """A future that is done when the job is committed (or was known already). Raises Full.

        The future fails with what the database said when it can't be stored.
        """
        if self._closed or len(self._waiting) >= ROOM:
            raise Full
        if "\\u0000" in job.payload:  # PostgreSQL keeps no NUL in its text, nor does anyone mean one
            job = replace(job, payload=job.payload.replace("\\u0000", "\\ufffd"))
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append((job, stored))
        if not self._wanted.is_set():
            self._wanted.set()
        return stored

    def close(self) -> None:
        """Stores what still waits, then stops."""
        self._closed = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                self._store_some()
            if self._closed and not self._waiting:
                return

    def _store_some(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        problem: Exception | None = None
        try:
            with self._store.write() as connection:
                jobs.add_received(connection, [job for job, _ in batch], self._clock.now())
        except Exception as error:  # the senders are told, each of them; this thread goes on
            problem = error
        loop = batch[0][1].get_loop()
        try:
            loop.call_soon_threadsafe(_tell, [stored for _, stored in batch], problem)
        except RuntimeError:
            return  # the loop is gone, and with it whoever asked


def _tell(futures: list[asyncio.Future[None]], problem: Exception | None) -> None:
    for future in futures:
        if future.done():
            continue
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(problem)
