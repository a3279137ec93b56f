"""Reviews that GitHub asks of its own reviewers: one message in each room that is told of the environment."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.front.chat import ask
from tests.front.test_restarts import each_job_taken_to_the_grave, one_job_at_a_time
from tests.world import WEBHOOK_SECRET, World

CONFIG = """
users: {U0CAL: cal-gh, U0BEN: ben-gh}
apps:
  web:
    repository: acme/web
    default_ref: main
    announce: [{room: C0REL, environments: [production], on: [success]}]
    environments: {production: {}, staging: {}}
"""
REVIEWERS = ("ben-gh", "acme/release")


@pytest.fixture
def world(make_world: Callable[..., World], keys: tuple[str, str]) -> World:
    world = make_world(config=CONFIG, github_token=None, github_app_id=77, github_app_private_key=keys[0])
    world.github.app_id, world.github.app_public_key = 77, keys[1]
    hook = f"{world.servers.bot_url}/github/webhooks"
    world.github.add_hook("acme/web", hook, secret=WEBHOOK_SECRET, events=("deployment_review",), of_app=True)
    world.github.pending.clear()
    for environment in ("production", "staging"):
        world.github.protect("acme/web", environment, rule=False, reviewers=REVIEWERS)
    return world


def messages(world: World, room: str = "C0REL") -> list[str]:
    """The bot's messages about reviews."""
    mine = [message for message in world.slack.messages(room) if message.user == world.slack.bot_user_id]
    return [text for message in mine if "GitHub asks" in (text := world.slack.text_of(message))]


def asked(world: World, place: str = "production") -> str:
    sha = world.github.head("acme/web", "topic")[:7]
    return f"*web* to *{place}* · `topic` at {sha}: GitHub asks `ben-gh` or `release` to review it, for @cal"


def test_asked_and_answered(world: World) -> None:
    run = world.github.start_run("acme/web", "topic", "production", actor="cal-gh")
    world.deliver()
    assert messages(world) == [f":eyes: {asked(world)}\nFix the login loop\n[Review at GitHub]"]
    world.github.review_run("acme/web", run, "ben-gh", "approved", "looks <!here> good")
    world.deliver()
    answer = f":white_check_mark: @ben approved it at GitHub: “looks <!here> good”\n{asked(world)}"
    assert messages(world) == [f"{answer}\nFix the login loop\n[See the run]"]

    run = world.github.start_run("acme/web", "topic", "production", actor="cal-gh")
    world.github.review_run("acme/web", run, "stranger", "rejected")
    world.deliver()
    assert messages(world)[1].splitlines()[0] == ":no_entry: `stranger` rejected it at GitHub"
    assert messages(world, "C0OPS") == messages(world, "C0RAN") == []


def test_rooms_that_subscribed_hear_of_it_too(world: World) -> None:
    ask(world, "/deploy subscribe web in staging on failure", room="C0RAN")
    world.github.start_run("acme/web", "topic", "staging", actor="cal-gh")
    world.deliver()
    assert [line.splitlines()[0] for line in messages(world, "C0RAN")] == [f":eyes: {asked(world, 'staging')}"]
    assert messages(world) == []


def test_events_come_twice_and_in_any_order(world: World) -> None:
    run = world.github.start_run("acme/web", "topic", "production", actor="cal-gh")
    world.github.review_run("acme/web", run, "ben-gh", "approved")
    events = [one for one in world.github.pending if one.event == "deployment_review"]
    for delivery in [*reversed(events), *events]:
        world.github.deliver(delivery)
        world.settle()
    assert [line.splitlines()[0] for line in messages(world)] == [":white_check_mark: @ben approved it at GitHub"]


@pytest.mark.parametrize("die", [one_job_at_a_time, each_job_taken_to_the_grave])
def test_the_bot_dies_between_any_two_steps(world: World, die: Callable[[World], int]) -> None:
    run = world.github.start_run("acme/web", "topic", "production", actor="cal-gh")
    world.github.deliver()
    assert die(world) > 2
    world.github.review_run("acme/web", run, "ben-gh", "approved")
    world.github.deliver()
    assert die(world) > 1
    assert [line.splitlines()[0] for line in messages(world)] == [":white_check_mark: @ben approved it at GitHub"]


def test_slack_in_trouble(world: World) -> None:
    """A post whose answer is lost is found again; a room that is closed is left alone."""
    world.slack.fail("chat.postMessage", drop="after")
    world.github.start_run("acme/web", "topic", "production", actor="cal-gh")
    world.deliver()
    world.advance(minutes=5)
    assert len(messages(world)) == 1
    world.slack.fail("chat.postMessage", error="not_in_channel")
    world.github.start_run("acme/web", "topic", "production", actor="cal-gh")
    world.deliver()
    assert len(messages(world)) == 1
