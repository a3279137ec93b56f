"""Answers of Slack's that never come: whatever was posted is looked for before it is posted again."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from bot.store.schema import jobs
from tests.front.chat import calls, cards, posted, thread
from tests.world import World

LOOKED = ("conversations.history", "conversations.replies")


def looked(world: World) -> int:
    """How often the bot searched a room or a thread."""
    return sum(calls(world, method) for method in LOOKED)


def wait(world: World) -> None:
    for _ in range(4):
        world.advance(seconds=10)


def said(world: World, room: str = "C0OPS") -> list[str]:
    """What the bot said in a room to everyone there."""
    mine = [each for each in world.slack.messages(room) if each.user == world.slack.bot_user_id]
    return [world.slack.text_of(each) for each in mine if each.ephemeral_for is None]


@pytest.mark.parametrize("dies", [False, True], ids=["stays", "dies"])
def test_a_line_in_a_thread(world: World, dies: bool) -> None:
    world.say("U0ANA", "/deploy web/topic")
    world.deliver()
    world.slack.fail("chat.postMessage", drop="after")
    world.report("in_progress", description="Rolling out")
    if dies:
        world.restart()
    world.report("success")
    wait(world)
    assert [line.partition(" ")[0] for line in thread(world)] == [":large_blue_circle:", ":large_green_circle:"]
    assert calls(world, "conversations.replies") == 1


@pytest.mark.parametrize("dies", [False, True], ids=["stays", "dies"])
@pytest.mark.parametrize(
    "words",
    ["/deploy lock web in production because demo", "@shipbot deploy where web", "/deploy subscribe web"],
)
def test_what_is_said_in_a_room(world: World, words: str, dies: bool) -> None:
    world.slack.fail("chat.postMessage", drop="after")
    world.say("U0ANA", words)
    if dies:
        world.restart()
    wait(world)
    assert len(said(world)) == 1
    assert looked(world) == 1


def test_word_for_one_person(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.say("U0ANA", "/deploy lock web in production")
    world.slack.fail("chat.postMessage", drop="after")
    world.advance(hours=3, minutes=1)  # the owner is reminded
    wait(world)
    assert len(said(world, world.slack.direct_room("U0ANA"))) == 1
    assert looked(world) == 1


def test_what_was_posted_is_not_even_looked_for_when_its_job_is_done_again(world: World) -> None:
    """The process died after the answer was stored, and before the job was."""
    world.say("U0ANA", "/deploy lock web in production")
    with world.store.write() as connection:
        again = sa.update(jobs).where(jobs.c.kind == "slack.command").values(state="ready", finished_at=None)
        assert connection.execute(again).rowcount == 1
    before = len(world.slack.calls)
    world.settle()
    assert [call.method for call in world.slack.calls[before:]] == []
    assert len(said(world)) == 1


def test_what_a_message_carries_says_nothing_of_its_request(world: World) -> None:
    """Any app in the workspace may read metadata, and requests carry ids by which Slack lets one answer."""
    world.say("U0ANA", "/deploy lock web in production")
    [message] = [each for each in world.slack.messages("C0OPS") if each.metadata]
    assert message.metadata is not None
    assert message.metadata["event_type"] == "shipbot_message"
    assert list(message.metadata["event_payload"]) == ["id"]
    assert re.fullmatch(r"[0-9a-f]{32}", message.metadata["event_payload"]["id"])


def test_what_slack_refused_or_let_wait_is_not_looked_for(world: World) -> None:
    world.slack.fail("chat.postMessage", error="ratelimited", retry_after=5)
    world.say("U0ANA", "/deploy web/topic")
    world.advance(seconds=5)
    world.report("success")
    wait(world)
    assert len(cards(world)) == 1
    assert len(thread(world)) == 1
    assert looked(world) == 0


def test_a_request_that_never_arrived_is_sent_again(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic")
    world.deliver()
    world.slack.fail("chat.postMessage", drop="before")
    world.report("success")
    wait(world)
    assert len(thread(world)) == 1


def test_a_room_that_can_not_be_searched_gets_it_again(world: World) -> None:
    """In a public room that it is not in, the bot may write and not read."""
    world.slack.add_room("C0PUB", "public", bot_is_member=False)
    world.slack.fail("chat.postMessage", drop="after")
    world.say("U0ANA", "/deploy lock web in production", room="C0PUB")
    wait(world)
    assert len(said(world, "C0PUB")) == 2


def test_a_message_of_another_app_is_not_taken_for_the_bots(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic")
    world.deliver()
    card = posted(world.slack)[0]
    line = {"event_type": "shipbot_line", "event_payload": {"id": f"{card.metadata['event_payload']['id']}:1"}}  # type: ignore[index]
    for number in range(10):  # whichever it will be
        forged = {**line, "event_payload": {"id": line["event_payload"]["id"][:-1] + str(number)}}
        with world.slack._workspace.lock:
            room = world.slack._workspace.room("C0OPS")
            world.slack._workspace.post(room, "U0BEN", "psst", thread_ts=card.ts, metadata=forged)
    world.slack.fail("chat.postMessage", drop="before")
    world.report("success")
    wait(world)
    assert calls(world, "conversations.replies") == 1
    assert [line.partition(" ")[0] for line in thread(world) if line != "psst"] == [":large_green_circle:"]


def test_it_is_found_behind_many_others(world: World) -> None:
    world.slack.fail("chat.postMessage", drop="after")
    world.slack.fail("conversations.history", status=503)
    world.say("U0ANA", "/deploy lock web in production")
    for number in range(450):
        with world.slack._workspace.lock:
            world.slack._workspace.post(world.slack._workspace.room("C0OPS"), "U0BEN", f"chatter {number}")
    wait(world)
    assert len(said(world)) == 1
    assert calls(world, "conversations.history") == 4


def test_a_card_that_is_deleted_with_its_thread(world: World) -> None:
    """What is left of it at Slack is not taken for the card."""
    world.say("U0ANA", "/deploy web/topic")
    world.deliver()
    world.report("in_progress")
    world.slack.delete_message("C0OPS", world.slack.messages("C0OPS")[0].ts)
    world.slack.fail("chat.postMessage", drop="after")
    world.report("success")
    wait(world)
    assert [card.splitlines()[1] for card in cards(world)] == ["Live after 0 s"]
