"""Agreeing to a deploy: by button and by command, once a person, for that commit alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.front.chat import ask, cards, posted, thread, writes
from tests.world import World

CONFIG = """
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      production:
        required_contexts: []
        approvals: {required: 2, approvers: [U0ANA, U0BEN, U0CAL, U0DEE], expires: 4h}
      gated: {required_contexts: [ci], approvals: {approvers: [S0REL], expires: 1h}}
      merged: {required_contexts: [], auto_merge: true, approvals: {approvers: [U0BEN]}}
      self: {required_contexts: [], approvals: {self_approval: true}}
      closed: {required_contexts: [], deployers: [U0BEN]}
"""


# What is the same on every database.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    world = make_world(config=CONFIG)
    world.slack.add_person("U0DEE", "dee")
    world.slack.add_usergroup("S0REL", "release", ["U0BEN", "U0CAL"])
    return world


WAY = "by the button above or `/deploy approve 1` outside of this thread."


def click(world: World, person: str, action: str, number: int = 1) -> None:
    """Somebody presses a button of a deploy's card; the bot has not acted on it yet."""
    [card] = [each for each in posted(world.slack) if f" · #{number} for " in world.slack.text_of(each)]
    assert world.slack.click(person, "C0OPS", card.ts, action, str(number)).ok


def press(world: World, person: str, action: str, number: int = 1) -> None:
    click(world, person, action, number)
    world.settle()


def alone(world: World, person: str) -> str:
    """The newest of what the bot told somebody alone."""
    return world.slack.text_of(world.slack.ephemerals(person)[-1])


def first_line(world: World, sign: str, place: str, number: int, ref: str = "topic") -> str:
    sha = world.github.head("acme/web", ref)[:7]
    return f"{sign} *web* to *{place}* · `{ref}` at {sha} · #{number} for @ana"


def test_two_of_three(world: World) -> None:
    assert ask(world, "/deploy web/topic to production because it is time") == (
        f":raised_hand: @ben @cal @dee: #1 waits for you to approve it, {WAY}"
    )
    assert cards(world) == [
        "\n".join(
            [
                first_line(world, ":large_yellow_circle:", "production", 1),
                "Waiting for 2 approvals · asked 2026-03-02 09:00 UTC",
                "“it is time”",
                ":hourglass: Approvals: 0 of 2 (asked @ben, @cal and @dee; until 2026-03-02 13:00 UTC)",
                ":white_check_mark: Not locked, not frozen, nobody ahead",
                "[Approve] [Reject] [Cancel]",
            ]
        )
    ]
    press(world, "U0ANA", "deploy_approve")
    assert alone(world, "U0ANA") == (
        ":no_entry: You asked for #1 yourself (or another account of yours did), so somebody else has to agree. "
        "`/deploy cancel 1` takes it back."
    )
    press(world, "U0BEN", "deploy_approve")
    world.say("U0BEN", "/deploy approve 1")
    assert alone(world, "U0BEN") == ":no_entry: You have approved #1 already; one voice a person."
    press(world, "U0BEN", "deploy_reject")
    assert alone(world, "U0BEN") == ":no_entry: You have approved #1 already; one voice a person."
    assert "Waiting for 1 more approval" in cards(world)[0]
    assert "Approvals: 1 of 2 (@ben; asked @cal and @dee; until" in cards(world)[0]
    assert writes(world) == []

    world.advance(minutes=7)
    world.say("U0CAL", "/deploy approve #1")
    assert alone(world, "U0CAL") == "You approved #1."
    world.report("success")
    assert [body["payload"]["shipbot"]["approved_by"] for body in writes(world)] == [["U0BEN", "U0CAL"]]
    assert cards(world)[0].splitlines()[1] == "Live after 7 min · approved by @ben and @cal"
    assert thread(world)[1:] == [
        ":white_check_mark: @ben approved it",
        ":white_check_mark: @cal approved it",
        ":large_green_circle: Live after 7 min · `deployer` · @ana",
    ]
    assert ask(world, "/deploy history web").splitlines()[1].endswith("· approved by `ben` and `cal`")
    rule = "(2 approvals wanted among @ana, @ben, @cal or @dee)"
    sha = world.github.head("acme/web", "topic")[:7]
    assert ask(world, "/deploy history #1").splitlines()[1:] == [
        "2026-03-02 09:00 UTC · asked by @ana in #ops",
        "2026-03-02 09:00 UTC · asked @ben, @cal and @dee to approve",
        f"2026-03-02 09:00 UTC · @ben approved `{sha}` {rule}",
        f"2026-03-02 09:07 UTC · @cal approved `{sha}` {rule}",
        "2026-03-02 09:07 UTC · GitHub: `success` by `deployer`",
    ]


def test_the_last_voice_sends_it_once_however_many_come_at_once(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to production")
    press(world, "U0BEN", "deploy_approve")
    click(world, "U0CAL", "deploy_approve")
    click(world, "U0DEE", "deploy_approve")
    world.settle()

    assert [body["payload"]["shipbot"]["approved_by"] for body in writes(world)] == [["U0BEN", "U0CAL", "U0DEE"]]
    press(world, "U0DEE", "deploy_approve")
    assert alone(world, "U0DEE") == ":no_entry: #1 is under way already, so that comes too late."


def test_who_has_not_answered_is_called_once_more_and_then_it_ends(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to production")
    press(world, "U0BEN", "deploy_approve")
    world.advance(minutes=179)
    assert len([line for line in thread(world) if ":raised_hand:" in line]) == 1
    world.advance(minutes=1)
    world.advance(minutes=30)
    assert [line for line in thread(world) if ":raised_hand:" in line][1:] == [
        f":raised_hand: @cal @dee: #1 still waits for you to approve it, {WAY}"
    ]
    world.advance(minutes=30)
    why = "Only 1 of 2 approvals came in time. Nothing was deployed; ask again to ask them anew."
    assert cards(world) == [f"{first_line(world, ':wastebasket:', 'production', 1)}\n{why}\n[Retry]"]
    assert thread(world)[-1] == f":wastebasket: @ana: *web* to *production* was given up. {why}"
    press(world, "U0CAL", "deploy_approve")
    assert alone(world, "U0CAL") == ":no_entry: #1 was given up already, so that comes too late."
    assert ask(world, "/deploy history #1").splitlines()[-2:] == [
        "2026-03-02 12:00 UTC · asked them once more",
        "2026-03-02 13:00 UTC · `expired`",
    ]
    assert writes(world) == []


def test_one_rejection_ends_it(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to production")
    press(world, "U0BEN", "deploy_approve")
    world.say("U0CAL", "/deploy reject 1 because the <!here> budget & more")
    assert alone(world, "U0CAL") == "You rejected #1."
    why = "@cal rejected it: “the <!here> budget & more”."
    assert cards(world)[0].splitlines() == [first_line(world, ":no_entry:", "production", 1), why, "[Retry]"]
    assert thread(world)[-1] == f":no_entry: @ana: *web* to *production* did not start. {why}"
    press(world, "U0DEE", "deploy_approve")
    assert alone(world, "U0DEE") == ":no_entry: #1 was refused already, so that comes too late."
    assert "@cal rejected" in ask(world, "/deploy history #1")

    world.say("U0ANA", "/deploy web/topic to production")
    press(world, "U0CAL", "deploy_reject", 2)
    assert cards(world)[1].splitlines()[1] == "@cal rejected it."
    assert writes(world) == []


@on_sqlite
def test_where_ones_own_voice_counts(world: World) -> None:
    assert ask(world, "/deploy web/topic to self") == (f":raised_hand: #1 waits for anyone to approve it, {WAY}")
    assert "(anyone; until" in cards(world)[0]
    press(world, "U0ANA", "deploy_approve")
    assert writes(world)[0]["payload"]["shipbot"]["approved_by"] == ["U0ANA"]


GATES = [
    ("/deploy lock web in gated because demo", "/deploy unlock web in gated", "@cal to unlock it"),
    ("/deploy freeze web in gated", "/deploy unfreeze web in gated", "the freeze to end"),
    ("failure", "success", "green checks"),
]


def test_an_approval_stays_while_another_gate_makes_it_wait(world: World) -> None:
    for number, (close, open_, wanted) in enumerate(GATES, start=1):
        sha = world.github.push("acme/web", "topic", f"Change {number}")
        world.github.set_status("acme/web", sha, "ci", "success")
        world.say("U0ANA", "/deploy web/topic to gated")

        def turn(to: str, sha: str = sha) -> None:
            if to.startswith("/"):
                world.say("U0CAL", to)
            else:
                world.github.set_status("acme/web", sha, "ci", to)
                world.deliver()

        turn(close)
        press(world, "U0BEN", "deploy_approve", number)
        world.advance(hours=2)  # longer than the approval would have been waited for
        assert f"Waiting for {wanted} ·" in cards(world)[-1]
        assert ":white_check_mark: Approvals: 1 of 1 (@ben)" in cards(world)[-1]
        assert len(writes(world)) == number - 1
        turn(open_)
        assert [body["ref"] for body in writes(world)][number - 1 :] == [sha]
        assert writes(world)[-1]["payload"]["shipbot"]["approved_by"] == ["U0BEN"]
        world.report("success")


def test_an_approval_is_for_one_commit_alone(world: World) -> None:
    """GitHub merges the default branch in first: what comes of it nobody has seen."""
    asked_for = world.github.head("acme/web", "topic")
    world.github.push("acme/web", "main", "Meanwhile")
    world.say("U0ANA", "/deploy web/topic to merged")
    press(world, "U0BEN", "deploy_approve")
    merged = world.github.head("acme/web", "topic")
    assert merged != asked_for
    assert world.github.deployments("acme/web") == []
    assert thread(world)[-2:] == [
        f":twisted_rightwards_arrows: GitHub merged the default branch into `topic`; going on with `{merged[:7]}`",
        f":raised_hand: @ben: #1 waits for you to approve it, {WAY}",
    ]
    assert "Approvals: 0 of 1 (asked @ben; until 2026-03-02 13:00 UTC)" in cards(world)[0]

    press(world, "U0BEN", "deploy_approve")
    [made] = world.github.deployments("acme/web")
    assert (made["sha"], made["payload"]["shipbot"]["approved_by"]) == (merged, ["U0BEN"])
    trail = ask(world, "/deploy history #1")
    assert f"@ben approved `{asked_for[:7]}` (1 approval wanted among @ben)" in trail
    assert f"@ben approved `{merged[:7]}` (1 approval wanted among @ben)" in trail


def test_an_approval_is_for_one_task_one_place_and_its_hosts_alone(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to production")
    press(world, "U0BEN", "deploy_approve")
    others = ("web/topic to production/fe1", "deploy:migrate web/topic to production", "web to production")
    for number, command in enumerate(others, start=2):
        world.say("U0ANA", f"/deploy {command}")
        assert f"#{number} for @ana" in cards(world)[-1]
        assert "Approvals: 0 of 2" in cards(world)[-1]
    assert ask(world, "/deploy web/topic to production").startswith(
        ":no_entry: Just that is waiting already: #1 in #ops."
    )


@on_sqlite
def test_what_there_is_nothing_to_say_to(world: World) -> None:
    for command in ("approve 9", "reject 9", "cancel 9"):
        assert ask(world, f"/deploy {command}") == (
            ":no_entry: There is no deploy #9 of mine. `/deploy status` shows what is under way."
        )
    world.say("U0BEN", "/deploy web/topic to closed")
    assert ask(world, "/deploy approve 1", "U0CAL") == (
        ":no_entry: *web* in *closed* needs no approval, so #1 waits for none."
    )
    assert ask(world, "/deploy cancel 1") == ":no_entry: You may not cancel that in *web* / *closed*. Only @ben may."
    press(world, "U0ANA", "deploy_cancel")
    assert alone(world, "U0ANA") == ":no_entry: You may not cancel that in *web* / *closed*. Only @ben may."
    world.report("success")
    assert ask(world, "/deploy cancel 1", "U0BEN") == ":no_entry: #1 is live already, so that comes too late."

    world.github.create_deployment("acme/web", "main", creator="ben-gh")  # by somebody else, and not through the bot
    world.deliver()
    for command in ("approve 2", "reject 2", "cancel 2"):
        assert ask(world, f"/deploy {command}", "U0BEN") == (
            ":no_entry: There is no deploy #2 of mine. `/deploy status` shows what is under way."
        )
    world.say("U0CAL", "/deploy web/topic to production")
    press(world, "U0CAL", "deploy_cancel", 3)
    assert cards(world)[-1].splitlines()[1] == "Cancelled by @cal. Nothing was deployed."
    press(world, "U0BEN", "deploy_approve", 3)
    assert alone(world, "U0BEN") == ":no_entry: #3 was cancelled already, so that comes too late."
    assert len(writes(world)) == 1
