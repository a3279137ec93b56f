"""One deploy through an approval and a promotion, killed at its first step, at its second, and so on to its last."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Iterator

from tests.chaos.game import Played, Table
from tests.chaos.scene import Scene

BEYOND = 5000  # steps that no such deploy comes to


def walk_all(first: int, stride: int, results: multiprocessing.Queue[Played | None]) -> None:
    """Walks on SQLite and then on PostgreSQL, as a process of its own; None comes last."""
    table = Table()
    try:
        for postgres in (False, True):
            for game in walk(table, stride, first=first, postgres=postgres):
                results.put(game)
    finally:
        table.close()
        results.put(None)


def walk(
    table: Table, stride: int = 1, *, first: int = 1, postgres: bool = False, deaf: bool = False
) -> Iterator[Played]:
    """Plays it again and again, each time with a death that many steps later, until there is none any more.

    `deaf`: no webhook comes, so that all is learned by looking.
    """
    for at in itertools.count(first, stride):
        assert at < BEYOND
        name = f"death at step {at}{' of the deaf' if deaf else ''}"
        game = table.game(name, lambda scene, at=at: _script(scene, at, deaf), postgres=postgres)
        yield game
        if not game.deaths:
            return


def _script(scene: Scene, at: int, deaf: bool) -> None:
    """Staging, by somebody's command; then production, by promotion and with somebody's approval."""
    deaths = iter([(at, "")])
    scene.next_death = lambda: next(deaths, (0, ""))
    scene.deaf = deaf
    scene.revive()
    for act in (
        lambda: _until_taken(scene, "U0ANA", "/deploy web/topic to staging"),
        lambda: _report(scene, "staging", "in_progress"),
        lambda: _report(scene, "staging", "success"),
        lambda: _until_taken(scene, "U0BEN", f"/deploy approve {_promoted(scene)}"),
        lambda: _report(scene, "production", "success"),
    ):
        act()
        scene.rest(timers=deaf)
    scene.rest(timers=True)
    states = scene.database.ask("SELECT environment, state FROM deploys ORDER BY number")
    assert [tuple(row) for row in states] == [("staging", "success"), ("production", "success")], f"they are {states}"


def _promoted(scene: Scene) -> int:
    """The number of the deploy that carries the first one on; PostgreSQL leaves out those of transactions that died."""
    query = "SELECT number FROM deploys WHERE environment = 'production'"
    if not scene.database.ask(query):
        scene.rest(timers=True)  # the webhook came to one that was dying, and is asked for again
    numbers = scene.database.ask(query)
    assert len(numbers) == 1, f"{len(numbers)} deploys carry it on"
    return int(numbers[0].number)


def _until_taken(scene: Scene, person: str, text: str) -> None:
    """Slack, or the person, does not give up."""
    scene.revive()
    said = scene.say(person, text)
    while not said.acknowledged:
        scene.revive()
        scene.again(said)


def _report(scene: Scene, environment: str, state: str) -> None:
    if not _made(scene, environment):
        scene.rest(timers=True)  # a slow machine lets an answer of GitHub's come too late, which is asked for again
    made = _made(scene, environment)
    assert len(made) == 1, f"GitHub has {len(made)} deployments to {environment}"
    scene.github.report("acme/web", made[0], state)
    scene.tell(f"{environment} is {state}")


def _made(scene: Scene, environment: str) -> list[int]:
    """GitHub's deployments to an environment."""
    deployments = scene.github.deployments("acme/web")
    return [one["id"] for one in deployments if one["environment"] == environment]
