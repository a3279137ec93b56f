"""Workflows of the simulated GitHub: their files, dispatches, runs, jobs and cancelling."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.playground.github import SimulatedGitHub
from tests.truth import check_github_record, served_github

FOLDER = ".github/workflows"
DEPLOY = """
name: Deploy
run-name: Deploy ${{ inputs.target }}
on:
  push:
  workflow_dispatch:
    inputs:
      target: {required: true}
      speed: {default: slow}
"""
DISPATCH = "/repos/acme/web/actions/workflows/deploy.yml/dispatches"


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    """One whose requests, answers and webhooks are held to GitHub's own description at the end."""
    with served_github() as simulated:
        simulated.add_repository("acme/web")
        simulated.push("acme/web", "topic", "Fix login")
        yield simulated
        check_github_record(simulated, refused_too=False)


@pytest.fixture
def workflow(github):
    for branch in ("main", "topic"):
        github.add_file("acme/web", f"{FOLDER}/deploy.yml", DEPLOY, branch=branch)
    github.add_hook("acme/web", "http://127.0.0.1:9/", secret="s", events=("workflow_run",))
    del github.pending[:]


def test_a_dispatch_makes_a_run(github, http, workflow):
    assert http.get("/repos/acme/web/actions/workflows/deploy.yml").json()["name"] == "Deploy"
    body = {"ref": "topic", "inputs": {"target": "fe"}, "return_run_details": True}
    made = http.post(DISPATCH, json=body)
    assert made.status_code == 200
    (run,) = github.runs_of("acme/web")
    assert made.json()["workflow_run_id"] == run.id
    assert run.inputs == {"target": "fe", "speed": "slow"}
    shown = http.get(f"/repos/acme/web/actions/runs/{run.id}").json()
    assert made.json() == {"workflow_run_id": run.id, "run_url": shown["url"], "html_url": shown["html_url"]}
    assert shown["head_sha"] == github.head("acme/web", "topic")
    assert (shown["event"], shown["status"], shown["conclusion"]) == ("workflow_dispatch", "queued", None)
    assert (shown["head_branch"], shown["display_title"]) == ("topic", "Deploy fe")
    assert [(one.event, one.action) for one in github.pending] == [("workflow_run", "requested")]
    number = shown["workflow_id"]
    again = http.post(DISPATCH.replace("deploy.yml", str(number)), json={"ref": "main", "inputs": {"target": "x"}})
    assert (again.status_code, again.content) == (204, b"")
    assert len(github.runs_of("acme/web")) == 2


def test_dispatches_that_are_refused(github, http, workflow):
    for body, message in [
        ({}, '"ref" wasn\'t supplied'),
        ({"ref": "main", "inputs": []}, "not an object"),
        ({"ref": "main", "input": {}}, '"input" is not a permitted key'),
        ({"ref": "nope", "inputs": {"target": "x"}}, "No ref found for: nope"),
        ({"ref": github.head("acme/web", "topic"), "inputs": {"target": "x"}}, "No ref found for: "),
        ({"ref": "main"}, "Required input 'target' not provided"),
        ({"ref": "main", "inputs": {"target": "x", "more": "y"}}, "Unexpected inputs provided: ['more']"),
    ]:
        refused = http.post(DISPATCH, json=body)
        assert refused.status_code == 422
        assert message in refused.json()["message"]
    github.older = True
    body = {"ref": "main", "inputs": {"target": "x"}, "return_run_details": True}
    assert '"return_run_details" is not a permitted key' in http.post(DISPATCH, json=body).json()["message"]
    assert http.post(DISPATCH.replace("deploy", "other"), json=body).status_code == 404
    github.token_permissions["actions"] = "read"
    assert http.post(DISPATCH, json=body).status_code == 403
    assert github.runs_of("acme/web") == []


def test_runs_are_listed_and_filtered(github, http, workflow):
    for ref in ("main", "topic", "topic"):
        http.post(DISPATCH, json={"ref": ref, "inputs": {"target": ref}})
    github.run_workflow("acme/web", "topic")
    newest, second, first, oldest = (run.id for run in github.runs_of("acme/web"))
    sha = github.head("acme/web", "topic")

    def listed(query, path="runs"):
        answer = http.get(f"/repos/acme/web/actions/{path}?{query}").json()
        return [run["id"] for run in answer["workflow_runs"]]

    assert listed("") == [newest, second, first, oldest]
    assert listed("event=push") == [newest]
    assert listed(f"event=workflow_dispatch&head_sha={sha}", "workflows/deploy.yml/runs") == [second, first]
    assert listed("branch=main&per_page=1") == [oldest]
    assert listed("created=%3E%3D2999-01-01T00:00:00Z") == []
    assert http.get("/repos/acme/web/actions/runs?per_page=1").json()["total_count"] == 4


def test_jobs_and_the_end_of_a_run(github, http, workflow):
    http.post(DISPATCH, json={"ref": "topic", "inputs": {"target": "x"}})
    (run,) = github.runs_of("acme/web")
    github.set_job("acme/web", run.id, "build", "in_progress")
    github.set_job("acme/web", run.id, "build")
    github.set_job("acme/web", run.id, "deploy", "waiting")
    answer = http.get(f"/repos/acme/web/actions/runs/{run.id}/jobs?per_page=100").json()
    assert [(job["name"], job["status"], job["conclusion"]) for job in answer["jobs"]] == [
        ("build", "completed", "success"),
        ("deploy", "waiting", None),
    ]
    assert github.repository("acme/web").contexts(run.sha) == {"build": "success"}
    cancelled = http.post(f"/repos/acme/web/actions/runs/{run.id}/cancel")
    assert (cancelled.status_code, cancelled.json()) == (202, {})
    assert http.post(f"/repos/acme/web/actions/runs/{run.id}/cancel").status_code == 409
    assert (run.status, run.conclusion) == ("completed", "cancelled")
    actions = [one.action for one in github.pending if one.event == "workflow_run"]
    assert actions == ["requested", "in_progress", "completed"]
    assert http.get("/repos/acme/web/actions/runs/1").status_code == 404


def test_a_deployment_starts_what_runs_on_it(github, http, workflow):
    github.add_file("acme/web", f"{FOLDER}/ship.yaml", "on: [push, deployment]", branch="topic")
    github.add_file("acme/web", f"{FOLDER}/odd.yml", "on: {deployment: [", branch="topic")
    github.create_deployment("acme/web", "topic")
    github.create_deployment("acme/web", "main")
    (run,) = github.runs_of("acme/web")
    assert (run.event, run.path, run.branch) == ("deployment", f"{FOLDER}/ship.yaml", None)
    assert http.get(f"/repos/acme/web/actions/runs/{run.id}").json()["head_branch"] is None
