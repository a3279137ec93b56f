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


class Gone(Exception):
    """Whoever sent the request hung up before it was all here."""


def headers_of(scope: Scope) -> Headers:
    """The headers by their lower-case names; of repeated ones the last."""
    return dict(scope["headers"])


async def read_body(receive: Receive, headers: Headers, largest: int) -> bytes:
    """The whole body; raises TooLarge as soon as it is known to be more than `largest` bytes, or Gone."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > largest:
        raise TooLarge
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts = [body]
        size = len(body)
        while message.get("more_body"):
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > largest:
                raise TooLarge
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
