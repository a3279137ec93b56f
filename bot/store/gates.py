"""What the gates look at, as rows: places, votes, locks, freezes, and who is who at GitHub."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.deploys import states
from bot.deploys.model import PROTECTED, Deploy, Freezing, Lock, Vote
from bot.deploys.policy import Ahead
from bot.store.records import COLUMNS, deploy_of, insert
from bot.store.schema import deploys, freezes, locks, logins, places, votes

_HELD = deploys.c.state == sa.literal_column(f"'{states.HELD}'")


def claim(connection: sa.Connection, wanted: Iterable[tuple[str, str]]) -> None:
    """Holds (app, environment) pairs until the transaction ends: who decides there does so alone.

    Always before a deploy's row is held, and in one order, so that no two wait for each other.
    """
    for app, environment in sorted(set(wanted)):
        connection.execute(insert(connection, places).values(app=app, environment=environment).on_conflict_do_nothing())
        same = sa.and_(places.c.app == app, places.c.environment == environment)
        connection.execute(sa.select(places).where(same).with_for_update())


# The line


def running(connection: sa.Connection, app: str, environment: str) -> Deploy | None:
    """The deploy that is under way there, of those that this bot made."""
    row = connection.execute(sa.select(*COLUMNS).where(deploys.c.slot == slot(app, environment))).one_or_none()
    return deploy_of(row) if row is not None else None


def slot(app: str, environment: str) -> str:
    """The key under which one deploy at a time is under way. Names hold no blank."""
    return f"{app} {environment}"


def held(
    connection: sa.Connection,
    *,
    places: Iterable[tuple[str, str]] | None = None,
    repository: str | None = None,
    sha: str | None = None,
    in_line: bool | None = None,
    scheduled: bool = False,
) -> list[Deploy]:
    """Deploys that wait, by number: in those places, of that repository and commit, in line or not, or of those alone
    whose time has not come."""
    query = sa.select(*COLUMNS).where(_HELD)
    if places is not None:
        query = query.where(sa.tuple_(deploys.c.app, deploys.c.environment).in_(list(places)))
    if repository is not None:
        query = query.where(sa.func.lower(deploys.c.repository) == repository.lower())
    if sha is not None:
        query = query.where(deploys.c.sha == sha)
    if in_line is not None:
        query = query.where(deploys.c.in_line.is_(in_line))
    if scheduled:
        query = query.where(deploys.c.due_at.is_not(None), deploys.c.judged_at.is_(None))
    # In order only now: asked for it, SQLite reads every deploy there ever was, for their being in order already.
    return sorted((deploy_of(row) for row in connection.execute(query)), key=lambda deploy: deploy.number)


def ahead(connection: sa.Connection, deploy: Deploy) -> list[Ahead]:
    """Who goes before a deploy: the one under way, then those in line that asked before. One that is not stored yet
    (its number is 0) comes behind all of them."""
    under_way = running(connection, deploy.app, deploy.environment)
    found = []
    if under_way is not None and under_way.number != deploy.number:
        found.append(Ahead(under_way.number, under_way.user_id, under_way.user_name, running=True))
    waiting = held(connection, places=[(deploy.app, deploy.environment)], in_line=True)
    found += [
        Ahead(other.number, other.user_id, other.user_name, running=False)
        for other in waiting
        if not deploy.number or other.number < deploy.number
    ]
    return found


def twin(
    connection: sa.Connection,
    app: str,
    environment: str,
    *,
    sha: str,
    task: str,
    hosts: str,
    forced: bool,
    due_at: datetime | None = None,
    of_github: bool = True,
) -> Deploy | None:
    """A deploy that waits or is under way and is for just the same. One that is to go later is the same only as
    another for that very time, which is then `due_at`. `of_github`: also what waits at GitHub, which carries it out
    itself."""
    later = sa.and_(deploys.c.due_at.is_not(None), deploys.c.judged_at.is_(None))
    there = sa.select(*COLUMNS).where(
        deploys.c.app == app,
        deploys.c.environment == environment,
        deploys.c.sha == sha,
        deploys.c.task == task,
        deploys.c.hosts == hosts,
        deploys.c.forced.is_(forced),
    )
    # One after the other: for both in one, SQLite would go through all that was ever deployed there.
    timed = sa.not_(later) if due_at is None else sa.and_(later, deploys.c.due_at == due_at)
    mine = sa.true() if of_github else deploys.c.origin != PROTECTED
    waiting = there.where(_HELD, timed, mine).order_by(deploys.c.number).limit(1)
    under_way = there.where(deploys.c.slot == slot(app, environment))
    queries = (under_way, waiting) if due_at is None else (waiting,)
    rows = [row for query in queries if (row := connection.execute(query).one_or_none()) is not None]
    return min(map(deploy_of, rows), key=lambda deploy: deploy.number, default=None)


# Votes


def add_vote(connection: sa.Connection, vote: Vote) -> bool:
    """Adds what a person says about a commit; False when they have said something about it already."""
    statement = (
        insert(connection, votes)
        .values(
            deploy=vote.deploy,
            sha=vote.sha,
            person=vote.person,
            user_id=vote.user_id,
            user_name=vote.user_name,
            approves=vote.approves,
            reason=vote.reason,
            policy=dict(vote.policy),
            at=vote.at,
        )
        .on_conflict_do_nothing(index_elements=["deploy", "sha", "person"])
        .returning(votes.c.id)
    )
    return connection.execute(statement).one_or_none() is not None


_VOTES_ON = (
    sa.select(*(votes.c[field.name] for field in dataclasses.fields(Vote)))
    .where(votes.c.deploy.in_(sa.bindparam("numbers", expanding=True)))
    .order_by(votes.c.id)
)


def votes_on(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, list[Vote]]:
    """What was said about deploys, in the order in which it was."""
    found: dict[int, list[Vote]] = {number: [] for number in numbers}
    for row in connection.execute(_VOTES_ON, {"numbers": numbers}) if numbers else ():
        found[row.deploy].append(Vote(*row))
    return found


# Locks


def add_lock(connection: sa.Connection, source: str, values: dict[str, Any]) -> Lock | None:
    """Stores a lock; None when that scope is locked, or `source` made one before."""
    scope = _scope(values["app"], values["environment"])
    _clear(connection, locks, locks.c.expires_at, scope, values["at"])
    statement = insert(connection, locks).values(**values, source=source, scope=scope).on_conflict_do_nothing()
    row = connection.execute(statement.returning(locks)).one_or_none()
    return _lock(row) if row is not None else None


def lock_by_source(connection: sa.Connection, source: str) -> Lock | None:
    """The lock that a command or click made, whether it holds or not."""
    row = connection.execute(sa.select(locks).where(locks.c.source == source)).one_or_none()
    return _lock(row) if row is not None else None


def lock_by_id(connection: sa.Connection, number: int) -> Lock | None:
    """A lock that holds."""
    row = connection.execute(sa.select(locks).where(locks.c.id == number, locks.c.scope.is_not(None))).one_or_none()
    return _lock(row) if row is not None else None


def locks_known(connection: sa.Connection, numbers: Sequence[int]) -> list[Lock]:
    """The locks of these ids, whether they hold or not."""
    rows = connection.execute(sa.select(locks).where(locks.c.id.in_(numbers)).order_by(locks.c.id))
    return [_lock(row) for row in rows]


def lock_on(connection: sa.Connection, app: str | None, environment: str | None, now: datetime) -> Lock | None:
    """The lock of exactly that scope, if one holds."""
    query = sa.select(locks).where(locks.c.scope == _scope(app, environment), _not_over(locks.c.expires_at, now))
    row = connection.execute(query).one_or_none()
    return _lock(row) if row is not None else None


def all_locks(connection: sa.Connection, now: datetime) -> list[Lock]:
    """The locks that hold, oldest first; one that ran out holds no more, whether that was noticed or not."""
    query = sa.select(locks).where(locks.c.scope.is_not(None), _not_over(locks.c.expires_at, now)).order_by(locks.c.id)
    return [_lock(row) for row in connection.execute(query)]


def locks_over(connection: sa.Connection, app: str, environment: str, now: datetime) -> list[Lock]:
    """The locks that keep others from deploying there."""
    return [lock for lock in all_locks(connection, now) if lock.covers(app, environment)]


def end_lock(connection: sa.Connection, number: int, user_id: str, now: datetime) -> bool:
    """Lets a lock hold no more; False when it did not. `user_id` is '' for one that ran out."""
    statement = (
        sa.update(locks)
        .where(locks.c.id == number, locks.c.scope.is_not(None))
        .values(scope=None, ended_at=now, ended_by=user_id)
    )
    return connection.execute(statement).rowcount > 0


# Freezes


def add_freeze(connection: sa.Connection, source: str, values: dict[str, Any]) -> Freezing | None:
    """Stores a freeze; None when that scope is frozen by somebody, or `source` made one before."""
    scope = _scope(values["app"], values["environment"])
    _clear(connection, freezes, freezes.c.until, scope, values["at"])
    statement = insert(connection, freezes).values(**values, source=source, scope=scope).on_conflict_do_nothing()
    row = connection.execute(statement.returning(freezes)).one_or_none()
    return _freezing(row) if row is not None else None


def freeze_by_source(connection: sa.Connection, source: str) -> Freezing | None:
    """The freeze that a command made, whether it holds or not."""
    row = connection.execute(sa.select(freezes).where(freezes.c.source == source)).one_or_none()
    return _freezing(row) if row is not None else None


def freeze_known(connection: sa.Connection, number: int) -> Freezing:
    """The freeze of that id, whether it holds or not."""
    return _freezing(connection.execute(sa.select(freezes).where(freezes.c.id == number)).one())


def freeze_on(connection: sa.Connection, app: str | None, environment: str | None, now: datetime) -> Freezing | None:
    """The freeze of exactly that scope that somebody made, if one holds."""
    row = connection.execute(
        sa.select(freezes).where(freezes.c.scope == _scope(app, environment), _not_over(freezes.c.until, now))
    ).one_or_none()
    return _freezing(row) if row is not None else None


def all_freezes(connection: sa.Connection, now: datetime) -> list[Freezing]:
    """The freezes of people that hold, oldest first."""
    query = (
        sa.select(freezes).where(freezes.c.scope.is_not(None), _not_over(freezes.c.until, now)).order_by(freezes.c.id)
    )
    return [_freezing(row) for row in connection.execute(query)]


def end_freeze(
    connection: sa.Connection, app: str | None, environment: str | None, user_id: str, now: datetime
) -> None:
    """Ends the freeze of exactly that scope, if there is one."""
    connection.execute(
        sa.update(freezes)
        .where(freezes.c.scope == _scope(app, environment))
        .values(scope=None, ended_at=now, ended_by=user_id)
    )


# Logins


def login_of(connection: sa.Connection, user_id: str) -> str:
    """A person's login at GitHub as `login` found it; '' when it has not."""
    query = sa.select(logins.c.login).where(logins.c.user_id == user_id)
    return connection.execute(query).scalar_one_or_none() or ""


def user_of(connection: sa.Connection, login: str) -> str:
    """The Slack user who has that login at GitHub, as `login` found it; '' when nobody has."""
    query = sa.select(logins.c.user_id).where(sa.func.lower(logins.c.login) == login.lower()).order_by(logins.c.at)
    return connection.execute(query.limit(1)).scalar_one_or_none() or ""


def logins_of(connection: sa.Connection, user_ids: Iterable[str]) -> dict[str, str]:
    """The same of many; those that are not known are left out."""
    query = sa.select(logins.c.user_id, logins.c.login).where(logins.c.user_id.in_(sorted(set(user_ids))))
    return {row.user_id: row.login for row in connection.execute(query)}


def link(connection: sa.Connection, user_id: str, login: str, now: datetime) -> None:
    """Remembers who somebody is at GitHub."""
    statement = insert(connection, logins).values(user_id=user_id, login=login, at=now)
    changed = {"login": login, "at": now}
    connection.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=changed))


def unlink(connection: sa.Connection, user_id: str) -> bool:
    """Forgets it; False when nothing was known."""
    return connection.execute(sa.delete(logins).where(logins.c.user_id == user_id)).rowcount > 0


def _scope(app: str | None, environment: str | None) -> str:
    """What a lock or freeze covers, as a key. No name holds a blank or a star."""
    return f"{app or '*'} {environment or '*'}"


def _not_over(ends: sa.Column[datetime], now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(ends.is_(None), ends > now)


def _clear(connection: sa.Connection, table: sa.Table, ends: sa.Column[datetime], scope: str, now: datetime) -> None:
    """Makes room for a new one where the old one has run out and nobody has noticed yet."""
    ended = sa.update(table).where(table.c.scope == scope, ends <= now)
    connection.execute(ended.values(scope=None, ended_at=ends, ended_by=""))


def _lock(row: sa.Row[Any]) -> Lock:
    names = "id app environment user_id user_name reason room at expires_at".split()
    return Lock(**{name: getattr(row, name) for name in names})


def _freezing(row: sa.Row[Any]) -> Freezing:
    return Freezing(
        id=row.id,
        app=row.app,
        environment=row.environment,
        name="",
        reason=row.reason,
        user_id=row.user_id,
        user_name=row.user_name,
        since=row.at,
        until=row.until,
    )
