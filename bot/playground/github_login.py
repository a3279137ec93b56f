"""Logging in to the simulated GitHub by its device flow, in the place of the page where people type the code.

https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#device-flow
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from bot.playground.github_access import Access
from bot.playground.github_rest import Actor, Answer
from bot.playground.github_state import Json, Person

if TYPE_CHECKING:
    from bot.playground.github_rest import RecordedRequest

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
CODE_LIFE = timedelta(minutes=15)
INTERVAL = 5  # seconds between two questions; each one that comes too early adds as many


@dataclass
class DeviceLogin:
    """One code that waits for somebody to type it."""

    device_code: str
    user_code: str
    until: datetime
    interval: int = INTERVAL
    asked_at: datetime | None = None
    person: Person | None = None
    denied: bool = False


class Logins(Access):
    """What people may let the GitHub App know of them. `device_flow` is the switch in the App's settings.

    `authorize_device` and `deny_device` are what a person does with a code. The token that comes of it tells who they
    are and may do nothing else.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.device_flow = True
        self.user_tokens: dict[str, Person] = {}
        self._logins: dict[str, DeviceLogin] = {}  # by device code
        self._codes = 0

    def authorize_device(self, user_code: str, login: str) -> None:
        """A person types the code and agrees. Raises `KeyError` when no such code waits."""
        with self.change():
            self._waiting(user_code).person = self.person(login)

    def deny_device(self, user_code: str) -> None:
        """A person types the code and declines. Raises `KeyError` when no such code waits."""
        with self.change():
            self._waiting(user_code).denied = True

    def identify(self, authorization: str) -> Actor:
        person = self.user_tokens.get(authorization.partition(" ")[2])
        return super().identify(authorization) if person is None else Actor("user", person)

    def device_code(self, asked: Json) -> Answer:
        """`POST /login/device/code`."""
        if self.app_id is None or asked.get("client_id") != self.app_body()["client_id"]:
            return Answer(404, {"error": "Not Found"})
        if not self.device_flow:
            return _refusal("device_flow_disabled", "Device Flow must be explicitly enabled for this App", 400)
        self._codes += 1
        text = hashlib.sha256(f"{self.token}:{self._codes}".encode()).hexdigest()
        user_code = f"{text[:4]}-{text[4:8]}".upper()
        made = DeviceLogin(text[8:48], user_code, self.now() + CODE_LIFE)
        self._logins[made.device_code] = made
        return Answer(
            200,
            {
                "device_code": made.device_code,
                "user_code": made.user_code,
                "verification_uri": f"{self.url}/login/device",
                "expires_in": int(CODE_LIFE.total_seconds()),
                "interval": made.interval,
            },
        )

    def access_token(self, asked: Json) -> Answer:
        """`POST /login/oauth/access_token`. Each code is good for one token."""
        if asked.get("grant_type") != GRANT:
            return _refusal("unsupported_grant_type", "The grant type must be that of the device flow.")
        if self.app_id is None or asked.get("client_id") != self.app_body()["client_id"]:
            words = "The client_id and/or client_secret passed are incorrect."
            return _refusal("incorrect_client_credentials", words)
        login = self._logins.get(asked.get("device_code", ""))
        if login is None:
            return _refusal("incorrect_device_code", "The device_code provided is not valid.")
        now = self.now()
        if now >= login.until:
            return _refusal("expired_token", "This 'device_code' has expired.")
        early = login.asked_at is not None and now < login.asked_at + timedelta(seconds=login.interval)
        login.asked_at = now
        if early:
            login.interval += INTERVAL
            answer = _refusal("slow_down", "Too many requests have been made in the same timeframe.")
            return Answer(200, {**answer.body, "interval": login.interval})
        if login.denied:
            return _refusal("access_denied", "The authorization request was denied.")
        if login.person is None:
            return _refusal("authorization_pending", "The authorization request is still pending.")
        del self._logins[login.device_code]
        token = "ghu_" + hashlib.sha256(login.device_code.encode()).hexdigest()[:36]
        self.user_tokens[token] = login.person
        return Answer(200, {"access_token": token, "token_type": "bearer", "scope": ""})

    def login_answer(self, asked: RecordedRequest) -> Answer | None:
        """What the site answers at a path of the flow, None at all others; form-encoded unless JSON was asked for."""
        endpoints: dict[tuple[str, str], Callable[[Json], Answer]] = {
            ("POST", "/login/device/code"): self.device_code,
            ("POST", "/login/oauth/access_token"): self.access_token,
        }
        endpoint = endpoints.get((asked.method, asked.path))
        if endpoint is None:
            return None
        form = asked.json if isinstance(asked.json, dict) else dict(parse_qsl(asked.json or ""))
        with self.change():
            answer = endpoint(form)
        if "json" in asked.headers.get("accept", ""):
            return answer
        return Answer(answer.status, urlencode(answer.body), {"Content-Type": "application/x-www-form-urlencoded"})

    def _waiting(self, user_code: str) -> DeviceLogin:
        for login in self._logins.values():
            undecided = login.person is None and not login.denied
            if login.user_code == user_code and undecided and self.now() < login.until:
                return login
        raise KeyError(user_code)


def _refusal(error: str, description: str, status: int = 200) -> Answer:
    """A refusal as OAuth has it: most of them are answered 200."""
    page = "apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors"
    body = {"error": error, "error_description": description, "error_uri": f"https://docs.github.com/{page}"}
    return Answer(status, body)
