"""Many people at the same moment, for real: threads against `python -m bot serve`, two of them on PostgreSQL."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from bot.app import WORKERS
from bot.playground.github_state import Deployment
from bot.playground.stage import free_port
from bot.store import gates
from bot.store.engine import Store
from bot.store.schema import deploys, jobs, locks, votes
from bot.web import Receive, Scope, Send
from tests.core.running import SECRETS, Running, launch
from tests.core.test_process import answers
from tests.front.chat import posted
from tests.world import Servers

pytestmark = pytest.mark.slow

T = TypeVar("T")

CROWD = [f"U0P{number:02}" for number in range(50)]
PAIRS = 20
CONFIG = """
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      production:
        required_contexts: []
        approvals: {required: 3}
      staging: {required_contexts: []}
""" + "".join(
    f"      e{number:02}: {{required_contexts: [], when_locked: {('refuse', 'wait')[number % 2]}}}\n"
    for number in range(PAIRS)
)


class Balancer:
    """An ASGI application that hands each request to the next of several bots."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._next = itertools.cycle(urls)
        self._client = httpx.AsyncClient(trust_env=False, timeout=30, limits=httpx.Limits(max_connections=None))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        headers = [(key, value) for key, value in request.headers.raw if key != b"host"]
        url = next(self._next) + scope["path"]
        given = await self._client.request(request.method, url, content=await request.body(), headers=headers)
        await Response(given.content, given.status_code)(scope, receive, send)


class Crowded(Running):
    """A bot (on PostgreSQL two of them, that take turns) in a room of fifty-one people."""

    def __init__(self, servers: Servers, database_url: str, home: Path) -> None:
        self._front = servers.bot_url
        super().__init__(servers, database_url, home)
        self.slack.bot_url = self._front
        self.store = Store(database_url)
        (home / "shipbot.yml").write_text(CONFIG)
        self._second: subprocess.Popen[bytes] | None = None
        self._second_port = free_port()
        urls = [self.url]
        if not self.store.sqlite:
            urls.append(f"http://127.0.0.1:{self._second_port}")
            self._second = launch(self.environment | {"PORT": str(self._second_port)}, home, self.log)
        servers.inside.apps = {"/": Balancer(urls)}
        self.start()
        if self._second is not None:
            self.until(lambda: answers(self._second_port))
        self._end_of_webhooks = self.github.deliver_in_background()

    def close(self) -> None:
        """Every process stops by itself, and none had anything to complain of."""
        self._end_of_webhooks()
        try:
            if self._second is not None:
                self._second.terminate()
                assert self._second.wait(10) == 0
            assert self.stop() == 0
        finally:
            self.kill()
            if self._second is not None:
                self._second.kill()
            self.store.close()
        assert self.slack.violations == []
        complaints = [line for line in self.lines() if line["level"] not in ("debug", "info")]
        assert not complaints, "\n".join(str(line.get("exception", line)) for line in complaints)

    def rows(self, query: sa.Executable) -> Sequence[sa.Row[Any]]:
        with self.store.read() as connection:
            return connection.execute(query).all()

    def rest(self) -> None:
        """Until all that is due now is done; what is put down for later is not."""
        ready, running = jobs.c.state == "ready", jobs.c.state == "running"
        left = sa.select(jobs.c.id)
        self.until(lambda: not self.rows(left.where(running | ready & (jobs.c.run_at <= datetime.now(UTC)))))

    def cards(self) -> list[str]:
        """The ts of each card in the room."""
        return [message.ts for message in posted(self.slack)]

    @contextlib.contextmanager
    def held_up(self, places: Sequence[str]) -> Iterator[None]:
        """Nothing is decided in those places until every worker waits to; then they all go on at once.

        Only on PostgreSQL: SQLite has one writer at a time, and while the test is it nothing is taken in.
        """
        if self.store.sqlite:
            yield
            return
        waiting = sa.text(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        held = [("web", place) for place in places]
        with self.store.write() as connection:  # rows that are there already are what everyone meets but the first
            gates.claim(connection, held)
        with self.store.write() as connection:
            gates.claim(connection, held)
            yield
            self.until(lambda: len(self.rows(waiting)) == 2 * WORKERS)

    def sent(self) -> list[Deployment]:
        """What GitHub holds, oldest first."""
        with self.github.lock:
            found = self.github.repository("acme/web").deployments
            return [found[number] for number in sorted(found)]

    def _furnish(self) -> None:
        for number, person in enumerate(["U0ANA", "U0BEN", *CROWD]):
            self.slack.add_person(person, f"person{number}")
        self.slack.add_room("C0OPS", "ops")
        self.github.add_repository("acme/web")
        for branch in ["main", "topic", *(f"topic-{number}" for number in range(20))]:
            self.github.push("acme/web", branch, f"Change {branch}")
        self.github.pending.clear()
        secret = SECRETS["GITHUB_WEBHOOK_SECRET"]
        hook = f"{self._front}/github/webhooks"
        self.github.add_hook("acme/web", hook, secret=secret, events=("deployment", "deployment_status"))


@pytest.fixture
def bot(servers: Servers, database_url: str, tmp_path: Path) -> Iterator[Crowded]:
    bot = Crowded(servers, database_url, tmp_path)
    yield bot
    bot.close()


def at_once(acts: Sequence[Callable[[], T]]) -> list[T]:
    """Does everything in threads that start at the same moment; returns what came of each."""
    barrier = threading.Barrier(len(acts))

    def do(act: Callable[[], T]) -> T:
        barrier.wait(30)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(do, acts))


def test_fifty_people_approve_at_once_twice_and_it_goes_out_once(bot: Crowded) -> None:
    assert bot.slack.command("U0ANA", "C0OPS", "web/topic to production").ok
    bot.until(lambda: len(bot.cards()) == 1)
    [card] = bot.cards()
    clicks = [lambda who=who: bot.slack.click(who, "C0OPS", card, "deploy_approve") for who in [*CROWD, *CROWD]]
    assert {answer.status for answer in at_once(clicks)} == {200}
    bot.until(lambda: len(bot.sent()) > 0)
    bot.rest()

    [deployment] = bot.sent()
    given = bot.rows(sa.select(votes).order_by(votes.c.id))
    people = [vote.user_id for vote in given]
    assert 3 <= len(people) == len(set(people))
    assert set(people) <= set(CROWD)
    approved_by = deployment.payload["shipbot"]["approved_by"]
    assert len(approved_by) >= 3
    assert approved_by == people[: len(approved_by)]
    # Every click either counted or was answered: approved already, or no longer waiting.
    told = [message for who in CROWD for message in bot.slack.ephemerals(who)]
    assert len(told) == 100 - len(people)
    assert not [message.text for message in told if "#1" not in message.text and "J" in message.text]


def test_twenty_people_deploy_to_one_place_at_once_and_go_one_after_another(bot: Crowded) -> None:
    commands = [
        lambda who=who, number=number: bot.slack.command(who, "C0OPS", f"web/topic-{number} to staging")
        for number, who in enumerate(CROWD[:20])
    ]
    assert {answer.status for answer in at_once(commands)} == {200}
    bot.until(lambda: len(bot.cards()) == 20)
    bot.rest()
    waiting = bot.rows(sa.select(deploys).order_by(deploys.c.number))
    assert [row.state for row in waiting] == ["created"] + ["held"] * 19
    assert [row.in_line for row in waiting] == [False] + [True] * 19
    ahead = [
        next(item for item in row.findings if item["gate"] == "queue")["facts"].get("ahead", []) for row in waiting
    ]
    assert [[item[0] for item in each] for each in ahead] == [list(range(1, number)) for number in range(1, 21)]

    for done in range(20):
        bot.until(lambda done=done: len(bot.sent()) == done + 1)
        newest = bot.sent()[-1]
        bot.github.report("acme/web", newest.id, "in_progress")
        bot.github.report("acme/web", newest.id, "success")
    bot.until(lambda: {row.state for row in bot.rows(sa.select(deploys.c.state))} == {"success"})
    bot.rest()
    sent = bot.sent()
    assert [deployment.payload["shipbot"]["number"] for deployment in sent] == list(range(1, 21))
    for before, after in itertools.pairwise(sent):
        [ended] = [status.created_at for status in before.statuses if status.state == "success"]
        assert ended <= after.created_at
    assert len({deployment.sha for deployment in sent}) == 20


def test_a_lock_and_a_deploy_of_the_same_moment_never_both_win(bot: Crowded) -> None:
    places = [f"e{number:02}" for number in range(PAIRS)]
    acts = []
    for number, place in enumerate(places):
        pair = [
            lambda place=place: bot.slack.command("U0BEN", "C0OPS", f"lock web in {place} because demo"),
            lambda place=place: bot.slack.command("U0ANA", "C0OPS", f"web/topic to {place}"),
        ]
        acts += pair if number % 2 else pair[::-1]
    with bot.held_up(places):
        assert {answer.status for answer in at_once(acts)} == {200}
    bot.rest()

    taken = {row.environment: row for row in bot.rows(sa.select(locks))}
    asked = {row.environment: row for row in bot.rows(sa.select(deploys))}
    sent = {deployment.environment for deployment in bot.sent()}
    refusals = " ".join(message.text for message in bot.slack.ephemerals("U0ANA"))
    said = [bot.slack.text_of(message) for message in bot.slack.messages("C0OPS") if message not in posted(bot.slack)]
    assert set(taken) == set(places)
    for number, place in enumerate(places):
        deploy = asked.get(place)
        [told] = [text for text in said if f"locked *web* / *{place}*" in text]
        if place in sent:  # then the deploy came first, and the one who locks is told so
            assert deploy.state == "created"
            assert deploy.cleared_at <= taken[place].at
            assert f"#{deploy.number} was already under way" in told
        elif deploy is not None:  # taken in, and held by the lock: before it was cleared, or right before it was sent
            assert (deploy.state, deploy.deployment_id) == ("held", None)
            assert [item["code"] for item in deploy.findings if item["gate"] == "lock"] == ["held"]
        else:
            assert number % 2 == 0, "where a locked deploy may wait it is taken in"
            assert f"web / {place} is locked" in refusals
