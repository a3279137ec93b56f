"""Takes requests to the simulated Heroku: the Platform API below `/apps`, outputs below `/streams`."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.playground.serving import DROP, drop_connection

if TYPE_CHECKING:
    from bot.playground.heroku import App, Build, Dyno, Json, Release, SimulatedHeroku

VERSION = "application/vnd.heroku+json; version=3"
CANCEL_BUILD = f"{VERSION}.cancel-build"
METHODS = ["GET", "POST", "PATCH", "DELETE"]
RANGE = re.compile(r"created_at \.\.; ?order=desc, ?max=(\d+);?")
SIP = 16  # bytes of an output that are sent at once
BREATH = 0.02  # seconds


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    json: Any
    authorization: str


class Refused(Exception):
    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name = status, name


def heroku_app(heroku: SimulatedHeroku) -> Starlette:
    async def api(request: Request) -> Response:
        asked = await _recorded(heroku, request)
        fault = heroku.next_fault(asked)
        if fault is not None and fault.drop == "before":
            await drop_connection(request)
            return Response()
        if fault is not None and fault.status is not None:
            body = fault.body if fault.body is not None else {"id": "fault", "message": "It was made to fail."}
            return _answer(heroku, fault.status, body, fault.headers)
        answer = await asyncio.to_thread(_obey, heroku, asked)  # a build fetches its source from elsewhere
        if fault is not None and fault.drop == "after":
            await drop_connection(request)
            return Response()
        return answer

    async def output(request: Request) -> Response:
        asked = await _recorded(heroku, request)
        fault = heroku.next_fault(asked)
        if fault is not None and fault.status is not None:
            return Response(status_code=fault.status)
        stream = heroku.streams.get(request.path_params["stream"])
        if stream is None or not stream.there:
            return Response(status_code=404)
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", "bytes=0-"))
        if not stream.ranges:
            return StreamingResponse(_sips(heroku, request, asked.path[9:], 0), media_type="text/plain")
        start = int(wanted[1]) if wanted else 0
        if start > len(stream.content) or (start == len(stream.content) and not heroku.held(asked.path[9:])):
            stream.read = True
            return Response(status_code=416)
        return StreamingResponse(_sips(heroku, request, asked.path[9:], start), 206, media_type="text/plain")

    return Starlette(
        routes=[
            Route("/streams/{stream}", output),
            Route("/{path:path}", api, methods=METHODS),
        ]
    )


async def _recorded(heroku: SimulatedHeroku, request: Request) -> Asked:
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else None
    except ValueError:
        body = raw.decode("utf-8", "replace")
    headers = {name: value for name, value in request.headers.items() if name != "authorization"}
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return Asked(request.method, path, headers, body, request.headers.get("authorization", ""))


async def _sips(heroku: SimulatedHeroku, request: Request, name: str, start: int) -> AsyncIterator[bytes]:
    """The output as it comes, and NULs while nothing does, which keep the connection open."""
    stream = heroku.streams[name]
    at = start
    while at < len(stream.content) or heroku.held(name):
        if at >= len(stream.content):
            yield b"\x00"
            await asyncio.sleep(BREATH)
            continue
        until = min([at + SIP, len(stream.content), *(cut for cut in stream.cuts if cut > at)])
        yield stream.content[at:until]
        at = until
        how = stream.cuts.pop(at, None)
        if how == "drop" or (how == "end" and heroku.pending(name)):
            await asyncio.sleep(BREATH)  # what was sent has left by then
            if how == "drop":
                request.scope["extensions"][DROP].abort()
            return
    stream.read = True


def _answer(heroku: SimulatedHeroku, status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(body, status, {"RateLimit-Remaining": str(heroku.tokens_left), **(headers or {})})


def _obey(heroku: SimulatedHeroku, asked: Asked) -> Response:
    try:
        if not asked.headers.get("accept", "").startswith(VERSION):
            raise Refused(406, "not_acceptable", "Set the Accept header to version 3.")
        if asked.authorization != f"Bearer {heroku.token}":
            raise Refused(401, "unauthorized", "Invalid credentials provided.")
        if heroku.tokens_left <= 0:
            raise Refused(
                429,
                "rate_limit",
                "Your account reached the API rate limit\nPlease wait a few minutes before making new requests",
            )
        heroku.tokens_left -= 1
        found = re.fullmatch(r"/apps/([^/]+)(/.*)?", asked.path)
        app = heroku.find(found[1]) if found else None
        if found is None or app is None:
            raise Refused(404, "not_found", "Couldn't find that app.")
        for method, pattern, endpoint in ENDPOINTS:
            match = re.fullmatch(pattern, found[2] or "")
            if match and method == asked.method:
                return endpoint(heroku, app, asked, *match.groups())
        raise Refused(404, "not_found", "The requested API endpoint was not found.")
    except Refused as refused:
        return _answer(heroku, refused.status, {"id": refused.name, "message": str(refused)})


def _app(heroku: SimulatedHeroku, app: App, asked: Asked) -> Response:
    return _answer(
        heroku, 200, {"id": app.id, "name": app.name, "web_url": app.web_url, "maintenance": app.maintenance}
    )


def _builds(heroku: SimulatedHeroku, app: App, asked: Asked) -> Response:
    with heroku.lock:
        shown = [_build_shown(heroku, app, build) for build in app.builds]
        if wanted := RANGE.fullmatch(asked.headers.get("range", "")):
            shown = shown[::-1][: int(wanted[1])]
        return _answer(heroku, 200 if len(shown) == len(app.builds) else 206, shown)


def _begin(heroku: SimulatedHeroku, app: App, asked: Asked) -> Response:
    body = asked.json if isinstance(asked.json, dict) else {}
    source = body.get("source_blob")
    if not isinstance(source, dict) or not isinstance(source.get("url"), str):
        raise Refused(422, "invalid_params", "source_blob.url must be given.")
    if set(body) - {"source_blob", "buildpacks"} or set(source) - {"checksum", "url", "version"}:
        raise Refused(422, "invalid_params", "There are parameters that are not known.")
    build = heroku.begin_build(app, source)
    return _answer(heroku, 201, _build_shown(heroku, app, build))


def _build(heroku: SimulatedHeroku, app: App, asked: Asked, number: str) -> Response:
    with heroku.lock:
        build = _found(app.builds, number, "build")
        heroku.look(app, build)
        return _answer(heroku, 200, _build_shown(heroku, app, build))


def _cancel(heroku: SimulatedHeroku, app: App, asked: Asked, number: str) -> Response:
    """Not in the reference; what is answered where there is nothing to cancel is a guess."""
    if asked.headers["accept"] != CANCEL_BUILD:
        raise Refused(404, "not_found", "The requested API endpoint was not found.")
    with heroku.lock:
        build = _found(app.builds, number, "build")
        if not heroku.cancel(build):
            raise Refused(422, "invalid_params", "Only pending builds can be cancelled.")
        return _answer(heroku, 200, _build_shown(heroku, app, build))


def _release(heroku: SimulatedHeroku, app: App, asked: Asked, number: str) -> Response:
    with heroku.lock:
        release = _found(app.releases, number, "release")
        heroku.look_at_release(app, release)
        return _answer(heroku, 200, _release_shown(heroku, app, release))


def _formation(heroku: SimulatedHeroku, app: App, asked: Asked) -> Response:
    shown = [{"type": kind, "quantity": count, "command": f"run {kind}"} for kind, count in app.formation.items()]
    return _answer(heroku, 200, shown)


def _dynos(heroku: SimulatedHeroku, app: App, asked: Asked) -> Response:
    with heroku.lock:
        shown = [_dyno_shown(dyno) for dyno in app.dynos]
        for dyno in app.dynos:
            if len(dyno.states) > 1 and "dynos" not in app.plan.held:
                dyno.states.pop(0)
        return _answer(heroku, 200, shown)


def _stop(heroku: SimulatedHeroku, app: App, asked: Asked, name: str) -> Response:
    with heroku.lock:
        dyno = next((dyno for dyno in app.dynos if name in (dyno.id, dyno.name)), None)
        if dyno is None:
            raise Refused(404, "not_found", "Couldn't find that process.")
        heroku.stop_dyno(app, dyno)
        return _answer(heroku, 202, {})


ENDPOINTS: list[tuple[str, str, Callable[..., Response]]] = [
    ("GET", "", _app),
    ("GET", "/builds", _builds),
    ("POST", "/builds", _begin),
    ("GET", "/builds/([^/]+)", _build),
    ("DELETE", "/builds/([^/]+)", _cancel),
    ("GET", "/releases/([^/]+)", _release),
    ("GET", "/formation", _formation),
    ("GET", "/dynos", _dynos),
    ("POST", "/dynos/([^/]+)/actions/stop", _stop),
]


def _found(items: list[Any], number: str, what: str) -> Any:
    for item in items:
        if item.id == number:
            return item
    raise Refused(404, "not_found", f"Couldn't find that {what}.")


def _build_shown(heroku: SimulatedHeroku, app: App, build: Build) -> Json:
    return {
        "app": {"id": app.id},
        "buildpacks": None,
        "created_at": _stamp(build.created_at),
        "id": build.id,
        "output_stream_url": f"{heroku.url}/streams/{build.stream}",
        "release": {"id": build.release} if build.release else None,
        "slug": {"id": build.id} if build.release else None,
        "source_blob": {"checksum": None, "url": build.url, "version": build.version, "version_description": None},
        "stack": "heroku-24",
        "status": build.status,
        "updated_at": _stamp(build.created_at),
        "user": {"email": "deployer@example.com", "id": app.id},
    }


def _release_shown(heroku: SimulatedHeroku, app: App, release: Release) -> Json:
    newest = [one for one in app.releases if one.status == "succeeded"][-1]
    return {
        "addon_plan_names": [],
        "app": {"id": app.id, "name": app.name},
        "created_at": _stamp(release.created_at),
        "current": release is newest,
        "description": release.description,
        "id": release.id,
        "output_stream_url": f"{heroku.url}/streams/{release.stream}" if release.stream else None,
        "slug": {"id": release.id},
        "status": release.status,
        "version": release.version,
    }


def _dyno_shown(dyno: Dyno) -> Json:
    return {
        "attach_url": None,
        "command": f"run {dyno.type}",
        "id": dyno.id,
        "name": dyno.name,
        "release": {"id": dyno.id, "version": dyno.version},
        "size": "Basic",
        "state": dyno.states[0],
        "type": dyno.type,
    }


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
