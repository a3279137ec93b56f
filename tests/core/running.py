"""A real `python -m bot serve` between a simulated Slack and GitHub."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from bot.playground.github import SimulatedGitHub
from bot.playground.slack import SimulatedSlack
from bot.playground.stage import bot_environment, free_port
from tests.core.sending import CLIENT
from tests.world import CONFIG, Servers

ROOT = Path(__file__).parents[2]
SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-secret-of-the-bot",
    "SLACK_SIGNING_SECRET": "secret-that-signs",
    "GITHUB_TOKEN": "ghp_secret_of_github",
    "GITHUB_WEBHOOK_SECRET": "secret-of-the-webhooks",
}
PATIENCE = 30.0  # seconds for anything to happen


class Running:
    """The platforms stay while the process comes and goes. Starting waits until it is ready."""

    def __init__(self, servers: Servers, database_url: str, home: Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = home
        self._changed = threading.Condition()
        self.slack = SimulatedSlack(
            bot_token=SECRETS["SLACK_BOT_TOKEN"], signing_secret=SECRETS["SLACK_SIGNING_SECRET"]
        )
        self.github = SimulatedGitHub(token=SECRETS["GITHUB_TOKEN"])
        self.slack.url, self.github.url = f"{servers.outside_url}/slack", f"{servers.outside_url}/github"
        self.slack.bot_url = self.url
        servers.outside.apps = {"/slack": self.slack.asgi, "/github": self.github.asgi}
        for platform in (self.slack, self.github):
            platform.on_change.append(self._ring)
        self._furnish()
        (home / "shipbot.yml").write_text(CONFIG)
        self.environment = {
            **SECRETS,
            "SLACK_API_URL": f"{self.slack.url}/api/",
            "GITHUB_API_URL": f"{self.github.url}/api/v3",
            "DATABASE_URL": database_url,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "LOG_LEVEL": "debug",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.log = home / "bot.log"

    def start(self) -> None:
        self.process = launch(self.environment, self.home, self.log)
        self.until(lambda: self.get("/readyz") == 200)

    def stop(self) -> int:
        """SIGTERM; returns the exit code. Raises TimeoutExpired after the ten seconds it has."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def kill(self) -> None:
        """As if the power went."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def get(self, path: str) -> int:
        """The status of a GET; 0 when nobody answers."""
        try:
            return CLIENT.get(self.url + path).status_code
        except httpx.TransportError:
            return 0

    def until(self, happened: Callable[[], bool]) -> None:
        """Waits for something to be so; looks whenever Slack or GitHub changed, and now and then."""
        assert self.process is not None
        for _ in range(int(PATIENCE / 0.1)):
            with self._changed:
                if happened():
                    return
                self._changed.wait(0.1)
            assert self.process.poll() is None, self.log.read_text()[-2000:]
        raise AssertionError(f"did not happen; the room:\n{self.room()}\nthe log:\n{self.log.read_text()[-3000:]}")

    def room(self) -> str:
        return self.slack.transcript("C0OPS", viewer="U0ANA")

    def lines(self) -> list[dict[str, Any]]:
        """The log, each line of which is a JSON object."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def _ring(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _furnish(self) -> None:
        self.slack.add_person("U0ANA", "ana")
        for room, name in (("C0OPS", "ops"), ("C0REL", "releases")):
            self.slack.add_room(room, name, members=["U0ANA"])
        for repository in ("acme/web", "acme/api"):
            self.github.add_repository(repository)
            self.github.push(repository, "main", "Start")
            self.github.push(repository, "topic", "Fix the login loop")
            self.github.add_hook(
                repository,
                f"{self.url}/github/webhooks",
                secret=SECRETS["GITHUB_WEBHOOK_SECRET"],
                events=("deployment", "deployment_status"),
            )


@contextlib.contextmanager
def started_with(number: signal.Signals, handler: signal.Handlers) -> Iterator[None]:
    """What is started meanwhile does that about a signal until it says otherwise."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def launch(environment: dict[str, str], home: Path, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts `python -m bot`, `serve` unless told otherwise, with just that environment of the bot's."""
    with log.open("ab") as written:
        return subprocess.Popen(
            [sys.executable, "-m", "bot", *(arguments or ("serve",))],
            env=bot_environment(environment),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
        )
