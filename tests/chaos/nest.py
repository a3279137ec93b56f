"""Processes of the bot that start in a tenth of the time: one has read the program already, and forks each of them.

What is forked has no threads and has built nothing yet. It runs what `python -m bot serve` runs, from the
environment to the exit. As a program, this is the one that forks: it takes a JSON object a line and answers
with the process's id.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
# What `serve` reads before it builds anything.
PROGRAM = ("bot.__main__", "bot.deploys.config_file", "bot.server", "tests.chaos.seam")


@dataclass(frozen=True)
class Wanted:
    """A process of the bot: its whole environment, where it runs, and what the seam needs.

    It kills itself at the step numbered `die_at` of those whose names hold `die_where`; with 0 at none.
    """

    environment: dict[str, str]
    home: str
    log: str
    clock: str
    steps: str
    die_at: int = 0
    die_where: str = ""


class Hatched:
    """A process that was forked; somebody else's child, so that it is watched through a file descriptor."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:  # it was quick to die
            self._descriptor = -1

    @property
    def dead(self) -> bool:
        return self._descriptor < 0 or bool(select.select([self._descriptor], [], [], 0)[0])

    def wait(self, seconds: float) -> bool:
        """Whether it ends within that time."""
        return self._descriptor < 0 or bool(select.select([self._descriptor], [], [], seconds)[0])

    def send(self, number: signal.Signals) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def close(self) -> None:
        """Kills it, if need be, and forgets it."""
        self.send(signal.SIGKILL)
        self.wait(10)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Nest:
    """The process that forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nest"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that Ctrl-C reaches the one who tells it what to do alone
        )

    def hatch(self, wanted: Wanted) -> Hatched:
        """Starts a process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(wanted)) + "\n")
        self._process.stdin.flush()
        return Hatched(int(self._process.stdout.readline()))

    def close(self) -> None:
        """Ends it, and with it whatever it has forked."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def __enter__(self) -> Nest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _main() -> None:
    for module in PROGRAM:
        importlib.import_module(module)
    assert threading.active_count() == 1, "a process with threads can't be forked"
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        wanted = Wanted(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            _become(wanted)
        print(pid, flush=True)
    # Those that still run die with this process; see the seam.


def _become(wanted: Wanted) -> None:
    """The rest of a forked process's life."""
    from bot.__main__ import main
    from tests.chaos.clock import SharedClock
    from tests.chaos.seam import Steps, put_in

    code = 1
    try:
        log = os.open(wanted.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for old, new in ((0, nothing), (1, log), (2, log)):
            os.dup2(nothing if old == 0 else new, old)
        os.chdir(wanted.home)
        os.environ.clear()
        os.environ.update(wanted.environment)
        put_in(Steps(Path(wanted.steps), wanted.die_at, wanted.die_where), SharedClock(Path(wanted.clock)))
        code = main(["serve"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _main()
