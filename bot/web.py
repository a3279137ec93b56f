"""The few pieces of ASGI that the doors share. Webhooks come in thousands, so they pass no framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[bytes, bytes]
Answer = tuple[int, str]


class TooLarge(Exception):
    """The body is larger than what is taken here."""


class Busy(Exception):
    """So many large bodies are coming in that there is no room for this one now."""


class Room:
    """How many bytes of bodies a door holds at once, of senders who have proved nothing yet."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Raises Busy where there is not so much left, and then nothing was taken."""
        if size > self._left:
            raise Busy
        self._left -= size

    def give(self, size: int) -> None:
        self._left += size


class Gone(Exception):
    """Whoever sent the request hung up before it was all here."""


def headers_of(scope: Scope) -> Headers:
    """The headers by their lower-case names; of repeated ones the last."""
    return dict(scope["headers"])


async def read_body(receive: Receive, headers: Headers, largest: int, room: Room) -> bytes:
    """The whole body; raises TooLarge as soon as it is known to be more than `largest` bytes, Busy, or Gone.

    What is here of it stands in `room` until all of it is.
    """
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > largest:
        raise TooLarge
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                part = message.get("body", b"")
                if size + len(part) > largest:
                    raise TooLarge
                room.take(len(part))
                size += len(part)
                parts.append(part)
                if not message.get("more_body"):
                    break
                message = await receive()
        finally:
            room.give(size)
        body = b"".join(parts)
    if message["type"] == "http.disconnect":
        raise Gone
    if len(body) > largest:
        raise TooLarge
    return body


async def answer(send: Send, status: int, words: str, kind: str = "text/plain") -> None:
    """A short answer, in plain text unless `kind` names another media type."""
    body = words.encode()
    headers = [(b"content-length", b"%d" % len(body))] if status != 204 else []
    if body:
        headers.append((b"content-type", f"{kind}; charset=utf-8".encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
