"""Every state that is not final has a deadline, and every deploy an end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.front.chat import ask, cards, newest, thread, writes
from tests.world import World

CONFIG = """
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      staging: {timeout: 20m}
      canary: {when_locked: wait, max_wait: 6h}
      production: {approvals: {required: 2, approvers: [U0BEN, U0CAL], expires: 4h}}
"""
DEPLOYMENTS = "/repos/acme/web/deployments"
GOING = "Handed to GitHub, waiting for a deployer to pick it up · asked 2026-03-02 09:00 UTC"
LOST = (
    "No end was reported within 20 min, so the next one may go. How it stands is not known: look at the deployer. A "
    "status that still comes will be shown here."
)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world(config=CONFIG)


def stands(world: World, number: int = 0) -> str:
    """The line of a card that says how its deploy stands."""
    return cards(world)[number].splitlines()[1]


def test_nobody_picks_it_up(world: World) -> None:
    """After two minutes the card says so, and after the timeout the next one goes; a status still wins."""
    ask(world, "/deploy web/topic to staging")
    ask(world, "/deploy web to staging", "U0BEN")
    world.advance(minutes=2, seconds=-1)
    assert stands(world) == GOING
    world.advance(seconds=1)
    assert stands(world) == (
        ":warning: No deployer has picked it up since 2026-03-02 09:00 UTC. Usually nothing listens to GitHub's "
        "`deployment` event for this environment, or it is down"
    )
    assert thread(world) == []  # nobody is called for what may still come
    world.advance(minutes=18, seconds=-1)
    assert len(writes(world)) == 1
    world.advance(seconds=1)
    assert cards(world)[0].startswith(":warning:")
    assert stands(world) == LOST
    assert thread(world) == [f":warning: @ana: *web* to *staging* is lost from sight. {LOST}"]
    assert len(writes(world)) == 2
    assert stands(world, 1).startswith("Handed to GitHub")

    world.advance(minutes=1)
    for state, shown in (("in_progress", "In progress"), ("success", "Live after 21 min")):
        world.report(state, number=1)
        assert stands(world).startswith(shown)
        assert stands(world, 1).startswith("Handed to GitHub")  # whose place that is by now
    assert thread(world)[-1] == ":large_green_circle: Live after 21 min · `deployer` · @ana"
    world.report("success")
    assert stands(world, 1).startswith("Live after")


def test_one_that_was_heard_of_is_lost_as_well(world: World) -> None:
    """Heard of again and silent again it is lost again, so that it ends."""
    ask(world, "/deploy web/topic to staging")
    world.report("in_progress")
    world.advance(minutes=5)
    assert stands(world).startswith("In progress")
    world.advance(minutes=15)
    assert stands(world) == LOST
    world.advance(minutes=10)
    world.report("in_progress")
    world.advance(minutes=19)
    assert stands(world).startswith("In progress")
    world.advance(minutes=1)
    assert stands(world).startswith("No end was reported within 50 min")
    assert sum("is lost from sight" in line for line in thread(world)) == 2
    world.advance(days=1)
    assert world.waiting() == []
    ask(world, "/deploy cancel 1")
    assert stands(world) == "Cancelled by @ana."


def test_approvals_expire(world: World) -> None:
    ask(world, "/deploy web/topic to production")
    ask(world, "/deploy approve 1", "U0BEN")
    world.advance(hours=3, minutes=-1)
    assert sum("still waits" in line for line in thread(world)) == 0
    world.advance(minutes=1)
    assert thread(world)[-1].startswith(":raised_hand: @cal: #1 still waits for you to approve it, by ")
    world.advance(hours=1, seconds=-1)
    assert cards(world)[0].splitlines()[-1] == "[Approve] [Reject] [Cancel]"
    world.advance(seconds=1)
    words = "Only 1 of 2 approvals came in time. Nothing was deployed; ask again to ask them anew."
    assert cards(world)[0].splitlines()[1:] == [words, "[Retry]"]
    assert thread(world)[-1] == f":wastebasket: @ana: *web* to *production* was given up. {words}"
    assert ask(world, "/deploy approve 1", "U0CAL") == (":no_entry: #1 was given up already, so that comes too late.")
    assert world.waiting() == []
    assert writes(world) == []


def test_what_waits_is_given_up_at_last(world: World) -> None:
    ask(world, "/deploy lock web in canary", "U0BEN")
    ask(world, "/deploy web/topic to canary")
    world.advance(hours=6, seconds=-1)
    assert stands(world).startswith("Waiting for @ben to unlock it")
    world.advance(seconds=1)
    words = "It has waited since 2026-03-02 09:00 UTC, which is as long as it may. Nothing was deployed; "
    assert stands(world) == f"{words}ask again if it should go."
    ask(world, "/deploy unlock web in canary", "U0BEN")
    assert writes(world) == []
    ask(world, "/deploy web/topic to canary")  # it does not stand in the way of the same again
    assert len(writes(world)) == 1


def test_what_is_found_after_hours_is_not_done_but_said(world: World) -> None:
    """A command that nobody obeyed, a deploy that was cleared and not sent, and one whose sending was begun."""
    late = "and I was not there to do it. Nothing was deployed; ask again if it still should go."
    assert world.slack.say("U0ANA", "C0OPS", "/deploy web/topic to staging").ok
    world.advance(minutes=15)
    asked = "Nothing was done; ask again if it still should be."
    assert newest(world) == f":no_entry: You asked for that 2026-03-02 09:00 UTC, and I was not there to do it. {asked}"
    assert cards(world) == []

    assert world.slack.say("U0ANA", "C0OPS", "/deploy web/topic to staging").ok
    assert world.bot.workers.step()
    world.advance(hours=1)
    assert stands(world) == f"It was to go 2026-03-02 09:15 UTC, {late}"
    assert cards(world)[0].startswith(":wastebasket:")
    assert f"@ana: *web* to *staging* was given up. It was to go 2026-03-02 09:15 UTC, {late}" in thread(world)[-1]

    for drop in ("before", "after"):  # whether GitHub had heard of it is found out first
        world.github.fail("POST", DEPLOYMENTS, drop=drop)
        asked_at = world.clock.moment
        ask(world, "/deploy web/topic to canary")
        world.github.pending.clear()
        world.advance(hours=10)
        if drop == "before":
            assert stands(world, 1) == f"It was to go {asked_at:%Y-%m-%d %H:%M} UTC, {late}"
            assert world.github.deployments("acme/web") == []
        else:
            assert stands(world, 2).startswith(
                f":warning: No deployer has picked it up since {asked_at:%Y-%m-%d %H:%M}"
            )
            assert len(world.github.deployments("acme/web")) == 1


def test_every_deploy_ends(world: World) -> None:
    """One in each state that is not final, and then nothing happens any more but the time."""
    ask(world, "/deploy web/topic to staging")  # created
    ask(world, "/deploy web to staging", "U0BEN")  # in line
    ask(world, "/deploy web/topic to production")  # waits for approval
    ask(world, "/deploy lock web in canary", "U0BEN")
    ask(world, "/deploy web/topic to canary")  # waits for a lock
    ask(world, "/deploy unlock web in canary", "U0BEN")
    world.report("queued")  # handed over, and heard of
    world.github.fail("POST", DEPLOYMENTS, status=502, times=1000)
    ask(world, "/deploy web to canary")  # asked for, and it is not known whether GitHub heard
    for _ in range(8):
        world.advance(hours=10)

    ends = (":warning:", ":wastebasket:", ":no_entry:")
    assert [text.partition(" ")[0] in ends for text in cards(world)] == [True] * 5
    assert [kind for kind in world.waiting() if kind in ("decide", "create", "watch", "card")] == []
