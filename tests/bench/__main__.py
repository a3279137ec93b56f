"""Prints, in one run on one machine, each figure beside its yardstick. Every process is real.

`python -m tests.bench [--seconds N] [--rounds N]`
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from bot.playground.github import SimulatedGitHub
from bot.playground.serving import Served
from bot.playground.slack import SimulatedSlack
from tests.bench.policy import decision

SECRET = "webhook-secret-of-the-bench"
CONFIG = """
apps:
  web: {repository: acme/web, environments: {production: {}, staging: {}}}
"""


@dataclass
class Running:
    """A process that serves, and how long it took until it was ready (seconds)."""

    process: subprocess.Popen[bytes]
    port: int
    ready_after: float

    @property
    def memory(self) -> float:
        """Resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, SQLite, synchronous FULL")
    with platforms() as (slack, github):
        intake(slack, github, given.seconds, given.rounds)
        acks(slack, github, given.seconds)
        idle(slack, github, given.rounds)
    decision()


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
    print(f"webhooks stored: {statistics.median(ratios):.2f} of the bare application (median; target 0.7)")


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
    """Memory of the idle process, and time from start to ready."""
    starts, sizes = [], []
    for _ in range(rounds):
        with bot(slack, github) as server:
            time.sleep(1.5)
            starts.append(server.ready_after)
            sizes.append(server.memory)
    bare_start = min(python_start() for _ in range(3))
    print(
        f"start to ready: {statistics.median(starts):.2f} s (target under 2 s; the bare interpreter {bare_start:.2f} s)"
    )
    print(f"memory of the idle process: {max(sizes):.0f} MB (target under 120 MB)")


def webhooks(github: SimulatedGitHub, server: Running, connections: int, seconds: float) -> dict[str, Any]:
    delivery = next(item for item in github.deliveries if item.event == "deployment_status")
    return {
        "kind": "webhooks",
        "host": "127.0.0.1",
        "port": server.port,
        "connections": connections,
        "seconds": seconds,
        "secret": SECRET,
        "event": "deployment_status",
        "body": delivery.body.decode(),
    }


def commands(slack: SimulatedSlack, server: Running, people: int, seconds: float) -> dict[str, Any]:
    return {
        "kind": "commands",
        "host": "127.0.0.1",
        "port": server.port,
        "connections": people,
        "seconds": seconds,
        "signing_secret": slack.signing_secret,
        "text": "status web",
        "response_url": slack.url.removesuffix("/slack") + "/sink",
    }


def play(**plan: dict[str, Any]) -> dict[str, Any]:
    """Plays the load from another process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(plan).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return dict(json.loads(done.stdout))


@contextmanager
def platforms() -> Iterator[tuple[SimulatedSlack, SimulatedGitHub]]:
    """A simulated Slack and GitHub with one repository, whose webhooks there are bodies of."""
    slack, github = SimulatedSlack(), SimulatedGitHub()
    # Answers to commands go where they are thrown away: Slack's own way back takes five each.
    sink = Route("/sink", lambda request: PlainTextResponse("ok"), methods=["POST"])
    routes = [sink, Mount("/slack", slack.asgi), Mount("/github", github.asgi)]
    with Served(Starlette(routes=routes)) as served:
        slack.url, github.url = f"{served.url}/slack", f"{served.url}/github"
        slack.add_room("C0OPS", "ops")
        github.add_user("ana-gh")
        github.add_repository("acme/web")
        github.add_hook("acme/web", f"{served.url}/nowhere", secret=SECRET, events=("deployment_status",))
        sha = github.push("acme/web", "topic", "Fix the login loop")
        made = github.create_deployment("acme/web", sha, payload={"notify": {"room": "C0OPS"}})
        github.report("acme/web", made, "in_progress", description="Rolling out", log_url="https://ci.example/1")
        github.deliver()
        yield slack, github


@contextmanager
def bare() -> Iterator[Running]:
    port = free_port()
    with started([sys.executable, "-m", "tests.bench.yardstick", str(port), SECRET], {}, port, "/") as running:
        yield running


@contextmanager
def bot(slack: SimulatedSlack, github: SimulatedGitHub) -> Iterator[Running]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "shipbot.yml"
        config.write_text(CONFIG)
        environment = {
            "SLACK_BOT_TOKEN": "xoxb-playground",
            "SLACK_SIGNING_SECRET": slack.signing_secret,
            "SLACK_API_URL": f"{slack.url}/api/",
            "GITHUB_TOKEN": "ghp_playground",
            "GITHUB_API_URL": f"{github.url}/api/v3",
            "GITHUB_WEBHOOK_SECRET": SECRET,
            "DATABASE_URL": f"sqlite:///{folder}/shipbot.db",
            "SHIPBOT_CONFIG": str(config),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "LOG_LEVEL": "error",
        }
        with started([sys.executable, "-m", "bot", "serve"], environment, port, "/readyz") as running:
            yield running


@contextmanager
def started(command: list[str], environment: dict[str, str], port: int, path: str) -> Iterator[Running]:
    begun = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).read()
                break
            except urllib.error.HTTPError as error:
                if error.code != 503:  # it answers, which is what was asked
                    break
            except OSError:
                pass
            assert process.poll() is None, "it ended before it was ready"
            time.sleep(0.005)
        yield Running(process, port, time.perf_counter() - begun)
    finally:
        process.terminate()
        process.wait(20)


def python_start() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - begun


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
