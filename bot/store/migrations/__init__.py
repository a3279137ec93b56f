"""Brings a database to the newest shape. Alembic does the work; its versions are beside this file."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from bot.store.engine import Store, StoreError

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
        raise StoreError(f"the database can't be brought up to date: {getattr(error, 'orig', error)}") from None


def current(store: Store) -> str | None:
    """The version that the database has, or None for an empty one."""
    with store.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: sa.Connection) -> None:
    # Imported when needed: a start that finds nothing to do is a quarter of a second quicker without it.
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
