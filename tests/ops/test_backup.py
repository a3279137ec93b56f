"""`python -m bot backup FILE`: a whole copy of one moment, whatever goes on meanwhile."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.store import jobs
from bot.store.engine import Store
from bot.store.jobs import NewJob
from tests.core.running import Running, launch
from tests.ops.upkeep import Upkeep
from tests.world import START, Servers, World

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def rows(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


@SQLITE
def test_a_copy_is_whole_and_nobody_elses(world: World, upkeep: Upkeep, tmp_path: Path) -> None:
    world.say("U0ANA", "/deploy web/topic to production")
    target = tmp_path / "copy.db"
    code, out, err = upkeep(world.settings.database_url, "backup", str(target))
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith(f"{target}: ")
    assert "stop the bot" in out
    assert [path.name for path in tmp_path.iterdir()] == ["copy.db"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert rows(target, "deploys") == 1


@SQLITE
def test_a_bot_goes_on_from_a_copy(make_world: Callable[..., World], upkeep: Upkeep, tmp_path: Path) -> None:
    world = make_world()
    world.say("U0ANA", "/deploy web/topic to production")
    target = tmp_path / "copy.db"
    assert upkeep(world.settings.database_url, "backup", str(target))[0] == 0
    store = Store(f"sqlite:///{target}")
    world.store.close()
    world.store = store
    world.restart()
    world.report("success")
    assert ":large_green_circle: *web* to *production*" in world.room()


@SQLITE
def test_what_is_written_meanwhile_is_in_it_whole_or_not(database_url: str, upkeep: Upkeep, tmp_path: Path) -> None:
    """Each transaction adds a pair; a copy of any moment holds pairs."""
    store, done = Store(database_url), threading.Event()

    def write() -> None:
        while not done.is_set():
            with store.write() as connection:
                for _ in range(2):
                    jobs.add(connection, NewJob("card", '{"x": "' + "y" * 500 + '"}'), START)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            target = tmp_path / f"{number}.db"
            assert upkeep(database_url, "backup", str(target))[0] == 0
            assert rows(target, "jobs") % 2 == 0
    finally:
        done.set()
        writer.join()
        store.close()


@SQLITE
def test_what_is_there_is_never_overwritten(database_url: str, upkeep: Upkeep, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    assert upkeep(database_url, "backup", str(target)) == (1, "", f"{target} is there already: name a new file\n")
    assert target.read_text() == "precious"
    target.unlink()
    part = tmp_path / "copy.db.part"
    part.write_text("")
    code, _, err = upkeep(database_url, "backup", str(target))
    assert (code, err.startswith(f"{part} is there: another backup is under way, or one was cut short")) == (1, True)
    absent = tmp_path / "no" / "such.db"
    assert upkeep(database_url, "backup", str(absent)) == (
        1,
        "",
        f"can't write {absent}.part: No such file or directory\n",
    )


@SQLITE
def test_a_broken_database_gives_no_copy(database_url: str, upkeep: Upkeep, tmp_path: Path) -> None:
    source = tmp_path / "broken.db"
    shutil.copy(database_url.removeprefix("sqlite:///"), source)
    with source.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 8192)
    code, out, err = upkeep(f"sqlite:///{source}", "backup", str(tmp_path / "copy.db"))
    assert (code, out) == (1, "")
    assert err.startswith(f"{source} can't be copied (")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.db"]


def test_postgresql_brings_its_own(upkeep: Upkeep, tmp_path: Path) -> None:
    code, out, err = upkeep("postgresql://ship:pa55word@db.example/ship", "backup", str(tmp_path / "x"))
    assert (code, out) == (1, "")
    assert f"pg_dump --format=custom --file={tmp_path / 'x'} 'postgresql://ship:***@db.example/ship'" in err
    assert "pa55word" not in err


@pytest.fixture
def bot(servers: Servers, database_url: str, tmp_path: Path) -> Iterator[Running]:
    """A bot at work; what is left of it at the end is killed."""
    running = Running(servers, database_url, tmp_path)
    running.start()
    yield running
    running.kill()


@SQLITE
@pytest.mark.slow
def test_beside_a_running_bot(bot: Running, tmp_path: Path) -> None:
    assert bot.slack.command("U0ANA", "C0OPS", "web/topic to production").ok
    bot.until(lambda: "*web* to *production*" in bot.room())
    target, log = tmp_path / "copy.db", tmp_path / "log"
    database = {"DATABASE_URL": bot.environment["DATABASE_URL"]}
    assert launch(database, tmp_path, log, "backup", str(target)).wait(30) == 0, log.read_text()
    assert rows(target, "deploys") == 1
    assert bot.slack.command("U0ANA", "C0OPS", "apps").ok
    bot.until(lambda: "2 apps" in str([one.text for one in bot.slack.ephemerals("U0ANA")]))
    assert bot.stop() == 0
