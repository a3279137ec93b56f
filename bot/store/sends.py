"""Messages that are being posted to Slack, so that one whose answer is lost can be looked for before it is sent again.

A row without a `ts` is of a message that may be there or not: it is written before the call, and goes, or gets its
`ts`, with the answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.store.records import insert
from bot.store.schema import sends


def get(connection: sa.Connection, key: str) -> sa.Row[Any] | None:
    """When the posting of a message was begun first, its channel and its ts ('' while that is not known), or None."""
    return connection.execute(sa.select(sends).where(sends.c.key == key)).one_or_none()


def begin(connection: sa.Connection, key: str, channel: str, now: datetime) -> None:
    """A message is about to be posted."""
    values = {"key": key, "at": now, "channel": channel, "ts": ""}
    connection.execute(insert(connection, sends).values(values).on_conflict_do_nothing())


def done(connection: sa.Connection, key: str, ts: str) -> None:
    """It is there, and its job may still be done a second time."""
    connection.execute(sa.update(sends).where(sends.c.key == key).values(ts=ts))


def end(connection: sa.Connection, key: str) -> None:
    """It is surely not there; or where it is was stored elsewhere."""
    connection.execute(sa.delete(sends).where(sends.c.key == key))


def forget(connection: sa.Connection, before: datetime) -> None:
    """Deletes what was begun before that moment."""
    connection.execute(sa.delete(sends).where(sends.c.at < before))
