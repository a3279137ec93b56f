"""Deploys, their timeline and their cards, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bot.deploys import states
from bot.deploys.model import Change, Deploy, Problem, Step
from bot.store.schema import cards, deploys, facts, timeline

COLUMNS = [column for column in deploys.c if column.name != "source"]


def add_deploy(connection: sa.Connection, source: str, values: dict[str, Any]) -> Deploy | None:
    """Stores a new deploy and gives it its number; None when `source` has made one already."""
    defaults = {
        "hosts": "",
        "forced": False,
        "auto_merge": False,
        "reason": "",
        "subject": "",
        "user_id": "",
        "user_name": "",
        "login": "",
        "author": "",
        "room": "",
        "message_id": "",
        "thread_id": "",
        "last_status_id": 0,
        "description": "",
        "log_url": "",
        "environment_url": "",
        "in_line": False,
        "ended_by": "",
        "is_default": False,
        "cause": "",
    }
    statement = (
        insert(connection, deploys)
        .values(**{**defaults, **values, "source": source})
        .on_conflict_do_nothing(index_elements=["source"])
        .returning(*COLUMNS)
    )
    row = connection.execute(statement).one_or_none()
    return deploy_of(row) if row is not None else None


def deploy(connection: sa.Connection, number: int, *, lock: bool = False) -> Deploy | None:
    """The deploy of that number. `lock` holds it against other writers until the transaction ends."""
    return _one(connection, deploys.c.number == number, lock=lock)


def deploy_by_source(connection: sa.Connection, source: str, *, lock: bool = False) -> Deploy | None:
    """The deploy that was made of that source. `lock` as in `deploy`."""
    return _one(connection, deploys.c.source == source, lock=lock)


def deploy_by_deployment(connection: sa.Connection, repository: str, deployment_id: int) -> Deploy | None:
    """The deploy that GitHub knows under that id."""
    same = sa.and_(deploys.c.repository == repository, deploys.c.deployment_id == deployment_id)
    return _one(connection, same)


def deploy_by_id(connection: sa.Connection, our_id: str) -> Deploy | None:
    """The deploy whose own id that is."""
    return _one(connection, deploys.c.id == our_id)


def update_deploy(connection: sa.Connection, number: int, **values: Any) -> None:
    """Changes columns of a deploy; a Problem or Change is stored as its facts."""
    for key, value in values.items():
        if isinstance(value, Problem):
            values[key] = value.as_json()
        elif isinstance(value, Change):
            values[key] = _change_json(value)
    connection.execute(sa.update(deploys).where(deploys.c.number == number).values(**values))


def history(
    connection: sa.Connection,
    app: str,
    *,
    environment: str | None = None,
    ref: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[Deploy]:
    """Deploys of an app, newest first; `ref` is a ref's name or the start of a SHA; `before` a number."""
    query = sa.select(*COLUMNS).where(deploys.c.app == app)
    if environment is not None:
        query = query.where(deploys.c.environment == environment)
    if ref is not None:
        named = deploys.c.ref == ref
        if len(ref) >= 7 and all(letter in "0123456789abcdef" for letter in ref.lower()):
            named = sa.or_(named, deploys.c.sha.startswith(ref.lower(), autoescape=True))
        query = query.where(named)
    if before is not None:
        query = query.where(deploys.c.number < before)
    return [deploy_of(row) for row in connection.execute(query.order_by(deploys.c.number.desc()).limit(limit))]


def live(connection: sa.Connection, app: str, environment: str, *, whole: bool = False) -> Deploy | None:
    """The newest success there that GitHub has not called inactive since.

    `whole`: of those alone that put the app everywhere in it, and not another task or some hosts.
    """
    only = (deploys.c.task == "deploy", deploys.c.hosts == "") if whole else ()
    query = (
        sa.select(*COLUMNS)
        .where(
            deploys.c.app == app,
            deploys.c.environment == environment,
            deploys.c.state == sa.literal_column(f"'{states.SUCCESS}'"),
            deploys.c.inactive_at.is_(None),
            *only,
        )
        .order_by(deploys.c.finished_at.desc(), deploys.c.number.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return deploy_of(row) if row is not None else None


def successes(connection: sa.Connection, app: str, environment: str, *, limit: int) -> list[Deploy]:
    """What put the app everywhere in an environment and succeeded, the newest first."""
    query = (
        sa.select(*COLUMNS)
        .where(
            deploys.c.app == app,
            deploys.c.environment == environment,
            deploys.c.state == sa.literal_column(f"'{states.SUCCESS}'"),
            deploys.c.task == "deploy",
            deploys.c.hosts == "",
        )
        .order_by(deploys.c.finished_at.desc(), deploys.c.number.desc())
        .limit(limit)
    )
    return [deploy_of(row) for row in connection.execute(query)]


def under_way(connection: sa.Connection, app: str, environment: str, *, since: datetime) -> list[Deploy]:
    """Deploys to an environment that were asked for after `since` and not over; oldest first, at most 50."""
    query = sa.select(*COLUMNS).where(
        deploys.c.app == app,
        deploys.c.environment == environment,
        deploys.c.finished_at.is_(None),
        deploys.c.asked_at > since,
    )
    return [deploy_of(row) for row in connection.execute(query.order_by(deploys.c.number).limit(50))]


def add_step(connection: sa.Connection, number: int, kind: str, key: str, at: datetime, **values: Any) -> bool:
    """Adds a line to the timeline; False when it is there already."""
    defaults: dict[str, Any] = {
        "state": "",
        "actor": "",
        "description": "",
        "log_url": "",
        "environment_url": "",
        "late": False,
    }
    statement = (
        insert(connection, timeline)
        .values(deploy=number, kind=kind, key=key, at=at, **{**defaults, **values})
        .on_conflict_do_nothing(index_elements=["deploy", "kind", "key"])
        .returning(timeline.c.id)
    )
    return connection.execute(statement).one_or_none() is not None


def steps(connection: sa.Connection, number: int, after: int = 0) -> list[Step]:
    """The timeline of a deploy in the order it was learned, from behind step `after`."""
    query = sa.select(timeline).where(timeline.c.deploy == number, timeline.c.id > after).order_by(timeline.c.id)
    return [
        Step(
            id=row.id,
            deploy=row.deploy,
            kind=row.kind,
            at=row.at,
            state=row.state,
            actor=row.actor,
            description=row.description,
            log_url=row.log_url,
            environment_url=row.environment_url,
            late=row.late,
        )
        for row in connection.execute(query)
    ]


def add_card(connection: sa.Connection, deploy: Deploy, room: str, told: int = 0) -> bool:
    """Gives a deploy a card in a room; False when it has one there, or another one of its preview has."""
    statement = (
        insert(connection, cards)
        .values(
            deploy=deploy.number, room=room, ts="", channel=room, detour="", told=told, tries=0, preview=deploy.preview
        )
        .on_conflict_do_nothing()
        .returning(cards.c.room)
    )
    return connection.execute(statement).one_or_none() is not None


def card(connection: sa.Connection, deploy: Deploy, room: str) -> sa.Row[Any] | None:
    """The card's row: ts ('' until posted), channel, detour, told, tries.

    Of a preview it is the one that all of its deploys share; its `deploy` is the one that it shows now.
    """
    return connection.execute(sa.select(cards).where(_card(deploy, room))).one_or_none()


def card_rooms(connection: sa.Connection, deploy: Deploy) -> list[str]:
    """The rooms that show a deploy, or its preview."""
    query = sa.select(cards.c.room).where(_card(deploy)).order_by(cards.c.room)
    return list(connection.execute(query).scalars())


def update_card(connection: sa.Connection, deploy: Deploy, room: str, **values: Any) -> None:
    connection.execute(sa.update(cards).where(_card(deploy, room)).values(**values))


def hand_over_cards(connection: sa.Connection, preview: int, number: int) -> bool:
    """The cards of a preview show that deploy from now on; False when there are none."""
    taken = sa.update(cards).where(cards.c.preview == preview).values(deploy=number)
    return connection.execute(taken).rowcount > 0


def _card(deploy: Deploy, room: str | None = None) -> sa.ColumnElement[bool]:
    whose = cards.c.deploy == deploy.number if deploy.preview is None else cards.c.preview == deploy.preview
    return whose if room is None else sa.and_(whose, cards.c.room == room)


def fact(connection: sa.Connection, name: str) -> Any | None:
    """What was remembered under that name, or None."""
    return connection.execute(sa.select(facts.c.value).where(facts.c.name == name)).scalar_one_or_none()


def facts_like(connection: sa.Connection, prefix: str) -> dict[str, tuple[Any, datetime]]:
    """Facts whose names start so, with when each was stored."""
    query = sa.select(facts).where(facts.c.name.startswith(prefix, autoescape=True))
    return {row.name: (row.value, row.at) for row in connection.execute(query)}


def remember(connection: sa.Connection, name: str, value: Any, now: datetime) -> None:
    """Stores a fact, over an older one of that name."""
    statement = insert(connection, facts).values(name=name, value=value, at=now)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value, "at": now}))


def remember_newest(connection: sa.Connection, name: str, number: int, now: datetime) -> bool:
    """Stores a number under that name unless a greater one is there; False when one is."""
    new = insert(connection, facts).values(name=name, value=number, at=now)
    connection.execute(new.on_conflict_do_nothing(index_elements=["name"]))
    known = connection.execute(sa.select(facts.c.value).where(facts.c.name == name).with_for_update()).scalar_one()
    if known > number:
        return False
    connection.execute(sa.update(facts).where(facts.c.name == name).values(value=number, at=now))
    return True


def forget(connection: sa.Connection, prefix: str, before: datetime) -> None:
    """Deletes facts whose names start so and that were stored before that moment."""
    old = sa.and_(facts.c.name.startswith(prefix, autoescape=True), facts.c.at < before)
    connection.execute(sa.delete(facts).where(old))


def _one(connection: sa.Connection, condition: sa.ColumnElement[bool], *, lock: bool = False) -> Deploy | None:
    query = sa.select(*COLUMNS).where(condition)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return deploy_of(row) if row is not None else None


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT of the database's own dialect, which knows ON CONFLICT."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def deploy_of(row: sa.Row[Any]) -> Deploy:
    """The deploy in a row of COLUMNS."""
    values = dict(row._mapping)
    values["problem"] = Problem.from_json(values["problem"])
    values["change"] = _change(values["change"])
    values["findings"] = values["findings"] or ()
    return Deploy(**values)


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "base": change.base,
        "count": change.count,
        "url": change.url,
        "subjects": list(change.subjects),
        "behind": change.behind,
        "live_since": change.live_since.isoformat() if change.live_since else None,
    }


def _change(value: dict[str, Any] | None) -> Change | None:
    if not value:
        return None
    since = value["live_since"]
    return Change(
        base=value["base"],
        count=value["count"],
        url=value["url"],
        subjects=tuple(value["subjects"]),
        behind=value["behind"],
        live_since=datetime.fromisoformat(since) if since else None,
    )
