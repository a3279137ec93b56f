"""Fixtures for providers: a repository on disk, and a world whose config has the provider that a test wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.providers.places import PUBLIC_URL, Origin
from tests.world import World


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """An empty repository on disk."""
    folder = tmp_path / "git"
    folder.mkdir()
    return Origin(folder)


@pytest.fixture
def make_place(make_world: Callable[..., World]) -> Callable[..., World]:
    """Makes a world in which `web` goes to production by a provider."""

    def make(provider: str, *, timeout: str = "1h", public_url: str | None = PUBLIC_URL, **settings: object) -> World:
        config = f"""
        apps:
          web:
            repository: acme/web
            environments:
              production:
                timeout: {timeout}
                provider: {provider}
              staging: {{}}
        """
        return make_world(config=config, public_url=public_url, **settings)

    return make
