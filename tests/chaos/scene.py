"""A bot that dies again and again, between a Slack and a GitHub that do not always answer."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from bot.check.github import NEEDED_EVENTS
from bot.playground.github import Delivery, SimulatedGitHub
from bot.playground.serving import HOST, Served
from bot.playground.slack import SimulatedSlack
from bot.playground.slack_sending import Answer
from bot.playground.slack_state import Message
from bot.playground.stage import bot_environment, free_port, ready
from bot.store import jobs
from tests.chaos.clock import SharedClock
from tests.chaos.databases import Database
from tests.chaos.nest import Hatched, Nest, Wanted
from tests.chaos.seam import last_step
from tests.chaos.trouble import Troubled
from tests.world import Switch

WEBHOOK_SECRET = "webhook-secret-of-the-games"
PEOPLE = {"U0ANA": "ana", "U0BEN": "ben", "U0CAL": "cal"}
ROOMS = {"C0OPS": "ops", "C0REL": "releases"}
REPOSITORIES = ("acme/web", "acme/api")
CONFIG = """
admins: [U0CAL]
apps:
  web:
    repository: acme/web
    default_ref: main
    rooms: [C0OPS]
    announce: [{room: C0REL, environments: [production], on: [success, failure]}]
    environments:
      staging: {aliases: [stg], auto_deploy: [{on: push, branch: main}]}
      production:
        aliases: [prod]
        promote_from: staging
        approvals: {required: 1, approvers: [U0BEN, U0CAL]}
  api:
    repository: acme/api
    rooms: [C0OPS]
    environments:
      production: {}
      canary: {}
"""
# Timers that lie in wait for what may not happen. Who has nothing else to do has come to rest.
TIMERS = ("look", "deliveries", "head", "watch", "lock", "schedule", "decide")
START_WITHIN = 60.0  # seconds of real time; a busy machine may take as long
REST_WITHIN = 120.0
# Seconds in which nothing changes before claims are let run out: of one that is dead, and of one that lives.
SETTLED, SLOW = 0.25, 3.0


class Stuck(AssertionError):
    """The bot does not come to rest, or does not start."""


@dataclass
class Said:
    """What somebody told the bot, and whether it was acknowledged.

    `delivery` is its key in the inbox, `url` that of its response_url ('' for a message), `ts` a message's own.
    `text` is without what every command begins with; for a click, its command and the number of its card's deploy.
    """

    person: str
    text: str
    room: str
    delivery: str
    url: str
    ts: str
    clicked: bool
    acknowledged: bool
    at: datetime


@dataclass
class Life:
    """One life of the bot, and where it ended ('' as long as it lives). `steps` is where the seam counts."""

    steps: Path
    began: datetime
    died: str = ""


@dataclass
class Scene:
    """Everything around the bot. It outlives the bot's processes; `close` ends them."""

    home: Path
    nest: Nest
    database: Database
    seed: str
    lives: list[Life] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    deaf: bool = False  # no webhook is ever sent
    late: list[Delivery] = field(default_factory=list)  # webhooks that are on their way
    pushed: str = ""  # the newest commit of web's main branch that rules are to deploy
    out_of_order: bool = False  # while the database is away: a bot that can't start says so and ends
    next_death: Callable[[], tuple[int, str]] = lambda: (0, "")  # the step at which the next process is to die

    def __post_init__(self) -> None:
        self.clock = SharedClock(self.home / "clock")
        self.began = self.clock.now()
        self.slack = SimulatedSlack(now=self.clock.now)
        self.github = SimulatedGitHub(now=self.clock.now)
        limited = {"message": "You have exceeded a secondary rate limit."}
        self.trouble = {
            "slack": Troubled(self.slack.asgi, f"{self.seed} slack", {"ok": False, "error": "ratelimited"}),
            "github": Troubled(self.github.asgi, f"{self.seed} github", limited),
        }
        self.served = Served(Switch({f"/{name}": app for name, app in self.trouble.items()}))
        self.slack.url, self.github.url = f"{self.served.url}/slack", f"{self.served.url}/github"
        self.port = free_port()
        self.slack.bot_url = f"http://{HOST}:{self.port}"
        self._furnish()
        (self.home / "shipbot.yml").write_text(CONFIG)
        self.process: Hatched | None = None

    # the bot

    def start(self) -> None:
        """Starts the bot and waits until it is ready, or dead."""
        if self.process is not None:
            self.process.close()
        at, where = self.next_death()
        life = Life(self.home / f"steps-{len(self.lives)}", self.clock.now())
        self.lives.append(life)
        self.process = self.nest.hatch(
            Wanted(
                environment=bot_environment(
                    {
                        "SLACK_BOT_TOKEN": self.slack.bot_token,
                        "SLACK_SIGNING_SECRET": self.slack.signing_secret,
                        "SLACK_API_URL": f"{self.slack.url}/api/",
                        "GITHUB_TOKEN": "ghp_playground",
                        "GITHUB_API_URL": f"{self.github.url}/api/v3",
                        "GITHUB_WEBHOOK_SECRET": WEBHOOK_SECRET,
                        "DATABASE_URL": self.database.url,
                        "HOST": HOST,
                        "PORT": str(self.port),
                        "PUBLIC_URL": f"http://{HOST}:{self.port}",
                        "LOG_LEVEL": "info",
                    }
                ),
                home=str(self.home),
                log=str(self.home / "bot.log"),
                clock=str(self.home / "clock"),
                steps=str(life.steps),
                die_at=at,
                die_where=where,
            )
        )
        end = time.monotonic() + START_WITHIN
        while not ready(self.port):
            if self.process.wait(0.01):
                self.note_death()
                return
            if time.monotonic() > end:
                raise Stuck("the bot does not become ready")

    def revive(self) -> None:
        """Starts the bot again if it has died, as often as it takes; not while it could only end again."""
        while not self.out_of_order and (self.process is None or self.process.dead):
            self.note_death()
            self.start()

    def kill(self) -> None:
        """-9, whatever it is doing."""
        assert self.process is not None
        self.note_death()
        if not self.process.dead:
            self.lives[-1].died = "killed from outside"
            self.tell("killed from outside")
            self.process.close()

    def note_death(self) -> None:
        """Takes down where the bot died, if it did. Raises Stuck when it was not to die."""
        if self.lives and not self.lives[-1].died and self.process is not None and self.process.dead:
            life = self.lives[-1]
            count, life.died, planned = last_step(life.steps)
            if self.out_of_order and not planned:
                life.died = "for want of a database"
            elif not planned:
                raise Stuck("the bot ended by itself")
            self.tell(f"died at step {count}, {life.died}")

    def cards(self, room: str) -> list[Message]:
        """The cards of deploys that a room shows, oldest first."""
        messages = self.slack.messages(room)
        return [each for each in messages if each.metadata and each.metadata["event_type"] == "shipbot_deploy"]

    # what people do

    def say(self, person: str, text: str, room: str = "C0OPS") -> Said:
        """Somebody types something; `acknowledged` says whether the bot took it."""
        before = self.clock.now()
        answer = self.slack.direct_message(person, text) if room == "dm" else self.slack.say(person, room, text)
        text = text.removeprefix("/deploy ").removeprefix("@shipbot ")
        return self._noted(person, text, room, answer, before)

    def click(self, person: str, card: Message, action: str) -> Said:
        """Somebody clicks a button of a card. Raises LookupError where it has no such button."""
        before = self.clock.now()
        answer = self.slack.click(person, card.room, card.ts, action)
        assert card.metadata is not None
        text = f"{action.removeprefix('deploy_')} {card.metadata['event_payload']['number']}"
        return self._noted(person, text, card.room, answer, before)

    def again(self, said: Said) -> None:
        """Slack sends the last thing once more, since it was not acknowledged."""
        answer = self.slack.repeat_last()
        said.acknowledged = said.acknowledged or answer.ok
        self.tell(f"sent again: {answer.status}")

    def _noted(self, person: str, text: str, room: str, answer: Answer, before: datetime) -> Said:
        assert self.slack._last is not None
        sent = self.slack._last.payload
        if "event_id" in sent:
            delivery = sent["event_id"]
        elif "actions" in sent:
            action = sent["actions"][0]
            delivery = f"{sent['trigger_id']}:{action['action_id']}:{action['action_ts']}"
        else:
            delivery = sent["trigger_id"]
        url = str(sent.get("response_url", "")).rpartition("/")[2]
        ts = str(sent.get("event", {}).get("ts", ""))
        said = Said(person, text, room, f"slack:{delivery}", url, ts, "actions" in sent, answer.ok, before)
        self.said.append(said)
        self.tell(f"{PEOPLE[person]} in {room}{' by a click' if said.clicked else ''}: {text} ({answer.status})")
        return said

    # what GitHub tells

    def deliver(self, chance: Random | None = None) -> None:
        """GitHub sends what it has to tell. With `chance` some of it is lost, with or without GitHub knowing so, some
        comes twice, and some late, after what came later."""
        with self.github.lock:
            told = [*self.late, *self.github.pending]
            self.github.pending.clear()
        if self.deaf:
            return
        self.late = []
        if chance is not None and chance.random() < 0.3:
            chance.shuffle(told)
        for delivery in told:
            fate = chance.random() if chance is not None else 1.0
            if fate < 0.15:
                self._lose(delivery)
                self.tell(f"webhook {delivery.event} lost")
            elif fate < 0.3 and delivery.event.startswith("deployment"):  # a look finds what nobody else would
                self.tell(f"webhook {delivery.event} never sent")
            elif fate < 0.45:
                self.late.append(delivery)
            else:
                [status] = self.github.deliver(delivery)
                if fate < 0.55:
                    self.github.deliver(delivery)
                elif fate < 0.65 and status == 202:
                    self._lose(delivery)  # it arrived, and GitHub did not hear so

    def _lose(self, delivery: Delivery) -> None:
        with self.github.change():
            lost = replace(
                delivery,
                id=self.github.next_id("delivery"),
                delivered_at=self.clock.now(),
                status_code=504,
                status="timed out",
            )
            self.github.deliveries.append(lost)

    # time

    def forward(self, **length: float) -> None:
        self.clock.forward(timedelta(**length))

    def rest(self, chance: Random | None = None, *, timers: bool = False, within: float = REST_WITHIN) -> None:
        """Lets the bot do what there is to do: waits while it works, and where it waits itself, time passes.

        With `timers` those go off as well, up to a quarter of an hour from now.
        """
        end = time.monotonic() + within
        horizon = self.clock.now() + timedelta(minutes=16)
        seen: tuple[Any, float] = (None, 0.0)
        while True:
            self.revive()
            self.deliver(chance)
            if time.monotonic() > end:
                raise Stuck(f"the bot does not come to rest: {self.database.ask(_WORK)}")
            try:
                work = self.database.ask(_WORK)
            except sa.exc.SQLAlchemyError:
                time.sleep(0.02)
                continue
            now = self.clock.now()
            leases = [_moment(row.lease_until) for row in work if row.state == "running"]
            # Who lives may just be slow; or it could not store that it was done, and its claim must run out, too.
            left = [lease for lease in leases if lease <= self.lives[-1].began + jobs.LEASE]
            patience = SETTLED if left else SLOW
            waiting = [(row.kind, _moment(row.run_at)) for row in work if row.state == "ready"]
            busy = any(trouble.busy for trouble in self.trouble.values()) or bool(self.github.pending)
            if busy or leases or any(at <= now for _, at in waiting):
                found = [(row.id, row.state, row.attempts) for row in work]
                if busy or found != seen[0]:
                    seen = found, time.monotonic()
                elif leases and time.monotonic() - seen[1] > patience:
                    self.clock.forward(max(timedelta(0), min(leases) - now) + timedelta(seconds=1))
                time.sleep(0.01)
                continue
            wanted = [at for kind, at in waiting if kind not in TIMERS or (timers and at < horizon)]
            if not wanted:
                if self.process is None or self.process.dead:
                    continue
                return
            self.clock.forward(min(wanted) - now + timedelta(milliseconds=1))

    def tell(self, what: str) -> None:
        """Adds a line to the story of this game."""
        seconds = (self.clock.now() - self.began).total_seconds()
        self.story.append(f"{seconds:8.2f} {what}")

    # disks

    def fill_disk(self) -> None:
        """From now on no file of the process grows past what the database's is now (setrlimit(2), RLIMIT_FSIZE)."""
        database = Path(sa.make_url(self.database.url).database or "")
        sizes = [
            path.stat().st_size for path in (database, database.with_name(f"{database.name}-wal")) if path.exists()
        ]
        self._limit(sizes[-1])

    def empty_disk(self) -> None:
        """There is room again."""
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def close(self) -> None:
        if self.process is not None:
            self.process.close()
        self.served.close()
        self.database.close()
        self.clock.close()

    def _furnish(self) -> None:
        for person, name in PEOPLE.items():
            self.slack.add_person(person, name)
            self.github.add_user(f"{name}-gh")
        for room, name in ROOMS.items():
            self.slack.add_room(room, name, members=list(PEOPLE))
        for repository in REPOSITORIES:
            self.github.add_repository(repository)
            self.github.push(repository, "main", "Start")
            self.github.push(repository, "topic", "Fix the login loop")
            self.github.push(repository, "other", "Trim the logs")
            hook = f"{self.slack.bot_url}/github/webhooks"
            self.github.add_hook(repository, hook, secret=WEBHOOK_SECRET, events=tuple(NEEDED_EVENTS))
        self.github.pending.clear()


_WORK = "SELECT id, kind, state, run_at, lease_until, attempts, note FROM jobs WHERE state IN ('ready', 'running')"


def _moment(value: Any) -> datetime:
    """A moment as a database gives it to somebody who knows nothing of types."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.replace(tzinfo=UTC)
