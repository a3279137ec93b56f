"""What the tests of the simulators share."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from bot.playground.github import SimulatedGitHub


@pytest.fixture
def http(github: SimulatedGitHub) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"token {github.token}"}
    with httpx.Client(base_url=f"{github.url}/api/v3", headers=headers) as client:
        yield client
