"""GitHub's own gates, as rows: runs that wait for this bot's word, and reviews that GitHub asks of people there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.store.records import insert
from bot.store.schema import protections, review_posts, reviews


@dataclass(frozen=True, slots=True)
class Protection:
    """What GitHub was told of a deploy that waits there: `reports` on how it stands, the last of which is `told`, and
    since `tried_at` the answer, which it is known to have since `answered_at`."""

    deploy: int
    run: int
    asked_at: datetime
    reports: int
    told: str
    tried_at: datetime | None
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Review:
    """What GitHub asks of reviewers there, and what one of them answered; None for what was not told yet."""

    id: int
    app: str
    repository: str
    run: int
    environment: str
    asked: Mapping[str, Any] | None
    answered: Mapping[str, Any] | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Post:
    """The message of a review in one room. `ts` is '' until it is posted."""

    ts: str
    channel: str


def protect(connection: sa.Connection, number: int, run: int, now: datetime) -> None:
    """A deploy waits for this bot's word as that run; nothing changes when it does already."""
    values = {"deploy": number, "run": run, "asked_at": now, "reports": 0, "told": ""}
    connection.execute(insert(connection, protections).values(**values).on_conflict_do_nothing())


def protection(connection: sa.Connection, number: int) -> Protection | None:
    """What GitHub was told of that deploy; None when it does not ask about it."""
    row = connection.execute(sa.select(protections).where(protections.c.deploy == number)).one_or_none()
    return Protection(**row._mapping) if row is not None else None


def update_protection(connection: sa.Connection, number: int, **values: Any) -> None:
    connection.execute(sa.update(protections).where(protections.c.deploy == number).values(**values))


def add_review(
    connection: sa.Connection, app: str, key: Mapping[str, Any], now: datetime, **told: Mapping[str, Any]
) -> Review:
    """Stores what is `asked` or `answered` under a review's `key` (repository, run, attempt, environment), over what
    was known of that before."""
    statement = insert(connection, reviews).values(app=app, **key, at=now, **told)
    changed = statement.on_conflict_do_update(index_elements=list(key), set_=told)
    return _review(connection.execute(changed.returning(reviews)).one())


def review(connection: sa.Connection, number: int) -> Review | None:
    """The review of that id."""
    row = connection.execute(sa.select(reviews).where(reviews.c.id == number)).one_or_none()
    return _review(row) if row is not None else None


def add_posts(connection: sa.Connection, number: int, rooms: Iterable[str]) -> None:
    """A review is shown in those rooms; once in each."""
    for room in sorted(set(rooms)):
        values = {"review": number, "room": room, "ts": "", "channel": room}
        connection.execute(insert(connection, review_posts).values(**values).on_conflict_do_nothing())


def post_rooms(connection: sa.Connection, number: int) -> list[str]:
    """The rooms that show a review."""
    query = sa.select(review_posts.c.room).where(review_posts.c.review == number).order_by(review_posts.c.room)
    return list(connection.execute(query).scalars())


def post(connection: sa.Connection, number: int, room: str) -> Post | None:
    """A review's message in a room."""
    query = sa.select(review_posts.c.ts, review_posts.c.channel)
    found = connection.execute(query.where(review_posts.c.review == number, review_posts.c.room == room)).one_or_none()
    return Post(**found._mapping) if found is not None else None


def update_post(connection: sa.Connection, number: int, room: str, **values: Any) -> None:
    where = sa.and_(review_posts.c.review == number, review_posts.c.room == room)
    connection.execute(sa.update(review_posts).where(where).values(**values))


def _review(row: sa.Row[Any]) -> Review:
    values = {key: value for key, value in row._mapping.items() if key != "attempt"}
    return Review(**values)
