"""The Block Kit checker: real cards pass, and each mistake is told with its place."""

from __future__ import annotations

import pytest

from bot.playground.slack_blocks import BLOCKS, blocks_too_long, check_blocks, check_text, check_view
from bot.playground.slack_elements import ELEMENTS


def plain(text: str = "x") -> dict:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str = "x") -> dict:
    return {"type": "mrkdwn", "text": text}


def button(action_id: str = "go", **more) -> dict:
    return {"type": "button", "text": plain("Go"), "action_id": action_id, **more}


def option(value: str = "a") -> dict:
    return {"text": plain(value), "value": value}


def actions(*elements: dict, **more) -> dict:
    return {"type": "actions", "elements": list(elements), **more}


def field(element: dict, **more) -> dict:
    return {"type": "input", "label": plain("Reason"), "element": element, **more}


def modal(*blocks: dict, **more) -> dict:
    return {"type": "modal", "title": plain("Lock"), "submit": plain("Lock"), "blocks": list(blocks), **more}


CONFIRM = {
    "title": plain(),
    "text": mrkdwn(),
    "confirm": plain("Yes"),
    "deny": plain("No"),
    "style": "danger",
}

GOOD = [
    {"type": "section", "text": mrkdwn("*web*"), "accessory": button(style="danger", confirm=CONFIRM)},
    {"type": "section", "fields": [mrkdwn("a"), plain("b")], "block_id": "fields", "expand": True},
    {
        "type": "context",
        "elements": [mrkdwn(), {"type": "image", "image_url": "https://x.y/z", "alt_text": "z"}],
    },
    {"type": "header", "text": {"type": "plain_text", "text": "Deploys", "emoji": True}},
    {"type": "divider"},
    {"type": "image", "image_url": "https://x.y/z.png", "alt_text": "z", "title": plain()},
    actions(
        button(value="42", style="primary", url="https://x.y"),
        {"type": "static_select", "action_id": "s", "options": [option()], "initial_option": option()},
        {"type": "external_select", "action_id": "e", "min_query_length": 2, "placeholder": plain()},
        {"type": "users_select", "action_id": "u", "initial_user": "U0ANA"},
        {"type": "conversations_select", "action_id": "c", "filter": {"include": ["public"]}},
        {"type": "overflow", "action_id": "o", "options": [option(), {**option("b"), "url": "https://x.y"}]},
        {"type": "checkboxes", "action_id": "k", "options": [option()], "initial_options": [option()]},
        {"type": "radio_buttons", "action_id": "r", "options": [{"text": mrkdwn("*a*"), "value": "a"}]},
        {"type": "datepicker", "action_id": "d", "initial_date": "2030-01-31"},
        {"type": "timepicker", "action_id": "t", "initial_time": "23:59", "timezone": "Europe/Berlin"},
    ),
    field({"type": "plain_text_input", "action_id": "why", "multiline": True, "max_length": 200}, optional=True),
    {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_section",
                "elements": [
                    {"type": "text", "text": "hi ", "style": {"bold": True}},
                    {"type": "user", "user_id": "U0ANA"},
                    {"type": "link", "url": "https://x.y"},
                    {"type": "emoji", "name": "tada"},
                ],
            },
            {
                "type": "rich_text_list",
                "style": "bullet",
                "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "one"}]}],
            },
        ],
    },
    {"type": "markdown", "text": "**bold**"},
    {"type": "table", "rows": [[{"type": "raw_text", "text": "a"}, {"type": "raw_text", "text": "b"}]]},
]


@pytest.mark.parametrize("block", GOOD, ids=lambda block: block["type"])
def test_what_slack_takes_passes(block):
    assert check_blocks([block]) == []


@pytest.mark.parametrize(
    ("blocks", "pointer", "problem"),
    [
        ([{"type": "divider"}] * 51, "/blocks", "no more than 50 items"),
        ({"type": "divider"}, "/blocks", "must be an array"),
        (["x"], "/blocks/0", "must be an object"),
        ([{"type": "sectoin", "text": mrkdwn()}], "/blocks/0/type", "unsupported type: sectoin"),
        ([{"text": mrkdwn()}], "/blocks/0/type", "unsupported type: None"),
        ([{"type": "section"}], "/blocks/0", "text, fields"),
        ([{"type": "section", "text": "x"}], "/blocks/0/text", "must be an object"),
        ([{"type": "section", "text": mrkdwn("")}], "/blocks/0/text/text", "more than 0"),
        ([{"type": "section", "text": mrkdwn("x" * 3001)}], "/blocks/0/text/text", "less than 3001"),
        ([{"type": "section", "text": {**mrkdwn(), "emoji": True}}], "/blocks/0/text", "not allowed: emoji"),
        ([{"type": "section", "text": mrkdwn(), "color": "red"}], "/blocks/0", "not allowed: color"),
        ([{"type": "section", "fields": [mrkdwn()] * 11}], "/blocks/0/fields", "no more than 10"),
        ([{"type": "section", "fields": [mrkdwn("x" * 2001)]}], "/blocks/0/fields/0/text", "less than 2001"),
        (
            [
                {
                    "type": "section",
                    "text": mrkdwn(),
                    "accessory": {"type": "plain_text_input", "action_id": "a"},
                }
            ],
            "/blocks/0/accessory/type",
            "not allowed here",
        ),
        ([{"type": "header", "text": plain("x" * 151)}], "/blocks/0/text/text", "less than 151"),
        ([{"type": "header", "text": mrkdwn()}], "/blocks/0/text/type", "not allowed here"),
        ([{"type": "context", "elements": [mrkdwn()] * 11}], "/blocks/0/elements", "no more than 10"),
        ([{"type": "context", "elements": [button()]}], "/blocks/0/elements/0/type", "unsupported type"),
        ([{"type": "context", "elements": []}], "/blocks/0/elements", "no fewer than 1"),
        ([{"type": "image", "image_url": "https://x.y"}], "/blocks/0", "missing required field: alt_text"),
        ([{"type": "image", "alt_text": "x"}], "/blocks/0", "exactly one of"),
        ([actions(*(button(str(n)) for n in range(26)))], "/blocks/0/elements", "no more than 25"),
        ([actions(button("a"), button("a"))], "/blocks/0", "'a' already exists"),
        ([actions(button("x" * 256))], "/blocks/0/elements/0/action_id", "less than 256"),
        ([actions(button(value="x" * 2001))], "/blocks/0/elements/0/value", "less than 2001"),
        ([actions(button(value=42))], "/blocks/0/elements/0/value", "must be a string"),
        ([actions(button(url="https://" + "x" * 3000))], "/blocks/0/elements/0/url", "less than 3001"),
        ([actions(button(url="javascript:alert(1)"))], "/blocks/0/elements/0/url", "valid URL"),
        ([actions(button(style="warning"))], "/blocks/0/elements/0/style", "primary, danger"),
        ([actions({**button(), "text": plain("x" * 76)})], "/blocks/0/elements/0/text/text", "less than 76"),
        ([actions({**button(), "text": mrkdwn()})], "/blocks/0/elements/0/text/type", "not allowed here"),
        ([actions(button(confirm={"title": plain()}))], "/blocks/0/elements/0/confirm", "field: deny"),
        (
            [
                actions(
                    {
                        "type": "static_select",
                        "action_id": "s",
                        "options": [option(str(n)) for n in range(101)],
                    }
                )
            ],
            "/blocks/0/elements/0/options",
            "no more than 100",
        ),
        ([actions({"type": "static_select", "action_id": "s"})], "/blocks/0/elements/0", "exactly one of"),
        (
            [
                actions(
                    {
                        "type": "static_select",
                        "action_id": "s",
                        "options": [option()],
                        "initial_option": option("b"),
                    }
                )
            ],
            "/blocks/0/elements/0",
            "must match one of the options",
        ),
        (
            [actions({"type": "datepicker", "action_id": "d", "initial_date": "1.2.2030"})],
            "/blocks/0/elements/0/initial_date",
            "YYYY-MM-DD",
        ),
        ([{"type": "divider", "block_id": "a"}] * 2, "/blocks", "`block_id` 'a' already exists"),
        ([{"type": "divider", "block_id": "x" * 256}], "/blocks/0/block_id", "less than 256"),
        (
            [field({"type": "email_text_input", "action_id": "m"})],
            "/blocks/0/element",
            "not allowed in a message",
        ),
        ([field(button())], "/blocks/0/element/type", "not allowed here"),
        (
            [
                {
                    "type": "rich_text",
                    "elements": [{"type": "rich_text_section", "elements": [{"type": "text"}]}],
                }
            ],
            "/blocks/0/elements/0/elements/0",
            "missing required field: text",
        ),
    ],
)
def test_what_slack_refuses_is_told_with_its_place(blocks, pointer, problem):
    errors = check_blocks(blocks)
    assert any(error.endswith(f"[json-pointer:{pointer}]") and problem in error for error in errors), errors


def test_views():
    reason = field({"type": "plain_text_input", "action_id": "why"})
    assert check_view(modal(reason, private_metadata="{}", callback_id="lock", notify_on_close=True)) == []
    assert check_view({"type": "home", "blocks": [actions(button())]}) == []
    assert check_view(modal(*({"type": "divider"} for _ in range(100)))) == []


@pytest.mark.parametrize(
    ("view", "problem"),
    [
        ("x", "must be an object"),
        ({"type": "dialog"}, "unsupported type: dialog"),
        (modal(*({"type": "divider"} for _ in range(101))), "no more than 100 items"),
        (modal(title=plain("x" * 25)), "less than 25"),
        (modal(submit=plain("x" * 25)), "less than 25"),
        (modal(private_metadata="x" * 3001), "less than 3001"),
        (modal(callback_id="x" * 256), "less than 256"),
        (modal(colour="red"), "not allowed: colour"),
        (
            {"type": "modal", "title": plain(), "blocks": [field({"type": "plain_text_input"})]},
            "field: submit",
        ),
        ({"type": "home", "blocks": [], "title": plain()}, "not allowed: title"),
        (modal({"type": "markdown", "text": "x"}), "not allowed in a modal"),
        (
            modal(
                field({"type": "plain_text_input", "action_id": "a", "focus_on_load": True}),
                field({"type": "plain_text_input", "action_id": "b", "focus_on_load": True}),
            ),
            "only one element",
        ),
    ],
)
def test_views_that_slack_refuses(view, problem):
    assert any(problem in error for error in check_view(view))


@pytest.mark.parametrize("kind", sorted(BLOCKS))
@pytest.mark.parametrize("junk", [None, 7, "x", [], {}, [[]], {"type": []}])
def test_junk_in_a_block_never_raises(kind, junk):
    keys = ("text", "fields", "elements", "element", "accessory", "rows", "block_id", "label")
    check_blocks([{"type": kind, **dict.fromkeys(keys, junk)}])


@pytest.mark.parametrize("kind", sorted(ELEMENTS))
@pytest.mark.parametrize("junk", [None, 7, "x", [], {}, [[]], [7], {"type": []}])
def test_junk_in_an_element_never_raises(kind, junk):
    keys = ("text", "options", "option_groups", "initial_option", "initial_options", "confirm", "action_id")
    check_blocks([actions({"type": kind, **dict.fromkeys(keys, junk)})])


def test_texts_and_totals():
    assert check_text("fine", has_blocks=True) == []
    assert "screen readers" in check_text("  ", has_blocks=True)[0]
    assert "4000" in check_text("x" * 4001, has_blocks=False)[0]
    assert not blocks_too_long([{"type": "section", "text": mrkdwn("x" * 3000)}] * 4)
    assert blocks_too_long([{"type": "section", "text": mrkdwn("x" * 3000)}] * 5)
