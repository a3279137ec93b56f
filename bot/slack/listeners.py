"""The way in from Slack: every command, click and event is stored, then acknowledged, and nothing else.

The same listeners serve HTTP (`/slack/events`) and Socket Mode.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson
import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.conversation import said_by_event
from bot.store.intake import Full, Intake
from bot.store.jobs import FIRST, NewJob
from bot.web import Answer, Receive, Scope, Send, TooLarge, answer, headers_of, read_body

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LARGEST = 1024 * 1024  # bytes; Slack's requests are a few kilobytes
COMMAND, EVENT, CLICK = "slack.command", "slack.event", "slack.click"
RECONNECT = 5  # seconds before a Socket Mode connection that could not be made is tried again

Ack = Callable[..., Awaitable[BoltResponse]]


class Missing(Exception):
    """A request of Slack's without something that every such request has."""


def build_app(intake: Intake, bot_token: str) -> AsyncApp:
    """Bolt's app with the listeners. It asks nobody anything: who the bot is, Slack says in each request."""

    async def authorize(**_: object) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=bot_token)

    # Bolt logs unhandled requests with their whole bodies; ours are all handled or plainly not ours.
    quiet = logging.getLogger("slack_bolt")
    app = AsyncApp(
        authorize=authorize,
        process_before_response=True,  # a listener here does nothing but store and acknowledge
        request_verification_enabled=False,  # done before, where a strange header is an answer and not a crash
        ignoring_self_events_enabled=False,  # said_by_event passes over every bot, this one too
        ssl_check_enabled=False,
        logger=quiet,
    )
    every = re.compile("")

    async def stored(kind: str, key: str, body: Mapping[str, Any]) -> None:
        kept = {name: value for name, value in body.items() if name != "token"}
        await intake.put(NewJob(kind, orjson.dumps(kept).decode(), delivery=f"slack:{key}", priority=FIRST))

    @app.command(every)
    async def on_command(ack: Ack, body: dict[str, Any]) -> None:
        await stored(COMMAND, _need(body, "trigger_id", "user_id", "channel_id"), body)
        await ack()

    @app.action(every)
    async def on_click(ack: Ack, body: dict[str, Any]) -> None:
        key = _need(body, "trigger_id", "user", "actions")
        action = body["actions"][0]
        await stored(CLICK, f"{key}:{action.get('action_id', '')}:{action.get('action_ts', '')}", body)
        await ack()

    @app.event(every)
    async def on_event(ack: Ack, body: dict[str, Any]) -> None:
        key = _need(body, "event_id", "event")
        if body["event"].get("type") in ("app_mention", "message") and said_by_event(body, key) is not None:
            await stored(EVENT, key, body)
        await ack()

    return app


def _need(body: Mapping[str, Any], key: str, *others: str) -> str:
    """The value of `key`; raises Missing when it or another is not there."""
    missing = [name for name in (key, *others) if not body.get(name)]
    if missing:
        raise Missing(f"{', '.join(missing)} is missing")
    return str(body[key])


class SlackEvents:
    """The ASGI application behind `/slack/events`.

    https://api.slack.com/authentication/verifying-requests-from-slack
    """

    def __init__(self, app: AsyncApp, signing_secret: str, count: Callable[[str], None]) -> None:
        self._app = app
        self._verifier = SignatureVerifier(signing_secret)
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, words = await self._take(scope, receive)
        self._count(str(status))
        await answer(send, status, words)

    async def _take(self, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            # Slack looks at the certificate from time to time, with a GET that bears ssl_check=1.
            return (200, "") if b"ssl_check=1" in scope["query_string"] else (405, "POST Slack's requests here")
        headers = headers_of(scope)
        try:
            body = await read_body(receive, headers, LARGEST)
        except TooLarge:
            return 413, "larger than any request of Slack's"
        if not self._signed(body, headers):
            return 401, "the signature is missing, too old or not that of this body"
        text = body.decode()  # the verifier has read it as UTF-8 already
        if (fault := _fault(text, headers.get(b"content-type", b"").decode("latin-1"))) is not None:
            return 400, fault
        request = AsyncBoltRequest(
            body=text, headers={key.decode("latin-1"): value.decode("latin-1") for key, value in headers.items()}
        )
        try:
            response = await self._app.async_dispatch(request)
        except Missing as error:
            return 400, str(error)
        except Full:
            return 503, "too much at once"
        return response.status, response.body if isinstance(response.body, str) else ""

    def _signed(self, body: bytes, headers: Mapping[bytes, bytes]) -> bool:
        timestamp = headers.get(b"x-slack-request-timestamp", b"").decode("latin-1")
        signature = headers.get(b"x-slack-signature", b"").decode("latin-1")
        if not re.fullmatch(r"[0-9]{1,12}", timestamp) or not signature.isascii():
            return False
        try:
            return self._verifier.is_valid(body, timestamp, signature)
        except UnicodeDecodeError:
            return False


def _fault(text: str, content_type: str) -> str | None:
    """Why the body can't be one of Slack's, or None. Bolt takes it for granted that it is."""
    try:
        if content_type.startswith("application/json") or text.startswith("{"):
            return None if isinstance(orjson.loads(text), dict) else "the body is not a JSON object"
        if (payload := parse_qs(text).get("payload")) is not None:
            return None if isinstance(orjson.loads(payload[0]), dict) else "payload is not a JSON object"
    except orjson.JSONDecodeError:
        return "the body is not JSON"
    return None


class SocketMode:
    """The connection that Slack's requests come through where no address of ours can be reached."""

    def __init__(self, app: AsyncApp, app_token: str, bot_token: str, api_url: str) -> None:
        client = AsyncWebClient(token=bot_token, base_url=api_url)
        self._handler = AsyncSocketModeHandler(app, app_token, web_client=client)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connects, on the running loop, and keeps trying to."""
        self._task = asyncio.get_running_loop().create_task(self._connect())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._handler.close_async()  # type: ignore[no-untyped-call]  # Bolt's

    async def _connect(self) -> None:
        while True:
            try:
                await self._handler.connect_async()  # type: ignore[no-untyped-call]  # Bolt's
            except Exception as error:  # the SDK's own and aiohttp's; afterwards the SDK reconnects by itself
                log.error("socket_mode_unavailable", error=type(error).__name__)
                await asyncio.sleep(RECONNECT)
            else:
                return
