"""What the tests of `python -m bot check` share."""

from __future__ import annotations

from collections.abc import Callable

from tests.world import World

# One repository, one room: what is said of each is said once.
SMALL = """
apps:
  web:
    repository: acme/web
    rooms: [C0OPS]
    environments: {production: {}}
"""

Look = Callable[..., list[str]]


def hooked(world: World) -> None:
    """GitHub pings the webhook of acme/web, and the bot takes it in."""
    assert ping(world) == [202]


def ping(world: World) -> list[int]:
    """GitHub pings the webhook of acme/web; returns how that was answered."""
    repo = world.github.repository("acme/web")
    with world.github.change():
        world.github.ping(repo, next(iter(repo.hooks.values())))
    return world.deliver()


def fails(lines: list[str]) -> list[str]:
    return [line.removeprefix("FAIL  ") for line in lines if line.startswith("FAIL")]


def warns(lines: list[str]) -> list[str]:
    return [line.removeprefix("warn  ") for line in lines if line.startswith("warn")]
