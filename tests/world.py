"""A bot between a simulated Slack and a simulated GitHub, for tests that read like a chat.

Everything is real but the two platforms: signed HTTP in, the real SDKs out, a real database. The workers
don't run by themselves; `settle` does what is due until nothing is, with a clock that stands still.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from bot.app import Bot
from bot.check.github import NEEDED_EVENTS
from bot.deploys.config_file import read_config
from bot.playground.github import SimulatedGitHub
from bot.playground.serving import Served
from bot.playground.slack import SimulatedSlack
from bot.service.core import DELIVERIES, LOOK
from bot.settings import Settings
from bot.store.engine import Store
from bot.store.schema import jobs
from bot.web import Receive, Scope, Send

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday
WEBHOOK_SECRET = "webhook-secret-of-the-tests"

CONFIG = """
apps:
  web:
    repository: acme/web
    default_ref: main
    announce:
      - {room: C0REL, environments: [production], on: [success, failure]}
    payload: {dashboard: "https://grafana.example/web"}
    environments:
      production: {aliases: [prod]}
      staging: {aliases: [stg]}
  api:
    repository: acme/api
    rooms: [C0OPS]
    environments:
      production: {required_contexts: []}
      canary: {auto_merge: true}
"""


@dataclass
class FixedClock:
    """Stands still until it is moved."""

    moment: datetime = START

    def now(self) -> datetime:
        return self.moment


@dataclass
class Switch:
    """An ASGI application that stands for whichever is played with now, so that a server outlives a test."""

    apps: dict[str, object] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        head = "/" + scope["path"].split("/")[1]
        app = self.apps.get(head)
        if app is not None:  # a simulator, mounted below its name
            scope = {**scope, "path": scope["path"][len(head) :], "root_path": scope.get("root_path", "") + head}
            if scope.get("raw_path"):
                scope["raw_path"] = scope["raw_path"][len(head) :]
        else:
            app = self.apps["/"]
        await app(scope, receive, send)  # type: ignore[operator]


class Servers:
    """The two servers of a test session: one for the platforms, one for the bot."""

    def __init__(self) -> None:
        self.outside = Switch()
        self.inside = Switch()
        self._served = [Served(self.outside), Served(self.inside)]
        self.outside_url, self.bot_url = (served.url for served in self._served)

    def close(self) -> None:
        for served in self._served:
            served.close()


class World:
    """One test's world. People: Ana, Ben, Cal. Rooms: #ops (C0OPS), #releases (C0REL), #random (C0RAN)."""

    def __init__(self, servers: Servers, database_url: str, config: str = CONFIG, **settings: object) -> None:
        self.clock = FixedClock()
        self.slack = SimulatedSlack(now=self.clock.now)
        self.github = SimulatedGitHub(now=self.clock.now)
        self.servers = servers
        self.slack.url = f"{servers.outside_url}/slack"
        self.github.url = f"{servers.outside_url}/github"
        self.slack.bot_url = servers.bot_url
        servers.outside.apps = {"/slack": self.slack.asgi, "/github": self.github.asgi}
        self.settings = Settings(
            **{  # type: ignore[arg-type]
                "slack_bot_token": "xoxb-playground",
                "slack_signing_secret": self.slack.signing_secret,
                "slack_api_url": f"{self.slack.url}/api/",
                "github_token": "ghp_playground",
                "github_api_url": f"{self.github.url}/api/v3",
                "github_webhook_secret": WEBHOOK_SECRET,
                "database_url": database_url,
                **settings,
            }
        )
        self.config = config
        self.store = Store(database_url)
        self.expect_dead = False
        self.expect_violations = False
        self._furnish()
        self.bot = self._start()

    def restart(self) -> None:
        """The bot dies and comes back: all that is left of it is the database."""
        self.bot.close()
        self.bot = self._start()

    def close(self) -> None:
        self.bot.close()
        self.store.close()

    # what people do

    def say(self, person: str, text: str, room: str = "C0OPS") -> None:
        """Somebody types into a room (`/deploy …`, `@shipbot …`; `dm` is the bot's own), and the bot acts."""
        answer = self.slack.direct_message(person, text) if room == "dm" else self.slack.say(person, room, text)
        assert answer is None or answer.ok, (answer.status, answer.text)
        self.settle()

    def report(self, state: str, *, number: int = -1, repository: str = "acme/web", **details: str) -> None:
        """A deployer reports on a deployment (the newest one, or the one at that place), and GitHub tells the bot."""
        deployment = self.github.deployments(repository)[0 if number < 0 else number]
        self.github.report(repository, deployment["id"], state, **details)
        self.deliver()

    def deliver(self) -> list[int]:
        """GitHub sends what it has to tell, and the bot acts."""
        statuses = self.github.deliver()
        self.settle()
        return statuses

    def settle(self) -> None:
        """Does what is due until nothing is."""
        for _ in range(1000):
            if not self.bot.workers.step():
                break
        else:
            raise AssertionError("the bot does not come to rest")

    def advance(self, **length: float) -> None:
        """Time passes, and what has become due is done."""
        self.clock.moment += timedelta(**length)
        self.settle()

    # what is to be seen

    def room(self, room: str = "C0OPS", viewer: str | None = "U0ANA") -> str:
        """The room as somebody sees it."""
        return self.slack.transcript(room, viewer=viewer)

    def dead(self) -> list[str]:
        """What became of jobs that died."""
        with self.store.read() as connection:
            query = sa.select(jobs.c.kind, jobs.c.note).where(jobs.c.state == "dead")
            return [f"{kind}: {note}" for kind, note in connection.execute(query)]

    def waiting(self) -> list[str]:
        """The kinds of jobs that are still to be done, but for those that look at GitHub again and again."""
        looks = jobs.c.kind.in_([LOOK, DELIVERIES])
        with self.store.read() as connection:
            query = sa.select(jobs.c.kind).where(jobs.c.state.in_(["ready", "running"]), ~looks).order_by(jobs.c.id)
            return list(connection.execute(query).scalars())

    def _start(self) -> Bot:
        bot = Bot(self.settings, read_config(textwrap.dedent(self.config)), self.store, self.clock)
        self.servers.inside.apps = {"/": bot}
        bot.service.start()
        for _ in range(1000):
            if not bot.workers.step():
                break
        return bot

    def _furnish(self) -> None:
        for person, name in (("U0ANA", "ana"), ("U0BEN", "ben"), ("U0CAL", "cal")):
            self.slack.add_person(person, name)
            self.github.add_user(f"{name}-gh")
        for room, name in (("C0OPS", "ops"), ("C0REL", "releases"), ("C0RAN", "random")):
            self.slack.add_room(room, name, members=["U0ANA", "U0BEN", "U0CAL"])
        for repository in ("acme/web", "acme/api"):
            self.github.add_repository(repository)
            self.github.push(repository, "main", "Start")
            self.github.push(repository, "topic", "Fix the login loop")
            hook = f"{self.servers.bot_url}/github/webhooks"
            self.github.add_hook(repository, hook, secret=WEBHOOK_SECRET, events=tuple(NEEDED_EVENTS))
        self.github.pending.clear()  # the pings and pushes of the furnishing
