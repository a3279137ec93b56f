"""`POST /callbacks/<run>`: somebody who carries a deployment out for us reports how it goes.

What they say is stored before they are answered, and the run's provider passes it on from there.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Callable

import structlog

from bot.deploys.clock import Clock
from bot.providers.told import LARGEST, NotAReport, read_told
from bot.store import runs
from bot.store.engine import Store
from bot.web import Answer, Busy, Headers, Receive, Room, Scope, Send, TooLarge, answer, headers_of, read_body

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

PATH = "/callbacks/"
NUMBER = re.compile(r"[1-9][0-9]{0,17}")
TOKEN = re.compile(rb"[Bb]earer ([!-~]{1,200})")
OFTEN = 60  # reports on one run a minute; only the newest counts, so more tell nothing
IN_ALL = 3000  # requests a minute, whatever they are: each may cost a look into the database
AT_ONCE = 4  # of those looks
HELD = 4 * 1024 * 1024  # bytes of bodies that are not all here

UNPROVEN = (401, "the token in Authorization is missing or not that of this deployment")


class Callbacks:
    """The ASGI application behind PATH. `heard` is told the number of a run that was reported on, `count` the
    status of each answer."""

    def __init__(self, store: Store, clock: Clock, heard: Callable[[int], None], count: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._heard = heard
        self._count = count
        self._looks = asyncio.Semaphore(AT_ONCE)
        self._room = Room(HELD)
        self._minute = 0
        self._asked: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, words = await self._answered(scope, receive)
        self._count(str(status))
        await answer(send, status, words)

    async def _answered(self, scope: Scope, receive: Receive) -> Answer:
        number = scope["path"].removeprefix(PATH)
        if not NUMBER.fullmatch(number):
            return 404, "there is nothing here"
        if scope["method"] != "POST":
            return 405, "POST reports here"
        if self._too_often("", IN_ALL):
            return 429, "too much at once; come again in a minute"
        headers = headers_of(scope)
        token = TOKEN.fullmatch(headers.get(b"authorization", b""))
        if token is None:
            return UNPROVEN
        return await self._taken(int(number), token[1].decode("ascii"), headers, receive)

    async def _taken(self, number: int, token: str, headers: Headers, receive: Receive) -> Answer:
        async with self._looks:  # who proves nothing is not even read
            refused = _refused(await asyncio.to_thread(self._hear, number, token, None))
        if refused is not None:
            return refused
        if self._too_often(str(number), OFTEN):  # of those alone who proved who they are
            return 429, f"too often; {OFTEN} reports a minute are taken"
        try:
            told = read_told(await read_body(receive, headers, LARGEST, self._room))
        except Busy:
            return 503, "too much at once; come again in a while"
        except TooLarge:
            return 413, f"more than {LARGEST} bytes"
        except NotAReport as wrong:
            return 400, f"not a report: {wrong}"
        async with self._looks:
            refused = _refused(await asyncio.to_thread(self._hear, number, token, dataclasses.asdict(told)))
        if refused is not None:
            return refused
        log.info("called_back", run=number, state=told.state)
        self._heard(number)
        return 202, ""

    def _hear(self, number: int, token: str, told: dict[str, str] | None) -> tuple[str, str]:
        if told is None:
            with self._store.read() as connection:
                return runs.hear(connection, number, token, None)
        with self._store.write() as connection:
            return runs.hear(connection, number, token, told)

    def _too_often(self, what: str, most: int) -> bool:
        minute = int(self._clock.now().timestamp()) // 60
        if minute != self._minute:
            self._minute, self._asked = minute, {}
        self._asked[what] = self._asked.get(what, 0) + 1
        return self._asked[what] > most


def _refused(heard: tuple[str, str]) -> Answer | None:
    what, how = heard
    if what == runs.ENDED:
        return 410, f"this deployment is over: {how}"
    return UNPROVEN if what == runs.UNPROVEN else None
