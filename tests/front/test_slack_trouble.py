"""Rooms that can't be written to, limits, answers that are lost: one card all the same, and nobody left alone."""

from __future__ import annotations

import re

import pytest

from tests.front.chat import ask, calls, cards, newest, thread
from tests.world import World


def direct(world: World) -> str:
    return world.slack.direct_room("U0ANA")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("private", "I can't see #secret, so this is shown here. `/invite @shipbot` there to change that."),
        ("archived", "#secret is archived, so this is shown here."),
        ("restricted", "Slack did not let me write to #secret, so this is shown here."),
    ],
)
def test_a_room_that_can_not_be_written_to(world: World, kind: str, why: str) -> None:
    world.slack.add_room("C0SEC", "secret", private=kind == "private", bot_is_member=kind != "private")
    if kind == "archived":
        world.slack.archive("C0SEC")
    if kind == "restricted":
        world.slack.fail("chat.postMessage", error="restricted_action")
    world.say("U0ANA", "/deploy web/topic to staging", "C0SEC")
    world.deliver()
    world.report("success", description="All pods up")

    sha = world.github.head("acme/web", "topic")[:7]
    assert cards(world, "C0SEC") == []
    assert world.room(direct(world)) == "\n".join(
        [
            f"shipbot: :large_green_circle: *web* to *staging* · `topic` at {sha} · #1 for @ana",
            "  Live after 0 s",
            "  All pods up",
            f"  {why}",
            "  [Lock staging]",
            "  ↳ shipbot: :large_green_circle: Live after 0 s · `deployer` · @ana",
            "      All pods up",
        ]
    )


def test_answers_reach_rooms_without_the_bot(world: World) -> None:
    world.slack.add_room("C0SEC", "secret", private=True, bot_is_member=False)

    assert ask(world, "/deploy where web", room="C0SEC").startswith("*What is live of web*")


def test_a_room_that_closes_under_way(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    world.slack.archive("C0OPS")
    world.report("success")

    assert world.waiting() == ["watch"]  # a timer, and nothing to be sent
    assert cards(world, direct(world))[0].splitlines()[1:] == [
        "Live after 0 s",
        "#ops is archived, so this is shown here.",
        "[Lock staging]",
    ]


def test_the_bot_is_thrown_out_under_way(world: World) -> None:
    world.slack.add_room("C0SEC", "secret", private=True)
    world.say("U0ANA", "/deploy web/topic to staging", "C0SEC")
    world.deliver()
    world.slack.remove_bot("C0SEC")
    world.report("success")

    assert cards(world, direct(world))[0].splitlines()[1] == "Live after 0 s"
    assert world.waiting() == ["watch"]


def test_429_waits_as_long_as_slack_says(world: World) -> None:
    world.slack.fail("chat.postMessage", error="ratelimited", retry_after=40)
    world.say("U0ANA", "/deploy web/topic")
    world.deliver()
    world.report("in_progress")
    assert calls(world, "chat.postMessage") == 1
    assert cards(world) == []

    world.advance(seconds=39)
    assert calls(world, "chat.postMessage") == 1
    world.advance(seconds=1)
    assert cards(world)[0].splitlines()[1].startswith("In progress")
    assert thread(world) == [], "what people wait for goes first now"
    world.advance(seconds=16)
    assert len(thread(world)) == 1


@pytest.mark.parametrize("trouble", [{"status": 503}, {"status": 500}, {"error": "internal_error"}, {"drop": "before"}])
def test_slack_that_does_not_answer_is_asked_again(world: World, trouble: dict[str, object]) -> None:
    world.slack.fail("chat.postMessage", times=2, **trouble)  # type: ignore[arg-type]
    world.say("U0ANA", "/deploy web/topic")
    for _ in range(3):
        world.advance(seconds=2)

    assert len(cards(world)) == 1
    assert len(world.github.deployments("acme/web")) == 1


def test_a_lost_answer_makes_no_second_card(world: World) -> None:
    world.slack.fail("chat.postMessage", drop="after")
    world.say("U0ANA", "/deploy web/topic")
    world.advance(seconds=5)
    world.report("success")

    assert [card.splitlines()[1] for card in cards(world)] == ["Live after 5 s"]
    assert len(thread(world)) == 1


def test_a_lost_answer_and_a_restart_make_no_second_card(world: World) -> None:
    world.slack.fail("chat.postMessage", drop="after")
    world.slack.fail("conversations.history", status=503)
    world.say("U0ANA", "/deploy web/topic")
    world.restart()
    for _ in range(4):
        world.advance(seconds=5)

    assert len(cards(world)) == 1


def test_a_lost_answer_in_a_direct_message_makes_no_second_card(world: World) -> None:
    world.slack.add_room("C0SEC", "secret", private=True, bot_is_member=False)
    world.slack.fail("chat.postMessage", error="channel_not_found")
    world.slack.fail("chat.postMessage", drop="after")
    world.say("U0ANA", "/deploy web/topic", "C0SEC")
    world.advance(seconds=5)

    assert len(cards(world, direct(world))) == 1
    assert "I can't see #secret" in cards(world, direct(world))[0]


def test_a_deleted_card_is_posted_anew(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic")
    world.deliver()
    world.slack.delete_message("C0OPS", world.slack.messages("C0OPS")[0].ts)
    world.slack.fail("chat.postMessage", drop="after")
    world.report("success")
    world.advance(seconds=5)

    assert [card.splitlines()[1] for card in cards(world)] == ["Live after 0 s"]
    assert len(thread(world)) == 1


def test_ten_updates_are_few_calls(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic")
    world.deliver()
    deployment = world.github.deployments("acme/web")[0]["id"]
    before = calls(world, "chat.update")
    for number in range(10):
        world.github.report("acme/web", deployment, "in_progress", description=f"{number} of 10")
    world.deliver()

    assert calls(world, "chat.update") - before == 1
    assert "9 of 10" in cards(world)[0]
    assert len(thread(world)) == 10


def test_scopes_that_are_missing_are_waited_for(world: World) -> None:
    """Somebody has to mend it at Slack; until then nothing is given up."""
    world.slack.fail("chat.postMessage", error="missing_scope", times=3)
    world.say("U0ANA", "/deploy web/topic")
    assert world.waiting() == ["card", "watch"]
    for _ in range(4):
        world.advance(minutes=1)

    assert len(cards(world)) == 1


def test_what_breaks_on_our_side_is_owned_up_to(world: World) -> None:
    world.slack.fail("response_url", status=400)
    world.slack.fail("conversations.open", error="never_heard_of", times=5)
    world.slack.fail("response_url", status=400, times=4)
    world.say("U0ANA", "/deploy where web")
    for _ in range(6):
        world.advance(minutes=1)

    assert re.fullmatch(
        r":boom: Sorry, something broke on my side. Whoever runs me finds it in my log under the reference `J\d+`.",
        newest(world),
    )
    assert len(world.dead()) == 1
    world.expect_dead = True


def test_a_button_of_another_version(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic")
    world.report("success", log_url="https://ci.example/7")
    ts = world.slack.messages("C0OPS")[0].ts
    button = {"type": "button", "action_id": "gone", "text": {"type": "plain_text", "text": "x"}}
    world.slack.messages("C0OPS")[0].blocks.append({"type": "actions", "block_id": "old", "elements": [button]})
    world.slack.click("U0BEN", "C0OPS", ts, "gone")
    world.settle()

    assert world.slack.text_of(world.slack.ephemerals("U0BEN")[0]) == (
        "That button is from another version of me and does nothing any more. `/deploy help` says what I can do."
    )
