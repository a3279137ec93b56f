"""The server that the simulators run on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.playground.serving import Served, drop_connection


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def dropped(request: Request) -> Response:
    await request.body()
    await drop_connection(request)
    return Response()


APP = Starlette(routes=[Route("/", hello), Route("/dropped", dropped, methods=["GET", "POST"])])


def test_it_accepts_connections_at_once_and_none_after_closing():
    with Served(APP) as served:
        assert served.url == f"http://127.0.0.1:{served.port}"
        assert httpx.get(served.url).text == "hello"
    with pytest.raises(httpx.ConnectError):
        httpx.get(served.url)


def test_a_taken_port_is_told():
    with Served(APP) as served, pytest.raises(OSError):
        Served(APP, port=served.port)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_dropped_connection_has_no_answer(method):
    with Served(APP) as served, pytest.raises(httpx.RemoteProtocolError):
        httpx.request(method, f"{served.url}/dropped", content=b"x")


def test_an_application_that_does_not_start_is_told():
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise ValueError("no database")
        yield

    with pytest.raises(RuntimeError):
        Served(Starlette(lifespan=lifespan))
