"""The webhook of an organization tells of all its repositories; what it could not hand over is asked for again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from tests.front.chat import cards
from tests.front.test_reconciler import WEB, asked, down, report, to_send_again
from tests.github_app import APP, keys
from tests.world import WEBHOOK_SECRET, World


def organized(make_world: Callable[..., World], **settings: object) -> World:
    """The repositories have no webhooks of their own, their organization has."""
    world = make_world(config=WEB, **settings)
    if settings:
        world.github.app_id, world.github.app_public_key = APP, keys()[1]
    world.github.token_permissions["organization_hooks"] = "write"
    for repository in ("acme/web", "acme/api"):
        world.github.repository(repository).hooks.clear()
    hook = f"{world.servers.bot_url}/github/webhooks"
    world.github.add_organization_hook("acme", hook, secret=WEBHOOK_SECRET)
    assert world.deliver() == [202]
    world.restart()
    return world


@pytest.fixture(params=["token", "App"])
def world(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> World:
    if request.param == "token":
        return organized(make_world)
    return organized(make_world, github_token=None, github_app_id=APP, github_app_private_key=keys()[0])


def test_what_did_not_arrive_is_sent_once_more(world: World) -> None:
    world.say("U0ANA", "/deploy web to production")
    world.deliver()
    with down(world):
        report(world, "in_progress")
        world.github.create_deployment("acme/web", "topic", environment="production", creator="jenkins")
    assert sorted(to_send_again(world)) == ["deployment", "deployment_status"]
    assert world.deliver() == [202, 202]
    assert len(cards(world, "C0OPS")) == 1
    world.advance(minutes=20)
    assert to_send_again(world) == []
    assert asked(world, "POST", "/attempts") == 2


def test_one_that_leads_elsewhere_is_left_alone(world: World) -> None:
    [hook] = world.github.organization_hooks["acme"].values()
    hook.target_url = world.servers.bot_url + "/other"
    with down(world, hours=2):
        world.github.create_deployment("acme/web", "topic", environment="production", creator="jenkins")
    assert to_send_again(world) == []


@pytest.mark.parametrize("heard_of", [False, True])
def test_one_that_is_hidden_is_said_once_and_loudly_only_where_it_matters(
    make_world: Callable[..., World], heard_of: bool
) -> None:
    world = organized(make_world) if heard_of else make_world(config=WEB)
    world.github.token_permissions.pop("organization_hooks", None)
    with capture_logs() as lines:
        for _ in range(3):
            world.advance(hours=1)
            world.restart()
    said = [line for line in lines if line["event"] == "redelivery_refused" and line["repository"] == "acme"]
    assert [line["log_level"] for line in said] == ["warning" if heard_of else "info"]
    assert asked(world, "GET", "/orgs/acme/hooks") <= 5
