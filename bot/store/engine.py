"""Transactions on SQLite and PostgreSQL alike.

SQLite allows one writer; writers of this process take turns at a lock instead of at SQLite's busy handler,
and a second process is kept away from the file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event


class StoreError(Exception):
    """The database can't be used; the message says why and what to do."""


def shown(url: str | sa.URL) -> str:
    """The address of a database without its password and its driver."""
    parsed = sa.make_url(url)
    if "password" in parsed.query:
        parsed = parsed.update_query_dict({"password": "***"})
    return parsed.set(drivername=parsed.get_backend_name()).render_as_string(hide_password=True)


class Bell:
    """Wakes whoever waits for work. One ring wakes all; a ring with nobody waiting is kept for the next."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings = 0

    def ring(self) -> None:
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    @property
    def rings(self) -> int:
        """How often it rang; read it before looking for work, and pass it to `wait` when there was none."""
        return self._rings

    def wait(self, seen: int, seconds: float) -> None:
        """Until it rings more often than `seen`, at most `seconds`."""
        with self._condition:
            self._condition.wait_for(lambda: self._rings != seen, timeout=seconds)


class Store:
    """The database of one process. Thread-safe.

    `url` is `sqlite:///FILE` or `postgresql://…`; the driver is chosen here.
    """

    def __init__(self, url: str, *, pool: int = 10) -> None:
        parsed = sa.make_url(url)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        if self.sqlite:
            self.engine = sa.create_engine(
                parsed.set(drivername="sqlite+pysqlite"),
                connect_args={"timeout": 30},
                pool_size=pool,
                hide_parameters=True,
            )
            event.listen(self.engine, "connect", _set_up_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = sa.create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_size=pool,
                pool_pre_ping=True,
                hide_parameters=True,  # an error that names them takes people's words and response_urls to the log
                connect_args={"connect_timeout": 10, **_KEEPALIVES},
            )
        self._writing = self.engine.execution_options(shipbot_writes=True)
        self._passing = self.engine.execution_options(shipbot_writes=True, shipbot_passing=True)
        # PostgreSQL's own measure would let each statement of a reader see another state.
        one_state = {} if self.sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reading = self.engine.execution_options(**one_state)
        self._turn: contextlib.AbstractContextManager[Any] = (
            threading.Lock() if self.sqlite else contextlib.nullcontext()
        )
        self.bell = Bell()
        self.tell: Callable[[str], None] = lambda word: None  # the other replicas, once there is a wire to them

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads and sees one state of the database."""
        with self._reading.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self, *, lasting: bool = True) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end, or undone when something is raised.

        One that is not `lasting` does not wait for the disk, and is the first to be lost in a power cut; what is
        written after it never outlives it.
        No network call belongs inside. When jobs were added in it, the bell rings after the commit, and that of every
        other replica a moment later.
        """
        with self._turn, (self._writing if lasting else self._passing).begin() as connection:
            if not lasting and not self.sqlite:
                connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
            yield connection
            added = connection.info.pop("jobs_added", False)
        if added:
            self.bell.ring()
            self.tell("")

    def ready(self) -> bool:
        """Whether the database answers."""
        try:
            with self.engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))
        except sa.exc.SQLAlchemyError:
            return False
        return True

    def close(self) -> None:
        self.engine.dispose()


# A server that is gone without a word is noticed within a minute, not by what the system holds for long (two hours).
_KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own BEGIN comes too late for a reader and too weak for a writer; see _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # Carrying the log over into the file costs two more flushes: rather every 32 MB than every 4.
    cursor.execute("PRAGMA wal_autocheckpoint=8000")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later can lose its turn half-way; a writer takes it at once.
    options = connection.get_execution_options()
    writes = options.get("shipbot_writes")
    # What is acknowledged survives a power cut. (https://www.sqlite.org/pragma.html#pragma_synchronous)
    flushing = "NORMAL" if options.get("shipbot_passing") else "FULL"
    if connection.info.get("flushing") != flushing:
        connection.exec_driver_sql(f"PRAGMA synchronous={flushing}")
        connection.info["flushing"] = flushing
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def only_process(url: str) -> Callable[[], None]:
    """Keeps a second process away from a SQLite file for as long as this one lives; returns the release.

    Raises StoreError when another process has it. PostgreSQL takes any number of processes.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return lambda: None
    import fcntl  # here, since only POSIX systems have it and only SQLite needs it

    path = Path(f"{parsed.database}.lock.pid")
    try:
        handle = path.open("a+")
    except OSError as error:
        raise StoreError(f"can't write beside the database {parsed.database}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        holder = handle.read().strip() or "another process"
        handle.close()
        raise StoreError(
            f"{parsed.database} is in use by {holder}: a SQLite file serves one process at a time. "
            "Stop the other one, or set DATABASE_URL=postgresql://… to run several."
        ) from None
    handle.truncate(0)
    handle.write(f"process {os.getpid()}")
    handle.flush()
    return handle.close
