"""Deploys, their timeline and their cards, as rows."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bot.deploys import states
from bot.deploys.model import BY_BRANCH, ELSEWHERE, Change, Deploy, Problem, Step
from bot.store.schema import REF_START, cards, deploys, facts, ref_start, timeline

COLUMNS = [column for column in deploys.c if column.name != "source"]
# Spelt out rather than bound, so that a database sees that a partial index has what is asked for.
_SUCCESS = deploys.c.state == sa.literal_column(f"'{states.SUCCESS}'")
LIVE = (_SUCCESS, deploys.c.inactive_at.is_(None))
WHOLE = (deploys.c.task == sa.literal_column("'deploy'"), deploys.c.hosts == sa.literal_column("''"))
_LAST = (deploys.c.finished_at.desc(), deploys.c.number.desc())


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
    return _one(connection, _BY_NUMBER, lock=lock, number=number)


def deploys_by_number(connection: sa.Connection, numbers: Collection[int]) -> list[Deploy]:
    """The deploys of those numbers, by number."""
    query = sa.select(*COLUMNS).where(deploys.c.number.in_(numbers)).order_by(deploys.c.number)
    return [deploy_of(row) for row in connection.execute(query)] if numbers else []


def deploy_by_source(connection: sa.Connection, source: str, *, lock: bool = False) -> Deploy | None:
    """The deploy that was made of that source. `lock` as in `deploy`."""
    return _one(connection, _BY_SOURCE, lock=lock, source=source)


def deploy_by_deployment(connection: sa.Connection, repository: str, deployment_id: int) -> Deploy | None:
    """The deploy that GitHub knows under that id."""
    return _one(connection, _BY_DEPLOYMENT, repository=repository, deployment_id=deployment_id)


def deploy_by_id(connection: sa.Connection, our_id: str) -> Deploy | None:
    """The deploy whose own id that is."""
    return _one(connection, _BY_ID, id=our_id)


def update_deploy(connection: sa.Connection, number: int, **values: Any) -> None:
    """Changes columns of a deploy; a Problem or Change is stored as its facts."""
    for key, value in values.items():
        if isinstance(value, Problem):
            values[key] = value.as_json()
        elif isinstance(value, Change):
            values[key] = _change_json(value)
    connection.execute(sa.update(deploys).where(deploys.c.number == number).values(**values))


def live(connection: sa.Connection, app: str, environment: str, *, whole: bool = False) -> Deploy | None:
    """The newest success there that GitHub has not called inactive since.

    `whole`: of those alone that put the app everywhere in it, and not another task or some hosts.
    """
    only = WHOLE if whole else ()
    query = sa.select(*COLUMNS).where(_in(app, environment), *LIVE, *only).order_by(*_LAST).limit(1)
    row = connection.execute(query).one_or_none()
    return deploy_of(row) if row is not None else None


def successes(connection: sa.Connection, app: str, environment: str, *, limit: int) -> list[Deploy]:
    """What put the app everywhere in an environment and succeeded, the newest first."""
    query = sa.select(*COLUMNS).where(_in(app, environment), _SUCCESS, *WHOLE).order_by(*_LAST).limit(limit)
    return [deploy_of(row) for row in connection.execute(query)]


def by_rule(connection: sa.Connection, app: str, environment: str, *, ref: str, limit: int) -> list[Deploy]:
    """What rules asked for there because of that branch, the newest commit first."""
    query = (
        sa.select(*COLUMNS)
        .where(_in(app, environment), *_named(ref), deploys.c.cause.in_(BY_BRANCH))
        .order_by(deploys.c.number.desc())
        .limit(limit)
    )
    found = [deploy_of(row) for row in connection.execute(query)]
    return sorted(found, key=lambda deploy: deploy.standing, reverse=True)


def asked(connection: sa.Connection, app: str, environment: str, ref: str, sha: str, *, since: int) -> Deploy | None:
    """The newest deploy of that ref and commit to the whole environment, from number `since` on."""
    query = (
        sa.select(*COLUMNS)
        .where(
            _in(app, environment),
            *_named(ref),
            deploys.c.number >= since,
            deploys.c.sha == sha,
            deploys.c.task == "deploy",
            deploys.c.hosts == "",
        )
        .order_by(deploys.c.number.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return deploy_of(row) if row is not None else None


def expired(connection: sa.Connection, repository: str, sha: str, *, cause: str) -> list[Deploy]:
    """Deploys of a commit that were asked for because of `cause` and given up since they waited too long."""
    query = sa.select(*COLUMNS).where(
        deploys.c.sha == sha,
        deploys.c.cause == cause,
        deploys.c.state == sa.literal_column(f"'{states.EXPIRED}'"),
        sa.func.lower(deploys.c.repository) == repository.lower(),
    )
    return [deploy_of(row) for row in connection.execute(query)]


def of_commit(connection: sa.Connection, repository: str, environment: str, sha: str) -> list[Deploy]:
    """The newest deploys of a commit in an environment of a repository, whichever app of it they are of."""
    query = (
        sa.select(*COLUMNS)
        .where(
            deploys.c.sha == sha,
            deploys.c.environment == environment,
            sa.func.lower(deploys.c.repository) == repository.lower(),
        )
        .order_by(deploys.c.number.desc())
        .limit(20)
    )
    return [deploy_of(row) for row in connection.execute(query)]


def open_at_github(connection: sa.Connection, *, since: datetime) -> list[int]:
    """The numbers of deploys that have a deployment and are not over; of those that others made, the ones made after
    `since`."""
    young = sa.or_(deploys.c.origin != ELSEWHERE, deploys.c.asked_at >= since)
    which = sa.and_(deploys.c.finished_at.is_(None), deploys.c.deployment_id.is_not(None), young)
    return list(connection.execute(sa.select(deploys.c.number).where(which)).scalars())


def _named(ref: str) -> tuple[sa.ColumnElement[bool], ...]:
    return ref_start == ref[:REF_START], deploys.c.ref == ref


def _in(app: str, environment: str) -> sa.ColumnElement[bool]:
    return sa.and_(deploys.c.app == app, deploys.c.environment == environment)


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


def known_statuses(connection: sa.Connection, number: int) -> set[int]:
    """GitHub's ids of the statuses that are in a deploy's timeline."""
    which = sa.and_(timeline.c.deploy == number, timeline.c.kind == "status")
    return {int(key) for key in connection.execute(sa.select(timeline.c.key).where(which)).scalars()}


def heard_at(connection: sa.Connection, number: int) -> datetime | None:
    """When the newest status of a deploy was reported; None before the first."""
    which = sa.and_(timeline.c.deploy == number, timeline.c.kind == "status")
    newest: datetime | None = connection.execute(sa.select(sa.func.max(timeline.c.at)).where(which)).scalar()
    return newest


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
        .values(deploy=deploy.number, room=room, ts="", channel=room, detour="", told=told, preview=deploy.preview)
        .on_conflict_do_nothing()
        .returning(cards.c.room)
    )
    return connection.execute(statement).one_or_none() is not None


def card(connection: sa.Connection, deploy: Deploy, room: str) -> sa.Row[Any] | None:
    """The card's row: ts ('' until posted), channel, detour, told, shown.

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


def fact_at(connection: sa.Connection, name: str) -> tuple[Any, datetime] | None:
    """What was remembered under that name and when, or None."""
    row = connection.execute(sa.select(facts.c.value, facts.c.at).where(facts.c.name == name)).one_or_none()
    return (row.value, row.at) if row is not None else None


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


def _by(*names: str) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Finds the deploy with these columns, without and with holding it. Putting so many columns together takes longer
    than finding it does, so that is done once."""
    query = sa.select(*COLUMNS).where(*(deploys.c[name] == sa.bindparam(name) for name in names))
    return query, query.with_for_update()


_BY_NUMBER, _BY_SOURCE, _BY_ID = _by("number"), _by("source"), _by("id")
_BY_DEPLOYMENT = _by("repository", "deployment_id")


def _one(
    connection: sa.Connection, queries: tuple[sa.Select[Any], sa.Select[Any]], *, lock: bool = False, **values: object
) -> Deploy | None:
    row = connection.execute(queries[lock], values).one_or_none()
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
