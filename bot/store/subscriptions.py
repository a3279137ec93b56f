"""Subscriptions: the rooms that asked to hear of an app, as rows."""

from __future__ import annotations

import sqlalchemy as sa

from bot.deploys.model import Subscription
from bot.store.records import insert
from bot.store.schema import subscriptions

_EVERY = ""  # stands for every environment, since no database holds two NULLs to be the same


def subscribe(connection: sa.Connection, wanted: Subscription) -> None:
    """Stores a subscription, over the one that the room has to just that."""
    values = {
        "room": wanted.room,
        "app": wanted.app,
        "environment": wanted.environment or _EVERY,
        "states": list(wanted.states),
        "user_id": wanted.user_id,
        "at": wanted.at,
    }
    keys = ["room", "app", "environment"]
    statement = insert(connection, subscriptions).values(**values)
    changed = {name: value for name, value in values.items() if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))


def unsubscribe(connection: sa.Connection, gone: Subscription) -> None:
    """Deletes a subscription."""
    connection.execute(
        sa.delete(subscriptions).where(
            subscriptions.c.room == gone.room,
            subscriptions.c.app == gone.app,
            subscriptions.c.environment == (gone.environment or _EVERY),
        )
    )


def of_room(connection: sa.Connection, room: str) -> list[Subscription]:
    """What a room is subscribed to, by app and environment; every environment comes first."""
    return _found(connection, subscriptions.c.room == room)


def of_app(connection: sa.Connection, app: str) -> list[Subscription]:
    """The subscriptions to an app, of whichever room."""
    return _found(connection, subscriptions.c.app == app)


def _found(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Subscription]:
    order = (subscriptions.c.room, subscriptions.c.app, subscriptions.c.environment)
    return [
        Subscription(
            room=row.room,
            app=row.app,
            environment=row.environment or None,
            states=tuple(row.states),
            user_id=row.user_id,
            at=row.at,
        )
        for row in connection.execute(sa.select(subscriptions).where(which).order_by(*order))
    ]
