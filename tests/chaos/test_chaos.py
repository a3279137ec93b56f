"""Some of the games that `make chaos` plays, one deploy that is killed at each of its steps, and what databases do."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.chaos.game import Played, Table
from tests.chaos.scene import Scene
from tests.chaos.walk import walk

# Processes are watched by pidfd_open(2), and disks are filled by prlimit(2).
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kills and limits processes as Linux does")

FEW = range(1, 11)  # seeds; each fifth on PostgreSQL
MORE = range(1001, 1061)


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    """Where games are played."""
    table = Table()
    yield table
    table.close()


def told(game: Played) -> str:
    """The story of a game that was not clean."""
    return "\n".join([f"{game.name} on {game.database}", *game.faults, "", *game.story, "", game.room])


@pytest.mark.parametrize("seed", FEW)
def test_a_game(table: Table, seed: int) -> None:
    game = table.play(seed)
    assert not game.faults, told(game)


@pytest.mark.slow
@pytest.mark.parametrize("seed", MORE)
def test_more_games(table: Table, seed: int) -> None:
    game = table.play(seed)
    assert not game.faults, told(game)


@pytest.mark.parametrize(
    ("stride", "postgres", "deaf"),
    [
        (61, False, False),
        pytest.param(7, False, False, marks=pytest.mark.slow),
        pytest.param(19, True, False, marks=pytest.mark.slow),
        pytest.param(29, False, True, marks=pytest.mark.slow),
    ],
)
def test_death_at_every_step(table: Table, stride: int, postgres: bool, deaf: bool) -> None:
    """Killed at some of its steps, one after the other; `make chaos` with CHAOS_WALK=1 takes each of them."""
    for game in walk(table, stride, postgres=postgres, deaf=deaf):
        assert not game.faults, told(game)


def test_a_full_disk(table: Table) -> None:
    """What can't be stored is not acknowledged, what was acknowledged is not lost, and with room again all goes on."""

    def script(scene: Scene) -> None:
        scene.revive()
        scene.rest()
        assert scene.say("U0ANA", "/deploy web/topic to staging").acknowledged
        scene.fill_disk()
        refused = [
            scene.say("U0ANA", "/deploy api/topic to canary"),
            scene.say("U0BEN", "/deploy api to production"),
        ]
        assert [said.acknowledged for said in refused] == [False, False]
        scene.github.push("acme/web", "main")
        assert scene.github.deliver() == [503]
        scene.empty_disk()
        scene.again(refused[1])
        assert refused[1].acknowledged
        scene.rest(timers=True)
        deploys = scene.database.ask("SELECT app, environment FROM deploys ORDER BY app, environment, number")
        assert [tuple(deploy) for deploy in deploys] == [("api", "production"), *[("web", "staging")] * 2]

    game = table.game("a full disk", script, postgres=False)
    assert not game.faults, told(game)


def test_a_database_that_dies(table: Table) -> None:
    """PostgreSQL ends at once, with everything open, and comes back."""

    def script(scene: Scene) -> None:
        scene.revive()
        scene.rest()
        assert scene.say("U0ANA", "/deploy web/topic to staging").acknowledged
        table.server.die()
        refused = scene.say("U0BEN", "/deploy api/topic to canary")
        assert not refused.acknowledged
        scene.github.push("acme/web", "main")
        assert set(scene.github.deliver()) == {503}
        table.server.start()
        scene.again(refused)
        scene.rest(timers=True)
        assert refused.acknowledged
        assert not [life.died for life in scene.lives if life.died]
        deploys = scene.database.ask("SELECT app, environment FROM deploys ORDER BY app, environment, number")
        assert [tuple(deploy) for deploy in deploys] == [("api", "canary"), *[("web", "staging")] * 2]

    game = table.game("a database that dies", script, postgres=True)
    assert not game.faults, told(game)
