"""Signed requests to a bot's doors, byte by byte: what a well-behaved simulator would never send."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import sqlalchemy as sa

from bot.playground.slack import sign
from bot.store.schema import jobs
from tests.world import WEBHOOK_SECRET, World

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
CLIENT = httpx.Client(trust_env=False, timeout=30)

COMMAND = {
    "command": "/deploy",
    "text": "help",
    "user_id": "U0ANA",
    "user_name": "ana",
    "channel_id": "C0OPS",
    "team_id": "T0TEAM",
}


def to_slack_door(
    world: World,
    body: bytes,
    content_type: str = FORM,
    *,
    at: float | None = None,
    **headers: str | bytes,
) -> httpx.Response:
    """POSTs bytes to /slack/events with Slack's signature; `headers` come instead (`_` stands for `-`)."""
    timestamp = str(int(time.time() if at is None else at))
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    signed: dict[str, str | bytes] = {
        "content-type": content_type,
        "x-slack-request-timestamp": timestamp,
        "x-slack-signature": sign(world.slack.signing_secret, timestamp, body),
    }
    return _post(f"{world.servers.bot_url}/slack/events", body, signed | given)


def to_github_door(
    world: World,
    body: bytes,
    event: str = "deployment_status",
    *,
    content_type: str = JSON,
    delivery: str | None = None,
    **headers: str | bytes,
) -> httpx.Response:
    """POSTs bytes to /github/webhooks with GitHub's signature; `headers` come instead (`_` stands for `-`)."""
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    signed: dict[str, str | bytes] = {
        "content-type": content_type,
        "x-github-event": event,
        "x-github-delivery": delivery or str(uuid.uuid4()),
        "x-hub-signature-256": "sha256=" + hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest(),
    }
    return _post(f"{world.servers.bot_url}/github/webhooks", body, signed | given)


def stream(url: str, parts: Iterable[bytes], **headers: str) -> httpx.Response:
    """POSTs a body piece by piece, without saying how long it will be."""
    return CLIENT.post(
        url, content=iter(parts), headers={key.replace("_", "-"): value for key, value in headers.items()}
    )


def stored(world: World) -> list[dict[str, Any]]:
    """What was received and stored, in its order."""
    with world.store.read() as connection:
        query = sa.select(jobs.c.payload).where(jobs.c.delivery.is_not(None)).order_by(jobs.c.id)
        return [json.loads(payload) for payload in connection.execute(query).scalars()]


@contextlib.contextmanager
def unwritable(world: World) -> Iterator[None]:
    """Meanwhile nothing can be stored."""
    with world.store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO gone")
    try:
        yield
    finally:
        with world.store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO jobs")


def _post(url: str, body: bytes, headers: dict[str, str | bytes]) -> httpx.Response:
    sent = [(key, value.encode() if isinstance(value, str) else value) for key, value in headers.items() if value]
    return CLIENT.post(url, content=body, headers=[(key.encode(), value) for key, value in sent])
