"""The HTTP side of the simulated Slack: Web API, response URLs, permalinks, and the websocket's door."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from bot.playground.serving import drop_connection
from bot.playground.slack_api import WebApi
from bot.playground.slack_responses import respond
from bot.playground.slack_socket import Sockets
from bot.playground.slack_state import Fault, Json, Workspace


def slack_app(workspace: Workspace, api: WebApi, sockets: Sockets, transcript: Callable[[str], str]) -> Starlette:
    """The ASGI application. It works at the root of a server as well as mounted below a prefix."""

    async def call(request: Request) -> Response:
        name = request.path_params["method"]
        args = await _arguments(request)
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        token = bearer.strip() if scheme.lower() == "bearer" else str(args.get("token") or "")
        with workspace.lock:
            fault = workspace.take_fault(name, str(args.get("channel", "")))
        if fault is not None and fault.drop != "after":
            with workspace.change():
                answer = {"ok": False, "error": fault.error} if fault.error else {}
                api.record(name, args, 0 if fault.drop else _status(fault), answer)
            return await _broken(request, fault)
        answer = api.call(name, args, token, status=200 if fault is None else 0)
        if fault is not None:
            return await _broken(request, fault)
        headers = {"x-slack-req-id": "playground"}
        if answer["ok"] and name != "api.test":
            headers["x-oauth-scopes"] = ",".join(sorted(workspace.granted()))
        return JSONResponse(answer, headers=headers)

    async def response_url(request: Request) -> Response:
        raw = await request.body()
        with workspace.lock:
            fault = workspace.take_fault("response_url")
        if fault is not None and fault.drop != "after":
            return await _broken(request, fault)
        status, answer = respond(workspace, request.path_params["key"], raw)
        if fault is not None:
            return await _broken(request, fault)
        return PlainTextResponse(answer, status)

    async def archive(request: Request) -> Response:
        try:
            return PlainTextResponse(transcript(request.path_params["room"]))
        except LookupError:
            return PlainTextResponse("no such room", 404)

    return Starlette(
        routes=[
            Route("/api/{method}", call, methods=["GET", "POST"]),
            Route("/response/{key}", response_url, methods=["POST"]),
            Route("/archives/{room}", archive),
            Route("/archives/{room}/{message}", archive),
            WebSocketRoute("/socket", sockets.serve),
        ]
    )


async def _arguments(request: Request) -> Json:
    """The arguments of a call: from the address, a form, or a JSON object."""
    args: Json = dict(request.query_params)
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind == "application/json":
        try:
            body: Any = json.loads(await request.body() or b"{}")
        except ValueError:
            body = {}
        return args | body if isinstance(body, dict) else args
    return args | dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))


def _status(fault: Fault) -> int:
    if fault.status is not None:
        return fault.status
    return 429 if fault.error in ("ratelimited", "rate_limited") or fault.retry_after is not None else 200


async def _broken(request: Request, fault: Fault) -> Response:
    """What the caller gets instead of an answer."""
    if fault.drop:
        await drop_connection(request)
        return Response()
    status = _status(fault)
    headers = {"Retry-After": str(fault.retry_after if fault.retry_after is not None else 1)} if status == 429 else {}
    error = fault.error or ("ratelimited" if status == 429 else None)
    if error is None:
        return PlainTextResponse("Something went wrong.", status, headers)
    return JSONResponse({"ok": False, "error": error}, status, headers)
