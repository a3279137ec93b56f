"""What the tests of `python -m bot jobs | backup | migrate-to` share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.__main__ import main

ADMINS = """
admins: [U0BEN, U0CAL]
apps:
  web:
    repository: acme/web
    environments: {production: {}, staging: {}}
"""

Upkeep = Callable[..., tuple[int, str, str]]


def upkeep_with(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Upkeep:
    """Runs one command on a database; returns its exit code, stdout and stderr."""

    def run(url: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("DATABASE_URL", url)
        capsys.readouterr()
        code = main(list(arguments))
        written = capsys.readouterr()
        return code, written.out, written.err

    return run
