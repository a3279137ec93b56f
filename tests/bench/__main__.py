"""Prints, in one run on one machine, each figure beside its yardstick. Every process is real.

`python -m tests.bench [--seconds N] [--rounds N] [--samples N] [--plot FILE.svg] [PART ...]`
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bot.playground.github import SimulatedGitHub
from bot.playground.slack import SimulatedSlack
from tests.bench.plot import plot
from tests.bench.policy import decision
from tests.bench.replicas import replicas
from tests.bench.running import bare, bot, commands, platforms, play, webhooks
from tests.bench.scale import scale

PARTS = ("intake", "acks", "idle", "decision", "replicas", "scale")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=2000, help="of each command, for the part `scale`")
    parser.add_argument("--plot", type=Path, help="where the part `replicas` draws its figures, as SVG")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"just these: {', '.join(PARTS)}")
    given = parser.parse_args()
    parts = given.parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, SQLite, synchronous FULL")
    with platforms() as (slack, github):
        if "intake" in parts:
            intake(slack, github, given.seconds, given.rounds)
        if "acks" in parts:
            acks(slack, github, given.seconds)
        if "idle" in parts:
            idle(slack, github, given.rounds)
        if "decision" in parts:
            decision()
        if "scale" in parts:
            scale(slack, github, given.seconds, given.rounds, given.samples)
    if "replicas" in parts:
        figures = replicas(given.seconds, given.rounds)
        if given.plot is not None and figures:
            plot(given.plot, figures)


def intake(slack: SimulatedSlack, github: SimulatedGitHub, seconds: float, rounds: int) -> None:
    """Signed, stored webhooks a second against the bare application, alternating."""
    ratios = []
    for number in range(1, rounds + 1):
        with bare() as server:
            yardstick = play(webhooks=webhooks(github, server, 256, seconds))["webhooks"]
        with bot(slack, github) as server:
            ours = play(webhooks=webhooks(github, server, 256, seconds))["webhooks"]
        assert set(ours["statuses"]) == {"202"}, ours
        ratios.append(ours["a_second"] / yardstick["a_second"])
        print(
            f"webhooks stored, round {number}: {ours['a_second']:,.0f}/s (p99 {ours['p99']:.0f} ms); "
            f"bare application {yardstick['a_second']:,.0f}/s (p99 {yardstick['p99']:.0f} ms); ratio {ratios[-1]:.2f}"
        )
    print(f"webhooks stored: {statistics.median(ratios):.2f} of the bare application (median; target 0.8)")


def acks(slack: SimulatedSlack, github: SimulatedGitHub, seconds: float) -> None:
    """Time to the ack of slash commands, 50 people at once, alone and while webhooks pour in."""
    with bot(slack, github) as server:
        alone = play(commands=commands(slack, server, 50, seconds))["commands"]
    with bot(slack, github) as server:
        both = play(commands=commands(slack, server, 50, seconds), webhooks=webhooks(github, server, 8, seconds))
    ours = both["commands"]
    assert set(ours["statuses"]) == {"200"}, ours
    print(f"ack of a command, 50 people, nothing else: p50 {alone['p50']:.0f} ms, p99 {alone['p99']:.0f} ms")
    print(
        f"ack of a command, 50 people, {both['webhooks']['a_second']:,.0f} webhooks/s beside {ours['a_second']:,.0f} "
        f"commands/s: p50 {ours['p50']:.0f} ms, p99 {ours['p99']:.0f} ms (target p99 under 100 ms)"
    )


def idle(slack: SimulatedSlack, github: SimulatedGitHub, rounds: int) -> None:
    """Memory of the idle process, and time from start to ready: the first time, when it makes its tables, and later."""
    first: list[tuple[float, float]] = []
    later: list[tuple[float, float]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for starts in (first, later):
                with bot(slack, github, database=f"sqlite:///{folder}/shipbot.db") as server:
                    time.sleep(1.5)
                    starts.append((server.ready_after, server.memory))
    bare_start = min(python_start() for _ in range(3))
    for name, starts in (("the first start, which makes the tables", first), ("each later one", later)):
        seconds = statistics.median(ready for ready, _ in starts)
        memory = max(size for _, size in starts)
        print(
            f"{name}: ready after {seconds:.2f} s (target under 2 s; the bare interpreter {bare_start:.2f} s), "
            f"idle at {memory:.0f} MB (target under 120 MB)"
        )


def python_start() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
