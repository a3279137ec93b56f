"""What a review found: claims that outlive a handler, writes sent twice, and work that would never end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from github import GithubException
from urllib3.exceptions import MaxRetryError, SSLError

from bot.deploys.events import Deployment, Status, StatusReported
from bot.github.asking import READ_AGAIN, app_tokens
from bot.metrics import Metrics
from bot.playground.github_world import INSTALLATION_ID
from bot.store import jobs, listings, records
from bot.store.engine import Store
from bot.store.intake import Intake
from bot.store.jobs import Job, NewJob
from bot.store.schema import jobs as table
from bot.worker import FAILURES, Workers
from tests.front.chat import ask, cards, newest, thread
from tests.simulators.test_github_access import APP, keys
from tests.truth import served_github
from tests.world import START, FixedClock, World

ONLY_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store(database_url)
    yield store
    store.close()


def states(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.execute(sa.select(table.c.state).order_by(table.c.id)).scalars())


# Claims


def test_a_handler_may_take_longer_than_a_lease(store: Store) -> None:
    clock = FixedClock()
    seen: list[int] = []

    def handler(job: Job) -> None:
        seen.append(job.attempts)
        for _ in range(3):  # what the scheduler does meanwhile
            clock.moment += jobs.LEASE - timedelta(seconds=5)
            workers.renew()
            with store.write() as connection:
                assert jobs.release_expired(connection, clock.now()) == 0

    workers = Workers(store, clock, Metrics(), {"card": handler}, lambda job, reference: None)
    with store.write() as connection:
        jobs.add(connection, NewJob("card"), START)
    while workers.step():
        pass
    assert (seen, states(store)) == ([1], ["done"])


def test_a_failure_that_no_database_keeps_is_kept_all_the_same(store: Store) -> None:
    def handler(job: Job) -> None:
        raise ValueError("half a character \ud83d and a NUL \x00")

    clock = FixedClock()
    workers = Workers(store, clock, Metrics(), {"card": handler}, lambda job, reference: None)
    with store.write() as connection:
        jobs.add(connection, NewJob("card"), START)
    for _ in range(FAILURES):
        workers.step()
        clock.moment += timedelta(minutes=1)
    assert states(store) == ["dead"]


def test_what_is_done_is_kept_for_a_while_and_what_died_for_ever(store: Store) -> None:
    with store.write() as connection:
        for delivery in ("a", "b", "c"):
            jobs.add(connection, NewJob("card", delivery=delivery), START)
        for settle in (jobs.finish, lambda *all: jobs.bury(*all, "why")):
            job = jobs.claim(connection, "one", START)
            assert job is not None
            settle(connection, job, START)
        assert jobs.forget(connection, START) == 0
        assert jobs.forget(connection, START + timedelta(seconds=1)) == 1
        assert jobs.forget(connection, START + timedelta(days=99)) == 0
    assert states(store) == ["dead", "ready"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_done_is_not_read_to_count_the_rest(store: Store) -> None:
    asked: list[str] = []
    sa.event.listen(store.engine, "before_cursor_execute", lambda *all: asked.append(all[2]))
    with store.read() as connection:
        assert jobs.counts(connection) == {}
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[-1]}").all()
    assert not [line[3] for line in plan if line[3].startswith("SCAN jobs") and "INDEX" not in line[3]]


# Writes


def test_a_write_is_never_sent_again_when_tls_breaks() -> None:
    with pytest.raises(MaxRetryError):
        READ_AGAIN.increment("POST", "/repos/acme/web/deployments", error=SSLError("EOF in violation of protocol"))


@ONLY_POSTGRESQL
def test_a_final_state_stays_while_three_workers_take_in_a_deployment_of_somebody_else(world: World) -> None:
    """One adopts it, a second waits for that to read what it adopted, and a third brings the end in between."""
    service = world.bot.service
    told = Deployment("acme/web", 7, "main", "a" * 40, "deploy", "staging", {}, "jenkins", START)
    adopted = {
        **{"id": "x", "origin": "github", "app": "web", "repository": "acme/web", "environment": "staging"},
        **{"ref": "main", "sha": "a" * 40, "task": "deploy", "state": "created", "asked_at": START},
        **{"deployment_id": 7},
    }
    third = threading.Thread(target=lambda: service.on_event(StatusReported(told, Status(1, "success", "j", START))))
    waits = threading.Event()

    def between(_connection: object, _cursor: object, statement: str, *_rest: Any) -> None:
        if threading.current_thread() is not second:
            return
        if statement.startswith("INSERT INTO deploys"):
            waits.set()

    def afterwards(_connection: object, _cursor: object, statement: str, *_rest: Any) -> None:
        if threading.current_thread() is second and "WHERE deploys.source =" in statement:
            third.start()
            third.join(1)  # it comes to its end only where nobody holds the deploy

    second = threading.Thread(
        target=lambda: service.on_event(StatusReported(told, Status(2, "in_progress", "j", START)))
    )
    sa.event.listen(world.store.engine, "before_cursor_execute", between)
    sa.event.listen(world.store.engine, "after_cursor_execute", afterwards)
    with world.store.write() as connection:
        records.add_deploy(connection, "github:acme/web:7", adopted)
        second.start()
        assert waits.wait(10)
    second.join(10)
    third.join(10)
    with world.store.read() as connection:
        [deploy] = listings.history(connection, "web", limit=5)
    assert deploy.state == "success"


# Without end


def test_a_comparison_that_github_never_finishes_is_given_up(world: World) -> None:
    world.say("U0ANA", "/deploy web/main")
    world.report("success")
    world.github.fail("GET", "/repos/acme/web/compare/.*", status=502, times=500)
    world.say("U0ANA", "/deploy web/topic")
    assert world.waiting() == ["watch", "change", "watch"]  # timers of both, and what is asked for in vain
    for _ in range(62):
        world.advance(minutes=1)
    assert world.waiting() == []


def test_one_status_that_can_not_be_read_hides_no_past(world: World) -> None:
    number = world.github.create_deployment("acme/web", "topic", environment="staging")
    world.github.report("acme/web", number, "success")
    world.github.pending.clear()
    world.github.fail("GET", f"/repos/acme/web/deployments/{number}/statuses", status=200, body=[{"id": "odd"}])
    with world.store.write() as connection:
        connection.exec_driver_sql("DELETE FROM facts")
    world.bot.service.start()
    world.settle()
    assert world.waiting() == []
    assert "`topic`" in ask(world, "/deploy history web")
    world.github.requests.clear()  # that answer is not GitHub's


def test_a_mention_whose_name_can_not_be_asked_for_is_dropped_in_time(world: World) -> None:
    world.slack.fail("users.info", error="missing_scope", times=500)
    world.say("U0BEN", "@shipbot deploy web/topic")
    for _ in range(17):
        world.advance(minutes=1)
    assert world.waiting() == []
    assert world.github.deployments("acme/web") == []
    assert "I dropped your command. Nothing was deployed" in newest(world)


def test_reading_needs_no_name(world: World) -> None:
    world.slack.fail("users.info", error="missing_scope", times=500)
    assert ask(world, "@shipbot where web", "U0BEN").startswith("*What is live of web*")


def test_a_deploy_that_breaks_us_does_not_hang(world: World) -> None:
    world.expect_dead = True
    world.slack.command("U0ANA", "C0OPS", "api/topic to canary")
    world.bot.workers.step()
    world.github.fail("GET", "/repos/acme/api/branches/topic", status=200, body={"name": "topic"}, times=9)
    for _ in range(FAILURES + 1):
        world.advance(minutes=1)
    [dead] = world.dead()
    assert dead.startswith("create: ")
    assert cards(world)[0].startswith(":warning:")
    assert "broke on my side" in newest(world, world.slack.direct_room("U0ANA"))
    world.github.requests.clear()  # those answers are not GitHub's


def test_a_thread_that_is_closed_kills_no_job(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic")
    world.deliver()
    world.slack.fail("chat.postMessage", error="restricted_action_non_threadable_channel", times=9)
    world.report("in_progress")
    for _ in range(FAILURES):
        world.advance(minutes=1)
    assert (world.dead(), world.waiting(), thread(world)) == ([], ["watch"], [])


def test_an_app_that_was_taken_out_and_put_back_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = FixedClock(datetime.now(UTC))  # PyGithub signs by the real clock
    with served_github(now=now.now, app_id=APP, app_public_key=keys()[1]) as github:
        github.add_repository("acme/web")
        tokens = app_tokens(APP, keys()[0], f"{github.url}/api/v3", now)
        first = tokens.token("acme/web")
        monkeypatch.setattr("bot.playground.github_account.INSTALLATION_ID", INSTALLATION_ID + 1)
        now.moment += timedelta(hours=1)
        with pytest.raises(GithubException):
            tokens.token("acme/web")
        assert tokens.token("acme/web") != first


# Stopping, logs, counters


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_does_not_answer_keeps_nobody_from_stopping(store: Store) -> None:
    intake = Intake(store, FixedClock())
    with store.write():  # nobody else's turn
        stuck = threading.Thread(target=intake.close, args=(0.1,))
        with contextlib.closing(_Loop(intake)):
            stuck.start()
            stuck.join(10)
            assert not stuck.is_alive()


class _Loop:
    """An event loop on which one job is received."""

    def __init__(self, intake: Intake) -> None:
        import asyncio

        async def put() -> None:
            intake.put(NewJob("card", delivery="a"))

        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(put())

    def close(self) -> None:
        self._loop.close()


def test_an_error_of_the_database_shows_no_parameters(store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO gone")
    job = NewJob("slack.command", '{"response_url": "https://hooks.slack.example/secret"}')
    with pytest.raises(sa.exc.SQLAlchemyError) as caught, store.write() as connection:
        jobs.add_received(connection, [job], START)
    assert "hooks.slack" not in str(caught.value)


def test_what_others_call_their_environments_makes_no_counters(world: World) -> None:
    for number in range(3):
        made = world.github.create_deployment("acme/web", "main", environment=f"preview-{number}")
        world.github.report("acme/web", made, "success")
    world.deliver()
    value = world.bot.metrics.registry.get_sample_value
    labels = {"app": "web", "environment": "other", "state": "success"}
    assert value("shipbot_deploys_total", labels) == 3
