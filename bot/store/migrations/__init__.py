"""Brings a database to the newest shape. Alembic does the work; its versions are beside this file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from bot.store.engine import Store, StoreError, shown

HERE = Path(__file__).parent
HEAD = "0015"  # the newest file in versions/; a test holds the two together


def migrate(store: Store) -> None:
    """Applies what is missing, in one transaction. Replicas that start at once take turns (PostgreSQL).

    Raises StoreError when the database is newer than this program or can't be written.
    """
    try:
        if current(store) == HEAD:
            return
        with store.write() as connection:
            if not store.sqlite:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(731108)"))
            _upgrade(connection)
    except sa.exc.SQLAlchemyError as error:
        raise _not_up_to_date(store, error) from None


def migrate_apart(store: Store, url: str) -> None:
    """The same in a process of its own, so that this one does not hold Alembic for as long as it lives. Where this
    one is told to stop meanwhile, nothing is changed.

    Raises StoreError as `migrate` does.
    """
    try:
        if current(store) == HEAD:
            return
    except sa.exc.SQLAlchemyError as error:
        raise _not_up_to_date(store, error) from None
    ended = subprocess.run(  # noqa: S603 - this package; the address holds a password, so it is no argument
        [sys.executable, "-m", __name__],
        input=url.encode(),
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which ends that one
    )
    if ended.stdout:
        raise StoreError(ended.stdout.decode())
    if ended.returncode:  # something of ours, which it has said itself
        raise SystemExit(1)


def current(store: Store) -> str | None:
    """The version that the database has, or None for an empty one."""
    with store.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _not_up_to_date(store: Store, error: sa.exc.SQLAlchemyError) -> StoreError:
    why = " ".join(str(getattr(error, "orig", None) or error).split())
    return StoreError(f"{shown(store.engine.url)} can't be brought up to date: {why}")


def _upgrade(connection: sa.Connection) -> None:
    # Imported when needed, which is hardly ever.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"the database was made by a newer Shipbot ({error}): run that one, or restore a backup"
        ) from None
