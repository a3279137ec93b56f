"""The database: its shape and how it got there, what it promises, and the records in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from msgspec.structs import replace

from bot.deploys.model import Change, Deploy, Listed, Problem
from bot.store import jobs, listings, migrations, records
from bot.store.engine import Store, StoreError, only_process, shown
from bot.store.migrations import HEAD, current, migrate, migrate_apart
from bot.store.schema import deploys, metadata, sends, timeline
from tests.world import START

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store(database_url)
    yield store
    store.close()


@pytest.fixture
def empty(store: Store) -> Store:
    """A database in which nothing was ever done."""
    with store.write() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")
    return store


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


# Migrations


def test_an_empty_database_is_brought_up_and_a_second_time_changes_nothing(empty: Store) -> None:
    assert current(empty) is None
    migrate(empty)
    assert current(empty) == HEAD
    migrate(empty)
    assert current(empty) == HEAD


@pytest.mark.filterwarnings("ignore:.*expression-based index")  # the next test looks at those
def test_the_tables_are_what_the_migrations_make(empty: Store) -> None:
    migrate(empty)
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_indexes_are_what_the_migrations_make(empty: Store) -> None:
    """Alembic compares neither the conditions of indexes nor their expressions."""
    migrate(empty)
    migrated = _indexes(empty)
    with empty.write() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert _indexes(empty) == migrated
    assert sum(" WHERE " in definition for definition in migrated.values()) > 10  # they are seen at all
    assert any("substr(" in definition for definition in migrated.values())


def test_head_is_the_newest_file() -> None:
    versions = sorted(path.name for path in Path(migrations.__file__).parent.glob("versions/[0-9]*.py"))
    assert versions[-1].split("_")[0] == HEAD
    assert [name.split("_")[0] for name in versions] == [f"{number:04}" for number in range(1, len(versions) + 1)]


def test_messages_that_were_being_posted_are_looked_for_after_an_upgrade(empty: Store) -> None:
    from alembic import command
    from alembic.config import Config

    with empty.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(migrations.HERE))
        config.attributes["connection"] = connection
        command.upgrade(config, "0013")
        texts = (
            "source origin ref sha task hosts reason subject user_id user_name message_id thread_id description log_url"
        )
        row = dict.fromkeys([*texts.split(), "environment_url"], "") | {
            "number": 1,
            "id": "our-id",
            "app": "web",
            "repository": "acme/web",
            "environment": "production",
            "room": "C0OPS",
            "state": "asked",
            "forced": False,
            "auto_merge": False,
            "asked_at": datetime(2026, 3, 2, 9, tzinfo=UTC),
            "last_status_id": 0,
        }
        connection.execute(sa.insert(deploys).values(row))
        for room, ts, tries in (("C0OPS", "", 1), ("C0REL", "", 0), ("C0RAN", "1.2", 1)):
            card = f"INSERT INTO cards VALUES (1, '{room}', '{ts}', '{room}', '', 0, {tries}, NULL, '')"
            connection.exec_driver_sql(card)
        review = (
            "INSERT INTO reviews (id, app, repository, run, attempt, environment, at)"
            " VALUES (7, 'web', 'acme/web', 1, 1, 'production', '2026-03-02 09:00:00')"
        )
        connection.exec_driver_sql(review)
        connection.exec_driver_sql("INSERT INTO review_posts VALUES (7, 'C0OPS', '', 'C0OPS', 2)")
    migrate(empty)
    with empty.read() as connection:
        found = connection.execute(sa.select(sends.c.key, sends.c.at, sends.c.ts).order_by(sends.c.key)).all()
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert [tuple(row) for row in found] == [
        ("shipbot_deploy our-id C0OPS", at, ""),
        ("shipbot_review 7 C0OPS", at, ""),
    ]


def test_a_newer_database_is_left_alone(store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer Shipbot"):
        migrate(store)
    assert current(store) == "9999"


def test_what_changes_tables_is_not_kept_in_memory(empty: Store, database_url: str) -> None:
    code = (
        "import sys; from bot.store.engine import Store; from bot.store.migrations import migrate_apart;"
        "store = Store(sys.argv[1]); migrate_apart(store, sys.argv[1]); print('alembic' in sys.modules)"
    )
    process = python(code, database_url)
    assert (process.communicate(timeout=60)[0], process.returncode) == ("False\n", 0)
    assert current(empty) == HEAD


def test_what_is_wrong_is_the_same_from_another_process(store: Store, database_url: str) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError) as here:
        migrate(store)
    with pytest.raises(StoreError) as apart:
        migrate_apart(store, database_url)
    assert str(apart.value) == str(here.value)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_processes_may_start_at_once(empty: Store, database_url: str) -> None:
    code = (
        "import sys; from bot.store.engine import Store; from bot.store.migrations import migrate;"
        "store = Store(sys.argv[1]); print('here', flush=True); input(); migrate(store); print('done')"
    )
    both = [python(code, database_url) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[0] for process in both] == ["done\n", "done\n"]
    assert [process.returncode for process in both] == [0, 0]
    assert current(empty) == HEAD


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/place.db", "postgresql://nobody@127.0.0.1:1/nothing"):
        store = Store(url)
        assert not store.ready()
        with pytest.raises(StoreError, match="can't be brought up to date"):
            migrate(store)
        with pytest.raises(StoreError, match="can't be brought up to date"):
            migrate_apart(store, url)
        store.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://u:hunter2@db/x", "postgresql://u:***@db/x"),
        ("postgresql:///x?host=db&password=hunter2", "postgresql:///x?host=db&password=%2A%2A%2A"),
        ("sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, told: str) -> None:
    assert shown(url) == told
    assert shown(Store(url).engine.url) == told


# SQLite


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_sqlite_promises(store: Store) -> None:
    for transaction in (store.read, store.write):
        with transaction() as connection:
            answers = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
        assert answers == ["wal", 2, 1]
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        records.add_card(connection, replace(make(connection, "slack:1"), number=99), "C0OPS")


def test_what_does_not_last_waits_for_no_disk_and_changes_nothing_for_the_next(store: Store) -> None:
    asked = "PRAGMA synchronous" if store.sqlite else "SHOW synchronous_commit"
    told = {}
    for name, lasting in (("before", True), ("passing", False), ("after", True)):
        with store.write(lasting=lasting) as connection:
            told[name] = connection.exec_driver_sql(asked).scalar_one()
    assert told["passing"] == (1 if store.sqlite else "off")
    assert told["before"] == told["after"]
    if store.sqlite:
        assert told["after"] == 2


def test_a_reader_sees_one_state_while_another_writes(store: Store) -> None:
    with store.read() as reader:
        assert records.fact(reader, "a") is None
        with store.write() as writer:
            records.remember(writer, "a", 1, START)
        assert records.fact(reader, "a") is None
    with store.read() as reader:
        assert records.fact(reader, "a") == 1


def test_what_is_raised_undoes_everything(store: Store) -> None:
    rings = store.bell.rings
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        _ = jobs.add(connection, jobs.NewJob("card"), START), 1 / 0
    with store.read() as connection:
        assert jobs.counts(connection) == {}
    assert store.bell.rings == rings


def test_the_bell_rings_after_the_commit(store: Store) -> None:
    rings = store.bell.rings
    with store.write() as connection:
        jobs.add(connection, jobs.NewJob("card"), START)
        assert store.bell.rings == rings
    assert store.bell.rings == rings + 1
    with store.write() as connection:
        records.remember(connection, "a", 1, START)
    assert store.bell.rings == rings + 1


def test_a_second_process_is_kept_away_from_a_sqlite_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shipbot.db"
    holder = python(
        "import sys; from bot.store.engine import only_process;"
        "release = only_process(sys.argv[1]); print('mine', flush=True); input()",
        url,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "mine\n"
    with pytest.raises(StoreError, match=rf"in use by process {holder.pid}: .*one process at a time"):
        only_process(url)
    holder.kill()
    holder.communicate()
    release = only_process(url)  # the file of the one that died is no obstacle
    release()
    only_process("postgresql://anywhere/x")()
    with pytest.raises(StoreError, match="can't write beside the database"):
        only_process(f"sqlite:///{tmp_path}/no/such/place.db")


# Records


def test_moments_are_utc_and_aware(store: Store) -> None:
    berlin = timezone(timedelta(hours=1))
    moment = datetime(2026, 3, 2, 10, 0, 0, 123456, tzinfo=berlin)
    with store.write() as connection:
        records.remember(connection, "a", {"x": [1, None]}, moment)
        [(value, at)] = records.facts_like(connection, "a").values()
    assert value == {"x": [1, None]}
    assert at == moment
    assert at.tzinfo is UTC


def make(connection: sa.Connection, source: str, **values: Any) -> Deploy:
    base: dict[str, Any] = {
        "id": f"id-{source}",
        "origin": "slack",
        "app": "web",
        "repository": "acme/web",
        "environment": "production",
        "ref": "main",
        "sha": "a" * 40,
        "task": "deploy",
        "state": "asked",
        "asked_at": START,
    }
    deploy = records.add_deploy(connection, source, base | values)
    assert deploy is not None
    return deploy


def test_a_deploy_is_made_once_for_its_source(store: Store) -> None:
    with store.write() as connection:
        first = make(connection, "slack:1")
        assert first.number == 1
        assert records.deploy_by_source(connection, "slack:1") == first
        again = {"id": "other", "app": "web"}
        columns = {"origin": "", "repository": "", "environment": "", "ref": "", "sha": "", "task": "", "state": ""}
        assert records.add_deploy(connection, "slack:1", columns | again | {"asked_at": START}) is None
        assert make(connection, "slack:2").number > first.number


def test_what_is_stored_comes_back(store: Store) -> None:
    problem = Problem("ChecksFailed", {"contexts": [["ci", "failure"]], "message": "no"})
    change = Change("b" * 40, 3, "https://x", ("One", "Two"), behind=1, live_since=START)
    with store.write() as connection:
        number = make(connection, "slack:1", forced=True, hosts="a,b").number
        records.update_deploy(connection, number, problem=problem, change=change, deployment_id=2**40)
        found = records.deploy(connection, number, lock=True)
        assert found is not None
        assert (found.problem, found.change, found.deployment_id, found.forced) == (problem, change, 2**40, True)
        assert records.deploy_by_deployment(connection, "acme/web", 2**40) == found
        assert records.deploy_by_deployment(connection, "acme/api", 2**40) is None
        assert records.deploy_by_id(connection, "id-slack:1") == found
        records.update_deploy(connection, number, problem=None, change=None)
        found = records.deploy(connection, number)
        assert found is not None
        assert (found.problem, found.change) == (None, None)


def test_a_step_is_written_once(store: Store) -> None:
    with store.write() as connection:
        number = make(connection, "slack:1").number
        assert records.add_step(connection, number, "status", "7", START, state="queued")
        assert not records.add_step(connection, number, "status", "7", START, state="success")
        assert records.add_step(connection, number, "problem", "7", START)
        assert [step.state for step in records.steps(connection, number)] == ["queued", ""]
        first = records.steps(connection, number)[0]
        assert [step.kind for step in records.steps(connection, number, after=first.id)] == ["problem"]
        assert connection.execute(sa.select(sa.func.count()).select_from(timeline)).scalar() == 2


def test_a_card_is_made_once_in_each_room(store: Store) -> None:
    with store.write() as connection:
        deploy = make(connection, "slack:1")
        assert records.add_card(connection, deploy, "C0OPS")
        assert not records.add_card(connection, deploy, "C0OPS", told=5)
        assert records.add_card(connection, deploy, "C0REL")
        assert sorted(records.card_rooms(connection, deploy)) == ["C0OPS", "C0REL"]
        records.update_card(connection, deploy, "C0OPS", ts="1.2")
        row, other = records.card(connection, deploy, "C0OPS"), records.card(connection, deploy, "C0REL")
        assert row is not None
        assert other is not None
        assert (row.ts, row.told, other.ts) == ("1.2", 0, "")
        assert records.card(connection, deploy, "C0RAN") is None


def test_the_deploys_of_a_preview_share_a_card_in_each_room(store: Store) -> None:
    with store.write() as connection:
        one, other = (replace(make(connection, f"slack:{number}"), preview=7) for number in (1, 2))
        alone = make(connection, "slack:3")
        assert not records.hand_over_cards(connection, 7, one.number)
        for deploy in (one, alone):
            assert records.add_card(connection, deploy, "C0OPS")
        records.update_card(connection, one, "C0OPS", ts="1.2", told=5)
        assert not records.add_card(connection, other, "C0OPS")
        assert records.hand_over_cards(connection, 7, other.number)
        for deploy in (one, other):
            # Who was at work for the older one when the card was handed over still has its answer to store.
            records.update_card(connection, deploy, "C0OPS", detour=str(deploy.number))
            row = records.card(connection, other, "C0OPS")
            assert row is not None
            assert (row.deploy, row.ts, row.told, row.detour) == (other.number, "1.2", 5, str(deploy.number))
            assert records.card_rooms(connection, deploy) == ["C0OPS"]
        kept = records.card(connection, alone, "C0OPS")
        assert kept is not None
        assert (kept.deploy, kept.ts) == (alone.number, "")


def test_live_is_the_newest_success_that_is_not_inactive(store: Store) -> None:
    with store.write() as connection:
        assert records.live(connection, "web", "production") is None
        old = make(connection, "1", state="success", finished_at=START)
        new = make(connection, "2", state="success", finished_at=START + timedelta(hours=1))
        make(connection, "3", state="failure", finished_at=START + timedelta(hours=2))
        make(connection, "4", state="success", finished_at=START + timedelta(hours=3), environment="staging")
        make(connection, "5", state="success", finished_at=START + timedelta(hours=3), app="api")
        assert records.live(connection, "web", "production") == new
        records.update_deploy(connection, new.number, inactive_at=START + timedelta(hours=4))
        assert records.live(connection, "web", "production") == old


def test_history_by_ref_environment_and_page(store: Store) -> None:
    with store.write() as connection:
        for number in range(1, 7):
            place = "staging" if number % 2 else "production"
            ref = "topic_1" if number < 4 else "abcdef0"
            sha = f"{number}abcdef".ljust(40, "0")
            make(connection, str(number), environment=place, ref=ref, sha=sha)
        make(connection, "api", app="api")

        def found(**options: Any) -> list[int]:
            return [deploy.number for deploy in listings.history(connection, "web", **{"limit": 10, **options})]

        assert found() == [6, 5, 4, 3, 2, 1]
        assert found(limit=2) == [6, 5]
        assert found(limit=2, before=5) == [4, 3]
        assert found(environment="staging") == [5, 3, 1]
        assert found(ref="topic_1") == [3, 2, 1]
        assert found(ref="topicx1") == []
        assert found(ref="4ABCDEF") == [4]
        assert found(ref="4abcde") == []  # six characters are a name
        assert found(ref="abcdef0", environment="production") == [6, 4]
        assert found(ref="%") == []


def test_under_way_is_what_was_asked_for_lately_and_is_not_over(store: Store) -> None:
    with store.write() as connection:
        make(connection, "1", asked_at=START - timedelta(days=3))
        make(connection, "2")
        make(connection, "3", finished_at=START)
        make(connection, "4")
        since = START - timedelta(days=1)
        found = listings.standings(connection, [("web", "production")], since=since)["web", "production"]
        assert [deploy.number for deploy in found.under_way] == [2, 4]


def test_how_things_stand_in_many_places(store: Store) -> None:
    live, dead = {"state": "success"}, {"state": "failure"}
    with store.write() as connection:
        make(connection, "1", **live, finished_at=START)
        make(connection, "2", **live, finished_at=START + timedelta(hours=2))  # the newest to end, though not by number
        make(connection, "3", **live, finished_at=START + timedelta(hours=1))
        make(connection, "4", **live, finished_at=START + timedelta(hours=3), inactive_at=START + timedelta(hours=4))
        make(connection, "5", **dead, finished_at=START + timedelta(hours=5))
        make(connection, "6")
        make(connection, "7", environment="staging", **dead, finished_at=START)
        places = [("web", "staging"), ("web", "production"), ("web", "nowhere")]
        since = START - timedelta(days=1)
        found = listings.standings(connection, places, since=since, recent=3)

        def numbers(of: Iterable[Listed]) -> list[int]:
            return [deploy.number for deploy in of]

        assert list(found) == places
        production = found["web", "production"]
        assert numbers([production.live] if production.live else []) == [2]
        assert (numbers(production.under_way), numbers(production.recent)) == ([6], [5, 4])
        assert found["web", "staging"].live is None
        assert numbers(found["web", "staging"].recent) == [7]
        assert found["web", "nowhere"] == listings.Standing(None, [], [])

        bare = listings.standings(connection, places, since=since, live=False)["web", "production"]
        assert (bare.live, numbers(bare.under_way), bare.recent) == (None, [6], [])


def test_what_is_under_way_in_one_place_has_an_end(store: Store) -> None:
    with store.write() as connection:
        for number in range(listings.UNDER_WAY + 5):
            make(connection, str(number), asked_at=START + timedelta(minutes=number))
        found = listings.standings(connection, [("web", "production")], since=START - timedelta(days=1))
        started = found["web", "production"].under_way
        assert [deploy.number for deploy in started] == list(range(1, listings.UNDER_WAY + 1))


def test_facts_start_with_what_is_asked_for(store: Store) -> None:
    with store.write() as connection:
        for name in ("past:a", "past_b", "pastx", "ping:a"):
            records.remember(connection, name, name, START)
        records.remember(connection, "ping:a", None, START + timedelta(hours=1))
        assert set(records.facts_like(connection, "past_")) == {"past_b"}
        assert records.facts_like(connection, "ping:") == {"ping:a": (None, START + timedelta(hours=1))}


def _indexes(store: Store) -> dict[str, str]:
    """What indexes are made of, by name; those alone that are no constraint's."""
    query = (
        "SELECT name, sql AS definition FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if store.sqlite
        else "SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE schemaname = 'public'"
    )
    with store.read() as connection:
        return {row.name: row.definition for row in connection.exec_driver_sql(query)}
