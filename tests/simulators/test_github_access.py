"""Credentials, permissions, GitHub Apps, the rate limit, and requests that go wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

import github as pygithub
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.playground.github import SimulatedGitHub
from tests.truth import check_github_record, served_github

WEB = "/repos/acme/web"
APP = 4711


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)  # installation tokens are judged by the real clock in PyGithub

    def __call__(self) -> datetime:
        return self.time


@cache
def keys() -> tuple[str, str]:
    """A private and a public key, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def github(clock: Clock) -> Iterator[SimulatedGitHub]:
    with served_github(now=clock, app_id=APP, app_public_key=keys()[1]) as simulated:
        simulated.add_repository("acme/web")
        simulated.add_repository("acme/docs", private=False)
        yield simulated
        check_github_record(simulated, refused_too=False)


def signed(key: str | None = None, **claims: object) -> dict[str, str]:
    now = int(time.time())
    whole = {"iat": now - 60, "exp": now + 300, "iss": str(APP), **claims}
    return {"Authorization": f"Bearer {jwt.encode(whole, key or keys()[0], algorithm='RS256')}"}


def test_an_app_works_with_an_installation_token(github):
    auth = pygithub.Auth.AppAuth(APP, keys()[0])
    integration = pygithub.GithubIntegration(auth=auth, base_url=f"{github.url}/api/v3")
    assert integration.get_app().slug == "shipbot"
    installation = integration.get_repo_installation("acme", "web")
    github.add_hook("acme/web", "http://127.0.0.1:9/", secret="s")
    client = installation.get_github_for_installation()
    made = client.get_repo("acme/web").create_deployment("main")
    made.create_status("success")
    assert made.creator.login == "shipbot[bot]"
    assert made.raw_data["performed_via_github_app"]["id"] == APP
    assert github.pending[-1].payload["installation"]["id"] == installation.id
    assert {repo.full_name for repo in installation.get_repos()} == {"acme/web", "acme/docs"}
    assert [one.id for one in integration.get_installations()] == [installation.id]
    with pytest.raises(pygithub.GithubException) as caught:
        client.get_user().login  # noqa: B018
    assert caught.value.data["message"] == "Resource not accessible by integration"


def test_a_token_may_be_narrowed_and_ends_after_an_hour(github, http, clock):
    place = http.get(f"{WEB}/installation", headers=signed()).json()["access_tokens_url"]
    asked = {"permissions": {"deployments": "read", "metadata": "read"}, "repositories": ["web"]}
    made = http.post(place, headers=signed(), json=asked).json()
    assert (made["repository_selection"], [r["name"] for r in made["repositories"]]) == ("selected", ["web"])
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert http.get(f"{WEB}/deployments", headers=headers).status_code == 200
    refused = http.post(f"{WEB}/deployments", headers=headers, json={"ref": "main"})
    assert refused.status_code == 403
    assert refused.headers["x-accepted-github-permissions"] == "deployments=write"
    assert http.get("/repos/acme/docs", headers=headers).status_code == 404
    too_much = http.post(place, headers=signed(), json={"permissions": {"administration": "write"}})
    assert too_much.status_code == 422
    clock.time += timedelta(hours=1)
    assert http.get(WEB, headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"exp": 1}, 401),
        ({"exp": int(time.time()) + 3600}, 401),
        ({"iss": "1"}, 404),
    ],
)
def test_a_bad_jwt(http, claims, status):
    assert http.get("/app", headers=signed(**claims)).status_code == status


def test_a_jwt_of_another_key_and_a_token_where_a_jwt_is_needed(http):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert http.get("/app", headers=signed(pem.decode())).status_code == 401
    assert http.get("/app").status_code == 401
    assert http.get(WEB, headers=signed()).status_code == 401


def test_who_sees_what(github):
    nobody = httpx.Client(base_url=f"{github.url}/api/v3")
    assert nobody.get(WEB).status_code == 404
    assert nobody.get("/repos/acme/docs").status_code == 200
    assert nobody.get("/user").status_code == 401
    assert nobody.post("/repos/acme/docs/deployments", json={"ref": "main"}).status_code == 401
    assert nobody.get(WEB, headers={"Authorization": "Bearer nope"}).json()["message"] == "Bad credentials"


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        (f"{WEB}/commits/main", "contents"),
        (f"{WEB}/compare/main...main", "contents"),
        (f"{WEB}/commits/main/status", "statuses"),
        (f"{WEB}/commits/main/check-runs", "checks"),
        (f"{WEB}/deployments", "deployments"),
        (f"{WEB}/hooks", "repository_hooks"),
        (f"{WEB}/pulls", "pull_requests"),
    ],
)
def test_a_missing_permission_is_named(github, http, path, permission):
    assert http.get(path).status_code == 200
    del github.token_permissions[permission]
    answer = http.get(path)
    assert answer.status_code == 403
    assert answer.headers["x-accepted-github-permissions"] == f"{permission}=read"


def test_the_rate_limit(github, http, clock):
    clock.time = clock.time.replace(microsecond=0)
    first = http.get(WEB)
    assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == ("5000", "4999")
    assert first.headers["x-oauth-scopes"] == "read:org, repo"
    github.exhaust_rate_limit(reset_in=90)
    refused = http.post(f"{WEB}/deployments", json={"ref": "main"})
    assert refused.status_code == 403
    assert refused.json()["message"].startswith("API rate limit exceeded")
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert int(refused.headers["x-ratelimit-reset"]) == int(clock.time.timestamp()) + 90
    assert http.get("/rate_limit").json()["resources"]["core"]["remaining"] == 0
    clock.time += timedelta(seconds=90)
    assert http.get(WEB).headers["x-ratelimit-remaining"] == "4999"


def test_an_answer_that_still_holds_is_not_counted(github, http):
    first = http.get(WEB)
    known = {"If-None-Match": first.headers["etag"]}
    again = http.get(WEB, headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert again.headers["x-ratelimit-remaining"] == first.headers["x-ratelimit-remaining"] == "4999"
    place = http.get(f"{WEB}/installation", headers=signed()).json()["access_tokens_url"]
    other = {"Authorization": f"Bearer {http.post(place, headers=signed()).json()['token']}"}
    assert http.get(WEB, headers=known | other).status_code == 200, "another token has other tags"
    github.fail("GET", WEB, status=200, body={"id": 1})
    assert http.get(WEB, headers=known).status_code == 200
    github.requests.pop()  # no answer of GitHub's
    assert http.get(f"{WEB}/branches/none", headers=known).status_code == 404
    assert http.post(f"{WEB}/deployments", json={"ref": "main"}, headers=known).status_code == 201


def test_pygithub_knows_the_rate_limit(github):
    github.exhaust_rate_limit()
    auth = pygithub.Auth.Token(github.token)
    client = pygithub.Github(base_url=f"{github.url}/api/v3", auth=auth, retry=None)
    with pytest.raises(pygithub.RateLimitExceededException):
        client.get_repo("acme/web")


@pytest.mark.parametrize(("drop", "made"), [("before", 0), ("after", 1)])
def test_a_dropped_connection(github, http, drop, made):
    github.fail("POST", "/repos/.*/deployments", drop=drop)
    with pytest.raises(httpx.RemoteProtocolError):
        http.post(f"{WEB}/deployments", json={"ref": "main"})
    assert len(github.deployments("acme/web")) == made
    assert (github.requests[-1].status, github.requests[-1].answer) == (None, None)
    assert http.post(f"{WEB}/deployments", json={"ref": "main"}).status_code == 201


def test_an_answer_that_fails_does_nothing_as_often_as_told(github, http):
    github.fail("POST", f"{WEB}/deployments", status=502, times=2)
    github.fail("GET", WEB, status=429, headers={"Retry-After": "7"}, body={"message": "Slow down"})
    answers = [http.post(f"{WEB}/deployments", json={"ref": "main"}).status_code for _ in range(3)]
    assert answers == [502, 502, 201]
    assert len(github.deployments("acme/web")) == 1
    slow = http.get(WEB)
    assert (slow.status_code, slow.headers["retry-after"], slow.json()) == (429, "7", {"message": "Slow down"})
    assert http.get(WEB).status_code == 200
    with pytest.raises(ValueError, match="either"):
        github.fail("GET", WEB)


def test_requests_are_recorded_without_credentials(github, http):
    http.post(f"{WEB}/deployments?x=1", json={"ref": "feature/ü"})
    [asked] = github.requests
    assert (asked.method, asked.path, asked.query) == ("POST", f"{WEB}/deployments", {"x": "1"})
    assert (asked.json, asked.status) == ({"ref": "feature/ü"}, 422)
    assert github.token not in str(asked)


def test_names_have_to_be_names(github):
    for wrong in ("web", "acme/", "a/b/c"):
        with pytest.raises(ValueError, match="owner/name"):
            github.add_repository(wrong)
    with pytest.raises(ValueError, match="exists"):
        github.add_repository("Acme/Web")
    with pytest.raises(KeyError):
        github.push("acme/nope", "main")
    with pytest.raises(ValueError, match="commit status"):
        github.set_status("acme/web", "main", "ci", "great")
    with pytest.raises(ValueError, match="conclusion"):
        github.set_check_run("acme/web", "main", "ci", status="queued", conclusion="success")
