"""Every answer that GitHub gives to somebody who deploys, as the real client and plain HTTP see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import github as pygithub
import httpx
import pytest

from bot.playground.github import SimulatedGitHub
from tests.truth import check_github_record, served_github

WEB = "/repos/acme/web"


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with served_github() as simulated:
        simulated.add_user("ana-gh", "Ana Lang")
        simulated.add_repository("acme/web")
        simulated.push("acme/web", "topic", "Fix login")
        yield simulated
        check_github_record(simulated, refused_too=False, new_states=True)


@pytest.fixture
def http(github: SimulatedGitHub) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {github.token}"}
    with httpx.Client(base_url=f"{github.url}/api/v3", headers=headers) as client:
        yield client


@pytest.fixture
def repo(github: SimulatedGitHub) -> Any:
    client = pygithub.Github(
        base_url=f"{github.url}/api/v3",
        auth=pygithub.Auth.Token(github.token),
        retry=None,
        seconds_between_requests=None,
        seconds_between_writes=None,
    )
    return client.get_repo("acme/web")


def events(github: SimulatedGitHub) -> list[str]:
    return [delivery.event for delivery in github.pending]


def test_a_deployment_is_made_with_everything_that_was_asked_for(github, repo):
    github.add_hook("acme/web", "http://127.0.0.1:9/", secret="s", events=("deployment",))
    sha = github.head("acme/web", "topic")
    made = repo.create_deployment(
        sha,
        task="deploy:migrations",
        auto_merge=False,
        required_contexts=[],
        payload={"user": "ana", "room_id": "C0OPS"},
        environment="staging",
        description="Deploying my branch",
        transient_environment=True,
    )
    assert made.sha == sha
    assert made.ref == sha
    assert made.raw_data["payload"] == {"user": "ana", "room_id": "C0OPS"}
    assert made.raw_data["creator"]["login"] == "shipbot"
    assert (made.task, made.environment, made.description) == (
        "deploy:migrations",
        "staging",
        "Deploying my branch",
    )
    assert (made.transient_environment, made.production_environment) == (True, False)
    assert repo.get_deployment(made.id).raw_data == made.raw_data == github.deployments("acme/web")[0]
    assert events(github) == ["ping", "deployment"]
    assert github.pending[-1].payload["deployment"] == made.raw_data


def test_what_is_left_out_has_githubs_defaults(github, http):
    answer = http.post(f"{WEB}/deployments", json={"ref": "main"})
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == body["url"] == str(answer.url) + f"/{body['id']}"
    assert body["payload"] == {}
    assert body["description"] is None
    assert (body["task"], body["environment"], body["production_environment"]) == (
        "deploy",
        "production",
        True,
    )


def test_a_payload_of_text_stays_text(http, repo):
    text = '{"user":"atmos","room_id":123456}'
    made = http.post(f"{WEB}/deployments", json={"ref": "topic", "payload": text}).json()
    assert made["payload"] == text
    assert repo.get_deployment(made["id"]).raw_data["payload"] == text


@pytest.mark.parametrize("ref", ["topic", "heads/topic", "refs/heads/topic", "v1.0", "tags/v1.0", "refs/tags/v1.0"])
def test_a_ref_is_kept_as_it_was_written(github, http, ref):
    github.tag("acme/web", "v1.0", "topic")
    made = http.post(f"{WEB}/deployments", json={"ref": ref}).json()
    assert (made["ref"], made["sha"]) == (ref, github.head("acme/web", "topic"))


def test_202_a_branch_that_is_behind_is_merged_and_not_deployed(github, http, repo):
    github.add_hook("acme/web", "http://127.0.0.1:9/", secret="s")
    ahead = github.push("acme/web", "main", "Bump httpx")
    before = github.head("acme/web", "topic")
    answer = http.post(f"{WEB}/deployments", json={"ref": "topic"})
    assert (answer.status_code, answer.json()) == (
        202,
        {"message": "Auto-merged main into topic on deployment."},
    )
    merge = repo.get_commit("topic")
    assert [parent.sha for parent in merge.parents] == [before, ahead]
    assert github.deployments("acme/web") == []
    assert events(github) == ["ping", "push", "push"]
    assert http.post(f"{WEB}/deployments", json={"ref": "topic"}).json()["sha"] == merge.sha


@pytest.mark.parametrize("ref_of", ["sha", "tag"])
def test_only_branches_are_merged(github, http, ref_of):
    sha = github.head("acme/web", "topic")
    github.tag("acme/web", "v1", sha)
    github.push("acme/web", "main")
    ref = {"sha": sha, "tag": "v1"}[ref_of]
    assert http.post(f"{WEB}/deployments", json={"ref": ref}).status_code == 201


def test_409_conflict(github, repo):
    github.push("acme/web", "main")
    github.make_conflict("acme/web", "topic")
    with pytest.raises(pygithub.GithubException) as caught:
        repo.create_deployment("topic")
    assert caught.value.status == 409
    assert caught.value.data["message"] == "Conflict merging main into topic"
    assert repo.create_deployment("topic", auto_merge=False).id


def test_409_failed_checks_names_each_context_with_its_state(github, repo):
    sha = github.head("acme/web", "topic")
    github.set_status("acme/web", sha, "ci/build", "pending")
    github.set_check_run("acme/web", sha, "lint")
    github.set_check_run("acme/web", sha, "docs", conclusion="skipped")
    with pytest.raises(pygithub.GithubException) as caught:
        repo.create_deployment("topic")
    assert caught.value.status == 409
    assert caught.value.data["message"] == "Conflict: Commit status checks failed for topic."
    [error] = caught.value.data["errors"]
    assert {one["context"]: one["state"] for one in error.pop("contexts")} == {
        "ci/build": "pending",
        "lint": "success",
        "docs": "skipped",
    }
    assert error == {"resource": "Deployment", "field": "required_contexts", "code": "invalid"}
    assert github.deployments("acme/web") == []


def test_only_the_named_contexts_count_and_one_never_reported_is_pending(github, http):
    sha = github.head("acme/web", "topic")
    github.set_status("acme/web", sha, "ci/build", "success")
    github.set_status("acme/web", sha, "ci/slow", "failure")

    def post(contexts: list[str]) -> httpx.Response:
        return http.post(f"{WEB}/deployments", json={"ref": "topic", "required_contexts": contexts})

    assert post(["ci/build"]).status_code == 201
    assert post([]).status_code == 201
    refused = post(["ci/build", "security"])
    assert refused.status_code == 409
    assert refused.json()["errors"][0]["contexts"] == [
        {"context": "ci/build", "state": "success"},
        {"context": "security", "state": "pending"},
    ]


def test_the_newest_report_of_a_context_counts(github, http):
    sha = github.head("acme/web", "topic")
    github.set_status("acme/web", sha, "ci/build", "failure")
    github.set_status("acme/web", sha, "ci/build", "success")
    github.set_check_run("acme/web", sha, "lint", conclusion="failure")
    github.set_check_run("acme/web", sha, "lint", conclusion="success")
    assert http.post(f"{WEB}/deployments", json={"ref": "topic"}).status_code == 201


def test_422_no_such_ref(repo):
    with pytest.raises(pygithub.GithubException) as caught:
        repo.create_deployment("tpoic")
    assert (caught.value.status, caught.value.data["message"]) == (422, "No ref found for: tpoic")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, '"ref" wasn\'t supplied'),
        ({"ref": 7}, "'properties/ref', 7 is not a string"),
        ({"ref": "main", "auto_merge": "yes"}, "'properties/auto_merge', \"yes\" is not a boolean"),
        ({"ref": "main", "required_contexts": "ci"}, "'properties/required_contexts'"),
        ({"ref": "main", "payload": [1]}, "'properties/payload', [1] is not an object or a string"),
    ],
)
def test_422_a_body_that_is_none(http, body, message):
    answer = http.post(f"{WEB}/deployments", json=body)
    assert answer.status_code == 422
    assert message in answer.json()["message"]


def test_400_no_json(http):
    answer = http.post(f"{WEB}/deployments", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["message"]) == (400, "Problems parsing JSON")


def test_404_403_401(github, http, repo):
    assert http.post("/repos/acme/wbe/deployments", json={"ref": "main"}).status_code == 404
    del github.token_permissions["deployments"]
    with pytest.raises(pygithub.GithubException) as caught:
        repo.create_deployment("main")
    assert caught.value.status == 403
    assert caught.value.data["message"] == "Resource not accessible by personal access token"
    assert caught.value.headers["x-accepted-github-permissions"] == "deployments=write"
    bad = http.post(f"{WEB}/deployments", json={"ref": "main"}, headers={"Authorization": "token nope"})
    assert (bad.status_code, bad.json()["message"]) == (401, "Bad credentials")
    github.hide_repository("acme/web")
    assert http.post(f"{WEB}/deployments", json={"ref": "main"}).status_code == 404


def test_a_renamed_repository_answers_with_its_new_place(github, http, repo):
    github.rename_repository("acme/web", "acme/site")
    made = repo.create_deployment("main")
    assert (made.id, made.raw_data["message"]) == (None, "Temporary Redirect")
    moved = http.post(f"{WEB}/deployments", json={"ref": "main"})
    assert moved.status_code == 307
    answer = http.post(moved.headers["location"], json={"ref": "main"})
    assert answer.status_code == 201
    assert "/repos/acme/site/" in answer.json()["url"]
    read = http.get(f"{WEB}/deployments", params={"task": "deploy"})
    assert read.status_code == 301
    assert http.get(read.headers["location"]).json()[0]["id"] == answer.json()["id"]


def test_listing_is_newest_first_filtered_and_paged(github, http, repo):
    for number in range(5):
        github.create_deployment("acme/web", "topic", environment=f"env-{number % 2}", task=f"t{number}")
    ids = [one["id"] for one in github.deployments("acme/web")]
    assert ids == sorted(ids, reverse=True)
    assert [one.id for one in repo.get_deployments()] == ids
    assert [one.id for one in repo.get_deployments(environment="env-1", task="t3")] == [ids[1]]
    sha = github.head("acme/web", "topic")
    assert len(http.get(f"{WEB}/deployments", params={"sha": sha, "ref": "topic"}).json()) == 5
    page = http.get(f"{WEB}/deployments", params={"per_page": 2, "page": 2})
    assert [one["id"] for one in page.json()] == ids[2:4]
    assert {rel: httpx.URL(link["url"]).params["page"] for rel, link in page.links.items()} == {
        "prev": "1",
        "next": "3",
        "last": "3",
        "first": "1",
    }
    assert [one["id"] for one in http.get(page.links["next"]["url"]).json()] == ids[4:]


# Statuses


def test_statuses_are_reported_and_listed_newest_first(github, repo):
    github.add_hook("acme/web", "http://127.0.0.1:9/", secret="s", events=("deployment_status",))
    deployment = repo.create_deployment("topic")
    written = deployment.create_status("in_progress", target_url="https://ci.example/1", description="Starting")
    github.report("acme/web", deployment.id, "success", environment_url="https://web.example")
    listed = list(deployment.get_statuses())
    assert [one.state for one in listed] == ["success", "in_progress"]
    assert [one.creator.login for one in listed] == ["deployer", "shipbot"]
    assert listed[1].raw_data == written.raw_data == deployment.get_status(written.id).raw_data
    assert written.raw_data["log_url"] == written.target_url == "https://ci.example/1"
    assert [one["state"] for one in github.statuses("acme/web", deployment.id)] == ["success", "in_progress"]
    assert events(github) == ["ping", "deployment_status", "deployment_status"]
    payload = github.pending[1].payload
    assert payload["deployment_status"] == written.raw_data
    assert payload["deployment"]["id"] == deployment.id


def test_an_inactive_status_sends_no_webhook_and_a_state_nobody_knows_does(github, http, repo):
    github.add_hook("acme/web", "http://127.0.0.1:9/", secret="s")
    deployment = repo.create_deployment("topic")
    deployment.create_status("inactive")
    github.report("acme/web", deployment.id, "hibernating")
    states = [one.payload["deployment_status"]["state"] for one in github.pending if one.event == "deployment_status"]
    assert states == ["hibernating"]
    assert [one["state"] for one in http.get(f"{WEB}/deployments/{deployment.id}/statuses").json()] == [
        "hibernating",
        "inactive",
    ]


@pytest.mark.parametrize("switch", [None, True, False])
def test_auto_inactive(github, http, switch):
    def deploy(environment: str, **more: Any) -> int:
        number = github.create_deployment("acme/web", "topic", environment=environment, **more)
        github.report("acme/web", number, "success", auto_inactive=False)
        return number

    earlier = deploy("staging")
    failed = deploy("staging")
    github.report("acme/web", failed, "failure")
    kept = [deploy("production"), deploy("qa"), deploy("staging", transient_environment=True), failed]
    newest = github.create_deployment("acme/web", "topic", environment="staging")
    later = deploy("staging")
    body = {"state": "success"} if switch is None else {"state": "success", "auto_inactive": switch}
    assert http.post(f"{WEB}/deployments/{newest}/statuses", json=body).status_code == 201

    def state(number: int) -> str:
        return github.statuses("acme/web", number)[0]["state"]

    assert state(earlier) == ("success" if switch is False else "inactive")
    assert [state(number) for number in [*kept, newest, later]] == [
        "success",
        "success",
        "success",
        "failure",
        "success",
        "success",
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"state": "done"}, "state"),
        ({"state": "success", "description": "x" * 141}, "description"),
        ({"state": "success", "environment_url": "web.example"}, "environment_url"),
    ],
)
def test_422_a_status_that_is_none(github, http, body, field):
    number = github.create_deployment("acme/web", "topic")
    answer = http.post(f"{WEB}/deployments/{number}/statuses", json=body)
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation Failed")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert github.statuses("acme/web", number) == []


def test_a_status_may_name_another_environment(github, http):
    number = github.create_deployment("acme/web", "topic", environment="staging")
    github.report("acme/web", number, "success", environment="staging-2")
    body = http.get(f"{WEB}/deployments/{number}").json()
    assert (body["environment"], body["original_environment"]) == ("staging-2", "staging")


def test_nobodys_deployment_is_404(http):
    assert http.get(f"{WEB}/deployments/1").status_code == 404
    assert http.post(f"{WEB}/deployments/x/statuses", json={"state": "success"}).status_code == 404
