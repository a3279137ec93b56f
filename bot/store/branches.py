"""What was last heard of the branches that rules look at, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.deploys.events import PullRequest, Pushed
from bot.store.records import insert
from bot.store.schema import branches


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch: the newest push that we heard of and that asks for a deploy, and the newest merge into it.

    `heard_at` is when a push was last told, whatever it asks for.
    """

    id: int
    repository: str
    name: str
    heard_at: datetime
    heard_sha: str = ""
    pushed_sha: str = ""
    pushed_by: str = ""
    merged_sha: str = ""
    merged_by: str = ""
    merged_at: datetime | None = None
    pull: int | None = None
    author: str = ""


def branch(connection: sa.Connection, number: int) -> Branch | None:
    """The branch of that row."""
    row = connection.execute(sa.select(branches).where(branches.c.id == number)).one_or_none()
    return Branch(**row._mapping) if row is not None else None


def push(connection: sa.Connection, pushed: Pushed, *, asks: bool, now: datetime) -> int:
    """Remembers a push; returns the row's id. `asks`: it is not one that wants no deploy."""
    values: dict[str, Any] = {"heard_at": now, "heard_sha": pushed.sha}
    if asks:
        values |= {"pushed_sha": pushed.sha, "pushed_by": pushed.login}
    row = _row(connection, pushed.repository, pushed.branch, now)
    connection.execute(sa.update(branches).where(branches.c.id == row).values(**values))
    return row


def merge(connection: sa.Connection, pull: PullRequest, now: datetime) -> int:
    """Remembers a merge, unless a newer one is known; returns the row's id."""
    row = _row(connection, pull.repository, pull.base, now)
    newer = sa.or_(branches.c.merged_at.is_(None), branches.c.merged_at <= pull.merged_at)
    connection.execute(
        sa.update(branches)
        .where(branches.c.id == row, newer)
        .values(
            merged_sha=pull.merge_sha,
            merged_by=pull.merged_by,
            merged_at=pull.merged_at,
            pull=pull.number,
            author=pull.author,
        )
    )
    return row


def number(connection: sa.Connection, repository: str, name: str) -> int | None:
    """The id of a branch's row; None where nothing was heard of it."""
    same = sa.and_(branches.c.repository == repository.lower(), branches.c.name == name)
    return connection.execute(sa.select(branches.c.id).where(same)).scalar_one_or_none()


def _row(connection: sa.Connection, repository: str, name: str, now: datetime) -> int:
    """The row of a branch, made where there is none. GitHub does not mind the case of a repository."""
    repository = repository.lower()
    new = insert(connection, branches).values(repository=repository, name=name, heard_at=now)
    connection.execute(new.on_conflict_do_nothing(index_elements=["repository", "name"]))
    found = number(connection, repository, name)
    assert found is not None
    return found
