"""People of other companies in rooms that are shared with them (Slack Connect), and messages that are edited."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.front.chat import ask, calls, cards, newest, posted, thread, writes
from tests.world import CONFIG, World

AWAY = (
    ":no_entry: You are of another workspace than mine, so I do nothing for you here. "
    "Whoever runs me can name you under `users:` in my config."
)


def shared(world: World, **more: str) -> World:
    """Ana and Eve, who is of another workspace, are in #partners."""
    world.slack.add_person("U0EVE", "eve", team_id="T0EVIL", **more)
    world.slack.add_room("C0SHR", "partners", members=["U0ANA", "U0EVE"])
    return world


def test_somebody_of_another_company_is_turned_away(world: World) -> None:
    shared(world)
    for said in ("deploy web/topic to production", "lock web", "where web"):
        assert ask(world, f"@shipbot {said}", "U0EVE", "C0SHR") == AWAY
    assert writes(world) == cards(world, "C0SHR") == []
    assert ask(world, "/deploy locks") == "Nothing is locked, and nothing is frozen."

    world.say("U0ANA", "/deploy web/topic to staging", "C0SHR")
    world.report("in_progress", log_url="https://ci.example/1")
    [card] = posted(world.slack, "C0SHR")
    world.slack.click("U0EVE", "C0SHR", card.ts, "deploy_cancel")
    world.settle()
    assert [world.slack.text_of(message) for message in world.slack.ephemerals("U0EVE")] == [AWAY]
    assert "Cancelled" not in cards(world, "C0SHR")[0]
    assert calls(world, "users.info") == 1, "it is remembered for a while"

    # A link is just a link.
    world.slack.click("U0EVE", "C0SHR", card.ts, "link_logs")
    world.settle()
    assert len(world.slack.ephemerals("U0EVE")) == 1


NAMED = [
    "users: {U0EVE: eve-gh}\n" + CONFIG.lstrip(),
    CONFIG.replace("staging: {aliases: [stg]}", "staging: {aliases: [stg], deployers: [U0EVE]}"),
]


@pytest.mark.parametrize("config", NAMED, ids=["users", "deployers"])
def test_one_whom_the_config_names_is_no_stranger(make_world: Callable[..., World], config: str) -> None:
    world = shared(make_world(config=config))
    world.say("U0EVE", "@shipbot deploy web/topic to staging", "C0SHR")
    assert "for @eve" in cards(world, "C0SHR")[0]


def test_another_workspace_of_the_same_organization_is_ours(world: World) -> None:
    world.slack.enterprise_id = "E0ACME"
    shared(world, enterprise_id="E0ACME")
    world.say("U0EVE", "@shipbot deploy web/topic to staging", "C0SHR")
    assert "for @eve" in cards(world, "C0SHR")[0]


def test_an_edited_mention_is_not_obeyed_again(world: World) -> None:
    world.say("U0ANA", "@shipbot deploy web/topic to staging")
    said = world.slack.messages("C0OPS")[0]
    world.report("success")
    world.advance(days=2)

    for text in ("@shipbot deploy web/topic to staging because typo", "@shipbot deploy web to production"):
        assert world.slack.edit("U0ANA", "C0OPS", said.ts, text).ok
        world.settle()
    assert len(writes(world)) == 1
    assert thread(world)[-1] == (
        "I do only what is said in a new message. You changed this one, and nothing was done; please say it anew."
    )
    assert sum("You changed this one" in line for line in thread(world)) == 1, "that is said once"
    assert newest(world) == thread(world)[-1]
