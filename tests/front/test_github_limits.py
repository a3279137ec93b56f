"""GitHub's limits as people meet them: nobody asks in vain, what nobody waits for gives way, and little is asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from tests.front.chat import ask, cards, newest, writes
from tests.world import World

CAREFUL = """
users: {U0ANA: ana-gh}
apps:
  web:
    repository: acme/web
    default_ref: main
    environments: {production: {permission: write}}
"""
UNTIL = ":hourglass: GitHub lets me ask no more until 2026-03-02 09:20 UTC. It goes on by itself then."


def asked(world: World) -> int:
    return len(world.github.requests)


def spend(world: World, left: int) -> None:
    """Somebody else asks with the same token until so many requests are left."""
    while world.github.rate()["remaining"] > left:
        assert world.github.count_request()


def metric(world: World, name: str) -> float | None:
    """A line of /metrics, by its name with labels."""
    lines = httpx.get(f"{world.servers.bot_url}/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), None)


@pytest.mark.one_process
def test_what_one_heard_all_keep_to_and_go_on_by_themselves(world: World) -> None:
    world.github.exhaust_rate_limit(1200)
    assert ask(world, "/deploy web/topic") == UNTIL
    before = asked(world)
    assert ask(world, "/deploy api/topic", person="U0BEN") == UNTIL
    assert ask(world, "/deploy web to staging", person="U0CAL") == UNTIL
    assert asked(world) == before, "they know it without asking"
    assert metric(world, 'shipbot_github_held_total{why="limit"}') == 2
    assert metric(world, 'shipbot_github_remaining{account="token",resource="core"}') == 0
    assert metric(world, 'shipbot_github_limit{account="token",resource="core"}') == 5000
    reset = (world.clock.now() + timedelta(minutes=20)).timestamp()
    assert metric(world, 'shipbot_github_reset_seconds{account="token",resource="core"}') == reset

    world.advance(minutes=19, seconds=59)
    assert (asked(world), cards(world)) == (before, [])
    world.advance(seconds=1)
    assert len(cards(world)) == 3
    assert len(writes(world)) == 3
    assert (
        metric(world, 'shipbot_github_remaining{account="token",resource="core"}') == world.github.rate()["remaining"]
    )


def test_who_only_wants_to_know_is_told_when(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    world.report("success")
    world.github.exhaust_rate_limit(1200)
    assert ask(world, "/deploy status web in staging").startswith("*web*"), "what is known here is told"
    assert ask(world, "/deploy diff web in staging") == UNTIL
    world.advance(minutes=20)
    assert newest(world).startswith(":white_check_mark: Everything of `main` is out")


def test_a_card_says_until_when_the_checks_are_not_known(world: World) -> None:
    world.github.set_status("acme/web", "topic", "ci/build", "pending")
    world.say("U0ANA", "/deploy web/topic")
    world.github.exhaust_rate_limit(1200)
    world.advance(minutes=2)
    said = "Checks: not known, since GitHub lets me ask no more until 2026-03-02 09:20 UTC"
    assert said in cards(world)[0]
    world.github.set_status("acme/web", "topic", "ci/build", "success")
    world.advance(minutes=18)
    world.advance(minutes=15)
    assert len(writes(world)) == 1


@pytest.mark.one_process
def test_looks_give_way_to_people(world: World) -> None:
    world.github.rate_limit = 100
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    spend(world, 30)
    world.advance(minutes=1)
    looks = [one for one in world.github.requests if one.path.endswith("/statuses") and one.method == "GET"]
    assert len(looks) == 1, "while there is enough it looks"

    spend(world, 11)
    world.say("U0BEN", "/deploy api/topic")
    assert len(writes(world)) == 2, "who waits is served"
    before = asked(world)
    world.github.report("acme/web", world.github.deployments("acme/web")[0]["id"], "success")
    world.github.pending.clear()  # and GitHub can't tell
    world.advance(minutes=30)
    assert asked(world) == before
    assert metric(world, 'shipbot_github_held_total{why="reserve"}')
    assert cards(world)[0].startswith(":large_yellow_circle:")
    world.advance(minutes=30)
    assert cards(world)[0].startswith(":large_green_circle:"), "there is enough again"


@pytest.mark.one_process
@pytest.mark.parametrize("often", [0, 3])
def test_an_hour_of_waiting_for_checks_costs_little(make_world: Callable[..., World], often: int) -> None:
    """Looked at because CI tells of something every few minutes, or because it tells of nothing at all."""
    world = make_world(config=CAREFUL)
    world.github.set_check_run("acme/web", "topic", "ci/build", status="in_progress")
    world.github.set_status("acme/web", "topic", "lint", "pending")
    world.github.pending.clear()
    world.github.requests.clear()
    used = world.github.rate()["used"]
    world.say("U0ANA", "/deploy web/topic")
    for minute in range(59):
        if often and minute % often == 0:
            world.github.set_check_run("acme/web", "topic", f"unit-{minute}", conclusion="success")
        world.clock.moment += timedelta(minutes=1)
        world.deliver()

    counted = sum(one.status != 304 for one in world.github.requests)
    assert world.github.rate()["used"] - used == counted
    assert asked(world) >= (70 if often else 35)
    assert counted <= (31 if often else 7)
    for check in ("ci/build", "lint"):
        world.github.set_check_run("acme/web", "topic", check, conclusion="success")
    world.github.set_status("acme/web", "topic", "lint", "success")
    world.deliver()
    assert len(writes(world)) == 1, "and what has changed is seen"


@pytest.mark.one_process
def test_more_than_github_takes_in_a_minute_goes_on_in_the_next(world: World) -> None:
    world.bot.github.limits.paced = True
    for _ in range(79):
        world.bot.github.limits.hold("token", world.clock.now(), writing=True)
    world.say("U0ANA", "/deploy web/topic to staging")
    world.say("U0BEN", "/deploy api/topic")
    assert len(writes(world)) == 1
    assert cards(world)[1].splitlines()[1] == (
        "GitHub lets me ask no more until 2026-03-02 09:01 UTC. It goes on by itself then."
    )
    assert metric(world, 'shipbot_github_held_total{why="pace"}') == 1
    world.advance(minutes=1)
    assert len(writes(world)) == 2
    assert len(world.github.deployments("acme/api")) == 1
