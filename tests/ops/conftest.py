"""Fixtures of the tests of `python -m bot check` and of what looks after a database."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.check import check
from bot.deploys.config_file import read_config
from tests.ops.checking import SMALL, Look, hooked
from tests.ops.upkeep import Upkeep, upkeep_with
from tests.world import World


@pytest.fixture
def look(capsys: pytest.CaptureFixture[str]) -> Look:
    """Runs the check in a world and returns its lines."""

    def run(world: World, expect: int, config: str = SMALL, faults: list[str] | None = None) -> list[str]:
        capsys.readouterr()
        code = check(world.settings, None if faults else read_config(config), faults or [])
        written = capsys.readouterr()
        assert written.err == ""
        lines = written.out.splitlines()
        assert all(line.startswith(("ok    ", "warn  ", "FAIL  ")) for line in lines)
        assert code == expect, lines
        assert code == int(any(line.startswith("FAIL") for line in lines))
        for secret in world.settings.secrets():
            assert secret not in written.out
        return lines

    return run


@pytest.fixture
def small(make_world: Callable[..., World]) -> World:
    """A world with the small config, whose webhook works."""
    world = make_world(config=SMALL)
    hooked(world)
    return world


@pytest.fixture
def upkeep(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Upkeep:
    """Runs `python -m bot jobs | backup | migrate-to`; returns its exit code, stdout and stderr."""
    return upkeep_with(monkeypatch, capsys)
