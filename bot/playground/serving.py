"""A real HTTP server in a thread, for the simulated services and for tests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from types import TracebackType

import uvicorn
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HOST = "127.0.0.1"
DROP = "playground.drop"


class Served:
    """A uvicorn server in a daemon thread, on 127.0.0.1 only.

    The constructor returns when the server accepts connections, so nobody has to wait or retry. It raises
    `OSError` when the given port is taken (0 takes any free one) and `RuntimeError` when the app does not
    start. An app served here may break its connections: see `drop_connection`.
    """

    def __init__(self, app: ASGIApp, *, port: int = 0) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            listener.listen(1024)  # two sockets may bind one port; only one may listen, so taken shows here
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self._settled = threading.Event()
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_DroppableProtocol,
                lifespan="auto",
                access_log=False,
                log_config=None,
                log_level="warning",
                timeout_graceful_shutdown=2,
            ),
            self._settled,
        )
        self._thread = threading.Thread(target=self._run, name=f"served-{self.port}", daemon=True)
        self._thread.start()
        self._settled.wait()
        if not self._server.started:
            self.close()
            raise RuntimeError("the application did not start; its error is in the log")

    def _run(self) -> None:
        try:
            # uvicorn leaves by SystemExit when the application's lifespan fails; it has logged why.
            with contextlib.suppress(SystemExit):
                self._server.run(sockets=[self._listener])
        finally:
            self._settled.set()

    def close(self) -> None:
        """Stops the server and waits until its thread has ended. May be called again."""
        self._server.should_exit = True
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._listener.close()

    def __enter__(self) -> Served:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


async def drop_connection(request: Request) -> None:
    """Breaks the connection of `request` without an answer, as a dying server or a cut line does.

    The endpoint returns right after; whatever it returns is not sent. Works under `Served` only and raises
    `RuntimeError` elsewhere.
    """
    transport = request.scope.get("extensions", {}).get(DROP)
    if transport is None:
        raise RuntimeError("connections can only be dropped by an application that Served serves")
    transport.abort()
    # Until uvicorn has noticed, it would answer 500 for an app that returns without an answer.
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Server(uvicorn.Server):
    """Tells when it has started, so that nobody polls."""

    def __init__(self, config: uvicorn.Config, settled: threading.Event) -> None:
        super().__init__(config)
        self._settled = settled

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._settled.set()


class _DroppableProtocol(HttpToolsProtocol):
    """Hands the connection's transport to the app; plain ASGI has no way to end one without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[DROP] = transport
            await app(scope, receive, send)

        self.app = with_transport
