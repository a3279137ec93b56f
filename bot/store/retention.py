"""Deletes the story of deploys that ended long ago, and what ended long ago by itself: locks, freezes, reviews. The
deploys stay: history, `rollback` and `stats` read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot.deploys import states
from bot.store.listings import Place
from bot.store.records import live, successes
from bot.store.schema import (
    cards,
    deploys,
    freezes,
    locks,
    logs,
    protections,
    reports,
    review_posts,
    reviews,
    runs,
    timeline,
    votes,
)

LOOK = 500  # rows of a table looked at in one go
STAY = 10  # newest successes of each environment whose story stays, however old: those to go back to
REVIEWED = timedelta(days=30)  # for so long GitHub waits for a review

STORY = (timeline, votes, cards, protections)


@dataclass(frozen=True, slots=True)
class Over:
    """What nothing needs any more: deploys whose story can go, by number; and of other tables the ids of rows."""

    deploys: list[int]
    rows: Mapping[sa.Table, list[int]]

    def __bool__(self) -> bool:
        return bool(self.deploys) or any(self.rows.values())


class Pruner:
    """Goes through each table by its key, some rows at each call, and from the start again once it is through.

    So a call costs the same however many there are, and nothing has to be stored of where it stood.
    """

    def __init__(self) -> None:
        self._after: dict[sa.Table, int] = {}

    def next(self, connection: sa.Connection, before: datetime) -> Over:
        """What ended before that moment and can go, of the next few of each table; only reads."""
        rows = {}
        for at, until in ((locks.c.ended_at, before), (freezes.c.ended_at, before), (reviews.c.at, before - REVIEWED)):
            some = self._some(connection, at.table.c.id, at)
            rows[at.table] = [number for number, moment in some if moment is not None and moment < until]
        return Over(self._deploys(connection, before), rows)

    def _some(self, connection: sa.Connection, key: sa.Column[int], *columns: sa.Column[Any]) -> Sequence[Any]:
        """The next rows of a table."""
        after = self._after.get(key.table, 0)
        rows = connection.execute(sa.select(key, *columns).where(key > after).order_by(key).limit(LOOK)).all()
        self._after[key.table] = rows[-1][0] if len(rows) == LOOK else 0
        return rows

    def _deploys(self, connection: sa.Connection, before: datetime) -> list[int]:
        columns = (deploys.c[name] for name in ("app", "environment", "state", "finished_at"))
        rows = self._some(connection, deploys.c.number, *columns)
        stay: dict[Place, set[int]] = {}
        found = []
        for row in rows:
            if row.finished_at is None or row.finished_at >= before:
                continue
            if row.state == states.SUCCESS:
                place = row.app, row.environment
                if place not in stay:
                    stay[place] = _staying(connection, place)
                if row.number in stay[place]:
                    continue
            found.append(row.number)
        return _with_a_story(connection, found)


def prune(connection: sa.Connection, over: Over) -> None:
    """Deletes that."""
    for table in STORY:
        connection.execute(sa.delete(table).where(table.c.deploy.in_(over.deploys)))
    done = list(connection.execute(_runs_of(over.deploys).with_only_columns(runs.c.id)).scalars())
    connection.execute(sa.delete(reports).where(reports.c.run.in_(done)))
    connection.execute(sa.delete(runs).where(runs.c.id.in_(done)))
    connection.execute(sa.delete(review_posts).where(review_posts.c.review.in_(over.rows[reviews])))
    for table, numbers in over.rows.items():
        connection.execute(sa.delete(table).where(table.c.id.in_(numbers)))


def _runs_of(numbers: list[int]) -> sa.Select[int]:
    """The deploys among those whose run can go, which is once its output has: its page tells of the run, too."""
    output = sa.select(logs.c.id).where(logs.c.id == runs.c.log).exists()
    return sa.select(runs.c.deploy).where(runs.c.deploy.in_(numbers), runs.c.state == "done", ~output)


def _staying(connection: sa.Connection, place: Place) -> set[int]:
    """What is live there, and what somebody may want to go back to."""
    found = [*successes(connection, *place, limit=STAY), live(connection, *place)]
    return {deploy.number for deploy in found if deploy is not None}


def _with_a_story(connection: sa.Connection, numbers: list[int]) -> list[int]:
    if not numbers:
        return []
    told = [sa.select(table.c.deploy).where(table.c.deploy.in_(numbers)).distinct() for table in STORY]
    return sorted({number for query in (*told, _runs_of(numbers)) for number in connection.execute(query).scalars()})
