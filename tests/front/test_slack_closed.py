"""Rooms that the bot can't write to: whoever asked is told elsewhere, and whoever runs it sees which they are."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from bot.store import rooms
from tests.front.chat import ask, cards, thread
from tests.world import START, World


def closed(world: World) -> list[tuple[str, str]]:
    """The rooms that are known to be closed, and why; as many as `/metrics` counts."""
    with world.store.read() as connection:
        found = [(each.room, each.code) for each in rooms.closed(connection)]
    counted = httpx.get(f"{world.servers.bot_url}/metrics", trust_env=False).text
    assert f"shipbot_rooms_closed {len(found)}.0" in counted.splitlines()
    return found


def direct(world: World) -> str:
    return world.slack.direct_room("U0ANA")


def test_the_bot_is_thrown_out_under_way_and_let_in_again(world: World) -> None:
    world.slack.add_room("C0SEC", "secret", private=True)
    world.say("U0ANA", "/deploy web/topic to staging", "C0SEC")
    world.deliver()
    assert closed(world) == []
    world.slack.remove_bot("C0SEC")
    world.report("in_progress")
    assert "I can't see #secret, so this is shown here." in cards(world, direct(world))[0]
    assert closed(world) == [("C0SEC", "channel_not_found")]

    world.slack.invite_bot("C0SEC")
    world.report("success")
    assert cards(world, direct(world))[0].splitlines()[1] == "Live after 0 s", "it stays where the person found it"
    assert [line.split()[1] for line in thread(world, direct(world))] == ["In", "Live"]
    assert closed(world) == [("C0SEC", "channel_not_found")], "nothing was posted there yet"
    world.say("U0ANA", "/deploy web/main to staging", "C0SEC")
    assert len(cards(world, "C0SEC")) == 2
    assert closed(world) == []


def test_where_nobody_asked_nobody_is_told(world: World) -> None:
    world.slack.archive("C0REL")
    world.say("U0ANA", "/deploy web/topic to production")
    world.deliver()
    world.report("success")
    assert cards(world, "C0REL") == []
    assert cards(world, direct(world)) == []
    assert closed(world) == [("C0REL", "is_archived")]
    world.slack.unarchive("C0REL")
    world.say("U0ANA", "/deploy web/main to production")
    world.deliver()
    world.report("success")
    assert [card.splitlines()[1] for card in cards(world, "C0REL")] == ["Live after 0 s"] * 2, "the first comes late"
    assert closed(world) == []


def test_a_room_that_closes_between_the_card_and_its_thread(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    world.slack.fail("chat.postMessage", error="is_archived", room="C0OPS", times=2)
    world.report("failure", description="Out of memory")
    assert "#ops is archived, so this is shown here." in cards(world, direct(world))[0]
    [line] = thread(world, direct(world))
    assert "@ana" in line
    assert closed(world) == [("C0OPS", "is_archived")]
    assert world.waiting() == ["watch"]


@pytest.mark.parametrize("code", ["restricted_action_non_threadable_channel", "restricted_action_thread_locked"])
def test_a_room_that_takes_no_replies_has_its_card_all_the_same(world: World, code: str) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    world.slack.fail("chat.postMessage", error=code)
    world.report("in_progress")
    world.report("success")
    assert [card.splitlines()[1] for card in cards(world)] == ["Live after 0 s"]
    assert cards(world, direct(world)) == []
    assert len(thread(world)) == 2, "what could not be told at first was told later"
    assert closed(world) == []


@pytest.mark.parametrize("code", ["no_permission", "ekm_access_denied", "team_access_not_granted"])
def test_whatever_slack_calls_it(world: World, code: str) -> None:
    world.slack.fail("chat.postMessage", error=code, room="C0OPS")
    world.say("U0ANA", "/deploy web/topic to staging")
    assert "Slack did not let me write to #ops, so this is shown here." in cards(world, direct(world))[0]
    assert closed(world) == [("C0OPS", code)]


@pytest.mark.parametrize("code", ["update_failed", "external_channel_migrating"])
def test_what_passes_closes_nothing(world: World, code: str) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    world.slack.fail("chat.update", error=code)
    world.report("success")
    world.advance(seconds=2)
    assert [card.splitlines()[1] for card in cards(world)] == ["Live after 0 s"]
    assert closed(world) == []


@pytest.mark.parametrize(
    ("method", "code"),
    [("conversations.open", "user_disabled"), ("chat.postMessage", "messages_tab_disabled")],
)
def test_whoever_asked_has_left_and_the_room_is_closed(world: World, method: str, code: str) -> None:
    world.slack.fail("chat.postMessage", error="is_archived", room="C0OPS", times=100)
    world.slack.fail(method, error=code, times=100)
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    world.report("success")
    assert [one["state"] for one in world.github.statuses("acme/web", 1_100_001)] == ["success"]
    assert cards(world) == cards(world, direct(world)) == []
    assert closed(world) == [("C0OPS", "is_archived")]


def test_an_answer_to_somebody_who_has_left_is_dropped(world: World) -> None:
    world.slack.fail("response_url", status=404, times=100)
    world.slack.fail("conversations.open", error="user_disabled", times=100)
    world.say("U0ANA", "/deploy status")
    assert world.waiting() == []


def test_what_concerns_a_room_is_told_to_whoever_did_it(world: World) -> None:
    world.slack.add_room("C0SEC", "secret", private=True, bot_is_member=False)
    assert "locked *web*" in ask(world, "/deploy lock web in production", room="C0SEC")
    assert world.slack.ephemerals("U0ANA"), "by the response_url"
    assert closed(world) == [("C0SEC", "channel_not_found")]


def test_it_is_known_since_when_and_forgotten_when_nobody_writes_there(world: World) -> None:
    days = timedelta(days=1)
    with world.store.write() as connection:
        rooms.close(connection, "C0OLD", "is_archived", START - 40 * days)
        rooms.close(connection, "C0SEC", "not_in_channel", START - 40 * days)
        rooms.close(connection, "C0SEC", "channel_not_found", START - 20 * days)
        rooms.forget(connection, START)
        [left] = rooms.closed(connection)
    assert (left.room, left.code, left.since) == ("C0SEC", "channel_not_found", START - 40 * days)
