"""A real receiver of signed POSTs, which answers as a test tells it to."""

from __future__ import annotations

import hmac
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests.providers.places import PATIENCE

SECRET = "s3cret-of-the-hook"
CLIENT = httpx.Client(timeout=PATIENCE)


@dataclass
class Posted:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_signed(self, secret: str = SECRET) -> bool:
        """As docs/providers.md has it."""
        expected = "sha256=" + hmac.new(secret.encode(), self.body, "sha256").hexdigest()
        return hmac.compare_digest(expected, self.headers.get("x-shipbot-signature-256", ""))

    def report(self, token: str | None = None, **told: object) -> httpx.Response:
        """Reports by the callback."""
        callback = self.json["callback"]
        return call_back(callback["url"], callback["token"] if token is None else token, told)


def call_back(url: str, token: str, told: object) -> httpx.Response:
    """A report; `told` may be bytes that are no JSON."""
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    headers = {b"Authorization": f"Bearer {token}".encode()} if token else {}
    return CLIENT.post(url, content=body, headers=headers)


Step = Callable[[Posted, BaseHTTPRequestHandler], None]


@dataclass
class Receiver:
    """Does `steps` one after another, one for each request; the last one again and again."""

    url: str = ""
    steps: list[Step] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def receiving(*steps: Step, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Receiver]:
    """Serves a receiver on loopback."""
    receiver = Receiver(steps=list(steps))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted = Posted(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            receiver.posted.append(posted)
            step = receiver.steps[min(len(receiver.posted), len(receiver.steps)) - 1]
            try:
                step(posted, self)
            except OSError:
                self.close_connection = True  # the bot has hung up

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, *_: object) -> None:
            pass  # a handshake that the bot broke off

    server = Server((host, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    receiver.url = f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


def answers(status: int, body: object = b"", **headers: str) -> Step:
    """Answers so. `_` in a header's name is a dash."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def step(_: Posted, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    return step


def hangs_up(_: Posted, handler: BaseHTTPRequestHandler) -> None:
    """Breaks the connection without a word."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True


def raw(data: bytes) -> Step:
    """Writes just that, and closes."""

    def step(_: Posted, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return step


class Slow:
    """Keeps its answer back until the test lets it go. `asked` is set once a request is there."""

    def __init__(self, then: Step) -> None:
        self.asked = threading.Event()
        self.go = threading.Event()
        self._then = then

    def __call__(self, posted: Posted, handler: BaseHTTPRequestHandler) -> None:
        self.asked.set()
        self.go.wait(PATIENCE)
        self._then(posted, handler)


def drips(stop: threading.Event) -> Step:
    """Sends a header line that never ends, one letter at a time."""

    def step(_: Posted, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not stop.wait(0.02):
            handler.wfile.write(b"x")

    return step


def floods(_: Posted, handler: BaseHTTPRequestHandler) -> None:
    """An answer without an end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n{")
    while True:
        handler.wfile.write(b" " * 65536)
