"""What replicas on one PostgreSQL tell one another."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa

from bot.store import jobs
from bot.store.engine import Store
from bot.store.jobs import NewJob
from bot.store.wire import CHANNEL, LONGEST_WORD, Wire
from tests.world import START

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

PATIENCE = 20.0  # seconds


class Replica:
    """A store, its wire, and what it heard."""

    def __init__(self, database_url: str) -> None:
        self.store = Store(database_url)
        self.words: queue.Queue[str] = queue.Queue()
        self.wire = Wire(self.store, self.words.put)
        self.wire.start()
        self.store.bell.wait(0, PATIENCE)  # it rings once it hears
        assert self.store.bell.rings == 1

    def add(self, number: int = 1) -> None:
        for _ in range(number):
            with self.store.write() as connection:
                jobs.add(connection, NewJob("card"), START)

    def rung(self, seen: int) -> bool:
        self.store.bell.wait(seen, PATIENCE)
        return self.store.bell.rings > seen

    def close(self) -> None:
        self.wire.stop(PATIENCE)
        self.store.close()


@pytest.fixture
def replica(database_url: str) -> Iterator[Callable[[], Replica]]:
    made: list[Replica] = []

    def make() -> Replica:
        made.append(Replica(database_url))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_work_added_in_one_wakes_the_others_at_once(replica: Callable[[], Replica]) -> None:
    one, two, three = replica(), replica(), replica()
    one.add()
    assert two.rung(1)
    assert three.rung(1)
    one.store.tell("the last of it")  # told after the rest, and so heard after it
    assert two.words.get(timeout=PATIENCE) == "the last of it"
    assert one.store.bell.rings == 2, "what it told itself rings its own bell no second time"


def test_words_are_for_the_others(replica: Callable[[], Replica]) -> None:
    one, two = replica(), replica()
    two.store.tell("x" * (LONGEST_WORD + 1))  # whoever waits for that will look by itself
    two.store.tell("from two")
    assert one.words.get(timeout=PATIENCE) == "from two"
    one.store.tell("from one")
    assert two.words.get(timeout=PATIENCE) == "from one"
    assert one.words.empty()
    assert two.words.empty()


def test_what_changed_nothing_or_was_undone_is_not_told(replica: Callable[[], Replica]) -> None:
    one, two = replica(), replica()
    with one.store.write() as connection:
        connection.exec_driver_sql("SELECT 1")
    with contextlib.suppress(ZeroDivisionError), one.store.write() as connection:
        jobs.add(connection, NewJob("card"), START)
        raise ZeroDivisionError
    one.store.tell("the last of it")
    assert two.words.get(timeout=PATIENCE) == "the last of it"
    assert two.store.bell.rings == 1


def test_a_storm_is_told_in_a_few_words(replica: Callable[[], Replica], database_url: str) -> None:
    one = replica()
    plain = sa.make_url(database_url).render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        begun = time.monotonic()
        one.add(300)
        took = time.monotonic() - begun
        one.store.tell("the last of it")
        heard = []
        for notice in listener.notifies(timeout=PATIENCE):
            heard.append(notice.payload)
            if notice.payload:
                break
    assert 1 <= len(heard) - 1 <= took / 0.01 + 2


def test_it_comes_back_when_the_database_does(replica: Callable[[], Replica], database_url: str) -> None:
    one, two = replica(), replica()
    name = sa.make_url(database_url).database
    with one.store.engine.connect() as connection:
        listening = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'LISTEN%%'"
        )
        assert len(connection.exec_driver_sql(listening, (name,)).all()) == 2
    assert one.rung(1)  # once for what was told meanwhile
    assert two.rung(1)
    one.add()
    assert two.rung(2)
    two.store.tell("still there")
    assert one.words.get(timeout=PATIENCE) == "still there"


def test_it_stops_at_once_and_tells_what_is_left(replica: Callable[[], Replica]) -> None:
    one, two = replica(), replica()
    one.add()
    one.store.tell("put back")
    begun = time.monotonic()
    one.wire.stop(PATIENCE)
    assert time.monotonic() - begun < 1
    assert two.rung(1)
    assert two.words.get(timeout=PATIENCE) == "put back"
    one.add()  # there is no harm in what comes later
    assert one.store.bell.rings >= 3


def test_it_stops_while_the_database_is_away(replica: Callable[[], Replica], database_url: str) -> None:
    one = replica()
    name = sa.make_url(database_url).database
    server = sa.make_url(database_url).set(drivername="postgresql+psycopg", database="postgres")
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            connection.exec_driver_sql(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            )
            begun = time.monotonic()
            one.wire.stop(PATIENCE)
            assert time.monotonic() - begun < 1
        finally:
            connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    engine.dispose()
