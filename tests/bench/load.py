"""Load from a process of its own: prepared requests over kept connections, with as little of ours as can be.

Run as `python -m tests.bench.load`, with a plan as JSON on standard input; prints what it saw as JSON.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
import time
import uuid
from typing import Any
from urllib.parse import urlencode

import uvloop


class _Connection(asyncio.Protocol):
    """Sends one request after another, each as soon as the last one is answered."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._sent = 0.0
        self._answer = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:  # uvloop's is none of asyncio's classes
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._load.answered(self._answer, time.perf_counter() - self._sent)
        self._answer = b""
        self._next()

    def _next(self) -> None:
        request = self._load.request()
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.gone(exc)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


class _Load:
    """So many connections for so long; remembers each answer's status and time in milliseconds."""

    def __init__(self, connections: int, seconds: float) -> None:
        self._connections = connections
        self._seconds = seconds
        self._end = 0.0
        self._left = connections
        self._over = asyncio.Event()
        self.times: list[float] = []
        self.statuses: dict[str, int] = {}

    async def run(self, host: str, port: int) -> None:
        self._end = time.perf_counter() + self._seconds
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            await loop.create_connection(lambda: _Connection(self), host, port)
        await self._over.wait()

    def request(self) -> bytes | None:
        return self.prepared() if time.perf_counter() < self._end else None

    def prepared(self) -> bytes:
        raise NotImplementedError

    def answered(self, data: bytes, seconds: float) -> None:
        status = data[9:12].decode()
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.times.append(seconds * 1000)

    def gone(self, exc: Exception | None) -> None:
        self._left -= 1
        if self._left == 0:
            self._over.set()

    def summary(self) -> dict[str, object]:
        times = sorted(self.times)
        return {
            "answers": len(times),
            "a_second": len(times) / self._seconds,
            "statuses": self.statuses,
            "p50": times[len(times) // 2],
            "p99": times[int(len(times) * 0.99)],
            "longest": times[-1],
        }


class Webhooks(_Load):
    """Signed webhooks, each with a delivery id of its own."""

    def __init__(self, plan: dict[str, str], connections: int, seconds: float) -> None:
        super().__init__(connections, seconds)
        body = plan["body"].encode()
        signature = hmac.new(plan["secret"].encode(), body, hashlib.sha256).hexdigest()
        self._head = (
            "POST /github/webhooks HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"User-Agent: GitHub-Hookshot/bench\r\nX-GitHub-Event: {plan['event']}\r\n"
            f"X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {len(body)}\r\nX-GitHub-Delivery: "
        ).encode()
        self._tail = b"\r\n\r\n" + body
        self._run = uuid.uuid4().hex
        self._number = 0

    def prepared(self) -> bytes:
        self._number += 1
        return self._head + f"{self._run}-{self._number}".encode() + self._tail


class Commands(_Load):
    """Signed slash commands: as many people as connections, each typing again as soon as they are answered."""

    def __init__(self, plan: dict[str, str], connections: int, seconds: float) -> None:
        super().__init__(connections, seconds)
        self._plan = plan
        self._run = uuid.uuid4().hex
        self._number = 0

    def prepared(self) -> bytes:
        self._number += 1
        body = urlencode(
            {
                "command": "/deploy",
                "text": self._plan["text"],
                "user_id": f"U{self._number % 50:03}",
                "user_name": "somebody",
                "channel_id": "C0OPS",
                "team_id": "T0TEAM",
                "trigger_id": f"{self._run}.{self._number}",
                "response_url": self._plan["response_url"],
            }
        )
        timestamp = str(int(time.time()))
        base = f"v0:{timestamp}:{body}".encode()
        signature = hmac.new(self._plan["signing_secret"].encode(), base, hashlib.sha256).hexdigest()
        return (
            "POST /slack/events HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"X-Slack-Request-Timestamp: {timestamp}\r\nX-Slack-Signature: v0={signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


async def _play(plan: dict[str, dict[str, str]]) -> dict[str, object]:
    """Plays every part of the plan at the same time: {name: {kind, host, port, connections, seconds, …}}."""
    loads: dict[str, _Load] = {}
    for name, part in plan.items():
        kind = Webhooks if part["kind"] == "webhooks" else Commands
        loads[name] = kind(part, int(part["connections"]), float(part["seconds"]))
    await asyncio.gather(*(loads[name].run(part["host"], int(part["port"])) for name, part in plan.items()))
    return {name: load.summary() for name, load in loads.items()}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_play(json.load(sys.stdin)))))
