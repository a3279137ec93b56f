"""Playing the state machines, each game in a world of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.world import Servers, World


def play(
    machine: type[RuleBasedStateMachine], config: str, servers: Servers, migrated: Path, folder: Path, *, steps: int
) -> None:
    """Plays games of up to `steps` on SQLite, in `folder`. The machine's `make` is what gives it a world.

    `MACHINE_EXAMPLES=500` in the environment plays that many in the place of the few of every run.
    """

    def make() -> World:
        path = folder / "shipbot.db"
        for old in folder.iterdir():
            old.unlink()
        shutil.copy(migrated, path)
        return World(servers, f"sqlite:///{path}", config)

    game: Any = type("Game", (machine,), {"make": staticmethod(make)})
    run_state_machine_as_test(
        game,
        settings=settings(
            max_examples=int(os.environ.get("MACHINE_EXAMPLES", "10")),
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
