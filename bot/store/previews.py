"""Previews of pull requests, as rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from bot.deploys import states
from bot.deploys.model import Deploy
from bot.deploys.previews import Preview
from bot.store.records import COLUMNS, deploy_of, insert
from bot.store.schema import UNSETTLED, deploys, previews

RECENT = 200  # deploys to one preview that are looked at; what is left of those before has long been taken down


def add(connection: sa.Connection, preview: Preview) -> Preview | None:
    """Stores a new one and gives it its id; None when its pull request is known by now."""
    statement = insert(connection, previews).values(**_values(preview)).on_conflict_do_nothing()
    row = connection.execute(statement.returning(previews)).one_or_none()
    return _preview(row) if row is not None else None


def get(connection: sa.Connection, number: int, *, lock: bool = False) -> Preview | None:
    """The one of that id. `lock` holds it until the transaction ends; its place is held first, where it is at all."""
    return _one(connection, previews.c.id == number, lock=lock)


def of_pull(connection: sa.Connection, app: str, pull: int, *, lock: bool = False) -> Preview | None:
    """The one of a pull request. `lock` as in `get`."""
    return _one(connection, sa.and_(previews.c.app == app, previews.c.pull == pull), lock=lock)


def update(connection: sa.Connection, number: int, **values: Any) -> None:
    connection.execute(sa.update(previews).where(previews.c.id == number).values(**values))


def store(connection: sa.Connection, preview: Preview) -> None:
    """Stores it as it is now. It is held."""
    update(connection, preview.id, **_values(preview))


def unsettled(connection: sa.Connection) -> list[int]:
    """The ids of those that are still to be taken down, or asked GitHub about."""
    query = sa.select(previews.c.id).where(UNSETTLED).order_by(previews.c.id)
    return list(connection.execute(query).scalars())


def deploys_at(connection: sa.Connection, app: str, environment: str) -> list[Deploy]:
    """The deploys to a preview's environment, whoever made them, by number."""
    query = sa.select(*COLUMNS).where(deploys.c.app == app, deploys.c.environment == environment)
    rows = connection.execute(query.order_by(deploys.c.number.desc()).limit(RECENT)).all()
    return [deploy_of(row) for row in reversed(rows)]


def newest(connection: sa.Connection, number: int) -> Deploy | None:
    """The newest deploy that belongs to a preview."""
    query = sa.select(*COLUMNS).where(deploys.c.preview == number).order_by(deploys.c.number.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return deploy_of(row) if row is not None else None


def waiting_places(connection: sa.Connection, app: str | None, environment: str | None) -> list[tuple[str, str]]:
    """The previews (app and environment) where something waits or is about to be sent; None stands for every one."""
    query = (
        sa.select(deploys.c.app, deploys.c.environment)
        .distinct()
        .where(
            deploys.c.finished_at.is_(None),
            deploys.c.preview.is_not(None),
            deploys.c.state.in_([states.HELD, states.ASKED]),
        )
    )
    if app is not None:
        query = query.where(deploys.c.app == app)
    if environment is not None:
        query = query.where(deploys.c.environment == environment)
    return [(row.app, row.environment) for row in connection.execute(query)]


def _one(connection: sa.Connection, condition: sa.ColumnElement[bool], *, lock: bool) -> Preview | None:
    query = sa.select(previews).where(condition)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return _preview(row) if row is not None else None


def _values(preview: Preview) -> dict[str, Any]:
    values = {field.name: getattr(preview, field.name) for field in dataclasses.fields(preview) if field.name != "id"}
    return values | {"labels": list(preview.labels)}


def _preview(row: sa.Row[Any]) -> Preview:
    return Preview(**{**row._mapping, "labels": tuple(row.labels)})
