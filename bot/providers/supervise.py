"""Runs a program and ends it with all that it started: `python -I -S supervise.py FOLDER ERRORS -- PROGRAM ARG…`.

A process of its own, between the bot and the program, because it must do so when the bot is killed as well. Its
standard input is a pipe from the bot. A line with a number of seconds means: TERM now, KILL after that long. The
pipe's end means that the bot is gone: the same, and FOLDER is deleted. On Linux, what the program has detached from
its session is found too. What it leaves running when it ends is ended as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time

GRACE = 10.0  # seconds between TERM and KILL
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans among its descendants become its children (man 2 prctl)


def main(folder: str, errors: str, argv: list[str]) -> int:
    """Returns the program's exit code; 128 and its number for one that a signal ended."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    told_to_stop, asked = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.write(asked, b"."))
    ended, child_ended = os.pipe()
    os.set_blocking(child_ended, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(child_ended)
    try:
        program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        with open(errors, "w", encoding="utf-8") as file:
            file.write(f"{os.path.basename(argv[0])} can't be started: {reason}")
        return 127
    kill_at: float | None = None
    alone = False
    watched = [0, told_to_stop, ended]
    while program.poll() is None:
        wait = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        readable, _, _ = select.select(watched, [], [], wait)
        if ended in readable:
            os.read(ended, 4096)
            _bury(program.pid)
        grace = None
        if 0 in readable:
            line = os.read(0, 64)
            if not line:
                alone = True
                watched.remove(0)
            grace = _number(line)
        if told_to_stop in readable:
            os.read(told_to_stop, 4096)
            grace = GRACE
        if grace is not None and kill_at is None:
            _signal_all(program.pid, signal.SIGTERM)
            kill_at = time.monotonic() + grace
        if kill_at is not None and time.monotonic() >= kill_at:
            _end_all(program.pid)
            program.wait()
    # What it was asked to end gets as long as it has; what it left behind by itself is ended at once.
    if kill_at is not None:
        while _descendants() and time.monotonic() < kill_at:
            select.select([], [], [], 0.05)
    _end_all(program.pid)
    if alone:
        shutil.rmtree(folder, ignore_errors=True)
    code = program.returncode
    return code if code >= 0 else 128 - code


def _number(line: bytes) -> float:
    try:
        return min(float(line.split(b"\n")[0]), 60.0)
    except ValueError:
        return GRACE


def _signal_all(group: int, number: int) -> None:
    """To the program's process group, and to every descendant that has left it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
    for process in _descendants():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process) != group:
                os.kill(process, number)


def _end_all(group: int) -> None:
    for _ in range(100):  # each round may find what was started in the round before
        _signal_all(group, signal.SIGKILL)
        if not _descendants():
            return
        select.select([], [], [], 0.01)


def _bury(program: int) -> None:
    """Takes note of orphans that became ours and have ended; the program itself is asked about elsewhere."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and found.si_pid != program:
            os.waitpid(found.si_pid, 0)


def _descendants() -> list[int]:
    """Every process below this one that is alive, by /proc; none are found where there is none."""
    children: dict[int, list[int]] = {}
    try:
        entries = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    for process in entries:
        try:
            with open(f"/proc/{process}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in (b"Z", b"X"):
            children.setdefault(int(fields[1]), []).append(process)
        else:
            children.setdefault(int(fields[1]), [])
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


if __name__ == "__main__":
    mark = sys.argv.index("--")
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[mark + 1 :]))
