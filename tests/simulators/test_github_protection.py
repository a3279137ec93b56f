"""Environments of the simulated GitHub: what a run waits for, who is asked, and which answers are taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bot.github.objects import Malformed
from bot.github.payloads import essence, parse_webhook
from bot.playground.github import SimulatedGitHub
from bot.playground.github_rest import Actor
from tests.truth import check_github_record, served_github

EVENTS = ("deployment", "deployment_status", "deployment_protection_rule", "deployment_review")
NOBODY = "http://127.0.0.1:9/"


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedGitHub]:
    """One in which whoever asks is the App's installation."""
    with served_github() as simulated:
        simulated.add_repository("acme/web")
        simulated.push("acme/web", "topic", "Fix login")
        simulated.add_hook("acme/web", NOBODY, secret="x", events=EVENTS, of_app=True)
        simulated.protect("acme/web", "production", reviewers=("ben-gh", "acme/release"))
        bot = simulated.person("shipbot[bot]", kind="Bot")
        actor = Actor("installation", bot, simulated.token_permissions)
        monkeypatch.setattr(simulated, "identify", lambda credentials: actor)
        simulated.app_id = 77
        del simulated.pending[:]
        yield simulated
        check_github_record(simulated, refused_too=False, new_states=True)


@pytest.fixture
def http(github: SimulatedGitHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{github.url}/api/v3/repos/acme/web/actions/runs") as client:
        yield client


def say(http: httpx.Client, run: int, environment: str = "production", **body: Any) -> int:
    body = {"environment_name": environment, **body}
    return http.post(f"/{run}/deployment_protection_rule", json=body).status_code


def events(github: SimulatedGitHub) -> list[str]:
    told = [f"{one.event}.{one.action}" for one in github.pending]
    del github.pending[:]
    return told


def state(github: SimulatedGitHub) -> str:
    return str(github.statuses("acme/web", github.deployments("acme/web")[0]["id"])[0]["state"])


def test_a_run_waits_for_all_that_protects_its_environment(github: SimulatedGitHub, http: httpx.Client) -> None:
    run = github.start_run("acme/web", "topic", "production", actor="ana-gh")
    asked = ["deployment.created", "deployment_status.created", "deployment_protection_rule.requested"]
    assert events(github) == [*asked, "deployment_review.requested"]
    assert state(github) == "waiting"
    assert say(http, run, state="approved", comment="Fine") == 204
    assert state(github) == "waiting"
    github.review_run("acme/web", run, "ben-gh", "approved", "Fine as well")
    assert state(github) == "queued"
    given = http.get(f"/{run}/approvals").json()
    assert [(one["state"], one["comment"], one["user"]["login"]) for one in given] == [
        ("approved", "Fine", "shipbot[bot]"),
        ("approved", "Fine as well", "ben-gh"),
    ]
    assert events(github) == ["deployment_review.approved", "deployment_status.created"]
    github.start_run("acme/web", "topic", "staging")
    assert state(github) == "queued", "nothing protects it"


def test_answers_that_are_not_taken(github: SimulatedGitHub, http: httpx.Client) -> None:
    run = github.start_run("acme/web", "topic", "production")
    assert say(http, run + 1, state="approved") == 404
    assert say(http, run, "staging", state="approved") == 422
    assert say(http, run, state="maybe") == 422
    assert say(http, run, comment="x" * 1025) == 422
    assert [say(http, run, comment=f"report {number}") for number in range(11)] == [204] * 10 + [422]
    assert say(http, run, state="rejected", comment="No") == 204
    assert state(github) == "failure"
    assert say(http, run, state="approved", comment="Yes") == 422


def test_only_apps_are_told_and_may_answer(
    github: SimulatedGitHub, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hook in github.repository("acme/web").hooks.values():
        hook.of_app, hook.events = False, ("*",)
    run = github.start_run("acme/web", "topic", "production")
    assert events(github) == ["deployment.created", "deployment_status.created"]
    actor = Actor("token", github.person("shipbot"), github.token_permissions)
    monkeypatch.setattr(github, "identify", lambda credentials: actor)
    assert say(http, run, state="approved", comment="Fine") == 403


def test_what_the_bot_reads_of_them(github: SimulatedGitHub) -> None:
    run = github.start_run("acme/web", "topic", "production", actor="ana-gh", event="push")
    github.review_run("acme/web", run, "ben-gh", "rejected", "Not today")
    _, _, asked, review, _, _ = (
        parse_webhook(one.event, essence(one.event, one.body))
        if one.event != "deployment_review" or one.action == "requested"
        else parse_webhook(one.event, one.body)
        for one in github.pending
    )
    sha, page = github.head("acme/web", "topic"), f"{github.url}/acme/web/actions/runs/{run}"
    assert asked.deployment.id == github.deployments("acme/web")[0]["id"]
    assert (asked.run, asked.url, asked.environment) == (run, page, "production")
    assert (asked.ref, asked.sha, asked.login, asked.event) == ("topic", sha, "ana-gh", "push")
    assert (review.run, review.url, review.environments) == (run, page, ("production",))
    assert (review.state, review.login, review.reviewers) == ("requested", "ana-gh", ("ben-gh", "release"))
    (answer,) = [
        parse_webhook(one.event, essence(one.event, one.body)) for one in github.pending if one.action == "rejected"
    ]
    assert (answer.state, answer.login, answer.comment) == ("rejected", "ben-gh", "Not today")
    assert (answer.run, answer.environments) == (run, ("production",))


@pytest.mark.parametrize(
    "address", ["", "https://evil.example/", "https://api.github.com/repos/acme/web/actions/runs/x/approvals"]
)
def test_the_address_is_read_for_its_run_alone(github: SimulatedGitHub, address: str) -> None:
    github.start_run("acme/web", "topic", "production")
    (delivery,) = [one for one in github.pending if one.event == "deployment_protection_rule"]
    body = delivery.body.decode()
    whole = delivery.payload["deployment_callback_url"]
    with pytest.raises(Malformed, match="without a run"):
        parse_webhook(delivery.event, body.replace(whole, address))
    read = parse_webhook(delivery.event, body.replace(whole, "https://evil.example/actions/runs/7/x"))
    assert read.run == 7
    assert "evil" not in read.url
