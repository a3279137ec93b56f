"""Rooms that Slack does not let the bot write to, as the last message to each of them learned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from bot.store import records
from bot.store.schema import facts

PREFIX = "closed:"
KEPT = timedelta(days=30)  # after the last message that was refused; by then nobody may write there any more


@dataclass(frozen=True, slots=True)
class Closed:
    """`code` is Slack's word for why, `since` when the first message in a row was refused."""

    room: str
    code: str
    since: datetime


def closed(connection: sa.Connection) -> list[Closed]:
    """All of them, by id."""
    found = records.facts_like(connection, PREFIX)
    return [
        Closed(name.removeprefix(PREFIX), value["code"], datetime.fromisoformat(value["since"]))
        for name, (value, _) in sorted(found.items())
    ]


def is_closed(connection: sa.Connection, room: str) -> bool:
    """Whether the last message there was refused."""
    return records.fact(connection, PREFIX + room) is not None


def close(connection: sa.Connection, room: str, code: str, now: datetime) -> None:
    """A message was refused."""
    known = records.fact(connection, PREFIX + room)
    since = known["since"] if known is not None else now.isoformat()
    records.remember(connection, PREFIX + room, {"code": code, "since": since}, now)


def open_again(connection: sa.Connection, room: str) -> None:
    """A message got through."""
    connection.execute(sa.delete(facts).where(facts.c.name == PREFIX + room))


def forget(connection: sa.Connection, now: datetime) -> None:
    """Deletes those that nobody wrote to for long."""
    records.forget(connection, PREFIX, now - KEPT)
