"""What the service needs from GitHub, said by the one who needs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bot.deploys.events import Delivery, Deployment, PullRequest, Status
from bot.deploys.model import Check, Commit, Comparison, Login


@dataclass(frozen=True, slots=True)
class NewDeployment:
    """What a deployment is created with. `required_contexts`: None means all that ever reported, [] none.

    https://docs.github.com/en/rest/deployments/deployments#create-a-deployment
    """

    repository: str
    ref: str
    task: str
    environment: str
    auto_merge: bool
    required_contexts: Sequence[str] | None
    production_environment: bool
    transient_environment: bool
    description: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Merged:
    """GitHub merged the default branch into the ref and created nothing (202)."""

    message: str


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file in a repository. `sha` is git's name for what is in it.

    `text` is None where there is nothing to read, and `lack` says why: it is too `large`, not UTF-8 (`text`), or of
    another `kind`, such as a folder.
    """

    sha: str
    text: str | None
    lack: str = ""


class GitHub(Protocol):
    """GitHub as the service uses it.

    Every method may raise the person's errors of `bot.deploys.errors` that GitHub's answers stand for, and
    `Unavailable` or `RateLimited`. `repository` is always `owner/name`.
    """

    def default_branch(self, repository: str) -> str: ...

    def commit(self, repository: str, ref: str) -> Commit | None:
        """The commit that a branch, tag, full or short SHA names; None when there is none."""
        ...

    def branch_head(self, repository: str, branch: str) -> Commit | None:
        """The head of a branch; None when `branch` is no branch."""
        ...

    def read_file(self, repository: str, path: str, ref: str) -> RepositoryFile | None:
        """A file of at most 64 KB as it is at a ref; None when there is none."""
        ...

    def refs(self, repository: str) -> list[str]:
        """Names of branches and tags (the first few hundred), to find one that is alike."""
        ...

    def compare(self, repository: str, base: str, head: str) -> Comparison | None:
        """What `head` has that `base` has not; None when either is gone."""
        ...

    def pull_request(self, repository: str, number: int) -> PullRequest | None:
        """A pull request as it is now; None when there is none of that number."""
        ...

    def create_deployment(self, wanted: NewDeployment) -> Deployment | Merged: ...

    def find_deployment(self, repository: str, environment: str, task: str, our_id: str) -> Deployment | None:
        """The newest deployments there are searched for the one that carries our id in its payload."""
        ...

    def checks(self, repository: str, sha: str) -> list[Check]:
        """Every name that something was reported under about a commit, with the newest report: commit statuses
        and check runs, all pages of both, sorted by name. A name that both use comes as the worse of the two."""
        ...

    def permission(self, repository: str, login: str) -> str:
        """What a person may do with a repository: `admin`, `maintain`, `write`, `triage`, `read` or `none`."""
        ...

    def in_team(self, repository: str, team: str, login: str) -> bool:
        """Whether a person is an active member of a team, `organisation/team`. `repository` says whose token asks."""
        ...

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
        """Writes a deployment status; returns its id. `description` is cut to the 140 characters that GitHub takes.

        `auto_inactive`: whether a success ends what was live there before.
        """
        ...

    def deployment(self, repository: str, deployment_id: int) -> Deployment | None:
        """What GitHub says that a deployment is; None when there is none of that id."""
        ...

    def statuses(self, repository: str, deployment_id: int) -> list[Status]:
        """The newest hundred statuses of a deployment, newest first."""
        ...

    def statuses_unless(self, repository: str, deployment_id: int, etag: str) -> tuple[list[Status], str] | None:
        """The same with GitHub's tag for that answer; None where it is still the answer of that `etag` ("": none).

        Being told that nothing has changed does not count against the hourly limit.
        """
        ...

    def hooks_here(self, repository: str, public_url: str) -> list[int] | None:
        """The ids of a repository's webhooks that lead to this bot; `public_url` is where it is reached, "" when that
        is not known.

        Of an organization's where `repository` is its name alone. Of the GitHub App's own where it is "": its id is 0;
        None where there is no App.
        """
        ...

    def deliveries(self, repository: str, hook: int, since: datetime) -> list[Delivery]:
        """What such a webhook was sent since then, oldest first; of more than a thousand the newest."""
        ...

    def redeliver(self, repository: str, hook: int, delivery: int) -> None:
        """Has GitHub send once more what that attempt should have handed over."""
        ...

    def report_protection(self, repository: str, run: int, environment: str, comment: str) -> None:
        """Tells those who wait for a run how it stands with its protection rule. GitHub takes ten of these."""
        ...

    def answer_protection(self, repository: str, run: int, environment: str, state: str, comment: str) -> None:
        """Lets a run into an environment (`approved`) or not (`rejected`). Raises RequestRefused when it does not
        wait for that (any more)."""
        ...

    def protection_answer(self, repository: str, run: int, environment: str, mark: str) -> str:
        """The answer that was given there before with `mark` in its comment: `approved`, `rejected` or ''."""
        ...

    def begin_login(self) -> Login:
        """Begins a login by GitHub's device flow. Raises LoginUnavailable where this bot is no GitHub App, or the
        App does not allow it."""
        ...

    def finish_login(self, handle: str) -> str | None:
        """The login name of whoever typed the code; None while nobody has. The token that GitHub hands out is
        used for that one question and kept nowhere. Raises LoginEnded when the code ran out or was declined."""
        ...

    def past_deployments(self, repository: str, limit: int) -> Iterable[tuple[Deployment, list[Status]]]:
        """The newest deployments with their statuses, newest first."""
        ...


class Directory(Protocol):
    """Who is who in Slack, as the service needs it.

    Every method may raise `Unavailable` or `RateLimited`, and LookupFailed for what Slack does not tell.
    """

    def usergroup(self, group: str) -> frozenset[str]:
        """The ids of the people in a usergroup, as known within the last minute."""
        ...

    def time_zone(self, user: str) -> str:
        """The name of a person's time zone, such as Europe/Berlin."""
        ...
