"""GitHub as the service uses it: repositories, commits and deployments. Checks, people and logins stand beside.

https://docs.github.com/en/rest/deployments/deployments
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import quote, urlsplit

from github import GithubException
from github.GithubObject import NotSet
from github.Repository import Repository

from bot.deploys.clock import Clock
from bot.deploys.errors import RepositoryMoved
from bot.deploys.events import Deployment, PullRequest, Status
from bot.deploys.model import Commit, Comparison, Login
from bot.deploys.ports import Merged, NewDeployment, RepositoryFile
from bot.deploys.refs import possible_ref
from bot.github.asking import PAGE, Observer, readable, told, told_again, told_or_none
from bot.github.auth import Tokens
from bot.github.hooks import Hooks
from bot.github.login import DeviceFlow
from bot.github.objects import parse_deployment, parse_pull_request, parse_status
from bot.github.protection import Protection

REFS = 3  # pages of a hundred, of branches and of tags, in which a name that is alike is looked for
LARGEST_FILE = 64 * 1024  # bytes of a file that is read
LONGEST_DESCRIPTION = 140  # characters of a deployment status; GitHub refuses more


class GitHubClient(Protection, Hooks):
    """The port `bot.deploys.ports.GitHub`, over HTTP. Thread-safe.

    `web_url` is where people log in to that GitHub; `seal` is a secret, under which the handles of logins are sealed.
    `observe` is told each call's outcome (`ok` or the name of the error) and its seconds.
    """

    def __init__(
        self,
        api_url: str,
        tokens: Tokens,
        clock: Clock,
        observe: Observer | None = None,
        *,
        web_url: str,
        seal: str,
    ) -> None:
        super().__init__(api_url, tokens, clock, observe)
        self._web_url = web_url
        self._flow = DeviceFlow(web_url, api_url, clock, seal)

    def default_branch(self, repository: str) -> str:
        with self._asking(repository, "Metadata: read") as found:
            return str(told_again(found, "")["default_branch"])

    def commit(self, repository: str, ref: str) -> Commit | None:
        if not possible_ref(ref):
            return None
        with self._asking(repository, "Contents: read") as found:
            try:
                commit = _commit(told_again(found, f"commits/{quote(ref)}"))
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
                raw = told_again(found, f"branches/{quote(branch)}")
            except GithubException as error:
                if error.status == 404 and "Branch not found" in str(error.data):
                    return None
                raise
            # The name that a branch had before leads to it: https://github.com/google/go-github/issues/1895
            return _commit(raw["commit"]) if raw["name"] == branch else None

    def read_file(self, repository: str, path: str, ref: str) -> RepositoryFile | None:
        with self._asking(repository, "Contents: read") as found:
            try:
                raw = told_or_none(found, f"contents/{quote(path)}", ref=ref)
            except GithubException as error:
                if error.status == 403 and "too_large" in str(error.data):  # over 100 MB it has no contents at all
                    return RepositoryFile("", None, "large")
                raise
        return None if raw is None else _file(raw)

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
                raw = told(found, f"compare/{quote(base)}...{quote(head)}")
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

    def pull_request(self, repository: str, number: int) -> PullRequest | None:
        with self._asking(repository, "Pull requests: read") as found:
            raw = told_or_none(found, f"pulls/{number}")
            if raw is None:
                told(found, "")  # a repository that is out of sight says nothing about it, and raises here
                return None
            return parse_pull_request(repository, raw)

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
            ours = [made for made in readable(partial(parse_deployment, repository), newest) if made.our_id == our_id]
        return ours[-1] if ours else None  # the oldest: who copies a payload comes after it

    def past_deployments(self, repository: str, limit: int) -> Iterable[tuple[Deployment, list[Status]]]:
        with self._asking(repository, "Deployments: read") as found:
            return [
                (
                    deployment,
                    list(readable(parse_status, _page(found, f"deployments/{deployment.id}/statuses", PAGE))),
                )
                for deployment in readable(partial(parse_deployment, repository), _page(found, "deployments", limit))
            ]

    def write_status(
        self,
        repository: str,
        deployment_id: int,
        state: str,
        description: str,
        *,
        log_url: str = "",
        environment_url: str = "",
        auto_inactive: bool = True,
    ) -> int:
        with self._asking(repository, "Deployments: write", writing=True) as found:
            if len(description) > LONGEST_DESCRIPTION:
                description = description[: LONGEST_DESCRIPTION - 1] + "…"
            body: dict[str, Any] = {"state": state, "description": description}
            body |= {key: url for key, url in (("log_url", log_url), ("environment_url", environment_url)) if url}
            if not auto_inactive:
                body["auto_inactive"] = False
            url = f"{found.url}/deployments/{deployment_id}/statuses"
            _, made = found.requester.requestJsonAndCheck("POST", url, input=body)
            if "id" not in made:
                raise RepositoryMoved(repository)  # PyGithub takes a 307 for an answer
            return int(made["id"])

    def deployment(self, repository: str, deployment_id: int) -> Deployment | None:
        with self._asking(repository, "Deployments: read") as found:
            raw = told_or_none(found, f"deployments/{deployment_id}")
            return None if raw is None else parse_deployment(repository, raw)

    def statuses(self, repository: str, deployment_id: int) -> list[Status]:
        with self._asking(repository, "Deployments: read") as found:
            return list(readable(parse_status, _page(found, f"deployments/{deployment_id}/statuses", PAGE)))

    def statuses_unless(self, repository: str, deployment_id: int, etag: str) -> tuple[list[Status], str] | None:
        with self._asking(repository, "Deployments: read") as found:
            # Not by what is remembered: there may be a thousand of these, and a tag outlives the process.
            url = f"{found.url}/deployments/{deployment_id}/statuses"
            known = {"If-None-Match": etag} if etag else {}
            headers, raw = found.requester.requestJsonAndCheck("GET", url, {"per_page": PAGE}, headers=known)
            if raw is None:  # 304 has no body
                return None
            return list(readable(parse_status, raw)), str(headers.get("etag", ""))

    def repository(self, repository: str) -> AsProvidersSeeIt:
        """The repository for a provider, with this bot's rights."""
        return AsProvidersSeeIt(self, repository)

    def clone_url(self, repository: str) -> str:
        """Where git fetches it from."""
        return f"{self._web_url}/{repository}.git"

    def token_for(self, repository: str) -> str:
        """A token that may read it."""
        with self._telling(repository, "Contents: read"):
            return self._tokens.token(repository).text

    def tarball(self, repository: str, sha: str) -> str:
        """A link to the source of a commit that needs no token and is good for minutes."""
        with self._asking(repository, "Contents: read") as found:
            return found.get_archive_link("tarball", sha)

    def ask(self, repository: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Any request below the repository's address; the JSON of the answer, None where it has no body."""
        with self._asking(
            repository, f"what {method} {path.partition('?')[0]} needs", writing=method != "GET"
        ) as found:
            if method == "GET":  # providers ask how it goes again and again
                return told_again(found, path)
            given = None if body is None else dict(body)
            return found.requester.requestJsonAndCheck(method, f"{found.url}/{path}", input=given)[1]

    def begin_login(self) -> Login:
        with self._telling(""):
            return self._flow.begin(self._tokens.client_id())

    def finish_login(self, handle: str) -> str | None:
        """Once more than the port says: where GitHub wants to be asked less often, RateLimited says from when on."""
        with self._telling(""):
            return self._flow.finish(handle)

    # for `check`

    def access(self, repository: str) -> dict[str, Any]:
        """What the token may do with a repository, as GitHub's `permissions` says it."""
        with self._asking(repository, "Metadata: read") as found:
            raw = found.raw_data
            _stayed(repository, raw["html_url"] + "/")
            return dict(raw.get("permissions") or {})

    def installation(self, repository: str) -> dict[str, Any] | None:
        """The GitHub App's installation on a repository: its `permissions` and `events`, as GitHub says them; None
        where there is no App but a token."""
        with self._telling(repository, "Metadata: read"):
            answer = self._tokens.as_app("GET", f"/repos/{repository}/installation", {})
            return None if answer is None else dict(answer[1])


def _file(raw: Any) -> RepositoryFile:
    if not isinstance(raw, dict) or raw.get("type") != "file":  # a folder is a list
        return RepositoryFile("", None, "kind")
    sha = str(raw["sha"])
    if raw["size"] > LARGEST_FILE:
        return RepositoryFile(sha, None, "large")
    try:
        return RepositoryFile(sha, base64.b64decode(raw["content"]).decode())
    except UnicodeDecodeError:
        return RepositoryFile(sha, None, "text")


class AsProvidersSeeIt:
    """The port `bot.providers.base.Repository`."""

    def __init__(self, client: GitHubClient, repository: str) -> None:
        self._client = client
        self._repository = repository

    @property
    def clone_url(self) -> str:
        return self._client.clone_url(self._repository)

    def token(self) -> str:
        return self._client.token_for(self._repository)

    def tarball(self, sha: str) -> str:
        return self._client.tarball(self._repository, sha)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._client.ask(self._repository, method, path, body)


def _commit(raw: dict[str, Any]) -> Commit:
    inner = raw.get("commit") or {}
    author = raw.get("author") or {}
    message = str(inner.get("message") or "").replace("\x00", " ")
    return Commit(
        sha=raw["sha"],
        subject=message.split("\n", 1)[0].strip(),
        message=message,
        author=author.get("login") or (inner.get("author") or {}).get("name") or "",
        url=raw.get("html_url") or "",
        parents=tuple(parent["sha"] for parent in raw.get("parents") or ()),
    )


def _stayed(repository: str, url: str) -> None:
    """A renamed repository still answers reads under its old name, but its webhooks bear the new one."""
    parts = urlsplit(url).path.split("/commit/")[0].strip("/").split("/")
    new_name = "/".join(parts[-2:])
    if len(parts) >= 2 and new_name.casefold() != repository.casefold():
        raise RepositoryMoved(repository, new_name)


def _page(found: Repository, path: str, limit: int, **filters: str) -> list[dict[str, Any]]:
    """The first (and newest) up to `limit` of a list in one request; PyGithub's objects would ask for each again."""
    return list(told(found, path, per_page=min(limit, PAGE), **filters))
