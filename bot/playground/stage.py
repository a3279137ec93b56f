"""The whole scene on one machine: simulated Slack and GitHub on one port, the real bot as a process between them."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from bot.playground.github import SimulatedGitHub
from bot.playground.seed import CONFIG, Clock, config_yaml, seed
from bot.playground.server import Playground
from bot.playground.serving import HOST, Served
from bot.playground.slack import SimulatedSlack

PORTS_TRIED = 50
OWN_PORTS = range(20_000, 32_000)  # Linux gives those from 32768 on, others those from 49152 on
READY_WITHIN = 30.0  # seconds for the bot to start
STOP_WITHIN = 10.0  # seconds that the bot has after SIGTERM
LAST_LINES = 20  # of the bot's output, shown when it ends by itself
BOT = (sys.executable, "-m", "bot", "serve")
# Variables of these kinds could turn the demo's bot to somebody's real Slack, GitHub or database.
_NOT_HANDED_ON = ("SLACK_", "GITHUB_", "GH_", "SHIPBOT_", "HEROKU_", "DATABASE_URL", "PUBLIC_URL", "HOST", "PORT")


class BotFailed(Exception):
    """The bot has ended by itself or does not become ready; the message holds its last words."""


class Stopped(Exception):
    """Somebody asked to stop while the scene was being set."""


class Stage:
    """A seeded playground with the bot running in it.

    `port` 0 takes any free port; another one is stepped over while it is taken. `bot` is the command that
    starts the bot; `pace` is that of `config_yaml`. As a context manager it is up inside the `with`; leaving
    stops the bot (SIGTERM) and the servers and removes every file. Raises `BotFailed`, `OSError` when no port
    is free, and `Stopped` when `stop` was set meanwhile.
    """

    def __init__(
        self, *, port: int = 0, bot: Sequence[str] = BOT, stop: threading.Event | None = None, pace: float = 1.0
    ) -> None:
        self.clock = Clock()
        self.signing_secret = secrets.token_hex(16)
        self.github = SimulatedGitHub(now=self.clock)
        self.slack = SimulatedSlack(now=self.clock, signing_secret=self.signing_secret)
        self.playground = Playground(self.github, self.slack)
        self.stop = stop or threading.Event()
        self.url = ""
        self._port = port
        self._pace = pace
        self._command = list(bot)
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._served: Served | None = None
        self._bot: subprocess.Popen[bytes] | None = None
        self._end_of_webhooks: Callable[[], None] | None = None

    def __enter__(self) -> Stage:
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _set_up(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="shipbot-")
        self._served = serve(self.playground, self._port)
        self.url = self._served.url
        seed(self.github, self.slack, self.clock)
        bot_port = free_port()
        self.slack.bot_url = f"http://{HOST}:{bot_port}"
        secret = secrets.token_hex(16)
        for app in CONFIG["apps"].values():
            self.github.add_hook(app["repository"], f"{self.slack.bot_url}/github/webhooks", secret=secret)
        self._start_bot(bot_port, secret)
        self._wait_until_ready(bot_port)
        self._end_of_webhooks = self.github.deliver_in_background()

    def _start_bot(self, port: int, webhook_secret: str) -> None:
        assert self._directory is not None
        home = Path(self._directory.name)
        (home / "shipbot.yml").write_text(config_yaml(self.url, self._pace), encoding="utf-8")
        environment = bot_environment(
            {
                "SLACK_BOT_TOKEN": self.slack.bot_token,
                "SLACK_SIGNING_SECRET": self.signing_secret,
                "SLACK_API_URL": f"{self.slack.url}/api/",
                "GITHUB_TOKEN": "ghp_playground",
                "GITHUB_API_URL": f"{self.github.url}/api/v3",
                "GITHUB_WEBHOOK_SECRET": webhook_secret,
                "DATABASE_URL": f"sqlite:///{home / 'shipbot.db'}",
                "SHIPBOT_CONFIG": str(home / "shipbot.yml"),
                "HOST": HOST,
                "PORT": str(port),
                "PUBLIC_URL": f"http://{HOST}:{port}",
                "LOG_LEVEL": "warning",
            }
        )
        with (home / "bot.log").open("wb") as log:
            # In a session of its own: Ctrl-C in the terminal reaches the demo alone, which then stops the bot.
            self._bot = subprocess.Popen(  # noqa: S603 - our own interpreter, or what the caller named
                self._command,
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_until_ready(self, port: int) -> None:
        end = time.monotonic() + READY_WITHIN
        while not ready(port):
            self.check()
            if time.monotonic() > end:
                raise BotFailed(f"The bot is not ready after {READY_WITHIN:.0f} seconds.{self.last_words()}")
            if self.stop.wait(0.1):
                raise Stopped

    def check(self) -> None:
        """Raises `BotFailed` when the bot has ended."""
        if self._bot is not None and (code := self._bot.poll()) is not None:
            raise BotFailed(f"The bot has ended with exit code {code}.{self.last_words()}")

    def last_words(self) -> str:
        """The last lines that the bot has written, as a paragraph of its own; empty when it wrote none."""
        if self._directory is None:
            return ""
        try:
            text = (Path(self._directory.name) / "bot.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        lines = text.strip().splitlines()[-LAST_LINES:]
        return "\n\n" + "\n".join(f"    {line}" for line in lines) if lines else ""

    def close(self) -> None:
        """Stops the bot first, while what it talks to is still there; then the rest. May be called again."""
        if self._bot is not None and self._bot.poll() is None:
            self._bot.send_signal(signal.SIGTERM)
            try:
                self._bot.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                self._bot.kill()
                self._bot.wait()
        if self._end_of_webhooks is not None:
            self._end_of_webhooks()
            self._end_of_webhooks = None
        self.playground.close()
        if self._served is not None:
            self._served.close()
        if self._directory is not None:
            self._directory.cleanup()


def serve(playground: Playground, port: int) -> Served:
    """Serves the playground on `port`, or on the next free one when it is taken. Raises OSError when none of
    the next 50 is free."""
    last = port + PORTS_TRIED if port else port
    while True:
        try:
            served = Served(playground.asgi, port=port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port >= min(last, 65535):
                raise
            port += 1
        else:
            playground.opened(served.url)
            return served


def free_port() -> int:
    """A port of this machine on which nobody listens now; none of those that systems give to whoever connects, since
    such a one may be taken again before it is used."""
    for _ in range(PORTS_TRIED):
        port = secrets.choice(OWN_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise OSError(errno.EADDRINUSE, f"No port of {PORTS_TRIED} tried is free.")


def bot_environment(own: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without anything that configures a bot, and with `own`."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_NOT_HANDED_ON)}
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [kept.get("PYTHONPATH")])])
    # A proxy in the environment must not get what goes to this machine itself.
    return {**kept, "PYTHONPATH": path, "NO_PROXY": HOST, "no_proxy": HOST, **own}


def ready(port: int) -> bool:
    """Whether the bot at that port says that it is."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
