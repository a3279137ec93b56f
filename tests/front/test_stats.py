"""How deploys went, in figures, read as a chat."""

from __future__ import annotations

from datetime import timedelta

from tests.front.chat import ask
from tests.world import World


def deploy(world: World, words: str, state: str, minutes: int) -> None:
    world.say("U0ANA", f"/deploy {words}")
    world.deliver()
    world.advance(minutes=minutes)
    world.report(state)


def test_how_deploys_went(world: World) -> None:
    assert ask(world, "/deploy stats web") == "Nothing was deployed in the last 30 days."
    deploy(world, "web/topic to staging", "success", 1)
    world.clock.moment += timedelta(days=31)  # that one is past
    for state, minutes in (("success", 2), ("failure", 1), ("success", 40), ("success", 4)):
        deploy(world, f"web/{'main' if minutes % 4 else 'topic'} to production", state, minutes)
    world.say("U0ANA", "/deploy rollback web in production")
    world.say("U0BEN", "/deploy cancel 6")
    deploy(world, "web/main! to production", "error", 1)
    assert ask(world, "/deploy stats web").splitlines() == [
        "*The last 30 days*",
        "*web* in *production*: 6 deploys, 3 went live (60 % of those that started and ended), 2 failed, 1 went back, "
        "1 forced · half of them live within 4 min",
        "*web* in *staging*: no deploys",
    ]


def test_of_what_may_be_spoken_of_here(world: World) -> None:
    deploy(world, "web/topic to staging", "success", 1)
    world.say("U0ANA", "/deploy api/topic to production")
    here = ask(world, "/deploy stats", room="C0RAN")
    assert "*web* in *staging*: 1 deploy, 1 went live" in here
    assert "*api*" not in here
    assert "*api* in *production*: 1 deploy" in ask(world, "/deploy stats")
    assert "#ops" in ask(world, "/deploy stats api", room="C0RAN")
    assert "Did you mean" in ask(world, "/deploy stats wbe")
