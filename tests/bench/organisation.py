"""A large organisation: forty rooms and apps at a simulated Slack and GitHub, in front of bots in other processes.

Everything that goes to the bots goes through a balancer that hands each connection to the next of them, as one
before replicas does.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import queue
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import uvloop
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.playground.github import Delivery, SimulatedGitHub
from bot.playground.serving import Served
from bot.playground.slack import SimulatedSlack
from tests.bench.running import SECRET

ROOMS = [f"C0ROOM{number:02}" for number in range(40)]
APPS = [f"app{number:02}" for number in range(40)]
PEOPLE = [f"U0P{number:03}" for number in range(60)]
SENDERS = 8  # webhooks that GitHub sends at a time
# An hour in ten minutes is more than Slack takes, so the paces that keep within its limits are lifted.
PACES = "slack: {updates: 100000, posts: 100000, posts_per_room: 100000}\n"


def config_of(places: Mapping[str, str]) -> str:
    """Forty apps, each with a repository and a room of its own, and environments with these settings."""
    environments = "".join(f"      {place}: {{required_contexts: []{more}}}\n" for place, more in places.items())
    apps = "".join(
        f"  {app}:\n    repository: acme/{app}\n    default_ref: main\n    rooms: [{room}]\n"
        f"    environments:\n{environments}"
        for app, room in zip(APPS, ROOMS, strict=True)
    )
    return f"{PACES}apps:\n{apps}"


class Balancer:
    """Hands each connection to the next of `ports`, from a thread of its own. Bytes go through as they are."""

    def __init__(self) -> None:
        self.ports: Sequence[int] = ()
        self._turn = itertools.count()
        self._loop = uvloop.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        threading.Thread(target=self._loop.run_forever, name="balancer", daemon=True).start()
        serving = asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        server = asyncio.run_coroutine_threadsafe(serving, self._loop).result()
        self.port: int = server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports = self.ports
        try:
            port = ports[next(self._turn) % len(ports)]
            there = await asyncio.open_connection("127.0.0.1", port)
        except (OSError, ZeroDivisionError):
            writer.close()
            return
        await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer), return_exceptions=True)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


async def _pump(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            to.write(data)
            await to.drain()
    finally:
        to.close()


@dataclass
class Seen:
    """Times in seconds, and how often each status came."""

    times: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float, status: int) -> None:
        self.times.append(seconds)
        self.statuses[status] += 1

    @property
    def longest(self) -> float:
        return max(self.times, default=0.0)


class Organisation:
    """The two platforms. GitHub's webhooks go out by themselves.

    `delay`: seconds that both take to answer. `on_deployment` is told of each deployment that the bot makes: the
    repository and GitHub's deployment object; `on_send` of each webhook when it is begun to be sent, and `on_update`
    of the body of each chat.update when it is here, both with the time (time.perf_counter).
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.slack, self.github = SimulatedSlack(), SimulatedGitHub()
        self.balancer = Balancer()
        self.delay = delay
        self.on_deployment: Callable[[str, dict[str, Any]], None] = lambda repository, made: None
        self.on_update: Callable[[bytes, float], None] = lambda body, at: None
        self.on_send: Callable[[Delivery, float], None] = lambda delivery, at: None
        self.sent: dict[str, Seen] = defaultdict(Seen)  # by `webhook` and `command`
        self.newest: deque[Delivery] = deque(maxlen=50)
        self._out: queue.Queue[Delivery] = queue.Queue()
        self._served = Served(
            Starlette(
                routes=[Mount("/slack", self._watched(self.slack.asgi)), Mount("/github", self._slow(self.github.asgi))]
            )
        )
        self.slack.url, self.github.url = f"{self._served.url}/slack", f"{self._served.url}/github"
        self.slack.bot_url = f"http://127.0.0.1:{self.balancer.port}"
        self._furnish()
        self.github.on_change.append(self._take)
        for number in range(SENDERS):
            threading.Thread(target=self._send, name=f"github-{number}", daemon=True).start()

    def close(self) -> None:
        self._served.close()
        self.balancer.close()

    def waits(self) -> int:
        """Webhooks that GitHub has still to send."""
        return self._out.unfinished_tasks

    def again(self, delivery: Delivery) -> None:
        """GitHub sends it once more."""
        self._out.put(delivery)

    def command(self, person: str, room: str, text: str) -> int:
        """Somebody types a slash command; the status of the bot's answer."""
        return self.timed("command", lambda: self.slack.command(person, room, text).status)

    def timed(self, what: str, act: Callable[[], int]) -> int:
        """Does something that ends in a status, and remembers how long that took."""
        begun = time.perf_counter()
        status = act()
        self.sent[what].add(time.perf_counter() - begun, status)
        return status

    def forget(self) -> None:
        """Lets go of the record that the platforms keep for tests, which would fill the memory and slow them down."""
        with self.github.lock:
            del self.github.deliveries[:], self.github.requests[:]
        del self.slack.calls[:]

    def _furnish(self) -> None:
        for number, person in enumerate(PEOPLE):
            self.slack.add_person(person, f"person{number}")
        for number, room in enumerate(ROOMS):
            self.slack.add_room(room, f"team-{number}")
        for app in APPS:
            repository = f"acme/{app}"
            self.github.add_repository(repository)
            self.github.push(repository, "main", "Start")
            self.github.push(repository, "topic", "Fix the login loop")
            self.github.add_hook(repository, f"http://127.0.0.1:{self.balancer.port}/github/webhooks", secret=SECRET)
        self.github.pending.clear()

    # GitHub's way out

    def _take(self) -> None:
        with self.github.lock:
            taken, self.github.pending[:] = list(self.github.pending), []
        for delivery in taken:
            if delivery.event == "deployment":
                self.on_deployment(delivery.payload["repository"]["full_name"], delivery.payload["deployment"])
            self._out.put(delivery)
            self.newest.append(delivery)

    def _send(self) -> None:
        while True:
            delivery = self._out.get()
            try:
                self.timed("webhook", partial(self._post, delivery))
            finally:
                self._out.task_done()

    def _post(self, delivery: Delivery) -> int:
        """Sends a webhook now, by a connection of its own as GitHub does; 0 for no answer."""
        self.on_send(delivery, time.perf_counter())
        connection = http.client.HTTPConnection("127.0.0.1", self.balancer.port, timeout=10)
        try:
            connection.request("POST", "/github/webhooks", delivery.body, delivery.headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    # The way in

    def _slow(self, app: ASGIApp) -> ASGIApp:
        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            if self.delay:
                await asyncio.sleep(self.delay)
            await app(scope, receive, send)

        return slow

    def _watched(self, app: ASGIApp) -> ASGIApp:
        """Notes when the request of each chat.update is here, before Slack does anything with it."""
        app = self._slow(app)

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if not scope["path"].endswith("/chat.update"):
                await app(scope, receive, send)
                return
            body = b""

            async def noted() -> Any:
                nonlocal body
                message = await receive()
                at = time.perf_counter()
                body += message.get("body", b"")
                if message["type"] == "http.request" and not message.get("more_body"):
                    self.on_update(body, at)
                return message

            await app(scope, noted, send)

        return watched


@contextlib.contextmanager
def organisation(delay: float = 0.0) -> Iterator[Organisation]:
    one = Organisation(delay)
    try:
        yield one
    finally:
        one.close()
