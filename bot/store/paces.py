"""How fast others are written to, so that they need not tell us to wait. One row for each limit, for all replicas.

The generic cell rate algorithm, by virtual scheduling (https://www.itu.int/rec/T-REC-I.371): a row says until when a
limit's calls are spent at its even rate, and a call may go while that lies no further ahead than AHEAD. So in any
length of time there are never more calls than the rate gives, and AHEAD's worth on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from bot.store.records import insert
from bot.store.schema import paces

AHEAD = timedelta(seconds=30)  # a burst is what the rate gives in so long
KEPT = timedelta(seconds=15)  # of that, what only those that go first may use
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Limit:
    """`per_minute` calls, counted together under `key`."""

    key: str
    per_minute: int

    @property
    def step(self) -> timedelta:
        """The time between two calls at an even rate."""
        return timedelta(minutes=1) / self.per_minute

    def ahead(self, *, first: bool) -> timedelta:
        """How far ahead calls may be spent; one call always may."""
        return max(self.step, AHEAD if first else AHEAD - KEPT)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a limit stands. `free_at`: until when its calls are spent at an even rate. Those that found no room were told
    to come at moments up to `first_at` (those that go first) and `rest_at`."""

    free_at: datetime
    first_at: datetime
    rest_at: datetime


def opens(limit: Limit, pace: Pace, now: datetime, *, first: bool) -> datetime:
    """From when on a call may go."""
    return max(pace.free_at, now) + limit.step - limit.ahead(first=first)


def taken(limit: Limit, pace: Pace, now: datetime) -> Pace:
    """After a call."""
    return replace(pace, free_at=max(pace.free_at, now) + limit.step)


def told(limit: Limit, pace: Pace, now: datetime, *, first: bool) -> tuple[Pace, datetime]:
    """After a call that found no room, and when to come again.

    Each gets a moment of its own, behind those who were told before: five hundred that wait come one by one, at the
    rate at which they can go. Nothing is kept for them: one that goes first may be there before, and sends them on.
    """
    line = (pace.first_at if first else pace.rest_at) + limit.step
    at = max(opens(limit, pace, now, first=first), line)
    return (replace(pace, first_at=at) if first else replace(pace, rest_at=at)), at


def held(limit: Limit, pace: Pace, until: datetime) -> Pace:
    """After the other side said that nothing goes before `until`: then one by one, without a burst."""
    return replace(pace, free_at=max(pace.free_at, until + limit.ahead(first=True) - limit.step))


def claim(connection: sa.Connection, limits: Sequence[Limit], now: datetime, *, first: bool) -> datetime | None:
    """Takes one call of all these limits, or of none; returns when to come again where one has no room, else None.

    In a short transaction: rows that every replica wants are held until it ends. `first`: for what people wait for; the
    rest leaves some room to that.
    """
    found = _held_rows(connection, limits)
    full = [limit for limit in limits if opens(limit, found[limit.key], now, first=first) > now]
    if not full:
        for limit in limits:
            _store(connection, limit, taken(limit, found[limit.key], now))
        return None
    moments = []
    for limit in full:
        pace, at = told(limit, found[limit.key], now, first=first)
        _store(connection, limit, pace)
        moments.append(at)
    return max(moments)


def hold(connection: sa.Connection, limit: Limit, until: datetime) -> None:
    """The other side said so: nothing goes before that moment, from any replica."""
    _store(connection, limit, held(limit, _held_rows(connection, [limit])[limit.key], until))


def forget(connection: sa.Connection, now: datetime) -> None:
    """Deletes rows that say nothing any more."""
    connection.execute(sa.delete(paces).where(paces.c.free_at < now - timedelta(days=1)))


def _held_rows(connection: sa.Connection, limits: Sequence[Limit]) -> dict[str, Pace]:
    """The rows as they are now, held until the transaction ends, always in one order."""
    keys = sorted(limit.key for limit in limits)
    query = sa.select(paces).where(paces.c.key.in_(keys)).order_by(paces.c.key).with_for_update()
    rows = connection.execute(query).all()
    if len(rows) < len(keys):
        for key in keys:
            new = {"key": key, "free_at": LONG_AGO, "first_at": LONG_AGO, "rest_at": LONG_AGO}
            connection.execute(insert(connection, paces).values(new).on_conflict_do_nothing())
        rows = connection.execute(query).all()
    return {row.key: Pace(row.free_at, row.first_at, row.rest_at) for row in rows}


def _store(connection: sa.Connection, limit: Limit, pace: Pace) -> None:
    values = {"free_at": pace.free_at, "first_at": pace.first_at, "rest_at": pace.rest_at}
    connection.execute(sa.update(paces).where(paces.c.key == limit.key).values(values))
