"""What a branch comes to when its events meet other things: commits that were amended, merges of long ago, people."""

from __future__ import annotations

import pytest

from tests.front.chat import cards
from tests.front.test_auto_deploy import auto, begin, held_back, push, sent, states, tell
from tests.world import World


@pytest.mark.parametrize("backwards", [False, True])
def test_a_commit_that_was_amended_at_once_never_goes(world: World, backwards: bool) -> None:
    auto(world)
    start = world.github.head("acme/web", "main")
    old = world.github.push("acme/web", "main", "Fix teh prices")
    new = world.github.push("acme/web", "scratch", "Fix the prices", base=start)
    held = [one for one in held_back(world) if one.payload["ref"] == "refs/heads/main"]
    world.github.reset_branch("acme/web", "main", new)
    held += held_back(world)
    for delivery in reversed(held) if backwards else held:
        world.github.deliver(delivery)
    world.settle()
    world.advance(seconds=30)
    world.report("success")
    assert sent(world) == [("staging", new)], old


def test_what_comes_late_never_goes_over_what_somebody_has_deployed(world: World) -> None:
    auto(world)
    world.github.push("acme/web", "main", "One")
    two = world.github.push("acme/web", "main", "Two")
    told = held_back(world)
    world.say("U0BEN", "/deploy web to staging")
    tell(world, *told)
    world.deliver()
    world.report("success")
    world.advance(minutes=1)
    assert sent(world) == [("staging", two)]


def test_a_label_on_what_was_merged_long_ago_starts_nothing(world: World) -> None:
    number = world.github.open_pull_request("acme/web", "topic")
    world.github.close_pull_request("acme/web", number, merged=True)
    held_back(world)
    auto(world, "production")
    push(world, "Much later")
    world.github.label("acme/web", number, "released")
    world.deliver()
    assert states(world) == []


def test_a_merge_whose_message_skips(world: World) -> None:
    auto(world, "production")
    for title in ("Mend a comment [skip deploy]", "Mend the prices"):
        branch = title.split()[2]
        world.github.push("acme/web", branch, "Work")
        number = world.github.open_pull_request("acme/web", branch, title=title)
        world.github.close_pull_request("acme/web", number, merged=True)
        world.deliver()
        world.advance(minutes=1)
    assert states(world) == ["held"]


def test_what_nobody_approved_is_not_asked_for_again_by_a_check(world: World) -> None:
    begin(
        world,
        """
        apps:
          web:
            repository: acme/web
            rooms: [C0OPS]
            environments:
              qa: {auto_deploy: [{on: green, branch: main}], approvals: {required: 1}}
        """,
    )
    sha = push(world)
    world.github.set_status("acme/web", sha, "ci/build", "success")
    world.deliver()
    world.advance(hours=5)
    assert states(world) == ["expired"]
    world.github.set_status("acme/web", sha, "nightly", "success")
    world.deliver()
    assert states(world) == ["expired"]


@pytest.mark.parametrize("lost", [False, True])
def test_a_merge_that_is_told_before_its_push(world: World, lost: bool) -> None:
    auto(world)
    push(world, "Before")
    world.report("success")
    world.advance(hours=1)
    number = world.github.open_pull_request("acme/web", "topic")
    held_back(world)
    world.github.close_pull_request("acme/web", number, merged=True, by="ben-gh")
    told = held_back(world)
    assert {one.event for one in told} == {"push", "pull_request"}
    tell(world, *(one for one in told if one.event == "pull_request"))
    assert len(cards(world)) == 1
    tell(world, *(one for one in told if one.event == "push" and not lost))
    world.advance(seconds=10)
    assert "#2 for @ben" in cards(world)[1]


def test_a_tag_that_goes_back(world: World) -> None:
    auto(world)
    begin(world, world.config.replace('"v*"', "stable"))
    first = world.github.head("acme/web", "main")
    second = world.github.head("acme/web", "topic")
    for sha in (first, second, first):
        world.github.tag("acme/web", "stable", sha)
        world.deliver()
        world.report("success")
    assert [ref for _, ref in sent(world)] == [first, second, first]


def test_a_tag_that_is_told_late(world: World) -> None:
    auto(world)
    begin(world, world.config.replace('"v*"', "stable"))
    for ref in ("main", "topic"):
        world.github.tag("acme/web", "stable", ref)
    tell(world, *reversed(held_back(world)))
    assert sent(world) == [("staging", world.github.head("acme/web", "topic"))]
    world.deliver()
    world.report("success")
    assert len(sent(world)) == 1


def test_a_branch_that_is_called_something_else(world: World) -> None:
    """GitHub answers for the old name with the branch of the new one, of which no rule speaks."""
    auto(world)
    push(world)
    world.report("success")
    world.github.rename_branch("acme/web", "main", "trunk")
    world.deliver()
    push(world, branch="trunk")
    world.github.push("acme/web", "topic", "New prices")
    number = world.github.open_pull_request("acme/web", "topic")
    world.github.close_pull_request("acme/web", number, merged=True)
    world.deliver()
    world.restart()
    for _ in range(2):
        world.advance(minutes=1)
    assert len(sent(world)) == 1
    begin(world, world.config.replace(": main", ": trunk"))
    assert sent(world)[1:] == []
    sha = push(world, branch="trunk")
    assert sent(world)[1:] == [("staging", sha)]
