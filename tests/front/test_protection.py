"""GitHub's own environment gates: what waits there is approved here, and GitHub is told by whom."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from bot.github.payloads import parse_webhook
from bot.store import jobs
from tests.front.chat import ask, cards, thread
from tests.front.test_restarts import die
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
    return as_an_app(make_world, keys, CONFIG)


def as_an_app(make_world: Callable[..., World], keys: tuple[str, str], config: str) -> World:
    """A GitHub App, whose rule protects both environments."""
    private, public = keys
    world = make_world(config=config, github_token=None, github_app_id=APP, github_app_private_key=private)
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


def test_a_rejection_goes_back_with_who_and_why(world: World) -> None:
    number = run(world)
    world.say("U0BEN", "/deploy approve 1")
    world.say("U0DEE", "/deploy reject 1 because @acme/all: the `budget` <!here>")
    assert told(world, number)[1] == [
        ("rejected", "Rejected in Slack by `dee`: `@acme/all: the 'budget' <!here>` · `#1`")
    ]
    assert cards(world)[0].splitlines()[0] == first_line(world, ":no_entry:", "production")
    assert cards(world)[0].splitlines()[1].startswith("@dee rejected it: ")
    assert "[Retry]" not in cards(world)[0]
    said = thread(world)
    world.deliver()  # GitHub marks its deployment a failure, which is what was wanted
    assert thread(world) == said
    assert ":no_entry:" in said[-1]
    assert ask(world, "/deploy retry 1").startswith(":no_entry: #1 was refused")


def test_taking_it_back(world: World) -> None:
    number = run(world)
    world.say("U0CAL", "/deploy cancel 1")
    assert told(world, number)[1] == [("rejected", "Cancelled in Slack by `cal` · `#1`")]
    assert cards(world)[0].splitlines()[1] == "Cancelled by @cal. Nothing was deployed."

    run(world, "open")
    assert ask(world, "/deploy cancel 2", "U0CAL") == ":no_entry: #2 is under way already, so that comes too late."
    assert [status["state"] for status in world.github.statuses("acme/web", 1_100_002)] == ["queued", "waiting"]


@pytest.mark.parametrize(
    ("close", "open_", "why", "wanted"),
    [
        ("lock web in open because demo", "unlock web in open", "locked in Slack by `ben`", "@ben to unlock it"),
        ("freeze web in open", "unfreeze web in open", "frozen in Slack", "the freeze to end"),
    ],
)
def test_a_lock_and_a_freeze_hold_it(world: World, close: str, open_: str, why: str, wanted: str) -> None:
    """Nobody is asked there and its checks are red; one's own lock holds a workflow as it holds a rule."""
    world.github.set_status("acme/web", "topic", "never", "failure")
    number = run(world, "open", actor="ben-gh")
    nobody = "No approval is asked for in Slack, no lock and no freeze holds it"
    assert told(world, number) == ([], [("approved", f"{nobody} · `#1`")])
    assert cards(world)[0].splitlines()[1].startswith("Let in, GitHub goes on with it")

    world.say("U0BEN", f"/deploy {close}")
    number = run(world, "open", actor="ben-gh")
    assert told(world, number) == ([f"{why} · `#2`"], [])
    assert f"Waiting for {wanted}" in cards(world)[1]
    world.say("U0BEN", f"/deploy {open_}")
    assert told(world, number)[1] == [("approved", f"{nobody} · `#2`")]

    world.say("U0BEN", f"/deploy {close}")
    number = run(world, "open")
    world.advance(hours=2)
    assert told(world, number)[1] == [
        ("rejected", "It was held in Slack for longer than the config lets it wait · `#3`")
    ]


def test_a_lock_that_comes_right_before_github_is_told(world: World) -> None:
    number = run(world)
    world.say("U0BEN", "/deploy approve 1")
    world.github.fail("POST", "/repos/acme/web/actions/.*", status=502)
    world.say("U0ANA", "/deploy approve 1")
    assert "GitHub is not answering" in cards(world)[0]
    world.say("U0BEN", "/deploy lock web in production")
    world.advance(minutes=5)
    assert told(world, number)[1] == []
    assert "Waiting for @ben to unlock it" in cards(world)[0]
    world.say("U0BEN", "/deploy unlock web in production")
    assert told(world, number)[1] == [("approved", "Approved in Slack by `ben`, `ana` (2 of 2) · `#1`")]


def test_nobody_approves_in_time(world: World) -> None:
    number = run(world)
    world.say("U0BEN", "/deploy approve 1")
    world.advance(hours=4)
    assert told(world, number)[1] == [("rejected", "Only 1 of 2 approved in Slack in time · `#1`")]
    assert cards(world)[0].splitlines()[0] == first_line(world, ":wastebasket:", "production")


def test_events_come_in_any_order_and_twice(world: World) -> None:
    """Whichever tells of it first, it is one deploy with one card, and it is asked about once."""
    orders = [
        ("deployment_protection_rule", "deployment", "deployment_status"),
        ("deployment_status", "deployment_protection_rule", "deployment"),
        ("deployment", "deployment_status", "deployment_protection_rule"),
    ]
    for count, order in enumerate(orders, start=1):
        number = world.github.start_run("acme/web", "topic", "production", actor="cal-gh")
        pending = {delivery.event: delivery for delivery in world.github.pending}
        for event in [*order, *order]:
            world.github.deliver(pending[event])
            world.settle()
        assert len(cards(world)) == count
        assert cards(world)[-1].splitlines()[0] == first_line(world, ":large_yellow_circle:", "production", count)
        assert "Waiting for 2 approvals" in cards(world)[-1]
        assert len(told(world, number)[0]) == 1
        for person in ("U0ANA", "U0BEN"):
            world.say(person, f"/deploy approve {count}")
        world.github.deliver(world.github.redeliver(pending["deployment_protection_rule"]))
        world.deliver()
        world.report("success")
        assert len(told(world, number)[1]) == 1
        assert len(cards(world)) == count
        assert cards(world)[-1].splitlines()[1].startswith("Live after")
    assert ":raised_hand:" in thread(world)[0]


@pytest.mark.parametrize("claimed", [False, True], ids=["between", "claimed"])
def test_the_bot_dies_between_any_two_steps(world: World, claimed: bool) -> None:
    """Each job is done by another bot; `claimed`: after a worker that died with it."""

    def settle() -> None:
        for _ in range(100):
            if claimed:
                with world.store.write() as connection:
                    if jobs.claim(connection, "the late worker", world.clock.now()) is None:
                        return
                world.clock.moment += jobs.LEASE + timedelta(seconds=1)
                with world.store.write() as connection:
                    jobs.release_expired(connection, world.clock.now())
            die(world, start=False)
            if not world.bot.workers.step():
                return
        raise AssertionError("the bot does not come to rest")

    number = world.github.start_run("acme/web", "topic", "production", actor="cal-gh")
    world.github.deliver()
    settle()
    for person in ("U0BEN", "U0ANA"):
        world.slack.say(person, "C0OPS", "/deploy approve 1")
        settle()
    world.github.deliver()
    settle()
    way = "`approve 1` there agrees · `#1`"
    assert told(world, number) == (
        [f"0 of 2 approved in Slack; {way}", f"1 of 2 approved in Slack by `ben`; {way}"],
        [("approved", "Approved in Slack by `ben`, `ana` (2 of 2) · `#1`")],
    )
    assert len(cards(world)) == 1
    assert cards(world)[0].splitlines()[1].startswith("Queued")


ANSWERS = "/repos/acme/web/actions/runs/[0-9]+/deployment_protection_rule"


def test_github_is_down_while_it_is_to_be_told(world: World) -> None:
    number = run(world)
    world.github.fail("POST", ANSWERS, status=502, times=4)
    for person in ("U0ANA", "U0BEN"):
        world.say(person, "/deploy approve 1")
    assert told(world, number)[1] == []
    assert "GitHub is not answering" in cards(world)[0]
    for _ in range(3):
        world.advance(minutes=10)
    assert told(world, number)[1] == [("approved", "Approved in Slack by `ana`, `ben` (2 of 2) · `#1`")]
    assert cards(world)[0].splitlines()[1].startswith("Let in")


def test_an_answer_whose_answer_is_lost_is_not_given_twice(world: World) -> None:
    number = run(world)
    world.say("U0ANA", "/deploy approve 1")
    world.github.fail("POST", ANSWERS, drop="after")
    world.say("U0BEN", "/deploy approve 1")
    world.restart()
    world.advance(minutes=5)
    assert len(told(world, number)[1]) == 1
    assert cards(world)[0].splitlines()[1].startswith("Let in")

    number = run(world)
    world.github.fail("POST", ANSWERS, drop="after")
    world.say("U0BEN", "/deploy reject 2")
    world.advance(minutes=5)
    assert told(world, number)[1] == [("rejected", "Rejected in Slack by `ben` · `#2`")]
    assert not any("could not be told" in line for line in thread(world))


def test_github_stays_away(world: World) -> None:
    run(world)
    world.say("U0ANA", "/deploy approve 1")
    world.github.fail("POST", ANSWERS, status=502, times=200)
    world.say("U0BEN", "/deploy approve 1")
    for _ in range(7):
        world.advance(minutes=10)
    assert cards(world)[0].splitlines()[1] == (
        "I could not tell GitHub that it may go. GitHub is not answering (HTTP 502). Whoever may can let it in at "
        "GitHub. A status that still comes will be shown here."
    )
    world.github.let_through("acme/web", 8_800_001)
    world.deliver()
    world.report("success")
    assert cards(world)[0].splitlines()[1].startswith("Live after")

    run(world)
    world.say("U0BEN", "/deploy reject 2")
    for _ in range(7):
        world.advance(minutes=10)
    assert thread(world)[-1].startswith(":warning: GitHub could not be told that it may not go")


def test_nothing_waits_at_github_any_more(world: World) -> None:
    """Somebody cancelled the run there, or an admin let it in: what GitHub tells is how it stands."""
    number = run(world)
    world.github.cancel_waiting("acme/web", number)
    world.say("U0BEN", "/deploy reject 1")
    world.deliver()
    world.advance(minutes=5)
    assert thread(world)[-1].startswith(":warning: GitHub could not be told that it may not go")

    number = run(world)
    world.github.cancel_waiting("acme/web", number)
    world.deliver()
    assert cards(world)[1].splitlines()[1] == "Failed after 0 s"
    assert ask(world, "/deploy approve 2", "U0BEN") == ":no_entry: #2 has failed already, so that comes too late."

    number = run(world)
    world.github.let_through("acme/web", number)
    world.deliver()
    world.report("in_progress")
    assert ":rotating_light: GitHub goes on with it without my word: somebody there let it in" in thread(world)
    assert cards(world)[2].splitlines()[1].startswith("In progress")
    world.advance(hours=2)
    assert ":warning:" in cards(world)[2], "it has a deadline like any other"


def test_what_goes_on_after_a_no_is_another_deploy(world: World) -> None:
    run(world)
    world.say("U0BEN", "/deploy reject 1")
    world.report("success")
    assert cards(world)[0].splitlines()[0] == first_line(world, ":no_entry:", "production")
    sha = world.github.head("acme/web", "topic")[:7]
    assert cards(world)[1].splitlines()[0] == (
        f":large_green_circle: *web* to *production* · `topic` at {sha} · #2 by `cal-gh`, not through me"
    )
    assert ":rotating_light: GitHub goes on with it without my word: somebody there let it in" in thread(world)
    assert "#2" in ask(world, "/deploy where web")


def test_a_run_without_a_deployment(world: World) -> None:
    """Nothing tells its attempts apart but that the one before does not wait any more."""
    for count in (1, 2):
        number = world.github.start_run("acme/web", "topic", "open", deployment=False)
        world.deliver()
        assert len(told(world, number)[1]) == 1
        assert len(cards(world)) == count
    world.advance(hours=1)
    assert ":warning:" in cards(world)[0]
    world.say("U0BEN", "/deploy lock web in open")
    number = world.github.start_run("acme/web", "topic", "open", deployment=False)
    world.deliver()
    world.github.deliver(world.github.redeliver(world.github.deliveries[-1]))
    assert len(cards(world)) == 3


def test_github_takes_ten_reports(world: World) -> None:
    number = run(world, "production")
    for _ in range(7):
        world.say("U0BEN", "/deploy lock web in production")
        world.say("U0BEN", "/deploy unlock web in production")
    reports, _ = told(world, number)
    assert len(reports) == 10
    for person in ("U0ANA", "U0BEN"):
        world.say(person, "/deploy approve 1")
    assert len(told(world, number)[1]) == 1


@on_sqlite
def test_what_is_not_in_the_config_is_left_to_github(world: World) -> None:
    world.github.protect("acme/web", "elsewhere")
    number = run(world, "elsewhere")
    assert told(world, number) == ([], [])
    assert cards(world) == []


@on_sqlite
def test_an_app_that_may_not_answer(world: World) -> None:
    world.github.token_permissions["deployments"] = "read"
    run(world, "open")
    line = cards(world)[0].splitlines()[1]
    assert line.startswith("I could not tell GitHub that it may go. ")
    assert "Deployments: write" in line


def test_the_workflow_that_carries_a_deploy_out(world: World) -> None:
    """`on: deployment` at the very commit that is under way: whoever had to agree has agreed."""
    world.say("U0CAL", "/deploy web/topic! to production")
    for person in ("U0ANA", "U0BEN"):
        world.say(person, "/deploy approve 1")
    number = world.github.start_run("acme/web", "topic", "production", actor="cal-gh", event="deployment")
    world.deliver()
    assert told(world, number) == ([], [("approved", "Let out in Slack as `#1` · `#2`")])
    assert "asks before it goes there and carries out #1" in cards(world)[1]

    for event in ("push", "workflow_dispatch"):  # another matter, though the commit is the same
        number = world.github.start_run("acme/web", "topic", "production", actor="cal-gh", event=event)
        world.deliver()
        assert told(world, number)[1] == []
    world.github.push("acme/web", "topic", "More")
    other = world.github.start_run("acme/web", "topic", "production", actor="cal-gh", event="deployment")
    world.deliver()
    assert told(world, other)[1] == []
    assert "Waiting for 2 approvals" in cards(world)[-1]


def test_a_deploy_of_the_same_beside_it_is_another(world: World) -> None:
    run(world)
    world.say("U0DEE", "/deploy web/topic! to production")
    assert cards(world)[1].splitlines()[0] == first_line(world, ":large_yellow_circle:", "production", 2, "@dee")
    assert "nobody ahead" in cards(world)[1]
    for person in ("U0ANA", "U0BEN"):
        world.say(person, "/deploy approve 1")
    assert "Waiting for 2 approvals" in cards(world)[1], "each has its own"


@on_sqlite
def test_the_workflow_that_a_provider_starts(make_world: Callable[..., World], keys: tuple[str, str]) -> None:
    provider = "provider: {type: actions, workflow: deploy.yml}"
    world = as_an_app(make_world, keys, CONFIG.replace("expires: 4h}", "expires: 4h}\n        " + provider))
    world.say("U0CAL", "/deploy web/topic! to production")
    for person in ("U0ANA", "U0BEN"):
        world.say(person, "/deploy approve 1")
    number = world.github.start_run("acme/web", "topic", "production", event="workflow_dispatch")
    world.deliver()
    assert told(world, number) == ([], [("approved", "Let out in Slack as `#1` · `#2`")])


def test_all_that_tells_of_it_comes_at_once(world: World) -> None:
    """Taken in by six workers at the same moment."""
    with ThreadPoolExecutor(6) as workers:
        for count in range(1, 7):
            world.github.start_run("acme/web", "topic", "production", actor="cal-gh")
            events = [parse_webhook(one.event, one.body) for one in world.github.pending]
            world.github.pending.clear()
            found = list(workers.map(world.bot.service.on_event, [*events, *events]))
            assert len({deploy.number for deploy in found if deploy is not None}) == 1
            world.settle()
            assert len(cards(world)) == count
            assert cards(world)[-1].splitlines()[1].startswith("Waiting for 2 approvals")
