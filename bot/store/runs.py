"""Runs: deployments that a provider carries out, and the statuses that they still have to write at GitHub.

A run is claimed as a job is, for a LEASE that is renewed for as long as its process lives.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot.deploys import states
from bot.store import logs
from bot.store.jobs import NewJob, add, new_job
from bot.store.schema import reports, runs

REPORT = "report"  # the kind of the jobs that write statuses

LEASE = timedelta(minutes=1)
# After the process that ran it died: what it had started is ended by then, and what it sent has taken effect.
SETTLED = timedelta(seconds=15)

CANCELLED, HANDED_OVER = "cancelled", "handed_over"  # outcomes that are no states
ENDS = frozenset({states.SUCCESS, states.FAILURE, states.ERROR})  # what others may report as the end
HEARD, ENDED, UNPROVEN = "heard", "ended", "unproven"  # what becomes of a callback


@dataclass(frozen=True, slots=True)
class Run:
    """One deployment that a provider of ours carries out. `attempts` counts the one under way; `begun`: an earlier one
    has come as far as the provider."""

    id: int
    deploy: int
    app: str
    environment: str
    repository: str
    deployment_id: int
    creator: str
    state: str
    created_at: datetime
    run_at: datetime
    deadline_at: datetime
    attempts: int
    begun: bool
    cancelled: bool
    log: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    remembered: Mapping[str, Any] = field(default_factory=dict)
    log_url: str = ""
    environment_url: str = ""
    outcome: str = ""
    claimed_by: str | None = None
    lease_until: datetime | None = None
    finished_at: datetime | None = None
    callback: str | None = field(default=None, repr=False)
    told: Mapping[str, str] | None = None

    @property
    def over(self) -> str:
        """How it ended, or how others say that it did; '' while it goes on."""
        if self.state == "done":
            return self.outcome
        if self.cancelled:
            return CANCELLED
        return self.told["state"] if self.told is not None and self.told["state"] in ENDS else ""


@dataclass(frozen=True, slots=True)
class Report:
    """A deployment status that is to be written at GitHub."""

    id: int
    run: int
    state: str
    description: str
    log_url: str
    environment_url: str
    at: datetime
    tried_at: datetime | None = None
    settled_at: datetime | None = None
    status_id: int | None = None


def begin(connection: sa.Connection, values: dict[str, Any], public_url: str, now: datetime) -> Run | None:
    """Stores a run, with its log; None when that deployment has one. `values` are deploy, app, environment,
    repository, deployment_id, creator, payload and deadline_at."""
    known = sa.and_(
        runs.c.repository == values["repository"],
        runs.c.deployment_id == values["deployment_id"],
    )
    if connection.execute(sa.select(runs.c.id).where(known)).first() is not None:
        return None
    log = logs.create(connection, values["deploy"], now)
    row = {
        **values,
        "state": "ready",
        "created_at": now,
        "run_at": now,
        "attempts": 0,
        "begun": False,
        "cancelled": False,
        "remembered": {},
        "log": log,
        "log_url": f"{public_url}/logs/{log}" if public_url else "",
        "environment_url": "",
        "outcome": "",
    }
    connection.info["jobs_added"] = True  # the runner listens to the same bell
    return _run(connection.execute(sa.insert(runs).values(row).returning(runs)).one())


def find(connection: sa.Connection, number: int) -> Run | None:
    """The run of that number."""
    row = connection.execute(sa.select(runs).where(runs.c.id == number)).one_or_none()
    return _run(row) if row is not None else None


def of_deployment(connection: sa.Connection, repository: str, deployment_id: int) -> Run | None:
    """The run of a deployment of GitHub's."""
    same = sa.and_(runs.c.repository == repository, runs.c.deployment_id == deployment_id)
    row = connection.execute(sa.select(runs).where(same)).one_or_none()
    return _run(row) if row is not None else None


def of_deploy(connection: sa.Connection, number: int) -> Run | None:
    """The run of a deploy."""
    row = connection.execute(sa.select(runs).where(runs.c.deploy == number).limit(1)).one_or_none()
    return _run(row) if row is not None else None


def any_due(connection: sa.Connection, now: datetime) -> bool:
    """Whether there may be something to claim."""
    due = sa.select(runs.c.id).where(runs.c.state == sa.literal_column("'ready'"), runs.c.run_at <= now)
    return connection.execute(due.limit(1)).first() is not None


def claim(connection: sa.Connection, worker: str, now: datetime) -> Run | None:
    """Takes the next run that is due in an environment where none is under way. Raises IntegrityError when another
    process took one there in the same moment."""
    running = runs.alias("running")
    busy = (
        sa.select(sa.literal(1))
        .where(
            running.c.state == sa.literal_column("'running'"),
            running.c.app == runs.c.app,
            running.c.environment == runs.c.environment,
        )
        .exists()
    )
    chosen = (
        sa.select(runs.c.id)
        .where(runs.c.state == sa.literal_column("'ready'"), runs.c.run_at <= now, ~busy)
        .order_by(runs.c.run_at, runs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    statement = (
        sa.update(runs)
        .where(runs.c.id == chosen.scalar_subquery())
        .values(state="running", attempts=runs.c.attempts + 1, claimed_by=worker, lease_until=now + LEASE)
        .returning(runs)
    )
    row = connection.execute(statement).one_or_none()
    return _run(row) if row is not None else None


def look(connection: sa.Connection, run: Run) -> tuple[bool, bool]:
    """Whether the claim still holds, and whether the run was cancelled."""
    query = sa.select(runs.c.state, runs.c.attempts, runs.c.cancelled).where(runs.c.id == run.id)
    row = connection.execute(query).one()
    return row.state == "running" and row.attempts == run.attempts, row.cancelled


def renew(connection: sa.Connection, held: Iterable[Run], now: datetime) -> None:
    """Lets the claims of runs that are under way hold for another LEASE."""
    for run in held:
        connection.execute(_claimed(run).values(lease_until=now + LEASE))


def update(connection: sa.Connection, run: Run, **values: Any) -> bool:
    """Changes a run that is under way; False when the claim does not hold any more."""
    return connection.execute(_claimed(run).values(**values)).rowcount == 1


def put_back(connection: sa.Connection, run: Run, at: datetime) -> bool:
    """The run is to be done again from then on; False when the claim does not hold any more."""
    connection.info["jobs_added"] = True
    return update(connection, run, state="ready", run_at=at, claimed_by=None, lease_until=None)


def finish(connection: sa.Connection, run: Run, outcome: str, now: datetime) -> bool:
    """The run has ended; False when the claim does not hold any more."""
    ended = update(connection, run, state="done", outcome=outcome, finished_at=now, claimed_by=None, lease_until=None)
    if ended:
        logs.end(connection, run.log, now)
        connection.info["jobs_added"] = True  # another may wait for its place
    return ended


def cancel(connection: sa.Connection, deploy: int, now: datetime) -> None:
    """The run of a deploy must end: one that has not begun never does, one under way is stopped by its process, and one
    that an earlier attempt has begun is taken up at once, so that what goes on elsewhere is ended."""
    run = of_deploy(connection, deploy)
    if run is None or run.state == "done":
        return
    here = sa.update(runs).where(runs.c.id == run.id)
    ready = here.where(runs.c.state == "ready")
    fresh = ready.where(runs.c.begun == sa.false())
    ended = connection.execute(fresh.values(cancelled=True, state="done", outcome=CANCELLED, finished_at=now)).rowcount
    if ended:
        logs.end(connection, run.log, now)
    else:
        connection.execute(ready.values(cancelled=True, run_at=now))
        connection.execute(here.where(runs.c.state == "running").values(cancelled=True))
        connection.info["jobs_added"] = True
    dropped = sa.update(reports).where(reports.c.run == run.id, reports.c.settled_at.is_(None))
    connection.execute(dropped.values(settled_at=now))


def active(connection: sa.Connection, deploy: int) -> bool:
    """Whether a deploy has a run that has not ended, or an end that GitHub has yet to be told."""
    run = of_deploy(connection, deploy)
    return run is not None and (run.state != "done" or bool(unsettled(connection, run.id)))


def hash_of(token: str) -> str:
    """What is kept of a callback's token."""
    return hashlib.sha256(token.encode()).hexdigest()


def hear(connection: sa.Connection, number: int, token: str, told: Mapping[str, str] | None) -> tuple[str, str]:
    """Keeps what somebody reports on a run with its token, beside the addresses of earlier reports: HEARD; ENDED, and
    how, when it is over and nothing is kept; UNPROVEN when it is not that run's token. Without `told` it is only
    looked whether it would be."""
    query = sa.select(runs).where(runs.c.id == number)
    row = connection.execute(query.with_for_update() if told is not None else query).one_or_none()
    run = _run(row) if row is not None else None
    if not hmac.compare_digest(hash_of(token), (run and run.callback) or ""):
        return UNPROVEN, ""
    assert run is not None
    if run.over:
        return ENDED, run.over
    if told is not None:
        before = run.told or {}
        addresses = {key: told.get(key) or before.get(key, "") for key in ("log_url", "environment_url")}
        connection.execute(sa.update(runs).where(runs.c.id == number).values(told={**told, **addresses}))
    return HEARD, ""


def release_expired(connection: sa.Connection, now: datetime) -> int:
    """Puts back what a process claimed and did not keep; returns how many."""
    return _release(connection, runs.c.lease_until < now, now)


def release_all(connection: sa.Connection, now: datetime) -> int:
    """Puts back every run: for the start of the only process of a SQLite database."""
    return _release(connection, sa.true(), now + SETTLED)


# Reports


def report(
    connection: sa.Connection, run: Run, state: str, description: str, now: datetime, *, at: datetime | None = None
) -> None:
    """Leaves a status to be written at GitHub, from `at` on, after those that were left before."""
    row = connection.execute(sa.select(runs.c.log_url, runs.c.environment_url).where(runs.c.id == run.id)).one()
    connection.execute(
        sa.insert(reports).values(
            run=run.id,
            state=state,
            description=description,
            log_url=row.log_url,
            environment_url=row.environment_url,
            at=now,
        )
    )
    add(connection, _job(run.id, at), now)


def unsettled(connection: sa.Connection, run: int) -> list[Report]:
    """The statuses that are still to be written, in order."""
    query = sa.select(reports).where(reports.c.run == run, reports.c.settled_at.is_(None)).order_by(reports.c.id)
    return [Report(**row._mapping) for row in connection.execute(query)]


def newest_status(connection: sa.Connection, run: int) -> int:
    """GitHub's id of the newest status that the run is known to have written; 0 when there is none."""
    query = sa.select(sa.func.max(reports.c.status_id)).where(reports.c.run == run)
    return connection.execute(query).scalar_one() or 0


def trying(connection: sa.Connection, found: Report, now: datetime) -> None:
    """GitHub is about to be asked for it."""
    connection.execute(sa.update(reports).where(reports.c.id == found.id).values(tried_at=now))


def settle(connection: sa.Connection, found: Report, status_id: int | None, now: datetime) -> None:
    """It is written, under that id of GitHub's, or will never be."""
    statement = sa.update(reports).where(reports.c.id == found.id)
    connection.execute(statement.values(settled_at=now, status_id=status_id))


def _job(run: int, at: datetime | None) -> NewJob:
    return new_job(REPORT, {"run": run}, subject=f"report:{run}", run_at=at)


def _claimed(run: Run) -> sa.Update:
    return sa.update(runs).where(runs.c.id == run.id, runs.c.state == "running", runs.c.attempts == run.attempts)


def _release(connection: sa.Connection, which: sa.ColumnElement[bool], at: datetime) -> int:
    lost = sa.select(runs.c.id).where(runs.c.state == sa.literal_column("'running'"), which)
    numbers = list(connection.execute(lost.with_for_update(skip_locked=True)).scalars())
    if numbers:
        connection.info["jobs_added"] = True
        values = {"state": "ready", "run_at": at, "claimed_by": None, "lease_until": None}
        connection.execute(sa.update(runs).where(runs.c.id.in_(numbers)).values(**values))
    return len(numbers)


def _run(row: sa.Row[Any]) -> Run:
    return Run(**row._mapping)
