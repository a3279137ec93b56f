"""Fixtures: a playground without the real bot, and a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.playground.browsing import CHROMIUM, PATIENCE, SWITCHES
from tests.playground.places import FormBot, Place


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.close()


@pytest.fixture
def bot(place: Place) -> Iterator[FormBot]:
    """A small bot in that playground, which breaks none of Slack's rules."""
    running = FormBot(place)
    yield running
    running.close()
    assert place.slack.violations == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "chromium is not installed (apt-get install chromium)"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES.split())
        yield running
        running.close()
