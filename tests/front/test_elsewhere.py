"""Deployments that this bot did not make: announced where the config says so, and known to every listing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.front.chat import ask, cards, deliver_altered, thread
from tests.world import START, World

REL = "C0REL"


def made_elsewhere(world: World, environment: str = "production", **options: Any) -> int:
    """Another tool creates a deployment of acme/web's topic; GitHub tells the bot."""
    number = world.github.create_deployment("acme/web", "topic", environment=environment, **options)
    world.deliver()
    return number


def test_a_deployment_of_somebody_else_is_announced_with_its_thread(world: World) -> None:
    number = made_elsewhere(world, creator="jenkins", description="nightly")
    world.github.report("acme/web", number, "in_progress", creator="jenkins")
    world.deliver()
    assert world.room(REL) == ""  # the room wants to hear of the end only

    world.advance(minutes=3)
    world.github.report("acme/web", number, "success", creator="jenkins", environment_url="https://web.example")
    world.deliver()
    sha = world.github.head("acme/web", "topic")[:7]
    assert world.room(REL) == "\n".join(
        [
            f"shipbot: :large_green_circle: *web* to *production* · `topic` at {sha} · #1 by `jenkins`, not through me",
            "  Live after 3 min",
            "  “nightly”",
            "  [Open]",
            "  ↳ shipbot: :large_blue_circle: In progress after 0 s · `jenkins`",
            "  ↳ shipbot: :large_green_circle: Live after 3 min · `jenkins` · Open",
        ]
    )
    assert world.room("C0OPS") == world.room("C0RAN") == ""


def test_announcements_are_filtered_by_environment_and_state(world: World) -> None:
    for environment, state in (("staging", "success"), ("production", "error"), ("production", "queued")):
        number = made_elsewhere(world, environment)
        world.github.report("acme/web", number, state)
        world.deliver()
    assert world.room(REL) == ""

    number = made_elsewhere(world)
    world.github.report("acme/web", number, "failure")
    world.deliver()
    assert cards(world, REL)[0].splitlines()[1] == "Failed after 0 s"


ANNOUNCE_ALL = """
apps:
  web:
    repository: acme/web
    announce: [{room: C0REL}, {room: C0RAN, environments: [staging], on: [odd]}]
    environments: {production: {}, staging: {}}
"""


def test_no_filter_announces_everything_from_the_first_moment(make_world: Callable[..., World]) -> None:
    world = make_world(config=ANNOUNCE_ALL)
    number = made_elsewhere(world, "staging", creator="jenkins")
    assert cards(world, REL)[0].splitlines()[1].startswith("Handed to GitHub")
    assert world.room("C0RAN") == ""

    world.github.report("acme/web", number, "odd")
    world.deliver()
    assert "GitHub reports `odd`" in cards(world, REL)[0]
    assert "GitHub reports `odd`" in cards(world, "C0RAN")[0]


def test_a_deploy_of_ours_is_announced_too(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic")
    world.deliver()
    world.report("success")

    assert cards(world) == cards(world, REL)
    assert thread(world) == thread(world, REL)


def test_an_announce_room_that_is_closed_bothers_nobody(world: World) -> None:
    world.slack.archive(REL)
    world.say("U0ANA", "/deploy web/topic")
    world.deliver()
    world.report("success")

    assert cards(world)[0].splitlines()[1] == "Live after 0 s"
    assert world.waiting() == ["watch"]  # a timer, and nothing to be sent
    assert world.slack.messages(world.slack.direct_room("U0ANA")) == []


def test_text_and_odd_payloads(world: World) -> None:
    odd: list[Any] = [
        "",
        "just text",
        '{"name": "web", "room_id": "C0OPS"}',
        "[1, 2]",
        "null",
        {"shipbot": "no"},
        {"shipbot": {"id": 7}},
        {"name": ["web"], "notify": {"room": "C0OPS"}},
    ]
    for payload in odd:
        number = made_elsewhere(world, payload=payload)
        world.github.report("acme/web", number, "success")
        world.deliver()

    assert len(cards(world, REL)) == len(odd)
    assert world.room("C0OPS") == ""  # a room in a payload of somebody else's means nothing


def test_a_copied_id_hijacks_no_card(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    ours = world.github.deployments("acme/web")[0]
    before = cards(world)
    for environment in ("staging", "production"):
        number = made_elsewhere(world, environment, creator="mallory", payload=ours["payload"])
        world.github.report("acme/web", number, "success", environment_url="https://evil.example", creator="mallory")
        world.deliver()

    assert cards(world) == before
    assert thread(world) == []
    assert "by `mallory`, not through me" in cards(world, REL)[0]
    world.github.report("acme/web", ours["id"], "success")
    world.deliver()
    assert cards(world)[0].splitlines()[1] == "Live after 0 s"


def test_a_copied_id_is_of_no_use_before_the_answer_came(world: World) -> None:
    world.github.fail("POST", "/repos/acme/web/deployments", drop="before")
    world.say("U0ANA", "/deploy web/topic to staging")
    asked = next(one.json for one in world.github.requests if one.method == "POST")
    for changed in ({"environment": "production"}, {"task": "deploy:other"}):
        made_elsewhere(world, **{"environment": "staging", "payload": asked["payload"], **changed})
    world.github.create_deployment("acme/web", "main", environment="staging", payload=asked["payload"])
    world.deliver()

    assert cards(world)[0].startswith(":hourglass_flowing_sand:")


def test_a_payload_kept_as_text_is_still_ours(world: World) -> None:
    """Some servers hand the payload on as text."""
    world.github.fail("POST", "/repos/acme/web/deployments", drop="after")
    world.say("U0ANA", "/deploy web/topic to staging")
    [told] = list(world.github.pending)

    def as_text(payload: Any) -> None:
        payload["deployment"]["payload"] = json.dumps(payload["deployment"]["payload"])

    assert deliver_altered(world, told, as_text) == [202]
    assert cards(world)[0].splitlines()[1].startswith("Handed to GitHub")


def test_repositories_that_are_not_configured(world: World) -> None:
    world.github.add_repository("acme/other")
    hook = f"{world.servers.bot_url}/github/webhooks"
    world.github.add_hook("acme/other", hook, secret="webhook-secret-of-the-tests")
    number = world.github.create_deployment("acme/other", "main")
    world.github.report("acme/other", number, "success")
    world.deliver()

    assert all(world.room(room) == "" for room in ("C0OPS", REL, "C0RAN"))


def test_an_environment_that_is_not_configured_is_shown_under_its_name(make_world: Callable[..., World]) -> None:
    world = make_world(config=ANNOUNCE_ALL)
    made_elsewhere(world, "review app / 7")

    assert cards(world, REL)[0].startswith(":large_yellow_circle: *web* to `review app / 7` ·")
    assert "to `review app / 7`" in ask(world, "/deploy history web")


# What was deployed before the bot came


def test_the_past_is_read_at_the_start(make_world: Callable[..., World]) -> None:
    world = make_world(config="apps: {other: {repository: acme/api, environments: {production: {}}}}")
    for minute, (ref, state) in enumerate((("main", "success"), ("topic", "success"), ("main", "failure"))):
        world.clock.moment = START.replace(minute=minute)
        number = world.github.create_deployment("acme/web", ref, environment="staging", creator="jenkins")
        world.github.report("acme/web", number, "in_progress")
        world.github.report("acme/web", number, state, environment_url="https://staging.example")
    world.github.pending.clear()
    world.github.requests.clear()
    world.config = ANNOUNCE_ALL
    world.restart()

    paths = [asked.path.removeprefix("/repos/acme/web/deployments") for asked in world.github.requests]
    assert len(paths) == 1 + 3  # one list, and the statuses of each
    assert paths[0] == ""
    topic = world.github.head("acme/web", "topic")[:7]
    assert ask(world, "/deploy where web") == "\n".join(
        [
            "*What is live of web*",
            ":white_circle: *production*: nothing yet",
            f":large_green_circle: *staging*: `topic` at {topic} · #2 by `jenkins`, since 2026-03-02 09:01 UTC · Open",
        ]
    )
    assert [line.partition(", ")[2] for line in ask(world, "/deploy history web").splitlines()[1:]] == [
        "failed 0 s ago",
        "went live 1 min ago",
        "went live 2 min ago, no longer live",  # said, and not just a colour
    ]
    assert world.room(REL) == ""  # nobody is told of what is long over

    world.github.requests.clear()
    world.restart()
    assert [one for one in world.github.requests if "/deployments" in one.path] == []  # once is enough


def test_the_past_is_read_when_github_is_back(make_world: Callable[..., World]) -> None:
    world = make_world(config="apps: {other: {repository: acme/api, environments: {production: {}}}}")
    number = world.github.create_deployment("acme/web", "main", environment="staging")
    world.github.report("acme/web", number, "success")
    world.github.pending.clear()
    world.github.fail("GET", "/repos/acme/web/deployments.*", status=502, times=4)
    world.config = ANNOUNCE_ALL
    world.restart()
    world.advance(minutes=1)
    world.advance(minutes=1)

    assert "`main`" in ask(world, "/deploy where web")


def test_at_most_fifty_of_the_past(make_world: Callable[..., World]) -> None:
    world = make_world(config="apps: {other: {repository: acme/api, environments: {production: {}}}}")
    for _ in range(60):
        world.github.create_deployment("acme/web", "main", environment="staging")
    world.github.pending.clear()
    world.github.requests.clear()
    world.config = ANNOUNCE_ALL
    world.restart()

    assert len(world.github.requests) == 51
