"""The tokens that GitHub is asked with: one that was given, or a GitHub App's, one for each installation."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from bot.deploys.clock import Clock

EARLY = timedelta(minutes=5)  # an installation token lives an hour; a request under way should not outlive it


class Tokens(Protocol):
    """Says which token to use for a repository. Thread-safe."""

    def token(self, repository: str) -> str: ...

    def forget(self, repository: str) -> None:
        """GitHub refused the token; the next one is fetched anew where that is possible."""
        ...

    def as_app(self, method: str, path: str, query: dict[str, str | int]) -> tuple[dict[str, Any], Any] | None:
        """Headers and answer of a request of the GitHub App itself; None where there is none. Raises what PyGithub
        raises."""
        ...

    def client_id(self) -> str | None:
        """The GitHub App's, by which people log in to it; None where there is no App. Raises what PyGithub raises."""
        ...


class GivenToken:
    """A personal access token: the same for every repository."""

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self, repository: str) -> str:
        return self._token

    def forget(self, repository: str) -> None:
        return None

    def as_app(self, method: str, path: str, query: dict[str, str | int]) -> tuple[dict[str, Any], Any] | None:
        return None

    def client_id(self) -> str | None:
        return None


class AppTokens:
    """A GitHub App's installation tokens, found for each repository and fetched by one thread at a time.

    `integration` is PyGithub's GithubIntegration; it is not asked twice for what is known.
    """

    def __init__(self, integration: Any, clock: Clock) -> None:
        self._integration = integration
        self._clock = clock
        self._lock = threading.Lock()
        self._installations: dict[str, int] = {}
        self._tokens: dict[int, tuple[str, datetime]] = {}
        self._client_id: str | None = None

    def token(self, repository: str) -> str:
        """Raises what PyGithub raises, a 404 where the App is not installed on the repository."""
        with self._lock:
            installation = self._installations.get(repository)
            if installation is None:
                owner, _, name = repository.partition("/")
                installation = self._integration.get_repo_installation(owner, name).id
                self._installations[repository] = installation
            known = self._tokens.get(installation)
            if known is None or known[1] - EARLY <= self._clock.now():
                try:
                    fetched = self._integration.get_access_token(installation)
                except Exception:  # an App that was taken out and put back has another installation
                    self._installations.pop(repository)
                    raise
                expires: datetime = fetched.expires_at
                if expires.tzinfo is None:
                    expires = expires.replace(tzinfo=UTC)
                known = (fetched.token, expires)
                self._tokens[installation] = known
            return known[0]

    def forget(self, repository: str) -> None:
        with self._lock:
            self._tokens.pop(self._installations.pop(repository, 0), None)

    def as_app(self, method: str, path: str, query: dict[str, str | int]) -> tuple[dict[str, Any], Any] | None:
        with self._lock:
            answer: tuple[dict[str, Any], Any] = self._integration.requester.requestJsonAndCheck(method, path, query)
            return answer

    def client_id(self) -> str | None:
        """None, too, where an Enterprise Server is so old that it does not tell."""
        with self._lock:
            if self._client_id is None:
                self._client_id = self._integration.get_app().raw_data.get("client_id")
            return self._client_id
