"""Fixtures: this bot's client beside a simulated GitHub."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bot.github.asking import app_tokens, given_token
from bot.github.client import GitHubClient
from bot.playground.github import SimulatedGitHub
from tests.github_app import APP, keys
from tests.truth import check_github_record, served_github
from tests.world import FixedClock


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def github(clock: FixedClock) -> Iterator[SimulatedGitHub]:
    with served_github(now=clock.now, app_id=APP, app_public_key=keys()[1]) as simulated:
        simulated.add_user("ana-gh", "Ana Lang")
        simulated.add_repository("acme/web")
        yield simulated
        check_github_record(simulated, new_states=True)


@pytest.fixture
def make_client(github: SimulatedGitHub, clock: FixedClock) -> Callable[..., GitHubClient]:
    """Makes a client with a token, or with that of a GitHub App."""

    def make(*, app: bool = False, seal: str = "a secret") -> GitHubClient:
        api = f"{github.url}/api/v3"
        tokens = app_tokens(APP, keys()[0], api, clock) if app else given_token(github.token)
        return GitHubClient(api, tokens, clock, web_url=github.url, seal=seal)

    return make
