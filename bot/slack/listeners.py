"""The way in from Slack: every command, click, event and submitted modal is stored, then acknowledged.

Only what a menu offers is answered at once and stored nowhere. The same listeners serve HTTP (`/slack/events`) and
Socket Mode.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.requests import Click, Command, Event, Opened, Said, Submission, Suggestion, Unfit, fit, json_object
from bot.slack.said import WRITTEN, said_by_event
from bot.store.intake import Full, Intake
from bot.store.jobs import FIRST, NewJob
from bot.web import Answer, Busy, Receive, Room, Scope, Send, TooLarge, answer, headers_of, read_body

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LARGEST = 1024 * 1024  # bytes; Slack's requests are a few kilobytes
HELD = 32 * LARGEST  # of all that come in at once and are not whole yet
COMMAND, EVENT, CLICK, VIEW = "slack.command", "slack.event", "slack.click", "slack.view"
RECONNECT = 5  # seconds before a Socket Mode connection that could not be made is tried again

UNFIT = "this is not what Slack sends"

Json = dict[str, Any]
Ack = Callable[..., Awaitable[BoltResponse]]


class NotStored(Exception):
    """The request could not be stored, for the reason it was raised from. Slack is not told that it was."""


class NotAnswered(Exception):
    """What Slack waits for could not be put together, for the reason it was raised from."""


def no_faults(view: Json) -> dict[str, str]:
    """What is submitted is always right."""
    return {}


def no_view(view: Json) -> Json:
    """Nothing is shown while a submission is worked on: the modal closes."""
    return {}


def no_options(body: Json) -> list[Json]:
    """No menu offers anything."""
    return []


def build_app(
    intake: Intake,
    bot_token: str,
    *,
    taken_in: Callable[[Json], Json] = no_view,
    suggest: Callable[[Json], list[Json]] = no_options,
    faults: Callable[[Json], dict[str, str]] = no_faults,
) -> AsyncApp:
    """Bolt's app with the listeners. It asks nobody anything: who the bot is, Slack says in each request.

    `faults` finds what is wrong with a submitted view by itself, by block id; with any, nothing is stored and the
    person is shown them. `taken_in` gives the view to show while a stored submission is worked on, {} to close the
    modal. Both are handed Slack's `view`, must be quick and ask nobody. `suggest` is handed the whole request of a
    menu and gives its options; it runs in a thread, as it may read the database.
    """

    async def authorize(**_: object) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=bot_token)

    # Below errors, Bolt writes down whole bodies of what it has no listener for, with their response_url, and
    # warns that it does not use the SLACK_BOT_TOKEN that it found in the environment by itself.
    quiet = logging.getLogger("slack_bolt.shipbot")
    quiet.setLevel(logging.ERROR)
    app = AsyncApp(
        name="shipbot",  # else Bolt walks the whole stack to name itself after the file that made it
        authorize=authorize,
        process_before_response=True,  # a listener here does nothing but store and acknowledge
        request_verification_enabled=False,  # done before, where a strange header is an answer and not a crash
        ignoring_self_events_enabled=False,  # said_by_event passes over every bot, this one too
        ssl_check_enabled=False,  # this and the next are answered by SlackEvents, as only HTTP has them
        url_verification_enabled=False,
        logger=quiet,
    )
    every = re.compile("")

    async def stored(kind: str, key: str, body: Mapping[str, Any]) -> None:
        kept = {name: value for name, value in body.items() if name != "token"}
        try:
            payload = msgspec.json.encode(kept).decode()
        except (
            TypeError,
            ValueError,
            OverflowError,
            RecursionError,
        ) as error:  # numbers past 64 bits, hundreds of nested lists
            raise Unfit(f"the body can't be stored: {error}") from None
        try:
            await intake.put(NewJob(kind, payload, delivery=f"slack:{key}", priority=FIRST))
        except Exception as error:
            raise NotStored from error

    @app.command(every)
    async def on_command(ack: Ack, body: Json) -> None:
        command = fit(Command, body)
        await stored(COMMAND, command.trigger_id, body)
        await ack()

    @app.action(every)
    async def on_click(ack: Ack, body: Json) -> None:
        click = fit(Click, body)
        action = click.actions[0]
        await stored(CLICK, f"{click.trigger_id}:{action.action_id}:{action.action_ts}", body)
        await ack()

    @app.view(every)
    async def on_submission(ack: Ack, body: Json) -> None:
        view = fit(Submission, body).view
        try:
            wrong = faults(body["view"])
            shown = {} if wrong else taken_in(body["view"])
        except Exception as error:
            raise NotAnswered from error
        if wrong:
            await ack(response_action="errors", errors=wrong)
            return
        await stored(VIEW, f"view:{view.id}:{view.hash}", body)
        if shown:
            await ack(response_action="update", view=shown)
        else:
            await ack()

    @app.options(every)
    async def on_suggestion(ack: Ack, body: Json) -> None:
        fit(Suggestion, body)
        try:
            options = await asyncio.to_thread(suggest, body)
        except Exception as error:
            raise NotAnswered from error
        await ack(options=options)

    @app.event(every)
    async def on_event(ack: Ack, body: Json) -> None:
        event = fit(Event, body)
        kind = event.event
        if kind.type == "app_home_opened":
            if fit(Opened, body).event.tab == "home":
                await stored(EVENT, event.event_id, body)
        elif kind.type in ("app_mention", "message") and not kind.bot_id and kind.subtype in WRITTEN:
            fit(Said, body)
            if said_by_event(body, event.event_id) is not None:
                await stored(EVENT, event.event_id, body)
        await ack()

    @app.error
    async def on_error(error: Exception) -> BoltResponse:
        # Over HTTP the status is the answer; through a websocket anything but 200 means no acknowledgement.
        match error:
            case Unfit():
                return BoltResponse(status=400, body=str(error))
            case NotStored(__cause__=Full()):
                return BoltResponse(status=503, body="too much at once")
            case NotAnswered(__cause__=cause):
                log.error("not_answered", error=type(cause).__name__, exc_info=cause)
                return BoltResponse(status=503, body="can't be answered right now")
            case NotStored(__cause__=cause):
                log.error("not_taken_in", error=type(cause).__name__, exc_info=cause)
                return BoltResponse(status=503, body="can't be taken in right now")
        log.warning("slack_request_unfit", error=type(error).__name__, exc_info=error)
        return BoltResponse(status=400, body=UNFIT)

    return app


class SlackEvents:
    """The ASGI application behind `/slack/events`.

    https://api.slack.com/authentication/verifying-requests-from-slack
    """

    def __init__(self, app: AsyncApp, signing_secret: str, count: Callable[[str], None]) -> None:
        self._app = app
        self._verifier = SignatureVerifier(signing_secret)
        self._count = count
        self._room = Room(HELD)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, words = await self._take(scope, receive)
        self._count(str(status))
        # Slack reads a response_action and options only from what says that it is JSON.
        await answer(send, status, words, "application/json" if words.startswith("{") else "text/plain")

    async def _take(self, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            # Slack looks at the certificate from time to time, with a GET that bears ssl_check=1.
            return (200, "") if b"ssl_check=1" in scope["query_string"] else (405, "POST Slack's requests here")
        headers = headers_of(scope)
        try:
            body = await read_body(receive, headers, LARGEST, self._room)
        except TooLarge:
            return 413, "larger than any request of Slack's"
        except Busy:
            return 503, "too much at once"
        if not self._signed(body, headers):
            if b"ssl_check=1" in body.split(b"&"):
                return 200, ""
            return 401, "the signature is missing, too old or not that of this body"
        text = body.decode()  # the verifier has read it as UTF-8 already
        try:
            said = json_object(text, headers.get(b"content-type", b""))
            if said.get("type") == "url_verification":
                return 200, str(said.get("challenge", ""))
            request = AsyncBoltRequest(
                body=text, headers={key.decode("latin-1"): value.decode("latin-1") for key, value in headers.items()}
            )
            response = await self._app.async_dispatch(request)
        except Unfit as error:
            return 400, str(error)
        except Exception:
            # Bolt takes the shape of a body for granted. What can't be stored does not come here: see on_error.
            log.warning("slack_request_unfit", exc_info=True)
            return 400, UNFIT
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


class SocketMode:
    """The connection that Slack's requests come through where no address of ours can be reached."""

    def __init__(self, app: AsyncApp, app_token: str, bot_token: str, api_url: str) -> None:
        self._app = app
        self._app_token = app_token
        self._bot_token = bot_token
        self._api_url = api_url
        self._handler: AsyncSocketModeHandler | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connects, on the running loop, and keeps trying to."""
        client = AsyncWebClient(token=self._bot_token, base_url=self._api_url)
        # Made here, since the SDK's client starts tasks as soon as it is made.
        self._handler = AsyncSocketModeHandler(
            self._app, self._app_token, logger=logging.getLogger("slack_sdk.socket_mode"), web_client=client
        )
        self._task = asyncio.get_running_loop().create_task(self._connect(self._handler))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._handler is not None:
            await self._handler.close_async()  # type: ignore[no-untyped-call]  # Bolt's

    async def _connect(self, handler: AsyncSocketModeHandler) -> None:
        while True:
            try:
                await handler.connect_async()  # type: ignore[no-untyped-call]  # Bolt's
            except Exception as error:  # the SDK's own and aiohttp's; afterwards the SDK reconnects by itself
                log.error("socket_mode_unavailable", error=type(error).__name__)
                await asyncio.sleep(RECONNECT)
            else:
                return
