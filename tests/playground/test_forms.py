"""The bot's modal and its home tab in a real browser, with a small bot that shows a form."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.playground.browsing import DESKTOP, PHONE, needs_chromium, opened, type_line
from tests.playground.places import FormBot, Place, deploy_form

pytestmark = needs_chromium


@pytest.fixture
def page(browser: Browser, place: Place, bot: FormBot) -> Iterator[Page]:
    yield from opened(browser, place.served.url, DESKTOP)


@pytest.fixture
def failing(browser: Browser, place: Place, bot: FormBot) -> Iterator[Page]:
    yield from opened(browser, place.served.url, DESKTOP, allowed="502")


@pytest.fixture
def phone(browser: Browser, place: Place, bot: FormBot) -> Iterator[Page]:
    yield from opened(browser, place.served.url, PHONE)


def form(page: Page) -> Locator:
    """The modal that `/deploy` opens."""
    type_line(page, "/deploy")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Deploy")).to_be_visible()
    return dialog


def test_a_form_is_filled_in_and_sent(page: Page, place: Place, bot: FormBot) -> None:
    dialog = form(page)
    expect(dialog.get_by_label("App", exact=True)).to_be_focused()
    dialog.get_by_label("Why").fill("fix the login loop!")
    dialog.get_by_role("group", name="Where to").get_by_label("production").check()
    dialog.get_by_label("force").check()

    dialog.get_by_role("button", name="Deploy").click()
    expect(dialog.locator(".wrong")).to_contain_text("Please complete this required field.")
    ref = dialog.get_by_label("Branch, tag or commit")
    expect(ref).to_be_focused()
    expect(ref).to_have_attribute("aria-invalid", "true")

    ref.press_sequentially("top")
    expect(dialog.locator(".options [role=option]")).to_have_text(["topic"])
    ref.press("Enter")
    expect(ref).to_have_value("topic")
    dialog.get_by_role("button", name="Deploy").click()
    expect(dialog.locator(".wrong")).to_contain_text("Say it without shouting.")
    expect(dialog.get_by_label("Why")).to_have_value("fix the login loop!")

    dialog.get_by_label("Why").fill("fix the login loop")
    dialog.get_by_label("Why").press("Enter")
    expect(dialog).to_contain_text("On its way…")
    values = bot.told[-1]["view"]["state"]["values"]
    assert values["ref-web"]["ref-web"]["selected_option"]["value"] == "topic"
    assert values["where"]["where"]["selected_option"]["value"] == "production"
    assert [each["value"] for each in values["options"]["options"]["selected_options"]] == ["force"]
    assert values["reason"]["reason"]["value"] == "fix the login loop"

    dialog.get_by_role("button", name="Close").last.click()
    expect(dialog).to_have_count(0)
    assert place.slack.views("U0ANA") == []


def test_the_form_follows_what_is_chosen_and_keeps_what_was_typed(page: Page, bot: FormBot) -> None:
    dialog = form(page)
    dialog.get_by_label("Why").fill("demo")
    dialog.get_by_role("group", name="Where to").get_by_label("staging").check()
    dialog.get_by_label("App", exact=True).select_option("api")
    expect(dialog).to_contain_text("api has 2 refs")
    assert bot.told[-1]["view"]["state"]["values"]["reason"]["reason"]["value"] == "demo"
    expect(dialog.get_by_label("App", exact=True)).to_have_value("api")
    expect(dialog.get_by_label("Why")).to_have_value("demo")
    expect(dialog.get_by_role("group", name="Where to").get_by_label("staging")).to_be_checked()

    ref = dialog.get_by_label("Branch, tag or commit")
    ref.click()
    expect(dialog.locator(".options [role=option]")).to_have_text(["main", "v2"])
    ref.press_sequentially("zzz")
    expect(dialog.get_by_role("status")).to_have_text("Nothing found")
    ref.press("Escape")
    expect(dialog.get_by_role("status")).to_have_count(0)
    ref.press("Enter")
    expect(dialog.locator(".wrong")).to_have_count(0)
    ref.fill("")
    expect(dialog.locator(".options [role=option]")).to_have_text(["main", "v2"])
    ref.press("ArrowDown")
    ref.press("Enter")
    expect(ref).to_have_value("main")
    ref.press_sequentially("nonsense")
    dialog.get_by_label("Why").focus()
    expect(ref).to_have_value("main")


def test_a_form_is_closed_by_key(page: Page, place: Place) -> None:
    dialog = form(page)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert place.slack.views("U0ANA") == []


def test_a_bot_that_is_gone_is_told_in_the_form(failing: Page, bot: FormBot) -> None:
    dialog = form(failing)
    bot.refuses = True
    dialog.get_by_label("Branch, tag or commit").click()
    expect(dialog.get_by_role("status")).to_contain_text("Shipbot did not say what there is (HTTP status 503).")
    dialog.get_by_label("App", exact=True).select_option("api")
    expect(dialog.get_by_role("alert")).to_have_text("Shipbot did not take the click (HTTP status 503).")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)


def test_the_home_of_the_bot(page: Page, bot: FormBot) -> None:
    page.get_by_role("button", name="Home").click()
    home = page.get_by_role("region", name="The bot's home")
    expect(home.get_by_role("heading", name="What waits for you")).to_be_visible()
    expect(home.locator(".mention")).to_have_text("@release")
    expect(page.get_by_label("Message", exact=True)).to_be_hidden()
    assert bot.told[-1]["event"]["user"] == "U0ANA"

    home.get_by_role("combobox").select_option("api")
    home.get_by_role("button", name="Deploy…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("App", exact=True)).to_be_visible()
    assert bot.told[-2]["actions"][0]["selected_option"]["value"] == "api"
    assert bot.told[-1]["view"]["type"] == "home"

    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="ben", exact=True).click()
    expect(page.locator("#people [aria-pressed=true]")).to_contain_text("ben")
    expect(home.get_by_role("heading", name="What waits for you")).to_be_visible()
    assert bot.told[-1]["event"]["user"] == "U0BEN"
    page.get_by_role("button", name=re.compile("ops")).click()
    expect(home).to_be_hidden()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()


def test_a_form_on_a_phone(phone: Page) -> None:
    dialog = form(phone)
    box = dialog.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    assert box["y"] + box["height"] <= PHONE["height"]
    for name in ("Deploy", "Cancel"):
        expect(dialog.get_by_role("button", name=name)).to_be_in_viewport()
    dialog.get_by_role("button", name="Cancel").click()

    phone.get_by_role("button", name="Rooms").click()
    phone.get_by_role("button", name="Home").click()
    expect(phone.get_by_role("heading", name="What waits for you")).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_words_of_a_form_are_only_words(page: Page, place: Place) -> None:
    form(page)
    with place.slack._workspace.change():
        view = place.slack._workspace.modals["U0ANA"][-1]
        view["blocks"][0]["label"]["text"] = "<img src=x onerror=document.title='owned'>"
        view["hash"] = "other"
    expect(page.get_by_role("dialog")).to_contain_text("<img src=x")
    expect(page.get_by_role("dialog").locator("img")).to_have_count(0)
    assert "owned" not in page.title()
    assert deploy_form()["blocks"][0]["label"]["text"] == "App"
