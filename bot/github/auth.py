"""The tokens that GitHub is asked with: one that was given, or a GitHub App's, one for each installation."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

from bot.deploys.clock import Clock
from bot.github.limits import Limits

EARLY = timedelta(minutes=5)  # an installation token lives an hour; a request under way should not outlive it


@dataclass(frozen=True, slots=True)
class Token:
    """`account` says whose limits GitHub counts it against: an installation's tokens share theirs."""

    text: str = field(repr=False)
    account: str


class Tokens(Protocol):
    """Says which token to use for a repository, or for an organization by its name alone. Thread-safe.

    `limits` are those of all its accounts.
    """

    limits: Limits

    def token(self, repository: str) -> Token: ...

    def forget(self, repository: str) -> None:
        """GitHub refused the token; the next one is fetched anew where that is possible."""
        ...

    def as_app(self, method: str, path: str, query: dict[str, str | int]) -> tuple[dict[str, Any], Any] | None:
        """Headers and answer of a request of the GitHub App itself; None where there is none. Raises what PyGithub
        raises. What it reads is remembered, so that the same again costs nothing."""
        ...

    def client_id(self) -> str | None:
        """The GitHub App's, by which people log in to it; None where there is no App. Raises what PyGithub raises."""
        ...


class GivenToken:
    """A personal access token: the same for every repository."""

    def __init__(self, token: str, limits: Limits) -> None:
        self.limits = limits
        self._token = Token(token, "token")

    def token(self, repository: str) -> Token:
        return self._token

    def forget(self, repository: str) -> None:
        return None

    def as_app(self, method: str, path: str, query: dict[str, str | int]) -> tuple[dict[str, Any], Any] | None:
        return None

    def client_id(self) -> str | None:
        return None


class AppTokens:
    """A GitHub App's installation tokens, found for each repository and fetched by one thread at a time.

    `sender` asks as the App itself; it is not asked twice for what is known.
    """

    def __init__(self, sender: Any, clock: Clock, limits: Limits) -> None:
        self.limits = limits
        self._sender = sender
        self._clock = clock
        self._lock = threading.Lock()
        self._installations: dict[str, int] = {}
        self._tokens: dict[int, tuple[str, datetime]] = {}
        self._client_id: str | None = None

    def token(self, repository: str) -> Token:
        """Raises what PyGithub raises, a 404 where the App is not installed on the repository."""
        with self._lock:
            installation = self._installations.get(repository)
            if installation is None:
                place = "repos" if "/" in repository else "orgs"
                _, found = self._sender.requestJsonAndCheck("GET", f"/{place}/{repository}/installation")
                installation = self._installations[repository] = int(found["id"])
            known = self._tokens.get(installation)
            if known is None or known[1] - EARLY <= self._clock.now():
                path = f"/app/installations/{installation}/access_tokens"
                try:
                    _, fetched = self._sender.requestJsonAndCheck("POST", path, input={})
                except Exception:  # an App that was taken out and put back has another installation
                    self._installations.pop(repository)
                    raise
                expires = datetime.fromisoformat(fetched["expires_at"])
                if expires.tzinfo is None:
                    expires = expires.replace(tzinfo=UTC)
                known = self._tokens[installation] = (str(fetched["token"]), expires)
            return Token(known[0], f"installation {installation}")

    def forget(self, repository: str) -> None:
        with self._lock:
            self._tokens.pop(self._installations.pop(repository, 0), None)

    def as_app(self, method: str, path: str, query: dict[str, str | int]) -> tuple[dict[str, Any], Any] | None:
        with self._lock:
            ask = self._sender.told_again if method == "GET" else partial(self._sender.requestJsonAndCheck, method)
            answer: tuple[dict[str, Any], Any] = ask(path, query)
            return answer

    def client_id(self) -> str | None:
        """None, too, where an Enterprise Server is so old that it does not tell."""
        with self._lock:
            if self._client_id is None:
                self._client_id = self._sender.requestJsonAndCheck("GET", "/app")[1].get("client_id")
            return self._client_id
