"""Deletes the story of deploys that ended long ago. The deploys themselves stay: history, `rollback` and `stats` read
them."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from bot.deploys import states
from bot.store.listings import Place
from bot.store.records import live, successes
from bot.store.schema import cards, deploys, timeline, votes

LOOK = 500  # deploys looked at in one go
STAY = 10  # newest successes of each environment whose story stays, however old: those to go back to


class Pruner:
    """Goes through the deploys by number, some at each call, and from the start again once it is through.

    So a call costs the same however many there are, and nothing has to be stored of where it stood.
    """

    def __init__(self) -> None:
        self._after = 0

    def next(self, connection: sa.Connection, before: datetime) -> list[int]:
        """Numbers of deploys that ended before that moment and whose story can go, of the next few; only reads."""
        query = (
            sa.select(*(deploys.c[name] for name in ("number", "app", "environment", "state", "finished_at")))
            .where(deploys.c.number > self._after)
            .order_by(deploys.c.number)
            .limit(LOOK)
        )
        rows = connection.execute(query).all()
        self._after = rows[-1].number if len(rows) == LOOK else 0
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


def prune(connection: sa.Connection, numbers: list[int]) -> None:
    """Deletes timeline, votes and cards of those deploys."""
    for table in (timeline, votes, cards):
        connection.execute(sa.delete(table).where(table.c.deploy.in_(numbers)))


def _staying(connection: sa.Connection, place: Place) -> set[int]:
    """What is live there, and what somebody may want to go back to."""
    found = [*successes(connection, *place, limit=STAY), live(connection, *place)]
    return {deploy.number for deploy in found if deploy is not None}


def _with_a_story(connection: sa.Connection, numbers: list[int]) -> list[int]:
    told = set()
    for table in (timeline, votes, cards) if numbers else ():
        told |= set(
            connection.execute(sa.select(table.c.deploy).where(table.c.deploy.in_(numbers)).distinct()).scalars()
        )
    return sorted(told)
