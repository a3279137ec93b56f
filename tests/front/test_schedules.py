"""What is to go later, read as a chat."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.front.chat import ask, cards, newest, thread, writes
from tests.front.test_again import click, ship
from tests.world import START, World

CONFIG = """
defaults: {environment: staging}
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      staging: {required_contexts: []}
      canary: {required_contexts: [ci/build], when_red: refuse, when_locked: wait, when_busy: refuse, max_wait: 6h}
      production: {required_contexts: [], approvals: {approvers: [U0BEN], expires: 4h}, deployers: [U0ANA, U0BEN]}
      1d: {required_contexts: []}
  api:
    repository: acme/api
    rooms: [C0REL]
    environments: {staging: {required_contexts: []}}
"""


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """It is Monday, 10:00 in Berlin, where all are but Dee, and 20:00 in Sydney, where she is."""
    world = make_world(config=CONFIG)
    world.slack.add_person("U0DEE", "dee", tz="Australia/Sydney")
    return world


def alone(world: World, person: str = "U0ANA") -> str:
    """The newest thing that the bot said to somebody alone."""
    return world.slack.text_of(world.slack.ephemerals(person)[-1])


def sent(world: World) -> list[tuple[str, str]]:
    return [(asked["payload"]["ref"], asked["environment"]) for asked in writes(world)]


def stands(world: World, number: int = 0, room: str = "C0OPS") -> str:
    return cards(world, room)[number].splitlines()[1]


def test_at_a_time_in_the_zone_of_the_one_who_asks(world: World) -> None:
    sha = world.github.head("acme/web", "topic")
    world.say("U0ANA", "/deploy web/topic to staging at fri 16:00 because the demo is over")
    assert alone(world) == (
        ":alarm_clock: #1 goes on Friday, 6 March at 16:00 (Europe/Berlin). Its card is in #ops. "
        "`/deploy unschedule 1` takes it back."
    )
    assert cards(world)[0].splitlines() == [
        f":large_yellow_circle: *web* to *staging* · `topic` at {sha[:7]} · #1 for @ana",
        "Goes 2026-03-06 15:00 UTC · asked 2026-03-02 09:00 UTC",
        "“the demo is over”",
        ":white_check_mark: Not locked, not frozen, nobody ahead",
        "[Cancel]",
    ]
    world.github.push("acme/web", "topic", "Not meant")
    before = len(world.github.requests)
    world.advance(days=4, hours=6, seconds=-1)
    asked = [one for one in world.github.requests[before:] if "/hooks" not in one.path]  # those of lost webhooks
    assert (sent(world), asked) == ([], []), "nobody is asked anything about it until then"

    world.restart()
    world.advance(seconds=1)
    assert [asked["ref"] for asked in writes(world)] == [sha]
    world.deliver()
    world.advance(minutes=3)
    world.report("success")
    lines = cards(world)[0].splitlines()
    assert lines[1] == "Live after 3 min"
    assert ":alarm_clock: Scheduled for 2026-03-06 15:00 UTC" in lines
    assert thread(world)[-1] == ":large_green_circle: Live after 3 min · `deployer` · @ana"


def test_in_a_while(world: World) -> None:
    world.say("U0DEE", "/deploy web to staging in 1h30m")
    assert "#1 goes on Monday, 2 March at 21:30 (Australia/Sydney)" in alone(world, "U0DEE")
    world.say("U0ANA", "/deploy api in 20s", "C0REL")
    assert "#2 goes on Monday, 2 March at 10:00:20 (Europe/Berlin). Its card is in #releases." in alone(world)
    world.say("U0ANA", "/deploy web in 1d")  # where an environment is called so it is meant
    assert sent(world) == [("main", "1d")]
    world.say("U0ANA", "/deploy deploy:seed web/topic! to staging/fe1 in 1d")
    world.advance(seconds=20)
    assert len(sent(world)) == 2
    world.advance(days=1)
    last = writes(world)[-1]
    assert (last["task"], last["payload"]["hosts"], last["required_contexts"]) == ("deploy:seed", "fe1", [])
    assert last["payload"]["shipbot"]["forced"] is True


def test_times_that_can_not_be(world: World) -> None:
    assert "has passed" in ask(world, "/deploy web at 2026-03-02 09:59")
    assert "no time" in ask(world, "/deploy web at teatime")
    far = ask(world, "/deploy web at 2026-04-01 11:01")
    assert far == ":no_entry: 2026-04-01 09:01 UTC is more than 30 days away. Ask for it nearer to its time."
    assert "more than 30 days away" in ask(world, "/deploy web in 31d")
    assert "has no environment `tuesday`" in ask(world, "/deploy web at 16:00 on tuesday")
    assert ask(world, "/deploy api at 16:00").startswith(":no_entry: *api* can't be deployed from here")
    assert "You may not deploy *web* / *production*" in ask(world, "/deploy web to production at 16:00", "U0CAL")
    assert "no branch, tag or commit" in ask(world, "/deploy web/nope at 16:00")
    assert cards(world) == []
    assert ask(world, "/deploy schedules").startswith("Nothing is scheduled.")


def test_the_time_is_that_of_when_it_was_said(world: World) -> None:
    """Not of when GitHub could be asked at last: tomorrow's 10:05 was not meant."""
    world.github.fail("GET", "/repos/acme/web/commits/topic", status=502, times=3)
    world.say("U0ANA", "/deploy web/topic at 10:05")
    for _ in range(20):
        world.advance(seconds=30)
    assert sent(world) == [("topic", "staging")]
    assert world.clock.moment == START + timedelta(minutes=10)


def test_approvals_are_given_ahead(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to production at 03:00")
    assert "@ben: #1 waits for you to approve it" in thread(world)[0]
    assert "until 2026-03-03 06:00 UTC" in cards(world)[0]  # four hours from its time
    assert cards(world)[0].splitlines()[-1] == "[Approve] [Reject] [Cancel]"
    world.advance(hours=8)
    click(world, 0, "deploy_approve")
    assert "Approvals: 1 of 1 (@ben)" in cards(world)[0]
    assert stands(world).startswith("Goes 2026-03-03 02:00 UTC")
    world.advance(hours=9)
    assert sent(world) == [("topic", "production")]

    world.say("U0ANA", "/deploy web to production at 03:00")
    world.say("U0BEN", "/deploy reject 2 because not in the night")
    assert stands(world, 1) == "@ben rejected it: “not in the night”."

    world.say("U0ANA", "/deploy web to production in 1h")
    world.advance(hours=1)
    assert sum("still waits" in line for line in thread(world)) == 0
    world.advance(hours=4)
    assert stands(world, 2).startswith("No approval came in time")


def test_the_gates_are_judged_at_that_time(world: World) -> None:
    """What is in its way now is shown and refuses nothing; what is in its way then is as if it were asked for then."""
    world.say("U0BEN", "/deploy lock web in staging because demo")
    world.say("U0ANA", "/deploy web/topic at 12:00")
    world.say("U0ANA", "/deploy web/topic to canary at 12:00")
    world.say("U0ANA", "/deploy web to staging at 12:00")
    assert ":hourglass: Locked by @ben" in cards(world)[0]
    assert ":hourglass: Checks: `ci/build` is missing" in cards(world)[1]
    world.advance(hours=1)
    world.say("U0BEN", "/deploy unlock web in staging")
    assert stands(world).startswith("Goes")
    world.say("U0BEN", "/deploy freeze web in staging until 12:30 because audit")
    world.advance(hours=1)

    frozen = "Frozen: by @ben, “audit”, until 2026-03-02 11:30 UTC. Nothing was deployed."
    red = "Checks: `ci/build` is missing. Nothing was deployed."
    assert [stands(world, number) for number in range(3)] == [frozen, red, frozen]
    assert sent(world) == []
    assert [line.startswith(":no_entry: @ana: *web*") for line in thread(world)] == [True] * 3
    assert cards(world)[0].splitlines()[-1] == "[Retry]"


def test_what_may_wait_then_waits_from_then_on(world: World) -> None:
    sha = world.github.head("acme/web", "topic")
    world.github.set_status("acme/web", sha, "ci/build", "success")
    world.say("U0ANA", "/deploy web/topic to canary in 20d")
    world.advance(days=20, minutes=-1)
    world.say("U0BEN", "/deploy lock web in canary")
    world.advance(minutes=1)
    assert stands(world).startswith("Waiting for @ben to unlock it")
    assert ":alarm_clock: Scheduled for" in cards(world)[0]
    world.advance(hours=6, seconds=-1)
    assert stands(world).startswith("Waiting for @ben to unlock it")
    world.advance(seconds=1)
    assert stands(world).startswith("It has waited since 2026-03-22 09:00 UTC")


def test_before_its_time_it_holds_up_nobody(world: World) -> None:
    """It is nobody's twin, stands in no line, and takes its place in it when its time has come."""
    world.say("U0ANA", "/deploy web/topic at 10:10")
    world.say("U0ANA", "/deploy web/topic at 10:10")
    assert newest(world).startswith(":no_entry: Just that is waiting already: #1")
    world.say("U0ANA", "/deploy web/topic at 10:20")
    world.say("U0BEN", "/deploy web to staging")
    assert sent(world) == [("main", "staging")]
    world.say("U0CAL", "/deploy web/topic to staging")
    assert "Next in line, behind #3 for @ben" in cards(world)[3]
    world.advance(minutes=10)
    assert "Next in line, behind #3 for @ben" in cards(world)[0]
    assert "Place 2 in line, behind #1 for @ana (#3 is under way)" in cards(world)[3]
    assert stands(world, 1).startswith("Goes 2026-03-02 09:20 UTC")
    world.say("U0CAL", "/deploy cancel 4")
    world.deliver()
    world.report("success")
    assert sent(world) == [("main", "staging"), ("topic", "staging")]


def test_what_somebody_brought_there_first_is_not_brought_again(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic at 10:30")
    world.say("U0ANA", "/deploy web/topic to staging/fe1 at 10:30")
    ship(world, "web/topic to staging")
    world.advance(minutes=25)
    assert stands(world) == (
        "#3 has brought this very commit there meanwhile, so nothing is left to do; to deploy it once more, ask again."
    )
    assert cards(world)[0].startswith(":track_next:")
    assert thread(world)[-1].startswith(":track_next: *web* to *staging* was superseded.")  # nobody is called
    assert len(writes(world)) == 2, "that of one host goes all the same"
    world.deliver()
    world.report("success")
    world.say("U0ANA", "/deploy web/topic in 5m")  # it is live already, and meant to go once more
    world.advance(minutes=5)
    assert len(writes(world)) == 3


def test_what_it_brings_is_told_anew_at_its_time(world: World) -> None:
    ship(world, "web/main to staging")
    world.say("U0ANA", "/deploy web/topic at 12:00")
    assert "Brings 1 commit since" in cards(world)[1]
    world.github.push("acme/web", "topic", "One more")
    ship(world, "web/topic to staging")
    world.advance(hours=2)
    assert ":rewind: Goes back 1 commit from" in cards(world)[1]


@pytest.mark.parametrize(("late", "goes"), [(14, True), (16, False)])
def test_nobody_was_there_at_its_time(world: World, late: int, goes: bool) -> None:
    world.say("U0ANA", "/deploy web/topic at 12:00")
    world.clock.moment = START + timedelta(hours=2, minutes=late)
    world.restart()
    world.settle()
    if goes:
        assert sent(world) == [("topic", "staging")]
        mark = ":alarm_clock: Scheduled for 2026-03-02 11:00 UTC; 14 min late, since I was not there then"
        assert mark in cards(world)[0].splitlines()
        return
    missed = (
        "It missed its time: it was to go 2026-03-02 11:00 UTC, and I was not there until 16 min later. "
        "Nothing was deployed; ask again if it still should go."
    )
    assert (sent(world), stands(world)) == ([], missed)
    assert thread(world) == [f":wastebasket: @ana: *web* to *staging* was given up. {missed}"]
    click(world, 0, "deploy_retry")
    assert sent(world) == [("topic", "staging")]


def test_listed_and_taken_back(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic at fri 16:00")
    world.say("U0BEN", "/deploy web to production in 2h")
    world.say("U0ANA", "/deploy api in 1h", "C0REL")
    shas = {ref: world.github.head("acme/web", ref)[:7] for ref in ("main", "topic")}
    listed = ask(world, "/deploy schedules").splitlines()
    assert listed == [
        f":alarm_clock: 2026-03-02 11:00 UTC: *web* · `main` at {shas['main']} to *production* · #2 by `ben`",
        "[Cancel #2]",
        f":alarm_clock: 2026-03-06 15:00 UTC: *web* · `topic` at {shas['topic']} to *staging* · #1 by `ana`",
        "[Cancel #1]",
    ]
    assert "goes 2026-03-06 15:00 UTC: `topic`" in ask(world, "/deploy status web in staging")

    assert ask(world, "/deploy unschedule 2", "U0CAL").startswith(":no_entry: You may not cancel that")
    world.say("U0BEN", "/deploy unschedule 2")
    assert alone(world, "U0BEN") == "#2 does not go any more."
    assert stands(world, 1) == "Cancelled by @ben. Nothing was deployed."
    listing = [message for message in world.slack.messages("C0OPS") if "[Cancel #1]" in world.slack.text_of(message)][
        -1
    ]
    assert world.slack.click("U0ANA", "C0OPS", listing.ts, "deploy_cancel", value="1").ok
    world.settle()
    assert stands(world) == "Cancelled by @ana. Nothing was deployed."
    assert ask(world, "/deploy schedules").startswith("Nothing is scheduled.")
    world.advance(hours=1)
    world.advance(days=5)
    assert sent(world) == [("main", "staging")]  # api's
    assert "#1 was cancelled already" in ask(world, "/deploy unschedule 1")
    world.say("U0ANA", "/deploy web to staging")
    assert ask(world, "/deploy unschedule 4").startswith(":no_entry: #4 is not waiting for its time")
    assert "no deploy #9 of mine" in ask(world, "/deploy unschedule 9")
