"""What somebody who has proved nothing can make the process hold: little, and not for long. By the real server."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest
import uvicorn

from bot import server
from bot.github import webhooks
from bot.server import Protocol, _Server
from bot.web import Busy, Room
from tests.core.sending import CLIENT, COMMAND, stream, to_slack_door
from tests.world import World


class _InAThread(_Server):
    """The server of `serve`, which leaves signals to the main thread."""

    capture_signals = contextlib.nullcontext  # type: ignore[assignment]


@pytest.fixture
def connect(world: World) -> Iterator[Callable[[], socket.socket]]:
    """Connects to the real server in front of a world's bot."""
    protocol = type("Protocol", (Protocol,), {"webhooks": world.bot.webhooks})
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(world.bot, http=protocol, lifespan="off", log_config=None, access_log=False)
    running = _InAThread(config)
    running.bot = world.bot
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    made: list[socket.socket] = []

    def open_one() -> socket.socket:
        made.append(socket.create_connection(listener.getsockname(), timeout=20))
        return made[-1]

    yield open_one
    for one in made:
        one.close()
    running.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "RECEIVE", 0.3)


def all_of(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


HEAD = b"POST %s HTTP/1.1\r\nhost: bot\r\n"


@pytest.mark.parametrize("path", [b"/slack/events", b"/github/webhooks"])
@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"content-length: 100\r\n\r\n{",
        b"content-length: 90000\r\n\r\n{",
        b"transfer-encoding: chunked\r\n\r\n5\r\nab",
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_request_that_does_not_come_in_time_is_ended(
    connect: Callable[[], socket.socket], world: World, path: bytes, begun: bytes
) -> None:
    connection = connect()
    connection.sendall(HEAD % path + begun)
    assert all_of(connection).startswith(b"HTTP/1.1 408 ")
    assert world.waiting() == []


@pytest.mark.usefixtures("impatient")
def test_a_sender_of_single_bytes_is_ended_too(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    connection.sendall(HEAD % b"/slack/events" + b"content-length: 1000000\r\n\r\n")
    connection.settimeout(0.05)
    got = b""
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                got = connection.recv(100)
                break
    assert got.startswith(b"HTTP/1.1 408 ")


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_says_nothing_is_ended(connect: Callable[[], socket.socket]) -> None:
    assert all_of(connect()).startswith(b"HTTP/1.1 408 ")


@pytest.mark.usefixtures("impatient")
def test_one_that_asks_in_time_is_answered_and_may_ask_again(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    for _ in range(3):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: bot\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        threading.Event().wait(0.15)


@pytest.mark.usefixtures("impatient")
def test_blank_lines_keep_no_connection(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: bot\r\n\r\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    connection.sendall(b"\r\n")
    assert all_of(connection) == b""


@pytest.mark.parametrize("header", [b"x: " + b"y" * 2_000_000, b"x: y\r\n" * 300_000])
def test_a_head_without_end_is_not_listened_to(connect: Callable[[], socket.socket], header: bytes) -> None:
    connection = connect()
    with contextlib.suppress(ConnectionError):
        connection.sendall(HEAD % b"/github/webhooks" + header)
    assert all_of(connection)[:13] in (b"HTTP/1.1 431 ", b"")  # '': closed while it was still being sent


def test_more_connections_than_it_takes_are_told_so(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 3)
    first = [connect() for _ in range(3)]
    for one in first:  # each is taken
        one.sendall(b"GET /healthz HTTP/1.1\r\nhost: bot\r\n\r\n")
        assert one.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert all_of(connect()).startswith(b"HTTP/1.1 503 ")
    first[0].close()
    for _ in range(100):  # as soon as the server has noticed
        again = connect()
        again.sendall(b"GET /healthz HTTP/1.1\r\nhost: bot\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            if again.recv(1000).startswith(b"HTTP/1.1 200 "):
                return
    pytest.fail("the place is not given to another")


def test_large_bodies_at_once_share_what_room_there_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.bot.webhooks._room = Room(200_000)
    url = f"{world.servers.bot_url}/github/webhooks"
    assert stream(url, [b"x" * 65536] * 4).status_code == 503
    assert stream(url, [b"x" * 65536] * 2).status_code == 401, "and what was held is free again"
    assert webhooks.HELD >= webhooks.LARGEST, "the largest that GitHub sends is taken"


def test_room_is_given_back() -> None:
    room = Room(10)
    room.take(6)
    with pytest.raises(Busy):
        room.take(5)
    room.give(6)
    room.take(10)


def test_when_more_comes_in_than_can_be_stored_the_sender_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.intake.ROOM", 0)
    world.github.create_deployment("acme/web", "main")
    assert world.github.deliver() == [503]
    assert to_slack_door(world, urlencode(COMMAND | {"trigger_id": "t1"}).encode()).status_code == 503
    assert CLIENT.get(f"{world.servers.bot_url}/healthz").status_code == 200
    assert world.waiting() == []
