"""What looks after a database from the command line: `jobs`, `backup` and `migrate-to`.

They need DATABASE_URL and nothing else. What they say is on stdout; what went wrong, and the way out, on stderr.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import sqlalchemy as sa

from bot.settings import SettingsError, database_url
from bot.store.engine import Store, StoreError, shown
from bot.store.migrations import HEAD, current

REFUSED, WRONG_USE = 1, 2  # exit codes: it was not possible; nothing was tried


class Refused(Exception):
    """It can't be done, and nothing was changed; the message says why and what to do."""


def run(given: argparse.Namespace) -> int:
    """Does what was asked for; returns the exit code."""
    try:
        url = database_url()
        if given.command == "jobs":
            from bot.upkeep import letters

            letters.run(given, url)
        elif given.command == "backup":
            from bot.upkeep import backup

            backup.run(url, Path(given.file))
        else:
            from bot.upkeep import moving

            moving.run(url, given.url)
    except (SettingsError, StoreError) as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_USE
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    except sa.exc.SQLAlchemyError as error:
        why = " ".join(str(getattr(error, "orig", None) or error).split())
        sys.stderr.write(f"DATABASE_URL: the database can't be used ({why})\n")
        return WRONG_USE
    return 0


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite address, which must be there (else StoreError); None for PostgreSQL."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    path = Path(parsed.database or "")
    if not path.is_file():
        raise StoreError(f"DATABASE_URL: there is no {path}: name the file that `serve` uses")
    return path


def open_store(url: str) -> Store:
    """The database, at this program's version; the caller closes it. Raises StoreError."""
    sqlite_file(url)
    store = Store(url, pool=2)
    version = current(store)
    if version != HEAD:
        store.close()
        raise StoreError(
            f"DATABASE_URL: {shown(url)} is at version {version or 'none'}, and this program at {HEAD}: "
            "use the Shipbot that serves it, or start this one's `serve` once"
        )
    return store
