"""What GitHub's JSON means: webhook bodies and REST answers become events.

Only the keys that are used are read, and what is missing or of another kind raises Malformed.
https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

from bot.deploys.events import (
    ChecksChanged,
    Delivery,
    Deployment,
    DeploymentCreated,
    Event,
    Pinged,
    ProtectionAsked,
    PullRequest,
    PullRequestChanged,
    Pushed,
    ReviewChanged,
    Status,
    StatusReported,
)
from bot.deploys.model import Check

LONGEST_NAME = 255  # characters of an environment's name; GitHub's own limit
MOST_COMMITS = 2048  # that a push names; GitHub's own limit


Told = TypeVar("Told")


class Malformed(Exception):
    """The body is not what GitHub sends for that event; the message names the place."""


def _text(value: str | None) -> str:
    """Without NUL, which a database may not keep in a text."""
    return (value or "").replace("\x00", "\ufffd")


def _link(value: str | None) -> str:
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


Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # what a database's integer holds


class _User(msgspec.Struct):
    login: str


class _Repository(msgspec.Struct):
    full_name: str


class _Organization(msgspec.Struct):
    login: str


class _Deployment(msgspec.Struct):
    id: Id
    ref: str
    sha: str
    environment: str
    created_at: datetime
    task: str = "deploy"
    payload: Any = None
    creator: _User | None = None
    description: str | None = None

    def event(self, repository: str) -> Deployment:
        return Deployment(
            repository=repository,
            id=self.id,
            ref=_text(self.ref),
            sha=_text(self.sha),
            task=_text(self.task),
            environment=_text(self.environment)[:LONGEST_NAME],
            payload=_object(self.payload),
            creator=_text(self.creator.login) if self.creator else "",
            created_at=self.created_at,
            description=_text(self.description),
        )


class _Status(msgspec.Struct):
    id: Id
    state: Annotated[str, msgspec.Meta(min_length=1)]
    created_at: datetime
    creator: _User | None = None
    description: str | None = None
    log_url: str | None = None
    target_url: str | None = None
    environment_url: str | None = None

    def event(self) -> Status:
        return Status(
            id=self.id,
            state=_text(self.state),
            creator=_text(self.creator.login) if self.creator else "",
            created_at=self.created_at,
            description=_text(self.description),
            log_url=_link(self.log_url) or _link(self.target_url),
            environment_url=_link(self.environment_url),
        )


class _MakingRun(msgspec.Struct):
    event: str = ""


class _DeploymentEvent(msgspec.Struct):
    deployment: _Deployment
    repository: _Repository
    workflow_run: _MakingRun | None = None

    def made(self) -> Deployment:
        return _made(self.deployment, self.repository, self.workflow_run)


class _StatusEvent(msgspec.Struct):
    deployment: _Deployment
    deployment_status: _Status
    repository: _Repository
    workflow_run: _MakingRun | None = None

    def made(self) -> Deployment:
        return _made(self.deployment, self.repository, self.workflow_run)


def _made(deployment: _Deployment, repository: _Repository, run: _MakingRun | None) -> Deployment:
    """GitHub names a run where that has made the deployment for a job's `environment`, and nobody asked for it."""
    made = deployment.event(repository.full_name)
    return made if run is None else replace(made, by_run_on=_text(run.event) or "unknown")


class _Ping(msgspec.Struct):
    zen: str = ""
    repository: _Repository | None = None
    organization: _Organization | None = None


class _OfCommit(msgspec.Struct):
    head_sha: str


class _CommitStatusEvent(msgspec.Struct):
    sha: str
    repository: _Repository


class _CheckRunEvent(msgspec.Struct):
    check_run: _OfCommit
    repository: _Repository


class _CheckSuiteEvent(msgspec.Struct):
    check_suite: _OfCommit
    repository: _Repository


class _WorkflowRunEvent(msgspec.Struct):
    workflow_run: _OfCommit
    repository: _Repository


class _PushedCommit(msgspec.Struct):
    id: str = ""
    message: str = ""
    added: list[str] = []
    modified: list[str] = []
    removed: list[str] = []


class _PushEvent(msgspec.Struct):
    ref: str
    after: str
    deleted: bool
    repository: _Repository
    forced: bool = False
    sender: _User | None = None
    head_commit: _PushedCommit | None = None
    commits: list[_PushedCommit] = []

    def event(self) -> Pushed:
        branch, tag = (self.ref.removeprefix(head) if self.ref.startswith(head) else "" for head in _REFS)
        paths = {path for commit in self.commits for path in (*commit.added, *commit.modified, *commit.removed)}
        return Pushed(
            repository=self.repository.full_name,
            branch=_text(branch),
            tag=_text(tag),
            # What an annotated tag points to is not its commit; that is told beside it.
            sha="" if self.deleted else _text((self.head_commit.id if self.head_commit else "") or self.after),
            login=_text(self.sender.login) if self.sender else "",
            message=_text(self.head_commit.message) if self.head_commit else "",
            # Of what a push by force takes away nothing is said, and of many commits not of all.
            paths=frozenset() if self.forced or len(self.commits) >= MOST_COMMITS else frozenset(paths),
        )


_REFS = ("refs/heads/", "refs/tags/")


class _Label(msgspec.Struct):
    name: str


class _Side(msgspec.Struct):
    ref: str
    sha: str
    repo: _Repository | None = None


class _PullRequest(msgspec.Struct):
    number: Id
    title: str
    state: str
    head: _Side
    base: _Side
    updated_at: datetime
    user: _User | None = None
    draft: bool | None = None
    labels: list[_Label] = []
    merged_at: datetime | None = None
    merged_by: _User | None = None
    merge_commit_sha: str | None = None

    def event(self, repository: str) -> PullRequest:
        return PullRequest(
            repository=repository,
            number=self.number,
            title=_text(self.title),
            author=_text(self.user.login) if self.user else "",
            open=self.state == "open",
            draft=bool(self.draft),
            source=_text(self.head.repo.full_name) if self.head.repo else "",
            head=_text(self.head.ref),
            sha=_text(self.head.sha),
            base=_text(self.base.ref),
            labels=frozenset(_text(label.name) for label in self.labels),
            updated_at=self.updated_at,
            merged_at=self.merged_at,
            merged_by=_text(self.merged_by.login) if self.merged_by else "",
            # Of one that is still open it is the merge that GitHub tries out.
            merge_sha=_text(self.merge_commit_sha) if self.merged_at is not None else "",
        )


class _PullRequestEvent(msgspec.Struct):
    action: str
    pull_request: _PullRequest
    repository: _Repository
    sender: _User | None = None
    label: _Label | None = None


class _Page(msgspec.Struct):
    full_name: str
    html_url: str


# https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment_protection_rule
class _ProtectionEvent(msgspec.Struct):
    environment: str
    deployment_callback_url: str
    repository: _Page
    deployment: _Deployment | None = None
    sha: str | None = None
    ref: str | None = None
    event: str | None = None
    sender: _User | None = None

    def asked(self) -> ProtectionAsked:
        made = self.deployment.event(self.repository.full_name) if self.deployment else None
        ref = _text(self.ref)
        for head in _REFS:
            ref = ref.removeprefix(head)
        # Whoever started the run; a bot that acts for them is named first where GitHub has nobody else.
        people = [_text(self.sender.login) if self.sender else "", made.creator if made else ""]
        run = _run_in(self.deployment_callback_url)
        return ProtectionAsked(
            repository=self.repository.full_name,
            environment=_text(self.environment)[:LONGEST_NAME],
            run=run,
            url=_link(f"{self.repository.html_url}/actions/runs/{run}"),
            ref=made.ref if made else ref,
            sha=made.sha if made else _text(self.sha),
            event=_text(self.event),
            login=next((login for login in people if login and not login.endswith("[bot]")), people[0] or people[1]),
            deployment=made,
        )


def _run_in(address: str) -> int:
    """The run that an address of GitHub's is about. It is asked at our own address of GitHub, never at this one."""
    found = re.search(r"/actions/runs/([0-9]{1,18})(?:/|$)", address)
    if found is None:
        raise Malformed("an address without a run in it")
    return int(found[1])


class _WorkflowRun(msgspec.Struct):
    id: Id
    html_url: str | None = None
    run_attempt: Id | None = None
    display_title: str | None = None
    name: str | None = None
    head_branch: str | None = None
    head_sha: str | None = None


class _JobRun(msgspec.Struct):
    environment: str | None = None
    html_url: str | None = None


class _Reviewer(msgspec.Struct):
    login: str | None = None
    name: str | None = None


class _Reviewers(msgspec.Struct):
    reviewer: _Reviewer | None = None


# https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment_review
class _ReviewEvent(msgspec.Struct):
    action: str
    repository: _Page
    environment: str | None = None
    workflow_run: _WorkflowRun | None = None
    workflow_job_run: _JobRun | None = None
    workflow_job_runs: list[_JobRun] | None = None
    reviewers: list[_Reviewers] | None = None
    requestor: _User | None = None
    approver: _User | None = None
    comment: str | None = None

    def event(self) -> ReviewChanged:
        jobs = [*(self.workflow_job_runs or ()), *([self.workflow_job_run] if self.workflow_job_run else ())]
        named = [self.environment, *(job.environment for job in jobs)]
        run = self.workflow_run
        number = run.id if run else _run_in(next((job.html_url for job in jobs if job.html_url), ""))
        who = self.requestor if self.action == "requested" else self.approver
        asked = [_text(one.reviewer.login or one.reviewer.name) for one in self.reviewers or () if one.reviewer]
        return ReviewChanged(
            repository=self.repository.full_name,
            environments=tuple(dict.fromkeys(_text(name)[:LONGEST_NAME] for name in named if name)),
            run=number,
            attempt=(run.run_attempt if run else None) or 1,
            state=_text(self.action),
            url=_link(f"{self.repository.html_url}/actions/runs/{number}"),
            title=_text(run.display_title or run.name) if run else "",
            ref=_text(run.head_branch) if run else "",
            sha=_text(run.head_sha) if run else "",
            login=_text(who.login) if who else "",
            reviewers=tuple(name for name in asked if name),
            comment=_text(self.comment),
        )


_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "deployment": msgspec.json.Decoder(_DeploymentEvent),
    "deployment_status": msgspec.json.Decoder(_StatusEvent),
    "ping": msgspec.json.Decoder(_Ping),
    "status": msgspec.json.Decoder(_CommitStatusEvent),
    "check_run": msgspec.json.Decoder(_CheckRunEvent),
    "check_suite": msgspec.json.Decoder(_CheckSuiteEvent),
    "workflow_run": msgspec.json.Decoder(_WorkflowRunEvent),
    "push": msgspec.json.Decoder(_PushEvent),
    "pull_request": msgspec.json.Decoder(_PullRequestEvent),
    "deployment_protection_rule": msgspec.json.Decoder(_ProtectionEvent),
    "deployment_review": msgspec.json.Decoder(_ReviewEvent),
}
EVENTS = frozenset(_DECODERS)  # the others are answered and not stored
OF_APPS = frozenset({"deployment_protection_rule", "deployment_review"})  # that GitHub sends to Apps alone
_ENCODER = msgspec.json.Encoder()


def essence(event: str, body: bytes) -> str:
    """What is read of a webhook's body, as JSON: a tenth of it, which is all that is worth storing.

    Raises Malformed.
    """
    return _ENCODER.encode(_decoded(event, body)).decode()


def parse_webhook(event: str, body: str | bytes) -> Event:
    """The event in a webhook's JSON body, whole or its essence. Raises Malformed."""
    match _decoded(event, body):
        case _StatusEvent() as told:
            return StatusReported(told.made(), told.deployment_status.event())
        case _DeploymentEvent() as told:
            return DeploymentCreated(told.made())
        case _Ping(zen, repository, organization):
            hooked = repository.full_name if repository else organization.login if organization else ""
            return Pinged(_text(hooked), _text(zen))
        case _CommitStatusEvent(sha, repository):
            return ChecksChanged(repository.full_name, _text(sha))
        case (
            _CheckRunEvent(commit, repository)
            | _CheckSuiteEvent(commit, repository)
            | _WorkflowRunEvent(commit, repository)
        ):
            return ChecksChanged(repository.full_name, _text(commit.head_sha))
        case _PushEvent() as pushed:
            return pushed.event()
        case _ProtectionEvent() as told:
            return told.asked()
        case _ReviewEvent() as review:
            return review.event()
        case _PullRequestEvent(action, pull, repository, sender, label):
            return PullRequestChanged(
                pull.event(repository.full_name),
                action=_text(action),
                login=_text(sender.login) if sender else "",
                label=_text(label.name) if label else "",
            )
    raise Malformed(f"nobody needs the event {event}")


def _decoded(event: str, body: str | bytes) -> Any:
    try:
        return _DECODERS[event].decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # msgspec's words name the place and the kind, never the value.
        raise Malformed(str(error) or type(error).__name__) from None


def parse_deployment(repository: str, value: dict[str, Any]) -> Deployment:
    """A deployment from a REST answer; raises Malformed."""
    return _converted(value, _Deployment).event(repository)


def parse_status(value: dict[str, Any]) -> Status:
    """A deployment status from a REST answer; raises Malformed."""
    return _converted(value, _Status).event()


def parse_pull_request(repository: str, value: dict[str, Any]) -> PullRequest:
    """A pull request from a REST answer; raises Malformed."""
    return _converted(value, _PullRequest).event(repository)


class _Delivery(msgspec.Struct):
    id: Id
    guid: str
    delivered_at: datetime
    status_code: int
    event: str


def parse_delivery(value: dict[str, Any]) -> Delivery:
    """An attempt to deliver a webhook from a REST answer; raises Malformed."""
    read = _converted(value, _Delivery)
    return Delivery(read.id, read.guid, read.delivered_at, 200 <= read.status_code < 300, read.event in EVENTS)


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
    read = _converted(value, _CommitStatus)
    return Report(read.id, Check(_text(read.context), _text(read.state), _link(read.target_url)))


def parse_check_run(value: dict[str, Any]) -> Report:
    """A check run from a REST answer, `pending` until it has come to a conclusion; raises Malformed."""
    read = _converted(value, _CheckRun)
    state = read.conclusion if read.status == "completed" else None
    return Report(read.id, Check(_text(read.name), _text(state) or "pending", _link(read.details_url or read.html_url)))


def _converted(value: dict[str, Any], kind: type[Told]) -> Told:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None
