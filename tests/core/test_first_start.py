"""The first start of the process: on an empty database, and on one that is not there yet."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from bot.store.awaiting import await_server
from bot.store.engine import Store, shown
from bot.store.migrations import HEAD, current
from bot.store.schema import metadata
from tests.core.running import PATIENCE, Running, launch, started_with
from tests.world import Servers

pytestmark = pytest.mark.slow

STOPPED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def bot(servers: Servers, database_url: str, tmp_path: Path) -> Iterator[Running]:
    """One that was not started yet."""
    running = Running(servers, database_url, tmp_path)
    running.log.touch()
    yield running
    running.kill()


@pytest.fixture
def empty(database_url: str) -> Iterator[Store]:
    """The database, in which nothing was ever done."""
    store = Store(database_url)
    with store.write() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")
    yield store
    store.close()


def test_the_first_start(bot: Running, empty: Store) -> None:
    bot.start()
    assert current(empty) == HEAD
    assert bot.slack.command("U0ANA", "C0OPS", "web/topic to production").ok
    bot.until(lambda: "*web* to *production*" in bot.room())
    assert bot.stop() == 0
    assert [line for line in bot.lines() if line["level"] not in ("debug", "info")] == []


@pytest.mark.parametrize("number", STOPPED)
def test_told_to_stop_while_the_tables_are_made(
    bot: Running, empty: Store, database_url: str, number: signal.Signals
) -> None:
    """Nothing is made then, nothing goes on, and the address was no argument that others could read."""
    with busy(empty), started_with(number, signal.SIG_DFL):
        process = launch(bot.environment, bot.home, bot.log)
        until(process, lambda: children(process.pid) != [])
        [child] = children(process.pid)
        argv = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        assert argv[1:] == ["-m", "bot.store.migrations", ""]
        process.send_signal(number)
        assert process.wait(10) == 0
        until(None, lambda: not Path(f"/proc/{child}").exists())
    assert current(empty) is None
    assert "Traceback" not in bot.log.read_text()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_server_that_comes_later(bot: Running, database_url: str) -> None:
    later, come = not_there_yet(database_url, bot.home)
    bot.environment["DATABASE_URL"] = later
    bot.process = launch(bot.environment, bot.home, bot.log)
    until(bot.process, lambda: waits(bot))
    assert bot.get("/healthz") == 0, "nothing listens before it can do its work"
    come()
    bot.until(lambda: bot.get("/readyz") == 200)
    first = bot.lines()[0]
    assert (first["level"], first["event"], first["reason"]) == (
        "warning",
        "waiting_for_database",
        "it does not answer",
    )
    assert bot.stop() == 0


@pytest.mark.parametrize("number", STOPPED)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_told_to_stop_while_it_waits(bot: Running, database_url: str, number: signal.Signals) -> None:
    bot.environment["DATABASE_URL"] = not_there_yet(database_url, bot.home)[0]
    with started_with(number, signal.SIG_DFL):
        process = launch(bot.environment, bot.home, bot.log)
    until(process, lambda: waits(bot))
    process.send_signal(number)
    assert process.wait(10) == 0
    assert {line["event"] for line in bot.lines()} == {"waiting_for_database"}
    assert "hunter2" not in bot.log.read_text()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_server_that_is_there_and_refuses_is_not_waited_for(bot: Running, database_url: str) -> None:
    unknown = sa.make_url(database_url).set(database="nothing").render_as_string(hide_password=False)
    assert launch(bot.environment | {"DATABASE_URL": unknown}, bot.home, bot.log).wait(30) == 2
    told = bot.log.read_text()
    assert told.startswith(f"DATABASE_URL: {shown(unknown)} can't be brought up to date: ")
    assert 'database "nothing" does not exist' in told


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_it_is_not_waited_for_without_end(database_url: str, tmp_path: Path) -> None:
    store = Store(not_there_yet(database_url, tmp_path)[0])
    await_server(store, patience=0.3)
    store.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_no_database(bot: Running, tmp_path: Path) -> None:
    other = tmp_path / "notes.db"
    other.write_text("buy milk")
    assert launch(bot.environment | {"DATABASE_URL": f"sqlite:///{other}"}, bot.home, bot.log).wait(30) == 2
    told = bot.log.read_text()
    assert told == f"DATABASE_URL: sqlite:///{other} can't be brought up to date: file is not a database\n"
    assert other.read_text() == "buy milk"


def not_there_yet(url: str, folder: Path) -> tuple[str, Callable[[], None]]:
    """The address at which the server will answer, and what lets it."""
    socket = Path(str(sa.make_url(url).query["host"])) / ".s.PGSQL.5432"
    address = sa.make_url(url).set(query={}, password="hunter2").render_as_string(hide_password=False)
    return f"{address}?host={quote(str(folder), safe='')}", lambda: (folder / socket.name).symlink_to(socket)


@contextlib.contextmanager
def busy(store: Store) -> Iterator[None]:
    """Nobody else can change the database's tables meanwhile."""
    with store.write() as connection:
        if not store.sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(731108)"))
        yield


def waits(bot: Running) -> bool:
    return bot.log.read_text().count("\n") > 0


def children(number: int) -> list[int]:
    """The processes that a process has started and that run their own program by now."""
    found = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    others = "", Path(f"/proc/{number}/cmdline").read_text()
    return [int(child) for child in found if Path(f"/proc/{child}/cmdline").read_text() not in others]


def until(process: Popen[Any] | None, happened: Callable[[], bool]) -> None:
    """Looks again and again, while the process runs."""
    end, pause = time.monotonic() + PATIENCE, threading.Event()
    while not happened():
        assert process is None or process.poll() is None
        pause.wait(0.01)
        assert time.monotonic() < end
