"""Jobs: rows that say what is still to be done, claimed by one worker at a time.

Inbox (what Slack and GitHub sent), outbox (what is to be shown) and timers are all jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bot.store.schema import Moment, jobs

LEASE = timedelta(minutes=2)  # renewed while a handler is at work, so that it ends only with the process
ROLLOUT = timedelta(minutes=10)  # in which replicas of two versions, or with two configs, may be at work
UNSETTLED = timedelta(seconds=10)  # what was sent before a process died may take effect for so long

# People wait for the first, rooms watch the second, nobody notices the third.
FIRST, NORMAL, BACKGROUND = 0, 1, 2


class NewJob(msgspec.Struct, frozen=True, gc=False):
    """A job to be stored.

    `delivery`: the sender's own id for it; the same one again is not stored. `subject`: jobs of one subject
    run one after another, and one that is already ready stands for all that are added meanwhile. `patient`: where that
    one was put off, it waits for its time all the same, unless this one is of a better priority.
    `payload`: JSON text.
    """

    kind: str
    payload: str = "{}"
    delivery: str | None = None
    subject: str | None = None
    priority: int = NORMAL
    run_at: datetime | None = None
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its handler gets it. `attempts` counts this one; `failures` those before that broke."""

    id: int
    kind: str
    payload: str
    attempts: int
    created_at: datetime
    delivery: str = ""
    subject: str = ""
    failures: int = 0
    priority: int = NORMAL

    def json(self) -> Any:
        """The payload, parsed."""
        return msgspec.json.decode(self.payload)


def new_job(kind: str, data: dict[str, Any], **options: Any) -> NewJob:
    """A job whose payload is `data`; `options` are the other fields of NewJob."""
    return NewJob(kind, msgspec.json.encode(data).decode(), **options)


def add(connection: sa.Connection, job: NewJob, now: datetime) -> None:
    """Stores one job. The bell rings when its transaction is committed."""
    connection.info["jobs_added"] = True
    alone, sooner, patient = _ADDING[connection.dialect.name]
    connection.execute(alone if job.subject is None else patient if job.patient else sooner, _row(job, now))


def add_received(connection: sa.Connection, received: Sequence[NewJob], now: datetime) -> None:
    """Stores what was received from outside, all in one statement; known deliveries are passed over.

    This is the one insert that must keep pace with a storm of webhooks. The rows go over as one JSON text, since
    binding a thousand values keeps the interpreter from everything else about as long as storing them takes.
    """
    connection.info["jobs_added"] = True
    rows = [(job.kind, job.priority, job.delivery, job.payload) for job in received]
    connection.execute(
        _RECEIVED_SQLITE if connection.dialect.name == "sqlite" else _RECEIVED_POSTGRESQL,
        {"rows": msgspec.json.encode(rows).decode(), "now": now},
    )


_RECEIVED = """
    INSERT INTO jobs (kind, state, priority, delivery, payload, created_at, run_at, attempts, failures)
    SELECT value->>0, 'ready', CAST(value->>1 AS smallint), value->>2, value->>3, :now, :now, 0, 0 FROM {rows}
    WHERE true ON CONFLICT (delivery) DO NOTHING
"""  # the WHERE tells SQLite that ON is no join's
_NOW = sa.bindparam("now", type_=Moment)
_RECEIVED_SQLITE = sa.text(_RECEIVED.format(rows="json_each(:rows)")).bindparams(_NOW)
_RECEIVED_POSTGRESQL = sa.text(_RECEIVED.format(rows="json_array_elements(CAST(:rows AS json))")).bindparams(_NOW)


# What every job goes through is put together once: that takes longer than the database does for it.


def _ready_by_turn() -> sa.Select[tuple[int]]:
    # In an order, so that PostgreSQL goes by the index of what is ready and not by luck through all that is done.
    due = sa.select(jobs.c.id).where(jobs.c.state == sa.literal_column("'ready'"), jobs.c.run_at <= _NOW)
    return due.order_by(jobs.c.priority, jobs.c.run_at, jobs.c.id).limit(1)


def _claiming() -> sa.sql.dml.ReturningUpdate[Any]:
    running = jobs.alias("running")
    busy = (
        sa.select(sa.literal(1))
        .where(running.c.state == sa.literal_column("'running'"), running.c.subject == jobs.c.subject)
        .exists()
    )
    chosen = _ready_by_turn().where(~busy).with_for_update(skip_locked=True)
    taken = [jobs.c[name] for name in ("id", "kind", "payload", "attempts", "created_at")]
    named = [sa.func.coalesce(jobs.c[name], "") for name in ("delivery", "subject")]
    return (
        sa.update(jobs)
        .where(jobs.c.id == chosen.scalar_subquery())
        .values(
            state="running",
            attempts=jobs.c.attempts + 1,
            claimed_by=sa.bindparam("by"),
            lease_until=sa.bindparam("until", type_=Moment),
        )
        .returning(*taken, *named, jobs.c.failures, jobs.c.priority)
    )


def _adding(dialect: Any) -> tuple[sa.Insert, sa.Insert, sa.Insert]:
    """For a job without a subject, for one with, and for one that is patient as well."""
    insert = dialect.insert(jobs)
    # A conflict touches the row that is there: on PostgreSQL that keeps a worker from claiming it before this
    # transaction is committed, and so from acting on what was true before it.
    new = insert.excluded
    earlier = sa.case((jobs.c.run_at <= new.run_at, jobs.c.run_at), else_=new.run_at)
    put_off = sa.and_(jobs.c.attempts > 0, jobs.c.priority <= new.priority)
    sooner = sa.case((jobs.c.priority <= new.priority, jobs.c.priority), else_=new.priority)

    def standing_for(run_at: sa.Case[Any]) -> sa.Insert:
        statement: sa.Insert = insert.on_conflict_do_update(
            index_elements=["subject"],
            index_where=jobs.c.state == sa.literal_column("'ready'"),
            set_={"run_at": run_at, "priority": sooner},
        )
        return statement

    alone: sa.Insert = insert.on_conflict_do_nothing(index_elements=["delivery"])
    return alone, standing_for(earlier), standing_for(sa.case((put_off, jobs.c.run_at), else_=earlier))


_ANY_DUE, _CLAIM = _ready_by_turn(), _claiming()
_ADDING = {"sqlite": _adding(sqlite), "postgresql": _adding(postgresql)}
# Only the claim that does the work may settle it: one that outlived its lease has been handed on.
_CLAIMED = sa.update(jobs).where(
    jobs.c.id == sa.bindparam("job"), jobs.c.state == "running", jobs.c.attempts == sa.bindparam("attempt")
)
_SETTLED = _CLAIMED.values(claimed_by=None, lease_until=None)
_FINISH = _SETTLED.values(state="done", finished_at=sa.bindparam("at", type_=Moment), note=sa.bindparam("why"))


def any_due(connection: sa.Connection, now: datetime) -> bool:
    """Whether there may be something to claim; a look that keeps nobody from writing."""
    return connection.execute(_ANY_DUE, {"now": now}).first() is not None


def claim(connection: sa.Connection, worker: str, now: datetime) -> Job | None:
    """Takes the next job that is due, or None. The claim holds for LEASE."""
    row = connection.execute(_CLAIM, {"now": now, "by": worker, "until": now + LEASE}).one_or_none()
    return Job(*row) if row is not None else None


def finish(connection: sa.Connection, job: Job, now: datetime, note: str | None = None) -> None:
    """The job is done."""
    connection.execute(_FINISH, {**_which(job), "at": now, "why": note})


def bury(connection: sa.Connection, job: Job, now: datetime, note: str) -> bool:
    """The job can't be done: it becomes a dead letter, kept to be looked at and tried again by hand.

    False when the claim is held no more: then whoever has it now decides.
    """
    return _settle(connection, job, state="dead", finished_at=now, note=note)


def put_off(connection: sa.Connection, job: Job, until: datetime, note: str, *, failed: bool = False) -> None:
    """The job is ready again from `until` on; where its subject already has a ready job, that one serves.

    `failed`: not because it was not possible yet, but because something of ours broke.
    """
    connection.info["jobs_added"] = True
    try:
        with connection.begin_nested():
            failures = jobs.c.failures + int(failed)
            _settle(connection, job, state="ready", run_at=until, note=note, failures=failures)
    except sa.exc.IntegrityError:  # tried rather than looked for, since one may be added at this very moment
        _settle(connection, job, state="done", finished_at=until, note=f"taken over by a newer one; {note}")


def renew(connection: sa.Connection, held: Sequence[Job], now: datetime) -> None:
    """Lets the claims of jobs that are being worked on hold for another LEASE."""
    for job in held:
        connection.execute(_CLAIMED.values(lease_until=now + LEASE), _which(job))


def came_to(connection: sa.Connection, delivery: str, outcome: dict[str, Any]) -> None:
    """Stores what a request came to: in the transaction of what it did, or before anybody is told. The first stays."""
    statement = sa.update(jobs).where(jobs.c.delivery == delivery, jobs.c.outcome.is_(None))
    connection.execute(statement.values(outcome=msgspec.json.encode(outcome).decode()))


def outcome(connection: sa.Connection, delivery: str) -> dict[str, Any]:
    """What a request came to; empty while that is open."""
    text = connection.execute(sa.select(jobs.c.outcome).where(jobs.c.delivery == delivery)).scalar_one_or_none()
    return msgspec.json.decode(text, type=dict[str, Any]) if text else {}


def release_expired(connection: sa.Connection, now: datetime) -> int:
    """Makes ready again what a worker claimed and did not finish within its lease; returns how many."""
    return _release(connection, jobs.c.lease_until < now, now)


def release_all(connection: sa.Connection, now: datetime) -> int:
    """Makes every claimed job ready again: for the start of the only process of a SQLite database.

    A request that was under way when the last process died may not have taken effect yet; whoever looks for what
    it did before sending another must not look too soon.
    """
    return _release(connection, sa.true(), now + UNSETTLED)


def forget(connection: sa.Connection, before: datetime, limit: int = 1000) -> int:
    """Deletes up to `limit` jobs that were done before that moment; returns how many. What died is kept."""
    old = (
        sa.select(jobs.c.id)
        .where(jobs.c.state == sa.literal_column("'done'"), jobs.c.finished_at < before)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(sa.delete(jobs).where(jobs.c.id.in_(old))).rowcount


def open_subjects(connection: sa.Connection, subjects: Sequence[str]) -> set[str]:
    """Those of the subjects that have a job, ready or running."""
    found: set[str] = set()
    for state in ("ready", "running"):  # each by its own index
        which = sa.and_(jobs.c.state == sa.literal_column(f"'{state}'"), jobs.c.subject.in_(subjects))
        found |= set(connection.execute(sa.select(jobs.c.subject).where(which)).scalars())
    return found


def waiting(connection: sa.Connection, kind: str) -> list[dict[str, Any]]:
    """What the ready jobs of a kind are about."""
    ready = jobs.c.state == sa.literal_column("'ready'")
    payloads = connection.execute(sa.select(jobs.c.payload).where(ready, jobs.c.kind == kind)).scalars()
    return [msgspec.json.decode(payload) for payload in payloads]


def keep_only(connection: sa.Connection, kind: str, subjects: Sequence[str]) -> None:
    """Deletes the ready jobs of a kind whose subject is none of these."""
    ready = jobs.c.state == sa.literal_column("'ready'")
    connection.execute(sa.delete(jobs).where(ready, jobs.c.kind == kind, jobs.c.subject.not_in(subjects)))


def counts(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """How many unfinished jobs there are by (kind, state)."""
    # One for each state, each by its partial index: what is done is most of the table, and must not be read.
    statement = sa.union_all(
        *(
            sa.select(jobs.c.kind, jobs.c.state, sa.func.count())
            .where(jobs.c.state == sa.literal_column(f"'{state}'"))
            .group_by(jobs.c.kind, jobs.c.state)
            for state in ("ready", "running", "dead")
        )
    )
    return {(kind, state): number for kind, state, number in connection.execute(statement)}


def _row(job: NewJob, now: datetime) -> dict[str, Any]:
    return {
        "kind": job.kind,
        "state": "ready",
        "priority": job.priority,
        "delivery": job.delivery,
        "subject": job.subject,
        "payload": job.payload,
        "created_at": now,
        "run_at": job.run_at or now,
        "attempts": 0,
        "failures": 0,
    }


def _settle(connection: sa.Connection, job: Job, **values: Any) -> bool:
    return connection.execute(_SETTLED.values(**values), _which(job)).rowcount == 1


def _which(job: Job) -> dict[str, int]:
    """The claim that a job is held by, for `_CLAIMED`."""
    return {"job": job.id, "attempt": job.attempts}


def _release(connection: sa.Connection, which: sa.ColumnElement[bool], at: datetime) -> int:
    # In the order in which a verb adds the jobs of a deploy's cards, so that the two never wait for each other.
    claimed = sa.select(jobs).where(jobs.c.state == sa.literal_column("'running'"), which).order_by(jobs.c.subject)
    rows = connection.execute(claimed.with_for_update(skip_locked=True)).all()
    for row in rows:
        lost = Job(row.id, row.kind, row.payload, row.attempts, row.created_at, "", row.subject or "")
        put_off(connection, lost, at, "its worker went away")
    return len(rows)
