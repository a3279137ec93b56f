"""The short way of webhooks through the real server: nobody can tell it from the long one, which ASGI takes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
import sqlalchemy as sa
import uvicorn
from uvicorn.server import ServerState

from bot.github.webhooks import Webhooks
from bot.server import Protocol
from bot.store.engine import Store
from bot.store.intake import Intake
from bot.store.schema import jobs
from bot.web import Receive, Scope, Send, answer
from tests.core.running import SECRETS, Running
from tests.core.sending import CLIENT, FORM, JSON, stream
from tests.world import FixedClock, Servers

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PING = b'{"zen": "Keep it simple"}'


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with contextlib.closing(Store(database_url)) as opened:
        yield opened


@pytest.fixture
def bot(servers: Servers, database_url: str, tmp_path: Path) -> Iterator[Running]:
    running = Running(servers, database_url, tmp_path)
    running.start()
    yield running
    running.kill()


def signed(body: bytes, event: str = "ping", delivery: str = "d1", **changes: str) -> dict[str, str]:
    """Headers as GitHub sends them; `changes` come instead (`_` stands for `-`)."""
    key = SECRETS["GITHUB_WEBHOOK_SECRET"].encode()
    headers = {
        "content-type": JSON,
        "x-github-event": event,
        "x-github-delivery": delivery,
        "x-hub-signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
    }
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


def request(body: bytes, headers: dict[str, str], version: str = "1.1") -> bytes:
    """A POST as it goes over the wire."""
    lines = [
        f"POST /github/webhooks HTTP/{version}",
        "host: bot",
        *(f"{key}: {value}" for key, value in headers.items()),
    ]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


def both_ways(bot: Running, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """The answer to one and the same webhook, sent the short way and the long one."""
    url = f"{bot.url}/github/webhooks"
    short = CLIENT.post(url, content=body, headers=headers)
    # Without a length, which is not plain.
    long = stream(url, [body], **headers)
    assert (short.status_code, short.text) == (long.status_code, long.text)
    assert {**short.headers, "date": ""} == {**long.headers, "date": ""}
    return short


def deliveries(store: Store) -> list[str]:
    """The ids of the webhooks that are stored, in order."""
    with store.read() as connection:
        query = sa.select(jobs.c.delivery).where(jobs.c.delivery.like("github:%")).order_by(jobs.c.id)
        return list(connection.execute(query).scalars())


@contextlib.contextmanager
def unwritable(store: Store) -> Iterator[None]:
    """Meanwhile nothing can be stored."""
    with store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO gone")
    yield
    with store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO jobs")


def test_both_ways_answer_alike_and_acknowledge_what_is_stored(bot: Running, store: Store) -> None:
    form = urlencode({"payload": PING.decode()}).encode()
    assert both_ways(bot, PING, signed(PING)).status_code == 202
    assert both_ways(bot, form, signed(form, delivery="d2", content_type=FORM)).status_code == 202
    assert both_ways(bot, PING, signed(PING, delivery="")).status_code == 202
    assert both_ways(bot, PING, signed(PING, "star")).status_code == 204
    assert both_ways(bot, PING, signed(PING, "")).status_code == 400
    assert both_ways(bot, PING, signed(PING, x_hub_signature_256="sha256=00")).status_code == 401
    assert both_ways(bot, b"", signed(b"")).status_code == 400
    fault = b'{"deployment": 1}'
    assert "`$.deployment`" in both_ways(bot, fault, signed(fault, "deployment")).text
    assert deliveries(store) == ["github:d1", "github:d2", "github:" + hashlib.sha256(PING).hexdigest()]

    counted = CLIENT.get(f"{bot.url}/metrics").text
    for status, times in (("202", 6), ("204", 2), ("400", 6), ("401", 2)):
        assert f'shipbot_received_total{{answer="{status}",source="github"}} {times}.0' in counted

    with unwritable(store):
        answer = both_ways(bot, PING, signed(PING, delivery="d3"))
        assert (answer.status_code, answer.text) == (503, "can't be taken in right now")
    assert len([line for line in bot.lines() if line["event"] == "not_taken_in"]) == 2
    assert both_ways(bot, PING, signed(PING, delivery="d3")).status_code == 202
    assert deliveries(store)[3:] == ["github:d3"]


def test_what_is_not_plain_takes_the_long_way(bot: Running, store: Store) -> None:
    large = json.dumps({"zen": "x" * 200_000}).encode()
    url = f"{bot.url}/github/webhooks"
    assert CLIENT.post(url, content=large, headers=signed(large, delivery="large")).status_code == 202
    asking = signed(PING, delivery="asking") | {"expect": "100-continue"}
    with socket.create_connection(("127.0.0.1", bot.port), 10) as line:
        head, body = request(PING, asking).split(b"\r\n\r\n")
        line.sendall(head + b"\r\n\r\n")
        assert line.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(body)
        assert line.recv(1000).startswith(b"HTTP/1.1 202 ")
    for name, sent in (
        ("old", request(PING, signed(PING, delivery="old"), "1.0")),
        ("last", request(PING, signed(PING, delivery="last") | {"connection": "close"})),
    ):
        answers = until_closed(bot, sent)
        assert answers.startswith(b"HTTP/1.1 202 "), name
        assert b"\r\nconnection: close\r\n" in answers, name
    assert until_closed(bot, request(PING, signed(PING) | {"transfer-encoding": "chunked"})).startswith(
        b"HTTP/1.1 400 "
    )
    assert deliveries(store) == ["github:large", "github:asking", "github:old", "github:last"]

    # Several in one go, without waiting: answered in their order.
    names = ["a", "b", "c"]
    sent = [request(PING, signed(PING, delivery=name)) for name in names]
    sent.insert(1, request(PING, signed(PING, "star")))
    last = request(PING, signed(PING, x_hub_signature_256="no") | {"connection": "close"})
    answers = until_closed(bot, b"".join([*sent, last]))
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"202", b"204", b"202", b"202", b"401"]
    assert deliveries(store)[4:] == [f"github:{name}" for name in names]


def test_a_body_may_come_in_pieces_or_never(bot: Running, store: Store) -> None:
    whole = request(PING, signed(PING))
    with (
        socket.create_connection(("127.0.0.1", bot.port), 10) as line,
        socket.create_connection(("127.0.0.1", bot.port), 10) as slow,
    ):
        for start in range(0, len(whole), 50):
            line.sendall(whole[start : start + 50])
        assert line.recv(1000).startswith(b"HTTP/1.1 202 ")
        with socket.create_connection(("127.0.0.1", bot.port), 10) as impatient:
            impatient.sendall(whole[:-5])
        slow.sendall(whole[:-5])
        line.sendall(whole)
        assert line.recv(1000).startswith(b"HTTP/1.1 202 ")
        assert bot.stop() == 0
    assert deliveries(store) == ["github:d1"]
    assert "Traceback" not in bot.log.read_text()


def test_the_short_way_is_short(store: Store) -> None:
    intake = Intake(store, FixedClock())
    webhooks = Webhooks(SECRETS["GITHUB_WEBHOOK_SECRET"], intake, lambda status: None)
    assert without_asgi(webhooks, request(PING, signed(PING))).startswith(b"HTTP/1.1 202 ")
    intake.close()
    assert b"too much at once" in without_asgi(webhooks, request(PING, signed(PING)))


def test_a_fault_of_ours_is_not_called_the_senders(store: Store) -> None:
    broken = Webhooks(SECRETS["GITHUB_WEBHOOK_SECRET"], None, lambda status: None)  # type: ignore[arg-type]
    assert without_asgi(broken, request(PING, signed(PING))).startswith(b"HTTP/1.1 503 ")


def without_asgi(webhooks: Webhooks, sent: bytes) -> bytes:
    """What is answered by a server whose application knows of no webhooks."""

    async def nowhere(scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, 404, "not the short way")

    async def ask() -> bytes:
        protocol = type("Short", (Protocol,), {"webhooks": webhooks})
        config = uvicorn.Config(nowhere, http=protocol, proxy_headers=False, log_config=None)  # type: ignore[arg-type]
        state = ServerState()
        server = await asyncio.get_running_loop().create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(sent)
            answered = await reader.read(1000)
            writer.close()
            return answered

    return asyncio.run(ask())


def until_closed(bot: Running, sent: bytes) -> bytes:
    """Everything that is answered on one connection until the other side ends it."""
    with socket.create_connection(("127.0.0.1", bot.port), 10) as line:
        line.sendall(sent)
        return b"".join(iter(lambda: line.recv(10_000), b""))
