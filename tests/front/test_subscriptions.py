"""Subscriptions: rooms that hear of an app because somebody there asked, read as a chat."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.front.chat import ask, cards, newest
from tests.world import CONFIG, World

ALL = ":bell: @ana subscribed this room to all of *web* on every state"


def test_a_room_hears_of_what_it_subscribed_to(world: World) -> None:
    """Said aloud, kept through a restart, obeyed like the config's `announce`: one card, however many reasons."""
    answer = ask(world, "/deploy subscribe web in prod on success, Failure", room="C0RAN")
    assert answer == ":bell: @ana subscribed this room to *web* / *production* on `success` and `failure`"
    assert world.slack.ephemerals("U0ANA") == []
    world.restart()

    world.say("U0BEN", "/deploy web to staging")
    world.report("success")
    world.say("U0BEN", "/deploy web to production")
    world.report("in_progress")
    assert cards(world, "C0RAN") == []
    world.report("success")
    (card,) = cards(world, "C0RAN")
    assert "*web* to *production*" in card
    assert "Live" in card

    # Again for another reason, and elsewhere for the config's: each room has one card.
    assert ask(world, "/deploy subscribe web", room="C0RAN") == ALL
    assert ask(world, "/deploy subscribe web", room="C0REL") == ALL
    world.say("U0BEN", "/deploy web/topic to production", "C0RAN")
    world.report("success")
    assert [len(cards(world, room)) for room in ("C0OPS", "C0RAN", "C0REL")] == [2, 2, 2]


def test_said_again_it_is_replaced(world: World) -> None:
    assert ask(world, "/deploy subscribe web in production on failure", room="C0RAN") == (
        ":bell: @ana subscribed this room to *web* / *production* on `failure`"
    )
    assert ask(world, "/deploy subscribe acme/web in prod on lost and in-progress", "U0BEN", "C0RAN") == (
        ":bell: @ben subscribed this room to *web* / *production* on `lost` and `in_progress`\n"
        "Until now it was on `failure`"
    )
    assert ask(world, "/deploy subscribe web in staging", room="C0RAN") == (
        ":bell: @ana subscribed this room to *web* / *staging* on every state"
    )
    world.restart()
    apps = ask(world, "/deploy apps", room="C0RAN")
    assert apps == "\n".join(
        [
            "*web* · acme/web · deploys `main`",
            "     to *production* (prod), *staging* (stg)",
            "     :bell: this room hears of *web* / *production* on `lost` and `in_progress`; "
            "*web* / *staging* on every state",
        ]
    )
    assert ":bell:" not in ask(world, "/deploy apps"), "each room has its own"
    world.say("U0BEN", "/deploy web to production")
    world.report("failure")
    assert cards(world, "C0RAN") == []
    world.say("U0BEN", "/deploy web/topic to production")
    world.report("in_progress")
    assert len(cards(world, "C0RAN")) == 1


def test_leaving(world: World) -> None:
    """`unsubscribe` ends just what it names; of what is not subscribed it says what is."""
    assert ask(world, "/deploy unsubscribe web") == (
        ":no_entry: Nobody has subscribed to all of *web* here. `/deploy subscribe …` would; `/deploy apps` lists what "
        "there is."
    )
    for place in ("staging", "production on success"):
        world.say("U0ANA", f"/deploy subscribe web in {place}", "C0RAN")
    assert ask(world, "/deploy unsubscribe api", room="C0RAN") == (
        ":no_entry: Nobody has subscribed to all of *api* here, but to *web* / *production* on `success` and "
        "*web* / *staging* on every state."
    )
    assert ask(world, "/deploy unsubscribe web in STG", "U0BEN", "C0RAN") == (
        ":no_bell: @ben unsubscribed this room from *web* / *staging* on every state"
    )
    assert ask(world, "/deploy unsubscribe web on stg", room="C0RAN") == (
        ":no_entry: Nobody has subscribed to *web* / *staging* here, but to *web* / *production* on `success`."
    )
    assert ask(world, "/deploy unsubscribe web in nowhere", room="C0RAN") == (
        ":no_entry: Nobody has subscribed to *web* / *nowhere* here, but to *web* / *production* on `success`."
    )
    world.say("U0ANA", "/deploy subscribe web", "C0RAN")
    world.restart()
    assert ask(world, "/deploy unsubscribe web", room="C0RAN") == (
        ":no_bell: @ana unsubscribed this room from all of *web* on every state and *web* / *production* on `success`"
    )
    world.say("U0BEN", "/deploy web to production")
    world.report("success")
    assert cards(world, "C0RAN") == []
    assert len(cards(world, "C0REL")) == 1, "what the config announces stays"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("wbe", ":no_entry: I know no app `wbe`. Did you mean `web`? `/deploy apps` lists them all."),
        ("web in prd", ":no_entry: *web* has no environment `prd`. Did you mean `prod`?"),
        (
            "web on succes",
            ":no_entry: A deploy has no state `succes`. Did you mean `success`?",
        ),
        (
            "web on success,xyz",
            ":no_entry: A deploy has no state `xyz`. There are `asked`, `cancelled`, `created`, `error`, `expired`, "
            "`failure`, `held`, `in_progress`, `inactive`, `lost`, `pending`, `queued`, `refused`, `success`, "
            "`superseded`, `waiting`.",
        ),
        (
            "web on prod",
            ":no_entry: `prod` is no state but an environment of *web*: `/deploy subscribe web in production` "
            "subscribes to it. Behind `on` come states, such as `success,failure`.",
        ),
    ],
)
def test_slips(world: World, words: str, answer: str) -> None:
    assert ask(world, f"/deploy subscribe {words}", room="C0RAN") == answer
    assert "this room hears" not in ask(world, "/deploy apps", room="C0RAN")


def test_states_without_any(world: World) -> None:
    assert ask(world, "/deploy subscribe web on", room="C0RAN").startswith(
        ":thinking_face: I expected states such as success,failure here:"
    )
    assert ask(world, "/deploy subscribe web on ,", room="C0RAN") == ALL


def test_an_app_is_told_of_in_its_own_rooms_alone(world: World, make_world: Callable[..., World]) -> None:
    """Not in another, not even when the config named it once."""
    refusal = (
        ":no_entry: *api* is spoken of in #ops alone, so nobody can subscribe here. Whoever runs me can add this room "
        "to its `rooms`, or under its `announce`, in my config."
    )
    assert ask(world, "/deploy subscribe api", room="C0RAN") == refusal
    assert ask(world, "subscribe api", room="dm") == refusal
    assert ask(world, "/deploy subscribe api in canary on success") == (
        ":bell: @ana subscribed this room to *api* / *canary* on `success`"
    )
    world.config = CONFIG.replace("rooms: [C0OPS]", "rooms: [C0OPS, C0RAN]")
    world.restart()
    assert ask(world, "/deploy subscribe api", room="C0RAN") == (
        ":bell: @ana subscribed this room to all of *api* on every state"
    )
    world.say("U0BEN", "/deploy api to canary")
    assert len(cards(world, "C0RAN")) == 1
    world.config = CONFIG
    world.restart()
    world.report("success", repository="acme/api")
    world.say("U0BEN", "/deploy api to production")
    assert len(cards(world, "C0RAN")) == 1, "it may not be spoken of there any more"
    assert ask(world, "/deploy unsubscribe api", room="C0RAN").startswith(":no_bell: ")


def test_in_a_message_and_by_mention(world: World) -> None:
    """In a conversation with the bot it is that conversation which hears of it."""
    room = world.slack.direct_room("U0CAL")
    assert ask(world, "subscribe web in staging", "U0CAL", "dm") == (
        ":bell: @cal subscribed our conversation to *web* / *staging* on every state"
    )
    assert ask(world, "@shipbot subscribe web on error", "U0CAL", "C0RAN") == (
        ":bell: @cal subscribed this room to all of *web* on `error`"
    )
    world.say("U0ANA", "/deploy web to staging")
    assert len(cards(world, room)) == 1
    world.report("error")
    assert len(cards(world, "C0RAN")) == 1
    assert ask(world, "unsubscribe web", "U0CAL", "dm") == (
        ":no_bell: @cal unsubscribed our conversation from *web* / *staging* on every state"
    )


def test_a_room_that_the_bot_cannot_write_to(world: World) -> None:
    """As with the rooms of the config: nothing is said there, nothing breaks, and it is heard once it can be."""
    world.slack.add_room("C0FAR", "far", members=["U0ANA"], private=True, bot_is_member=False)
    said = ask_alone(world, "/deploy subscribe web", "C0FAR")
    assert said == f"{ALL}\nI can't write here yet: `/invite` me, and what comes after that will be shown"
    world.say("U0BEN", "/deploy web to staging")
    assert cards(world, "C0FAR") == []
    assert len(cards(world)) == 1
    assert world.dead() == []
    assert world.waiting() == ["watch"], "no card is tried again and again"
    world.slack.add_room("C0FAR", "far", members=["U0ANA"], private=True)  # the bot is invited
    world.report("success")
    assert len(cards(world, "C0FAR")) == 1


def test_what_is_gone_from_the_config_can_be_left(world: World) -> None:
    world.say("U0ANA", "/deploy subscribe web in staging", "C0RAN")
    world.config = "apps: {api: {repository: acme/api, environments: {production: {}}}}"
    world.restart()
    assert "web" not in ask(world, "/deploy apps", room="C0RAN")
    assert ask(world, "/deploy unsubscribe wb", room="C0RAN") == (
        ":no_entry: Nobody has subscribed to all of *wb* here, but to *web* / *staging* on every state."
    )
    assert ask(world, "/deploy unsubscribe WEB in staging", room="C0RAN") == (
        ":no_bell: @ana unsubscribed this room from *web* / *staging* on every state"
    )


def ask_alone(world: World, text: str, room: str) -> str:
    """What the person alone is told."""
    world.say("U0ANA", text, room)
    return world.slack.text_of(world.slack.ephemerals("U0ANA")[-1])


def test_a_command_that_is_done_twice_subscribes_once(world: World) -> None:
    world.say("U0ANA", "/deploy subscribe web", "C0RAN")
    world.slack.repeat_last()
    world.settle()
    assert newest(world, "C0RAN") == ALL
    assert world.room("C0RAN").count(ALL) == 1
