"""How Slack reaches the bot: signed HTTP requests, or envelopes through a websocket.

From https://docs.slack.dev/authentication/verifying-requests-from-slack.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from bot.playground.slack_socket import Sockets
from bot.playground.slack_state import Json

USER_AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"
NO_ANSWER = 0


@dataclass(frozen=True)
class Answer:
    """What the bot answered. The status is 0 when it gave no answer (nobody there, cut off, too late)."""

    status: int
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case

    @property
    def ok(self) -> bool:
        """Whether Slack takes it as acknowledged."""
        return 200 <= self.status < 300

    @property
    def status_code(self) -> int:
        """The status again, by the name that HTTP clients use."""
        return self.status

    @property
    def body(self) -> Any:
        """The parsed JSON, or the text when it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return self.text

    def json(self) -> Any:
        """The parsed JSON. Raises ValueError when it is none."""
        return json.loads(self.text)


@dataclass(frozen=True)
class Outgoing:
    """One thing that Slack tells the bot. `kind` is slash_commands, interactive or events_api."""

    kind: str
    payload: Json

    def encoded(self) -> tuple[str, bytes]:
        """The content type and the bytes as they go over HTTP."""
        if self.kind == "events_api":
            return "application/json", json.dumps(self.payload).encode()
        fields = self.payload if self.kind == "slash_commands" else {"payload": json.dumps(self.payload)}
        return "application/x-www-form-urlencoded", urlencode(fields).encode()


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of X-Slack-Signature for a body sent at `timestamp` (seconds, as text)."""
    base = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


class Sender:
    """Sends to the bot at `bot_url`, or through a websocket when `socket_mode` is on."""

    def __init__(self, sockets: Sockets, signing_secret: str) -> None:
        self.bot_url = "http://127.0.0.1:3000"
        self.path = "/slack/events"
        self.signing_secret = signing_secret
        self.socket_mode = False
        self.patience = 10.0  # seconds; Slack's own is 3, which a busy machine may need for other things
        self.signing_time: Callable[[], float] = time.time
        self._sockets = sockets

    def send(self, outgoing: Outgoing, *, retry: int = 0) -> Answer:
        """Delivers once and returns the bot's answer; `retry` says which attempt after the first it is."""
        if self.socket_mode:
            return self._through_socket(outgoing, retry)
        kind, body = outgoing.encoded()
        headers = {"Content-Type": kind, **self.signed(body)}
        if retry:
            headers |= {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": "http_timeout"}
        return self.post(body, headers)

    def signed(self, body: bytes) -> dict[str, str]:
        """The headers that prove that a body comes from Slack, made now."""
        timestamp = str(int(self.signing_time()))
        return {
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": sign(self.signing_secret, timestamp, body),
        }

    def post(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Posts bytes with exactly these headers (and a User-Agent)."""
        address = urlsplit(self.bot_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=self.patience)
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json,*/*", **headers}
        try:
            connection.request("POST", f"{address.path.rstrip('/')}{self.path}", body, headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
            return Answer(response.status, text, {key.lower(): value for key, value in response.getheaders()})
        except (OSError, http.client.HTTPException):
            return Answer(NO_ANSWER)
        finally:
            connection.close()

    def _through_socket(self, outgoing: Outgoing, retry: int) -> Answer:
        try:
            payload = self._sockets.send(outgoing.kind, outgoing.payload, seconds=self.patience, retry=retry)
        except (ConnectionError, TimeoutError):
            return Answer(NO_ANSWER)
        if payload is None:
            return Answer(200)
        return Answer(200, payload if isinstance(payload, str) else json.dumps(payload))
