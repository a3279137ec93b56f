"""`python -m bot check`: what it says of those who carry deployments out."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from bot.playground.heroku import SimulatedHeroku
from bot.providers import reaching
from tests.ops.checking import Look, fails
from tests.world import World

KEY = "HRKU-0a1b2c3d-playground"
WORKFLOW = "name: Deploy\non: {workflow_dispatch: {}}\njobs: {}\n"


def config(**providers: dict[str, Any]) -> str:
    """One app, with an environment for each provider."""
    places = {name: {"provider": provider} for name, provider in providers.items()}
    return json.dumps({"apps": {"web": {"repository": "acme/web", "rooms": ["C0OPS"], "environments": places}}})


def said(lines: list[str], kind: str) -> list[str]:
    return [line for line in lines if f" {kind} for " in line]


# Heroku


@pytest.fixture
def heroku(small: World, monkeypatch: pytest.MonkeyPatch) -> SimulatedHeroku:
    simulated = SimulatedHeroku(now=small.clock.now, token=KEY)
    simulated.url = f"{small.servers.outside_url}/heroku"
    small.servers.outside.apps["/heroku"] = simulated.asgi
    simulated.add_app("web-prod", {"web": 1})
    monkeypatch.setenv("HEROKU_API_KEY", KEY)
    monkeypatch.setenv("HEROKU_API_URL", simulated.url)
    return simulated


def test_an_app_at_heroku(small: World, look: Look, heroku: SimulatedHeroku) -> None:
    web = {"type": "heroku", "app": "web-prod"}
    lines = look(small, 0, config(production=web, staging=web))
    assert said(lines, "heroku") == [
        "ok    heroku for web in production, web in staging: web-prod can be seen at Heroku"
    ]
    assert [asked.path for asked in heroku.requests] == ["/apps/web-prod"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 401}, "Heroku refuses the token in HEROKU_API_KEY: it is wrong, expired or revoked"),
        ({"status": 404}, "Heroku has no app web-prod that the account of HEROKU_API_KEY can see"),
        ({"status": 429}, "Heroku's rate limit is reached: check again in a minute"),
        ({"status": 503}, "Heroku does not answer: see that {url} can be reached"),
        ({"drop": "before"}, "Heroku does not answer: see that {url} can be reached"),
    ],
)
def test_heroku_lets_nobody_in(
    small: World, look: Look, heroku: SimulatedHeroku, fault: dict[str, Any], words: str
) -> None:
    heroku.fail("GET", "/apps/web-prod", **fault)
    lines = look(small, 1, config(production={"type": "heroku", "app": "web-prod"}))
    assert fails(lines) == [f"heroku for web in production: {words.format(url=heroku.url)}"]
    assert not [line for line in lines if KEY in line]


def test_a_token_of_herokus_that_can_not_be_one(
    small: World, look: Look, heroku: SimulatedHeroku, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEROKU_API_KEY", "not a token")
    lines = look(small, 1, config(production={"type": "heroku", "app": "web-prod"}))
    assert fails(lines) == ["heroku for web in production: HEROKU_API_KEY holds characters that no token has"]
    assert heroku.requests == []


def test_what_lacks_its_variable_is_said_once(small: World, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEROKU_API_KEY", raising=False)
    assert said(look(small, 0, config(production={"type": "heroku", "app": "web-prod"})), "heroku") == []


def test_that_of_previews_is_tried_and_a_program_is_not(small: World, look: Look, heroku: SimulatedHeroku) -> None:
    apps = json.loads(config(production={"type": "command", "run": ["./release.sh"]}))
    apps["apps"]["web"]["previews"] = {"provider": {"type": "heroku", "app": "web-prod"}}
    lines = look(small, 0, json.dumps(apps))
    assert said(lines, "heroku") == ["ok    heroku for web in previews: web-prod can be seen at Heroku"]
    assert said(lines, "command") == []


# Workflows


def test_a_workflow_that_can_be_run(small: World, look: Look) -> None:
    small.github.add_file("acme/web", ".github/workflows/deploy.yml", WORKFLOW)
    text = config(production={"type": "actions", "workflow": "deploy.yml"})
    assert said(look(small, 0, text), "actions") == ["ok    actions for web in production: deploy.yml can be run"]
    assert small.github.runs_of("acme/web") == [], "and is not"
    small.github.token_permissions["actions"] = "read"
    assert fails(look(small, 1, text)) == [
        "actions for web in production: GitHub lets me run no workflows in acme/web: that needs Actions: write"
    ]
    small.github.token_permissions["actions"] = "write"
    assert fails(look(small, 1, config(production={"type": "actions", "workflow": "other.yml"}))) == [
        "actions for web in production: GitHub has no workflow other.yml on the default branch of acme/web, or shows "
        "none"
    ]
    small.github.fail("POST", ".*/dispatches", status=503)
    assert fails(look(small, 1, text)) == [
        "actions for web in production: GitHub does not answer (HTTP 503): check again later"
    ]


def test_workflows_that_are_watched(small: World, look: Look) -> None:
    text = config(production={"type": "actions"})
    assert said(look(small, 0, text), "actions") == ["ok    actions for web in production: runs can be watched"]
    del small.github.token_permissions["actions"]
    assert fails(look(small, 1, text)) == [
        "actions for web in production: GitHub shows me no runs in acme/web: that needs Actions: read"
    ]


def test_a_token_that_github_refuses_is_said_once(make_world: Callable[..., World], look: Look) -> None:
    world = make_world(github_token="ghp_wrong")
    lines = look(world, 1, config(production={"type": "actions", "workflow": "deploy.yml"}))
    assert len(fails(lines)) == 1
    assert fails(lines)[0].startswith("GITHUB_TOKEN: GitHub refuses it")


# Receivers


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("93.184.215.14", ""),
        ("10.0.0.7", "hooks.example leads to 10.0.0.7, a loopback or private address (allow_private: true lets it)"),
        (
            "169.254.169.254",
            "hooks.example leads to 169.254.169.254, a link-local address, where clouds keep credentials",
        ),
        ("", "hooks.example can't be looked up"),
    ],
)
def test_where_a_receiver_is(
    small: World, look: Look, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    real = socket.getaddrinfo

    def looked_up(host: str, port: int, *more: Any, **named: Any) -> Any:
        if host != "hooks.example":
            return real(host, port, *more, **named)
        if not address:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(reaching.socket, "getaddrinfo", looked_up)
    monkeypatch.setattr(reaching.Exchange, "__init__", lambda *_, **__: pytest.fail("nothing is sent"))
    monkeypatch.setenv("HOOK_SECRET", "s3cret-of-the-receiver")
    there = {"type": "http", "url": "https://hooks.example/a/secret/path", "secret_env": "HOOK_SECRET"}
    lines = look(small, 1 if words else 0, config(production=there))
    assert not [line for line in lines if "secret" in line]
    if words:
        assert fails(lines) == [f"http for web in production: {words}"]
    else:
        assert lines[-1] == "ok    http for web in production: hooks.example leads to an address that may be sent to"


def test_a_provider_that_breaks_ends_its_own_line_only(
    small: World, look: Look, heroku: SimulatedHeroku, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError(f"with {KEY} in it")

    monkeypatch.setattr("bot.providers.heroku.Heroku.prove", broken)
    lines = look(small, 1, config(production={"type": "heroku", "app": "web-prod"}, staging={"type": "actions"}))
    assert fails(lines) == [
        "heroku for web in production could not be looked at (RuntimeError: with [hidden] in it): this is unexpected"
    ]
    assert lines[-1].startswith("ok    actions for web in staging")
