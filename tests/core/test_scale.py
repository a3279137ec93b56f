"""What is asked again and again costs the same however much is stored.

SQLite says which index each statement uses, and counts the steps that it takes: with ten times as much in the database
there must be no more of them. PostgreSQL says how many rows it looked at.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.deploys import states
from bot.deploys.model import HUMAN, Deploy
from bot.store import gates, jobs, listings, paces, protections, records, retention, rooms, sends
from bot.store.engine import Store
from bot.store.schema import locks, metadata
from tests.bench.filling import PULL_REQUESTS as TIMERS
from tests.bench.filling import fill, ref_of, sha_of
from tests.world import START

pytestmark = pytest.mark.slow

SMALL, LARGE = 500, 5_000
PLACES = [("web", "production"), ("web", "staging"), ("api", "production"), ("web", "nowhere")]
SHA = sha_of(205)
DEPLOY = Deploy(
    number=300,
    id="",
    origin=HUMAN,
    app="web",
    repository="acme/web",
    environment="production",
    ref="main",
    sha=SHA,
    task="deploy",
    state=states.SUCCESS,
    asked_at=START,
)
REVIEW = {"repository": "acme/web", "run": 7, "attempt": 1, "environment": "production"}
JOB = jobs.Job(1, "github.push", "{}", 1, START)

Asked = Callable[[sa.Connection], object]


def let_go(connection: sa.Connection) -> None:
    """A little of what ended long ago."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "LOOK", 20)
        over = retention.Pruner().next(connection, START)
    assert over.deploys
    assert over.rows[locks]
    retention.prune(connection, over)


HOT: dict[str, Asked] = {
    "a page of history": lambda c: listings.history(c, "web", limit=11),
    "the next page": lambda c: listings.history(c, "web", before=300, limit=11),
    "of an environment": lambda c: listings.history(c, "web", environment="production", limit=11),
    "of an environment that nothing goes to": lambda c: listings.history(c, "web", environment="nowhere", limit=11),
    "of a branch": lambda c: listings.history(c, "web", ref=ref_of(205), limit=11),
    "of the branch that most are of": lambda c: listings.history(c, "web", ref="main", limit=11),
    "of a branch that never was": lambda c: listings.history(c, "web", ref="nothing", limit=11),
    "of a branch in an environment": lambda c: listings.history(c, "web", environment="qa", ref="main", limit=11),
    "of a branch where it never went": lambda c: listings.history(c, "web", environment="pr-2", ref="main", limit=11),
    "of a commit": lambda c: listings.history(c, "web", ref=SHA[:7], limit=11),
    "of a commit in an environment": lambda c: listings.history(c, "web", environment="qa", ref=SHA, limit=11),
    "what is live": lambda c: records.live(c, "web", "production"),
    "what is live of all of it": lambda c: records.live(c, "web", "production", whole=True),
    "nothing is live": lambda c: records.live(c, "web", "nowhere"),
    "what succeeded": lambda c: records.successes(c, "web", "production", limit=2),
    "how many places stand": lambda c: listings.standings(c, PLACES, since=START - timedelta(hours=1), recent=3),
    "by numbers": lambda c: records.deploys_by_number(c, [300, 301]),
    "by number": lambda c: records.deploy(c, 300),
    "by source": lambda c: records.deploy_by_source(c, "slack:300"),
    "by our id": lambda c: records.deploy_by_id(c, "00000000-0000-0000-0000-000000000300"),
    "by GitHub's id": lambda c: records.deploy_by_deployment(c, "acme/web", 1_000_300),
    "its timeline": lambda c: records.steps(c, 300, after=3),
    "its card": lambda c: records.card(c, DEPLOY, "C0OPS"),
    "its cards": lambda c: records.card_rooms(c, DEPLOY),
    "a step of its timeline": lambda c: records.add_step(c, 300, "status", "1", START),
    "what changes of it": lambda c: records.update_deploy(c, 300, description="Rolling out"),
    "what GitHub was told of it": lambda c: protections.protection(c, 300),
    "a review": lambda c: protections.add_review(c, "web", REVIEW, START, asked={"state": "requested"}),
    "the rooms of a review": lambda c: protections.post_rooms(c, 300),
    "whether a room is closed": lambda c: rooms.is_closed(c, "C0OPS"),
    "a message that is being posted": lambda c: sends.get(c, "shipbot_deploy 300 C0OPS"),
    "a limit of Slack's": lambda c: paces.claim(c, [paces.Limit("chat.update", 50)], START, first=True),
    "votes": lambda c: gates.votes_on(c, list(range(300, 310))),
    "the one under way": lambda c: gates.running(c, "web", "production"),
    "all that wait": lambda c: gates.held(c),
    "those that wait in a place": lambda c: gates.held(c, places=PLACES[:1], in_line=True),
    "those that wait in places": lambda c: gates.held(c, places=PLACES),
    "those that wait for a commit": lambda c: gates.held(c, repository="acme/web", sha=SHA),
    "a twin": lambda c: gates.twin(c, "web", "production", sha=SHA, task="deploy", hosts="", forced=False),
    "what rules asked for of a branch": lambda c: records.by_rule(c, "web", "production", ref="main", limit=20),
    "whether a commit was asked for": lambda c: records.asked(c, "web", "production", "main", SHA, since=300),
    "what was given up of a commit": lambda c: records.expired(c, "acme/web", SHA, cause="green"),
    "locks": lambda c: gates.all_locks(c, START),
    "a lock": lambda c: gates.lock_on(c, "web", "production", START),
    "freezes": lambda c: gates.all_freezes(c, START),
    "whether a job is due": lambda c: jobs.any_due(c, START),
    "the next job": lambda c: jobs.claim(c, "worker", START),
    "a job is done": lambda c: jobs.finish(c, JOB, START),
    "a job is put off": lambda c: jobs.put_off(c, JOB, START, "not yet"),
    "a job of a subject": lambda c: jobs.add(c, jobs.new_job("watch", {}, subject="watch:7"), START),
    "received": lambda c: jobs.add_received(c, [jobs.NewJob("github.push", delivery="event:7")], START),
    "jobs by kind": lambda c: jobs.counts(c),
    "jobs whose worker went away": lambda c: jobs.release_expired(c, START),
    "jobs to be forgotten": lambda c: jobs.forget(c, START + timedelta(days=3), limit=10),
    "what ended long ago": let_go,
    "a fact": lambda c: records.fact_at(c, "refs:acme/web"),
    "facts to be forgotten": lambda c: records.forget(c, "form:", START - timedelta(days=1)),
}

# What may be read from one end to the other, since it holds only what is not over yet.
BOUNDED = (
    "ix_deploys_held ix_deploys_held_sha ix_locks_holding ix_freezes_holding"
    " ix_jobs_due ix_jobs_lease ix_jobs_dead uq_jobs_ready uq_jobs_running"
).split()


@pytest.fixture(scope="module")
def sqlite_files(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A small database and a large one."""
    folder = tmp_path_factory.mktemp("scale")
    paths = []
    for size in (SMALL, LARGE):
        paths.append(folder / f"{size}.db")
        shutil.copy(migrated_sqlite, paths[-1])
        store = Store(f"sqlite:///{paths[-1]}")
        fill(store, START, size=size, events=size)
        store.close()
    return paths


@pytest.mark.parametrize("asked", HOT.values(), ids=HOT)
def test_ten_times_as_much_in_sqlite_takes_as_many_steps(sqlite_files: list[Path], asked: Asked) -> None:
    small, large = (steps(path, asked) for path in sqlite_files)
    assert large <= 1.2 * small + 200


@pytest.mark.parametrize("asked", HOT.values(), ids=HOT)
def test_sqlite_reads_no_growing_table_from_end_to_end(sqlite_files: list[Path], asked: Asked) -> None:
    with playing(f"sqlite:///{sqlite_files[0]}") as (store, connection):
        plans = explained(store, connection, asked, "EXPLAIN QUERY PLAN")
    for detail in (row[3] for plan in plans for row in plan):
        words = detail.split()
        if words[0] == "SCAN" and words[1] in metadata.tables:
            assert words[-1] in BOUNDED, detail


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_looks_at_no_more_rows_than_it_needs(database_url: str) -> None:
    store = Store(database_url)
    fill(store, START, size=LARGE, events=LARGE)
    store.close()
    rows = {}
    for name, asked in HOT.items():
        with playing(database_url) as (store, connection):
            plans = explained(store, connection, asked, "EXPLAIN (ANALYZE, FORMAT JSON)")
        rows[name] = sum(looked_at(plan[0][0][0]["Plan"]) for plan in plans)
    assert rows.pop("jobs by kind") <= 1.1 * TIMERS
    assert {name: number for name, number in rows.items() if number > 300} == {}


@contextmanager
def playing(url: str) -> Iterator[tuple[Store, sa.Connection]]:
    """A transaction that is undone."""
    store = Store(url)
    with store.engine.connect() as connection:
        yield store, connection
        connection.rollback()
    store.close()


def steps(path: Path, asked: Asked) -> int:
    """How many steps of its machine SQLite takes for it, in tens."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    with playing(f"sqlite:///{path}") as (_, connection):
        asked(connection)  # what a connection looks up once
        connection.rollback()
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_progress_handler(step, 10)
        asked(connection)
        raw.set_progress_handler(None, 10)
    return taken


def explained(store: Store, connection: sa.Connection, asked: Asked, explain: str) -> list[list[Any]]:
    """The plan of each statement that it makes."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            seen.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", note)
    asked(connection)
    sa.event.remove(store.engine, "before_cursor_execute", note)
    assert seen
    return [list(connection.exec_driver_sql(f"{explain} {statement}", parameters)) for statement, parameters in seen]


def looked_at(node: dict[str, Any]) -> float:
    """How many rows were read below a node of PostgreSQL's plan, those that it threw away among them."""
    below = sum(looked_at(child) for child in node.get("Plans", ()))
    if "Scan" not in node["Node Type"] or "Relation Name" not in node:
        return below
    thrown_away = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return below + node["Actual Loops"] * (node["Actual Rows"] + thrown_away)
