"""The page of a log in a real browser: it follows, shows colours, is no way in for what a program prints, and stays
smooth when it is long."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from bot.playground.seed import REAL_COMMAND
from bot.playground.stage import Stage
from tests.playground.browsing import DESKTOP, PATIENCE, PHONE, needs_chromium, opened, picture, type_line
from tests.world import World
from tests.written import CONFIG, WrittenLog

pytestmark = [needs_chromium, pytest.mark.slow]

LINES = 100_000
# Milliseconds of the page's own thread: what it computes, which a busy machine changes less than how long it waits.
TO_SHOW = 10_000.0
FRAME = 100.0  # of one frame while somebody scrolls, on average
SCROLL = """async ([step, times]) => {
  for (let i = 0; i < times; i += 1) {
    scrollBy(0, step);
    await new Promise(requestAnimationFrame);
  }
}"""
# Playwright's own waiting reads the whole page again and again, which takes longer than the page itself.
ENDED = """async () => {
  const end = document.getElementById("end");
  while (end.hidden) await new Promise((done) => setTimeout(done, 50));
  return end.textContent;
}"""


@pytest.fixture
def log(make_world: Callable[..., World]) -> WrittenLog:
    world = make_world(config=CONFIG)
    world.bot.service.public_url = world.servers.bot_url
    return WrittenLog(world)


@contextmanager
def reading(browser: Browser, url: str, size: Any = DESKTOP) -> Iterator[Page]:
    """The page, which must neither log an error nor ask anybody else."""
    faults: list[str] = []
    context = browser.new_context(viewport=size, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    root = f"{url.partition('/logs/')[0]}/logs/"
    page.on("request", lambda asked: None if asked.url.startswith(root) else faults.append(asked.url))
    page.goto(url)
    yield page
    context.close()
    assert faults == []


def away(page: Page) -> float:
    """Pixels from the end."""
    return float(page.evaluate("document.documentElement.scrollHeight - innerHeight - scrollY"))


def test_the_playgrounds_docs_are_deployed_while_one_watches(browser: Browser) -> None:
    with Stage(pace=0.5) as stage:
        for page in opened(browser, stage.url, DESKTOP):
            type_line(page, REAL_COMMAND)
            link = page.locator("#messages .card").last.get_by_role("link", name="Logs")
            url = link.get_attribute("href")
            assert url is not None
            with reading(browser, url) as watched:
                expect(watched.locator("#words")).to_have_text("Running")
                expect(watched.locator(".row").first).to_have_text("Releasing docs to production")
                expect(watched.locator("#end")).to_be_hidden()
                expect(watched.locator("#words")).to_have_text("Succeeded", timeout=30_000)
                expect(watched.locator("#end")).to_have_text("End of the log: 24 lines")
                expect(watched.locator(".row").filter(has_text="100 %")).to_have_count(1)
                expect(watched.locator(".row").filter(has_text="95 %")).to_have_count(0)
                expect(watched.get_by_role("link", name="Open")).to_have_attribute(
                    "href", re.compile("/site/acme/docs")
                )
                picture(watched, "log.png")
            with reading(browser, url, PHONE) as small:
                expect(small.locator("#end")).to_be_visible()
                assert small.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_colours_and_overwritten_lines(browser: Browser, log: WrittenLog) -> None:
    log.prints("\x1b[31mred\x1b[0m \x1b[1;38;5;208morange\x1b[m \x1b[48;2;1;2;3mdeep\x1b[0")
    log.prints(
        "mplain\n10 %\r20 %\r100 %\rab\x1b[K\nwhole line\rnext\n\x1b]8;;https://x.example\x07text\x1b]8;;\x07\x1b[5A"
    )
    with reading(browser, log.url) as page:
        rows = page.locator(".row")
        expect(rows).to_have_text(["red orange deepplain", "ab", "nexte line", "text"])
        spans = rows.first.locator("span")
        expect(spans).to_have_text(["red", "orange", "deep"])
        expect(spans.nth(0)).to_have_class("f1")
        expect(spans.nth(1)).to_have_css("color", "rgb(255, 135, 0)")
        expect(spans.nth(2)).to_have_css("background-color", "rgb(1, 2, 3)")


def test_what_is_printed_stays_text(browser: Browser, log: WrittenLog) -> None:
    hostile = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> &amp; \u2028 ok"
    log.prints(f"{hostile}\n\x1b]0;<b>title</b>\x07\x1b[38;2;300;1;1mno colour\x1b[999m\x01\x7f\n")
    log.ends("failure")
    with reading(browser, log.url) as page:
        expect(page.locator("#end")).to_have_text("End of the log: 2 lines")
        assert page.locator(".row").all_text_contents() == [hostile, "no colour"]
        expect(page.locator("#log img, #log script, #log b")).to_have_count(0)
        expect(page).to_have_title("Failed: web to production #1")


def test_who_reads_elsewhere_is_left_there(browser: Browser, log: WrittenLog) -> None:
    log.prints("".join(f"line {number}\n" for number in range(500)))
    with reading(browser, log.url) as page:
        expect(page.get_by_text("line 499", exact=True)).to_be_in_viewport()
        expect(page.locator("#jump")).to_be_hidden()
        log.prints("followed\n")
        expect(page.get_by_text("followed", exact=True)).to_be_in_viewport()

        page.evaluate("scrollTo(0, 1000)")
        expect(page.locator("#jump")).to_be_visible()
        log.prints("not followed\n")
        expect(page.get_by_text("not followed", exact=True)).to_be_attached()
        assert page.evaluate("scrollY") == 1000

        page.locator("#jump").click()
        expect(page.get_by_text("not followed", exact=True)).to_be_in_viewport()
        expect(page.locator("#jump")).to_be_hidden()
        log.prints("followed again\n")
        expect(page.get_by_text("followed again", exact=True)).to_be_in_viewport()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_hundred_thousand_lines_stay_smooth(browser: Browser, log: WrittenLog, size: Any) -> None:
    log.prints(
        "".join(f"\x1b[3{number % 8}m{number:06}\x1b[0m \x1b[1mstep\x1b[0m of a build\n" for number in range(LINES))
    )
    log.ends("failure")
    with reading(browser, log.url, size) as page:
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def busy() -> float:
            found = session.send("Performance.getMetrics")["metrics"]
            return 1000 * next(float(one["value"]) for one in found if one["name"] == "TaskDuration")

        page.reload()
        before = busy()
        assert page.evaluate(ENDED) == "End of the log: 100,000 lines"
        page.evaluate(SCROLL, [0, 2])
        to_show = busy() - before
        assert away(page) <= 1
        frames = {}
        for step, times in ((-150, 60), (-3000, 20)):
            before = busy()
            page.evaluate(SCROLL, [step, times])
            frames[step] = (busy() - before) / times
        print(f"{to_show:.0f} ms to show it; each frame, by pixels scrolled: {frames}")
        assert away(page) > 60_000
        page.evaluate("document.getElementById('jump').click()")
        page.evaluate(SCROLL, [0, 3])
        assert away(page) <= 1
        assert to_show < TO_SHOW
        assert max(frames.values()) < FRAME
