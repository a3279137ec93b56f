"""Heroku's Platform API, as much of it as a deploy takes.

https://devcenter.heroku.com/articles/platform-api-reference
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar

import msgspec
import requests
import urllib3.exceptions

from bot.providers.base import Fault

VERSION = "application/vnd.heroku+json; version=3"
# Not in the reference: Heroku's own command line cancels builds so (its command `builds:cancel`).
CANCEL_BUILD = f"{VERSION}.cancel-build"
TIMEOUT = (5.0, 20.0)  # seconds to connect, and to wait for an answer
HASTE = (2.0, 3.0)  # the same for last words, while the work is being stopped
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)  # seconds before a read is sent again; the last one repeats
LIMITED = 30.0  # seconds to wait at a rate limit; Heroku's pool gets about one request a second
LONGEST_WAIT = 120.0  # seconds, whatever a Retry-After says
NEWEST = 50  # builds that are looked through
SILENCE = 30.0  # seconds without output, after which its stream is connected anew
READ = 65536  # bytes at once
PIECES = 64  # of an output that wait to be written

PENDING, SUCCEEDED, FAILED = "pending", "succeeded", "failed"  # a release may also be `expired`

Told = TypeVar("Told")


class Lost(Exception):
    """A write whose answer did not come: it may have taken effect."""


class _Silent(Exception):
    """No answer, or one that says nothing (5xx, no JSON). Not known yet is not failed."""


class App(msgspec.Struct):
    id: str
    name: str
    web_url: str | None = None
    maintenance: bool = False


class _Id(msgspec.Struct):
    id: str


class _Source(msgspec.Struct):
    version: str | None = None


class Build(msgspec.Struct):
    id: str
    status: str
    source_blob: _Source
    output_stream_url: str | None = None
    release: _Id | None = None


class Release(msgspec.Struct):
    id: str
    version: int
    status: str
    output_stream_url: str | None = None


class _Version(msgspec.Struct):
    version: int


class Dyno(msgspec.Struct):
    name: str
    type: str
    state: str
    release: _Version | None = None

    @property
    def version(self) -> int:
        return self.release.version if self.release is not None else 0


class Formation(msgspec.Struct):
    type: str
    quantity: int


class Platform:
    """The API with one account's token, for one app.

    Reads are sent again until there is an answer; `wait` passes the time and ends it by raising. Each method raises
    Fault for what Heroku refuses, in words that name what helps. `trouble` is told when no answer has come for long.
    """

    def __init__(
        self, url: str, token: str, app: str, wait: Callable[[float], None], trouble: Callable[[str], None]
    ) -> None:
        self._url = url.rstrip("/")
        self._app = app
        self._wait = wait
        self._trouble = trouble
        self._timeout = TIMEOUT
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        self._session.headers["User-Agent"] = "shipbot"

    def close(self) -> None:
        self._session.close()

    def hurry(self, wait: Callable[[float], None]) -> None:
        """From now on there is little time for an answer, and `wait` passes it."""
        self._timeout, self._wait = HASTE, wait

    def app(self) -> App:
        return self._read("", App, "")

    def build(self, number: str) -> Build:
        return self._read(f"/builds/{number}", Build, f"the build {number}")

    def builds(self) -> list[Build]:
        """The newest ones, newest first."""
        newest = f"created_at ..; order=desc,max={NEWEST}"
        return self._read("/builds", list[Build], "the builds", {"Range": newest})

    def create_build(self, source: Callable[[], str], version: str) -> Build:
        """Builds a gzipped tarball and releases what comes of it. `source` makes the link to it, which is good for
        minutes: each time anew, since a rate limit may take longer. Raises Lost when its answer does not come."""

        def body() -> dict[str, Any]:
            return {"source_blob": {"url": source(), "version": version}}

        try:
            return self._patient("POST", "/builds", Build, "a build", body=body)
        except _Silent as silent:
            raise Lost(str(silent)) from silent

    def cancel_build(self, number: str) -> None:
        self._tell("DELETE", f"/builds/{number}", "to stop the build", {"Accept": CANCEL_BUILD})

    def release(self, number: str) -> Release:
        return self._read(f"/releases/{number}", Release, f"the release {number}")

    def formation(self) -> list[Formation]:
        return self._read("/formation", list[Formation], "the formation")

    def dynos(self) -> list[Dyno]:
        return self._read("/dynos", list[Dyno], "the dynos")

    def stop_dyno(self, name: str) -> None:
        self._tell("POST", f"/dynos/{name}/actions/stop", f"to stop the dyno {name}", {})

    def _read(self, path: str, kind: type[Told], what: str, headers: dict[str, str] | None = None) -> Told:
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            try:
                return self._patient("GET", path, kind, what, headers=headers)
            except _Silent as silent:
                if pause == PAUSES[-1]:
                    self._trouble(f"Heroku does not answer ({silent}); waiting for it")
                self._wait(pause)
        raise AssertionError("the pauses have no end")

    def _patient(
        self,
        method: str,
        path: str,
        kind: type[Told],
        what: str,
        *,
        headers: dict[str, str] | None = None,
        body: Callable[[], Any] | None = None,
    ) -> Told:
        """One request, sent again only where Heroku says that it was too many: then it did nothing."""
        while True:
            answer = self._once(method, path, headers or {}, body() if body is not None else None)
            if answer.status_code == 429:
                self._trouble("Heroku's rate limit is reached; waiting for it")
                self._wait(_retry_after(answer))
                continue
            self._must_be_fine(answer, what)
            try:
                return msgspec.json.decode(answer.content, type=kind)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise _Silent("an answer that is none") from error

    def _tell(self, method: str, path: str, what: str, headers: dict[str, str]) -> None:
        """Says it until it is heard: what is to end may be told so twice."""
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            with contextlib.suppress(_Silent):
                answer = self._once(method, path, headers, None)
                if answer.status_code != 429:
                    return self._must_be_fine(answer, what)
            self._wait(pause)

    def _once(self, method: str, path: str, headers: dict[str, str], body: Any) -> requests.Response:
        try:
            answer = self._session.request(
                method,
                f"{self._url}/apps/{self._app}{path}",
                headers={"Accept": VERSION, **headers},
                json=body,
                timeout=self._timeout,
                allow_redirects=method == "GET",
            )
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader) as error:
            raise Fault(f"HEROKU_API_URL or HEROKU_API_KEY can't be sent: {type(error).__name__}.") from None
        except requests.RequestException as error:
            raise _Silent(type(error).__name__) from error
        if answer.status_code >= 500:
            raise _Silent(f"HTTP {answer.status_code}")
        return answer

    def _must_be_fine(self, answer: requests.Response, what: str) -> None:
        status = answer.status_code
        if 200 <= status < 300:
            return
        message = _message(answer)
        if status == 401:
            raise Fault("Heroku refuses the token in HEROKU_API_KEY: it is wrong, expired or revoked.")
        if status == 403:
            raise Fault(f"Heroku does not let the account of HEROKU_API_KEY do this with {self._app}: {message}")
        if status == 404 and not what:
            raise Fault(f"Heroku has no app {self._app} that the account of HEROKU_API_KEY can see.")
        raise Fault(f"Heroku refuses {what or self._app} (HTTP {status}): {message}")


class Output:
    """An output stream from byte `start` on, read by a thread of its own, so that whoever waits can be stopped.

    Its address is a secret of its own: the token is not sent there. `ended` says, once the pieces have ended, whether
    they did so at the stream's end; else the connection was cut or says nothing, or there is no stream (yet).
    """

    def __init__(self, url: str, start: int) -> None:
        self.ended = False
        self._url = url
        self._start = start
        self._pieces: queue.Queue[bytes | None] = queue.Queue(PIECES)
        self._closed = threading.Event()
        self._response: requests.Response | None = None
        self._thread = threading.Thread(target=self._run, name="heroku-output", daemon=True)

    def __enter__(self) -> Output:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        if self._response is not None:
            with contextlib.suppress(ValueError, RuntimeError, OSError):  # it has ended already
                self._response.raw.shutdown()  # wakes the thread

    def pieces(self, look: Callable[[], None], often: float) -> Iterator[bytes]:
        """What comes, as it comes. `look` is called every `often` seconds at least, and may raise to end it."""
        heard = time.monotonic()
        while time.monotonic() - heard < SILENCE:
            look()
            try:
                piece = self._pieces.get(timeout=often)
            except queue.Empty:
                continue
            if piece is None:
                return
            yield piece
            heard = time.monotonic()

    def _run(self) -> None:
        with contextlib.suppress(
            requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError
        ):
            self.ended = self._read()
        self._put(None)

    def _read(self) -> bool:
        headers = {
            "Accept": "text/plain",
            "Accept-Encoding": "identity",  # so that a range counts the bytes that are seen
            "Range": f"bytes={self._start}-",
            "User-Agent": "shipbot",
        }
        with requests.get(
            self._url, stream=True, headers=headers, timeout=(TIMEOUT[0], SILENCE), auth=_nobody
        ) as response:
            self._response = response
            if response.status_code in (204, 416):  # there is nothing behind `start`
                return True
            if response.status_code not in (200, 206):
                return False
            before = self._start if response.status_code == 200 else 0  # the range was not heeded
            while piece := response.raw.read1(READ):
                piece = piece.replace(b"\x00", b"")  # sent while nothing happens, to keep the connection
                before, piece = max(0, before - len(piece)), piece[before:]
                if piece and not self._put(piece):
                    return False
            return True

    def _put(self, piece: bytes | None) -> bool:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._pieces.put(piece, timeout=0.5)
                return True
        return False


class _Bearer(requests.auth.AuthBase):
    """As `auth` and no mere header, which requests would replace by what a .netrc says of that host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _retry_after(answer: requests.Response) -> float:
    said = answer.headers.get("Retry-After", "")
    return min(float(said), LONGEST_WAIT) if said.isdecimal() else LIMITED


def _message(answer: requests.Response) -> str:
    """What an error's body says: `{"id": …, "message": …}`."""
    try:
        told = msgspec.json.decode(answer.content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "it gives no reason"
    return " ".join(str(told.get("message") or told.get("id") or "it gives no reason").split())
