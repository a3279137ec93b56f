"""What GitHub tells, in our words. `bot/github/payloads.py` makes these from webhook bodies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Deployment:
    """GitHub's record of a deployment. `payload` is the object in it ({} where it is text or absent)."""

    repository: str
    id: int
    ref: str
    sha: str
    task: str
    environment: str
    payload: dict[str, Any]
    creator: str
    created_at: datetime
    description: str = ""
    by_run_on: str = ""  # the event that started the workflow's run whose job, by its `environment`, made it

    @property
    def our_id(self) -> str:
        """The deploy's own id, where this bot (or someone who copied it) wrote it into the payload."""
        ours = self.payload.get("shipbot")
        value = ours.get("id") if isinstance(ours, dict) else None
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Status:
    """One deployment status. `state` may be one that nobody here knows yet."""

    id: int
    state: str
    creator: str
    created_at: datetime
    description: str = ""
    log_url: str = ""
    environment_url: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt of GitHub's to hand a webhook over. All attempts for one event share the `guid`.

    `arrived`: it was answered with a 2xx. `needed`: its event is one that this bot reads.
    """

    id: int
    guid: str
    at: datetime
    arrived: bool
    needed: bool = True


@dataclass(frozen=True, slots=True)
class DeploymentCreated:
    """A `deployment` webhook."""

    deployment: Deployment


@dataclass(frozen=True, slots=True)
class StatusReported:
    """A `deployment_status` webhook."""

    deployment: Deployment
    status: Status


@dataclass(frozen=True, slots=True)
class Pinged:
    """A `ping`: GitHub made or tested a hook. `hooked` is the repository or organisation it is for."""

    hooked: str
    zen: str = ""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A `push`: a branch or a tag was moved, made or deleted; the other of the two names is ''.

    `sha` is where it points now, '' when it is gone; `message` is that commit's; `paths` are the files that the
    push added, changed or removed, none where GitHub does not say; `login` is whose account pushed.
    """

    repository: str
    branch: str
    tag: str
    sha: str
    login: str
    message: str = ""
    paths: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as an event tells of it.

    `head` is the branch's name in `source`, the repository it comes from ('' when that is gone); `merge_sha` is the
    commit on `base` that it was merged by, once it is `merged`.
    """

    repository: str
    number: int
    title: str
    author: str
    open: bool
    draft: bool
    source: str
    head: str
    sha: str
    base: str
    labels: frozenset[str]
    updated_at: datetime
    merged_at: datetime | None = None
    merged_by: str = ""
    merge_sha: str = ""

    @property
    def fork(self) -> bool:
        """Whether it comes from another repository, so that strangers may have written it."""
        return self.source.casefold() != self.repository.casefold()

    @property
    def merged(self) -> bool:
        return self.merged_at is not None


@dataclass(frozen=True, slots=True)
class PullRequestChanged:
    """A `pull_request`: `action` is GitHub's word for what happened, `login` whose account did it, `label` the one
    that was put on or taken off."""

    pull: PullRequest
    action: str
    login: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class ChecksChanged:
    """A `status`, `check_run`, `check_suite` or `workflow_run`: something was reported about a commit.

    What, is read from GitHub, since these come in any order.
    """

    repository: str
    sha: str


@dataclass(frozen=True, slots=True)
class ProtectionAsked:
    """A `deployment_protection_rule`: a workflow's run waits at GitHub until this App lets it into an environment.

    `run` is its id, `url` its page, `login` whose account started it, `event` the name of what started it.
    `deployment` is None where GitHub makes none.
    """

    repository: str
    environment: str
    run: int
    url: str
    ref: str
    sha: str
    login: str
    event: str
    deployment: Deployment | None = None


@dataclass(frozen=True, slots=True)
class ReviewChanged:
    """A `deployment_review`: GitHub asks people of its own whether a run may go on, or one of them has answered.

    `state` is `requested`, `approved` or `rejected`. `login` is who asks or who answered, `reviewers` are logins and
    teams, `attempt` counts how often the run was started.
    """

    repository: str
    environments: tuple[str, ...]
    run: int
    attempt: int
    state: str
    url: str
    title: str
    ref: str
    sha: str
    login: str
    reviewers: tuple[str, ...] = ()
    comment: str = ""


Event = (
    DeploymentCreated
    | StatusReported
    | Pinged
    | ChecksChanged
    | Pushed
    | PullRequestChanged
    | ProtectionAsked
    | ReviewChanged
)
