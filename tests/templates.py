"""Databases to copy, since making the tables takes longer than most tests do."""

from __future__ import annotations

from pathlib import Path

from bot.store.engine import Store
from bot.store.migrations import migrate


def migrated_file(folder: Path) -> Path:
    """A migrated, empty SQLite database, whole in its one file."""
    path = folder / "template.db"
    store = Store(f"sqlite:///{path}")
    migrate(store)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    return path
