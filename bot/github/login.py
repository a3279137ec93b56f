"""Logins by GitHub's device flow: a person types a code at GitHub, and GitHub tells us who that was.

https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#device-flow
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
import requests
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from requests.adapters import HTTPAdapter

from bot.deploys.clock import Clock
from bot.deploys.errors import LoginEnded, LoginUnavailable, RateLimited, RequestRefused, Unavailable
from bot.deploys.model import Login
from bot.github.asking import READ_AGAIN, TIMEOUT
from bot.github.limits import rate_limit
from bot.github.objects import Malformed

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
PURPOSE = b"shipbot: handles of logins at GitHub"  # so that the key is good for nothing else
MARGIN = timedelta(seconds=1)  # who asks exactly on time may be early by GitHub's clock
# What says that the App, not the person, is the trouble.
UNAVAILABLE = {
    "device_flow_disabled",
    "incorrect_client_credentials",
    "not_found",
    "unauthorized_client",
    "unsupported_grant_type",
}

Told = TypeVar("Told")


class _Begun(msgspec.Struct):
    device_code: str
    user_code: str
    verification_uri: str
    expires_in: int
    interval: int = 5


class _Token(msgspec.Struct):
    access_token: str


class _User(msgspec.Struct):
    login: str


class _Refusal(msgspec.Struct):
    error: str = ""
    error_description: str = ""
    message: str = ""  # the REST API's word for it
    interval: int = 10


class _Handle(msgspec.Struct):
    client_id: str
    device_code: str
    until: datetime


class DeviceFlow:
    """Asks without PyGithub, which knows only half of this. Thread-safe.

    Everything may raise RateLimited, `requests` errors and Malformed. Codes and tokens are in no error's words,
    and no error carries the answer that it came from.
    """

    def __init__(self, web_url: str, api_url: str, clock: Clock, seal: str) -> None:
        self._web_url = web_url
        self._api_url = api_url
        self._clock = clock
        key = HKDF(SHA256(), length=32, salt=None, info=PURPOSE).derive(seal.encode())
        self._seal = Fernet(base64.urlsafe_b64encode(key))

    def begin(self, client_id: str | None) -> Login:
        """Raises LoginUnavailable where there is no App, or it does not allow the flow."""
        if not client_id:
            raise LoginUnavailable
        now = self._clock.now()
        answer = self._post("/login/device/code", {"client_id": client_id})
        begun = _read(answer, _Begun)
        if begun is None:
            raise self._refused(answer)
        until = now + timedelta(seconds=begun.expires_in)
        handle = msgspec.json.encode(_Handle(client_id, begun.device_code, until))
        return Login(
            code=begun.user_code,
            address=begun.verification_uri,
            handle=self._seal.encrypt_at_time(handle, int(now.timestamp())).decode(),
            every=timedelta(seconds=begun.interval) + MARGIN,
            until=until,
        )

    def finish(self, handle: str) -> str | None:
        """The login name of whoever typed the code, None while nobody has.

        Where GitHub wants to be asked less often it raises RateLimited with the time of the next question. Raises
        LoginEnded too for a handle that was sealed under another secret, and for a code that was used up.
        """
        opened = self._open(handle)
        now = self._clock.now()
        if now >= opened.until:
            raise LoginEnded(expired=True)
        fields = {"client_id": opened.client_id, "device_code": opened.device_code, "grant_type": GRANT}
        answer = self._post("/login/oauth/access_token", fields)
        token = _read(answer, _Token)
        if token is not None:
            return self._who(token.access_token)
        refusal = _read(answer, _Refusal) or _Refusal()
        match refusal.error:
            case "authorization_pending":
                return None
            case "slow_down":
                raise RateLimited("GitHub", now + timedelta(seconds=refusal.interval) + MARGIN)
            case "access_denied":
                raise LoginEnded
            case "expired_token" | "incorrect_device_code" | "bad_verification_code":
                raise LoginEnded(expired=True)
        raise self._refused(answer)

    def _who(self, token: str) -> str:
        # The code is used up by now, so a second try at this is worth it: the session reads again by itself.
        answer = self._send("GET", f"{self._api_url}/user", token=token)
        if answer.status_code == 401:
            raise LoginEnded(expired=True)
        user = _read(answer, _User)
        if user is None:
            raise self._refused(answer)
        return user.login

    def _open(self, handle: str) -> _Handle:
        try:
            return msgspec.json.decode(self._seal.decrypt(handle.encode()), type=_Handle)
        except (InvalidToken, msgspec.MsgspecError):
            raise LoginEnded(expired=True) from None

    def _post(self, path: str, fields: Mapping[str, str]) -> requests.Response:
        # Never sent again by itself: an answer that was lost may have used the code up.
        return self._send("POST", f"{self._web_url}{path}", fields=fields)

    def _send(
        self, method: str, url: str, *, fields: Mapping[str, str] | None = None, token: str = ""
    ) -> requests.Response:
        headers = {"Accept": "application/json", "User-Agent": "shipbot"}

        def identify(request: requests.PreparedRequest) -> requests.PreparedRequest:
            # By an `auth` of its own, since requests would else let a .netrc say who asks: that would be us.
            if token:
                request.headers["Authorization"] = f"Bearer {token}"
            return request

        with requests.Session() as session:
            for scheme in ("https://", "http://"):
                session.mount(scheme, HTTPAdapter(max_retries=READ_AGAIN))
            return session.request(
                method, url, data=fields, headers=headers, auth=identify, timeout=TIMEOUT, allow_redirects=False
            )

    def _refused(self, answer: requests.Response) -> Exception:
        """What an answer means that is not what was asked for."""
        if answer.status_code >= 500:
            return Unavailable("GitHub", f"HTTP {answer.status_code}")
        refusal = _read(answer, _Refusal, any_status=True)
        words = refusal.error_description or refusal.message or refusal.error if refusal else ""
        if refusal is None or not words:
            return Malformed("neither what was asked for nor a refusal")
        headers = {name.lower(): value for name, value in answer.headers.items()}
        if answer.status_code in (403, 429):
            limited = rate_limit(answer.status_code, words, headers, self._clock.now())
            if limited is not None:
                return limited
        if refusal.error.lower().replace(" ", "_") in UNAVAILABLE:
            return LoginUnavailable(words)
        return RequestRefused(answer.status_code, words)


def _read(answer: requests.Response, kind: type[Told], *, any_status: bool = False) -> Told | None:
    """An answer's JSON; None when it is another."""
    if answer.status_code >= 400 and not any_status:
        return None
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
