"""`python -m bot migrate-to URL`: all of a SQLite database in a PostgreSQL, or nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.deploys.clock import SystemClock
from bot.store import jobs, logs
from bot.store.engine import Store, only_process
from bot.store.jobs import NewJob
from bot.store.migrations import migrate
from bot.store.schema import deploys, facts, metadata
from tests.conftest import _administer, _database
from tests.core.running import Running, launch
from tests.core.test_process import finish_in_turn
from tests.ops.upkeep import Upkeep
from tests.world import START, Servers, World

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]


@pytest.fixture
def empty(postgres_server: str) -> Iterator[str]:
    """The address of a new PostgreSQL database without tables."""
    name = f"moved_{uuid.uuid4().hex[:12]}"
    _administer(postgres_server, f"CREATE DATABASE {name}")
    yield _database(postgres_server, name)
    _administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


def content(url: str) -> dict[str, list[Any]]:
    """Every row of every table, in an order."""
    store = Store(url)
    with store.read() as connection:
        found = {
            table.name: sorted(map(repr, connection.execute(sa.select(table)).all()))
            for table in metadata.sorted_tables
        }
    store.close()
    return found


def test_every_row_arrives_and_the_bot_goes_on(empty: str, make_world: Callable[..., World], upkeep: Upkeep) -> None:
    world = make_world()
    world.say("U0ANA", "/deploy web/topic to production because the fix is *urgent*")
    world.report("in_progress")
    world.say("U0ANA", "/deploy web/main to staging")
    world.say("U0ANA", "/deploy lock api in production because demo")
    world.say("U0ANA", "/deploy freeze web in staging")
    world.say("U0ANA", "/deploy subscribe web on failure")
    with world.store.write() as connection:
        name = logs.create(connection, 1, START)
        logs.append(connection, name, "é😀 a\x00b\n", START)
        connection.execute(sa.insert(facts).values(name="odd", value={"a": [None, True, "\u2028"]}, at=START))
    old = world.settings.database_url
    code, out, err = upkeep(old, "migrate-to", empty)
    assert (code, err) == (0, "")
    assert "deploys: 2\n" in out
    assert "set DATABASE_URL to that and start the bot" in out
    before, after = content(old), content(empty)
    assert before.pop("log_chunks") != (chunks := after.pop("log_chunks"))
    assert "a\ufffdb" in chunks[0], "PostgreSQL keeps no NUL"
    assert before == after
    assert all(before[table] for table in ("jobs", "cards", "timeline", "locks", "freezes", "subscriptions", "places"))

    world.store.close()
    world.store = Store(empty)
    world.restart()
    world.report("success", number=1)
    assert ":large_green_circle: *web* to *production*" in world.room()
    world.say("U0ANA", "/deploy unfreeze web in staging")
    world.say("U0ANA", "/deploy web/topic to staging")
    with world.store.read() as connection:
        assert connection.execute(sa.select(sa.func.max(deploys.c.number))).scalar_one() == 3


def test_numbers_of_what_is_deleted_are_not_given_again(database_url: str, upkeep: Upkeep, empty: str) -> None:
    store = Store(database_url)
    with store.write() as connection:
        for _ in range(7):
            jobs.add(connection, NewJob("card"), START)
        connection.exec_driver_sql("DELETE FROM jobs WHERE id > 2")
    store.close()
    assert upkeep(database_url, "migrate-to", empty)[0] == 0
    store = Store(empty)
    with store.write() as connection:
        jobs.add(connection, NewJob("card"), START)
        assert connection.exec_driver_sql("SELECT max(id) FROM jobs").scalar_one() == 8
    store.close()


def test_what_was_claimed_is_ready_again(database_url: str, upkeep: Upkeep, empty: str) -> None:
    now = SystemClock().now()
    store = Store(database_url)
    with store.write() as connection:
        jobs.add(connection, NewJob("card", subject="card:1"), now)
        assert jobs.claim(connection, "gone", now) is not None
        jobs.add(connection, NewJob("card", subject="card:1"), now)  # and one of the same subject waits
        jobs.add(connection, NewJob("other"), now)
        assert jobs.claim(connection, "gone", now) is not None
    store.close()
    assert upkeep(database_url, "migrate-to", empty)[0] == 0
    store = Store(empty)
    with store.read() as connection:
        query = "SELECT kind, state, claimed_by FROM jobs ORDER BY id"
        assert [tuple(row) for row in connection.exec_driver_sql(query)] == [
            ("card", "done", None),
            ("card", "ready", None),
            ("other", "ready", None),
        ]
    store.close()


def test_a_database_with_rows_is_refused(database_url: str, upkeep: Upkeep, empty: str) -> None:
    store = Store(empty)
    migrate(store)
    with store.write() as connection:
        jobs.add(connection, NewJob("card"), START)
    before = content(empty)
    assert upkeep(database_url, "migrate-to", empty) == (
        1,
        "",
        "it holds rows already (in jobs): name an empty database\n",
    )
    assert content(empty) == before
    store.close()


def test_nothing_is_kept_of_what_did_not_fit(database_url: str, upkeep: Upkeep, empty: str) -> None:
    store = Store(database_url)
    with store.write() as connection:
        jobs.add(connection, NewJob("card"), START)
        jobs.add(connection, NewJob("k" * 70), START)
    code, out, err = upkeep(database_url, "migrate-to", empty)
    assert (code, out) == (1, "")
    assert err.startswith("a row of jobs does not fit, and nothing was kept: value too long")
    assert not any(content(empty).values())
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET kind = 'card'")
    store.close()
    assert upkeep(database_url, "migrate-to", empty)[0] == 0, "and then it can be done again"


def test_a_file_that_a_bot_runs_on_is_refused(database_url: str, upkeep: Upkeep, empty: str) -> None:
    release = only_process(database_url)
    try:
        code, out, err = upkeep(database_url, "migrate-to", empty)
    finally:
        release()
    assert (code, out) == (2, "")
    assert "is in use by process" in err
    assert "a SQLite file serves one process at a time" in err


def test_addresses_that_are_none(database_url: str, upkeep: Upkeep, empty: str) -> None:
    assert (
        upkeep(database_url, "migrate-to", database_url)[2] == "the address to move to must start with postgresql://\n"
    )
    assert "and this moves a SQLite file" in upkeep(empty, "migrate-to", empty)[2]
    for url in ("postgresql://ship:pa55word@127.0.0.1:1/ship", "postgresql://ship:pa55/word@x:y:z/ship"):
        code, out, err = upkeep(database_url, "migrate-to", url)
        assert (code, out) == (2, "")
        assert "pa55" not in err
        assert "Traceback" not in err


def test_as_processes(servers: Servers, database_url: str, tmp_path: Path, empty: str) -> None:
    bot = Running(servers, database_url, tmp_path)
    bot.start()
    try:
        assert bot.slack.command("U0ANA", "C0OPS", "web/topic to production/fe1").ok
        assert bot.slack.command("U0ANA", "C0OPS", "web/topic to production/fe2").ok
        bot.until(lambda: bot.room().count("*web* to *production*") == 2)
        log = tmp_path / "moved"
        assert launch({"DATABASE_URL": database_url}, tmp_path, log, "migrate-to", empty).wait(60) == 2
        assert "is in use by process" in log.read_text()
        assert bot.stop() == 0
        assert launch({"DATABASE_URL": database_url}, tmp_path, log, "migrate-to", empty).wait(60) == 0
        bot.environment["DATABASE_URL"] = empty
        bot.start()
        finish_in_turn(bot, 2)
        assert bot.stop() == 0
    finally:
        bot.kill()
