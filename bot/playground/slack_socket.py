"""Socket Mode: the websockets that the bot has open, and envelopes sent through them.

From https://docs.slack.dev/apis/events-api/using-socket-mode.
"""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.playground.slack_state import Json, Workspace


@dataclass(eq=False)
class _Connection:
    socket: WebSocket
    loop: asyncio.AbstractEventLoop
    waiting: dict[str, Future[Any]] = field(default_factory=dict)

    def send(self, message: Json) -> None:
        asyncio.run_coroutine_threadsafe(self.socket.send_text(json.dumps(message)), self.loop).result()


class Sockets:
    """The open websockets. Envelopes go through the oldest, from any thread but the server's own."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._changed = threading.Condition()
        self._open: list[_Connection] = []

    @property
    def count(self) -> int:
        """How many websockets are open."""
        with self._changed:
            return len(self._open)

    def wait(self, count: int = 1, *, seconds: float = 10.0) -> None:
        """Waits until exactly that many websockets are open. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._open) == count, seconds):
                raise TimeoutError(f"{len(self._open)} websockets are open, not {count}")

    async def serve(self, socket: WebSocket) -> None:
        """The websocket endpoint: greets, then takes acknowledgements until the bot leaves."""
        with self._workspace.lock:
            ticket = socket.query_params.get("ticket", "")
            known = ticket in self._workspace.tickets
            self._workspace.tickets.discard(ticket)
        if not known:
            await socket.close(code=1008)
            return
        await socket.accept()
        connection = _Connection(socket, asyncio.get_running_loop())
        with self._changed:
            number = len(self._open) + 1
        await socket.send_text(json.dumps(self._hello(number)))
        with self._changed:
            self._open.append(connection)
            self._changed.notify_all()
        try:
            while True:
                self._acknowledged(connection, await socket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            with self._changed:
                self._open = [each for each in self._open if each is not connection]
                self._changed.notify_all()
            for answer in list(connection.waiting.values()):
                answer.cancel()

    def send(self, kind: str, payload: Json, *, seconds: float, retry: int = 0) -> Any:
        """Sends an envelope and returns the payload of its acknowledgement, None when it has none.

        `kind` is slash_commands, interactive or events_api. Raises ConnectionError when no websocket is open
        or it closes, TimeoutError when nothing comes back in time.
        """
        with self._changed:
            if not self._open:
                raise ConnectionError("no websocket is open")
            connection = self._open[0]
        with self._workspace.lock:
            envelope_id = self._workspace.next_id("envelope-")
        envelope: Json = {
            "envelope_id": envelope_id,
            "type": kind,
            "accepts_response_payload": kind != "events_api",
            "payload": payload,
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": retry, "retry_reason": "timeout" if retry else ""}
        answer: Future[Any] = Future()
        connection.waiting[envelope_id] = answer
        try:
            connection.send(envelope)
            return answer.result(seconds)
        except FutureTimeout:
            raise TimeoutError("the bot did not acknowledge in time") from None
        except Exception as error:
            raise ConnectionError("the websocket was closed") from error
        finally:
            connection.waiting.pop(envelope_id, None)

    def disconnect(self, reason: str = "refresh_requested") -> None:
        """Asks the bot to leave each open websocket, as Slack does every few hours.

        From then on they carry nothing; the bot closes them itself when it has opened another.
        """
        with self._changed:
            leaving, self._open = self._open, []
            self._changed.notify_all()
        for connection in leaving:
            connection.send({"type": "disconnect", "reason": reason, "debug_info": {"host": "playground"}})

    def _hello(self, number: int) -> Json:
        return {
            "type": "hello",
            "num_connections": number,
            "debug_info": {"host": "playground", "build_number": 1, "approximate_connection_time": 18060},
            "connection_info": {"app_id": self._workspace.app_id},
        }

    def _acknowledged(self, connection: _Connection, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("envelope_id"), str):
            with self._workspace.lock:
                self._workspace.violations.append(f"socket: not an acknowledgement: {text[:200]}")
            return
        answer = connection.waiting.get(message["envelope_id"])
        if answer is not None and not answer.done():
            answer.set_result(message.get("payload"))
