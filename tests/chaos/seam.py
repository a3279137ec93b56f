"""Where the bot's process can be killed, and whose time it goes by. It is put in from outside, in that process alone.

Every commit and every call of Slack or GitHub is a place to die: before and after the commit, before a request
goes out, when it has gone out, and when its answer has come.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import mmap
import os
import signal
import struct
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.chaos.clock import SharedClock

STEP = struct.Struct("Q?200s")  # how many there were, whether the last was one to die at, and its name
PR_SET_PDEATHSIG = 1  # of prctl(2)
PATIENCE = 4  # seconds for an answer of Slack's or GitHub's


class Steps:
    """Counts the places to die at, and dies at one of them: the one numbered `at` of those whose names hold `where`.

    How many there were and what the last one was stand in memory that outlives the process: no disk that is full
    and no file that may not grow keeps them from being told.
    """

    def __init__(self, path: Path, at: int, where: str) -> None:
        if not path.exists():
            path.write_bytes(bytes(STEP.size))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), STEP.size)
        self._left = at
        self._where = where
        self._count = 0
        self._lock = threading.Lock()

    def step(self, name: str) -> None:
        """One place more. Does not return at the one to die at."""
        with self._lock:
            self._count += 1
            self._left -= self._where in name
            dies = self._left == 0 and self._where in name
            STEP.pack_into(self._shared, 0, self._count, dies, name.encode())
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)


def last_step(path: Path) -> tuple[int, str, bool]:
    """How many steps a process came to, which was the last, and whether it was to die at that."""
    count, died, name = STEP.unpack(path.read_bytes()) if path.exists() else (0, False, b"")
    return count, name.rstrip(b"\0").decode(), died


def put_in(steps: Steps, clock: SharedClock) -> None:
    """Puts the seam into this process, in which the bot has not started yet."""
    _die_with_the_parent()
    _in_commits(steps)
    _in_calls(steps)
    _in_time(clock)


def _die_with_the_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _in_commits(steps: Steps) -> None:
    from sqlalchemy.engine.default import DefaultDialect

    commit = DefaultDialect.do_commit

    def do_commit(self: Any, connection: Any) -> None:
        steps.step("before a commit")
        commit(self, connection)
        steps.step("after a commit")

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]


def _in_calls(steps: Steps) -> None:
    """Both SDKs send with the standard library's client: one through urllib, the other through urllib3."""
    begin, answer = http.client.HTTPConnection.putrequest, http.client.HTTPConnection.getresponse

    def putrequest(self: Any, method: str, url: str, *args: Any, **options: Any) -> None:
        path = url.partition("?")[0].partition("/repos/")[2] or url.partition("?")[0].rpartition("/")[2]
        self.asked = f"{method} {'response_url' if '/response/' in url else path}"
        steps.step(f"before {self.asked}")
        begin(self, method, url, *args, **options)

    def getresponse(self: Any, *args: Any, **options: Any) -> Any:
        steps.step(f"after sending {self.asked}")
        response = answer(self, *args, **options)
        steps.step(f"after the answer to {self.asked}")
        return response

    http.client.HTTPConnection.putrequest = putrequest  # type: ignore[method-assign]
    http.client.HTTPConnection.getresponse = getresponse  # type: ignore[method-assign]


def _in_time(clock: SharedClock) -> None:
    """The bot goes by that clock. When it is put forward the scheduler rings as it would have in that time."""
    import bot.deploys.clock
    import bot.github.asking
    import bot.slack.client
    from bot.scheduler import SWEEP, Scheduler

    def now(self: Any) -> datetime:
        return clock.now()

    begin = Scheduler.__init__

    def scheduler(self: Scheduler, tick: Callable[[], object], sweep: Callable[[], object]) -> None:
        def ring() -> None:
            swept = clock.now()
            while True:
                clock.wait()
                if clock.now() - swept >= timedelta(seconds=SWEEP):
                    swept = clock.now()
                    with contextlib.suppress(Exception):  # as APScheduler goes on, too
                        sweep()
                tick()

        begin(self, tick, sweep)
        threading.Thread(target=ring, name="clock", daemon=True).start()

    bot.deploys.clock.SystemClock.now = now  # type: ignore[method-assign]
    bot.slack.client.TIMEOUT = bot.github.asking.TIMEOUT = PATIENCE
    Scheduler.__init__ = scheduler  # type: ignore[method-assign]
