"""What the tests of the simulators share."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from slack_sdk import WebClient

from bot.playground.github import SimulatedGitHub
from bot.playground.serving import Served
from bot.playground.slack import SimulatedSlack
from tests.simulators.bolt import Bot


@pytest.fixture
def http(github: SimulatedGitHub) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"token {github.token}"}
    with httpx.Client(base_url=f"{github.url}/api/v3", headers=headers) as client:
        yield client


@pytest.fixture
def slack() -> Iterator[SimulatedSlack]:
    """A workspace with Ana, Ben and #ops."""
    simulated = SimulatedSlack()
    simulated.add_person("U0ANA", "ana")
    simulated.add_person("U0BEN", "ben")
    simulated.add_room("C0OPS", "ops")
    with Served(simulated.asgi) as served:
        simulated.url = served.url
        yield simulated


@pytest.fixture
def bot(slack: SimulatedSlack) -> Iterator[Bot]:
    """A small Bolt app that hears what happens in the workspace."""
    bot = Bot(slack)
    with Served(bot.asgi()) as served:
        slack.bot_url = served.url
        yield bot


@pytest.fixture
def client(slack: SimulatedSlack) -> WebClient:
    """That app's client of the Web API."""
    return WebClient("xoxb-playground", base_url=f"{slack.url}/api/")
