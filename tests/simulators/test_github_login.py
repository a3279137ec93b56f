"""Logging in by the device flow, roles, teams and workflow runs: what GitHub answers beyond what the bot asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import httpx
import pytest

from bot.playground.github import SimulatedGitHub
from tests.truth import check_github_record, served_github

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
START = datetime(2030, 5, 6, 9, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def github(clock: Clock) -> Iterator[SimulatedGitHub]:
    with served_github(now=clock, app_id=4711, app_public_key="") as simulated:
        simulated.add_user("ana-gh", "Ana Lang")
        simulated.add_repository("acme/web")
        yield simulated
        check_github_record(simulated, refused_too=False)


@pytest.fixture
def site(github: SimulatedGitHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=github.url, headers={"Accept": "application/json"}) as client:
        yield client


def begin(github: SimulatedGitHub, site: httpx.Client) -> dict[str, str]:
    return site.post("/login/device/code", data={"client_id": github.app_body()["client_id"]}).json()


def ask(github: SimulatedGitHub, site: httpx.Client, device_code: str, **other: str) -> dict[str, str]:
    form = {"client_id": github.app_body()["client_id"], "device_code": device_code, "grant_type": GRANT, **other}
    return site.post("/login/oauth/access_token", data=form).json()


def test_from_a_code_to_a_name(github, site, clock):
    begun = begin(github, site)
    assert (begun["expires_in"], begun["interval"]) == (900, 5)
    assert ask(github, site, begun["device_code"])["error"] == "authorization_pending"
    github.authorize_device(begun["user_code"], "ana-gh")
    clock.time += timedelta(seconds=5)
    answer = ask(github, site, begun["device_code"])
    assert (answer["token_type"], answer["access_token"][:4]) == ("bearer", "ghu_")
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert site.get("/api/v3/user", headers=headers).json()["login"] == "ana-gh"
    assert site.get("/api/v3/repos/acme/web", headers=headers).status_code == 404
    assert ask(github, site, begun["device_code"])["error"] == "incorrect_device_code"


def test_each_question_that_comes_too_early_adds_five_seconds(github, site, clock):
    code = begin(github, site)["device_code"]
    ask(github, site, code)
    assert [ask(github, site, code)["interval"] for _ in range(2)] == [10, 15]
    clock.time += timedelta(seconds=15)
    assert ask(github, site, code)["error"] == "authorization_pending"


def test_refusals(github, site, clock):
    begun = begin(github, site)
    code = begun["device_code"]
    assert ask(github, site, code, grant_type="password")["error"] == "unsupported_grant_type"
    assert ask(github, site, code, client_id="Iv1.other")["error"] == "incorrect_client_credentials"
    github.deny_device(begun["user_code"])
    assert ask(github, site, code)["error"] == "access_denied"
    with pytest.raises(KeyError):
        github.authorize_device(begun["user_code"], "ana-gh")
    clock.time += timedelta(minutes=15)
    assert ask(github, site, code)["error"] == "expired_token"
    unknown = site.post("/login/device/code", data={"client_id": "Iv1.other"})
    assert (unknown.status_code, unknown.json()) == (404, {"error": "Not Found"})
    github.device_flow = False
    assert begin(github, site)["error"] == "device_flow_disabled"
    github.requests.clear()  # grants and ids of other flows are no requests to be held to this one


def test_without_asking_for_json_the_answer_is_a_form(github, site):
    client_id = github.app_body()["client_id"]
    answer = site.post("/login/device/code", data={"client_id": client_id}, headers={"Accept": "*/*"})
    assert answer.headers["content-type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(answer.text))["interval"] == "5"
    github.requests[-1].answer = None  # held as JSON elsewhere
    github.requests[-1].status = None
    assert site.post("/login", data={}).status_code == 404
    assert site.post("/login/oauth/authorize", data={}).status_code == 404
    del github.requests[1:]


def test_a_team_shows_itself_and_its_members(github, http):
    github.add_team("acme/release", ["ana-gh"])
    team = http.get("/orgs/acme/teams/Release").json()
    assert (team["slug"], team["members_count"], team["repos_count"]) == ("release", 1, 1)
    assert http.get("/orgs/acme/teams/other").status_code == 404
    assert http.get("/orgs/acme/teams/release/memberships/ANA-gh").json()["state"] == "active"
    assert http.get("/orgs/acme/teams/release/memberships/ben-gh").status_code == 404


def test_a_role_of_the_organizations_own(github, http):
    github.custom_roles["release-manager"] = "maintain"
    github.set_permission("acme/web", "ana-gh", "release-manager")
    answer = http.get("/repos/acme/web/collaborators/ana-gh/permission").json()
    assert (answer["permission"], answer["role_name"]) == ("write", "release-manager")
    assert answer["user"]["permissions"]["maintain"] is True
    with pytest.raises(ValueError, match="no such role"):
        github.set_permission("acme/web", "ana-gh", "release-boss")


def test_runs_of_workflows(github):
    github.add_hook("acme/web", "http://127.0.0.1:9/", secret="s", events=("workflow_run",))
    github.pending.clear()
    github.set_check_run("acme/web", "main", "build", status="queued")
    for action in ("requested", "in_progress", "completed"):
        github.run_workflow("acme/web", "main", "CI", action=action)
    assert [(one.event, one.action) for one in github.pending] == [
        ("workflow_run", "requested"),
        ("workflow_run", "in_progress"),
        ("workflow_run", "completed"),
    ]
    run = github.pending[-1].payload["workflow_run"]
    assert (run["head_sha"], run["conclusion"]) == (github.head("acme/web", "main"), "success")
    assert run["check_suite_id"] == github.repository("acme/web").check_runs[0].suite_id
    with pytest.raises(ValueError, match="conclusion"):
        github.run_workflow("acme/web", "main", action="requested", conclusion="success")
    with pytest.raises(ValueError, match="action"):
        github.run_workflow("acme/web", "main", action="done")
