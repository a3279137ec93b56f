"""How GitHub is asked: through PyGithub, with the right token, and every refusal told in our words.

https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from github import Auth, Github, GithubException, GithubIntegration
from github.Repository import Repository
from urllib3.util import Retry

from bot.deploys.clock import Clock
from bot.deploys.errors import (
    ChecksFailed,
    MergeConflict,
    NotAllowedByGitHub,
    NotFoundAtGitHub,
    PersonError,
    RateLimited,
    RepositoryMoved,
    RequestRefused,
    TokenRefused,
    TryLater,
    Unavailable,
    UnknownRef,
)
from bot.github.auth import AppTokens, GivenToken, Tokens
from bot.github.payloads import Malformed

TIMEOUT = 10  # seconds; GitHub itself gives up on a request after 10
# A write is never sent again by itself: a lost answer may mean that it took effect. Reads are, at once, and
# nobody sleeps: what takes longer is the job's business.
READ_AGAIN = Retry(
    total=1,
    other=0,  # urllib3 asks no allowed_methods here: a TLS connection cut after a POST went out would send it again
    allowed_methods=frozenset({"GET", "HEAD"}),
    status_forcelist=(500, 502, 503, 504),
    backoff_factor=0,
    respect_retry_after_header=False,
    raise_on_status=False,
    redirect=False,
)
PAGE = 100  # of a list; GitHub's limit
SECONDARY_WAIT = timedelta(minutes=1)  # what GitHub asks for when it names no time

Observer = Callable[[str, float], None]
Told = TypeVar("Told")


class Asking:
    """What every part of the client asks with. Thread-safe: no two threads share PyGithub's objects.

    `observe` is told each call's outcome (`ok` or the name of the error) and its seconds.
    """

    def __init__(self, api_url: str, tokens: Tokens, clock: Clock, observe: Observer | None = None) -> None:
        self._api_url = api_url
        self._tokens = tokens
        self._clock = clock
        self._observe = observe or (lambda outcome, seconds: None)
        self._local = threading.local()

    @contextlib.contextmanager
    def _asking(self, repository: str, permission: str, *, writing: bool = False) -> Iterator[Repository]:
        """PyGithub's repository; whatever goes wrong inside comes out as one of our errors."""
        with self._telling(repository, permission, writing=writing):
            yield self._repository(repository)

    @contextlib.contextmanager
    def _telling(self, repository: str, permission: str = "", *, writing: bool = False) -> Iterator[None]:
        """Whatever goes wrong inside comes out as one of our errors. `repository` may be "" where none is asked of."""
        started = time.perf_counter()
        outcome = "ok"
        try:
            yield
        except GithubException as error:
            if error.status == 401:
                self._tokens.forget(repository)
            translated = self._translate(error, repository, permission, writing=writing)
            outcome = type(translated).__name__
            raise translated from error
        except (requests.RequestException, Malformed) as error:
            outcome = Unavailable.__name__
            raise Unavailable("GitHub", _trouble(error)) from error
        except (PersonError, TryLater) as error:
            outcome = type(error).__name__
            raise
        finally:
            self._observe(outcome, time.perf_counter() - started)

    def _repository(self, repository: str) -> Repository:
        token = self._tokens.token(repository)
        clients: dict[str, Github] | None = getattr(self._local, "clients", None)
        if clients is None or len(clients) > 50:  # installation tokens come and go
            clients = self._local.clients = {}
        client = clients.get(token)
        if client is None:
            client = clients[token] = Github(auth=Auth.Token(token), **_options(self._api_url))
        return client.get_repo(repository)

    def _translate(self, error: GithubException, repository: str, permission: str, *, writing: bool) -> Exception:
        status = error.status
        data = error.data if isinstance(error.data, dict) else {}
        message = str(data.get("message", ""))
        headers = error.headers or {}
        if status == 401:
            return TokenRefused(message)
        if status in (403, 429) and (limited := rate_limit(status, message, headers, self._clock.now())) is not None:
            return limited
        if status == 403:
            return NotAllowedByGitHub(repository, permission, message)
        if status == 404:
            return NotFoundAtGitHub(repository, permission)
        if status in (301, 307, 308):
            return RepositoryMoved(repository)
        if status == 409 and writing:
            contexts = _contexts(data)
            if contexts or "status checks" in message.lower():
                return ChecksFailed(contexts, message)
            if "merging" in message.lower():
                return MergeConflict(message)
        if status == 422 and message.lower().startswith(("no ref found", "no commit found")):
            return UnknownRef(repository, message.rpartition(": ")[2])
        if status >= 500:
            return Unavailable("GitHub", f"HTTP {status}")
        return RequestRefused(status, message)


def rate_limit(status: int, message: str, headers: Mapping[str, str], now: datetime) -> RateLimited | None:
    """What a refusal says of a limit, None when it is of another kind. Names of `headers` are in lower case.

    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """
    after = headers.get("retry-after", "")
    if after.isdigit():
        return RateLimited("GitHub", now + timedelta(seconds=int(after)))
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
        return RateLimited("GitHub", datetime.fromtimestamp(int(headers["x-ratelimit-reset"]), UTC))
    if status == 429 or "rate limit" in message.lower():
        return RateLimited("GitHub", now + SECONDARY_WAIT)
    return None


def told(asked: Repository, path: str, **query: str | int) -> Any:
    """What GitHub answers to one GET. `path` is below the repository ("": itself), or with a / below the API's root."""
    url = path if path.startswith("/") else f"{asked.url}/{path}".removesuffix("/")
    _, answer = asked.requester.requestJsonAndCheck("GET", url, dict(query))
    return answer


def told_or_none(asked: Repository, path: str, **query: str | int) -> Any:
    """The same; None where GitHub answers that there is no such thing, or none that it shows."""
    try:
        return told(asked, path, **query)
    except GithubException as error:
        if error.status == 404:
            return None
        raise


def readable(parse: Callable[[dict[str, Any]], Told], told: Iterable[dict[str, Any]]) -> Iterator[Told]:
    """What can be understood of a list; one item that can't must not hide the others."""
    for item in told:
        with contextlib.suppress(Malformed):
            yield parse(item)


def segment(text: str) -> str:
    """A name as one segment of a path."""
    return quote(text, safe="")


def given_token(token: str) -> Tokens:
    """The tokens of a personal access token."""
    return GivenToken(token)


def app_tokens(app_id: int, private_key: str, api_url: str, clock: Clock) -> Tokens:
    """The tokens of a GitHub App; `private_key` is PEM text."""
    return AppTokens(integration(app_id, private_key, api_url), clock)


def integration(app_id: int, private_key: str, api_url: str) -> GithubIntegration:
    """PyGithub's way to ask as the App itself."""
    return GithubIntegration(auth=Auth.AppAuth(app_id, private_key), **_options(api_url))


def _options(api_url: str) -> dict[str, Any]:
    return {
        "base_url": api_url,
        "timeout": TIMEOUT,
        "retry": READ_AGAIN,
        "per_page": 100,
        "seconds_between_requests": None,  # GitHub's own limits are answered to as they come
        "seconds_between_writes": None,
        "user_agent": "shipbot",
        "lazy": True,
    }


def _trouble(error: Exception) -> str:
    """Why there is no answer. The error's own words are left out: they may hold what was sent."""
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT} s"
    return "an answer I can't read" if isinstance(error, Malformed) else "the connection broke"


def _contexts(data: dict[str, Any]) -> list[tuple[str, str]]:
    """The checks that a 409 names: `errors[0].contexts`, each with its state."""
    return [
        (str(context.get("context", "?")), str(context.get("state", "missing")))
        for error in data.get("errors") or ()
        if isinstance(error, dict)
        for context in error.get("contexts") or ()
        if isinstance(context, dict)
    ]
