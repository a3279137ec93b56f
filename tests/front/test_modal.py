"""The form of a bare `/deploy`: opened, filled in, looked at by the gates, sent, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from bot.playground.slack_sending import Answer
from tests.front.chat import cards, newest, writes
from tests.world import World

CONFIG = """
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      production: {aliases: [prod], approvals: {approvers: [U0BEN]}, required_contexts: [ci/build]}
      staging: {required_contexts: []}
  api:
    repository: acme/api
    rooms: [C0OPS]
    environments: {lab: {required_contexts: []}, canary: {required_contexts: []}}
"""


def shown(world: World, person: str = "U0ANA") -> list[str]:
    """The form as somebody sees it, line by line, without its title."""
    return world.slack.text_of(world.slack.views(person)[0]).splitlines()[1:]


def choose(world: World, field: str, value: Any, **values: Any) -> list[str]:
    """Ana chooses something; what the form says then below its line."""
    world.slack.click_view("U0ANA", field, value, values=values)
    world.settle()
    return said(world)


def said(world: World) -> list[str]:
    """What stands below the line: errors, and what the gates say."""
    lines = shown(world)
    return lines[lines.index("---") + 1 :]


def submit(world: World, **values: Any) -> Answer:
    """Ana sends the form."""
    answer = world.slack.submit_view("U0ANA", values)
    assert answer.ok
    return answer


def offered(world: World, typed: str) -> list[str]:
    """What the menu of refs offers for what is typed."""
    answer = world.slack.block_suggestion("U0ANA", "ref", typed)
    assert answer.ok
    return [option["text"]["text"] for option in answer.body["options"]]


def test_a_deploy_by_the_form(make_world: Callable[..., World]) -> None:
    world = make_world(config=CONFIG)
    heads = {ref: world.github.head("acme/web", ref)[:7] for ref in ("main", "topic")}
    world.say("U0ANA", "/deploy")

    assert shown(world) == [
        "App: [web ▾]",
        "Environment: [production ▾]",
        "Branch, tag or commit: [main ▾]",
        "When: [plain_text_input]",
        "Task: [plain_text_input]",
        "Reason: [plain_text_input]",
        "Force: [ ] Skip checks and order",
        "---",
        f":mag: *web* to *production* · `main` at {heads['main']}",
        "It would wait for green checks and 1 approval.",
        ":hourglass: Checks: `ci/build` is missing",
        ":hourglass: Approvals: 0 of 1 (asked @ben; until 2026-03-02 13:00 UTC)",
        ":white_check_mark: Not locked, not frozen, nobody ahead",
    ]

    # Another app has environments and refs of its own, and nothing of the old one stays chosen.
    assert choose(world, "app", "api") == [
        "Choose where it should go and what, and I say here what the gates make of it."
    ]
    assert shown(world)[1:3] == ["Environment: [static_select]", "Branch, tag or commit: [main ▾]"]
    assert choose(world, "environment", "lab")[1] == "Nothing stands in its way: it would go now."

    choose(world, "app", "web", reason="the login loops")
    assert offered(world, "TO") == ["topic", "TO (as typed)"]
    assert choose(world, "ref", "topic")[0] == f":mag: *web* to *production* · `topic` at {heads['topic']}"
    assert choose(world, "force", ["force"])[1:3] == [
        "It would wait for 1 approval.",
        ":fast_forward: Checks skipped",
    ]

    submit(world, task="migrations")
    assert shown(world) == [":hourglass_flowing_sand: Asking GitHub and the gates. You may close this."]
    assert cards(world) == []
    world.settle()
    assert shown(world) == [
        f":large_yellow_circle: #1: *web* to *production* · `topic` at {heads['topic']}",
        "It waits for 1 approval. Its card is in #ops.",
    ]
    card = cards(world)[0].splitlines()
    assert card[0].startswith(":large_yellow_circle: *web* `deploy:migrations` to *production* · `topic` at")
    assert card[2] == "“the login loops”"
    assert world.slack.repeat_last().ok
    world.say("U0BEN", "/deploy approve 1")

    [asked] = writes(world)
    assert (asked["task"], asked["required_contexts"]) == ("deploy:migrations", [])
    assert asked["payload"]["notify"]["room"] == "C0OPS"
    assert asked["payload"]["user"] == "ana"
    assert asked["payload"]["shipbot"]["forced"] is True


def test_what_is_wrong_is_said_where_it_is(make_world: Callable[..., World]) -> None:
    world = make_world(config=CONFIG)
    unknown = ":no_entry: `acme/web` has no branch, tag or commit `topci`. Did you mean `topic`?"
    world.say("U0ANA", "/deploy")

    # What can be told without asking anybody is told at once, and nothing is stored of it.
    answer = submit(world, task="two words")
    assert answer.body == {
        "response_action": "errors",
        "errors": {"task": "A task is one word of letters, digits and . : _ -"},
    }
    assert world.waiting() == []
    choose(world, "app", "api")
    assert not world.slack.submit_view("U0ANA", {"task": ""}).ok, "Slack itself wants an environment"
    choose(world, "app", "web")

    # At its field, while it is filled in and when it is sent; everything else stays as it was.
    assert choose(world, "ref", "topci") == []
    assert shown(world)[2:4] == ["Branch, tag or commit: [topci ▾]", unknown]
    submit(world, environment="staging", task="seeds", reason="because & <so>", force=["force"])
    world.settle()
    assert shown(world) == [
        "App: [web ▾]",
        "Environment: [staging ▾]",
        "Branch, tag or commit: [topci ▾]",
        unknown,
        "When: [plain_text_input]",
        "Task: [seeds]",
        "Reason: [because & <so>]",
        "Force: [x] Skip checks and order",
        "---",
    ]

    # What a gate refuses is said above them, before and after, and closes no way on.
    world.say("U0BEN", "/deploy lock web in staging because demo day")
    refused = choose(world, "ref", "topic")
    assert refused[1] == "It would be refused."
    assert any(line.startswith(":no_entry: *web* / *staging* is locked by @ben") for line in refused)
    submit(world)
    world.settle()
    assert said(world)[0].startswith(":lock: *web* / *staging* is locked by @ben")
    assert cards(world) == []
    world.say("U0BEN", "/deploy unlock web in staging")
    submit(world)
    world.settle()
    assert shown(world)[1] == "It is on its way. Its card is in #ops."
    assert len(cards(world)) == 1

    # Closed before the answer came: it is told in the conversation with the bot.
    world.slack.close_view("U0ANA")
    world.say("U0ANA", "/deploy")
    submit(world, ref="topci")
    world.slack.close_view("U0ANA")
    world.settle()
    assert newest(world, world.slack.direct_room("U0ANA")) == unknown
    assert len(cards(world)) == 1


def test_a_deploy_for_later(make_world: Callable[..., World]) -> None:
    world = make_world(config=CONFIG)
    world.say("U0ANA", "/deploy")
    choose(world, "environment", "staging")

    submit(world, when="teatime")
    world.settle()
    lines = shown(world)
    assert lines[3] == "When: [teatime]"
    assert "“teatime” is no time" in lines[4]

    submit(world, when="at 16:00")
    world.settle()
    assert shown(world)[1] == (
        ":alarm_clock: #1 goes on Monday, 2 March at 16:00 (Europe/Berlin). Its card is in #ops. "
        "`/deploy unschedule 1` takes it back."
    )
    assert writes(world) == []
    world.advance(hours=6)
    assert len(writes(world)) == 1


def test_the_form_waits_for_github(make_world: Callable[..., World]) -> None:
    world = make_world(config=CONFIG)
    head = "/repos/acme/web/commits/"
    world.github.fail("GET", f"{head}main", status=503, times=4)  # each question is tried twice
    world.say("U0ANA", "/deploy")
    assert said(world) == [
        ":hourglass: GitHub is not answering (HTTP 503). What the gates say is not known yet; "
        "you may send it all the same."
    ]

    submit(world, environment="staging")
    world.settle()
    assert shown(world) == [
        ":hourglass: GitHub is not answering (HTTP 503). I keep trying; there is nothing you need to do."
    ]
    world.advance(minutes=1)
    assert shown(world)[1] == "It is on its way. Its card is in #ops."
    assert len(cards(world)) == 1

    # For a quarter of an hour; then it is dropped, also where nobody was there to try.
    world.github.fail("GET", f"{head}topic", status=503, times=1000)
    world.say("U0ANA", "/deploy")
    submit(world, ref="topic", environment="staging")
    world.settle()
    for _ in range(3):
        world.advance(minutes=10)
    assert shown(world)[0].startswith(":warning: I tried for")

    world.say("U0ANA", "/deploy")
    submit(world)
    world.clock.moment += timedelta(minutes=16)
    world.settle()
    assert "I was not there to do it. Nothing was done" in shown(world)[0]
    assert len(cards(world)) == 1


def test_where_no_form_opens_help_is_answered(make_world: Callable[..., World]) -> None:
    only_api = CONFIG[: CONFIG.index("  web:")] + CONFIG[CONFIG.index("  api:") :]
    world = make_world(config=only_api)
    world.say("U0ANA", "/deploy", "C0RAN")  # nothing may be deployed from there
    assert newest(world, "C0RAN").startswith("*What I can do.*")

    world.slack.command("U0ANA", "C0OPS", "")
    world.clock.moment += timedelta(seconds=4)  # a trigger is good for three
    world.settle()
    assert newest(world).startswith("*What I can do.*")
    assert world.slack.views("U0ANA") == []

    world.say("U0ANA", "@shipbot")  # a mention has no trigger at all
    assert newest(world).startswith("*What I can do.*")


def test_refs_are_found_while_typing(make_world: Callable[..., World]) -> None:
    world = make_world(config=CONFIG.replace("default_ref: main", "default_ref: topic"))
    fix = world.github.push("acme/web", "fix/login-loop", "Fix")
    world.github.push("acme/web", f"long/{'x' * 80}", "No menu takes that")
    for number in range(105):
        world.github.tag("acme/web", f"v1.{number}", "main")
    world.github.pending.clear()
    world.say("U0ANA", "/deploy")

    assert shown(world)[2] == "Branch, tag or commit: [topic ▾]"
    everything = offered(world, "")
    assert (everything[:3], len(everything)) == (["topic", "fix/login-loop", "main"], 100)
    assert offered(world, "LOGIN") == ["fix/login-loop", "LOGIN (as typed)"]
    assert offered(world, "fix/login-loop") == ["fix/login-loop"]
    assert offered(world, "op") == ["topic", "fix/login-loop", "op (as typed)"]
    versions = offered(world, "v1")
    assert (len(versions), versions[-1]) == (100, "v1 (as typed)")
    assert offered(world, "no..way") == offered(world, "x" * 80) == []
    assert offered(world, fix) == [f"{fix} (as typed)"]
    assert choose(world, "ref", fix)[0] == f":mag: *web* to *production* · {fix[:7]}"

    # They are asked for once a minute, not with each letter or choice.
    def asked() -> int:
        return sum("/branches" in request.path for request in world.github.requests)

    before = asked()
    choose(world, "environment", "staging")
    assert asked() == before
    world.github.push("acme/web", "brand-new", "New")
    world.github.pending.clear()
    world.advance(minutes=2)
    assert offered(world, "brand") == ["brand (as typed)"]
    choose(world, "environment", "production")
    assert asked() == before + 1
    assert offered(world, "brand") == ["brand-new", "brand (as typed)"]

    submit(world, environment="staging")
    world.settle()
    assert writes(world)[0]["ref"] == fix


def test_the_newest_choice_is_the_one_that_is_shown(world: World) -> None:
    world.say("U0ANA", "/deploy")
    service = world.bot.service
    assert service.take_turn("V1", 5)
    assert service.take_turn("V1", 6)
    assert not service.take_turn("V1", 5), "it was overtaken before it began"
    assert not service.has_turn("V1", 5), "it was overtaken while GitHub was asked"
    assert service.has_turn("V1", 6)
    assert service.has_turn("V2", 1)

    # A choice that is still being looked at when the form is sent does not bring the form back.
    world.slack.click_view("U0ANA", "environment", "staging")
    submit(world)
    world.settle()
    assert shown(world)[1] == "It is on its way. Its card is in #ops."
