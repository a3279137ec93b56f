"""GitHub as the service uses it, through PyGithub. The only module that imports it.

https://docs.github.com/en/rest/deployments/deployments
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests
from github import Auth, Github, GithubException, GithubIntegration
from github.GithubObject import NotSet
from github.Repository import Repository
from urllib3.util import Retry

from bot.deploys.clock import Clock
from bot.deploys.errors import (
    ChecksFailed,
    MergeConflict,
    NotAllowedByGitHub,
    NotFoundAtGitHub,
    RateLimited,
    RepositoryMoved,
    RequestRefused,
    TokenRefused,
    Unavailable,
    UnknownRef,
)
from bot.deploys.events import Deployment, Status
from bot.deploys.model import Commit, Comparison
from bot.deploys.ports import Merged, NewDeployment
from bot.deploys.refs import possible_ref
from bot.github.auth import AppTokens, GivenToken, Tokens
from bot.github.payloads import Malformed, parse_deployment, parse_status

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
REFS = 3  # pages of a hundred, of branches and of tags, in which a name that is alike is looked for
PAGE = 100  # of a list; GitHub's limit
SECONDARY_WAIT = timedelta(minutes=1)  # what GitHub asks for when it names no time

Told = TypeVar("Told")
Observer = Callable[[str, float], None]


class GitHubClient:
    """The port `bot.deploys.ports.GitHub`, over HTTP. Thread-safe: no two threads share PyGithub's objects.

    `observe` is told each call's outcome (`ok` or the name of the error) and its seconds.
    """

    def __init__(self, api_url: str, tokens: Tokens, clock: Clock, observe: Observer | None = None) -> None:
        self._api_url = api_url
        self._tokens = tokens
        self._clock = clock
        self._observe = observe or (lambda outcome, seconds: None)
        self._local = threading.local()

    def default_branch(self, repository: str) -> str:
        with self._asking(repository, "Metadata: read") as found:
            return found.default_branch

    def commit(self, repository: str, ref: str) -> Commit | None:
        if not possible_ref(ref):
            return None
        with self._asking(repository, "Contents: read") as found:
            try:
                commit = _commit(found.get_commit(ref).raw_data)
            except GithubException as error:
                if error.status == 422 or (error.status == 404 and "No commit found" in str(error.data)):
                    return None
                raise
            _stayed(repository, commit.url)
            return commit

    def branch_head(self, repository: str, branch: str) -> Commit | None:
        if not possible_ref(branch):
            return None
        with self._asking(repository, "Contents: read") as found:
            try:
                return _commit(found.get_branch(branch).raw_data["commit"])
            except GithubException as error:
                if error.status == 404 and "Branch not found" in str(error.data):
                    return None
                raise

    def refs(self, repository: str) -> list[str]:
        with self._asking(repository, "Contents: read") as found:
            names = [branch.name for branch in islice(found.get_branches(), REFS * 100)]
            return names + [tag.name for tag in islice(found.get_tags(), REFS * 100)]

    def compare(self, repository: str, base: str, head: str) -> Comparison | None:
        if not (possible_ref(base) and possible_ref(head)):
            return None
        with self._asking(repository, "Contents: read") as found:
            try:
                # Asked without a page (PyGithub always names one) it lists the newest 250 commits, not the oldest.
                # https://docs.github.com/en/rest/commits/commits#compare-two-commits
                url = f"{found.url}/compare/{quote(base)}...{quote(head)}"
                _, raw = found.requester.requestJsonAndCheck("GET", url)
            except GithubException as error:
                if error.status in (404, 422):
                    return None
                raise
        return Comparison(
            base=base,
            head=head,
            ahead=raw["ahead_by"],
            behind=raw["behind_by"],
            url=raw["html_url"],
            commits=tuple(_commit(item) for item in raw["commits"]),
        )

    def create_deployment(self, wanted: NewDeployment) -> Deployment | Merged:
        with self._asking(wanted.repository, "Deployments: write", writing=True) as found:
            required = NotSet if wanted.required_contexts is None else list(wanted.required_contexts)
            made = found.create_deployment(
                ref=wanted.ref,
                task=wanted.task,
                auto_merge=wanted.auto_merge,
                required_contexts=required,
                payload=wanted.payload,
                environment=wanted.environment,
                description=wanted.description,
                transient_environment=wanted.transient_environment,
                production_environment=wanted.production_environment,
            ).raw_data
        if "id" in made:
            return parse_deployment(wanted.repository, made)
        message = str(made.get("message", ""))
        if "merged" in message.lower():
            return Merged(message)
        raise RepositoryMoved(wanted.repository)  # PyGithub takes a 307 for an answer

    def find_deployment(self, repository: str, environment: str, task: str, our_id: str) -> Deployment | None:
        with self._asking(repository, "Deployments: read") as found:
            newest = _page(found, "deployments", PAGE, environment=environment, task=task)
            ours = [made for made in _readable(partial(parse_deployment, repository), newest) if made.our_id == our_id]
        return ours[-1] if ours else None  # the oldest: who copies a payload comes after it

    def past_deployments(self, repository: str, limit: int) -> Iterable[tuple[Deployment, list[Status]]]:
        with self._asking(repository, "Deployments: read") as found:
            return [
                (
                    deployment,
                    list(_readable(parse_status, _page(found, f"deployments/{deployment.id}/statuses", PAGE))),
                )
                for deployment in _readable(partial(parse_deployment, repository), _page(found, "deployments", limit))
            ]

    # for `check`

    def access(self, repository: str) -> dict[str, Any]:
        """What the token may do with a repository, as GitHub's `permissions` says it."""
        with self._asking(repository, "Metadata: read") as found:
            raw = found.raw_data
            _stayed(repository, raw["html_url"] + "/")
            return dict(raw.get("permissions") or {})

    def hooks(self, repository: str) -> list[dict[str, Any]]:
        """The repository's webhooks. Raises NotAllowedByGitHub or NotFoundAtGitHub where they are hidden."""
        with self._asking(repository, "Webhooks: read") as found:
            return _page(found, "hooks", PAGE)

    def installation(self, repository: str, app_id: int, private_key: str) -> dict[str, Any]:
        """A GitHub App's installation on a repository: its `permissions` and `events`, as GitHub says them."""
        with self._asking(repository, "Metadata: read"):
            auth = Auth.AppAuth(app_id, private_key)
            return (
                GithubIntegration(auth=auth, **_options(self._api_url))
                .get_repo_installation(*repository.split("/", 1))
                .raw_data
            )

    @contextlib.contextmanager
    def _asking(self, repository: str, permission: str, *, writing: bool = False) -> Iterator[Repository]:
        """PyGithub's repository; whatever goes wrong inside comes out as one of our errors."""
        started = time.perf_counter()
        outcome = "ok"
        try:
            yield self._repository(repository)
        except GithubException as error:
            if error.status == 401:
                self._tokens.forget(repository)
            translated = self._translate(error, repository, permission, writing=writing)
            outcome = type(translated).__name__
            raise translated from error
        except (requests.RequestException, Malformed) as error:
            outcome = Unavailable.__name__
            raise Unavailable("GitHub", _trouble(error)) from error
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
        if status in (403, 429) and (limited := self._limited(status, message, headers)) is not None:
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
        if status == 422 and "no ref found" in message.lower():
            return UnknownRef(repository, message.rpartition(": ")[2])
        if status >= 500:
            return Unavailable("GitHub", f"HTTP {status}")
        return RequestRefused(status, message)

    def _limited(self, status: int, message: str, headers: dict[str, str]) -> RateLimited | None:
        """https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""
        now = self._clock.now()
        after = headers.get("retry-after", "")
        if after.isdigit():
            return RateLimited("GitHub", now + timedelta(seconds=int(after)))
        if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
            return RateLimited("GitHub", datetime.fromtimestamp(int(headers["x-ratelimit-reset"]), UTC))
        if status == 429 or "rate limit" in message.lower():
            return RateLimited("GitHub", now + SECONDARY_WAIT)
        return None


def given_token(token: str) -> Tokens:
    """The tokens of a personal access token."""
    return GivenToken(token)


def app_tokens(app_id: int, private_key: str, api_url: str, clock: Clock) -> Tokens:
    """The tokens of a GitHub App; `private_key` is PEM text."""
    auth = Auth.AppAuth(app_id, private_key)
    return AppTokens(GithubIntegration(auth=auth, **_options(api_url)), clock)


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
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT} s"
    return "an answer I can't read" if isinstance(error, Malformed) else "the connection broke"


def _commit(raw: dict[str, Any]) -> Commit:
    inner = raw.get("commit") or {}
    author = raw.get("author") or {}
    return Commit(
        sha=raw["sha"],
        subject=str(inner.get("message") or "").replace("\x00", " ").split("\n", 1)[0].strip(),
        author=author.get("login") or (inner.get("author") or {}).get("name") or "",
        url=raw.get("html_url") or "",
        parents=tuple(parent["sha"] for parent in raw.get("parents") or ()),
    )


def _contexts(data: dict[str, Any]) -> list[tuple[str, str]]:
    """The checks that a 409 names: `errors[0].contexts`, each with its state."""
    return [
        (str(context.get("context", "?")), str(context.get("state", "missing")))
        for error in data.get("errors") or ()
        if isinstance(error, dict)
        for context in error.get("contexts") or ()
        if isinstance(context, dict)
    ]


def _stayed(repository: str, url: str) -> None:
    """A renamed repository still answers reads under its old name, but its webhooks bear the new one."""
    parts = urlsplit(url).path.split("/commit/")[0].strip("/").split("/")
    new_name = "/".join(parts[-2:])
    if len(parts) >= 2 and new_name.casefold() != repository.casefold():
        raise RepositoryMoved(repository, new_name)


def _page(found: Repository, path: str, limit: int, **filters: str) -> list[dict[str, Any]]:
    """The first (and newest) up to `limit` of a list in one request; PyGithub's objects would ask for each again."""
    parameters = {"per_page": min(limit, PAGE), **filters}
    _, data = found.requester.requestJsonAndCheck("GET", f"{found.url}/{path}", parameters)
    return list(data)


def _readable(parse: Callable[[dict[str, Any]], Told], told: Iterable[dict[str, Any]]) -> Iterator[Told]:
    """What can be understood of a list; one item that can't must not hide the others."""
    for item in told:
        with contextlib.suppress(Malformed):
            yield parse(item)
