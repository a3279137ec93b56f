"""The playground in a real browser, with the real bot behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from bot.playground.seed import OPS, RELEASES
from bot.playground.stage import Stage
from tests.playground.browsing import DESKTOP, PHONE, needs_chromium, opened, picture, type_line

pytestmark = needs_chromium


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as running:
        yield running
        assert running.slack.violations == []


@pytest.fixture
def page(browser: Browser, stage: Stage) -> Iterator[Page]:
    yield from opened(browser, stage.url, DESKTOP)


@pytest.fixture
def phone(browser: Browser, stage: Stage) -> Iterator[Page]:
    yield from opened(browser, stage.url, PHONE)


def report(page: Page, state: str) -> None:
    page.locator(f"details.deployment[open] [data-report={state}]").first.click()


def the_card(page: Page) -> Locator:
    return page.locator("#messages .card").last


def test_a_deploy_from_the_command_to_success(page: Page) -> None:
    page.get_by_role("button", name="/deploy web/topic to staging").click()
    expect(page.get_by_label("Message", exact=True)).to_have_value("/deploy web/topic to staging")
    page.get_by_role("button", name="Send").click()

    card = the_card(page)
    expect(card).to_contain_text("web to staging")
    expect(card).to_contain_text("topic")
    expect(page.locator("details.running")).to_have_count(1)

    report(page, "in_progress")
    expect(card).to_contain_text("In progress")
    thread = page.get_by_role("button", name=re.compile("1 reply"))
    expect(thread).to_be_visible()

    report(page, "success")
    expect(card.get_by_role("img", name="large green circle")).to_be_visible()
    expect(card.get_by_role("link", name="Logs")).to_be_visible()
    page.get_by_role("button", name=re.compile("2 replies")).click()
    replies = page.locator("#thread .message")
    expect(replies).to_have_count(3)
    expect(replies.last).to_contain_text("Live")
    expect(replies.last.locator(".mention")).to_have_text("@ana")
    expect(page.locator("details.deployment .state").first).to_have_text("success")
    picture(page, "playground.png")

    page.keyboard.press("Escape")
    expect(page.locator("#thread")).to_be_hidden()


def test_on_a_phone(phone: Page) -> None:
    type_line(phone, "/deploy web/topic to staging")
    card = the_card(phone)
    expect(card).to_contain_text("web to staging")

    phone.get_by_role("button", name="GitHub").click()
    report(phone, "in_progress")
    expect(phone.locator("details.deployment[open] .statuses li")).to_have_count(1)
    report(phone, "success")
    expect(phone.locator("details.deployment[open] .statuses li")).to_have_count(2)

    phone.get_by_role("button", name="Chat").click()
    expect(card.get_by_role("img", name="large green circle")).to_be_visible()
    expect(phone.get_by_role("button", name=re.compile("2 replies"))).to_be_visible()
    wide = phone.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"]
    picture(phone, "playground-phone.png")

    phone.get_by_role("button", name=re.compile("2 replies")).click()
    expect(phone.locator("#thread .message")).to_have_count(3)
    phone.get_by_role("button", name="Close the thread").click()
    expect(card).to_be_visible()


def test_answers_to_one_person_are_seen_by_that_person_only(page: Page) -> None:
    type_line(page, "/deploy where web")
    expect(page.locator(".message.private").last).to_contain_text("Only visible to you")
    expect(page.locator(".message.private").last).to_contain_text("staging")

    page.get_by_role("button", name="ben", exact=True).click()
    expect(page.locator("#people [aria-pressed=true]")).to_contain_text("ben")
    expect(page.locator(".message.private")).to_have_count(0)


def test_the_line_offers_commands_and_remembers_them(page: Page) -> None:
    line = page.get_by_label("Message", exact=True)
    options = page.get_by_role("option")
    line.press_sequentially("/")
    expect(options).to_have_count(1)
    line.press("Tab")
    expect(line).to_have_value("/deploy ")
    expect(options.filter(has_text="where APP")).to_be_visible()

    line.press_sequentially("web/to")
    expect(options.first).to_contain_text("/deploy web/topic to staging")
    line.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    line.press("Enter")
    expect(line).to_have_value("/deploy web/topic to staging")

    line.fill("good morning")
    line.press("Enter")
    expect(line).to_have_value("")
    line.press("ArrowUp")
    expect(line).to_have_value("good morning")
    line.press("ArrowDown")
    expect(line).to_have_value("")


def test_what_is_new_elsewhere_is_marked(page: Page, stage: Stage) -> None:
    stage.slack.say("U0BEN", RELEASES, "hello there")
    room = page.get_by_role("button", name=re.compile("releases"))
    expect(room.locator(".badge")).to_contain_text("1")
    room.click()
    expect(room.locator(".badge")).to_have_count(0)
    expect(page.locator("#messages")).to_contain_text("hello there")


def test_github_does_as_it_is_told(page: Page) -> None:
    branch = page.locator("[data-branch='fix/cart-total']")
    branch.locator("summary").click()
    expect(branch.get_by_role("img", name="a check is red")).to_be_visible()
    branch.get_by_role("button", name="Turn ci/build green").click()
    expect(branch.get_by_role("img", name="all checks are green")).to_be_visible()

    branch.get_by_label("Push a commit").fill("Round it half up")
    branch.get_by_label("Push a commit").press("Enter")
    expect(branch).to_contain_text("Round it half up")
    expect(branch.get_by_role("img", name="no checks")).to_be_visible()


def test_text_from_outside_is_only_text(page: Page, stage: Stage) -> None:
    stage.slack.say(
        "U0BEN",
        OPS,
        "<img src=x onerror=document.title='owned'> <javascript:alert(1)|here> *bold* _it_ ~no~ a_b_c :nope:",
    )
    message = page.locator("#messages .message").last
    expect(message).to_contain_text("<img src=x onerror")
    expect(message.locator("img, script")).to_have_count(0)
    expect(message.locator("a[href^=javascript]")).to_have_count(0)
    expect(message.locator("strong")).to_have_text("bold")
    expect(message.locator("em")).to_have_text("it")
    expect(message.locator("s")).to_have_text("no")
    expect(message).to_contain_text("a_b_c :nope:")
    assert "owned" not in page.title()
