"""The endpoints of the simulated GitHub below `/repos/{owner}/{repo}/actions`.

https://docs.github.com/rest/actions/workflows, https://docs.github.com/rest/actions/workflow-runs and
https://docs.github.com/rest/actions/workflow-jobs
"""

from __future__ import annotations

import re

from bot.playground.github_bodies import stamp
from bot.playground.github_reading import repository_routes
from bot.playground.github_rest import Answer, Call, ok
from bot.playground.github_state import WorkflowRun
from bot.playground.github_workflows import FOLDER, workflow_file, workflow_paths
from bot.playground.github_world import Refused

get = repository_routes.add

DISPATCH = "actions/workflows#create-a-workflow-dispatch-event"
DISPATCH_KEYS = ("ref", "inputs", "return_run_details")


@get("GET", "/actions/workflows/{id}", "actions=read", "actions/workflows#get-a-workflow")
def workflow(call: Call) -> Answer:
    path = _path(call)
    name = workflow_file(call.repo, call.repo.branches[call.repo.default_branch], path).get("name") or path
    return ok(call.github.workflow_body(call.repo, path, name))


@get("POST", "/actions/workflows/{id}/dispatches", "actions=write", DISPATCH)
def dispatch(call: Call) -> Answer:
    path, body = _path(call), call.body()
    for key in body:
        if key not in DISPATCH_KEYS or (key == "return_run_details" and call.github.older):
            raise Refused(422, f'Invalid request.\n\n"{key}" is not a permitted key.')
    if not isinstance(body.get("ref"), str):
        raise Refused(422, 'Invalid request.\n\n"ref" wasn\'t supplied.')
    inputs = body.get("inputs", {})
    if not isinstance(inputs, dict):
        raise Refused(422, "Invalid request.\n\nFor 'properties/inputs', it is not an object.")
    run = call.github.dispatch(call.repo, call.person, path, body["ref"], inputs)
    if not body.get("return_run_details"):
        return Answer(204)
    shown = call.github.workflow_run_body(call.repo, run)
    return ok({"workflow_run_id": run.id, "run_url": shown["url"], "html_url": shown["html_url"]})


@get("GET", "/actions/workflows/{id}/runs", "actions=read", "actions/workflow-runs")
def runs_of_workflow(call: Call) -> Answer:
    path = _path(call)
    return _runs(call, [one for one in call.github.runs_of(call.repo.full_name) if one.path == path])


@get("GET", "/actions/runs", "actions=read", "actions/workflow-runs#list-workflow-runs-for-a-repository")
def runs(call: Call) -> Answer:
    return _runs(call, call.github.runs_of(call.repo.full_name))


@get("GET", "/actions/runs/{id}", "actions=read", "actions/workflow-runs#get-a-workflow-run")
def run(call: Call) -> Answer:
    return ok(call.github.workflow_run_body(call.repo, _run(call)))


@get("GET", "/actions/runs/{id}/jobs", "actions=read", "actions/workflow-jobs#list-jobs-for-a-workflow-run")
def jobs(call: Call) -> Answer:
    found = _run(call)
    shown, links = call.page(found.jobs)
    bodies = [call.github.job_body(call.repo, found, job) for job in shown]
    return ok({"total_count": len(found.jobs), "jobs": bodies}, links)


@get("POST", "/actions/runs/{id}/cancel", "actions=write", "actions/workflow-runs#cancel-a-workflow-run")
def cancel(call: Call) -> Answer:
    call.github.cancel_run(call.repo, _run(call))
    return Answer(202, {})


def _runs(call: Call, found: list[WorkflowRun]) -> Answer:
    wanted = call.query
    since = re.fullmatch(r">=(.+)", wanted.get("created", ""))
    found = [
        one
        for one in found
        if wanted.get("event", one.event) == one.event
        and wanted.get("head_sha", one.sha) == one.sha
        and wanted.get("branch", one.branch) == one.branch
        and wanted.get("status", one.status) in (one.status, one.conclusion)
        and (since is None or stamp(one.created_at) >= since[1])
    ]
    shown, links = call.page(found)
    bodies = [call.github.workflow_run_body(call.repo, one) for one in shown]
    return ok({"total_count": len(found), "workflow_runs": bodies}, links)


def _run(call: Call) -> WorkflowRun:
    number = call.args[0]
    found = call.repo.workflow_runs.get(int(number)) if number.isdecimal() else None
    if found is None:
        raise Refused(404, "Not Found")
    return found


def _path(call: Call) -> str:
    """The file of the workflow that a path names by its file name or its id. Raises 404."""
    repo, wanted = call.repo, call.args[0]
    for path in workflow_paths(repo, repo.branches[repo.default_branch]):
        number = call.github.workflow_body(repo, path, "")["id"]
        if wanted in (path.removeprefix(FOLDER), str(number)):
            return path
    raise Refused(404, "Not Found")
