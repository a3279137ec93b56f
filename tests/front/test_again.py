"""Trying again, going back and carrying on, read as a chat."""

from __future__ import annotations

from collections.abc import Callable

from tests.front.chat import ask, cards, newest, posted, writes
from tests.world import World

GUARDED = """
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      production:
        required_contexts: [ci/build]
        approvals: {required: 1, approvers: [U0BEN], rollback: 0}
        after: [staging]
      staging: {required_contexts: []}
"""


def ship(world: World, words: str, state: str = "success") -> None:
    """Ana asks, and the deployer reports how it ended."""
    world.say("U0ANA", f"/deploy {words}")
    world.deliver()
    world.report(state)
    world.advance(minutes=5)


def click(world: World, card: int, action: str, person: str = "U0BEN") -> None:
    """Somebody presses a button of a card, the oldest of which is 0."""
    assert world.slack.click(person, "C0OPS", posted(world.slack)[card].ts, action).ok
    world.settle()


def marks(world: World, card: int) -> list[str]:
    return [line for line in cards(world)[card].splitlines()[2:] if line.startswith(":")]


def test_back_to_what_was_live_before(world: World) -> None:
    ship(world, "web/main to production")
    ship(world, "web/topic to production")
    main, topic = (world.github.head("acme/web", ref) for ref in ("main", "topic"))
    assert marks(world, 0) == [":arrow_forward: #2 is live in its place"]

    world.say("U0BEN", "/deploy rollback web in production because prices are wrong")
    asked = writes(world)[-1]
    assert (asked["ref"], asked["auto_merge"], asked["required_contexts"]) == (main, False, [])
    world.deliver()
    world.report("success")

    assert marks(world, 1) == [":rewind: Rolled back by #3"]
    sha = main[:7]
    assert cards(world)[2].splitlines() == [
        f":large_green_circle: *web* to *production* · `main` at {sha} · #3 for @ben",
        "Live after 0 s",
        "“prices are wrong”",
        ":rewind: Rolls back #2; checks and order are skipped",
        f":rewind: Goes back 1 commit from {topic[:7]}, live since 2026-03-02 09:05 UTC",
        "[Roll back] [Lock production]",
    ]


def test_failed_forced_and_rolled_back_ones_are_passed_over(world: World) -> None:
    shas = []
    for number in range(5):
        shas.append(world.github.push("acme/web", "topic", f"Change {number}"))
        state = "failure" if number == 1 else "success"
        ship(world, f"web/topic{'!' if number == 2 else ''} to production", state)
    click(world, 4, "deploy_rollback")  # the fifth, which is live: back to the fourth
    assert writes(world)[-1]["ref"] == shas[3]
    world.deliver()
    world.report("success")
    world.advance(minutes=5)

    world.say("U0BEN", "/deploy rollback web in production")  # not to the fifth, nor to what was forced or failed
    assert writes(world)[-1]["ref"] == shas[0]


def test_back_twice_from_one_that_went_out_twice(world: World) -> None:
    good = world.github.push("acme/web", "main", "Good")
    ship(world, "web/main to staging")
    world.github.push("acme/web", "main", "Fine")
    ship(world, "web/main to staging")
    world.github.push("acme/web", "main", "Bad")
    ship(world, "web/main to staging")
    ship(world, "web/main to staging")
    for _ in range(2):
        ship(world, "rollback web in staging")
    assert writes(world)[-1]["ref"] == good


def test_what_failed_is_tried_again_or_taken_back(world: World) -> None:
    ship(world, "web/main to staging")
    ship(world, "web/topic to staging/fe1", "failure")
    world.github.push("acme/web", "topic", "Something else")
    assert cards(world)[1].splitlines()[-1] == "[Retry]"  # on one host alone there is nothing to go back to as a whole
    before = writes(world)[-1]

    click(world, 1, "deploy_retry")
    again = writes(world)[-1]
    assert (again["ref"], again["payload"]["hosts"]) == (before["ref"], "fe1")
    assert again["payload"]["user"] == "ben"
    assert ":repeat: Tries #2 again" in cards(world)[2].splitlines()
    world.deliver()
    world.report("failure")

    ship(world, "web/topic to staging", "failure")
    assert cards(world)[3].splitlines()[-1] == "[Retry] [Roll back]"
    click(world, 3, "deploy_rollback")
    assert writes(world)[-1]["ref"] == world.github.head("acme/web", "main")  # what was live, once more


def test_slips(world: World) -> None:
    nothing = "Nothing of *web* is live in *production* yet"
    assert nothing in ask(world, "/deploy rollback web in production")
    ship(world, "web to production")
    assert "There is no good deploy before #1 to go back to" in ask(world, "/deploy rollback web in production")
    assert "#1 is live" in ask(world, "/deploy retry 1")
    assert "no deploy #7 of mine" in ask(world, "/deploy retry 7")
    assert "is live in *staging* yet" in ask(world, "/deploy promote web from staging to production")
    world.say("U0ANA", "/deploy rollback web in production to topic")
    assert writes(world)[-1]["ref"] == world.github.head("acme/web", "topic")
    assert "#2 is not over" in ask(world, "/deploy retry 2")


def test_promoted_by_hand_it_is_that_very_commit(world: World) -> None:
    ship(world, "web/topic to staging")
    sha = world.github.head("acme/web", "topic")
    world.github.push("acme/web", "topic", "Not out yet")
    world.say("U0BEN", "/deploy promote web from stg to prod")

    assert writes(world)[-1]["ref"] == sha
    assert marks(world, 1) == [":arrow_upper_right: Carries #1 on"]


def test_the_gates_of_a_rollback(make_world: Callable[..., World]) -> None:
    """Checks, order and here approvals stand open for what ran there before; a lock does not."""
    world = make_world(config=GUARDED)
    for ref in ("main", "topic"):
        sha = world.github.head("acme/web", ref)
        ship(world, f"web/{ref} to staging")
        world.github.set_status("acme/web", sha, "ci/build", "success")
        world.say("U0ANA", f"/deploy web/{ref} to production")
        world.say("U0BEN", f"/deploy approve {2 if ref == 'main' else 4}")
        world.deliver()
        world.report("success")
    world.github.set_status("acme/web", world.github.head("acme/web", "main"), "ci/build", "failure")

    world.say("U0BEN", "/deploy lock web in production")
    refused = ask(world, "/deploy rollback web in production")
    assert "is locked by @ben" in refused
    sha = world.github.head("acme/web", "main")[:7]
    assert f"say `/deploy rollback web in production to {sha}` again" in refused
    world.github.push("acme/web", "main", "Not this one")
    world.say("U0BEN", "/deploy unlock all")
    world.say("U0ANA", f"/deploy rollback web in production to {sha}")
    assert writes(world)[-1]["ref"].startswith(sha)
    assert "[Cancel]" in newest(world)


def test_the_same_click_twice_is_one_deploy(world: World) -> None:
    ship(world, "web/topic to staging", "failure")
    click(world, 0, "deploy_retry")
    world.slack.repeat_last()
    world.settle()
    click(world, 0, "deploy_retry")

    assert len(writes(world)) == 2
    assert "Just that is under way already: #2" in newest(world)


CHAIN = """
apps:
  web:
    repository: acme/web
    default_ref: main
    rooms: [C0OPS]
    environments:
      staging: {required_contexts: []}
      canary: {promote_from: staging, required_contexts: []}
      production: {promote_from: canary, required_contexts: [], approvals: {approvers: [U0BEN]}}
"""


def test_a_success_asks_for_the_next_environment(make_world: Callable[..., World]) -> None:
    """Through its own gates, at that very commit, once however often the success is told."""
    world = make_world(config=CHAIN)
    world.say("U0CAL", "/deploy lock web in canary")
    sha = world.github.head("acme/web", "topic")
    ship(world, "web/topic to staging")
    world.github.push("acme/web", "topic", "Not out yet")
    again = [delivery for delivery in world.github.deliveries if delivery.event == "deployment_status"][-1]
    world.github.deliver(again)
    world.settle()
    assert len(cards(world)) == 2
    assert "Waiting for @cal to unlock it" in cards(world)[1]  # nobody is there to be refused, so it waits

    world.say("U0CAL", "/deploy unlock all")
    world.deliver()
    world.report("success")
    assert cards(world)[2].startswith(
        f":large_yellow_circle: *web* to *production* · `topic` at {sha[:7]} · #3 for @ana"
    )
    assert ":arrow_upper_right: Carries #2 on" in cards(world)[2]
    world.say("U0BEN", "/deploy approve 3")
    assert [(asked["ref"], asked["environment"]) for asked in writes(world)] == [
        (sha, "staging"),
        (sha, "canary"),
        (sha, "production"),
    ]


def test_what_is_live_there_already_is_not_carried_on(make_world: Callable[..., World]) -> None:
    """Staging is deployed again, each night perhaps, and nobody is asked to approve what has long been out."""
    world = make_world(config=CHAIN)
    for _ in range(2):
        ship(world, "web/topic to staging")
        world.deliver()
        world.report("success")
    assert [asked["environment"] for asked in writes(world)] == ["staging", "canary", "staging"]


def test_a_rollback_is_not_carried_on(make_world: Callable[..., World]) -> None:
    world = make_world(config=CHAIN)
    for ref in ("main", "topic"):
        ship(world, f"web/{ref} to staging")
    asked = len(writes(world))
    ship(world, "rollback web in staging")
    assert len(writes(world)) == asked + 1


def test_who_is_to_approve_is_told_that_it_was_taken_back(make_world: Callable[..., World]) -> None:
    world = make_world(config=GUARDED.replace("after: [staging]", "promote_from: staging").replace("ci/build", ""))
    for ref in ("main", "topic"):
        ship(world, f"web/{ref} to staging")
    waiting = next(number for number, card in enumerate(cards(world)) if "Carries #3 on" in card)
    assert "was rolled back" not in cards(world)[waiting]
    ship(world, "rollback web in staging")
    assert ":warning: #3 was rolled back by #5" in marks(world, waiting)


def test_a_deployment_made_elsewhere_is_carried_on_in_the_apps_room(make_world: Callable[..., World]) -> None:
    world = make_world(config=CHAIN)
    world.github.create_deployment("acme/web", "topic", environment="staging", creator="ben-gh")
    world.report("success")
    assert "*web* to *canary* · `topic`" in cards(world)[0]


def test_a_card_that_is_live_carries_it_on(world: World) -> None:
    world.config = GUARDED
    world.restart()
    ship(world, "web/topic to staging")
    assert cards(world)[0].splitlines()[-1] == "[Promote to production] [Lock staging]"
    click(world, 0, "deploy_promote", person="U0CAL")
    sha = world.github.head("acme/web", "topic")
    assert cards(world)[1].splitlines()[0].endswith(f"`topic` at {sha[:7]} · #2 for @cal")
    assert ":arrow_upper_right: Carries #1 on" in cards(world)[1]
    world.advance(minutes=1)
    assert writes(world)[1:] == []
    world.say("U0ANA", "/deploy promote web from staging to production")
    assert "Just that is waiting already: #2" in newest(world)
    assert cards(world)[0].splitlines()[-1] == "[Lock staging]"

    ship(world, "web/main to staging")
    click(world, 0, "deploy_promote", person="U0CAL")  # somebody's Slack still shows the old card
    assert newest(world) == ":no_entry: #1 is not live any more, #3 is. Promote that one from its card."
