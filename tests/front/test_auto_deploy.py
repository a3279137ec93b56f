"""What starts by itself when a branch moves, a tag is set or a pull request is merged, read as a chat."""

from __future__ import annotations

import sqlalchemy as sa

from bot.playground.github import Delivery
from bot.store.schema import deploys
from tests.front.chat import cards, posted, thread, writes
from tests.front.test_people import alone
from tests.front.test_restarts import each_job_taken_to_the_grave, one_job_at_a_time
from tests.world import World

CONFIG = """
users: {U0BEN: ben-gh}
apps:
  web:
    repository: acme/web
    default_ref: main
    rooms: [C0OPS]
    announce: [{room: C0REL, environments: [production]}]
    environments:
      staging:
        required_contexts: []
        auto_deploy: [{on: push, branch: main}, {on: push, branch: "release/*"}, {on: push, tag: "v*"}]
      qa: {auto_deploy: [{on: green, branch: main}]}
      production:
        required_contexts: []
        auto_deploy: [{on: merge, branch: main}]
        approvals: {required: 1}
"""


def auto(world: World, environment: str = "staging") -> World:
    """Restarts the bot with just one environment's rules."""
    lines = [line for line in CONFIG.splitlines() if line.strip()]
    found = [lines.index(line) for line in lines if line.startswith("      ") and not line.startswith("       ")]
    keep = next(i for i in found if lines[i].strip().startswith(f"{environment}:"))
    end = next((i for i in found if i > keep), len(lines))
    return begin(world, "\n".join([*lines[: found[0]], *lines[keep:end]]))


def begin(world: World, config: str = CONFIG) -> World:
    world.config = config
    world.restart()
    return world


def push(world: World, message: str = "Update", branch: str = "main", author: str = "ana-gh") -> str:
    """Somebody pushes, and GitHub tells the bot."""
    sha = world.github.push("acme/web", branch, message, author=author)
    world.deliver()
    return sha


def held_back(world: World) -> list[Delivery]:
    """What GitHub has to tell, taken out of its queue."""
    found = list(world.github.pending)
    world.github.pending.clear()
    return found


def tell(world: World, *deliveries: Delivery) -> None:
    for delivery in deliveries:
        world.github.deliver(delivery)
        world.settle()


def sent(world: World) -> list[tuple[str, str]]:
    return [(body["environment"], body["ref"]) for body in writes(world)]


def states(world: World) -> list[str]:
    with world.store.read() as connection:
        return list(connection.execute(sa.select(deploys.c.state).order_by(deploys.c.number)).scalars())


def test_a_push_goes_out_and_the_card_says_by_which_rule_and_for_whom(world: World) -> None:
    auto(world)
    sha = push(world, "Fix the prices", author="ben-gh")
    [body] = writes(world)
    assert (body["ref"], body["environment"], body["auto_merge"]) == (sha, "staging", False)
    assert (body["payload"]["user"], body["payload"]["room_id"]) == ("ben-gh", "C0OPS")
    assert body["payload"]["notify"]["user"] == "U0BEN"
    assert "deploy_user" not in body["payload"]
    assert cards(world)[0].splitlines() == [
        f":large_yellow_circle: *web* to *staging* · `main` at {sha[:7]} · #1 for @ben",
        "Handed to GitHub, waiting for a deployer to pick it up · asked 2026-03-02 09:00 UTC",
        ":robot_face: By rule: every push to `main`",
        "[Cancel]",
    ]
    world.report("success")
    assert "Live after 0 s" in cards(world)[0]
    assert "@ben" in thread(world)[-1]


def test_somebody_without_slack_is_called_by_their_login(world: World) -> None:
    auto(world)
    sha = push(world, author="cal-gh")
    assert f"`main` at {sha[:7]} · #1 for `cal-gh`" in cards(world)[0]
    world.report("success")
    assert thread(world)[-1].startswith(":large_green_circle: Live after 0 s")


def test_branches_and_tags_are_those_of_the_rules(world: World) -> None:
    auto(world)
    push(world, branch="topic")
    assert sent(world) == []
    release = push(world, branch="release/2.0")
    assert sent(world) == [("staging", release)]
    world.report("success")
    world.github.tag("acme/web", "nightly", "topic")
    world.deliver()
    assert sent(world) == [("staging", release)]
    world.github.tag("acme/web", "v2.0", "topic")
    world.deliver()
    assert sent(world) == [("staging", release), ("staging", world.github.head("acme/web", "topic"))]
    assert ":robot_face: By rule: every push to `v2.0`" in cards(world)[-1]


def test_what_asks_for_nothing(world: World) -> None:
    auto(world)
    push(world, "Mend a comment\n\n[Skip Deploy]")
    world.github.delete_branch("acme/web", "topic")
    push(world, branch="release/1")
    world.report("success")
    world.github.delete_branch("acme/web", "release/1")
    world.deliver()
    assert [body["payload"]["ref"] for body in writes(world)] == ["release/1"]


def test_one_that_is_skipped_leaves_the_one_before_it(world: World) -> None:
    auto(world)
    good = world.github.push("acme/web", "main", "Fix it")
    world.github.push("acme/web", "main", "Mend a comment [skip deploy]")
    world.deliver()
    assert sent(world) == [("staging", good)]
    world.report("success")
    old = push(world, "Fix more")
    world.report("success")
    assert sent(world)[1:] == [("staging", old)]
    first = next(item for item in world.github.deliveries if item.event == "push" and item.payload["after"] == good)
    push(world, "And a word [skip deploy]")
    again = first.headers | {"X-GitHub-Delivery": "told again by hand"}
    world.github.deliver(Delivery(**{**vars(first), "headers": again}))
    world.settle()
    world.advance(seconds=10)
    assert sent(world)[2:] == []


def test_events_twice_and_in_the_wrong_order_with_hours_between(world: World) -> None:
    auto(world)
    world.github.push("acme/web", "main", "One")
    two = world.github.push("acme/web", "main", "Two", author="ben-gh")
    first, second = held_back(world)
    tell(world, second, second)
    assert sent(world) == [("staging", two)]
    assert "#1 for @ben" in cards(world)[0]
    world.report("success")
    world.advance(hours=3)
    tell(world, first, second, first)
    world.advance(hours=3)
    assert sent(world) == [("staging", two)]
    assert states(world) == ["success"]


def test_two_pushes_within_a_second(world: World) -> None:
    auto(world)
    world.github.push("acme/web", "main", "One")
    two = world.github.push("acme/web", "main", "Two", author="ben-gh")
    first, second = held_back(world)
    tell(world, first)
    assert sent(world) == []  # who pushed the head is told in a moment
    tell(world, second)
    assert sent(world) == [("staging", two)]
    assert "#1 for @ben" in cards(world)[0]


def test_a_push_whose_webhook_is_lost_goes_without_a_name(world: World) -> None:
    auto(world)
    world.github.push("acme/web", "main", "One")
    two = world.github.push("acme/web", "main", "Two")
    first, _ = held_back(world)
    tell(world, first)
    world.restart()
    world.advance(seconds=10)
    assert sent(world) == [("staging", two)]
    assert cards(world)[0].splitlines()[0].endswith(" · #1")
    world.report("failure")
    assert thread(world)[-1].startswith(":red_circle: Failed after 0 s")
    assert "somebody" not in thread(world)[-1]


def test_green_however_late_and_only_when_something_reported(world: World) -> None:
    auto(world, "qa")
    sha = push(world)
    assert sent(world) == []
    assert "Checks: none has reported yet" in cards(world)[0]
    world.github.set_status("acme/web", sha, "ci/build", "pending")
    world.deliver()
    world.advance(hours=5)
    assert "Checks: `ci/build` is still running" in cards(world)[0]
    world.restart()
    world.github.set_status("acme/web", sha, "ci/build", "success")
    world.deliver()
    world.deliver()
    assert sent(world) == [("qa", sha)]
    assert ":robot_face: By rule: every push to `main`, once it is green" in cards(world)[0]


def test_green_before_the_push_is_told(world: World) -> None:
    auto(world, "qa")
    sha = world.github.push("acme/web", "main", "Quick")
    [pushed] = held_back(world)
    world.github.set_check_run("acme/web", sha, "ci", conclusion="success")
    world.deliver()
    assert sent(world) == []
    tell(world, pushed)
    assert sent(world) == [("qa", sha)]


def test_green_after_it_was_given_up(world: World) -> None:
    auto(world, "qa")
    sha = push(world)
    world.github.set_status("acme/web", sha, "ci/build", "failure")
    world.deliver()
    asked = len([item for item in world.github.requests if "/statuses" in item.path])
    world.advance(days=3)
    assert states(world) == ["expired"]
    world.advance(days=2)
    looks = len([item for item in world.github.requests if "/statuses" in item.path]) - asked
    assert looks < 5, "it asks no more once it is given up"
    world.github.set_status("acme/web", sha, "ci/other", "success")
    world.deliver()
    assert states(world) == ["expired"]
    world.github.set_status("acme/web", sha, "ci/build", "success")
    world.deliver()
    assert sent(world) == [("qa", sha)]
    world.github.set_status("acme/web", sha, "ci/more", "success")
    world.deliver()
    assert states(world) == ["expired", "created"]


def test_a_lock_lifted_while_three_wait_lets_only_the_newest_go(world: World) -> None:
    auto(world)
    world.say("U0ANA", "/deploy lock web in staging")  # her own, and her pushes wait for it all the same
    one, two, three = (push(world, message) for message in ("One", "Two", "Three"))
    assert sent(world) == []
    assert states(world) == ["superseded", "superseded", "held"]
    assert cards(world)[0].splitlines()[:2] == [
        f":track_next: *web* to *staging* · `main` at {one[:7]} · #1 for `ana-gh`",
        f"Its branch is at `{two[:7]}` now, which #2 deploys. Nothing of this one was deployed.",
    ]
    assert "Locked by @ana" in cards(world)[2]
    world.restart()
    world.say("U0ANA", "/deploy unlock web in staging")
    assert sent(world) == [("staging", three)]


def test_it_waits_behind_one_under_way(world: World) -> None:
    auto(world)
    one = push(world, "One")
    push(world, "Two")
    three = push(world, "Three")
    assert sent(world) == [("staging", one)]
    world.report("success")
    assert sent(world) == [("staging", one), ("staging", three)]
    assert states(world) == ["success", "superseded", "created"]


def test_a_branch_that_is_set_back(world: World) -> None:
    auto(world)
    one = push(world, "One")
    world.report("success")
    world.say("U0BEN", "/deploy lock web in staging")
    push(world, "Two")
    assert states(world) == ["success", "held"]
    world.github.reset_branch("acme/web", "main", one)
    world.deliver()
    assert states(world) == ["success", "superseded"]
    world.say("U0BEN", "/deploy unlock web in staging")
    two = push(world, "Three")
    world.report("success")
    world.github.reset_branch("acme/web", "main", one)
    world.deliver()
    assert sent(world) == [("staging", one), ("staging", two), ("staging", one)]


def test_what_a_person_asked_for_already(world: World) -> None:
    auto(world)
    sha = world.github.push("acme/web", "main", "One")
    [pushed] = held_back(world)
    world.say("U0ANA", "/deploy web to staging")
    tell(world, pushed)
    world.deliver()
    world.report("success")
    tell(world, pushed)
    assert sent(world) == [("staging", sha)]
    assert states(world) == ["success"]


def test_cancelled_stays_cancelled(world: World) -> None:
    auto(world, "qa")
    push(world)
    world.say("U0ANA", "/deploy cancel 1")
    world.restart()
    world.github.set_status("acme/web", "main", "ci", "success")
    world.deliver()
    tell(world, next(item for item in world.github.deliveries if item.event == "push"))
    assert sent(world) == []
    assert states(world) == ["cancelled"]


def test_a_merge_says_who_merged_it_and_hands_on_who_wrote_it(world: World) -> None:
    auto(world, "production")
    world.github.push("acme/web", "topic", "New prices", author="cal-gh")
    number = world.github.open_pull_request("acme/web", "topic", author="cal-gh")
    world.deliver()
    push(world, "Past all review")
    assert sent(world) == []
    merged = world.github.close_pull_request("acme/web", number, merged=True, by="ben-gh")
    assert merged is not None
    world.deliver()
    assert f"`main` at {merged[:7]} · #1 for @ben" in cards(world, "C0REL")[0]
    assert ":robot_face: By rule: every merge into `main` · pull request 1" in cards(world, "C0REL")[0]
    assert cards(world) == []
    world.say("U0BEN", "/deploy approve 1")
    assert sent(world) == []  # his own merge
    world.say("U0ANA", "/deploy approve 1")
    [body] = writes(world)
    assert (body["ref"], body["payload"]["deploy_user"], body["payload"]["user"]) == (merged, "cal-gh", "ben-gh")


def test_retried_it_still_says_whose_pull_request_it_was(world: World) -> None:
    auto(world, "production")
    number = world.github.open_pull_request("acme/web", "topic", author="cal-gh")
    world.github.close_pull_request("acme/web", number, merged=True, by="ben-gh")
    world.deliver()
    world.say("U0ANA", "/deploy approve 1")
    world.deliver()
    world.report("failure")
    assert world.slack.click("U0BEN", "C0REL", posted(world.slack, "C0REL")[0].ts, "deploy_retry").ok
    world.settle()
    assert ":repeat: Tries #1 again" in cards(world)[0]
    world.say("U0ANA", "/deploy approve 2")
    assert [body["payload"].get("deploy_user") for body in writes(world)] == ["cal-gh", "cal-gh"]


def test_merges_in_the_wrong_order_and_one_that_was_only_closed(world: World) -> None:
    auto(world, "production")
    world.github.push("acme/web", "docs", "Docs")
    merges = []
    for branch in ("topic", "docs"):
        number = world.github.open_pull_request("acme/web", branch)
        world.clock.moment = world.clock.moment.replace(minute=number)
        merges.append(world.github.close_pull_request("acme/web", number, merged=True))
    world.github.push("acme/web", "idea", "Idea")
    world.github.close_pull_request("acme/web", world.github.open_pull_request("acme/web", "idea"))
    tell(world, *reversed([item for item in held_back(world) if item.event == "pull_request"]))
    assert states(world) == ["held"]
    world.say("U0BEN", "/deploy approve 1")
    assert sent(world) == [("production", merges[1])]


def test_a_merge_and_its_push_are_one_deploy(world: World) -> None:
    begin(
        world,
        """
        apps:
          web:
            repository: acme/web
            rooms: [C0OPS]
            environments:
              production: {required_contexts: [], auto_deploy: [{on: merge, branch: main}, {on: push, branch: main}]}
        """,
    )
    for turned in (False, True):
        branch = f"topic-{turned}"
        world.github.push("acme/web", branch, "Work")
        number = world.github.open_pull_request("acme/web", branch)
        held_back(world)
        merged = world.github.close_pull_request("acme/web", number, merged=True)
        told = held_back(world)
        tell(world, *(reversed(told) if turned else told))
        world.advance(seconds=10)
        assert sent(world)[-1] == ("production", merged)
        world.report("success")
    assert len(sent(world)) == 2


def test_a_success_by_rule_is_carried_on_by_rule(world: World) -> None:
    begin(
        world,
        """
        users: {U0CAL: cal-gh}
        apps:
          web:
            repository: acme/web
            rooms: [C0OPS]
            environments:
              staging: {required_contexts: [], auto_deploy: [{on: push, branch: main}]}
              production:
                {required_contexts: [], promote_from: staging, deployers: [U0ANA], approvals: {required: 1}}
        """,
    )
    push(world, "One", author="ben-gh")
    world.report("success")
    push(world, "Two", author="ben-gh")
    world.report("success")
    assert states(world) == ["success", "superseded", "success", "held"]
    world.say("U0CAL", "/deploy approve 4")
    assert sent(world)[-1] == ("production", world.github.head("acme/web", "main"))


def test_who_could_be_the_one_who_pushed_does_not_agree_to_it(world: World) -> None:
    begin(
        world,
        """
        users: {U0CAL: cal-gh}
        apps:
          web:
            repository: acme/web
            rooms: [C0OPS]
            environments:
              production:
                required_contexts: []
                auto_deploy: [{on: push, branch: main}]
                approvals: {approvers: [U0CAL, U0ANA]}
        """,
    )
    push(world, "One", author="ben-gh")
    assert alone(world, "/deploy approve 1", "U0ANA") == (
        ":no_entry: #1 is for `ben-gh` at GitHub. I don't know your GitHub login, so that could be you. "
        "`/deploy login` links you, or whoever runs me can under `users:` in my config."
    )
    assert states(world) == ["held"]
    assert alone(world, "/deploy approve 1", "U0CAL") == "You approved #1."
    assert states(world) == ["created"]
    world.report("success")

    push(world, "Two", author="ben-gh")
    assert alone(world, "/deploy reject 2", "U0ANA") == "You rejected #2."  # no is no, whoever says so

    push(world, "Three", author="dependabot[bot]")  # which is nobody in Slack
    assert alone(world, "/deploy approve 3", "U0ANA") == "You approved #3."
    assert states(world) == ["success", "refused", "created"]


def test_every_step_may_be_the_last_before_a_restart(world: World) -> None:
    auto(world)
    for message in ("One", "Two"):
        sha = world.github.push("acme/web", "main", message)
        for _ in range(2):  # the push, then what GitHub tells of the deployment
            world.github.deliver()  # stored, and nobody has looked at it
            assert one_job_at_a_time(world) > 1
        world.report("success")
        assert sent(world)[-1] == ("staging", sha)
    world.github.push("acme/web", "main", "Three")
    world.github.deliver()
    assert each_job_taken_to_the_grave(world) > 3
    assert len(sent(world)) == 3
    assert world.dead() == []
