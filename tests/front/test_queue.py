"""One deploy at a time in each environment, and the line behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot.service.core import DELIVERIES, HEAD, LOOK
from bot.store import jobs
from bot.store.schema import jobs as jobs_table
from tests.front.chat import ask, cards, posted, thread, writes
from tests.front.test_restarts import die
from tests.world import World

CONFIG = """
admins: [U0ADM]
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      staging: {}
      canary: {when_busy: refuse, deployers: [U0ANA, U0BEN]}
      production: {approvals: {required: 1}}
"""
DEPLOYMENTS = "/repos/acme/web/deployments"


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """With branches one to five, and an admin."""
    world = make_world(config=CONFIG)
    world.slack.add_person("U0ADM", "adm")
    for name in ("one", "two", "three", "four", "five"):
        world.github.push("acme/web", name, f"Change {name}")
    world.github.pending.clear()
    return world


def places(world: World) -> list[str]:
    """How each deploy stands, as its card has it: the line of the queue, else the second of the card."""
    found = []
    for text in cards(world):
        lines = text.splitlines()
        queue = [line.removeprefix(":hourglass: ") for line in lines if " in line, behind " in line]
        found.append((queue or [lines[1].partition(" · asked")[0]])[0])
    return found


def sent(world: World) -> list[str]:
    """The branches that went to GitHub, in that order."""
    return [asked["payload"]["ref"] for asked in writes(world)]


def under_way(world: World, branch: str) -> str:
    """The state that GitHub has of a branch's newest deployment."""
    found = [one for one in world.github.deployments("acme/web") if one["payload"]["ref"] == branch]
    statuses = world.github.statuses("acme/web", found[0]["id"])
    return str(statuses[0]["state"]) if statuses else ""


GOING = "Handed to GitHub, waiting for a deployer to pick it up"


def test_one_under_way_and_the_others_in_line(world: World) -> None:
    for person, name in (("U0ANA", "one"), ("U0BEN", "two"), ("U0CAL", "three"), ("U0ANA", "four")):
        ask(world, f"/deploy web/{name} to staging", person)
    assert places(world) == [
        GOING,
        "Next in line, behind #1 for @ana",
        "Place 2 in line, behind #2 for @ben (#1 is under way)",
        "Place 3 in line, behind #3 for @cal (#1 is under way)",
    ]
    assert sent(world) == ["one"]
    twin = ask(world, "/deploy web/three to staging", "U0BEN")  # the same commit, task and hosts
    assert twin == ":no_entry: Just that is waiting already: #3 in #ops. `/deploy cancel 3` takes it back."
    assert ask(world, "/deploy web/one to staging") == (
        ":no_entry: Just that is under way already: #1 in #ops. `/deploy cancel 1` takes it back."
    )
    ask(world, "/deploy web/one to staging/fe1")  # other hosts are something else
    assert places(world)[4] == "Place 4 in line, behind #4 for @ana (#1 is under way)"
    ask(world, "/deploy web/one to canary")  # and another environment has a line of its own
    assert sent(world) == ["one", "one"]
    assert ask(world, "/deploy web/two to canary", "U0BEN") == (
        ":hourglass: *web* / *canary* is busy with #6 for @ana. Then again: `/deploy web/two to canary`"
    )
    world.report("success")

    ask(world, "/deploy cancel 3", "U0BEN")
    assert world.slack.text_of(world.slack.ephemerals("U0BEN")[-1]) == "You cancelled #3."
    assert places(world)[2:5] == [
        "Cancelled by @ben. Nothing was deployed.",
        "Place 2 in line, behind #2 for @ben (#1 is under way)",
        "Place 3 in line, behind #4 for @ana (#1 is under way)",
    ]
    world.advance(minutes=1)  # so many edits at one moment are more than Slack is asked for
    for state, next_one in (("success", "two"), ("failure", "four"), ("error", "one")):
        world.report(state, number=1 if state == "success" else -1)
        assert sent(world)[-1] == next_one
    world.advance(minutes=1)
    assert places(world)[4] == GOING
    world.report("success")
    assert [text.partition(" ")[0] for text in cards(world)] == [
        ":large_green_circle:",
        ":red_circle:",
        ":heavy_multiplication_x:",
        ":red_circle:",
        ":large_green_circle:",
        ":large_green_circle:",
    ]
    assert ask(world, "/deploy cancel 3") == (":no_entry: #3 was cancelled already, so that comes too late.")


def test_what_waits_for_something_else_holds_up_nobody(world: World) -> None:
    """Once that is there it stands where it asked, and the cards of those behind it say so."""
    ask(world, "/deploy web/one to production")
    ask(world, "/deploy web/two to production", "U0BEN")
    ask(world, "/deploy web/three to production", "U0CAL")
    for number in (3, 2):
        ask(world, f"/deploy approve {number}", "U0ADM")
    assert sent(world) == ["three"]
    assert places(world)[1] == "Next in line, behind #3 for @cal"
    ask(world, "/deploy web/four to production")
    ask(world, "/deploy approve 4", "U0BEN")
    assert places(world)[3] == "Place 2 in line, behind #2 for @ben (#3 is under way)"
    ask(world, "/deploy approve 1", "U0BEN")
    assert places(world) == [
        "Next in line, behind #3 for @cal",
        "Place 2 in line, behind #1 for @ana (#3 is under way)",
        GOING,
        "Place 3 in line, behind #2 for @ben (#3 is under way)",
    ]

    world.advance(minutes=1)
    ask(world, "/deploy lock web in production because wait", "U0ANA")  # the line moves past whom it keeps
    world.report("success")
    assert sent(world) == ["three", "one"]
    world.report("success")
    assert "Waiting for @ana to unlock it and its turn" in cards(world)[1]
    assert sent(world) == ["three", "one", "four"]


def test_a_running_one_is_cancelled(world: World) -> None:
    """GitHub is told, and the next in line goes."""
    ask(world, "/deploy web/one to canary")
    world.report("in_progress")
    assert ask(world, "/deploy cancel 1", "U0CAL") == (
        ":no_entry: You may not cancel that in *web* / *canary*. Only @ana or @ben may."
    )
    assert under_way(world, "one") == "in_progress"
    card = posted(world.slack)[0]
    assert world.slack.click("U0ADM", "C0OPS", card.ts, "deploy_cancel").ok
    world.settle()
    assert under_way(world, "one") == "inactive"
    assert places(world) == ["Cancelled by @adm."]
    assert thread(world)[-1] == ":heavy_multiplication_x: @ana: *web* to *canary* was cancelled. Cancelled by @adm."
    world.report("success")  # too late; what was taken back stays so
    assert places(world) == ["Cancelled by @adm."]
    assert thread(world)[-1] == ":large_green_circle: `success` came in late and changes nothing · `deployer`"

    for name in ("two", "three"):
        ask(world, f"/deploy web/{name} to staging")
    world.github.fail("POST", f"{DEPLOYMENTS}/\\d+/statuses", status=502)
    ask(world, "/deploy cancel 2")
    assert sent(world)[-1] == "three"
    assert under_way(world, "two") == ""
    world.advance(seconds=1)
    assert under_way(world, "two") == "inactive"
    world.github.fail("POST", f"{DEPLOYMENTS}/\\d+/statuses", status=403)
    ask(world, "/deploy cancel 3")
    assert thread(world)[-1] == (
        ":warning: GitHub did not let me mark the deployment inactive, so whoever deploys may not know."
    )


def test_one_is_cancelled_while_its_answer_is_missing(world: World) -> None:
    """Nobody knows whether GitHub made it; once that is known, it is taken back there too."""
    for webhook in (True, False):
        name = "one" if webhook else "two"
        world.github.fail("POST", DEPLOYMENTS, drop="after")
        ask(world, f"/deploy web/{name} to staging")
        assert "GitHub is not answering" in places(world)[-1]
        if not webhook:
            world.github.pending.clear()
        ask(world, f"/deploy cancel {1 if webhook else 2}")
        assert places(world)[-1] == "Cancelled by @ana."
        assert under_way(world, name) == ""
        if webhook:
            world.deliver()
        else:
            world.advance(seconds=1)
        assert under_way(world, name) == "inactive"
        world.advance(minutes=5)
        assert places(world)[-1] == "Cancelled by @ana."
    assert sent(world) == ["one", "two"]


def test_what_ends_without_github_frees_the_place(world: World) -> None:
    """Refused by GitHub, and lost from sight."""
    world.github.fail("POST", DEPLOYMENTS, status=422, body={"message": "No way", "status": "422"})
    assert world.slack.say("U0ANA", "C0OPS", "/deploy web/one to staging").ok
    assert world.slack.say("U0BEN", "C0OPS", "/deploy web/two to staging").ok
    assert world.slack.say("U0CAL", "C0OPS", "/deploy web/three to staging").ok
    world.settle()
    assert places(world)[0].startswith("GitHub refused this (HTTP 422): `No way`. Nothing was deployed.")
    assert places(world)[1:] == [GOING, "Next in line, behind #2 for @ben"]
    world.advance(hours=1)
    assert places(world)[1].startswith("No end was reported within 1 h, so the next one may go.")
    assert places(world)[2] == GOING
    assert sent(world) == ["one", "two", "three"]


def due(world: World) -> set[str]:
    """The kinds of jobs that could be done now, but for those that every start calls for anew."""
    with world.store.read() as connection:
        ready = sa.and_(jobs_table.c.state == "ready", jobs_table.c.run_at <= world.clock.now())
        kinds = set(connection.execute(sa.select(jobs_table.c.kind).where(ready)).scalars())
    return kinds - {LOOK, DELIVERIES, HEAD}


def a_bot_for_each_job(world: World) -> None:
    """Does what is due. Each bot that starts decides on all that waits, and what only follows may be one bot's."""
    while kinds := due(world):
        if kinds - {"decide", "card", "change"}:
            die(world)
        world.bot.workers.step()


def every_worker_dies_once(world: World) -> None:
    """Does what is due, but each job was claimed before by a worker that is no more. That takes its time, in which
    other things become due, so it is enough when nothing comes of these."""
    quiet = 0
    while quiet < 5:
        with world.store.write() as connection:
            jobs.claim(connection, "the late worker", world.clock.now())
        world.clock.moment += jobs.LEASE + timedelta(seconds=1)
        with world.store.write() as connection:
            jobs.release_expired(connection, world.clock.now())
        quiet = quiet + 1 if due(world) <= {"decide", "watch"} else 0
        world.bot.workers.step()


@pytest.mark.parametrize("go_on", [a_bot_for_each_job, every_worker_dies_once])
def test_whatever_dies_between_two_steps(make_world: Callable[..., World], go_on: Callable[[World], None]) -> None:
    """Four that need approval and stand in line: all of them go, once and in order, whatever dies."""
    world = make_world(config=CONFIG.replace("approvals: {required: 1}", "timeout: 1d, approvals: {expires: 1d}"))
    names = ("one", "two", "three", "four")
    for name in names:
        world.github.push("acme/web", name, f"Change {name}")
        assert world.slack.say("U0ANA", "C0OPS", f"/deploy web/{name} to production").ok
    world.github.pending.clear()
    go_on(world)
    assert sent(world) == []
    for number in (1, 2, 3, 4):
        assert world.slack.say("U0BEN", "C0OPS", f"/deploy approve {number}").ok
    go_on(world)
    for number in range(1, 5):
        assert len(sent(world)) == number
        world.github.report("acme/web", world.github.deployments("acme/web")[0]["id"], "success")
        world.github.deliver()
        if number < 2:
            go_on(world)
        world.settle()

    numbers = [asked["payload"]["shipbot"]["number"] for asked in writes(world)]
    assert sorted(sent(world)) == sorted(names)
    assert numbers[1:] == sorted(numbers[1:])  # the first that was approved found nobody ahead
    assert [text.partition(" ")[0] for text in cards(world)] == [":large_green_circle:"] * 4
    assert sum("Live after" in line for line in thread(world)) == 4
