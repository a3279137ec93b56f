"""How GitHub is asked: through PyGithub, with the right token, and every refusal told in our words.

https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from github import Auth, GithubException
from github.Repository import Repository
from github.Requester import Requester
from urllib3.util import Retry

from bot.deploys.clock import Clock
from bot.deploys.errors import (
    ChecksFailed,
    MergeConflict,
    NotAllowedByGitHub,
    NotFoundAtGitHub,
    PersonError,
    RepositoryMoved,
    RequestRefused,
    TokenRefused,
    TryLater,
    Unavailable,
    UnknownRef,
)
from bot.github.auth import AppTokens, GivenToken, Tokens
from bot.github.limits import Limits
from bot.github.objects import Malformed
from bot.github.remembered import Answer, Remembered

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

Observer = Callable[[str, float], None]
Told = TypeVar("Told")


class Sender(Requester):
    """PyGithub's way to send, by which all is asked: it keeps to limits, and remembers answers.

    `account` says whose limits, `who` whose answers: two tokens of one account may see different things.

    Everything may raise RateLimited: before anything is sent, or for GitHub's refusal.
    """

    def __init__(
        self,
        auth: Auth.Auth,
        api_url: str,
        clock: Clock,
        account: str,
        limits: Limits,
        remembered: Remembered,
        who: bytes,
    ) -> None:
        super().__init__(
            auth=auth,
            base_url=api_url,
            timeout=TIMEOUT,
            user_agent="shipbot",
            per_page=PAGE,
            verify=True,
            retry=READ_AGAIN,
            pool_size=None,
            seconds_between_requests=None,  # GitHub's own limits are kept to as they come
            seconds_between_writes=None,
            lazy=True,
        )
        self._clock = clock
        self._account = account
        self._limits = limits
        self._remembered = remembered
        self._who = who

    def requestJson(  # PyGithub's own: every one of its requests comes through here
        self,
        verb: str,
        url: str,
        parameters: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        input: Any | None = None,
        cnx: Any = None,
        follow_302_redirect: bool = False,
    ) -> tuple[int, dict[str, Any], str]:
        self._limits.hold(self._account, self._clock.now(), writing=verb not in ("GET", "HEAD"))
        status, told, body = super().requestJson(verb, url, parameters, headers, input, cnx, follow_302_redirect)
        words = str(_read(body).get("message", "")) if status in (403, 429) else ""
        limited = self._limits.heard(self._account, status, words, told, self._clock.now())
        if limited is not None:
            raise limited
        return status, told, body

    def told_again(self, url: str, query: dict[str, str | int]) -> tuple[dict[str, Any], Any]:
        """Headers and JSON of one GET that is made again and again; of the headers `etag` and `link` alone.

        What was answered before is given again where GitHub says that it still holds.
        """
        key = self._who, self.add_parameters_to_url(url, query)
        known = self._remembered.get(key)
        status, headers, text = self.requestJson(
            "GET", url, dict(query), {"If-None-Match": known.etag} if known is not None else {}
        )
        if status == 304 and known is not None:
            answer = known
        else:
            answer = Answer(str(headers.get("etag", "")), str(headers.get("link", "")), text.encode())
            if status == 200 and answer.etag:
                self._remembered.put(key, answer)
        if status >= 400:
            raise self.createException(status, headers, _read(text))
        try:
            read = json.loads(answer.body) if answer.body else None
            return {"etag": answer.etag, "link": answer.link}, read
        except ValueError:
            raise Malformed("no JSON") from None


class Asking:
    """What every part of the client asks with. Thread-safe: no two threads share PyGithub's objects.

    `observe` is told each call's outcome (`ok` or the name of the error) and its seconds.
    """

    def __init__(self, api_url: str, tokens: Tokens, clock: Clock, observe: Observer | None = None) -> None:
        self._api_url = api_url
        self._tokens = tokens
        self._clock = clock
        self._observe = observe or (lambda outcome, seconds: None)
        self.limits = tokens.limits
        self._remembered = Remembered()
        self._local = threading.local()

    @contextlib.contextmanager
    def _asking(self, repository: str, permission: str, *, writing: bool = False) -> Iterator[Repository]:
        """PyGithub's repository; whatever goes wrong inside comes out as one of our errors.

        An organization, by its name alone, comes as one too: its address is all that is good of it.
        """
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
        senders: dict[str, Sender] | None = getattr(self._local, "senders", None)
        if senders is None or len(senders) > 50:  # installation tokens come and go
            senders = self._local.senders = {}
        sender = senders.get(token.text)
        if sender is None:
            sender = senders[token.text] = Sender(
                Auth.Token(token.text),
                self._api_url,
                self._clock,
                token.account,
                self.limits,
                self._remembered,
                hashlib.sha256(token.text.encode()).digest(),
            )
        return Repository(sender, url=f"/{'repos' if '/' in repository else 'orgs'}/{repository}")

    def _translate(self, error: GithubException, repository: str, permission: str, *, writing: bool) -> Exception:
        status = error.status
        data = error.data if isinstance(error.data, dict) else {}
        message = str(data.get("message", ""))
        if status == 401:
            return TokenRefused(message)
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


def told(asked: Repository, path: str, **query: str | int) -> Any:
    """What GitHub answers to one GET. `path` is below the repository ("": itself), or with a / below the API's root."""
    _, answer = asked.requester.requestJsonAndCheck("GET", _address(asked, path), dict(query))
    return answer


def told_again(asked: Repository, path: str, **query: str | int) -> Any:
    """The same of what is asked again and again: that nothing has changed is heard for nothing."""
    return listed_again(asked, path, **query)[1]


def listed_again(asked: Repository, path: str, **query: str | int) -> tuple[dict[str, Any], Any]:
    """The same with the headers `etag` and `link`."""
    sender = asked.requester
    assert isinstance(sender, Sender)
    return sender.told_again(_address(asked, path), dict(query))


def told_or_none(asked: Repository, path: str, **query: str | int) -> Any:
    """What `told` says; None where GitHub answers that there is no such thing, or none that it shows."""
    return _or_none(told, asked, path, query)


def told_again_or_none(asked: Repository, path: str, **query: str | int) -> Any:
    """What `told_again` says; None where GitHub answers that there is no such thing, or none that it shows."""
    return _or_none(told_again, asked, path, query)


def _or_none(ask: Callable[..., Any], asked: Repository, path: str, query: dict[str, str | int]) -> Any:
    try:
        return ask(asked, path, **query)
    except GithubException as error:
        if error.status == 404:
            return None
        raise


def _address(asked: Repository, path: str) -> str:
    return path if path.startswith("/") else f"{asked.url}/{path}".removesuffix("/")


def readable(parse: Callable[[dict[str, Any]], Told], told: Iterable[dict[str, Any]]) -> Iterator[Told]:
    """What can be understood of a list; one item that can't must not hide the others."""
    for item in told:
        with contextlib.suppress(Malformed):
            yield parse(item)


def segment(text: str) -> str:
    """A name as one segment of a path."""
    return quote(text, safe="")


def given_token(token: str, limits: Limits | None = None) -> Tokens:
    """The tokens of a personal access token."""
    return GivenToken(token, limits or Limits())


def app_tokens(app_id: int, private_key: str, api_url: str, clock: Clock, limits: Limits | None = None) -> Tokens:
    """The tokens of a GitHub App; `private_key` is PEM text."""
    limits = limits or Limits()
    sender = Sender(Auth.AppAuth(app_id, private_key), api_url, clock, "app", limits, Remembered(), b"app")
    return AppTokens(sender, clock, limits)


def _read(body: str) -> dict[str, Any]:
    """The JSON of a refusal; nothing where it is none."""
    try:
        read = json.loads(body)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


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
