"""Fills a database with years of work, by as few statements as can be."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import sqlalchemy as sa

from bot.store import records
from bot.store.engine import Store
from bot.store.schema import Moment, deploys, freezes, jobs, locks, metadata

APPS = ("web", "api", "docs", "mail", "cron")
ENVIRONMENTS = ("production", "staging", "canary", "qa")
LIMITS = "slack: {updates: 600000, posts: 600000, posts_per_room: 600000}\n"  # the bot is measured, not Slack
CONFIG = f"{LIMITS}apps:\n" + "".join(
    f"  {app}: {{repository: acme/{app}, environments: {{{', '.join(f'{place}: {{}}' for place in ENVIRONMENTS)}}}}}\n"
    for app in APPS
)
APART = timedelta(days=3 * 365) / 100_000  # between two deploys: a hundred thousand come together in three years
PULL_REQUESTS = 1000
STEPS = 10  # of each deploy's timeline
HELD = 20  # deploys that wait at this moment
FINDINGS = [{"gate": "approvals", "verdict": "waiting", "code": "approvals", "facts": {}, "again": None}]
CHANGE = {
    "base": "1" * 40,
    "count": 3,
    "url": "https://github.com/acme/web/compare/a...b",
    "subjects": ["Fix the login loop", "Bump httpx", "Trim logs"],
    "behind": 0,
    "live_since": "2026-03-02T09:00:00+00:00",
}


def fill(store: Store, now: datetime, *, size: int = 100_000, events: int = 120_000) -> None:
    """Stores `size` deploys with ten steps of timeline each, a card each, votes; `events` jobs done in the last week, a
    tenth of as many locks and freezes that ended as deploys, a thousand branches, and a timer for each of a thousand.

    They come as thick as a hundred thousand in the three years until `now`; the newest of them wait.
    """
    with store.write() as connection:
        _insert(connection, deploys, _deploys(now, size))
        for statement in (_TIMELINE, _CARDS, _VOTES):
            connection.execute(sa.text(statement))
        _insert(connection, jobs, _jobs(now, events))
        for table in (locks, freezes):
            _insert(connection, table, _ended(table, now, size // 10))
        for app in APPS:
            names = ["main", *(f"topic-{number}" for number in range(PULL_REQUESTS))]
            records.remember(connection, f"refs:acme/{app}", {"default": "main", "names": names}, now)
            records.remember(connection, f"past:acme/{app}", 50, now)
    # As it would have come to be over three years: written out, and on PostgreSQL vacuumed.
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in ("PRAGMA wal_checkpoint(TRUNCATE)",) if store.sqlite else ("VACUUM ANALYZE", "CHECKPOINT"):
            connection.exec_driver_sql(statement)


def sha_of(number: int) -> str:
    """The commit of that deploy: it went through each environment in turn."""
    place, round_ = number % len(APPS), number // (len(APPS) * len(ENVIRONMENTS))
    return hashlib.sha1(f"{place} {round_}".encode()).hexdigest()


def ref_of(number: int) -> str:
    """Its branch: three of seven come from the main one."""
    return "main" if number % 7 < 3 and number % 100 != 5 else f"topic-{number % PULL_REQUESTS}"


def _deploys(now: datetime, size: int) -> Iterator[dict[str, Any]]:
    findings, change = json.dumps(FINDINGS), json.dumps(CHANGE)
    for number in range(1, size + 1):
        app = APPS[number % len(APPS)]
        environment = ENVIRONMENTS[number // len(APPS) % len(ENVIRONMENTS)]
        if number % 100 == 5:
            environment = f"pr-{number // 100 % PULL_REQUESTS}"
        asked_at = now - APART * (size - number)
        held = number > size - HELD
        state = "held" if held else _state(number)
        over = state not in ("created", "held")
        yield {
            "number": number,
            "id": str(uuid.UUID(int=number)),
            "source": f"slack:{number}",
            "origin": "slack",
            "app": app,
            "repository": f"acme/{app}",
            "environment": environment,
            "ref": ref_of(number),
            "sha": sha_of(number),
            "task": "deploy" if number % 11 else "deploy:migrate",
            "hosts": "",
            "forced": False,
            "auto_merge": False,
            "reason": "fix the login loop",
            "subject": "Fix the login loop",
            "user_id": f"U{number % 50:03}",
            "user_name": f"person-{number % 50}",
            "room": "C0OPS",
            "message_id": "",
            "thread_id": "",
            "state": state,
            "asked_at": asked_at,
            "deployment_id": None if held else 1_000_000 + number,
            "created_at": None if held else asked_at,
            "finished_at": asked_at + timedelta(minutes=4) if over else None,
            "last_status_id": 0 if held else number * STEPS,
            "description": "Rolling out",
            "log_url": f"https://ci.example/{number}",
            "environment_url": f"https://{environment}.example/",
            "change": change,
            "findings": findings if held else None,
            "in_line": False,
            "ended_by": "",
            "is_default": False,
            "cause": "",
        }


def _state(number: int) -> str:
    """How it ended. Of those that others made some were never heard of again."""
    return {3: "failure", 7: "failure", 11: "created", 13: "cancelled"}.get(number % 17, "success")


_TIMELINE = f"""
    WITH RECURSIVE step(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM step WHERE n < {STEPS})
    INSERT INTO timeline (deploy, kind, key, at, state, actor, description, log_url, environment_url, late)
    SELECT number, 'status', CAST(number * {STEPS} + n AS VARCHAR(255)), asked_at, 'in_progress', 'ana-gh',
        'Rolling out', log_url, '', false
    FROM deploys CROSS JOIN step ORDER BY number, n
"""
_CARDS = f"""
    INSERT INTO cards (deploy, room, ts, channel, detour, told)
    SELECT number, 'C0OPS', '1700000000.' || number, 'C0OPS', '', number * {STEPS} FROM deploys
"""
_VOTES = """
    INSERT INTO votes (deploy, sha, person, user_id, user_name, approves, reason, policy, at)
    SELECT number, sha, 'U0BEN', 'U0BEN', 'ben', true, '', '{"required": 1, "approvers": []}', asked_at
    FROM deploys WHERE number % 2 = 0
"""


def _jobs(now: datetime, events: int) -> Iterator[dict[str, Any]]:
    """What came in during the last week, and a timer for each of a thousand deploys."""
    apart = timedelta(days=7) / events
    payload = json.dumps({"action": "completed", "check_run": {"name": "ci/build", "output": "x" * 400}})
    common = {"priority": 1, "payload": payload, "attempts": 1, "failures": 0}
    for number in range(events):
        at = now - apart * (events - number)
        kind = "github.check_run" if number % 4 else "slack.command"
        own = {"kind": kind, "state": "done", "delivery": f"event:{number}", "subject": None}
        yield {**common, **own, "created_at": at, "run_at": at, "finished_at": at}
    for number in range(PULL_REQUESTS):
        own = {"kind": "watch", "state": "ready", "delivery": None, "subject": f"watch:{number}"}
        yield {**common, **own, "created_at": now, "run_at": now + timedelta(days=1), "finished_at": None}


def _ended(table: sa.Table, now: datetime, number: int) -> Iterator[dict[str, Any]]:
    """Locks or freezes that somebody ended."""
    extra = {"room": "C0OPS"} if table is locks else {}
    for index in range(number):
        at = now - 10 * APART * (number - index)
        yield {
            "source": f"{table.name}:{index}",
            "app": APPS[index % len(APPS)],
            "environment": "production",
            "user_id": "U0BEN",
            "user_name": "ben",
            "reason": "demo day",
            "at": at,
            "ended_at": at + timedelta(hours=1),
            "ended_by": "U0BEN",
            **extra,
        }


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterator[dict[str, Any]]) -> None:
    """Stores rows past SQLAlchemy, which would take most of the time; moments as the database has them."""
    assert metadata.tables[table.name] is table
    first = next(rows)
    names = list(first)
    moments = {name for name in names if isinstance(table.c[name].type, Moment)}
    quoted = ", ".join(f'"{name}"' for name in names)
    sqlite = connection.dialect.name == "sqlite"

    def values() -> Iterator[list[Any]]:
        for row in chain([first], rows):
            found = [row[name] for name in names]
            for index, name in enumerate(names):
                if name in moments and found[index] is not None:
                    moment = found[index].replace(tzinfo=None)
                    found[index] = moment.isoformat(" ", "microseconds") if sqlite else moment
            yield found

    cursor = connection.connection.cursor()
    if sqlite:
        marks = ", ".join("?" * len(names))
        cursor.executemany(f"INSERT INTO {table.name} ({quoted}) VALUES ({marks})", values())
        return
    with cursor.copy(f"COPY {table.name} ({quoted}) FROM STDIN") as copy:
        for found in values():
            copy.write_row(found)
    serial = next(iter(table.primary_key.columns))
    connection.exec_driver_sql(
        f"SELECT setval(pg_get_serial_sequence('{table.name}', '{serial.name}'), max({serial.name})) FROM {table.name}"
    )
