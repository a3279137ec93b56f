"""What is written at GitHub is not written again blindly: its answer is lost, and yet it is there once.

Of deployments, statuses of runs, workflows and answers to waiting runs that is held beside what else they do; the table
in docs/architecture.md names all.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.core.test_github_client import CODE
from tests.front import test_people, test_previews, test_protection
from tests.front.chat import ask, cards, thread
from tests.front.test_reconciler import asked, down, to_send_again
from tests.github_app import APP, keys
from tests.world import World

STATUSES = "/repos/acme/web/deployments/[0-9]+/statuses"
ATTEMPTS = "/repos/acme/web/hooks/[0-9]+/deliveries/[0-9]+/attempts"


def states(world: World) -> list[str]:
    """Those of the newest deployment, the newest first."""
    newest = world.github.deployments("acme/web")[0]["id"]
    return [one["state"] for one in world.github.statuses("acme/web", newest)]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_cancelled_deployment_is_marked_inactive_once(world: World, drop: str, restarted: bool) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.report("in_progress")
    world.github.fail("POST", STATUSES, drop="before" if drop == "before" else "after")
    world.say("U0ANA", "/deploy cancel 1")
    if restarted:
        world.restart()
    world.advance(minutes=1)
    assert states(world) == ["inactive", "in_progress"]
    assert "stop" not in world.waiting()
    assert cards(world)[0].splitlines()[1] == "Cancelled by @ana."


def test_a_preview_is_marked_inactive_once(make_world: Callable[..., World]) -> None:
    world = make_world(config=test_previews.QUIET)
    number = test_previews.opened(world)
    test_previews.deployed(world)
    world.github.fail("POST", STATUSES, drop="after")
    world.github.close_pull_request("acme/web", number)
    world.deliver()
    world.advance(minutes=1)
    assert states(world) == ["inactive", "success"]
    assert thread(world)[-1] == ":wastebasket: Marked inactive at GitHub"


@pytest.mark.parametrize("trouble", ["after", "502", "limit"])
def test_a_webhook_is_asked_for_once(world: World, trouble: str) -> None:
    """It may be on its way, which GitHub lists when it has ended; refused because of a limit it is not."""
    if trouble == "after":
        world.github.fail("POST", ATTEMPTS, drop="after")
    elif trouble == "502":
        world.github.fail("POST", ATTEMPTS, status=502)
    else:
        world.github.fail("POST", ATTEMPTS, status=429)
    with down(world):
        world.github.create_deployment("acme/web", "topic", environment="staging", creator="jenkins")
    for _ in range(4):
        world.advance(minutes=1)
    assert asked(world, "POST", "/attempts") == (2 if trouble == "limit" else 1)
    if trouble == "502":
        world.advance(minutes=5)
        assert asked(world, "POST", "/attempts") == 2, "none is listed, so there was none"
    assert to_send_again(world) == ["deployment"]
    assert world.deliver() == [202]
    world.advance(minutes=30)
    assert to_send_again(world) == []
    assert len(ask(world, "/deploy history web").splitlines()) == 2


def test_reports_on_a_run_that_waits_stay_within_ten(make_world: Callable[..., World]) -> None:
    """The same words may stand there twice, which does no harm; each is counted."""
    world = test_protection.as_an_app(make_world, (keys()[0], keys()[1]), test_protection.CONFIG)
    for _ in range(3):
        world.github.fail("POST", test_protection.ANSWERS, drop="after")
    number = test_protection.run(world)
    for _ in range(3):
        world.advance(minutes=1)
    reports, _ = test_protection.told(world, number)
    assert len(reports) == 4
    assert len(set(reports)) == 1
    for _ in range(7):
        world.say("U0BEN", "/deploy lock web in production")
        world.say("U0BEN", "/deploy unlock web in production")
    assert len(test_protection.told(world, number)[0]) == 10
    assert asked(world, "POST", "/deployment_protection_rule") == 10


def test_of_two_codes_of_a_login_the_person_gets_one(make_world: Callable[..., World]) -> None:
    """A code that nobody was shown runs out unused."""
    world = make_world(github_token=None, github_app_id=APP, github_app_private_key=keys()[0])
    world.github.app_id, world.github.app_public_key = APP, keys()[1]
    world.github.fail("POST", CODE, drop="after")
    assert "GitHub is not answering" in ask(world, "/deploy login")
    world.advance(seconds=5)
    shown = test_people.CODE.findall(world.room())
    assert len(set(shown)) == 1
    world.github.authorize_device(shown[0], "ana-gh")
    world.advance(seconds=6)
    assert "`ana-gh`" in test_people.told(world, "U0ANA")


def test_a_login_whose_end_was_lost_is_begun_anew(make_world: Callable[..., World]) -> None:
    """GitHub takes a code once; to ask by it again tells nothing."""
    world = make_world(github_token=None, github_app_id=APP, github_app_private_key=keys()[0])
    world.github.app_id, world.github.app_public_key = APP, keys()[1]
    world.say("U0ANA", "/deploy login")
    [code] = set(test_people.CODE.findall(world.room()))
    world.github.authorize_device(code, "ana-gh")
    world.github.fail("POST", "/login/oauth/access_token", drop="after")
    for _ in range(3):
        world.advance(seconds=20)
    assert test_people.told(world, "U0ANA").endswith("`/deploy login` starts anew.")
    assert "login" not in world.waiting()


def test_of_two_tokens_of_an_installation_one_is_used(make_world: Callable[..., World]) -> None:
    """One that nobody has got runs out unused."""
    world = make_world(github_token=None, github_app_id=APP, github_app_private_key=keys()[0])
    world.github.app_id, world.github.app_public_key = APP, keys()[1]
    world.github.fail("POST", "/app/installations/[0-9]+/access_tokens", drop="after")
    world.say("U0ANA", "/deploy web/topic to staging")
    world.advance(seconds=5)
    assert len(world.github.installation_tokens) == 2
    assert len(world.github.deployments("acme/web")) == 1
