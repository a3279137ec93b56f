"""`/logs/<id>`: the output of a run, as a page that follows, as a stream of events, and as text.

Whoever has the address may read it: the id in it is the secret, so it must not get into caches, indexes or the
`Referer` of others. What a program printed is text; the page makes no HTML of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote

import msgspec
import structlog

from bot.deploys import states
from bot.deploys.clock import Clock
from bot.deploys.model import Deploy, short
from bot.pages.following import Following
from bot.pages.plain import Plain
from bot.store import logs, records, runs
from bot.store.engine import Store
from bot.store.logs import Chunk
from bot.store.runs import Run
from bot.web import Gone, Receive, Scope, Send, answer, headers_of

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
T = TypeVar("T")

PREFIX = "/logs/"
STATIC = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PATH = re.compile(r"/logs/([A-Za-z0-9_-]{16,64})(\.txt|/events|)")
FILE = re.compile(r"/logs/static/([0-9a-f]{12})/([a-z]+\.[a-z]+)")

MOST = 200  # streams and downloads at once
ASKING = 4  # of them that ask the database at once: what is to be stored comes first
BATCH = 50  # pieces read at once
HEARTBEAT = 15.0  # seconds of silence after which a comment keeps proxies from closing a stream
STALLED = 30.0  # seconds after which whoever takes nothing is hung up on
AGAIN = 2000  # milliseconds after which a browser that lost its stream asks again

# The page loads nothing from elsewhere, runs no script but its own file, and is shown in no other page.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
}
SECRET = HEADERS | {"cache-control": "no-store"}
FOR_EVER = HEADERS | {"cache-control": "public, max-age=31536000, immutable"}

WORDS = {
    "waiting": "Waiting",
    "running": "Running",
    "stopping": "Stopping",
    states.SUCCESS: "Succeeded",
    states.FAILURE: "Failed",
    states.ERROR: "Broke off",
    runs.CANCELLED: "Cancelled",
    runs.HANDED_OVER: "Handed over",
}


@dataclass(frozen=True, slots=True)
class Sight:
    """A log as it stands: whose it is, and whether more may come."""

    deploy: Deploy
    run: Run
    ended: bool


class LogPages:
    """The ASGI application below `/logs/`. `web` is GitHub's root for people. `hang_up` ends what is open."""

    def __init__(self, store: Store, clock: Clock, web: str) -> None:
        self._store = store
        self._clock = clock
        self._web = web
        self._following = Following(self._marks)
        self._asking = asyncio.Semaphore(ASKING)
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        file, page = FILE.fullmatch(path), PATH.fullmatch(path)
        if scope["method"] not in ("GET", "HEAD"):
            await answer(send, 405, "this can only be read")
        elif file:
            await self._file(send, file[1], file[2])
        elif page is None or (sight := await self._ask(lambda: self._sight(page[1]))) is None:
            await answer(send, 404, "there is nothing here")
        elif page[2] == "":
            await self._page(send, page[1], sight)
        elif scope["method"] == "HEAD":
            await _whole(send, SECRET | _type(page[2], sight), b"")
        else:
            await self._stream(scope, receive, send, page[1], sight, text=page[2] == ".txt")

    def hang_up(self) -> None:
        """Ends all open streams; who follows asks the next process. For the event loop's thread."""
        self._following.close()

    async def _page(self, send: Send, log_id: str, sight: Sight) -> None:
        files = _files()
        deploy = sight.deploy
        values = {
            "app": deploy.app,
            "environment": deploy.environment,
            "number": str(deploy.number),
            "ref": deploy.ref,
            "sha": short(deploy.sha),
            "id": log_id,
            "static": f"static/{files.version}",
            "github": f"{self._web}/{deploy.repository}/deployments/{quote(deploy.environment, safe='')}",
            "commit": f"{self._web}/{deploy.repository}/commit/{quote(deploy.sha)}",
            **{name: str(value) for name, value in self._state(sight).items()},
        }
        body = files.page.substitute({name: escape(value) for name, value in values.items()})
        await _whole(send, SECRET | {"content-type": "text/html; charset=utf-8"}, body.encode())

    async def _file(self, send: Send, version: str, name: str) -> None:
        files = _files()
        body = files.content.get(name)
        if body is None or version != files.version:
            await answer(send, 404, "there is nothing here")
        else:
            await _whole(send, FOR_EVER | {"content-type": f"{TYPES[Path(name).suffix]}; charset=utf-8"}, body)

    async def _stream(
        self, scope: Scope, receive: Receive, send: Send, log_id: str, sight: Sight, *, text: bool
    ) -> None:
        if self._open >= MOST or self._following.closed:
            await answer(send, 503, "too many read logs right now: try again in a moment")
            return
        self._open += 1
        headers = SECRET | _type(".txt" if text else "/events", sight)
        pieces = self._text(log_id) if text else self._events(log_id, _after(scope))
        gone = asyncio.create_task(_hung_up(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _encoded(headers)})
            async with contextlib.aclosing(pieces):
                while piece := await _unless(gone, anext(pieces, None)):
                    body = {"type": "http.response.body", "body": piece, "more_body": True}
                    await _unless(gone, asyncio.wait_for(send(body), STALLED))
            await send({"type": "http.response.body", "body": b""})
        except Gone:
            pass
        except Exception as error:  # it has begun: there is no status left to say it with, and no end is a broken one
            log.warning("log_broke_off", error=type(error).__name__)
        finally:
            self._open -= 1
            gone.cancel()

    async def _text(self, log_id: str) -> AsyncGenerator[bytes]:
        """All there is of it now."""
        plain, after = Plain(), 0
        while True:
            _, chunks = await self._ask(functools.partial(self._read, log_id, after))
            for chunk in chunks:
                after = chunk.seq
                if shown := plain.feed(chunk.text):
                    yield shown.encode("utf-8", "replace")
            if len(chunks) < BATCH:
                break
        if rest := plain.finish():
            yield rest.encode("utf-8", "replace")

    async def _events(self, log_id: str, after: int) -> AsyncGenerator[bytes]:
        """How it stands, its pieces after that one as they come, and its end. A comment where nothing comes."""
        yield b"retry: %d\n\n" % AGAIN
        told: Mapping[str, Any] = {}
        with self._following.watch(log_id) as change:
            while not self._following.closed:
                change.clear()
                sight, chunks = await self._ask(functools.partial(self._read, log_id, after))
                if sight is not None and (state := self._state(sight)) != told:
                    told = state
                    yield _event("state", state | {"seconds": self._seconds(sight)})
                for chunk in chunks:
                    after = chunk.seq
                    yield _event("output", chunk.text, after)
                if len(chunks) == BATCH:
                    continue
                if sight is None or sight.ended:
                    yield _event("end", {"kept": sight is not None})
                    return
                while not change.is_set():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(change.wait(), HEARTBEAT)
                        break
                    yield b": still here\n\n"

    # what the database knows; in threads

    async def _ask(self, question: Callable[[], T]) -> T:
        async with self._asking:
            return await asyncio.to_thread(question)

    def _sight(self, log_id: str) -> Sight | None:
        return self._read(log_id, None)[0]

    def _read(self, log_id: str, after: int | None) -> tuple[Sight | None, list[Chunk]]:
        """The log with the next pieces after that one, both of the same moment; None: no pieces."""
        with self._store.read() as connection:
            found = logs.find(connection, log_id)
            run = runs.of_deploy(connection, found.deploy) if found else None
            deploy = records.deploy(connection, found.deploy) if found else None
            if found is None or run is None or deploy is None:
                return None, []
            chunks = [] if after is None else logs.read(connection, log_id, after, BATCH)
        return Sight(deploy, run, found.ended_at is not None), chunks

    def _marks(self, log_ids: Collection[str]) -> Mapping[str, Any]:
        with self._store.read() as connection:
            return logs.marks(connection, log_ids)

    def _state(self, sight: Sight) -> dict[str, Any]:
        run = sight.run
        key = {"ready": "waiting", "running": "stopping" if run.cancelled else "running"}.get(run.state, run.outcome)
        return {"state": key, "words": WORDS.get(key, key), "open": run.environment_url}

    def _seconds(self, sight: Sight) -> int:
        until = sight.run.finished_at or self._clock.now()
        return max(0, int((until - sight.run.created_at).total_seconds()))


@dataclass(frozen=True, slots=True)
class _Files:
    version: str
    page: Template
    content: Mapping[str, bytes]


@functools.cache
def _files() -> _Files:
    """The page's files, which are read when somebody wants them first. Their address changes when they do."""
    content = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir()) if path.suffix in TYPES}
    version = hashlib.sha256(b"".join(content.values())).hexdigest()[:12]
    return _Files(version, Template((STATIC / "log.html").read_text("utf-8")), content)


def _after(scope: Scope) -> int:
    """The last piece that whoever asks has: a browser that lost its stream says it by itself."""
    told = headers_of(scope).get(b"last-event-id", b"").decode("latin-1")
    told = told or parse_qs(scope["query_string"].decode("latin-1")).get("after", [""])[0]
    return int(told) if re.fullmatch(r"[0-9]{1,9}", told, re.ASCII) else 0


def _type(what: str, sight: Sight) -> dict[str, str]:
    if what == "/events":
        return {"content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}
    deploy = sight.deploy
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{deploy.app}-{deploy.environment}-{deploy.number}.txt").lstrip(".-")
    disposition = f'attachment; filename="{name}"'
    return {"content-type": "text/plain; charset=utf-8", "content-disposition": disposition}


def _event(name: str, data: Any, number: int | None = None) -> bytes:
    """JSON, in which no line ends: what a program printed can't end an event and begin another."""
    lead = b"" if number is None else b"id: %d\n" % number
    return b"%bevent: %b\ndata: %b\n\n" % (lead, name.encode(), msgspec.json.encode(data))


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]


async def _whole(send: Send, headers: Mapping[str, str], body: bytes) -> None:
    length = {"content-length": str(len(body))} if body else {}
    await send({"type": "http.response.start", "status": 200, "headers": _encoded({**headers, **length})})
    await send({"type": "http.response.body", "body": body})


async def _hung_up(receive: Receive) -> None:
    """Until whoever asked is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _unless(gone: asyncio.Task[None], coming: Any) -> Any:
    """What comes, or Gone when whoever asked went before."""
    task = asyncio.ensure_future(coming)
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
