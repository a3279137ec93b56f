"""The output of runs, in pieces as it came. What is stored is masked already."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from bot.store.schema import log_chunks, logs, runs

LONGEST_LINE = 400  # characters of it in a tail


@dataclass(frozen=True, slots=True)
class Log:
    """One run's output. `chunks`: how many pieces there are; `size`: how many characters; `ended_at`: None while more
    may come."""

    id: str
    deploy: int
    at: datetime
    chunks: int
    size: int
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of it. `seq` counts from 1 without gaps; a line may go over from one piece to the next."""

    seq: int
    text: str
    at: datetime


def create(connection: sa.Connection, deploy: int, now: datetime) -> str:
    """Begins a log; returns its id, which nobody can guess."""
    name = secrets.token_urlsafe(24)
    connection.execute(sa.insert(logs).values(id=name, deploy=deploy, at=now, chunks=0, size=0))
    return name


def append(connection: sa.Connection, log_id: str, text: str, now: datetime) -> None:
    """Adds a piece. Nothing is added to a log that is gone."""
    if not text:
        return
    statement = (
        sa.update(logs)
        .where(logs.c.id == log_id)
        .values(chunks=logs.c.chunks + 1, size=logs.c.size + len(text))
        .returning(logs.c.chunks)
    )
    seq = connection.execute(statement).scalar_one_or_none()
    if seq is not None:
        connection.execute(sa.insert(log_chunks).values(log=log_id, seq=seq, text=text, at=now))


def end(connection: sa.Connection, log_id: str, now: datetime) -> None:
    """Nothing more will come."""
    connection.execute(sa.update(logs).where(logs.c.id == log_id).values(ended_at=now))


def find(connection: sa.Connection, log_id: str) -> Log | None:
    """The log of that id; None when there is none, or it is no longer kept."""
    row = connection.execute(sa.select(logs).where(logs.c.id == log_id)).one_or_none()
    return Log(**row._mapping) if row is not None else None


def read(connection: sa.Connection, log_id: str, after: int = 0, limit: int = 100) -> list[Chunk]:
    """Up to `limit` pieces that come after the one numbered `after`, in order."""
    query = (
        sa.select(log_chunks.c.seq, log_chunks.c.text, log_chunks.c.at)
        .where(log_chunks.c.log == log_id, log_chunks.c.seq > after)
        .order_by(log_chunks.c.seq)
        .limit(limit)
    )
    return [Chunk(*row) for row in connection.execute(query)]


def marks(connection: sa.Connection, log_ids: Collection[str]) -> dict[str, tuple[object, ...]]:
    """For each of those logs that is still kept something that changes when it does, or the run that writes it."""
    query = (
        sa.select(logs.c.id, logs.c.chunks, logs.c.ended_at, runs.c.state, runs.c.cancelled, runs.c.environment_url)
        .join(runs, runs.c.deploy == logs.c.deploy, isouter=True)
        .where(logs.c.id.in_(log_ids))
    )
    return {row.id: tuple(row) for row in connection.execute(query)}


def tail(connection: sa.Connection, log_id: str, lines: int, characters: int = 4000) -> str:
    """The last lines that are not blank, of each its beginning, together no longer than `characters`; '' when there are
    none."""
    query = sa.select(log_chunks.c.text).where(log_chunks.c.log == log_id).order_by(log_chunks.c.seq.desc()).limit(200)
    text = ""
    for piece in connection.execute(query).scalars():
        text = piece + text
        if len(text) > 4 * characters or text.count("\n") > 4 * lines:
            break
    found = [line.rstrip()[:LONGEST_LINE] for line in text.split("\n") if line.strip()][-lines:]
    return "\n".join(found)[-characters:]


def purge(connection: sa.Connection, before: datetime, limit: int = 20) -> int:
    """Deletes up to `limit` logs that began before that moment and have ended; returns how many."""
    old = (
        sa.select(logs.c.id)
        .where(logs.c.at < before, logs.c.ended_at.is_not(None))
        .order_by(logs.c.at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    names = list(connection.execute(old).scalars())
    if names:
        connection.execute(sa.delete(log_chunks).where(log_chunks.c.log.in_(names)))
        connection.execute(sa.delete(logs).where(logs.c.id.in_(names)))
    return len(names)
