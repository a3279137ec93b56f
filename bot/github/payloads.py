"""What webhooks mean: their bodies become events.

Only the keys that are used are read, and what is missing or of another kind raises Malformed.
https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from bot.deploys.events import (
    ChecksChanged,
    Delivery,
    Deployment,
    DeploymentCreated,
    Event,
    Pinged,
    ProtectionAsked,
    PullRequestChanged,
    Pushed,
    ReviewChanged,
    StatusReported,
)
from bot.github.objects import (
    LONGEST_NAME,
    DeploymentJson,
    Id,
    LabelJson,
    Malformed,
    PullRequestJson,
    RepositoryJson,
    StatusJson,
    UserJson,
    converted,
    link,
    text,
)

MOST_COMMITS = 2048  # that a push names; GitHub's own limit


class _Organization(msgspec.Struct):
    login: str


class _MakingRun(msgspec.Struct):
    event: str = ""


class _DeploymentEvent(msgspec.Struct):
    deployment: DeploymentJson
    repository: RepositoryJson
    workflow_run: _MakingRun | None = None

    def made(self) -> Deployment:
        return _made(self.deployment, self.repository, self.workflow_run)


class _StatusEvent(msgspec.Struct):
    deployment: DeploymentJson
    deployment_status: StatusJson
    repository: RepositoryJson
    workflow_run: _MakingRun | None = None

    def made(self) -> Deployment:
        return _made(self.deployment, self.repository, self.workflow_run)


def _made(deployment: DeploymentJson, repository: RepositoryJson, run: _MakingRun | None) -> Deployment:
    """GitHub names a run where that has made the deployment for a job's `environment`, and nobody asked for it."""
    made = deployment.event(repository.full_name)
    return made if run is None else replace(made, by_run_on=text(run.event) or "unknown")


class _Ping(msgspec.Struct):
    zen: str = ""
    repository: RepositoryJson | None = None
    organization: _Organization | None = None


class _OfCommit(msgspec.Struct):
    head_sha: str


class _CommitStatusEvent(msgspec.Struct):
    sha: str
    repository: RepositoryJson


class _CheckRunEvent(msgspec.Struct):
    check_run: _OfCommit
    repository: RepositoryJson


class _CheckSuiteEvent(msgspec.Struct):
    check_suite: _OfCommit
    repository: RepositoryJson


class _WorkflowRunEvent(msgspec.Struct):
    workflow_run: _OfCommit
    repository: RepositoryJson


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
    repository: RepositoryJson
    forced: bool = False
    sender: UserJson | None = None
    head_commit: _PushedCommit | None = None
    commits: list[_PushedCommit] = []

    def event(self) -> Pushed:
        branch, tag = (self.ref.removeprefix(head) if self.ref.startswith(head) else "" for head in _REFS)
        paths = {path for commit in self.commits for path in (*commit.added, *commit.modified, *commit.removed)}
        return Pushed(
            repository=self.repository.full_name,
            branch=text(branch),
            tag=text(tag),
            # What an annotated tag points to is not its commit; that is told beside it.
            sha="" if self.deleted else text((self.head_commit.id if self.head_commit else "") or self.after),
            login=text(self.sender.login) if self.sender else "",
            message=text(self.head_commit.message) if self.head_commit else "",
            # Of what a push by force takes away nothing is said, and of many commits not of all.
            paths=frozenset() if self.forced or len(self.commits) >= MOST_COMMITS else frozenset(paths),
        )


_REFS = ("refs/heads/", "refs/tags/")


class _PullRequestEvent(msgspec.Struct):
    action: str
    pull_request: PullRequestJson
    repository: RepositoryJson
    sender: UserJson | None = None
    label: LabelJson | None = None


class _Page(msgspec.Struct):
    full_name: str
    html_url: str


# https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment_protection_rule
class _ProtectionEvent(msgspec.Struct):
    environment: str
    deployment_callback_url: str
    repository: _Page
    deployment: DeploymentJson | None = None
    sha: str | None = None
    ref: str | None = None
    event: str | None = None
    sender: UserJson | None = None

    def asked(self) -> ProtectionAsked:
        made = self.deployment.event(self.repository.full_name) if self.deployment else None
        ref = text(self.ref)
        for head in _REFS:
            ref = ref.removeprefix(head)
        # Whoever started the run; a bot that acts for them is named first where GitHub has nobody else.
        people = [text(self.sender.login) if self.sender else "", made.creator if made else ""]
        run = _run_in(self.deployment_callback_url)
        return ProtectionAsked(
            repository=self.repository.full_name,
            environment=text(self.environment)[:LONGEST_NAME],
            run=run,
            url=link(f"{self.repository.html_url}/actions/runs/{run}"),
            ref=made.ref if made else ref,
            sha=made.sha if made else text(self.sha),
            event=text(self.event),
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
    requestor: UserJson | None = None
    approver: UserJson | None = None
    comment: str | None = None

    def event(self) -> ReviewChanged:
        jobs = [*(self.workflow_job_runs or ()), *([self.workflow_job_run] if self.workflow_job_run else ())]
        named = [self.environment, *(job.environment for job in jobs)]
        run = self.workflow_run
        number = run.id if run else _run_in(next((job.html_url for job in jobs if job.html_url), ""))
        who = self.requestor if self.action == "requested" else self.approver
        asked = [text(one.reviewer.login or one.reviewer.name) for one in self.reviewers or () if one.reviewer]
        return ReviewChanged(
            repository=self.repository.full_name,
            environments=tuple(dict.fromkeys(text(name)[:LONGEST_NAME] for name in named if name)),
            run=number,
            attempt=(run.run_attempt if run else None) or 1,
            state=text(self.action),
            url=link(f"{self.repository.html_url}/actions/runs/{number}"),
            title=text(run.display_title or run.name) if run else "",
            ref=text(run.head_branch) if run else "",
            sha=text(run.head_sha) if run else "",
            login=text(who.login) if who else "",
            reviewers=tuple(name for name in asked if name),
            comment=text(self.comment),
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
            return Pinged(text(hooked), text(zen))
        case _CommitStatusEvent(sha, repository):
            return ChecksChanged(repository.full_name, text(sha))
        case (
            _CheckRunEvent(commit, repository)
            | _CheckSuiteEvent(commit, repository)
            | _WorkflowRunEvent(commit, repository)
        ):
            return ChecksChanged(repository.full_name, text(commit.head_sha))
        case _PushEvent() as pushed:
            return pushed.event()
        case _ProtectionEvent() as told:
            return told.asked()
        case _ReviewEvent() as review:
            return review.event()
        case _PullRequestEvent(action, pull, repository, sender, label):
            return PullRequestChanged(
                pull.event(repository.full_name),
                action=text(action),
                login=text(sender.login) if sender else "",
                label=text(label.name) if label else "",
            )
    raise Malformed(f"nobody needs the event {event}")


def _decoded(event: str, body: str | bytes) -> Any:
    try:
        return _DECODERS[event].decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # msgspec's words name the place and the kind, never the value.
        raise Malformed(str(error) or type(error).__name__) from None


class _Delivery(msgspec.Struct):
    id: Id
    guid: str
    delivered_at: datetime
    status_code: int
    event: str


def parse_delivery(value: dict[str, Any]) -> Delivery:
    """An attempt to deliver a webhook from a REST answer; raises Malformed."""
    read = converted(value, _Delivery)
    return Delivery(read.id, read.guid, read.delivered_at, 200 <= read.status_code < 300, read.event in EVENTS)
