"""`python -m bot migrate-to URL`: everything that a SQLite database holds, into an empty PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from bot.deploys.clock import SystemClock
from bot.store import jobs, runs
from bot.store.engine import Store, StoreError, only_process, shown
from bot.store.migrations import migrate
from bot.store.schema import metadata
from bot.upkeep import Refused, open_store, sqlite_file
from bot.upkeep.letters import say

BATCH = 500  # rows in one statement
TABLES = metadata.sorted_tables  # each behind those that it refers to


def run(url: str, to: str) -> None:
    """Copies all or nothing. Raises Refused and StoreError, the latter also while a bot runs on the SQLite file."""
    if sqlite_file(url) is None:
        raise Refused(f"DATABASE_URL is {shown(url)} already, and this moves a SQLite file: for PostgreSQL use pg_dump")
    if not to.startswith(("postgresql://", "postgres://")):
        raise Refused("the address to move to must start with postgresql://")
    release = only_process(url)
    try:
        source = open_store(url)
        try:
            target = _target(to)
            try:
                counted = _move(source, target)
            finally:
                target.close()
        finally:
            source.close()
    finally:
        release()
    for name, number in counted.items():
        say(f"{name}: {number}")
    say(f"all of it is in {shown(to)}; set DATABASE_URL to that and start the bot")
    say(f"then keep {shown(url)} away from any bot: it would do the same work again")


def _target(to: str) -> Store:
    """The other database, with its tables. Raises StoreError."""
    try:
        target = Store(to, pool=2)
    except (sa.exc.ArgumentError, ValueError):  # its words may show a password
        raise StoreError(
            "the address to move to can't be read; in a password, write what is no letter as %XX"
        ) from None
    try:
        migrate(target)
    except StoreError:
        target.close()
        raise
    return target


def _move(source: Store, target: Store) -> dict[str, int]:
    """Copies every row; returns how many there are of each table. Raises Refused, and then nothing was copied."""
    now = SystemClock().now()
    with source.write() as connection:  # as `serve` does at its start: whoever had claimed them is gone
        jobs.release_all(connection, now)
        runs.release_all(connection, now)
    table = None
    try:
        with source.read() as here, target.write() as there:
            # Nobody else may begin to work in it before all is there.
            there.execute(sa.text(f"LOCK TABLE {', '.join(table.name for table in TABLES)} IN ACCESS EXCLUSIVE MODE"))
            filled = [table.name for table in TABLES if _count(there, table)]
            if filled:
                raise Refused(f"it holds rows already (in {', '.join(filled)}): name an empty database")
            for table in TABLES:
                for batch in _batches(here, table):
                    there.execute(sa.insert(table), batch)
                _number_on(here, there, table)
            table = None
            counted = {each.name: _count(here, each) for each in TABLES}
            different = [each.name for each in TABLES if _count(there, each) != counted[each.name]]
            if different:
                raise Refused(f"not every row arrived (in {', '.join(different)}): nothing was kept, try again")
    except sa.exc.DataError as error:  # SQLite lets a text be longer than its column
        where = f" of {table.name}" if table is not None else ""
        raise Refused(f"a row{where} does not fit, and nothing was kept: {_words(error)}") from None
    return counted


def _batches(connection: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    rows = connection.execution_options(yield_per=BATCH).execute(sa.select(table))
    for part in rows.mappings().partitions():
        yield [{name: _storable(value) for name, value in row.items()} for row in part]


def _storable(value: Any) -> Any:
    """PostgreSQL keeps no NUL in its text."""
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def _number_on(here: sa.Connection, there: sa.Connection, table: sa.Table) -> None:
    """Lets the next row get the number that it would have had, also behind numbers that are deleted."""
    column = table.autoincrement_column
    if column is None:
        return
    used = here.execute(sa.text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table.name}).scalar()
    highest = max(used or 0, here.execute(sa.select(sa.func.max(column))).scalar() or 0)
    if highest:
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        there.execute(sa.select(sa.func.setval(sequence, highest)))


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def _words(error: sa.exc.DBAPIError) -> str:
    return " ".join(str(error.orig).split())
