"""The reading endpoints: refs, commits, comparisons, checks, people, pull requests, pages."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
        simulated.push("acme/web", "feature/login", "Fix login", count=3)
        yield simulated
        check_github_record(simulated, refused_too=False)


@pytest.fixture
def client(github: SimulatedGitHub) -> Any:
    return pygithub.Github(
        base_url=f"{github.url}/api/v3",
        auth=pygithub.Auth.Token(github.token),
        per_page=2,
        retry=None,
        seconds_between_requests=None,
        seconds_between_writes=None,
    )


@pytest.fixture
def repo(client: Any) -> Any:
    return client.get_repo("acme/web")


def test_the_repository(github, client, repo):
    assert (repo.full_name, repo.default_branch, repo.private) == ("acme/web", "main", True)
    assert repo.owner.type == "Organization"
    assert repo.raw_data["url"].startswith(f"{github.url}/api/v3/")
    assert client.get_repo("ACME/Web").id == repo.id
    with pytest.raises(pygithub.UnknownObjectException):
        client.get_repo("acme/wbe")


@pytest.mark.parametrize(
    "ref", ["feature/login", "heads/feature/login", "feature%2Flogin", "v1", "tags/v1", "SHA", "SHORT"]
)
def test_a_commit_by_every_kind_of_ref(github, http, ref):
    sha = github.head("acme/web", "feature/login")
    github.tag("acme/web", "v1", sha)
    ref = {"SHA": sha, "SHORT": sha[:7]}.get(ref, ref)
    body = http.get(f"{WEB}/commits/{ref}").json()
    assert (body["sha"], body["commit"]["message"]) == (sha, "Fix login (3/3)")
    assert body["author"]["login"] == "ana-gh"


@pytest.mark.parametrize("ref", ["nope", "f" * 40, "fffffff"])
def test_a_ref_that_is_none(http, ref):
    answer = http.get(f"{WEB}/commits/{ref}")
    assert (answer.status_code, answer.json()["message"]) == (422, f"No commit found for SHA: {ref}")


def test_a_branch_whose_name_ends_like_an_endpoint(github, http):
    sha = github.push("acme/web", "fix/status")
    assert http.get(f"{WEB}/commits/fix%2Fstatus").json()["sha"] == sha


def test_branches_and_refs_and_tags(github, repo):
    for number in range(3):
        github.push("acme/web", f"topic-{number}")
        github.tag("acme/web", f"v{number}", f"topic-{number}")
    names = ["feature/login", "main", "topic-0", "topic-1", "topic-2"]
    assert [one.name for one in repo.get_branches()] == names
    assert repo.get_branch("feature/login").commit.sha == github.head("acme/web", "feature/login")
    refs = [one.ref for one in repo.get_git_matching_refs("heads/topic")]
    assert refs == ["refs/heads/topic-0", "refs/heads/topic-1", "refs/heads/topic-2"]
    assert repo.get_git_ref("tags/v1").object.sha == github.head("acme/web", "topic-1")
    assert [one.name for one in repo.get_tags()] == ["v2", "v1", "v0"]
    for missing in (lambda: repo.get_branch("nope"), lambda: repo.get_git_ref("heads/nope")):
        with pytest.raises(pygithub.GithubException) as caught:
            missing()
        assert caught.value.status == 404


def test_a_deleted_branch_is_gone_and_its_commits_are_not(github, repo):
    sha = github.head("acme/web", "feature/login")
    github.delete_branch("acme/web", "feature/login")
    assert [one.name for one in repo.get_branches()] == ["main"]
    assert repo.get_commit(sha).sha == sha


def test_comparing(github, http, repo):
    github.push("acme/web", "main", "Bump httpx")
    ahead = repo.compare("main", "feature/login")
    assert (ahead.status, ahead.ahead_by, ahead.behind_by, ahead.total_commits) == ("diverged", 3, 1, 3)
    assert [one.commit.message for one in ahead.commits] == [f"Fix login ({n}/3)" for n in (1, 2, 3)]
    assert ahead.html_url == f"{github.url}/acme/web/compare/main...feature/login"
    back = repo.compare("feature/login", "main")
    assert (back.ahead_by, back.behind_by) == (1, 3)
    assert repo.compare("main", "main").status == "identical"
    paged = http.get(f"{WEB}/compare/main...feature/login", params={"per_page": 2, "page": 2})
    assert [one["commit"]["message"] for one in paged.json()["commits"]] == ["Fix login (3/3)"]
    assert paged.json()["total_commits"] == 3
    assert http.get(f"{WEB}/compare/main...nope").status_code == 404


def test_a_comparison_lists_the_newest_250(github, http):
    github.push("acme/web", "long", "Step", count=260)
    body = http.get(f"{WEB}/compare/main...long").json()
    assert (body["ahead_by"], len(body["commits"])) == (260, 250)
    assert body["commits"][-1]["sha"] == github.head("acme/web", "long")


def test_history(repo):
    assert [one.commit.message for one in repo.get_commits(sha="feature/login")] == [
        "Fix login (3/3)",
        "Fix login (2/3)",
        "Fix login (1/3)",
        "Initial commit",
    ]


def test_statuses_combined_and_listed(github, repo):
    sha = github.head("acme/web", "feature/login")
    commit = repo.get_commit(sha)
    assert (commit.get_combined_status().state, commit.get_combined_status().total_count) == ("pending", 0)
    for context, state in (("a", "failure"), ("a", "success"), ("b", "success"), ("c", "success")):
        github.set_status("acme/web", sha, context, state, description=f"{context} {state}")
    assert commit.get_combined_status().state == "success"
    assert len(list(commit.get_statuses())) == 4
    made = commit.create_status("error", "https://ci.example", "broken", "d")
    assert (made.creator.login, made.context) == ("shipbot", "d")
    combined = commit.get_combined_status()
    assert (combined.state, combined.total_count) == ("failure", 4)


@pytest.mark.parametrize("body", [{"state": "great"}, {}, {"state": "success", "description": "x" * 141}])
def test_a_commit_status_that_is_none(github, http, body):
    sha = github.head("acme/web", "feature/login")
    assert http.post(f"{WEB}/statuses/{sha}", json=body).status_code == 422
    assert http.post(f"{WEB}/statuses/main", json={"state": "success"}).status_code == 422


def test_check_runs_and_suites(github, http, repo):
    sha = github.head("acme/web", "feature/login")
    first = github.set_check_run("acme/web", sha, "build", status="queued")
    assert github.set_check_run("acme/web", sha, "build", status="in_progress") == first
    assert github.set_check_run("acme/web", sha, "build", conclusion="failure") == first
    again = github.set_check_run("acme/web", sha, "build", details_url="https://ci.example/2")
    github.set_check_run("acme/web", sha, "lint")
    github.set_check_run("acme/web", sha, "docs", status="in_progress")
    commit = repo.get_commit("feature/login")
    assert {one.name: (one.id, one.conclusion) for one in commit.get_check_runs()}["build"] == (
        again,
        "success",
    )
    assert commit.get_check_runs(filter="all").totalCount == 4
    assert [one.name for one in commit.get_check_runs(check_name="lint")] == ["lint"]
    [suite] = commit.get_check_suites()
    assert (suite.status, suite.conclusion, suite.head_branch) == ("in_progress", None, "feature/login")
    assert {one.name for one in suite.get_check_runs()} == {"build", "lint", "docs"}
    assert http.get(f"{WEB}/check-runs/{again}").json()["details_url"] == "https://ci.example/2"
    github.set_check_run("acme/web", sha, "docs", conclusion="neutral")
    assert http.get(f"{WEB}/commits/{sha}/check-suites").json()["check_suites"][0]["conclusion"] == "success"


def test_files(github, http, repo):
    github.add_file("acme/web", ".github/shipbot.yml", "apps: {}\n")
    assert repo.get_contents(".github/shipbot.yml").decoded_content == b"apps: {}\n"
    assert [(one.name, one.type) for one in repo.get_contents("")] == [
        (".github", "dir"),
        ("README.md", "file"),
    ]
    assert http.get(f"{WEB}/contents/.github/shipbot.yml?ref=feature/login").status_code == 404
    assert http.get(f"{WEB}/contents/README.md?ref=nope").status_code == 404
    raw = http.get(f"{WEB}/contents/README.md", headers={"Accept": "application/vnd.github.raw+json"})
    assert raw.text == "# web\n"
    [changed] = repo.get_commit("main").files
    assert (changed.filename, changed.status, changed.additions) == (".github/shipbot.yml", "added", 1)


def test_the_source_of_a_commit(github, http, repo):
    sha = github.head("acme/web", "feature/login")
    link = repo.get_archive_link("tarball", sha)
    packed = httpx.get(link)  # without a token
    assert packed.headers["content-type"] == "application/x-gzip"
    with tarfile.open(fileobj=io.BytesIO(packed.content), mode="r:gz") as tar:
        file = tar.extractfile(f"acme-web-{sha[:7]}/README.md")
        assert file is not None
        assert file.read() == b"# web\n"
    for wrong in (link[:-1], link.replace("acme/web", "acme/api"), link.partition("?")[0]):
        assert httpx.get(wrong).status_code == 404
    assert http.get(f"{WEB}/tarball/nope").status_code == 404


def test_a_link_to_a_source_is_good_for_five_minutes():
    moment = datetime(2026, 3, 2, 9, tzinfo=UTC)
    with served_github(now=lambda: moment) as simulated:
        simulated.add_repository("acme/web")
        root, token = f"{simulated.url}/api/v3{WEB}", {"Authorization": f"token {simulated.token}"}
        link = httpx.get(f"{root}/tarball/main", headers=token).headers["location"]
        moment += timedelta(minutes=4, seconds=59)
        assert httpx.get(link).status_code == 200
        moment += timedelta(seconds=1)
        assert httpx.get(link).status_code == 404


def test_people_permissions_and_teams(github, http, client, repo):
    assert client.get_user().login == "shipbot"
    assert client.get_user("ana-gh").name == "Ana Lang"
    assert repo.get_collaborator_permission("ana-gh") == "write"
    github.set_permission("acme/web", "ana-gh", "maintain")
    body = http.get(f"{WEB}/collaborators/ana-gh/permission").json()
    assert (body["permission"], body["role_name"]) == ("write", "maintain")
    github.push("acme/web", "main", author="stranger")
    assert repo.get_collaborator_permission("stranger") == "none"
    assert http.get(f"{WEB}/collaborators/nobody/permission").status_code == 404
    github.add_team("acme/release", ["ana-gh"])
    team = "/orgs/acme/teams/release"
    assert [one["login"] for one in http.get(f"{team}/members").json()] == ["ana-gh"]
    assert http.get(f"{team}/memberships/ANA-GH").json()["state"] == "active"
    assert http.get(f"{team}/memberships/stranger").status_code == 404
    assert http.get("/meta").json()["verifiable_password_authentication"] is True


def test_pull_requests(github, http, repo):
    number = github.open_pull_request("acme/web", "feature/login", labels=("preview",))
    [pull] = repo.get_pulls(head="acme:feature/login")
    assert (pull.number, pull.title, [one.name for one in pull.labels]) == (
        number,
        "Fix login (3/3)",
        ["preview"],
    )
    assert repo.get_pull(number).mergeable is True
    sha = github.head("acme/web", "feature/login")
    assert [one["number"] for one in http.get(f"{WEB}/commits/{sha}/pulls").json()] == [number]
    merge = github.close_pull_request("acme/web", number, merged=True)
    assert github.head("acme/web", "main") == merge
    assert list(repo.get_pulls()) == []
    assert repo.get_pulls(state="closed")[0].merged
    assert http.get(f"{WEB}/pulls/99").status_code == 404
    with pytest.raises(ValueError, match="closed"):
        github.close_pull_request("acme/web", number)


def test_pages_are_readable_and_escape_what_people_wrote(github, repo):
    sha = github.push("acme/web", "evil", "<script>alert(1)</script>")
    number = github.create_deployment("acme/web", "evil", environment="<b>")
    github.report("acme/web", number, "failure", description="<i>boom</i>")
    pull = github.open_pull_request("acme/web", "evil")
    run = github.set_check_run("acme/web", sha, "lint")
    for path in (
        "",
        "acme",
        "acme/web",
        "acme/web/tree/evil",
        f"acme/web/commit/{sha}",
        "acme/web/compare/main...evil",
        "acme/web/deployments",
        f"acme/web/deployments/{number}",
        f"acme/web/pull/{pull}",
        f"acme/web/runs/{run}",
    ):
        answer = httpx.get(f"{github.url}/{path}")
        assert answer.status_code == 200, path
        assert "<script>" not in answer.text
        assert "<i>" not in answer.text
    for path in ("nobody", "acme/nope", "acme/web/commit/nope", "acme/web/wiki"):
        assert httpx.get(f"{github.url}/{path}").status_code == 404


def test_the_snapshot_shows_what_a_page_needs(github):
    sha = github.head("acme/web", "feature/login")
    github.set_status("acme/web", sha, "ci/build", "failure")
    github.set_check_run("acme/web", sha, "lint", status="queued")
    number = github.create_deployment("acme/web", sha, environment="staging")
    github.report("acme/web", number, "queued", description="Waiting")
    [shown] = github.snapshot()["repositories"]
    assert [one["name"] for one in shown["branches"]] == ["main", "feature/login"]
    branch = shown["branches"][1]
    assert (branch["sha"], branch["ahead"], branch["behind"]) == (sha, 3, 0)
    assert [(one["name"], one["kind"], one["state"]) for one in branch["checks"]] == [
        ("ci/build", "status", "failure"),
        ("lint", "check_run", "queued"),
    ]
    [deployment] = shown["deployments"]
    assert (deployment["id"], deployment["state"]) == (number, "queued")
    assert deployment["statuses"][0]["description"] == "Waiting"


def test_everyone_is_told_of_a_change_and_nobody_of_a_look(github, http):
    told: list[str] = []
    github.on_change.append(lambda: told.append(github.head("acme/web", "main")))
    sha = github.push("acme/web", "main")
    assert told == [sha]
    http.get(WEB)
    assert len(told) == 1
    http.post(f"{WEB}/deployments", json={"ref": "main"})
    assert len(told) == 2
