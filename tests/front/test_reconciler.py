"""Webhooks get lost, while the bot is down or GitHub can't reach it; what they would have told is learned all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bot.playground.github import Delivery
from bot.web import Receive, Scope, Send, answer
from tests.front.chat import cards, newest, thread, writes
from tests.simulators.test_github_access import keys
from tests.world import WEBHOOK_SECRET, World

CHAIN = """
apps:
  web:
    repository: acme/web
    default_ref: main
    rooms: [C0OPS]
    environments:
      staging: {required_contexts: [], auto_deploy: [{on: push, branch: main}]}
      production: {required_contexts: [], promote_from: staging}
"""
DEPLOYMENT = "/repos/acme/web/deployments/{}/statuses"
LOST = "/repos/acme/web/hooks/.*/deliveries"


async def nobody(scope: Scope, receive: Receive, send: Send) -> None:
    """What a proxy says for a bot that is not there."""
    await answer(send, 502, "Bad Gateway")


@contextmanager
def unreachable(world: World) -> Iterator[None]:
    """GitHub can't reach the bot; the bot runs on, and what GitHub tells meanwhile is lost."""
    there, world.servers.inside.apps = world.servers.inside.apps, {"/": nobody}
    yield
    world.github.deliver()
    world.servers.inside.apps = there


@contextmanager
def down(world: World, **length: float) -> Iterator[None]:
    """The bot dies, and comes back a while later; what GitHub tells meanwhile is lost."""
    world.bot.close()
    with unreachable(world):
        yield
    world.clock.moment += _length(**length)
    world.restart()


def _length(**length: float) -> object:
    from datetime import timedelta

    return timedelta(**(length or {"minutes": 10}))


def report(world: World, *states: str, repository: str = "acme/web") -> int:
    """A deployer reports on the newest deployment; GitHub has not told anybody yet."""
    number: int = world.github.deployments(repository)[0]["id"]
    for state in states:
        world.github.report(repository, number, state)
    return number


def asked(world: World, method: str, ending: str) -> int:
    """How often GitHub was asked."""
    return sum(one.method == method and one.path.endswith(ending) for one in world.github.requests)


def redelivered(world: World) -> list[Delivery]:
    """What GitHub has been asked to send once more and has not sent yet."""
    return [one for one in world.github.pending if one.redelivery]
