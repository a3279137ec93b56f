"""`POST /github/webhooks`: verify, store, acknowledge. What a webhook means is found out later.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import structlog

from bot.github.objects import Malformed
from bot.github.payloads import EVENTS, essence
from bot.store.intake import Full, Intake
from bot.store.jobs import FIRST, NewJob
from bot.web import Answer, Busy, Headers, Receive, Room, Scope, Send, TooLarge, answer, headers_of, read_body

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

PATH = "/github/webhooks"
LARGEST = 25 * 1024 * 1024  # GitHub sends no webhook that is larger
HELD = 4 * LARGEST  # of all that come in at once and are not whole yet
KIND = "github."  # + the event's name


class Webhooks:
    """The ASGI application behind PATH. A server may also call `take`, `outcome` and `count` by itself.

    `count` is told the status of each answer.
    """

    def __init__(self, secret: str, intake: Intake, count: Callable[[str], None]) -> None:
        self._key = secret.encode()
        self._intake = intake
        self._room = Room(HELD)
        self.count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = await self._received(scope, receive)
        if isinstance(taken, asyncio.Future):
            with contextlib.suppress(Exception):  # `outcome` tells
                await taken
            taken = self.outcome(taken)
        status, words = taken
        self.count(str(status))
        await answer(send, status, words)

    async def _received(self, scope: Scope, receive: Receive) -> Answer | asyncio.Future[None]:
        if scope["method"] != "POST":
            return 405, "POST webhooks here"
        headers = headers_of(scope)
        try:
            body = await read_body(receive, headers, LARGEST, self._room)
        except TooLarge:
            return 413, "larger than any webhook of GitHub's"
        except Busy:
            return 503, "too much at once; deliver it again in a while"
        return self.take(headers, body)

    def take(self, headers: Headers, body: bytes) -> Answer | asyncio.Future[None]:
        """What to answer to a POST; of one that is to be stored a future, and `outcome` says it when that is done.

        Never blocks. Is called on the event loop, with no more than LARGEST bytes.
        """
        # compare_digest takes bytes of any kind, while text that is not ASCII would make it raise.
        expected = b"sha256=" + hmac.digest(self._key, body, "sha256").hex().encode()
        if not hmac.compare_digest(expected, headers.get(b"x-hub-signature-256", b"")):
            return 401, "the signature in X-Hub-Signature-256 is missing or not that of this body"
        event = headers.get(b"x-github-event", b"").decode("latin-1")
        if not event:
            return 400, "X-GitHub-Event is missing"
        if event not in EVENTS:
            return 204, ""
        if headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded"):
            # Nobody signs the content type: by another one, text in a signed JSON body must not become the payload.
            name, _, value = body.partition(b"=")
            body = unquote_to_bytes(value.replace(b"+", b" ")) if name == b"payload" and b"&" not in value else b""
        try:
            kept = essence(event, body)
        except Malformed as error:
            return 400, f"not what GitHub sends for {event}: {error}"
        # A delivery without an id is known by its body.
        delivery = headers.get(b"x-github-delivery", b"").decode("latin-1")[:200]
        key = f"github:{delivery or hashlib.sha256(body).hexdigest()}"
        try:
            return self._intake.put(NewJob(KIND + event, kept, delivery=key, priority=FIRST))
        except Full:
            return 503, "too much at once; deliver it again in a while"

    def outcome(self, stored: asyncio.Future[None]) -> Answer:
        """What to answer now that a future of `take` is done."""
        problem = stored.exception()
        return (202, "") if problem is None else self.failed(problem)

    def failed(self, problem: BaseException) -> Answer:
        """What to answer when something of ours broke: nothing was stored, so the sender is to come again."""
        log.error("not_taken_in", path=PATH, exc_info=problem)
        return 503, "can't be taken in right now"
