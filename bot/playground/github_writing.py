"""The writing endpoints of the simulated GitHub below `/repos/{owner}/{repo}`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bot.playground.github_deployments import COMMIT_STATES
from bot.playground.github_reading import repository_routes
from bot.playground.github_rest import Answer, Call
from bot.playground.github_state import Json
from bot.playground.github_world import Refused

# What may be asked of a deployment now; a webhook may carry further states that only GitHub itself sets.
DEPLOYMENT_STATES = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")
LONGEST_DESCRIPTION = 140  # characters, of a status

post = repository_routes.add

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _maybe_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _names(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _payload(value: Any) -> bool:
    return isinstance(value, dict | str)


DEPLOYMENT_BODY: dict[str, tuple[Check, str]] = {
    "ref": (_text, "a string"),
    "task": (_text, "a string"),
    "auto_merge": (_flag, "a boolean"),
    "required_contexts": (_names, "an array"),
    "payload": (_payload, "an object or a string"),
    "environment": (_text, "a string"),
    "description": (_maybe_text, "a string"),
    "transient_environment": (_flag, "a boolean"),
    "production_environment": (_flag, "a boolean"),
}
STATUS_BODY: dict[str, tuple[Check, str]] = {
    "state": (_text, "a string"),
    "target_url": (_maybe_text, "a string"),
    "log_url": (_maybe_text, "a string"),
    "description": (_maybe_text, "a string"),
    "environment": (_text, "a string"),
    "environment_url": (_maybe_text, "a string"),
    "auto_inactive": (_flag, "a boolean"),
}
COMMIT_STATUS_BODY: dict[str, tuple[Check, str]] = {
    "state": (_text, "a string"),
    "target_url": (_maybe_text, "a string"),
    "description": (_maybe_text, "a string"),
    "context": (_text, "a string"),
}


@post("POST", "/deployments", "deployments=write", "deployments/deployments#create-a-deployment")
def create_deployment(call: Call) -> Answer:
    asked = _checked(call, DEPLOYMENT_BODY, required="ref")
    made = call.github.try_deployment(call.repo, call.person, asked, via_app=call.actor.via_app)
    if isinstance(made, str):
        return Answer(202, {"message": made})
    body = call.github.records.deployment(call.repo, made)
    return Answer(201, body, {"Location": body["url"]})


@post("POST", "/deployments/{id}/statuses", "deployments=write", "deployments/statuses")
def create_deployment_status(call: Call) -> Answer:
    deployment = call.github.deployment_for(call)
    asked = _checked(call, STATUS_BODY, required="state")
    faults = []
    if asked["state"] not in DEPLOYMENT_STATES:
        faults.append(("state", "is not included in the list"))
    faults += _too_long(asked)
    faults += [
        (key, "must use http(s) scheme")
        for key in ("target_url", "log_url", "environment_url")
        if asked.get(key) and not asked[key].startswith(("http://", "https://"))
    ]
    _refuse(faults, "DeploymentStatus")
    status = call.github.add_deployment_status(call.repo, deployment, call.person, asked, via_app=call.actor.via_app)
    body = call.github.records.deployment_status(call.repo, deployment, status)
    return Answer(201, body, {"Location": body["url"]})


@post("POST", "/statuses/{sha}", "statuses=write", "commits/statuses#create-a-commit-status")
def create_commit_status(call: Call) -> Answer:
    sha = call.args[0]
    if sha not in call.repo.commits:
        raise Refused(422, f"No commit found for SHA: {sha}")
    asked = _checked(call, COMMIT_STATUS_BODY, required="state")
    faults = _too_long(asked)
    if asked["state"] not in COMMIT_STATES:
        faults.append(("state", "is not included in the list"))
    _refuse(faults, "Status")
    number = call.github.set_status(
        call.repo.full_name,
        sha,
        asked.get("context") or "default",
        asked["state"],
        target_url=asked.get("target_url") or "",
        description=asked.get("description") or "",
        creator=call.person.login,
    )
    status = next(one for one in call.repo.commit_statuses if one.id == number)
    body = call.github.records.created_status(call.repo, status)
    return Answer(201, body, {"Location": body["url"]})


@post("POST", "/hooks/{id}/pings", "repository_hooks=read", "repos/webhooks#ping-a-repository-webhook")
def ping_hook(call: Call) -> Answer:
    call.github.ping(call.repo, call.github.hook_for(call))
    return Answer(204)


@post("POST", "/hooks/{id}/deliveries/{delivery}/attempts", "repository_hooks=write", "repos/webhooks")
def redeliver(call: Call) -> Answer:
    call.github.redeliver(call.github.delivery_for(call))
    return Answer(202, {})


def _checked(call: Call, keys: dict[str, tuple[Check, str]], *, required: str) -> Json:
    """The known keys of the body. Unknown ones are left out, as GitHub does; a wrong type is a 422."""
    body = call.body()
    if required not in body:
        raise Refused(422, f'Invalid request.\n\n"{required}" wasn\'t supplied.')
    for key, (holds, kind) in keys.items():
        if key in body and not holds(body[key]):
            shown = "nil" if body[key] is None else json.dumps(body[key])
            raise Refused(422, f"Invalid request.\n\nFor 'properties/{key}', {shown} is not {kind}.")
    return {key: body[key] for key in keys if key in body}


def _too_long(asked: Json) -> list[tuple[str, str]]:
    if len(asked.get("description") or "") <= LONGEST_DESCRIPTION:
        return []
    return [("description", f"is too long (maximum is {LONGEST_DESCRIPTION} characters)")]


def _refuse(faults: list[tuple[str, str]], resource: str) -> None:
    if faults:
        errors = [
            {"resource": resource, "code": "custom", "field": field, "message": f"{field} {what}"}
            for field, what in faults
        ]
        raise Refused(422, "Validation Failed", errors)
