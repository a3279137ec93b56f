"""The client against a simulated GitHub: checks, roles, teams, statuses and logins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bot.deploys.errors import (
    LoginEnded,
    LoginUnavailable,
    LookupFailed,
    NotAllowedByGitHub,
    NotFoundAtGitHub,
    RateLimited,
    RequestRefused,
    Unavailable,
    UnknownRef,
)
from bot.deploys.ports import RepositoryFile
from bot.github.client import GitHubClient
from bot.playground.github import SimulatedGitHub
from tests.world import START, FixedClock

WEB = "/repos/acme/web"
CODE, TOKEN = "/login/device/code", "/login/oauth/access_token"


@pytest.fixture
def client(make_client: Callable[..., GitHubClient]) -> GitHubClient:
    return make_client()


# Checks


def checks(client: GitHubClient, github: SimulatedGitHub) -> dict[str, str]:
    found = client.checks("acme/web", github.head("acme/web", "main"))
    assert [check.name for check in found] == sorted({check.name for check in found})
    return {check.name: check.state for check in found}


def test_statuses_and_check_runs_with_the_newest_report_of_each_name(
    client: GitHubClient, github: SimulatedGitHub
) -> None:
    assert checks(client, github) == {}
    github.set_status("acme/web", "main", "ci/build", "failure")
    github.set_status("acme/web", "main", "ci/build", "success", target_url="https://ci.example/2")
    github.set_status("acme/web", "main", "ci/docs", "error", target_url="javascript:alert(1)")
    github.set_check_run("acme/web", "main", "lint", conclusion="failure")
    github.set_check_run("acme/web", "main", "lint", conclusion="skipped")
    github.set_check_run("acme/web", "main", "e2e", status="in_progress", details_url="https://ci.example/e2e")
    assert checks(client, github) == {"ci/build": "success", "ci/docs": "error", "e2e": "pending", "lint": "skipped"}
    urls = {check.name: check.url for check in client.checks("acme/web", github.head("acme/web", "main"))}
    assert (urls["ci/build"], urls["e2e"]) == ("https://ci.example/2", "https://ci.example/e2e")
    assert urls["ci/docs"] == ""
    assert urls["lint"].startswith(f"{github.url}/acme/web/runs/")


def test_of_two_suites_the_newest_run_of_a_name_counts(client: GitHubClient, github: SimulatedGitHub) -> None:
    """The simulator has one suite for a commit; here GitHub lists the latest run of each of two, in any order."""
    number = github.set_check_run("acme/web", "main", "build")
    repository = github.repository("acme/web")
    [run] = repository.check_runs
    newer = {**github.records.check_run(repository, run), "id": number + 1, "conclusion": "failure"}
    runs = [newer, github.records.check_run(repository, run)]
    for listed in (runs, runs[::-1]):
        github.fail("GET", f"{WEB}/commits/.*/check-runs", status=200, body={"total_count": 2, "check_runs": listed})
        assert checks(client, github) == {"build": "failure"}


@pytest.mark.parametrize(
    ("status", "conclusion", "expected"),
    [
        ("success", "failure", "failure"),
        ("success", "success", "success"),
        ("success", "skipped", "skipped"),
        ("pending", "neutral", "pending"),
        ("pending", "timed_out", "timed_out"),
        ("error", "success", "error"),
    ],
)
def test_a_name_that_both_use_counts_as_the_worse(
    client: GitHubClient, github: SimulatedGitHub, status: str, conclusion: str, expected: str
) -> None:
    github.set_status("acme/web", "main", "build", status)
    github.set_check_run("acme/web", "main", "build", conclusion=conclusion)
    assert checks(client, github) == {"build": expected}


def test_a_run_that_goes_on_again_has_no_conclusion_yet(client: GitHubClient, github: SimulatedGitHub) -> None:
    github.set_check_run("acme/web", "main", "build")
    run = github.records.check_run(github.repository("acme/web"), github.repository("acme/web").check_runs[0])
    body = {"total_count": 1, "check_runs": [{**run, "status": "in_progress"}]}
    github.fail("GET", f"{WEB}/commits/.*/check-runs", status=200, body=body)
    assert checks(client, github) == {"build": "pending"}


def test_all_pages_are_read(client: GitHubClient, github: SimulatedGitHub) -> None:
    for number in range(101):
        github.set_status("acme/web", "main", f"s{number:03}", "success" if number else "failure")
        github.set_check_run("acme/web", "main", f"r{number:03}", conclusion="success" if number else "cancelled")
    found = checks(client, github)
    assert len(found) == 202
    assert (found["s000"], found["r000"]) == ("failure", "cancelled"), "the oldest are on the last page"


def test_what_slips_over_the_edge_of_a_page_is_found(client: GitHubClient, github: SimulatedGitHub) -> None:
    """While the first page was read, the report at its end was made anew, so that it stands on no later page."""
    for number in range(101):
        github.set_status("acme/web", "main", f"s{number:03}", "success" if number else "failure")
    repository, sha = github.repository("acme/web"), github.head("acme/web", "main")
    before = github.records.combined_status(repository, sha, repository.latest_statuses(sha)[1:])
    github.fail("GET", f"{WEB}/commits/.*/status", status=200, body={**before, "total_count": 101})
    assert checks(client, github)["s100"] == "success"
    assert checks(client, github)["s000"] == "failure"


def test_more_than_can_be_read_is_not_taken_for_green(client: GitHubClient, github: SimulatedGitHub) -> None:
    repository, sha = github.repository("acme/web"), github.head("acme/web", "main")
    many = {**github.records.combined_status(repository, sha, []), "total_count": 2001}
    github.fail("GET", f"{WEB}/commits/.*/status", status=200, body=many)
    with pytest.raises(LookupFailed) as failed:
        checks(client, github)
    assert (failed.value.what, failed.value.reason) == ("the checks", "more than 2000")


@pytest.mark.parametrize(("permission", "named"), [("statuses", "Commit statuses: read"), ("checks", "Checks: read")])
def test_checks_that_may_not_be_read(
    client: GitHubClient, github: SimulatedGitHub, permission: str, named: str
) -> None:
    del github.token_permissions[permission]
    with pytest.raises(NotAllowedByGitHub) as refused:
        checks(client, github)
    assert refused.value.permission == named


def test_checks_that_can_not_be_read_are_not_known(client: GitHubClient, github: SimulatedGitHub) -> None:
    github.fail("GET", f"{WEB}/commits/.*/check-runs", status=502, times=2)
    with pytest.raises(Unavailable):
        checks(client, github)
    with pytest.raises(UnknownRef) as unknown:
        client.checks("acme/web", "0" * 40)
    assert unknown.value.name == "0" * 40
    bent = {"total_count": 1, "check_runs": [{"id": 1, "name": None}]}
    github.fail("GET", f"{WEB}/commits/.*/check-runs", status=200, body=bent)
    try:
        with pytest.raises(Unavailable) as unread:
            checks(client, github)
        assert unread.value.detail == "an answer I can't read"
    finally:
        github.requests.pop()  # it is no answer of GitHub's


# People


@pytest.mark.parametrize("role", ["admin", "maintain", "write", "triage", "read", "none"])
def test_what_a_person_may_do(client: GitHubClient, github: SimulatedGitHub, role: str) -> None:
    github.set_permission("acme/web", "ana-gh", role)
    assert client.permission("acme/web", "Ana-GH") == role


def test_a_role_of_the_organizations_own_counts_as_what_it_is_built_on(
    client: GitHubClient, github: SimulatedGitHub
) -> None:
    github.custom_roles["release-manager"] = "maintain"
    github.set_permission("acme/web", "ana-gh", "release-manager")
    assert client.permission("acme/web", "ana-gh") == "write"


def test_somebody_whom_github_does_not_know(client: GitHubClient, github: SimulatedGitHub) -> None:
    assert client.permission("acme/web", "nobody/../..") == "none"
    github.hide_repository("acme/web")
    with pytest.raises(NotFoundAtGitHub):
        client.permission("acme/web", "ana-gh")


def test_who_is_in_a_team(client: GitHubClient, github: SimulatedGitHub) -> None:
    github.add_team("acme/release", ["ana-gh"])
    assert client.in_team("acme/web", "Acme/Release", "ANA-gh")
    assert not client.in_team("acme/web", "acme/release", "ben-gh")
    invited = {"url": "https://api.example/", "role": "member", "state": "pending"}
    github.fail("GET", "/orgs/acme/teams/release/memberships/ana-gh", status=200, body=invited)
    assert not client.in_team("acme/web", "acme/release", "ana-gh")


def test_a_team_that_github_does_not_show(client: GitHubClient, github: SimulatedGitHub) -> None:
    with pytest.raises(LookupFailed) as failed:
        client.in_team("acme/web", "acme/release", "ana-gh")
    assert (failed.value.what, failed.value.reason) == ("acme/release", "GitHub shows me no such team")
    del github.token_permissions["members"]
    with pytest.raises(LookupFailed) as failed:
        client.in_team("acme/web", "acme/release", "ana-gh")
    assert failed.value.reason == "GitHub wants of me the permission Members: read"
    github.fail("GET", "/orgs/.*", status=403, body={"message": "Slow down"}, headers={"Retry-After": "9"})
    with pytest.raises(RateLimited) as limited:
        client.in_team("acme/web", "acme/release", "ana-gh")
    assert limited.value.at == START + timedelta(seconds=9)


# Statuses of deployments


def test_writing_a_status(client: GitHubClient, github: SimulatedGitHub) -> None:
    number = github.create_deployment("acme/web", "main")
    client.write_status("acme/web", number, "in_progress", "Rolling out")
    client.write_status("acme/web", number, "success", "ö" * 141)
    newest, first = github.statuses("acme/web", number)
    assert (first["state"], first["description"]) == ("in_progress", "Rolling out")
    assert (newest["state"], newest["description"]) == ("success", "ö" * 139 + "…")


def test_a_status_is_never_written_again_by_itself(client: GitHubClient, github: SimulatedGitHub) -> None:
    number = github.create_deployment("acme/web", "main")
    github.fail("POST", f"{WEB}/deployments/.*", drop="after")
    with pytest.raises(Unavailable):
        client.write_status("acme/web", number, "error", "")
    assert len(github.statuses("acme/web", number)) == 1
    github.fail("POST", f"{WEB}/deployments/.*", status=502)
    with pytest.raises(Unavailable):
        client.write_status("acme/web", number, "error", "")
    assert len([asked for asked in github.requests if asked.method == "POST"]) == 2
    github.token_permissions["deployments"] = "read"
    with pytest.raises(NotAllowedByGitHub) as refused:
        client.write_status("acme/web", number, "error", "")
    assert refused.value.permission == "Deployments: write"


# Logins


@pytest.fixture
def app(make_client: Callable[..., GitHubClient]) -> GitHubClient:
    return make_client(app=True)


def test_a_login(app: GitHubClient, github: SimulatedGitHub, clock: FixedClock) -> None:
    login = app.begin_login()
    assert (login.address, login.every, login.until) == (
        f"{github.url}/login/device",
        timedelta(seconds=6),
        START + timedelta(minutes=15),
    )
    assert app.finish_login(login.handle) is None
    github.authorize_device(login.code, "ana-gh")
    clock.moment += login.every
    assert app.finish_login(login.handle) == "ana-gh"
    clock.moment += login.every
    with pytest.raises(LoginEnded) as ended:  # a code is good once
        app.finish_login(login.handle)
    assert ended.value.expired


def test_two_logins_at_once_are_told_apart(app: GitHubClient, github: SimulatedGitHub) -> None:
    one, other = app.begin_login(), app.begin_login()
    assert [asked.path for asked in github.requests] == ["/app", CODE, CODE], "the App is asked for its id once"
    github.authorize_device(other.code, "ben-gh")
    assert app.finish_login(one.handle) is None
    assert app.finish_login(other.handle) == "ben-gh"


def test_a_handle_is_for_this_bot_alone(make_client: Callable[..., GitHubClient], github: SimulatedGitHub) -> None:
    login = make_client(app=True).begin_login()
    [answer] = [asked.answer for asked in github.requests if asked.path == CODE]
    assert answer["device_code"] not in login.handle
    github.authorize_device(login.code, "ana-gh")
    for client, handle in (
        (make_client(app=True, seal="another secret"), login.handle),
        (make_client(app=True), login.handle[:-8] + "AAAAAAA="),
        (make_client(app=True), "kein Griff für hier"),
        (make_client(app=True), ""),
    ):
        with pytest.raises(LoginEnded) as ended:
            client.finish_login(handle)
        assert ended.value.expired
    assert make_client(app=True).finish_login(login.handle) == "ana-gh", "and another process can go on with it"


def test_asking_too_often_puts_it_off_by_what_github_says(
    app: GitHubClient, github: SimulatedGitHub, clock: FixedClock
) -> None:
    login = app.begin_login()
    assert app.finish_login(login.handle) is None
    with pytest.raises(RateLimited) as limited:
        app.finish_login(login.handle)
    assert limited.value.at == START + timedelta(seconds=11)
    clock.moment = limited.value.at
    assert app.finish_login(login.handle) is None


def test_declined_and_run_out(app: GitHubClient, github: SimulatedGitHub, clock: FixedClock) -> None:
    declined, forgotten = app.begin_login(), app.begin_login()
    github.deny_device(declined.code)
    with pytest.raises(LoginEnded) as ended:
        app.finish_login(declined.handle)
    assert not ended.value.expired
    asked = len(github.requests)
    clock.moment = forgotten.until
    with pytest.raises(LoginEnded) as ended:
        app.finish_login(forgotten.handle)
    assert ended.value.expired
    assert len(github.requests) == asked, "that is known without asking"
    with pytest.raises(KeyError):
        github.authorize_device(forgotten.code, "ana-gh")


def test_github_says_that_it_ran_out(app: GitHubClient, github: SimulatedGitHub) -> None:
    login = app.begin_login()
    github.fail("POST", TOKEN, status=200, body={"error": "expired_token"})
    with pytest.raises(LoginEnded) as ended:
        app.finish_login(login.handle)
    assert ended.value.expired


def test_nobody_can_log_in(
    make_client: Callable[..., GitHubClient], app: GitHubClient, github: SimulatedGitHub
) -> None:
    with pytest.raises(LoginUnavailable) as unavailable:
        make_client().begin_login()
    assert unavailable.value.message == ""
    assert github.requests == []
    login = app.begin_login()
    github.device_flow = False
    with pytest.raises(LoginUnavailable) as unavailable:
        app.begin_login()
    assert unavailable.value.message == "Device Flow must be explicitly enabled for this App"
    github.fail("POST", TOKEN, status=200, body={"error": "unsupported_grant_type"})
    with pytest.raises(LoginUnavailable):
        app.finish_login(login.handle)
    github.fail("POST", CODE, status=404, body={"error": "Not Found"})
    with pytest.raises(LoginUnavailable):
        app.begin_login()


def test_an_enterprise_server_that_does_not_tell_the_client_id(app: GitHubClient, github: SimulatedGitHub) -> None:
    body = {key: value for key, value in github.app_body().items() if key != "client_id"}
    github.fail("GET", "/app", status=200, body=body)
    with pytest.raises(LoginUnavailable):
        app.begin_login()
    assert app.begin_login().code, "and it is asked again next time"


def test_github_has_trouble_with_a_login(app: GitHubClient, github: SimulatedGitHub) -> None:
    github.fail("POST", CODE, status=502)
    with pytest.raises(Unavailable) as down:
        app.begin_login()
    assert down.value.detail == "HTTP 502"
    login = app.begin_login()
    github.authorize_device(login.code, "ana-gh")
    github.fail("POST", TOKEN, status=429, body={"error": "slow"}, headers={"Retry-After": "30"})
    with pytest.raises(RateLimited) as limited:
        app.finish_login(login.handle)
    assert limited.value.at == START + timedelta(seconds=30)
    github.requests.pop()  # no error that is written down
    github.fail("POST", TOKEN, drop="before")
    with pytest.raises(Unavailable) as broke:
        app.finish_login(login.handle)
    assert broke.value.detail == "the connection broke"
    github.fail("POST", TOKEN, status=200, body="<html>down for maintenance</html>")
    with pytest.raises(Unavailable) as unread:
        app.finish_login(login.handle)
    assert unread.value.detail == "an answer I can't read"
    github.fail("GET", "/user", drop="before")
    assert app.finish_login(login.handle) == "ana-gh", "the code is used up, so the person is asked for twice"


def test_a_person_who_may_not_say_who_they_are(app: GitHubClient, github: SimulatedGitHub) -> None:
    login = app.begin_login()
    github.authorize_device(login.code, "ana-gh")
    github.fail("GET", "/user", status=403, body={"message": "Sorry. Your account was suspended."})
    with pytest.raises(RequestRefused) as refused:
        app.finish_login(login.handle)
    assert (refused.value.status, refused.value.message) == (403, "Sorry. Your account was suspended.")


def test_a_netrc_does_not_say_who_logged_in(
    app: GitHubClient, github: SimulatedGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login robot password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    login = app.begin_login()
    github.authorize_device(login.code, "ana-gh")
    assert app.finish_login(login.handle) == "ana-gh"


def test_codes_and_tokens_are_in_no_error(app: GitHubClient, github: SimulatedGitHub) -> None:
    login = app.begin_login()
    github.authorize_device(login.code, "ana-gh")
    [device] = [asked.answer["device_code"] for asked in github.requests if asked.path == CODE]
    github.fail("GET", "/user", status=502, times=2)
    with pytest.raises(Unavailable) as failed:
        app.finish_login(login.handle)
    [token] = github.user_tokens
    error: BaseException | None = failed.value
    while error is not None:
        assert device not in f"{error!r} {error}"
        assert token not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__


def test_a_file_and_what_is_none(client: GitHubClient, github: SimulatedGitHub) -> None:
    sha = github.push(
        "acme/web", "main", "Write", files={"a b/ü.yml": "é: 1".encode(), "raw": b"\xff", "big": b"x" * 65537}
    )
    file = client.read_file("acme/web", "a b/ü.yml", sha)
    assert file is not None
    assert (file.text, file.lack, len(file.sha)) == ("é: 1", "", 40)
    lacks = {path: client.read_file("acme/web", path, sha) for path in ("raw", "big", "a b")}
    assert {path: file and (file.text, file.lack) for path, file in lacks.items()} == {
        "raw": (None, "text"),
        "big": (None, "large"),
        "a b": (None, "kind"),
    }
    assert client.read_file("acme/web", "nowhere.yml", sha) is None
    # https://docs.github.com/en/rest/repos/contents#get-repository-content: of over 100 MB there are no contents
    errors = [{"resource": "Blob", "field": "data", "code": "too_large"}]
    body = {"message": "This API returns blobs up to 100 MB in size.", "errors": errors}
    github.fail("GET", "/repos/acme/web/contents/.*", status=403, body=body)
    assert client.read_file("acme/web", "big", sha) == RepositoryFile("", None, "large")
    github.fail("GET", "/repos/acme/web/contents/.*", status=403, body={"message": "Resource not accessible"})
    with pytest.raises(NotAllowedByGitHub):
        client.read_file("acme/web", "big", sha)
