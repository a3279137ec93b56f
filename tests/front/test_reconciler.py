"""Webhooks get lost, while the bot is down or GitHub can't reach it. What they would have told is learned anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from bot.store.schema import facts
from bot.web import Receive, Scope, Send, answer
from tests.front.chat import cards, newest, thread, writes
from tests.github_app import APP, keys
from tests.world import WEBHOOK_SECRET, World

CHAIN = """
users: {U0BEN: ben-gh}
apps:
  web:
    repository: acme/web
    default_ref: main
    rooms: [C0OPS]
    environments:
      staging: {required_contexts: [], auto_deploy: [{on: push, branch: main}]}
      production: {required_contexts: [], promote_from: staging}
"""
WEB = "apps: {web: {repository: acme/web, default_ref: main, environments: {production: {required_contexts: []}}}}"
STATUSES = "/repos/acme/web/deployments/.*/statuses"


async def nobody(scope: Scope, receive: Receive, send: Send) -> None:
    """What a proxy says for a bot that is not there."""
    await answer(send, 502, "Bad Gateway")


@contextmanager
def unreachable(world: World) -> Iterator[None]:
    """GitHub can't reach the bot, which runs on; what GitHub tells meanwhile is lost."""
    there, world.servers.inside.apps = world.servers.inside.apps, {"/": nobody}
    yield
    assert set(world.github.deliver()) <= {502}
    world.servers.inside.apps = there


@contextmanager
def down(world: World, **length: float) -> Iterator[None]:
    """The bot dies and comes back ten minutes later; what GitHub tells meanwhile is lost."""
    with unreachable(world):
        yield
    world.clock.moment += timedelta(**(length or {"minutes": 10}))
    world.restart()


def report(world: World, *states: str) -> None:
    """A deployer reports on the newest deployment. GitHub has not told anybody yet."""
    for state in states:
        world.github.report("acme/web", world.github.deployments("acme/web")[0]["id"], state)


def asked(world: World, method: str, ending: str) -> int:
    """How often GitHub was asked for that."""
    return sum(one.method == method and one.path.endswith(ending) for one in world.github.requests)


def to_send_again(world: World) -> list[str]:
    """The events that GitHub has been asked to send once more and has not sent yet."""
    return [one.event for one in world.github.pending if one.redelivery]


def sent(world: World) -> list[tuple[str, str]]:
    """What was deployed where."""
    return [(body["environment"], body["ref"]) for body in writes(world)]


# How deployments stand


def test_what_was_reported_while_the_bot_was_down(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    with down(world):
        report(world, "in_progress", "success")

    told = [
        ":large_blue_circle: In progress after 0 s · `deployer`",
        ":large_green_circle: Live after 0 s · `deployer` · @ana",
    ]
    assert cards(world)[0].startswith(":large_green_circle: *web* to *staging*")
    assert thread(world) == told

    assert sorted(to_send_again(world)) == ["deployment_status", "deployment_status"]
    assert world.deliver() == [202, 202]
    assert thread(world) == told, "what GitHub tells at last is known"


def test_a_success_that_was_lost_goes_on(make_world: Callable[..., World]) -> None:
    world = make_world(config=CHAIN)
    world.say("U0ANA", "/deploy web to staging")
    world.deliver()
    with down(world):
        report(world, "success")
    assert [environment for environment, _ in sent(world)] == ["staging", "production"]


def test_a_bot_that_is_up_learns_it_without_webhooks(make_world: Callable[..., World]) -> None:
    """A minute after it was handed over, and a minute after each time that something was new."""
    world = make_world(config=WEB)
    world.say("U0ANA", "/deploy web to production")
    world.github.repository("acme/web").hooks.clear()
    report(world, "in_progress")
    world.advance(seconds=59)
    assert thread(world) == []
    world.advance(seconds=1)
    assert thread(world) == [":large_blue_circle: In progress after 0 s · `deployer`"]
    report(world, "success")
    world.advance(minutes=1)
    assert thread(world)[1:] == [":large_green_circle: Live after 1 min · `deployer` · @ana"]

    looks = asked(world, "GET", "/statuses")
    world.advance(hours=2)
    assert asked(world, "GET", "/statuses") == looks, "what is over is not looked at"


def test_looks_get_rarer_while_nothing_is_heard(make_world: Callable[..., World]) -> None:
    world = make_world(config=WEB.replace("[]", "[], timeout: 3h"))
    world.say("U0ANA", "/deploy web to production")
    world.deliver()
    at = []
    for minute in range(1, 64):
        before = asked(world, "GET", "/statuses")
        world.advance(minutes=1)
        at += [minute] * (asked(world, "GET", "/statuses") - before)
    assert at == [1, 2, 4, 8, 16, 31, 46, 61]
    told = [one.status for one in world.github.requests if one.path.endswith("/statuses") and one.method == "GET"]
    assert told == [200] + 7 * [304], "which does not count against GitHub's limit"


def test_one_that_was_lost_is_looked_at_for_a_day(make_world: Callable[..., World]) -> None:
    world = make_world(config=WEB)
    world.say("U0ANA", "/deploy web to production")
    world.github.repository("acme/web").hooks.clear()
    for _ in range(5):
        world.advance(minutes=13)
    assert "No end" in cards(world)[0]
    report(world, "success")
    for _ in range(4):
        world.advance(minutes=15)
    assert cards(world)[0].startswith(":large_green_circle:")


def test_one_that_stays_lost_is_left_alone_in_the_end(make_world: Callable[..., World]) -> None:
    world = make_world(config=WEB)
    world.say("U0ANA", "/deploy web to production")
    for _ in range(5):
        world.advance(minutes=13)
    looks = asked(world, "GET", "/statuses")
    for _ in range(30):
        world.advance(hours=1)
    assert 22 <= asked(world, "GET", "/statuses") - looks <= 25
    world.restart()
    world.advance(hours=1)
    assert asked(world, "GET", "/statuses") - looks <= 25


def test_one_that_others_made_and_never_report_on(make_world: Callable[..., World]) -> None:
    world = make_world(config=WEB)
    world.github.create_deployment("acme/web", "topic", environment="production")
    world.deliver()
    for _ in range(30):
        world.advance(hours=1)
    looks = asked(world, "GET", "/statuses")
    assert looks > 22
    world.restart()
    for _ in range(5):
        world.advance(hours=1)
    assert asked(world, "GET", "/statuses") == looks


def test_an_answer_that_was_lost_for_an_hour(make_world: Callable[..., World]) -> None:
    """GitHub made the deployment and has been down since: it is given up as lost, and found when GitHub is back."""
    world = make_world(config=WEB)
    world.github.repository("acme/web").hooks.clear()
    world.github.fail("POST", "/repos/acme/web/deployments", drop="after")
    world.github.fail("GET", "/repos/acme/web/deployments", status=503, times=1000)
    world.say("U0ANA", "/deploy web to production")
    for _ in range(16):
        world.advance(minutes=5)
    assert len(world.github.deployments("acme/web")) == 1
    assert "I tried for an hour and stopped" in cards(world)[0]

    world.github._faults.clear()
    report(world, "success")
    world.advance(hours=1)
    assert cards(world)[0].startswith(":large_green_circle:")
    assert len(world.github.deployments("acme/web")) == 1


@pytest.mark.one_process
def test_a_github_that_is_down_is_asked_by_one_look_at_a_time(world: World) -> None:
    for environment in ("staging", "production"):
        world.say("U0ANA", f"/deploy web/topic to {environment}!")
    world.github.deliver()
    world.settle()
    world.github.fail("GET", STATUSES, status=503, times=100)
    world.restart()
    first = asked(world, "GET", "/statuses")
    assert first == 2  # one look, and its one repetition
    for _ in range(3):
        world.advance(seconds=20)
    assert asked(world, "GET", "/statuses") - first <= 6

    world.github._faults.clear()
    with unreachable(world):
        report(world, "success")
    world.advance(minutes=1)
    assert sum(card.startswith(":large_green_circle:") for card in cards(world)) == 1


def test_a_limit_of_githubs_is_waited_for(make_world: Callable[..., World]) -> None:
    world = make_world(config=WEB)
    world.say("U0ANA", "/deploy web to production")
    world.deliver()
    with unreachable(world):
        report(world, "success")
    world.github.exhaust_rate_limit(reset_in=600)
    world.github.requests.clear()
    for _ in range(9):
        world.advance(minutes=1)
    assert len(world.github.requests) == 1
    world.advance(minutes=2)
    assert cards(world)[0].startswith(":large_green_circle:")


# Webhooks that did not arrive


def test_a_push_that_was_lost(make_world: Callable[..., World]) -> None:
    """The webhook, sent once more, says who pushed."""
    world = make_world(config=CHAIN)
    world.github.push("acme/web", "main", "First")
    world.deliver()
    with down(world):
        sha = world.github.push("acme/web", "main", "Second", author="ben-gh")
    assert "push" in to_send_again(world)
    world.deliver()
    assert sent(world)[1:] == []  # the first is under way
    report(world, "success")
    world.deliver()
    assert ("staging", sha) in sent(world)
    assert f"`main` at {sha[:7]} · #2 for @ben" in cards(world)[1]

    world.advance(minutes=2)
    assert sent(world).count(("staging", sha)) == 1


def test_a_push_that_was_lost_before_the_past_was_read(make_world: Callable[..., World]) -> None:
    """The first start of all dies, or GitHub can't be read yet: what it tells then is meant for this bot."""
    world = make_world(config=CHAIN)
    with world.store.write() as connection:
        connection.execute(sa.delete(facts))
    world.clock.moment += timedelta(minutes=1)
    world.github.fail("GET", "/repos/acme/web/deployments", status=503, times=6)
    world.restart()
    world.advance(seconds=5)
    with unreachable(world):
        world.github.push("acme/web", "main", "Trim logs")
    assert cards(world) == []
    for _ in range(20):
        world.advance(minutes=2)
        world.deliver()
    assert ["`main`" in card for card in cards(world)] == [True]


def test_a_push_that_nobody_tells_of(make_world: Callable[..., World]) -> None:
    """Webhooks may not be read here, so where the branch is says it. Who pushed is not known."""
    world = make_world(config=CHAIN)
    del world.github.token_permissions["repository_hooks"]
    first = world.github.push("acme/web", "main", "First")
    world.deliver()
    with down(world):
        report(world, "success")
        sha = world.github.push("acme/web", "main", "Second", author="ben-gh")
    world.advance(seconds=30)
    assert ("staging", sha) not in sent(world), "its webhook may be on its way"
    world.advance(seconds=10)
    assert ("staging", sha) in sent(world)
    assert "for @ben" not in cards(world)[-1]

    count = len(sent(world))
    for _ in range(2):
        world.restart()
        world.advance(minutes=1)
    assert len(sent(world)) == count
    assert sent(world).count(("staging", first)) == 1


def test_a_branch_that_is_where_it_was_told_to_be(make_world: Callable[..., World]) -> None:
    world = make_world(config=CHAIN)
    world.github.push("acme/web", "main", "Leave it [skip deploy]")
    world.deliver()
    world.restart()
    world.advance(minutes=1)
    assert asked(world, "GET", "/branches/main") == 2  # when it was told, and now
    assert sent(world) == []


def test_what_was_stored_and_not_acknowledged_is_taken_once(world: World) -> None:
    """The answer was lost on its way to GitHub."""

    async def swallowing(scope: Scope, receive: Receive, send: Send) -> None:
        async def unheard(message: dict[str, object]) -> None:
            pass

        await world.bot(scope, receive, unheard)  # type: ignore[arg-type]
        await answer(send, 504, "Gateway Timeout")

    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    world.servers.inside.apps = {"/": swallowing}
    report(world, "in_progress")
    assert world.deliver() == [504]
    assert len(thread(world)) == 1

    world.restart()
    assert to_send_again(world) == ["deployment_status"]
    assert world.deliver() == [202]
    assert len(thread(world)) == 1
    for _ in range(20):
        world.advance(minutes=1)
    assert asked(world, "POST", "/attempts") == 1


def test_github_could_not_reach_a_bot_that_was_up(world: World) -> None:
    """Nobody is restarted: the first look finds it, and once one arrives all others are asked for."""
    with unreachable(world):
        for environment in ("staging", "production"):
            world.github.create_deployment("acme/web", "topic", environment=environment, creator="jenkins")
        world.github.deliver()
        world.advance(minutes=15)
        assert to_send_again(world) == ["deployment", "deployment"]
        world.github.deliver()
        for _ in range(3):
            world.advance(minutes=1)
            assert to_send_again(world) == ["deployment"], "one is enough to see whether it gets through"
            world.github.deliver()
        world.advance(minutes=1)
        waiting, world.github.pending[:] = list(world.github.pending), []
    world.github.pending[:] = waiting
    assert world.deliver() == [202]
    world.advance(minutes=1)
    assert world.deliver() == [202]
    world.advance(minutes=1)
    assert to_send_again(world) == []
    world.say("U0ANA", "/deploy history web")
    assert len(newest(world).splitlines()) == 3  # a heading, and each of them once


def test_one_that_never_arrives_is_given_up(world: World) -> None:
    """A proxy lets all pass but this one."""
    with unreachable(world):
        world.github.create_deployment("acme/web", "topic", environment="staging", creator="jenkins")
    bad = world.github.deliveries[-1].guid

    async def choosy(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        await (nobody if headers[b"x-github-delivery"] == bad.encode() else world.bot)(scope, receive, send)

    world.restart()
    world.servers.inside.apps = {"/": choosy}
    for number in range(30):
        world.github.push("acme/web", "topic", f"Commit {number}")
        world.github.deliver()
        world.settle()
        world.advance(minutes=1)
    assert asked(world, "POST", "/attempts") == 3


def test_it_is_asked_for_while_github_keeps_it(world: World) -> None:
    with down(world, days=3, minutes=1):
        world.github.create_deployment("acme/web", "topic", environment="staging", creator="jenkins")
    assert to_send_again(world) == []


def test_many_at_once(world: World) -> None:
    """More than a page of GitHub's list, and no more in a minute than GitHub takes."""
    sha = world.github.head("acme/web", "topic")
    with down(world, hours=5):
        for number in range(110):
            world.github.set_status("acme/web", sha, f"check-{number}", "pending")
    asked_for = 0
    for left in (50, 50, 10, 0):
        assert to_send_again(world) == ["status"] * left
        asked_for += left
        world.github.deliver()
        world.advance(minutes=1)
    assert asked(world, "POST", "/attempts") == asked_for == 110


def test_webhooks_that_may_not_be_read(world: World) -> None:
    """It is said once; how deployments stand is learned all the same."""
    del world.github.token_permissions["repository_hooks"]
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    with capture_logs() as lines:
        with down(world):
            report(world, "success")
        world.restart()
        for _ in range(9):
            world.advance(hours=1)
    refused = [line for line in lines if line["event"] == "redelivery_refused" and line["log_level"] == "warning"]
    assert sorted(line["repository"] for line in refused) == ["acme/api", "acme/web"]
    assert "Webhooks: read" in refused[0]["reason"]
    assert cards(world)[0].startswith(":large_green_circle:")
    assert asked(world, "GET", "/web/hooks") + asked(world, "GET", "/api/hooks") <= 24


def test_webhooks_that_may_be_read_only(world: World) -> None:
    world.github.token_permissions["repository_hooks"] = "read"
    with capture_logs() as lines:
        with down(world):
            world.github.create_deployment("acme/web", "topic", environment="staging", creator="jenkins")
        for _ in range(9):
            world.advance(minutes=15)
    refused = [
        line["reason"] for line in lines if line["event"] == "redelivery_refused" and line["log_level"] == "warning"
    ]
    assert len(refused) == 1
    assert "Webhooks: write" in refused[0]
    world.github.token_permissions["repository_hooks"] = "write"
    world.advance(hours=1)
    assert to_send_again(world) == ["deployment"]


def test_a_webhook_that_was_made_anew(world: World) -> None:
    world.advance(minutes=15)
    world.github.repository("acme/web").hooks.clear()
    hook = f"{world.servers.bot_url}/github/webhooks"
    world.github.add_hook("acme/web", hook, secret=WEBHOOK_SECRET, events=("deployment",))
    world.deliver()
    with down(world, minutes=30):
        world.github.create_deployment("acme/web", "topic", environment="staging", creator="jenkins")
    world.advance(minutes=1)  # the one that is known is gone, so they are listed anew
    assert to_send_again(world) == ["deployment"]


def test_a_webhook_that_leads_elsewhere_is_left_alone(world: World) -> None:
    """That of another bot is none of ours, nor one that is switched off."""
    web = world.github.repository("acme/web")
    (hook,) = web.hooks.values()
    hook.target_url = hook.target_url.replace("/github/webhooks", "/other")
    with down(world):
        world.github.create_deployment("acme/web", "topic", environment="staging", creator="jenkins")
    assert asked(world, "GET", "/deliveries") == 1, "of acme/api alone"
    assert to_send_again(world) == []


def app_world(make_world: Callable[..., World]) -> World:
    world = make_world(config=WEB, github_token=None, github_app_id=APP, github_app_private_key=keys()[0])
    world.github.app_id, world.github.app_public_key = APP, keys()[1]
    del world.github.token_permissions["repository_hooks"]
    world.github.repository("acme/web").hooks.clear()
    world.github.set_app_hook(f"{world.servers.bot_url}/github/webhooks", secret=WEBHOOK_SECRET)
    world.restart()
    world.settle()
    return world


def test_the_webhook_of_the_app(make_world: Callable[..., World]) -> None:
    world = app_world(make_world)
    world.say("U0ANA", "/deploy web to production")
    world.deliver()
    with down(world):
        world.github.create_deployment("acme/web", "topic", environment="production", creator="jenkins")
    assert to_send_again(world) == ["deployment"]
    assert world.deliver() == [202]
    world.advance(minutes=20)
    assert to_send_again(world) == []
    assert asked(world, "POST", "/attempts") == 1


def test_an_app_whose_webhook_leads_elsewhere(make_world: Callable[..., World]) -> None:
    world = app_world(make_world)
    assert world.github.app_hook is not None
    world.github.app_hook.target_url = world.servers.bot_url + "/other"
    with down(world):
        world.github.create_deployment("acme/web", "topic", environment="production", creator="jenkins")
    assert to_send_again(world) == []
    assert asked(world, "GET", "/app/hook/deliveries") == 0


def test_a_start_after_a_start(world: World) -> None:
    """A bot that dies again and again asks GitHub no more often than one that lives."""
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    world.advance(minutes=5)
    world.restart()
    before = len(world.github.requests)
    for _ in range(5):
        world.restart()
    assert len(world.github.requests) == before
