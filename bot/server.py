"""`serve`: the process around the bot, from the environment to exit."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from types import FrameType

import structlog
import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from bot import logs
from bot.app import Bot
from bot.deploys.clock import SystemClock
from bot.deploys.config import Config
from bot.github.webhooks import PATH, Webhooks
from bot.providers.needed import secret_names
from bot.settings import Settings, variables
from bot.store import jobs, runs
from bot.store.engine import Store, only_process
from bot.store.migrations import migrate_apart
from bot.web import Answer, Headers

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

TURN = 0.001  # seconds that a thread computes before another gets its turn
RECEIVE = 15.0  # seconds for a request to come in; Slack gives up after 3 and GitHub after 10
HEAD = 64 * 1024  # bytes of a request's head; Slack's and GitHub's are 2 KB
CONNECTIONS = 512  # at once; each is a file, and a process may have 1024 where nobody raised that
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GRACE = 2  # seconds for requests under way at the end; each is one insert


class Bounded(HttpToolsProtocol):
    """Uvicorn's own, with an end to what somebody can make it hold who has proved nothing yet.

    A request that is not all here within RECEIVE is answered 408, a head of more than HEAD bytes 431, and a connection
    past CONNECTIONS 503; each is then closed. What a body may be, each door says.
    """

    _since: float | None = None  # since when a request is waited for or coming in; None: it is all here
    _head = 0  # bytes of it, without those that came along with its first one, while its head is not complete
    _in_head = True
    _begins = False  # whether it began with what is being read now

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own way
        super().connection_made(transport)
        self._since = self.loop.time()
        if len(self.connections) > CONNECTIONS:
            self._refuse(503, "too many connections at once; come again in a while")

    def data_received(self, data: bytes) -> None:
        self._begins = False
        super().data_received(data)
        if self._in_head and not self._begins:
            self._head += len(data)
            if self._head > HEAD:
                self._refuse(431, "the head of the request is too large")
        elif self._since is None and self.timeout_keep_alive_task is None and self.cycle.response_complete:
            self._since = self.loop.time()  # blank lines, which stop uvicorn from waiting for an end

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head, self._begins = True, 0, True
        if self._since is None:
            self._since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._since = None

    def hurry(self) -> None:
        """Ends the connection when its request has been coming in for too long. Is called once a second."""
        if self._since is not None and self.loop.time() - self._since > RECEIVE:
            self._refuse(408, "the request did not come in time")

    def _refuse(self, status: int, words: str) -> None:
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or (cycle.response_complete if self._in_head else not cycle.response_started):  # no other's
            body = words.encode()
            self.transport.write(
                STATUS_LINE[status]
                + b"content-length: %d\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n%s"
                % (len(body), body)
            )
        self.transport.close()


class Protocol(Bounded):
    """The same with a short way for webhooks, which come in thousands: no task, no messages, one write.

    It is for the plain ones only. A POST without a length or with a large body, one of HTTP/1.0, one that asks
    before it sends or does not wait for its turn goes the way of ASGI, as all the rest does.
    """

    webhooks: Webhooks
    _begun: tuple[RequestResponseCycle, Headers] | None = None  # went the short way, and its body is not all here

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.scope["path"] == PATH:
            headers: Headers = dict(cycle.scope["headers"])
            if self._is_plain(cycle, headers):
                self._begun = cycle, headers
                return
        super()._start_asgi_task(cycle, app)

    def _is_plain(self, cycle: RequestResponseCycle, headers: Headers) -> bool:
        length = headers.get(b"content-length", b"")
        return (
            cycle.scope["method"] == "POST"
            and cycle.keep_alive
            and not cycle.waiting_for_100_continue
            and cycle is self.cycle
            and cycle.more_body
            and length.isdigit()
            and int(length) <= HIGH_WATER_LIMIT  # past that uvicorn reads on only when it is asked to
        )

    def on_message_complete(self) -> None:
        super().on_message_complete()
        begun, self._begun = self._begun, None
        if begun is None:
            return
        cycle, headers = begun
        try:
            taken = self.webhooks.take(headers, bytes(cycle.body))
        except Exception as error:  # it is ours; uvicorn would call it the sender's
            taken = self.webhooks.failed(error)
        if isinstance(taken, asyncio.Future):
            taken.add_done_callback(lambda stored: self._answer(cycle, self.webhooks.outcome(stored)))
        else:
            self._answer(cycle, taken)

    def _answer(self, cycle: RequestResponseCycle, answer: Answer) -> None:
        status, words = answer
        self.webhooks.count(str(status))
        if self.transport.is_closing():
            return  # whoever sent it has hung up
        body = words.encode()
        lines = [STATUS_LINE[status]]
        for name, value in cycle.default_headers:
            lines += (name, b": ", value, b"\r\n")
        if status != 204:
            lines.append(b"content-length: %d\r\n" % len(body))
        if body:
            lines.append(b"content-type: text/plain; charset=utf-8\r\n")
        if not cycle.keep_alive:  # the server is stopping
            lines.append(b"connection: close\r\n")
        lines += (b"\r\n", body)
        cycle.response_complete = True
        self.transport.write(b"".join(lines))
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()


class _Server(uvicorn.Server):
    """Uvicorn, ending with 0 when it is told to stop: its own way is to die of the signal once it is done.

    Once a second it looks for requests that come in too slowly.
    """

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, Bounded):
                    connection.hurry()
        return await super().on_tick(counter)

    bot: Bot

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # it has said why, and not what to do
            log.error("not_listening", host=self.config.host, port=self.config.port, see="HOST and PORT say where")
            raise

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.bot.hang_up()  # else it would wait for those who follow a log
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        def stop(number: int, _frame: FrameType | None) -> None:
            logging.getLogger(__name__).info("stopping on signal %s", signal.Signals(number).name)
            self.should_exit = True

        before = {number: signal.signal(number, stop) for number in _stops()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _stops() -> list[signal.Signals]:
    """What tells it to stop; not a hang-up that it was started with `nohup` to pass over. A shell lets what it starts
    in the background pass over SIGINT as well, and whoever sends that means it."""
    return [number for number in STOPS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


def _stopped_early(_number: int, _frame: FrameType | None) -> None:
    """Told to stop while it was still starting: there is nothing to finish."""
    raise SystemExit(0)


def serve(settings: Settings, config: Config) -> None:
    """Runs until SIGTERM, SIGINT or SIGHUP. Raises StoreError when the database can't be used."""
    for number in _stops():
        signal.signal(number, _stopped_early)
    with contextlib.suppress(RuntimeError):  # whoever closes stderr wants no log
        faulthandler.enable()  # where a library in C breaks the process, the log says what it was doing
    # The door's loop and the workers' threads share one interpreter; a turn of 5 ms, Python's own measure, is as
    # long as the door takes for twenty requests.
    sys.setswitchinterval(TURN)
    secrets = [*settings.secrets(), *variables(secret_names(config)).values()]
    logs.set_up(settings.log_level, secrets)
    release = only_process(settings.database_url)
    store = Store(settings.database_url)
    try:
        if not store.sqlite:
            from bot.store.awaiting import await_server  # here, since a process on SQLite need not hold its driver

            await_server(store)
        migrate_apart(store, settings.database_url)
        with store.write() as connection:
            now = SystemClock().now()
            if store.sqlite:  # there is no other process, so whatever is claimed was claimed by one that is gone
                jobs.release_all(connection, now)
                runs.release_all(connection, now)
            else:
                jobs.release_expired(connection, now)
                runs.release_expired(connection, now)
        bot = Bot(settings, config, store)
        gc.collect()
        gc.freeze()  # the program itself is no garbage; looking through it again and again costs a tenth of the time
        gc.set_threshold(20_000, 50, 100)  # a request leaves no cycles behind, so they are looked for more rarely
        protocol = type("Protocol", (Protocol,), {"webhooks": bot.webhooks})
        server = _Server(
            uvicorn.Config(
                bot,
                http=protocol,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nobody reads who the client is: what counts is signed
                lifespan="on",
                ws="none",  # an Upgrade is passed over, not answered with 500
                timeout_graceful_shutdown=GRACE,
            )
        )
        server.bot = bot
        server.run()
        if not server.started:
            raise SystemExit(1)
        log.info("stopped")
    finally:
        store.close()
        release()
