"""What GitHub tells of a deploy, on its one card and in its thread."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests.front.chat import ask, cards, deliver_altered, thread, writes
from tests.world import World


def started(world: World, text: str = "web/topic to staging") -> int:
    """Ana asks; returns GitHub's id of the deployment. Nothing was delivered yet."""
    world.say("U0ANA", f"/deploy {text}")
    return int(world.github.deployments("acme/web")[0]["id"])


ASKED = " · asked 2026-03-02 09:00 UTC\n[Cancel]"  # what is not over can be taken back
STATES = [
    ("queued", ":large_yellow_circle:", f"Queued{ASKED}", "Queued after 30 s · `deployer`"),
    ("pending", ":large_yellow_circle:", f"Pending{ASKED}", "Pending after 30 s · `deployer`"),
    ("waiting", ":large_yellow_circle:", f"Waiting at GitHub{ASKED}", "Waiting at GitHub after 30 s · `deployer`"),
    ("in_progress", ":large_blue_circle:", f"In progress{ASKED}", "In progress after 30 s · `deployer`"),
    ("success", ":large_green_circle:", "Live after 30 s\n[Lock staging]", "Live after 30 s · `deployer` · @ana"),
    ("failure", ":red_circle:", "Failed after 30 s\n[Retry]", "Failed after 30 s · `deployer` · @ana"),
    (
        "error",
        ":red_circle:",
        "Ended in an error after 30 s\n[Retry]",
        "Ended in an error after 30 s · `deployer` · @ana",
    ),
    (
        "rolling_back",
        ":grey_question:",
        f"GitHub reports `rolling_back`{ASKED}",
        "GitHub reports `rolling_back` after 30 s · `deployer`",
    ),
]


@pytest.mark.parametrize(("state", "sign", "shown", "told"), STATES)
def test_every_state(world: World, state: str, sign: str, shown: str, told: str) -> None:
    started(world)
    world.advance(seconds=30)
    world.report(state)

    sha = world.github.head("acme/web", "topic")[:7]
    assert cards(world) == [f"{sign} *web* to *staging* · `topic` at {sha} · #1 for @ana\n{shown}"]
    assert thread(world) == [f"{sign} {told}"]


def test_description_links_and_who_reported(world: World) -> None:
    started(world)
    world.report("in_progress", log_url="https://ci.example/7", description="Rolling", creator="ben-gh")
    world.report("queued", creator="heroku[bot]")
    world.report("success", environment_url="https://web.example", description="All pods up")

    assert cards(world)[0].splitlines()[1:] == ["Live after 0 s", "All pods up", "[Open] [Logs] [Lock staging]"]
    buttons = world.slack.messages("C0OPS")[0].blocks[-1]["elements"]
    assert [button.get("url") for button in buttons[:2]] == ["https://web.example", "https://ci.example/7"]
    assert thread(world) == [
        ":large_blue_circle: In progress after 0 s · `ben-gh` · Logs\nRolling",
        ":large_yellow_circle: Queued after 0 s · `heroku[bot]`",
        ":large_green_circle: Live after 0 s · `deployer` · @ana · Open\nAll pods up",
    ]
    assert world.slack.click("U0BEN", "C0OPS", world.slack.messages("C0OPS")[0].ts, "link_open").ok
    world.settle()  # Slack opened the address; nobody is told anything
    assert world.slack.ephemerals("U0BEN") == []


def test_elapsed_time_in_the_units_that_matter(world: World) -> None:
    started(world)
    world.advance(hours=2, minutes=5, seconds=9)
    world.report("failure")

    assert cards(world)[0].splitlines()[1] == "Failed after 2 h 5 min"


def test_the_text_of_a_card_is_a_sentence(world: World) -> None:
    started(world)
    world.report("success")

    card, line = world.slack.messages("C0OPS")
    sha = world.github.head("acme/web", "topic")[:7]
    assert card.text == f"web to staging · topic at {sha} · #1 for <@U0ANA>\nLive after 0 s"
    assert line.text == "Live after 0 s · deployer · <@U0ANA>"


# Twice, late, out of order


def test_any_order_and_any_number_of_webhooks_ends_the_same(world: World) -> None:
    """Every order of the three webhooks of a deploy, each delivered twice."""
    for number, order in enumerate(permutations(range(3)), start=1):
        deployment = started(world)
        for state in ("in_progress", "success"):
            world.github.report("acme/web", deployment, state)
        queued = list(world.github.pending)
        for place in order:
            for _ in range(2):
                assert world.github.deliver(queued[place]) == [202]
                world.settle()

        mine = [text for text in cards(world) if f"#{number} for" in text]
        assert [text.splitlines()[1] for text in mine] == ["Live after 0 s"], order
    lines = thread(world)
    assert len(lines) == 2 * 6
    assert sum("@ana" in line for line in lines) == 6
    assert ":large_blue_circle: `in_progress` came in late and changes nothing · `deployer`" in lines


def test_a_late_success_that_counts_is_told_as_one(world: World) -> None:
    deployment = started(world)
    world.github.report("acme/web", deployment, "success")
    world.github.report("acme/web", deployment, "in_progress")
    _, success, progress = list(world.github.pending)
    for delivery in (progress, success):
        world.github.deliver(delivery)
        world.settle()

    assert cards(world)[0].splitlines()[1] == "Live after 0 s"
    assert thread(world)[1] == ":large_green_circle: Live after 0 s · `deployer` · @ana"


@pytest.mark.parametrize("first", ["success", "failure", "error"])
def test_a_final_state_stays(world: World, first: str) -> None:
    started(world)
    world.report(first, description="The first")
    before = cards(world)
    for state in ("failure", "success", "in_progress", "queued", "odd"):
        world.report(state, description="The second")

    assert cards(world) == before
    assert thread(world)[1:] == [
        f"{sign} `{state}` came in late and changes nothing · `deployer`\nThe second"
        for sign, state in (
            (":red_circle:", "failure"),
            (":large_green_circle:", "success"),
            (":large_blue_circle:", "in_progress"),
            (":large_yellow_circle:", "queued"),
            (":grey_question:", "odd"),
        )
    ]


def test_a_webhook_that_overtakes_the_answer(world: World) -> None:
    world.github.fail("POST", "/repos/acme/web/deployments", drop="after")
    started(world)
    world.report("success")
    assert cards(world)[0].splitlines()[1] == "Live after 0 s"

    world.advance(minutes=1)
    assert len(writes(world)) == 1
    assert cards(world)[0].splitlines()[1] == "Live after 0 s"
    assert len(thread(world)) == 1


def test_a_lost_webhook_takes_nothing_with_it(world: World) -> None:
    deployment = started(world)
    world.github.report("acme/web", deployment, "in_progress")
    world.github.pending.clear()
    world.report("success")

    assert cards(world)[0].splitlines()[1] == "Live after 0 s"


def test_no_webhook_fires_for_inactive_but_one_that_does_is_shown(world: World) -> None:
    started(world)
    world.report("success")
    world.advance(minutes=90)

    def inactive(payload: Any) -> None:
        status = payload["deployment_status"]
        status |= {"id": status["id"] + 1, "state": "inactive", "created_at": "2026-03-02T10:30:00Z"}

    assert deliver_altered(world, world.github.deliveries[-1], inactive) == [202]
    assert cards(world)[0].startswith(":white_circle:")
    assert cards(world)[0].splitlines()[1] == "No longer live since 2026-03-02 10:30 UTC; it was for 1 h 30 min"
    assert thread(world)[1] == ":white_circle: No longer live: GitHub marks it inactive · `deployer`"
    assert ":white_circle: *staging*: nothing yet" in ask(world, "/deploy where web")
