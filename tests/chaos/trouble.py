"""What goes wrong between the bot and a simulated platform: limits, errors, silence, answers that never arrive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.playground.serving import DROP

SILENCE = 5.0  # seconds; longer than the bot waits for an answer
KINDS = ("429", "500", "502", "dropped before", "dropped after")
OF_WRITES = (*KINDS, *["dropped after"] * 3)  # what was done and is not known to be done is the hardest
SELDOM = ("silent before", "silent after")  # they cost real time


class Troubled:
    """An ASGI application in front of a platform's.

    Each request is troubled with the probability `rate`, by `seed` and what is asked for the how-manieth time: so one
    seed makes the same trouble again, as far as the bot asks the same.
    """

    def __init__(self, app: ASGIApp, seed: str, limited: Mapping[str, Any]) -> None:
        """`limited` is what the platform says with a 429."""
        self._app = app
        self._seed = seed
        self._limited = limited
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.rate = 0.0
        self.busy = 0  # requests under way
        self.made: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self.busy += 1
        try:
            with contextlib.suppress(ClientDisconnect):  # who asked was killed before all of it was here
                await self._meet(scope, receive, send)
        finally:
            self.busy -= 1

    def _trouble(self, scope: Scope) -> tuple[str, Random] | None:
        place = scope["path"].rpartition("/")[0] if "/response/" in scope["path"] else scope["path"]
        what = f"{scope['method']} {place}"
        with self._lock:
            self._asked[what] += 1
            chance = Random(f"{self._seed} {what} {self._asked[what]}")
            if chance.random() >= self.rate:
                return None
            kinds = OF_WRITES if scope["method"] == "POST" else KINDS
            kind = chance.choice(SELDOM if chance.random() < 0.02 else kinds)
            self.made[kind] += 1
        return kind, chance

    async def _meet(self, scope: Scope, receive: Receive, send: Send) -> None:
        trouble = self._trouble(scope)
        if trouble is None:
            await self._app(scope, receive, send)
            return
        kind, chance = trouble
        if kind in ("429", "500", "502"):
            body = json.dumps(self._limited if kind == "429" else {"message": "Server Error"}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            if kind == "429":
                headers.append((b"retry-after", str(chance.choice((1, 2, 5, 30))).encode()))
            await send({"type": "http.response.start", "status": int(kind), "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        if kind.endswith("after"):
            await self._app(scope, receive, _nowhere)
        if kind.startswith("silent"):
            await asyncio.sleep(SILENCE)
        scope["extensions"][DROP].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _nowhere(message: Message) -> None:
    """Where an answer goes that never arrives."""
