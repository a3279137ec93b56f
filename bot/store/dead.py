"""Dead letters and other jobs, for whoever looks after the bot: counted, listed, put back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.store.schema import jobs

_DEAD = jobs.c.state == sa.literal_column("'dead'")
_OPEN = jobs.c.state.in_([sa.literal_column(f"'{state}'") for state in ("ready", "running", "dead")])
_LISTED = [jobs.c[name] for name in ("id", "state", "kind", "created_at", "finished_at", "attempts", "note")]
PAGE = 500  # rows read in one go


def count(connection: sa.Connection, *, since: datetime) -> int:
    """How many dead letters there are that died at that moment or later."""
    query = sa.select(sa.func.count()).where(_DEAD, jobs.c.finished_at >= since)
    return connection.execute(query).scalar_one()


def kinds(connection: sa.Connection) -> dict[str, int]:
    """How many dead letters there are of each kind."""
    query = sa.select(jobs.c.kind, sa.func.count()).where(_DEAD).group_by(jobs.c.kind).order_by(jobs.c.kind)
    return {row.kind: row[1] for row in connection.execute(query)}


def listed(connection: sa.Connection, *, every: bool) -> Iterator[sa.Row[Any]]:
    """The dead letters, oldest first, without what they hold; `every`: all that is not done."""
    query = sa.select(*_LISTED).where(_OPEN if every else _DEAD).order_by(jobs.c.id)
    yield from connection.execution_options(yield_per=PAGE).execute(query)


def numbers(connection: sa.Connection, after: int = 0) -> list[int]:
    """The ids of the next dead letters behind that one, at most PAGE."""
    query = sa.select(jobs.c.id).where(_DEAD, jobs.c.id > after).order_by(jobs.c.id).limit(PAGE)
    return list(connection.execute(query).scalars())


def find(connection: sa.Connection, job_id: int) -> sa.Row[Any] | None:
    """The whole row of a job; None when there is none."""
    return connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).one_or_none()


def revive(connection: sa.Connection, job_id: int, now: datetime) -> bool:
    """Makes a dead letter ready again, with all its attempts; False when it is none (any more).

    Where its subject has a ready job already, that one serves, and the dead one is done with.
    """
    connection.info["jobs_added"] = True
    this = sa.update(jobs).where(jobs.c.id == job_id, _DEAD)
    try:
        with connection.begin_nested():
            revived = this.values(state="ready", run_at=now, failures=0, finished_at=None)
            return connection.execute(revived).rowcount == 1
    except sa.exc.IntegrityError:  # tried rather than looked for, since one may be added at this very moment
        note = sa.literal("taken over by a newer one; ") + sa.func.coalesce(jobs.c.note, "")
        return connection.execute(this.values(state="done", finished_at=now, note=note)).rowcount == 1
