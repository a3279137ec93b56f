"""What was heard of the branches that rules look at and nobody has looked at yet, as rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from bot.store.records import insert
from bot.store.schema import branches, moves


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch. `heard_sha` is where the push that was told last had set it, `heard_at` when that was told, or a merge
    into it."""

    id: int
    repository: str
    name: str
    heard_sha: str
    heard_at: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """A commit that a branch came to, by a push or by a merged pull request, and whose account did it."""

    id: int
    sha: str
    merged: bool
    login: str
    pull: int | None
    author: str
    at: datetime


def branch(connection: sa.Connection, number: int) -> Branch | None:
    """The branch of that row."""
    row = connection.execute(sa.select(branches).where(branches.c.id == number)).one_or_none()
    return Branch(**row._mapping) if row is not None else None


def newest(connection: sa.Connection, limit: int) -> list[Branch]:
    """Those that something was heard of last."""
    query = sa.select(branches).order_by(branches.c.heard_at.desc(), branches.c.id.desc()).limit(limit)
    return [Branch(**row._mapping) for row in connection.execute(query)]


def known(connection: sa.Connection, repository: str, name: str) -> int | None:
    """The id of a branch's row; None where nothing was heard of it."""
    same = sa.and_(branches.c.repository == repository.lower(), branches.c.name == name)
    return connection.execute(sa.select(branches.c.id).where(same)).scalar_one_or_none()


def heard(connection: sa.Connection, repository: str, name: str, now: datetime, sha: str | None = None) -> int:
    """Remembers that a branch was spoken of, and at which `sha` where it was a push; returns the row's id.

    GitHub does not mind the case of a repository.
    """
    values = {"heard_sha": sha or "", "heard_at": now}
    new = insert(connection, branches).values(repository=repository.lower(), name=name, **values)
    changed = values if sha is not None else {"heard_at": now}  # the push that merges is told in a moment
    connection.execute(new.on_conflict_do_update(index_elements=["repository", "name"], set_=changed))
    found = known(connection, repository, name)
    assert found is not None
    return found


def add_move(
    connection: sa.Connection,
    number: int,
    sha: str,
    login: str,
    at: datetime,
    *,
    merged: bool = False,
    pull: int | None = None,
    author: str = "",
) -> None:
    """Stores where a branch came to, unless that waits to be looked at already."""
    values = {"branch": number, "sha": sha, "merged": merged, "login": login, "pull": pull, "author": author, "at": at}
    connection.execute(insert(connection, moves).values(**values).on_conflict_do_nothing())


def moves_of(connection: sa.Connection, number: int) -> list[Move]:
    """What nobody has looked at yet, the newest first as far as is known."""
    columns = [column for column in moves.c if column.name != "branch"]
    query = sa.select(*columns).where(moves.c.branch == number).order_by(moves.c.at.desc(), moves.c.id.desc())
    return [Move(**row._mapping) for row in connection.execute(query)]


def forget_moves(connection: sa.Connection, looked_at: Iterable[Move]) -> None:
    """These were looked at."""
    connection.execute(sa.delete(moves).where(moves.c.id.in_([move.id for move in looked_at])))
