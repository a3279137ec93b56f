"""Holds what the simulated GitHub answers, and what the bot asks of it, to GitHub's own description.

The models are those of `githubkit`, made from https://github.com/github/rest-api-description. They are
loaded one by one when first needed: all of them together cost seconds.
"""

from __future__ import annotations

import json as json_text
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any, Literal
from urllib.parse import parse_qsl

import githubkit_schemas.latest.models as models
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.routing import Mount
from typing_extensions import TypedDict

from bot.playground.github import SimulatedGitHub
from bot.playground.serving import Served

DEPLOYMENT_STATES = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
PAGED = {"per_page", "page"}
# Written by GitHub, but not (everywhere) in the description that the models are made from: fields of the API
# version that is answered when a client asks for none, one that only an Enterprise Server writes, and newer
# ones that the description of some events lacks.
ALSO_WRITTEN = {
    "client_id",
    "archived_at",
    "archived_by",
    "assignee",
    "display_title",
    "has_downloads",
    "installed_version",
    "merge_commit_sha",
    "rate",
    "user_view_type",
}

# The description of this event knows users as reviewers and no teams, and nothing of a run's commit; both are in the
# example that GitHub publishes (https://github.com/octokit/webhooks, payload-examples).
ALSO_WITHIN = {"deployment_review": ("reviewers.reviewer.", "workflow_run.head_commit.")}

_numbers = count(1)


@dataclass(frozen=True)
class Endpoint:
    """`answers` maps a status to a model's name; `[Name]` is a list of them, None an empty body."""

    method: str
    path: str
    answers: dict[int, str | None]
    query: frozenset[str] = frozenset()
    body: str | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        """`{x}` is one segment, `{x*}` any number."""
        return re.compile(re.sub(r"\{\w+\}", "[^/]+", re.sub(r"\{\w+\*\}", ".+", self.path)))


def _get(path: str, model: str, *query: str, paged: bool = False) -> Endpoint:
    return Endpoint("GET", path, {200: model}, frozenset(query) | (PAGED if paged else set()))


R = "/repos/{owner}/{repo}"
RUNS = "ReposOwnerRepoCommitsRefCheckRunsGetResponse200"
SUITE_RUNS = "ReposOwnerRepoCheckSuitesCheckSuiteIdCheckRunsGetResponse200"
RUN_FILTERS = "actor branch event status created exclude_pull_requests check_suite_id head_sha".split()
# Repository routes that end in a fixed word come before those whose ref may hold slashes.
ENDPOINTS = [
    _get("/meta", "ApiOverview"),
    _get("/rate_limit", "RateLimitOverview"),
    _get("/user", "PrivateUser"),
    _get("/users/{login}", "PublicUser"),
    _get("/app", "Integration"),
    _get("/app/installations", "[Installation]", "since", "outdated", paged=True),
    _get("/app/installations/{id}", "Installation"),
    Endpoint(
        "POST",
        "/app/installations/{id}/access_tokens",
        {201: "InstallationToken"},
        body="AppInstallationsInstallationIdAccessTokensPostBody",
    ),
    _get("/app/hook/config", "WebhookConfig"),
    _get("/app/hook/deliveries", "[HookDeliveryItem]", "per_page", "cursor", "status"),
    Endpoint(
        "POST",
        "/app/hook/deliveries/{delivery}/attempts",
        {202: "AppHookDeliveriesDeliveryIdAttemptsPostResponse202"},
    ),
    _get("/installation/repositories", "InstallationRepositoriesGetResponse200", paged=True),
    _get("/orgs/{org}/hooks", "[OrgHook]", paged=True),
    _get("/orgs/{org}/hooks/{id}/deliveries", "[HookDeliveryItem]", "per_page", "cursor", "status"),
    Endpoint(
        "POST",
        "/orgs/{org}/hooks/{id}/deliveries/{delivery}/attempts",
        {202: "AppHookDeliveriesDeliveryIdAttemptsPostResponse202"},
    ),
    _get("/orgs/{org}/installation", "Installation"),
    _get("/orgs/{org}/teams/{team}", "TeamFull"),
    _get("/orgs/{org}/teams/{team}/members", "[SimpleUser]", "role", paged=True),
    _get("/orgs/{org}/teams/{team}/memberships/{login}", "TeamMembership"),
    _get(R, "FullRepository"),
    _get(f"{R}/installation", "Installation"),
    _get(f"{R}/branches", "[ShortBranch]", "protected", paged=True),
    _get(f"{R}/branches/{{branch*}}", "BranchWithProtection"),
    _get(f"{R}/tags", "[Tag]", paged=True),
    Endpoint("GET", f"{R}/tarball/{{ref}}", {302: None}),
    _get(f"{R}/git/matching-refs/{{ref*}}", "[GitRef]", paged=True),  # PyGithub asks so of every list
    _get(f"{R}/git/ref/{{ref*}}", "GitRef"),
    _get(f"{R}/commits", "[Commit]", "sha", "path", "author", "committer", "since", "until", paged=True),
    _get(f"{R}/commits/{{ref*}}/status", "CombinedCommitStatus", paged=True),
    _get(f"{R}/commits/{{ref*}}/statuses", "[Status]", paged=True),
    _get(f"{R}/commits/{{ref*}}/check-runs", RUNS, "check_name", "status", "filter", "app_id", paged=True),
    _get(
        f"{R}/commits/{{ref*}}/check-suites",
        "ReposOwnerRepoCommitsRefCheckSuitesGetResponse200",
        "app_id",
        "check_name",
        paged=True,
    ),
    _get(f"{R}/commits/{{sha}}/pulls", "[PullRequestSimple]", paged=True),
    _get(f"{R}/commits/{{ref*}}", "Commit", paged=True),
    _get(f"{R}/check-runs/{{id}}", "CheckRun"),
    _get(f"{R}/check-suites/{{id}}/check-runs", SUITE_RUNS, "check_name", "status", "filter", paged=True),
    _get(f"{R}/compare/{{basehead*}}", "CommitComparison", paged=True),
    _get(f"{R}/contents/", "ContentFile", "ref"),
    _get(f"{R}/contents/{{path*}}", "ContentFile", "ref"),
    _get(f"{R}/deployments", "[Deployment]", "sha", "ref", "task", "environment", paged=True),
    Endpoint(
        "POST",
        f"{R}/deployments",
        {201: "Deployment", 202: "ReposOwnerRepoDeploymentsPostResponse202"},
        body="ReposOwnerRepoDeploymentsPostBody",
    ),
    _get(f"{R}/deployments/{{id}}", "Deployment"),
    Endpoint("GET", f"{R}/deployments/{{id}}/statuses", {200: "[DeploymentStatus]", 304: None}, PAGED),
    Endpoint(
        "POST",
        f"{R}/deployments/{{id}}/statuses",
        {201: "DeploymentStatus"},
        body="ReposOwnerRepoDeploymentsDeploymentIdStatusesPostBody",
    ),
    _get(f"{R}/deployments/{{id}}/statuses/{{status}}", "DeploymentStatus"),
    Endpoint(
        "POST",
        f"{R}/statuses/{{sha}}",
        {201: "Status"},
        body="ReposOwnerRepoStatusesShaPostBody",
    ),
    _get(f"{R}/statuses/{{ref*}}", "[Status]", paged=True),  # the older place, which PyGithub asks
    Endpoint("POST", f"{R}/actions/runs/{{id}}/deployment_protection_rule", {204: None}, body="ReviewCustomGates"),
    _get(f"{R}/actions/runs/{{id}}/approvals", "[EnvironmentApprovals]"),
    _get(f"{R}/pulls", "[PullRequestSimple]", "state", "head", "base", "sort", "direction", paged=True),
    _get(f"{R}/pulls/{{number}}", "PullRequest"),
    _get(f"{R}/collaborators/{{login}}/permission", "RepositoryCollaboratorPermission"),
    _get(f"{R}/hooks", "[Hook]", paged=True),
    _get(f"{R}/hooks/{{id}}", "Hook"),
    Endpoint("POST", f"{R}/hooks/{{id}}/pings", {204: None}),
    _get(f"{R}/hooks/{{id}}/deliveries", "[HookDeliveryItem]", "per_page", "cursor", "status"),
    _get(f"{R}/hooks/{{id}}/deliveries/{{delivery}}", "HookDelivery"),
    Endpoint(
        "POST",
        f"{R}/hooks/{{id}}/deliveries/{{delivery}}/attempts",
        {202: "AppHookDeliveriesDeliveryIdAttemptsPostResponse202"},
    ),
]
ENDPOINTS += [
    _get(f"{R}/actions/workflows/{{id}}", "Workflow"),
    Endpoint(
        "POST",
        f"{R}/actions/workflows/{{id}}/dispatches",
        {200: "WorkflowDispatchResponse", 204: None},
        body="ReposOwnerRepoActionsWorkflowsWorkflowIdDispatchesPostBody",
    ),
    _get(
        f"{R}/actions/workflows/{{id}}/runs",
        "ReposOwnerRepoActionsWorkflowsWorkflowIdRunsGetResponse200",
        *RUN_FILTERS,
        paged=True,
    ),
    _get(f"{R}/actions/runs", "ReposOwnerRepoActionsRunsGetResponse200", *RUN_FILTERS, paged=True),
    _get(f"{R}/actions/runs/{{id}}", "WorkflowRun", "exclude_pull_requests"),
    _get(f"{R}/actions/runs/{{id}}/jobs", "ReposOwnerRepoActionsRunsRunIdJobsGetResponse200", "filter", paged=True),
    Endpoint("POST", f"{R}/actions/runs/{{id}}/cancel", {202: "EmptyObject"}),
]
# Of the API version that is answered when a client asks for none; the models are those of the next one.
ALSO_ASKED = {"return_run_details"}
WEBHOOKS = {
    ("ping", None): "WebhookPing",
    ("push", None): "WebhookPush",
    ("status", None): "WebhookStatus",
    ("check_run", "created"): "WebhookCheckRunCreated",
    ("check_run", "completed"): "WebhookCheckRunCompleted",
    ("check_suite", "completed"): "WebhookCheckSuiteCompleted",
    ("deployment", "created"): "WebhookDeploymentCreated",
    ("deployment_status", "created"): "WebhookDeploymentStatusCreated",
    ("deployment_protection_rule", "requested"): "WebhookDeploymentProtectionRuleRequested",
    ("deployment_review", "requested"): "WebhookDeploymentReviewRequested",
    ("deployment_review", "approved"): "WebhookDeploymentReviewApproved",
    ("deployment_review", "rejected"): "WebhookDeploymentReviewRejected",
    ("workflow_run", "requested"): "WebhookWorkflowRunRequested",
    ("workflow_run", "in_progress"): "WebhookWorkflowRunInProgress",
    ("workflow_run", "completed"): "WebhookWorkflowRunCompleted",
    ("pull_request", "opened"): "WebhookPullRequestOpened",
    ("pull_request", "reopened"): "WebhookPullRequestReopened",
    ("pull_request", "synchronize"): "WebhookPullRequestSynchronize",
    ("pull_request", "labeled"): "WebhookPullRequestLabeled",
    ("pull_request", "unlabeled"): "WebhookPullRequestUnlabeled",
    ("pull_request", "closed"): "WebhookPullRequestClosed",
}


# What takes one of several bodies.
EITHER: dict[str, Any] = {
    "ReviewCustomGates": models.ReviewCustomGatesStateRequired | models.ReviewCustomGatesCommentRequired
}


# Logins are no part of that description. By hand, from
# https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#device-flow
class DeviceCodeAsked(TypedDict):
    client_id: str


class DeviceCode(TypedDict):
    device_code: str
    user_code: str
    verification_uri: str
    expires_in: int
    interval: int


class AccessTokenAsked(TypedDict):
    client_id: str
    device_code: str
    grant_type: Literal["urn:ietf:params:oauth:grant-type:device_code"]


class AccessToken(TypedDict):
    access_token: str
    token_type: Literal["bearer"]
    scope: str


class LoginRefused(TypedDict, total=False):
    error: Literal[
        "Not Found",  # of a client id
        "authorization_pending",
        "slow_down",
        "expired_token",
        "unsupported_grant_type",
        "incorrect_client_credentials",
        "incorrect_device_code",
        "access_denied",
        "device_flow_disabled",
    ]
    error_description: str
    error_uri: str
    interval: int


LOGINS: dict[str, tuple[Any, Any]] = {
    "/login/device/code": (DeviceCodeAsked, DeviceCode),
    "/login/oauth/access_token": (AccessTokenAsked, AccessToken),
}


def _hold_login(kind: Any, json: Any, where: str) -> None:
    try:
        TypeAdapter(kind).validate_python(json, strict=True)
    except ValidationError as wrong:
        raise AssertionError(f"{where}: {wrong}") from None
    extra = set(json) - set(kind.__annotations__)
    assert not extra, f"{where}: unknown keys {sorted(extra)}"


def check_github_answer(method: str, path: str, status: int, json: Any, *, new_states: bool = False) -> None:
    """Raises `AssertionError` when a REST answer is not one that GitHub gives at that place.

    `path` is without `/api/v3` and query. `new_states` lets deployment statuses have states that the
    description does not know (yet).
    """
    if path in LOGINS and status < 500:
        refused = isinstance(json, dict) and "error" in json
        _hold_login(LoginRefused if refused else LOGINS[path][1], json, f"{method} {path} {status}")
        return
    endpoint = _endpoint(method, path, required=status < 300)
    if status == 304:  # whoever asks with a tag may be told so, whether or not the description says it
        assert method == "GET"
        assert json is None
        return
    if status >= 300 and (endpoint is None or status not in endpoint.answers):
        assert isinstance(json, dict), f"{method} {path}: an error is an object"
        assert isinstance(json.get("message"), str), f"{method} {path}: an error has a message"
        if status == 422 and "errors" in json:
            _hold("ValidationError", json, f"{method} {path} {status}")
        else:
            _hold("BasicError", json, f"{method} {path} {status}")
        return
    assert endpoint is not None
    assert status in endpoint.answers, f"{method} {path} is never answered {status}"
    model = endpoint.answers[status]
    if model is None:
        assert json is None, f"{method} {path} {status} has no body"
        return
    if model == "ContentFile" and isinstance(json, list):
        model = "[ContentDirectoryItems]"
    if new_states and "DeploymentStatus" in model:
        json = _with_known_state(json)
    _hold_whole(model, json, f"{method} {path} {status}")


def check_github_webhook(event: str, json: Any) -> None:
    """Raises `AssertionError` when a payload is not one that GitHub sends for that event."""
    key = (event, json.get("action"))
    assert key in WEBHOOKS, f"unknown event {event} {json.get('action')}"
    _hold_whole(WEBHOOKS[key], json, f"webhook {event}", ALSO_WITHIN.get(event, ()))


def check_github_request(method: str, path: str, query: dict[str, str], json: Any) -> None:
    """Raises `AssertionError` when GitHub has no such endpoint, or it takes no such query or body."""
    if path in LOGINS:
        assert (method, query) == ("POST", {}), f"{method} {path} {query}"
        form = dict(parse_qsl(json)) if isinstance(json, str) else json  # GitHub takes either
        _hold_login(LOGINS[path][0], form, f"body of {method} {path}")
        return
    endpoint = _endpoint(method, path, required=True)
    assert endpoint is not None
    unknown = set(query) - endpoint.query
    assert not unknown, f"{method} {path} has no query {sorted(unknown)}"
    for key in PAGED & set(query):
        assert re.fullmatch("[1-9][0-9]*", query[key]), f"{method} {path}: {key}={query[key]}"
    if "per_page" in query:
        assert int(query["per_page"]) <= 100, f"{method} {path}: per_page={query['per_page']}"
    if endpoint.body is None:
        assert json in (None, {}), f"{method} {path} takes no body"
        return
    _hold(endpoint.body, {} if json is None else json, f"body of {method} {path}")
    if endpoint.body == "ReviewCustomGates":
        assert len(json.get("comment", "")) <= 1024, f"body of {method} {path}: comment over 1024"
    extra = set(unknown_keys(endpoint.body, {} if json is None else json)) - ALSO_ASKED
    assert not extra, f"body of {method} {path}: unknown keys {extra}"
    if path.rpartition("/")[2] == "statuses" and json.get("description"):
        assert len(json["description"]) <= 140, f"body of {method} {path}: description over 140"


def _hold_whole(model: str, json: Any, where: str, within: tuple[str, ...] = ()) -> None:
    """`within`: starts of dotted paths below which the description leaves keys out."""
    _hold(model, json, where)
    extra = [key for key in unknown_keys(model, json) if key.rpartition(".")[2] not in ALSO_WRITTEN]
    extra = [key for key in extra if not key.startswith(within)] if within else extra
    assert not extra, f"{where}: keys that GitHub does not write: {extra}"


def check_github_record(github: SimulatedGitHub, *, refused_too: bool = True, new_states: bool = False) -> None:
    """Holds everything that went over the wire so far: requests, answers and webhooks.

    Without `refused_too` requests that were answered 4xx are not held to be good ones.
    """
    for asked in github.requests:
        if asked.status is None or asked.status < 400 or refused_too:
            check_github_request(asked.method, asked.path, asked.query, asked.json)
        if asked.status is not None and not isinstance(asked.answer, str):
            check_github_answer(asked.method, asked.path, asked.status, asked.answer, new_states=new_states)
    for delivery in [*github.pending, *github.deliveries]:
        check_github_webhook(delivery.event, delivery.payload)


@contextmanager
def served_github(**options: Any) -> Iterator[SimulatedGitHub]:
    """A simulated GitHub on a real server, mounted below a prefix of its own."""
    github = SimulatedGitHub(**options)
    site, server = _site()
    prefix = f"/github-{next(_numbers)}"
    mount = Mount(prefix, github.asgi)
    site.router.routes.append(mount)
    github.url = server.url + prefix
    try:
        yield github
    finally:
        site.router.routes.remove(mount)


@cache
def _site() -> tuple[Starlette, Served]:
    """One server for all tests of a process: starting and stopping one takes longer than most tests."""
    site = Starlette()
    return site, Served(site)


def unknown_keys(model: str, json: Any) -> list[str]:
    """The keys of `json`, as dotted paths, that the model does not know."""
    read = _adapter(model).validate_json(json_text.dumps(json))
    known = _adapter(model).dump_python(read, mode="json", by_alias=True, exclude_unset=True)
    return sorted(set(_lost(json, known, "")))


def _lost(json: Any, known: Any, where: str) -> list[str]:
    if isinstance(json, dict) and isinstance(known, dict):
        found = []
        for key, value in json.items():
            found += [f"{where}{key}"] if key not in known else _lost(value, known[key], f"{where}{key}.")
        return found
    if isinstance(json, list) and isinstance(known, list):
        return [one for a, b in zip(json, known, strict=True) for one in _lost(a, b, where)]
    return []


def _with_known_state(json: Any) -> Any:
    if isinstance(json, list):
        return [_with_known_state(one) for one in json]
    return json if json["state"] in DEPLOYMENT_STATES else {**json, "state": "pending"}


def _endpoint(method: str, path: str, *, required: bool) -> Endpoint | None:
    path = re.sub(r"^/repositories/\d+", "/repos/any/any", path)
    for endpoint in ENDPOINTS:
        if endpoint.method == method and endpoint.pattern.fullmatch(path):
            return endpoint
    assert not required, f"GitHub's description (as far as it is held here) has no {method} {path}"
    return None


def _hold(model: str, json: Any, where: str) -> None:
    try:
        # As JSON, so that times may be text while everything else has to be of its very type.
        _adapter(model).validate_json(json_text.dumps(json), strict=True)
    except ValidationError as wrong:
        raise AssertionError(f"{where} is no {model}: {wrong}") from None


@cache
def _adapter(model: str) -> TypeAdapter[Any]:
    name = model.strip("[]")
    kind = getattr(models, name, None) or EITHER[name]
    return TypeAdapter(list[kind] if model.startswith("[") else kind)  # type: ignore[valid-type]
