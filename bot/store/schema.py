"""The tables. Their history is in `migrations/`; a test holds the two together."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """A moment in UTC. Kept without a zone, because SQLite has none; aware on the Python side."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# 64 bits everywhere; SQLite numbers rows by itself only in a column that is spelt INTEGER.
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# What is still to be done: inbox, outbox and timers alike. A row that is done stays for a while, so that a
# delivery that comes again is known; a dead one stays.
jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),  # ready | running | done | dead
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("delivery", sa.String(255)),  # who sent it and under which id; once and never again
    sa.Column("subject", sa.String(255)),  # jobs of one subject never run at the same time, nor wait in pairs
    sa.Column("payload", sa.Text, nullable=False),  # JSON
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("run_at", Moment, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),  # claims; also of a job that was only put off
    sa.Column("failures", sa.Integer, nullable=False),  # attempts in which something of ours broke
    sa.Column("claimed_by", sa.String(64)),
    sa.Column("lease_until", Moment),
    sa.Column("finished_at", Moment),
    sa.Column("note", sa.Text),  # why it was put off, or what it died of
    sa.Column("outcome", sa.Text),  # JSON: what somebody's request came to, known before they are told
    sa.UniqueConstraint("delivery"),
    sqlite_autoincrement=True,
)
_ready = jobs.c.state == "ready"
_running = jobs.c.state == "running"
_done = jobs.c.state == "done"
_dead = jobs.c.state == "dead"
sa.Index("ix_jobs_due", jobs.c.priority, jobs.c.run_at, jobs.c.id, sqlite_where=_ready, postgresql_where=_ready)
sa.Index("ix_jobs_lease", jobs.c.lease_until, sqlite_where=_running, postgresql_where=_running)
sa.Index("ix_jobs_done", jobs.c.finished_at, sqlite_where=_done, postgresql_where=_done)
sa.Index("ix_jobs_dead", jobs.c.kind, sqlite_where=_dead, postgresql_where=_dead)
sa.Index("uq_jobs_ready", jobs.c.subject, unique=True, sqlite_where=_ready, postgresql_where=_ready)
sa.Index("uq_jobs_running", jobs.c.subject, unique=True, sqlite_where=_running, postgresql_where=_running)

deploys = sa.Table(
    "deploys",
    metadata,
    sa.Column("number", Serial, primary_key=True),
    sa.Column("id", sa.String(36), nullable=False),  # travels in the deployment's payload
    sa.Column("source", sa.String(255), nullable=False),  # the command or deployment it came from, once
    sa.Column("origin", sa.String(16), nullable=False),
    sa.Column("app", sa.String(255), nullable=False),
    sa.Column("repository", sa.String(255), nullable=False),
    sa.Column("environment", sa.String(255), nullable=False),
    sa.Column("ref", sa.Text, nullable=False),
    sa.Column("sha", sa.String(64), nullable=False),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("hosts", sa.Text, nullable=False),
    sa.Column("forced", sa.Boolean, nullable=False),
    sa.Column("auto_merge", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("user_name", sa.Text, nullable=False),
    sa.Column("room", sa.String(64), nullable=False),
    sa.Column("message_id", sa.String(64), nullable=False),
    sa.Column("thread_id", sa.String(64), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("asked_at", Moment, nullable=False),
    sa.Column("deployment_id", sa.BigInteger),
    sa.Column("created_at", Moment),
    sa.Column("finished_at", Moment),
    sa.Column("inactive_at", Moment),
    sa.Column("last_status_id", sa.BigInteger, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("log_url", sa.Text, nullable=False),
    sa.Column("environment_url", sa.Text, nullable=False),
    sa.Column("problem", sa.JSON(none_as_null=True)),
    sa.Column("change", sa.JSON(none_as_null=True)),
    sa.Column("pinned_at", Moment),  # since when it is for just this commit
    sa.Column("cleared_at", Moment),  # when every gate had let it through
    sa.Column("sent_at", Moment),  # when GitHub was first asked for the deployment; it may have heard
    sa.Column("slot", sa.String(511)),  # its app and environment while it is under way there: one at a time
    sa.Column("in_line", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("findings", sa.JSON(none_as_null=True)),  # of the newest decision
    sa.Column("deadline_at", Moment),
    sa.Column("ended_by", sa.String(64), nullable=False, server_default=""),
    sa.Column("is_default", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("login", sa.String(100), nullable=False, server_default=""),  # of whoever a rule asked for
    sa.Column("pull", sa.BigInteger),  # the pull request that led to it
    sa.Column("author", sa.String(100), nullable=False, server_default=""),  # of that pull request
    sa.Column("rank", sa.Float),  # among the deploys of its branch, where that is not by number
    sa.Column("cause", sa.String(16), nullable=False, server_default=""),  # retry | push | …
    sa.Column("of", sa.BigInteger),  # the deploy that led to it
    sa.Column("undone_by", sa.BigInteger),  # the rollback that took it back
    sa.Column("preview", sa.BigInteger),  # the preview that it belongs to
    sa.Column("due_at", Moment),  # when it is to go, where a time was named
    sa.Column("judged_at", Moment),  # when, that time having come, its gates were first judged in earnest
    sa.UniqueConstraint("id"),
    sa.UniqueConstraint("source"),
    sa.Index("uq_deploys_slot", "slot", unique=True),
    sa.UniqueConstraint("repository", "deployment_id"),
    sa.Index("ix_deploys_place", "app", "environment", "number"),
    sa.Index("ix_deploys_app", "app", "number"),
    sa.Index("ix_deploys_sha", "app", "sha"),
    sqlite_autoincrement=True,
)
# Of a ref's beginning, since PostgreSQL has no room in an index for a name of thousands of letters. SQLite knows the
# expression again only where it stands in a query as it stands here.
REF_START = 100
ref_start: sa.ColumnElement[str] = sa.func.substr(
    deploys.c.ref, sa.literal_column("1"), sa.literal_column(f"{REF_START}")
)
sa.Index("ix_deploys_ref", deploys.c.app, ref_start, deploys.c.number)
sa.Index("ix_deploys_place_ref", deploys.c.app, deploys.c.environment, ref_start, deploys.c.number)

# Each holds just those rows that are looked for by it, since what succeeded or ended grows without end.
_place = (deploys.c.app, deploys.c.environment)
_newest = (*_place, deploys.c.finished_at, deploys.c.number)
_live = sa.and_(deploys.c.state == "success", deploys.c.inactive_at.is_(None))
sa.Index("ix_deploys_live", *_newest, sqlite_where=_live, postgresql_where=_live)
_whole = sa.and_(deploys.c.state == "success", deploys.c.task == "deploy", deploys.c.hosts == "")
sa.Index("ix_deploys_whole", *_newest, sqlite_where=_whole, postgresql_where=_whole)
_preview = deploys.c.preview.is_not(None)
sa.Index(
    "ix_deploys_preview",
    deploys.c.preview,
    deploys.c.number,
    sqlite_where=_preview,
    postgresql_where=_preview,
)

_open = deploys.c.finished_at.is_(None)
sa.Index("ix_deploys_open", *_place, deploys.c.asked_at, sqlite_where=_open, postgresql_where=_open)
_held = deploys.c.state == "held"
sa.Index("ix_deploys_held", *_place, sqlite_where=_held, postgresql_where=_held)
_expired = deploys.c.state == "expired"
sa.Index("ix_deploys_expired", deploys.c.sha, sqlite_where=_expired, postgresql_where=_expired)
sa.Index("ix_deploys_held_sha", deploys.c.sha, sqlite_where=_held, postgresql_where=_held)

# A row for each environment that was ever decided about: whoever decides there holds it, so that a lock, a vote
# and a deploy of the same moment come one after another.
places = sa.Table(
    "places",
    metadata,
    sa.Column("app", sa.String(255), primary_key=True),
    sa.Column("environment", sa.String(255), primary_key=True),
)

# The branches that rules look at, and where a push last set each.
branches = sa.Table(
    "branches",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("repository", sa.String(255), nullable=False),  # in lower case
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("heard_sha", sa.String(64), nullable=False),
    sa.Column("heard_at", Moment, nullable=False),
    sa.UniqueConstraint("repository", "name"),
    sqlite_autoincrement=True,
)

# Pushes and merges that no rule has looked at yet.
moves = sa.Table(
    "moves",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("branch", sa.BigInteger, sa.ForeignKey("branches.id"), nullable=False),
    sa.Column("sha", sa.String(64), nullable=False),
    sa.Column("merged", sa.Boolean, nullable=False),
    sa.Column("login", sa.String(100), nullable=False),
    sa.Column("pull", sa.BigInteger),
    sa.Column("author", sa.String(100), nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.UniqueConstraint("branch", "sha", "merged"),
    sqlite_autoincrement=True,
)

# Who agreed to what, and what the config asked for then. Rows are added and never changed.
votes = sa.Table(
    "votes",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("deploy", sa.BigInteger, sa.ForeignKey("deploys.number"), nullable=False),
    sa.Column("sha", sa.String(64), nullable=False),
    sa.Column("person", sa.String(255), nullable=False),  # model.Person.key: two accounts of one person are one
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("user_name", sa.Text, nullable=False),
    sa.Column("approves", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("policy", sa.JSON, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.UniqueConstraint("deploy", "sha", "person"),
    sqlite_autoincrement=True,
)

locks = sa.Table(
    "locks",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("source", sa.String(255), nullable=False),  # the command or click that made it, once
    sa.Column("scope", sa.String(511)),  # what it covers while it holds: one lock for each
    sa.Column("app", sa.String(255)),  # NULL: every app
    sa.Column("environment", sa.String(255)),  # NULL: every environment
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("user_name", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("room", sa.String(64), nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Column("ended_at", Moment),
    sa.Column("ended_by", sa.String(64)),  # '' when it ran out
    sa.UniqueConstraint("source"),
    sa.UniqueConstraint("scope"),
    sqlite_autoincrement=True,
)
_locked = locks.c.scope.is_not(None)
sa.Index("ix_locks_holding", locks.c.id, sqlite_where=_locked, postgresql_where=_locked)

# Freezes that people made; those of the config are in the config.
freezes = sa.Table(
    "freezes",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("source", sa.String(255), nullable=False),
    sa.Column("scope", sa.String(511)),
    sa.Column("app", sa.String(255)),
    sa.Column("environment", sa.String(255)),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("user_name", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("until", Moment),
    sa.Column("ended_at", Moment),
    sa.Column("ended_by", sa.String(64)),
    sa.UniqueConstraint("source"),
    sa.UniqueConstraint("scope"),
    sqlite_autoincrement=True,
)
_frozen = freezes.c.scope.is_not(None)
sa.Index("ix_freezes_holding", freezes.c.id, sqlite_where=_frozen, postgresql_where=_frozen)

# Who is who at GitHub, as `login` found out.
logins = sa.Table(
    "logins",
    metadata,
    sa.Column("user_id", sa.String(64), primary_key=True),
    sa.Column("login", sa.String(100), nullable=False),
    sa.Column("at", Moment, nullable=False),
)

# What happened to a deploy, in the order in which we learned of it.
timeline = sa.Table(
    "timeline",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("deploy", sa.BigInteger, sa.ForeignKey("deploys.number"), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("key", sa.String(255), nullable=False),  # GitHub's status id, or what else makes it one event
    sa.Column("at", Moment, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("log_url", sa.Text, nullable=False),
    sa.Column("environment_url", sa.Text, nullable=False),
    sa.Column("late", sa.Boolean, nullable=False),
    sa.UniqueConstraint("deploy", "kind", "key"),
    sa.Index("ix_timeline_deploy", "deploy", "id"),
    sqlite_autoincrement=True,
)

# Deployments that a provider of ours carries out: claimed like jobs, and each attempt by one process at a time.
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("deploy", sa.BigInteger, sa.ForeignKey("deploys.number"), nullable=False),
    sa.Column("app", sa.String(255), nullable=False),
    sa.Column("environment", sa.String(255), nullable=False),
    sa.Column("repository", sa.String(255), nullable=False),
    sa.Column("deployment_id", sa.BigInteger, nullable=False),
    sa.Column("creator", sa.Text, nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),  # the deployment's
    sa.Column("state", sa.String(16), nullable=False),  # ready | running | done
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("run_at", Moment, nullable=False),
    sa.Column("deadline_at", Moment, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("claimed_by", sa.String(64)),
    sa.Column("lease_until", Moment),
    sa.Column("begun", sa.Boolean, nullable=False),  # a provider was told to do it; before that, nothing has happened
    sa.Column("cancelled", sa.Boolean, nullable=False),
    sa.Column("remembered", sa.JSON, nullable=False),  # what the provider left for a later attempt
    sa.Column("log", sa.String(64), nullable=False),
    sa.Column("log_url", sa.Text, nullable=False),
    sa.Column("environment_url", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),  # the state it ended with; handed_over | cancelled
    sa.Column("finished_at", Moment),
    sa.Column("callback", sa.String(64)),  # SHA-256 of the token that others report with
    sa.Column("told", sa.JSON(none_as_null=True)),  # what they reported last
    sa.UniqueConstraint("repository", "deployment_id"),
    sa.Index("ix_runs_deploy", "deploy"),
    sqlite_autoincrement=True,
)
_run_ready = runs.c.state == "ready"
_run_running = runs.c.state == "running"
sa.Index("ix_runs_due", runs.c.run_at, runs.c.id, sqlite_where=_run_ready, postgresql_where=_run_ready)
sa.Index(  # two at once in one environment would undo each other
    "uq_runs_place",
    runs.c.app,
    runs.c.environment,
    unique=True,
    sqlite_where=_run_running,
    postgresql_where=_run_running,
)

# Deployment statuses that a run still has to write at GitHub, and those that it wrote.
reports = sa.Table(
    "reports",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("run", sa.BigInteger, sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("log_url", sa.Text, nullable=False),
    sa.Column("environment_url", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("tried_at", Moment),  # when GitHub was first asked for it; it may have heard
    sa.Column("settled_at", Moment),
    sa.Column("status_id", sa.BigInteger),  # GitHub's; none where a later one stood for it, or GitHub refused
    sa.Index("ix_reports_run", "run", "id"),
    sqlite_autoincrement=True,
)

# What a run says while it works. Who has the id may read it, so it can't be guessed.
logs = sa.Table(
    "logs",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("deploy", sa.BigInteger, sa.ForeignKey("deploys.number"), nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("chunks", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),  # characters
    sa.Column("ended_at", Moment),
    sa.Index("ix_logs_at", "at"),
)
log_chunks = sa.Table(
    "log_chunks",
    metadata,
    sa.Column("log", sa.String(64), sa.ForeignKey("logs.id"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),  # from 1, without gaps
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

# The one message a deploy has in each room that shows it.
cards = sa.Table(
    "cards",
    metadata,
    sa.Column("deploy", sa.BigInteger, sa.ForeignKey("deploys.number"), primary_key=True),
    sa.Column("room", sa.String(64), primary_key=True),
    sa.Column("ts", sa.String(32), nullable=False),  # '' until it is posted
    sa.Column("channel", sa.String(64), nullable=False),  # where it really is: the room, or a direct message
    sa.Column("detour", sa.String(64), nullable=False),  # Slack's word for why it is not in the room
    sa.Column("told", sa.BigInteger, nullable=False),  # the last step of the timeline in its thread
    sa.Column("preview", sa.BigInteger),  # where it goes from one deploy of a preview to the next
    sa.Column("shown", sa.String(64), nullable=False, server_default=""),  # what it says, where its thread waits
    sa.Index("uq_cards_preview", "preview", "room", unique=True),
)

# The pull requests whose apps have previews, as GitHub last told of them, and how far their previews are.
previews = sa.Table(
    "previews",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("key", sa.String(36), nullable=False),  # by which its card is found again
    sa.Column("app", sa.String(255), nullable=False),
    sa.Column("pull", sa.BigInteger, nullable=False),
    sa.Column("environment", sa.String(255), nullable=False),
    sa.Column("repository", sa.String(255), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),  # the repository it comes from; '' when that is gone
    sa.Column("head", sa.Text, nullable=False),
    sa.Column("sha", sa.String(64), nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("open", sa.Boolean, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("heard_at", Moment, nullable=False),
    sa.Column("wanted", sa.Boolean, nullable=False),  # open, and with the label
    sa.Column("due", sa.Boolean, nullable=False),  # what is there is still to be taken down
    sa.Column("asked_sha", sa.String(64), nullable=False),  # what a rule asked for since it was last wanted
    sa.Column("asks", sa.Integer, nullable=False),  # how often one has asked
    sa.Column("doubts", sa.Integer, nullable=False),  # events of one second that tell otherwise: GitHub is asked
    sa.Column("gone", sa.Boolean, nullable=False),
    sa.UniqueConstraint("app", "pull"),
    sqlite_autoincrement=True,
)
# As text, since SQLite takes an index only where a query says just the same.
UNSETTLED, THERE = sa.text("due OR doubts > 0"), sa.text("NOT gone")
sa.Index("ix_previews_unsettled", previews.c.id, sqlite_where=UNSETTLED, postgresql_where=UNSETTLED)
sa.Index("ix_previews_there", previews.c.app, sqlite_where=THERE, postgresql_where=THERE)

# Runs of GitHub Actions that wait for this bot's word: what GitHub was told of each.
protections = sa.Table(
    "protections",
    metadata,
    sa.Column("deploy", sa.BigInteger, sa.ForeignKey("deploys.number"), primary_key=True),
    sa.Column("run", sa.BigInteger, nullable=False),
    sa.Column("asked_at", Moment, nullable=False),
    sa.Column("reports", sa.Integer, nullable=False),  # that GitHub has taken
    sa.Column("told", sa.Text, nullable=False),  # the last of them
    sa.Column("tried_at", Moment),  # when GitHub was first given the answer; it may have heard
    sa.Column("answered_at", Moment),
)

# What GitHub asks reviewers of its own, and what they said; shown in rooms, decided there.
reviews = sa.Table(
    "reviews",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("app", sa.String(255), nullable=False),
    sa.Column("repository", sa.String(255), nullable=False),
    sa.Column("run", sa.BigInteger, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("environment", sa.String(255), nullable=False),
    sa.Column("asked", sa.JSON(none_as_null=True)),  # NULL where the answer was told of first
    sa.Column("answered", sa.JSON(none_as_null=True)),
    sa.Column("at", Moment, nullable=False),
    sa.UniqueConstraint("repository", "run", "attempt", "environment"),
    sqlite_autoincrement=True,
)
review_posts = sa.Table(
    "review_posts",
    metadata,
    sa.Column("review", sa.BigInteger, sa.ForeignKey("reviews.id"), primary_key=True),
    sa.Column("room", sa.String(64), primary_key=True),
    sa.Column("ts", sa.String(32), nullable=False),  # '' until it is posted
    sa.Column("channel", sa.String(64), nullable=False),
)

# The rooms that asked to hear of an app; those of the config are in the config.
subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("room", sa.String(64), primary_key=True),
    sa.Column("app", sa.String(255), primary_key=True),
    sa.Column("environment", sa.String(255), primary_key=True),  # '': every one
    sa.Column("states", sa.JSON, nullable=False),  # []: every one
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Index("ix_subscriptions_app", "app"),
)

# What repositories say of their apps, in the file that an app's `config` points to.
repository_configs = sa.Table(
    "repository_configs",
    metadata,
    sa.Column("app", sa.String(255), primary_key=True),
    sa.Column("repository", sa.String(255), nullable=False),
    sa.Column("path", sa.String(255), nullable=False),
    sa.Column("text", sa.Text),  # of the last good one
    sa.Column("sha", sa.String(64), nullable=False),  # the commit that it was first read at
    sa.Column("blob", sa.String(64), nullable=False),  # git's name for that text
    sa.Column("broken_sha", sa.String(64), nullable=False),
    sa.Column("broken_blob", sa.String(64)),  # of the newest one while it is broken; '' when it is gone
    sa.Column("faults", sa.JSON, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # grows with every change
)

# How fast Slack is written to: one row for each of its limits.
paces = sa.Table(
    "paces",
    metadata,
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("free_at", Moment, nullable=False),  # until when its calls are spent at an even rate
    sa.Column("first_at", Moment, nullable=False),  # when the last of those who wait was told to come again
    sa.Column("rest_at", Moment, nullable=False),  # the same for those who let others go first
    sa.Index("ix_paces_free_at", "free_at"),
)

# Messages that are being posted to Slack, and those that were, where nothing else says so.
sends = sa.Table(
    "sends",
    metadata,
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("at", Moment, nullable=False),  # when it was begun
    sa.Column("channel", sa.String(64), nullable=False),
    sa.Column("ts", sa.String(32), nullable=False),  # '' while nobody knows whether it is there
    sa.Index("ix_sends_at", "at"),
)

# Small facts by name, e.g. which repository's past was read.
facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Index("ix_facts_at", "at"),
)
