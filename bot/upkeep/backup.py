"""`python -m bot backup FILE`: a copy of a SQLite database as it is at one moment, while `serve` goes on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from bot.store.engine import shown
from bot.upkeep import Refused, sqlite_file
from bot.upkeep.letters import say


def run(url: str, target: Path) -> None:
    """Writes a new file, or none: whoever sees it sees it whole. Raises Refused and StoreError."""
    source = sqlite_file(url)
    if source is None:
        raise Refused(
            f"{shown(url)} is PostgreSQL, which brings its own: pg_dump --format=custom --file={target} '{shown(url)}'"
        )
    if target.exists():
        raise Refused(f"{target} is there already: name a new file")
    part = target.with_name(f"{target.name}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # nobody else's to read, from the start
    except FileExistsError:
        raise Refused(f"{part} is there: another backup is under way, or one was cut short; then delete it") from None
    except OSError as error:
        raise Refused(f"can't write {part}: {error.strerror}") from None
    os.close(handle)
    try:
        _copy(source, part)
        _flush(part)
        _name(part, target)
    except sqlite3.Error as error:
        raise Refused(f"{source} can't be copied ({error}): see that it is whole and that there is room") from None
    except OSError as error:
        raise Refused(f"{target} can't be written: {error.strerror}") from None
    finally:
        for left in (part, *(part.with_name(f"{part.name}{end}") for end in ("-wal", "-shm", "-journal"))):
            left.unlink(missing_ok=True)
    say(f"{target}: {target.stat().st_size / 1e6:.1f} MB, whole and checked")
    say(f"to go back to it: stop the bot, delete {source}-wal and {source}-shm, and copy it to {source}")


def _copy(source: Path, part: Path) -> None:
    """Raises sqlite3.Error, also when the copy is not sound."""
    address = f"{source.resolve().as_uri()}?mode=rw"  # never makes one; a reader of a WAL needs to write beside it
    with (
        contextlib.closing(sqlite3.connect(address, uri=True, timeout=30)) as here,
        contextlib.closing(sqlite3.connect(part)) as there,
    ):
        # All in one step: one moment of the database. Writers go on meanwhile, as SQLite's log lets them; in several
        # steps each of their commits would begin it anew.
        here.backup(there, pages=-1)
        there.execute("PRAGMA journal_mode=DELETE")  # so that the one file is all there is
        problems = [row[0] for row in there.execute("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        raise sqlite3.DatabaseError("; ".join(problems))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _name(part: Path, target: Path) -> None:
    try:
        os.link(part, target)  # unlike a rename it never takes the place of another file
    except FileExistsError:
        raise Refused(f"{target} is there already: name a new file") from None
    except OSError:  # a file system without links
        part.rename(target)
    _flush(target.parent)
