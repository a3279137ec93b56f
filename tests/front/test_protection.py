"""GitHub's own environment gates: what waits there is approved here, and GitHub is told by whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.front.chat import ask, cards, thread
from tests.world import WEBHOOK_SECRET, World

CONFIG = """
users: {U0CAL: cal-gh}
apps:
  web:
    repository: acme/web
    default_ref: main
    rooms: [C0OPS]
    announce: [{room: C0OPS, environments: [production], on: [success]}]
    environments:
      production:
        after: [open]
        approvals: {required: 2, approvers: [U0ANA, U0BEN, U0CAL, U0DEE], expires: 4h}
      open: {required_contexts: [never], max_wait: 2h}
"""
APP = 77
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def world(make_world: Callable[..., World], keys: tuple[str, str]) -> World:
    """As a GitHub App, whose rule protects both environments."""
    private, public = keys
    world = make_world(config=CONFIG, github_token=None, github_app_id=APP, github_app_private_key=private)
    world.github.app_id, world.github.app_public_key = APP, public
    world.slack.add_person("U0DEE", "dee")
    events = ("deployment_protection_rule", "deployment_review")
    hook = f"{world.servers.bot_url}/github/webhooks"
    world.github.add_hook("acme/web", hook, secret=WEBHOOK_SECRET, events=events, of_app=True)
    world.github.pending.clear()
    for environment in ("production", "open"):
        world.github.protect("acme/web", environment)
    return world


def run(world: World, environment: str = "production", actor: str = "cal-gh") -> int:
    """A workflow's job wants into an environment, and GitHub tells of it."""
    number = world.github.start_run("acme/web", "topic", environment, actor=actor)
    world.deliver()
    return number


def told(world: World, number: int) -> tuple[list[str], list[tuple[str, str]]]:
    """What GitHub has of this bot: reports on how it stands, and answers."""
    waiting = world.github.waiting[number]
    return waiting.reports, [(given.state, given.comment) for given in waiting.given]


def alone(world: World, person: str) -> str:
    return world.slack.text_of(world.slack.ephemerals(person)[-1])


def first_line(world: World, sign: str, place: str, number: int = 1, whom: str = "@cal") -> str:
    sha = world.github.head("acme/web", "topic")[:7]
    return f"{sign} *web* to *{place}* · `topic` at {sha} · #{number} for {whom}"


def test_two_of_two(world: World) -> None:
    number = run(world)
    assert cards(world) == [
        "\n".join(
            [
                first_line(world, ":large_yellow_circle:", "production"),
                "Waiting for 2 approvals · asked 2026-03-02 09:00 UTC",
                ":hourglass: Approvals: 0 of 2 (asked @ana, @ben and @dee; until 2026-03-02 13:00 UTC)",
                ":white_check_mark: Not locked, not frozen",
                ":construction: A workflow of GitHub Actions, which asks before it goes there",
                "[Logs] [Approve] [Reject] [Cancel]",
            ]
        )
    ]
    world.say("U0CAL", "/deploy approve 1")
    assert alone(world, "U0CAL").startswith(":no_entry: You asked for #1 yourself")
    world.say("U0BEN", "/deploy approve 1")
    world.say("U0BEN", "/deploy approve 1")
    assert alone(world, "U0BEN") == ":no_entry: You have approved #1 already; one voice a person."
    assert "Waiting for 1 more approval" in cards(world)[0]
    way = "`approve 1` there agrees · `#1`"
    assert told(world, number) == (
        [f"0 of 2 approved in Slack; {way}", f"1 of 2 approved in Slack by `ben`; {way}"],
        [],
    )
    world.advance(minutes=3)
    world.say("U0ANA", "/deploy approve 1")
    assert told(world, number)[1] == [("approved", "Approved in Slack by `ben`, `ana` (2 of 2) · `#1`")]
    assert cards(world)[0].splitlines()[1] == (
        "Let in, GitHub goes on with it · asked 2026-03-02 09:00 UTC · approved by @ben and @ana"
    )
    world.deliver()
    assert cards(world)[0].splitlines()[1].startswith("Queued")
    world.report("in_progress")
    world.report("success")
    assert len(world.github.deployments("acme/web")) == 1, "GitHub's own, and no other"
    assert cards(world) == [
        "\n".join(
            [
                first_line(world, ":large_green_circle:", "production"),
                "Live after 3 min · approved by @ben and @ana",
                ":construction: A workflow of GitHub Actions, which asks before it goes there",
                "[Logs]",
            ]
        )
    ]
    rule = "(2 approvals wanted among @ana, @ben, @cal or @dee)"
    sha = world.github.head("acme/web", "topic")[:7]
    assert ask(world, "/deploy history #1").splitlines()[1:] == [
        "2026-03-02 09:00 UTC · asked by @cal in #ops",
        "2026-03-02 09:00 UTC · GitHub: `waiting` by `github-actions[bot]`",
        "2026-03-02 09:00 UTC · asked @ana, @ben and @dee to approve",
        f"2026-03-02 09:00 UTC · @ben approved `{sha}` {rule}",
        f"2026-03-02 09:03 UTC · @ana approved `{sha}` {rule}",
        "2026-03-02 09:03 UTC · GitHub: `queued` by `github-actions[bot]`",
        "2026-03-02 09:03 UTC · GitHub: `in_progress` by `deployer`",
        "2026-03-02 09:03 UTC · GitHub: `success` by `deployer`",
    ]
