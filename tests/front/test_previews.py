"""Previews of pull requests, read as a chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot.playground.github import Delivery
from tests.front.chat import ask, cards, newest, posted, thread, writes
from tests.front.test_restarts import each_job_taken_to_the_grave, one_job_at_a_time
from tests.world import World

CONFIG = """
admins: [U0CAL]
users: {U0ANA: ana-gh, U0BEN: ben-gh}
apps:
  web:
    repository: acme/web
    default_ref: main
    rooms: [C0OPS]
    previews: {label: preview, teardown_task: teardown}
    environments:
      production: {}
"""
EVERY = CONFIG.replace("label: preview, ", "")
QUIET = CONFIG.replace(", teardown_task: teardown", "")

Make = Callable[..., World]
SLOW = pytest.mark.slow


def opened(world: World, head: str = "topic", **options: Any) -> int:
    """Ana opens a pull request, with the label."""
    options = {"title": "Fix the login loop", "labels": ("preview",), **options}
    number = world.github.open_pull_request("acme/web", head, **options)
    world.deliver()
    return number


def deployed(world: World, state: str = "success", hears: bool = True) -> None:
    """The deployer ends whatever it has not ended yet, and what comes of that."""
    for _ in range(20):
        world.deliver()
        waiting = [one for one in reversed(world.github.deployments("acme/web")) if not statuses(world, one["id"])]
        if not waiting:
            return
        for one in waiting if hears else ():
            up = state == "success" and one["task"] == "deploy"
            url = f"https://{one['environment']}.example" if up else ""
            world.github.report("acme/web", one["id"], state, environment_url=url)
    raise AssertionError("there is always something more to deploy")


def statuses(world: World, deployment: int) -> list[str]:
    """The states of a deployment, the newest first."""
    return [status["state"] for status in world.github.statuses("acme/web", deployment)]


def asked(world: World) -> list[str]:
    """What GitHub was asked to deploy, in a few words each."""
    return [f"{body['task']} {body['ref'][:7]} to {body['environment']}" for body in writes(world)]


def sha(world: World, branch: str = "topic") -> str:
    return world.github.head("acme/web", branch)[:7]


def shown(world: World) -> list[str]:
    """The lines of the one card there is."""
    (card,) = cards(world)
    return card.splitlines()


def pending(world: World) -> list[Delivery]:
    """What GitHub has to tell, taken away from it."""
    taken = list(world.github.pending)
    world.github.pending.clear()
    return taken


def looks(world: World) -> int:
    """How often GitHub was asked how the first pull request is."""
    return sum(one.path.endswith("/pulls/1") for one in world.github.requests)


def deliver(world: World, *deliveries: Delivery) -> None:
    for delivery in deliveries:
        world.github.deliver(delivery)
        world.settle()


def test_a_preview_from_the_first_to_the_last(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = opened(world, author="ben-gh")
    first = sha(world)
    assert asked(world) == [f"deploy {first} to pr-1"]
    body = writes(world)[0]
    assert (body["transient_environment"], body["production_environment"]) == (True, False)
    assert (body["required_contexts"], body["auto_merge"]) == ([], False)
    payload = body["payload"]
    assert (payload["pull_request"], payload["deploy_user"], payload["ref"]) == (number, "ben-gh", "topic")
    assert shown(world) == [
        f":large_yellow_circle: *web* to *pr-1* · `topic` at {first} · #1 for @ben",
        "Handed to GitHub, waiting for a deployer to pick it up · asked 2026-03-02 09:00 UTC",
        ":seedling: Preview of pull request 1, “Fix the login loop” by `ben-gh`",
        ":robot_face: By rule: every pull request",
        "[Cancel]",
    ]
    deployed(world)
    assert shown(world)[1] == "Live after 0 s"
    assert shown(world)[-1] == "[Open]"

    world.advance(minutes=5)
    world.github.push("acme/web", "topic", "Try again")
    world.deliver()
    second = sha(world)
    # The one before is to be seen until this one is there.
    assert shown(world)[0].startswith(f":large_yellow_circle: *web* to *pr-1* · `topic` at {second} · #2")
    assert shown(world)[-1] == "[Open] [Cancel]"
    deployed(world)

    world.advance(minutes=5)
    world.github.close_pull_request("acme/web", number, merged=True)
    world.deliver()
    deployed(world)
    assert asked(world) == [f"deploy {first} to pr-1", f"deploy {second} to pr-1", f"teardown {second} to pr-1"]
    assert [statuses(world, one["id"]) for one in world.github.deployments("acme/web")] == [["inactive", "success"]] * 3
    assert shown(world) == [
        f":white_circle: *web* `teardown` to *pr-1* · `topic` at {second} · #3 for @ben",
        "Gone since 2026-03-02 09:10 UTC",
        ":seedling: Preview of pull request 1, “Fix the login loop” by `ben-gh`",
        ":wastebasket: Takes the preview down",
    ]
    assert thread(world) == [
        ":large_green_circle: Live after 0 s · `deployer` · @ben · Open",
        f":arrows_counterclockwise: #2 brings `topic` at `{second}`",
        ":large_green_circle: Live after 0 s · `deployer` · @ben · Open",
        ":wastebasket: #3 takes it down",
        ":white_circle: Taken down after 0 s · `deployer` · @ben",
        ":wastebasket: Marked inactive at GitHub",
    ]
    world.github.push("acme/web", "main", "Something else")
    world.deliver()
    assert len(asked(world)) == 3


def test_listings_name_the_previews_that_are_up(make_world: Make) -> None:
    world = make_world(config=EVERY)
    for branch in ("topic", "docs", "style"):
        world.github.push("acme/web", branch, f"Write {branch}")
        opened(world, branch, labels=())
    deployed(world)
    world.github.close_pull_request("acme/web", 2)
    deployed(world)
    for words in ("where web", "status web"):
        assert ask(world, f"/deploy {words}").splitlines()[-1] == ":seedling: 2 previews: *pr-1* (Open), *pr-3* (Open)"
    world.slack.open_home("U0ANA")
    world.settle()
    home = world.slack.home("U0ANA")
    assert home is not None
    assert ":seedling: 2 previews: *pr-1* (Open), *pr-3* (Open)" in world.slack.text_of(home).splitlines()
    assert "preview" not in ask(world, "/deploy status web in production")
    assert "went live" in ask(world, "/deploy status web in pr-3")
    history = ask(world, "/deploy history web in pr-2").splitlines()
    assert history[0] == "Deploys of *web* in *pr-2*, newest first"
    assert "taken down" in history[1]
    assert "was live" in history[2] or "went live" in history[2]
    assert "Nothing of *web* is live in *production*" in ask(world, "/deploy diff web")


def test_only_with_the_label_where_one_is_asked_for(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = opened(world, labels=("bug",))
    world.github.push("acme/web", "topic", "More")
    world.deliver()
    assert asked(world) == []

    world.advance(minutes=1)
    world.github.label("acme/web", number, "Preview")
    deployed(world)
    world.advance(minutes=1)
    world.github.label("acme/web", number, "urgent")
    deployed(world)
    assert asked(world) == [f"deploy {sha(world)} to pr-1"]

    world.advance(minutes=1)
    world.github.unlabel("acme/web", number, "Preview")
    deployed(world)
    assert asked(world)[1:] == [f"teardown {sha(world)} to pr-1"]
    assert shown(world)[1].startswith("Gone")
    world.advance(minutes=1)
    world.github.push("acme/web", "topic", "Still more")
    world.deliver()
    assert len(asked(world)) == 2

    world.github.label("acme/web", number, "preview")
    deployed(world)
    assert asked(world)[2:] == [f"deploy {sha(world)} to pr-1"]
    assert shown(world)[1] == "Live after 0 s"


def test_every_pull_request_where_no_label_is_asked_for(make_world: Make) -> None:
    world = make_world(config=EVERY)
    opened(world, labels=())
    assert asked(world) == [f"deploy {sha(world)} to pr-1"]


def test_opened_again_it_is_there_again(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = opened(world)
    deployed(world)
    for _ in range(2):
        world.advance(minutes=1)
        world.github.close_pull_request("acme/web", number)
        deployed(world)
        world.advance(minutes=1)
        world.github.reopen_pull_request("acme/web", number)
        deployed(world)
    assert [words.split()[0] for words in asked(world)] == ["deploy", "teardown", "deploy", "teardown", "deploy"]
    assert shown(world)[1] == "Live after 0 s"
    assert ":seedling: 1 preview: *pr-1* (Open)" in ask(world, "/deploy where web")


@pytest.mark.parametrize(
    ("times", "backwards", "pause"),
    [(1, False, 0), (2, True, 0), pytest.param(2, False, 7, marks=SLOW), pytest.param(1, True, 7, marks=SLOW)],
    ids=["within a second", "twice and backwards", "twice with hours between", "backwards with hours between"],
)
def test_whatever_the_order_of_events(make_world: Make, times: int, backwards: bool, pause: int) -> None:
    """Open, close, open, push, close, open; the same told backwards comes to the same end."""
    world = make_world(config=EVERY)
    number = world.github.open_pull_request("acme/web", "topic")
    for act in ("close", "reopen", "push", "close", "reopen"):
        world.clock.moment = world.clock.moment.replace(hour=world.clock.moment.hour + (1 if pause else 0))
        if act == "push":
            world.github.push("acme/web", "topic", "More")
        else:
            getattr(world.github, f"{act}_pull_request")("acme/web", number)
    told = pending(world)
    for delivery in reversed(told) if backwards else told:
        for _ in range(times):
            deliver(world, delivery)
            world.advance(hours=pause)
    deployed(world)
    assert asked(world)[-1] == f"deploy {sha(world)} to pr-1"
    assert shown(world)[1].startswith("Live after")
    if backwards:
        assert len(asked(world)) == 1  # all the others were older

    world.github.close_pull_request("acme/web", number)
    (close,) = pending(world)
    deliver(world, close, *told)
    deployed(world)
    assert asked(world)[-1] == f"teardown {sha(world)} to pr-1"
    assert shown(world)[1].startswith("Gone")


def test_two_events_of_one_second_are_asked_about_once_and_not_without_end(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = world.github.open_pull_request("acme/web", "topic", labels=("preview",))
    world.github.fail("GET", ".*/pulls/1", status=502, times=2)  # which the client asks twice by itself
    world.deliver()
    assert asked(world) == []
    world.advance(minutes=5)
    deployed(world)
    assert asked(world) == [f"deploy {sha(world)} to pr-1"]
    assert looks(world) == 3

    world.advance(minutes=1)
    world.github.fail("GET", ".*/pulls/1", status=403, body={"message": "Resource not accessible by integration"})
    world.github.label("acme/web", number, "urgent")
    world.github.unlabel("acme/web", number, "preview")
    world.deliver()
    world.advance(hours=1)
    assert looks(world) == 4
    assert "the permission *Pull requests: read*" in newest(world, world.slack.direct_room("U0ANA"))
    assert len(asked(world)) == 1
    world.restart()
    deployed(world)
    assert asked(world)[1:] == [f"teardown {sha(world)} to pr-1"]
    assert looks(world) == 5


def test_closed_while_it_waits_nothing_goes_out(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    world.say("U0BEN", "/deploy lock web because demo")
    number = opened(world)
    assert "Waiting for" in shown(world)[1]
    world.advance(minutes=1)
    world.github.close_pull_request("acme/web", number)
    world.deliver()
    assert shown(world)[1] == "Pull request 1 was closed. Nothing was deployed."
    world.say("U0BEN", "/deploy unlock web")
    deployed(world)
    assert asked(world) == []
    assert shown(world)[-1] == ":robot_face: By rule: every pull request"  # and no button
    assert "is closed, so there is no *pr-1* any more" in ask(world, "/deploy retry 1")


def test_closed_while_it_is_under_way_it_is_taken_down_after_it(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = opened(world)
    world.github.close_pull_request("acme/web", number)
    world.deliver()
    assert len(asked(world)) == 1
    assert any("#1" in line for line in shown(world)[2:])  # which it stands behind
    deployed(world)
    assert asked(world)[1:] == [f"teardown {sha(world)} to pr-1"]
    assert shown(world)[1].startswith("Gone")


def test_opened_again_before_it_is_taken_down_it_stays(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = opened(world)
    deployed(world)
    world.say("U0BEN", "/deploy lock web because demo")
    world.github.close_pull_request("acme/web", number)
    world.deliver()
    assert "Waiting for" in shown(world)[1]
    world.github.reopen_pull_request("acme/web", number)
    world.deliver()
    assert shown(world)[1] == "Live after 0 s"
    assert thread(world)[-1] == ":seedling: The pull request is wanted again, so #1 stays"
    world.say("U0BEN", "/deploy unlock web")
    deployed(world)
    assert len(asked(world)) == 1
    assert "cancelled" in ask(world, "/deploy history web in pr-1")


def test_of_what_waits_only_the_newest_commit_goes(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    world.say("U0BEN", "/deploy lock web because demo")
    opened(world)
    for number in range(2):
        world.github.push("acme/web", "topic", f"Change {number}")
        world.deliver()
    assert shown(world)[0].endswith("#3 for @ana")
    world.say("U0BEN", "/deploy unlock web")  # a lock of the whole app holds its previews, and lets them go
    deployed(world)
    assert asked(world) == [f"deploy {sha(world)} to pr-1"]
    assert "superseded" in ask(world, "/deploy history web in pr-1")


def test_a_freeze_of_everything_holds_previews_too(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    world.say("U0CAL", "/deploy freeze because the move")
    opened(world)
    assert asked(world) == []
    world.say("U0CAL", "/deploy unfreeze")
    assert asked(world) == [f"deploy {sha(world)} to pr-1"]


def test_one_preview_can_be_locked(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    opened(world)
    deployed(world)
    world.say("U0BEN", "/deploy lock web in pr-1 because I look at it")
    assert "*web* / *pr-1*" in ask(world, "/deploy locks")
    world.github.push("acme/web", "topic", "More")
    world.deliver()
    assert len(asked(world)) == 1
    world.say("U0BEN", "/deploy unlock web in pr-1")
    assert len(asked(world)) == 2


def test_a_teardown_that_fails_is_tried_again(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = opened(world)
    deployed(world)
    world.github.close_pull_request("acme/web", number)
    deployed(world, "failure")
    assert shown(world)[1] == "Failed after 0 s"
    assert shown(world)[-1] == "[Retry]"
    assert "1 preview" in ask(world, "/deploy where web")

    (card,) = posted(world.slack)
    assert world.slack.click("U0BEN", "C0OPS", card.ts, "deploy_retry").ok
    world.settle()
    deployed(world)
    assert asked(world)[1:] == [f"teardown {sha(world)} to pr-1"] * 2
    assert shown(world)[1].startswith("Gone")
    assert thread(world)[-3].startswith(":wastebasket: #3 takes it down")
    assert "preview" not in ask(world, "/deploy where web")
    states = [statuses(world, one["id"])[0] for one in world.github.deployments("acme/web")]
    assert states == ["inactive", "failure", "inactive"]


def test_without_a_task_it_is_marked_inactive_at_once(make_world: Make) -> None:
    world = make_world(config=QUIET)
    number = opened(world)
    deployed(world)
    world.advance(minutes=5)
    world.github.close_pull_request("acme/web", number)
    world.deliver()
    (deployment,) = world.github.deployments("acme/web")
    assert statuses(world, deployment["id"]) == ["inactive", "success"]
    assert shown(world)[1] == "Gone since 2026-03-02 09:05 UTC"
    assert thread(world)[-1] == ":wastebasket: Marked inactive at GitHub"
    assert "preview" not in ask(world, "/deploy where web")

    world.github.reopen_pull_request("acme/web", number)
    world.deliver()
    world.github.close_pull_request("acme/web", number)
    world.deliver()
    second = world.github.deployments("acme/web")[0]
    assert statuses(world, second["id"]) == []  # it is under way, and ends first
    deployed(world)
    assert statuses(world, second["id"]) == ["inactive", "success"]


def test_nothing_to_take_down_is_nothing_to_do(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = opened(world, labels=())
    world.github.close_pull_request("acme/web", number)
    deployed(world)
    assert asked(world) == cards(world) == world.waiting() == []


def test_a_check_that_is_red_keeps_a_preview_only_where_it_is_asked_for(make_world: Make) -> None:
    world = make_world(config=CONFIG.replace("label: preview", "label: preview, required_contexts: [ci/build]"))
    number = opened(world)
    assert asked(world) == []
    world.github.set_status("acme/web", "topic", "ci/build", "success")
    deployed(world)
    assert len(asked(world)) == 1
    assert writes(world)[0]["required_contexts"] == ["ci/build"]
    world.github.set_status("acme/web", "topic", "ci/build", "failure")
    world.github.close_pull_request("acme/web", number)
    deployed(world)
    assert asked(world)[1:] == [f"teardown {sha(world)} to pr-1"]  # which waits for no check
    assert writes(world)[1]["required_contexts"] == []


def forked(world: World, **options: Any) -> int:
    """Somebody whom nobody knows opens a pull request from a fork."""
    fork = world.github.fork_repository("acme/web", "mallory")
    world.github.push(fork, "patch", "Mine bitcoin", author="mallory")
    number = world.github.open_pull_request(
        "acme/web", "patch", source=fork, author="mallory", labels=("preview",), **options
    )
    world.deliver()
    return number


def test_a_fork_is_deployed_only_when_somebody_who_may_write_asks(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = forked(world)
    world.github.push("mallory/web", "patch", "More", author="mallory")
    world.deliver()
    assert cards(world) == asked(world) == []

    world.github.set_permission("acme/web", "ana-gh", "read")
    assert "`write`" in ask(world, "/deploy web to pr-1")
    assert "/deploy login" in ask(world, "/deploy web to pr-1", "U0CAL")
    assert "/deploy login" in ask(world, "/deploy web/topic to pr-1", "U0CAL")
    assert asked(world) == []

    world.say("U0BEN", "/deploy web to pr-1")
    head = world.github.head("mallory/web", "patch")
    assert asked(world) == [f"deploy {head[:7]} to pr-1"]
    deployed(world)
    assert shown(world)[:3] == [
        f":large_green_circle: *web* to *pr-1* · `patch` at {head[:7]} · #1 for @ben",
        "Live after 0 s",
        ":seedling: Preview of pull request 1, “Mine bitcoin” by `mallory`, from `mallory/web`",
    ]
    world.github.push("mallory/web", "patch", "What nobody has read", author="mallory")
    deployed(world)
    assert len(asked(world)) == 1  # that permission was for what was there then

    world.github.close_pull_request("acme/web", number)
    deployed(world)
    assert asked(world)[1:] == [f"teardown {head[:7]} to pr-1"]
    assert shown(world)[1].startswith("Gone")


def test_a_pull_request_that_nothing_was_heard_of_counts_as_a_forks(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = world.github.open_pull_request("acme/web", "topic")
    pending(world)
    assert "not heard of pull request 1 of *web* yet" in ask(world, "/deploy web to pr-1")
    assert "/deploy login" in ask(world, "/deploy web/topic to pr-1", "U0CAL")
    world.say("U0ANA", "/deploy web/topic to PR-1")
    deployed(world)
    world.github.close_pull_request("acme/web", number)
    deployed(world)
    assert [words.split()[0] for words in asked(world)] == ["deploy", "teardown"]


def test_somebody_asks_for_a_preview_by_hand(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    opened(world, labels=())
    world.say("U0CAL", "/deploy web to pr-1")
    deployed(world)
    assert shown(world)[0].endswith("#1 for @cal")
    world.github.push("acme/web", "topic", "More")
    deployed(world)
    assert len(asked(world)) == 1
    world.say("U0ANA", "/deploy web to pr-1")
    deployed(world)
    assert shown(world)[0].endswith("#2 for @ana")  # in the place of the first
    assert f":arrows_counterclockwise: #2 brings `topic` at `{sha(world)}`, for @ana" in thread(world)
    assert "has no environment `pr-x`" in ask(world, "/deploy web to pr-x")


def test_three_pull_requests_at_once(make_world: Make) -> None:
    world = make_world(config=EVERY)
    for branch in ("topic", "docs", "style"):
        world.github.push("acme/web", branch, f"Write {branch}")
        world.github.open_pull_request("acme/web", branch, author="cal-gh")
    told = pending(world)
    for delivery in [*told[::2], *told[1::2]]:
        world.github.deliver(delivery)
    world.settle()
    deployed(world)
    assert len(cards(world)) == 3
    assert sorted(body["environment"] for body in writes(world)) == ["pr-1", "pr-2", "pr-3"]
    for number in (1, 2, 3):
        world.github.close_pull_request("acme/web", number)
    deployed(world)
    assert all("Gone since" in card for card in cards(world))


def test_a_new_title_is_on_the_card(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    opened(world, title="WIP <!channel>")
    deployed(world)
    assert "WIP <!channel>" in shown(world)[2] or "WIP &lt;!channel&gt;" in shown(world)[2]
    world.clock.moment = world.clock.moment.replace(minute=1)
    world.github.repository("acme/web").pulls[1].title = "Fix it"
    world.github.label("acme/web", 1, "ready")
    world.deliver()
    assert "“Fix it”" in shown(world)[2]


def test_what_can_not_be_deployed_is_told_to_who_wrote_it(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = world.github.open_pull_request("acme/web", "topic", labels=("preview",))
    world.github.hide_repository("acme/web")
    world.deliver()
    world.advance(minutes=1)
    assert "GitHub shows me no repository" in newest(world, world.slack.direct_room("U0ANA"))
    assert cards(world) == []
    world.github.hide_repository("acme/web", False)
    world.github.label("acme/web", number, "more")
    deployed(world)
    assert len(asked(world)) == 1


def test_a_room_for_previews_alone(make_world: Make) -> None:
    announced = 'announce: [{room: C0REL, environments: ["pr-{number}"]}]\n    previews: '
    world = make_world(config=CONFIG.replace("previews: ", announced))
    opened(world)
    deployed(world)
    assert cards(world) == []
    assert [card.splitlines()[1] for card in cards(world, "C0REL")] == ["Live after 0 s"]


def test_the_environment_gets_another_name(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = opened(world)
    deployed(world)
    world.github.close_pull_request("acme/web", number)
    deployed(world)
    world.config = CONFIG.replace("label:", 'environment: "{number}-web", label:')
    world.restart()
    world.github.reopen_pull_request("acme/web", number)
    deployed(world)
    assert asked(world)[2:] == [f"deploy {sha(world)} to 1-web"]


def test_a_repository_is_renamed_while_previews_are_up(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = opened(world)
    deployed(world)
    world.github.rename_repository("acme/web", "acme/shop")
    world.config = CONFIG.replace("acme/web", "acme/shop")
    world.restart()
    world.advance(minutes=1)
    world.github.push("acme/shop", "topic", "More")
    world.deliver()
    assert len(writes(world)) == 2
    world.report("success", repository="acme/shop")
    world.advance(minutes=1)
    world.github.close_pull_request("acme/shop", number)
    world.deliver()
    assert writes(world)[-1]["task"] == "teardown"


def test_an_app_that_has_left_the_config(make_world: Make) -> None:
    world = make_world(config=CONFIG)
    number = opened(world)
    deployed(world)
    kept = world.config
    for config in (
        kept.replace("  web:", "  site:").replace("acme/web", "acme/site"),
        QUIET.replace("previews", "payload"),
    ):
        world.config = config
        world.restart()
        world.github.label("acme/web", number, "more")
        world.github.unlabel("acme/web", number, "more")
        world.deliver()
    world.github.close_pull_request("acme/web", number)
    world.deliver()
    assert len(asked(world)) == 1
    world.config = kept
    world.restart()
    world.github.label("acme/web", number, "more")  # the next that is heard of it
    deployed(world)
    assert [words.split()[0] for words in asked(world)] == ["deploy", "teardown"]


@pytest.mark.parametrize("rest", [one_job_at_a_time, pytest.param(each_job_taken_to_the_grave, marks=SLOW)])
def test_a_restart_between_any_two_steps(make_world: Make, rest: Callable[[World], int]) -> None:
    world = make_world(config=CONFIG)
    number = world.github.open_pull_request("acme/web", "topic", labels=("preview",), title="Fix the login loop")

    def through(state: str = "success") -> None:
        for _ in range(3):
            world.github.deliver()
            rest(world)
            for one in world.github.deployments("acme/web"):
                if not statuses(world, one["id"]):
                    world.github.report("acme/web", one["id"], state)

    through()
    world.clock.moment = world.clock.moment.replace(minute=world.clock.moment.minute + 1)
    world.github.push("acme/web", "topic", "More")
    through()
    world.clock.moment = world.clock.moment.replace(minute=world.clock.moment.minute + 1)
    world.github.close_pull_request("acme/web", number)
    through()
    assert [words.split()[0] for words in asked(world)] == ["deploy", "deploy", "teardown"]
    assert shown(world)[1].startswith("Gone")
    assert [statuses(world, one["id"])[0] for one in world.github.deployments("acme/web")] == ["inactive"] * 3


def test_a_card_that_was_posted_for_an_older_commit_is_found_again(make_world: Make) -> None:
    """Slack has the message, its answer is lost, and meanwhile the card is another deploy's."""
    world = make_world(config=CONFIG)
    world.slack.fail("chat.postMessage", drop="after")
    opened(world)
    world.github.push("acme/web", "topic", "More")
    world.deliver()
    world.advance(minutes=2)
    deployed(world)
    assert len(cards(world)) == 1
    assert shown(world)[0].startswith(f":large_green_circle: *web* to *pr-1* · `topic` at {sha(world)} · #2")
