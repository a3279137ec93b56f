"""Checks and order: what a deploy waits for at GitHub, how it goes by itself, and what force skips."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from bot.store.schema import metadata
from tests.front.chat import ask, cards, posted, thread, writes
from tests.world import World

CONFIG = """
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      staging: {required_contexts: [ci/build, lint]}
      every: {}
      strict: {required_contexts: [ci/build], when_red: refuse}
      short: {required_contexts: [ci/build], max_wait: 15m}
      production: {required_contexts: [], after: [staging, qa]}
      qa: {required_contexts: []}
      closed: {deployers: [U0BEN]}
      gated:
        required_contexts: [ci/build]
        after: [staging]
        when_locked: wait
        when_frozen: wait
        approvals: {approvers: [U0BEN]}
"""


# What is the same on every database.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world(config=CONFIG)


def sha(world: World, ref: str = "topic") -> str:
    return world.github.head("acme/web", ref)[:7]


def green(world: World, *contexts: str, ref: str = "topic") -> None:
    for context in contexts:
        world.github.set_status("acme/web", ref, context, "success")
    world.deliver()


def press(world: World, person: str, action: str) -> None:
    """Somebody presses a button of the newest card."""
    card = posted(world.slack)[-1]
    number = card.metadata["event_payload"]["number"]
    assert world.slack.click(person, "C0OPS", card.ts, action, str(number)).ok
    world.settle()


def test_statuses_and_check_runs_are_waited_for_together(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    head = f":large_yellow_circle: *web* to *staging* · `topic` at {sha(world)} · #1 for @ana"
    open_ = ":white_check_mark: Not locked, not frozen, nobody ahead"
    waiting = "Waiting for green checks · asked 2026-03-02 09:00 UTC"

    def shown(checks: str) -> str:
        return f"{head}\n{waiting}\n:hourglass: Checks: {checks}\n{open_}\n[Force] [Cancel]"

    assert cards(world) == [shown("`ci/build` is missing and `lint` is missing")]
    world.github.set_status("acme/web", "topic", "ci/build", "failure", target_url="https://ci.example/7")
    world.github.set_check_run("acme/web", "topic", "lint", status="in_progress")
    world.github.set_status("acme/web", "topic", "docs", "failure")  # nobody asks for it here
    world.deliver()
    assert cards(world) == [shown("ci/build is red and lint is still running")]
    [card] = posted(world.slack)
    assert "<https://ci.example/7|ci/build> is red" in str(card.blocks)
    world.github.set_check_run("acme/web", "topic", "lint", conclusion="success")
    world.deliver()
    assert cards(world) == [shown("ci/build is red (green: lint)")]
    assert writes(world) == []

    green(world, "ci/build")
    [asked] = writes(world)
    assert asked["required_contexts"] == ["ci/build", "lint"]
    assert cards(world)[0].splitlines()[1].startswith("Handed to GitHub")


@on_sqlite
@pytest.mark.parametrize("event", ["status", "check_run", "check_suite", "workflow_run", "none at all"])
def test_it_goes_by_itself_whichever_event_tells_of_it(world: World, event: str) -> None:
    github = world.github
    if event == "status":
        github.set_status("acme/web", "topic", "lint", "pending")
    else:
        github.set_check_run("acme/web", "topic", "lint", status="in_progress")
    world.say("U0ANA", "/deploy web/topic to every")
    world.advance(hours=1)
    assert writes(world) == []

    if event == "status":
        github.set_status("acme/web", "topic", "lint", "success")
    else:
        github.set_check_run("acme/web", "topic", "lint", conclusion="success")
    github.run_workflow("acme/web", "topic")
    github.pending[:] = [delivery for delivery in github.pending if delivery.event == event][-1:]
    if event == "none at all":  # every webhook was lost
        world.advance(minutes=15)
    else:
        assert world.deliver() == [202]
    assert [body["ref"] for body in writes(world)] == [github.head("acme/web", "topic")]


@on_sqlite
def test_refused_while_it_is_not_green(world: World) -> None:
    way = "Ask again when they are green, or force it with `!` behind the app."
    strict = "/deploy web/topic to strict"
    assert ask(world, strict) == f":no_entry: Checks: `ci/build` is missing. {way}"
    world.github.set_check_run(
        "acme/web", "topic", "ci/build", conclusion="skipped", details_url="https://ci.example/8"
    )
    assert ask(world, strict) == f":no_entry: Checks: ci/build is `skipped`. {way}"
    del world.github.token_permissions["statuses"]
    assert ask(world, strict) == (
        ":no_entry: Checks: not known, since my token or app lacks the permission *Commit statuses: read*. "
        "Ask again in a while, or force it with `!` behind the app."
    )
    assert cards(world) == []
    world.github.token_permissions["statuses"] = "write"
    world.github.set_check_run("acme/web", "topic", "ci/build")
    error = {"contexts": [{"context": "ci/build", "state": "pending"}], "resource": "Deployment"}
    error |= {"field": "required_contexts", "code": "invalid"}
    body = {"message": "Conflict: Commit status checks failed for topic.", "errors": [error]}
    world.github.fail("POST", ".*/deployments", status=409, body=body)
    world.say("U0ANA", strict)  # green to us, and GitHub knows better
    assert cards(world)[0].splitlines()[1] == (
        f"GitHub wants green checks first: `ci/build` is still running. Nothing was deployed. {way}"
    )


@on_sqlite
def test_what_can_not_be_read_is_not_known_and_never_green(world: World) -> None:
    green(world, "ci/build", "lint")
    del world.github.token_permissions["checks"]
    world.say("U0ANA", "/deploy web/topic to staging")
    assert cards(world)[0].splitlines()[1:3] == [
        "Waiting for GitHub to tell of the checks · asked 2026-03-02 09:00 UTC",
        ":hourglass: Checks: not known, since my token or app lacks the permission *Checks: read*",
    ]
    world.github.token_permissions["checks"] = "read"
    world.github.fail("GET", ".*/check-runs", status=502, times=2)
    world.advance(minutes=1)
    assert ":hourglass: Checks: not known, since GitHub is not answering" in cards(world)[0]
    assert writes(world) == []
    world.advance(minutes=1)
    assert len(writes(world)) == 1


def test_where_github_sees_red_it_waits_on(world: World) -> None:
    error = {"contexts": [{"context": "lint", "state": "pending"}, {"context": "ci/build", "state": "success"}]}
    error |= {"resource": "Deployment", "field": "required_contexts", "code": "invalid"}
    body = {"message": "Conflict: Commit status checks failed for topic.", "errors": [error]}
    green(world, "ci/build", "lint")
    world.github.fail("POST", ".*/deployments", status=409, body=body)
    world.say("U0ANA", "/deploy web/topic to staging")
    assert cards(world)[0].splitlines()[1:3] == [
        "Waiting for green checks · asked 2026-03-02 09:00 UTC",
        ":hourglass: Checks: `lint` is still running (green: `ci/build`)",
    ]
    world.advance(minutes=5)
    assert cards(world)[0].splitlines()[1].startswith("Handed to GitHub")
    assert len(world.github.deployments("acme/web")) == 1

    world.github.fail("POST", ".*/deployments", status=409, body=body, times=100)  # and never sees it green
    world.say("U0ANA", "/deploy web/topic to short")
    for _ in range(3):
        world.advance(minutes=5)
    assert cards(world)[1].splitlines()[:2] == [
        f":wastebasket: *web* to *short* · `topic` at {sha(world)} · #2 for @ana",
        "GitHub wants green checks first: `lint` is still running (green: `ci/build`). Nothing was deployed. "
        "Ask again when they are green, or force it with `!` behind the app.",
    ]
    assert "decide" not in world.waiting()


def test_force_skips_checks_and_order_and_nothing_else(world: World) -> None:
    world.say("U0CAL", "/deploy lock web in gated because demo")
    world.say("U0CAL", "/deploy freeze web in gated")
    assert ask(world, "/deploy web/topic to gated").startswith(":no_entry: *staging* (nothing is live there yet) must")
    world.say("U0ANA", "/deploy web/topic! to gated")
    assert cards(world)[0].splitlines()[1:] == [
        "Waiting for @cal to unlock it, the freeze to end and 1 approval · asked 2026-03-02 09:00 UTC",
        ":hourglass: Locked by @cal since 2026-03-02 09:00 UTC: “demo”",
        ":hourglass: Frozen: by @cal, until somebody unfreezes it",
        ":fast_forward: Checks skipped",
        ":fast_forward: Order skipped",
        ":hourglass: Approvals: 0 of 1 (asked @ben; until 2026-03-02 13:00 UTC)",
        ":white_check_mark: Nobody ahead",
        ":fast_forward: Forced: checks and order were skipped",
        "[Approve] [Reject] [Take over the lock] [Cancel]",
    ]
    world.say("U0CAL", "/deploy unlock web in gated")
    world.say("U0CAL", "/deploy unfreeze web in gated")
    assert writes(world) == []
    world.say("U0BEN", "/deploy approve 1")
    [asked] = writes(world)
    assert (asked["required_contexts"], asked["payload"]["shipbot"]["forced"]) == ([], True)
    assert ":fast_forward: Forced: checks and order were skipped" in cards(world)[0]

    assert ask(world, "/deploy web! to closed") == (":no_entry: You may not deploy *web* / *closed*. Only @ben may.")


def test_the_force_button(world: World) -> None:
    world.say("U0BEN", "/deploy web/topic to staging")
    press(world, "U0CAL", "deploy_force")
    assert cards(world)[0].splitlines()[1].startswith("Handed to GitHub")
    assert ":fast_forward: Forced: checks and order were skipped" in cards(world)[0]
    assert thread(world)[0] == ":fast_forward: @cal forced it: checks and order are skipped"
    assert "@cal forced it" in ask(world, "/deploy history #1")
    [asked] = writes(world)
    assert (asked["required_contexts"], asked["payload"]["shipbot"]["forced"]) == ([], True)
    press(world, "U0CAL", "deploy_force")
    alone = world.slack.text_of(world.slack.ephemerals("U0CAL")[-1])
    assert alone == ":no_entry: #1 is under way already, so that comes too late."

    world.github.set_status("acme/web", "topic", "ci", "failure")
    world.say("U0BEN", "/deploy web/topic to closed")
    press(world, "U0CAL", "deploy_force")
    alone = world.slack.text_of(world.slack.ephemerals("U0CAL")[-1])
    assert alone == ":no_entry: You may not force that in *web* / *closed*. Only @ben may."
    assert len(writes(world)) == 1


def test_first_there_and_then_here(world: World) -> None:
    world.github.set_check_run("acme/web", "topic", "lint")
    green(world, "ci/build")
    nowhere = "*staging* (nothing is live there yet) and *qa* (nothing is live there yet)"
    assert ask(world, "/deploy web/topic to production") == (
        f":no_entry: {nowhere} must run this commit first. First `/deploy web/topic to staging`, "
        "or force it with `!` behind the app."
    )
    world.say("U0ANA", "/deploy web/main to qa")
    world.report("success")
    world.say("U0ANA", "/deploy web/topic to staging/fe1")  # of some hosts nobody can say that it is live there
    world.report("success")
    world.say("U0ANA", "/deploy web/topic to staging")
    assert ask(world, "/deploy web/topic to production").startswith(
        f":no_entry: *staging* (it is on its way there) and *qa* (it runs `{sha(world, 'main')}`) must run this "
    )
    assert len(cards(world)) == 3

    world.say("U0ANA", "/deploy web/topic to qa")
    world.say("U0ANA", "/deploy web/topic to production")

    def shown() -> list[str]:
        return cards(world)[4].splitlines()[1:3]

    coming = "(it is on its way there)"
    asked = "to run it first · asked 2026-03-02 09:00 UTC"
    assert shown() == [
        f"Waiting for *staging* and *qa* {asked}",
        f":hourglass: *staging* {coming} and *qa* {coming} must run this commit first",
    ]
    world.report("failure")  # of qa
    assert shown()[1] == (
        f":hourglass: *staging* {coming} and *qa* (it runs `{sha(world, 'main')}`) must run this commit first"
    )
    world.report("success", number=1)
    assert shown() == [
        f"Waiting for *qa* {asked}",
        f":hourglass: *qa* (it runs `{sha(world, 'main')}`) must run this commit first",
    ]
    world.advance(minutes=1)  # so many edits at one moment are more than Slack is asked for
    world.say("U0ANA", "/deploy web/topic to qa")
    world.report("success")
    assert shown()[0].startswith("Handed to GitHub")
    assert [made["environment"] for made in world.github.deployments("acme/web")][:2] == ["production", "qa"]


def counts(world: World) -> dict[str, int]:
    """How many rows each table has."""
    with world.store.read() as connection:
        return {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def test_check_says_what_would_happen_and_writes_nothing(world: World) -> None:
    world.say("U0BEN", "/deploy web/topic to qa")
    world.report("success")
    world.github.set_status("acme/web", "topic", "ci/build", "failure", target_url="https://ci.example/7")
    world.say("U0BEN", "/deploy web/topic to staging")
    world.deliver()
    before, asked = counts(world), len(writes(world))
    open_ = ":white_check_mark: Not locked, not frozen, nobody ahead"
    red = "Checks: ci/build is red"
    order = "*staging* (it is on its way there) must run this commit first"
    answers = {
        "to strict": [
            "It would be refused.",
            f":no_entry: {red}. Ask again when they are green, or force it with `!` behind the app.",
            open_,
        ],
        "to closed": [
            "It would be refused.",
            ":no_entry: You may not deploy *web* / *closed*. Only @ben may.",
            f":hourglass: {red}",
            open_,
        ],
        "to gated": [
            "It would wait for green checks, *staging* to run it first and 1 approval.",
            f":hourglass: {red}",
            f":hourglass: {order}",
            ":hourglass: Approvals: 0 of 1 (asked @ben; until 2026-03-02 13:00 UTC)",
            open_,
        ],
        "to staging": [
            "#2 is just that, and not over yet.",
            ":hourglass: Checks: ci/build is red and `lint` is missing",
            ":white_check_mark: Not locked, not frozen, nobody ahead",
        ],
        "to qa": ["Nothing stands in its way: it would go now.", open_],
    }
    for where, lines in answers.items():
        head = f":mag: *web* {where.replace('to ', 'to *')}* · `topic` at {sha(world)}"
        assert ask(world, f"/deploy check web/topic {where}").splitlines() == [head, *lines]
    assert ask(world, "/deploy check web to every").splitlines()[1:] == [
        "Nothing stands in its way: it would go now.",
        ":white_check_mark: No checks to wait for",
        open_,
    ]
    assert ask(world, "/deploy check web/nope to every").startswith(
        ":no_entry: `acme/web` has no branch, tag or commit"
    )
    heard = 7  # the commands themselves
    assert counts(world) == before | {"jobs": before["jobs"] + heard}
    assert len(writes(world)) == asked
