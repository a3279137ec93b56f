"""GitHub's objects, as REST answers have them and webhooks carry them.

Only the keys that are used are read, and what is missing or of another kind raises Malformed.
https://docs.github.com/en/rest
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

from bot.deploys.events import Deployment, PullRequest, Status
from bot.deploys.model import Check

LONGEST_NAME = 255  # characters of an environment's name; GitHub's own limit

Told = TypeVar("Told")
Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # what a database's integer holds


class Malformed(Exception):
    """The body is not what GitHub sends for that event; the message names the place."""


def text(value: str | None) -> str:
    """Without NUL, which a database may not keep in a text."""
    return (value or "").replace("\x00", "\ufffd")


def link(value: str | None) -> str:
    """Only addresses a browser opens: a status may carry anything, and it becomes a button."""
    return value if value and value.startswith(("https://", "http://")) else ""


def _object(value: Any) -> dict[str, Any]:
    """An object, or text that may be JSON: GitHub keeps either as it was sent."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.MsgspecError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


class UserJson(msgspec.Struct):
    login: str


class RepositoryJson(msgspec.Struct):
    full_name: str


class DeploymentJson(msgspec.Struct):
    id: Id
    ref: str
    sha: str
    environment: str
    created_at: datetime
    task: str = "deploy"
    payload: Any = None
    creator: UserJson | None = None
    description: str | None = None

    def event(self, repository: str) -> Deployment:
        return Deployment(
            repository=repository,
            id=self.id,
            ref=text(self.ref),
            sha=text(self.sha),
            task=text(self.task),
            environment=text(self.environment)[:LONGEST_NAME],
            payload=_object(self.payload),
            creator=text(self.creator.login) if self.creator else "",
            created_at=self.created_at,
            description=text(self.description),
        )


class StatusJson(msgspec.Struct):
    id: Id
    state: Annotated[str, msgspec.Meta(min_length=1)]
    created_at: datetime
    creator: UserJson | None = None
    description: str | None = None
    log_url: str | None = None
    target_url: str | None = None
    environment_url: str | None = None

    def event(self) -> Status:
        return Status(
            id=self.id,
            state=text(self.state),
            creator=text(self.creator.login) if self.creator else "",
            created_at=self.created_at,
            description=text(self.description),
            log_url=link(self.log_url) or link(self.target_url),
            environment_url=link(self.environment_url),
        )


class LabelJson(msgspec.Struct):
    name: str


class _Side(msgspec.Struct):
    ref: str
    sha: str
    repo: RepositoryJson | None = None


class PullRequestJson(msgspec.Struct):
    number: Id
    title: str
    state: str
    head: _Side
    base: _Side
    updated_at: datetime
    user: UserJson | None = None
    draft: bool | None = None
    labels: list[LabelJson] = []
    merged_at: datetime | None = None
    merged_by: UserJson | None = None
    merge_commit_sha: str | None = None

    def event(self, repository: str) -> PullRequest:
        return PullRequest(
            repository=repository,
            number=self.number,
            title=text(self.title),
            author=text(self.user.login) if self.user else "",
            open=self.state == "open",
            draft=bool(self.draft),
            source=text(self.head.repo.full_name) if self.head.repo else "",
            head=text(self.head.ref),
            sha=text(self.head.sha),
            base=text(self.base.ref),
            labels=frozenset(text(label.name) for label in self.labels),
            updated_at=self.updated_at,
            merged_at=self.merged_at,
            merged_by=text(self.merged_by.login) if self.merged_by else "",
            # Of one that is still open it is the merge that GitHub tries out.
            merge_sha=text(self.merge_commit_sha) if self.merged_at is not None else "",
        )


def parse_deployment(repository: str, value: dict[str, Any]) -> Deployment:
    """A deployment from a REST answer; raises Malformed."""
    return converted(value, DeploymentJson).event(repository)


def parse_status(value: dict[str, Any]) -> Status:
    """A deployment status from a REST answer; raises Malformed."""
    return converted(value, StatusJson).event()


def parse_pull_request(repository: str, value: dict[str, Any]) -> PullRequest:
    """A pull request from a REST answer; raises Malformed."""
    return converted(value, PullRequestJson).event(repository)


class _CommitStatus(msgspec.Struct):
    id: Id
    context: str
    state: str
    target_url: str | None = None


class _CheckRun(msgspec.Struct):
    id: Id
    name: str
    status: str
    conclusion: str | None = None
    details_url: str | None = None
    html_url: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A commit status or a check run from a REST answer. Of those of one kind the greater id is the newer."""

    id: int
    check: Check


def parse_commit_status(value: dict[str, Any]) -> Report:
    """A commit status from a REST answer; raises Malformed."""
    read = converted(value, _CommitStatus)
    return Report(read.id, Check(text(read.context), text(read.state), link(read.target_url)))


def parse_check_run(value: dict[str, Any]) -> Report:
    """A check run from a REST answer, `pending` until it has come to a conclusion; raises Malformed."""
    read = converted(value, _CheckRun)
    state = read.conclusion if read.status == "completed" else None
    return Report(read.id, Check(text(read.name), text(state) or "pending", link(read.details_url or read.html_url)))


def converted(value: dict[str, Any], kind: type[Told]) -> Told:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None
