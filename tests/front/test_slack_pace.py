"""Slack's pace: what it is asked for, what waits when it says so, and what goes first then."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from bot.store.schema import cards as table
from bot.store.schema import jobs
from tests.front.chat import calls, cards, posted, thread
from tests.world import World

PLACES = [f"e{number}" for number in range(60)]
MANY = f"""
apps:
  web:
    repository: acme/web
    environments: {{{", ".join(f"{place}: {{required_contexts: []}}" for place in PLACES)}}}
"""


def signs(world: World) -> list[str]:
    """What each card in #ops begins with."""
    return [text.partition(" ")[0] for text in cards(world)]


@pytest.mark.parametrize("word", ["ratelimited", "rate_limited"])
def test_a_room_that_must_wait_holds_up_no_other(world: World, word: str) -> None:
    world.slack.fail("chat.postMessage", error=word, retry_after=40, room="C0OPS")
    world.say("U0ANA", "/deploy web/topic to staging")
    world.say("U0BEN", "/deploy web/topic to production", room="C0RAN")
    world.say("U0CAL", "/deploy api/topic to canary")
    assert cards(world) == []
    assert len(cards(world, "C0RAN")) == 1
    world.report("success", number=1)  # the first, whose card is not there yet
    assert calls(world, "chat.postMessage") == 2, "#ops is not asked for again"

    world.restart()
    world.advance(seconds=39)
    assert cards(world) == []
    world.advance(seconds=1)
    assert len(cards(world)) == 1, "then one by one"
    world.advance(seconds=20)
    assert len(cards(world)) == 2
    assert len(thread(world)) == 1


def test_when_edits_must_wait_new_messages_go_on(world: World) -> None:
    """Slack counts edits of all rooms together."""
    world.say("U0ANA", "/deploy web/topic to staging")
    world.say("U0BEN", "/deploy web/topic to production", room="C0RAN")
    world.slack.fail("chat.update", error="ratelimited", retry_after=40)
    world.report("in_progress")
    world.report("success", number=1)
    before = calls(world, "chat.update")
    world.say("U0CAL", "/deploy api/topic to canary")
    assert len(cards(world)) == 2

    world.restart()
    world.advance(seconds=39)
    assert calls(world, "chat.update") == before
    world.advance(seconds=4)
    assert signs(world)[0] == ":large_green_circle:"
    world.advance(seconds=16)
    assert "In progress" in cards(world, "C0RAN")[0]


def test_the_config_says_how_much_slack_grants(make_world: Callable[..., World]) -> None:
    world = make_world(config="slack: {updates: 2, posts_per_room: 600}\n" + MANY)
    world.say("U0ANA", "/deploy web/topic to e1")
    world.advance(minutes=1)
    for number in range(10):
        world.report("in_progress", description=f"{number} of 10")
        world.advance(seconds=10)
    edits = [call for call in world.slack.calls if call.method == "chat.update"]
    assert len(edits) <= 5
    world.advance(minutes=1)
    assert "9 of 10" in cards(world)[0]
    assert len(thread(world)) == 10


def test_a_card_whose_thread_must_wait_is_not_edited_again_to_say_the_same(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic")
    world.deliver()
    world.slack.fail("chat.postMessage", error="ratelimited", retry_after=20)
    world.report("success")
    edits = calls(world, "chat.update")
    world.advance(seconds=20)
    assert len(thread(world)) == 1
    assert calls(world, "chat.update") == edits

    with world.store.read() as connection:  # what is remembered for that goes with it
        assert set(connection.execute(sa.select(table.c.shown)).scalars()) == {""}


@pytest.mark.slow
def test_sixty_that_end_at_once(make_world: Callable[..., World]) -> None:
    """What has ended is shown first, at Slack's pace, then what goes on; nobody is lost, and nobody asks too often."""
    world = make_world(config=MANY)
    for place in PLACES:
        world.say("U0ANA", f"/deploy web/topic to {place}")
        world.advance(seconds=2)
    world.advance(minutes=2)
    assert len(cards(world)) == 60
    deployments = [made["id"] for made in world.github.deployments("acme/web")]
    for number in deployments:
        world.github.report("acme/web", number, "in_progress")
    for number in deployments[:40]:
        world.github.report("acme/web", number, "success")
    begun = len(world.slack.calls)
    world.deliver()
    moments = [len(world.slack.calls) - begun]
    for _ in range(400):
        world.advance(seconds=0.5)
        moments.append(len(world.slack.calls) - begun)

    since = world.slack.calls[begun:]
    assert {call.status for call in since} == {200}
    edits = [str(call.args["text"]) for call in since if call.method == "chat.update"]
    ended = [":large_green_circle:" in str(call.args["blocks"]) for call in since if call.method == "chat.update"]
    assert ended == [True] * 40 + [False] * 20, edits
    assert sorted(signs(world)) == [":large_blue_circle:"] * 20 + [":large_green_circle:"] * 40
    assert len(thread(world)) == 100
    assert set(world.waiting()) == {"watch"}
    with world.store.read() as connection:
        most = connection.execute(sa.select(sa.func.max(jobs.c.attempts)).where(jobs.c.kind == "card")).scalar_one()
    assert most <= 8
    assert max(later - sooner for sooner, later in itertools.pairwise(moments[1:])) <= 3, "no burst again"
    assert len(posted(world.slack)) == 60
