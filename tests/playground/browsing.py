"""What the tests in a real browser share.

With SHIPBOT_SCREENSHOTS=1 the pictures under docs/images/ are made anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SWITCHES = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
    " --no-first-run"
)
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PATIENCE = 15_000  # milliseconds for the bot to react on a busy machine

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed (apt-get install chromium)"
)


def opened(browser: Browser, url: str, size: Any, *, allowed: str = "nothing") -> Iterator[Page]:
    """A page that must neither log an error nor ask anybody but the playground. Errors with `allowed` in them may
    be logged: a browser notes every answer that is a 502."""
    faults: list[str] = []

    def logged(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and allowed not in message.text:
            faults.append(message.text)

    context = browser.new_context(viewport=size, timezone_id="Europe/Berlin", locale="en-GB")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("console", logged)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(url) else faults.append(asked.url))
    page.goto(url)
    expect(page.locator("#messages .message").first).to_be_visible()
    yield page
    context.close()
    assert faults == []


def type_line(page: Page, text: str) -> None:
    line = page.get_by_label("Message", exact=True)
    line.fill(text)
    line.press("Enter")


def picture(page: Page, name: str) -> None:
    if os.environ.get("SHIPBOT_SCREENSHOTS") == "1":
        IMAGES.mkdir(parents=True, exist_ok=True)
        page.mouse.move(0, 0)
        page.screenshot(path=str(IMAGES / name), animations="disabled", caret="initial")
