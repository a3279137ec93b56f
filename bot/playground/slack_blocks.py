"""The strict Block Kit checker: what Slack refuses, and what nobody knows.

From https://docs.slack.dev/reference/block-kit/blocks, …/reference/views and the methods' own pages.
"""

from __future__ import annotations

import json
from typing import Any

from bot.playground.slack_elements import (
    ELEMENTS,
    IN_ACTIONS,
    IN_INPUT,
    IN_SECTION,
    anything_typed,
    option,
    option_group,
    plain,
    slack_file,
    text,
)
from bot.playground.slack_shapes import (
    Check,
    Findings,
    array,
    at_least_one,
    boolean,
    by_type,
    exactly_one,
    integer,
    on_surfaces,
    one_of,
    shape,
    string,
    url,
)

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
BLOCKS_CHARACTERS = 13_200  # msg_blocks_too_long; Slack publishes no number, this one was found by trying
TEXT_CHARACTERS = 40_000
TEXT_RECOMMENDED = 4_000

_rich_style = shape(
    {},
    dict.fromkeys(
        ("bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink"), boolean
    ),
)


def _rich(required: dict[str, Check], optional: dict[str, Check] | None = None) -> Check:
    return shape({"type": anything_typed, **required}, {"style": _rich_style, **(optional or {})})


_rich_inline = by_type(
    {
        "text": _rich({"text": string()}),
        "link": _rich({"url": url}, {"text": string(), "unsafe": boolean}),
        "emoji": _rich({"name": string()}, {"unicode": string(), "skin_tone": integer(1, 6)}),
        "user": _rich({"user_id": string()}),
        "usergroup": _rich({"usergroup_id": string()}),
        "channel": _rich({"channel_id": string()}),
        "team": _rich({"team_id": string()}),
        "broadcast": _rich({"range": one_of("here", "channel", "everyone")}),
        "date": _rich({"timestamp": integer(0), "format": string()}, {"url": url, "fallback": string()}),
        "color": _rich({"value": string()}),
    }
)
_inlines: dict[str, Check] = {"type": anything_typed, "elements": array(_rich_inline, least=0)}
_border: dict[str, Check] = {"border": integer(0, 1)}
_rich_section = shape(_inlines, {})
RICH_TEXT = by_type(
    {
        "rich_text_section": _rich_section,
        "rich_text_list": shape(
            {
                "type": anything_typed,
                "style": one_of("bullet", "ordered"),
                "elements": array(by_type({"rich_text_section": _rich_section})),
            },
            {"indent": integer(0, 8), "offset": integer(0), **_border},
        ),
        "rich_text_preformatted": shape(_inlines, {**_border, "language": string()}),
        "rich_text_quote": shape(_inlines, _border),
    }
)


def _block(required: dict[str, Check], optional: dict[str, Check], *rules: Check) -> Check:
    return shape(
        {"type": anything_typed, **required},
        {"block_id": string(255), **optional},
        *rules,
        _unique_action_ids,
    )


def _unique_action_ids(block: Any, pointer: str, findings: Findings) -> None:
    """Slack: an action_id is unique within the block that contains it."""
    holders = list(block["elements"]) if isinstance(block.get("elements"), list) else []
    ids = [each["action_id"] for each in holders if isinstance(each, dict) and "action_id" in each]
    for twice in sorted({str(each) for each in ids if ids.count(each) > 1}):
        findings.add(pointer, f"`action_id` {twice!r} already exists in this block")


_context_element = by_type(
    {
        "image": ELEMENTS["image"],
        "plain_text": text(kinds=("plain_text",)),
        "mrkdwn": text(kinds=("mrkdwn",)),
    }
)
_cell = by_type(
    {
        "raw_text": shape({"type": anything_typed, "text": string(least=0)}, {}),
        "rich_text": shape({"type": anything_typed, "elements": array(RICH_TEXT)}, {"block_id": string(255)}),
    }
)

BLOCKS: dict[str, Check] = {
    "section": _block(
        {},
        {
            "text": text(3000),
            "fields": array(text(2000), most=10),
            "accessory": by_type(ELEMENTS, IN_SECTION),
            "expand": boolean,
        },
        at_least_one("text", "fields"),
    ),
    "actions": _block({"elements": array(by_type(ELEMENTS, IN_ACTIONS), most=25)}, {}),
    "context": _block({"elements": array(_context_element, most=10)}, {}),
    "context_actions": _block(
        {"elements": array(by_type(ELEMENTS, ("feedback_buttons", "icon_button")), most=5)},
        {},
        on_surfaces("message"),
    ),
    "header": _block({"text": plain(150)}, {}),
    "divider": _block({}, {}),
    "image": _block(
        {"alt_text": string(2000)},
        {"image_url": url, "slack_file": slack_file, "title": plain(2000)},
        exactly_one("image_url", "slack_file"),
    ),
    "input": _block(
        {"label": plain(2000), "element": by_type(ELEMENTS, IN_INPUT)},
        {"dispatch_action": boolean, "hint": plain(2000), "optional": boolean},
    ),
    "rich_text": _block({"elements": array(RICH_TEXT)}, {}),
    "markdown": _block({"text": string(12_000)}, {}, on_surfaces("message")),
    "table": _block(
        {"rows": array(array(_cell, most=20), most=100)},
        {
            "column_settings": array(
                shape({}, {"align": one_of("left", "center", "right"), "is_wrapped": boolean}), most=20
            )
        },
        on_surfaces("message"),
    ),
    "video": _block(
        {
            "alt_text": string(2000),
            "title": plain(199),
            "thumbnail_url": url,
            "video_url": url,
        },
        {
            "author_name": string(49),
            "description": plain(200),
            "provider_icon_url": url,
            "provider_name": string(255),
            "title_url": url,
        },
    ),
    "file": _block({"external_id": string(255), "source": one_of("remote")}, {}, on_surfaces("message")),
}


def _blocks(most: int) -> Check:
    listed = array(by_type(BLOCKS), least=0, most=most)

    def check(value: Any, pointer: str, findings: Findings) -> None:
        listed(value, pointer, findings)
        if not isinstance(value, list):
            return
        ids = [block["block_id"] for block in value if isinstance(block, dict) and "block_id" in block]
        for twice in sorted({str(each) for each in ids if ids.count(each) > 1}):
            findings.add(pointer, f"`block_id` {twice!r} already exists")

    return check


def _submit_for_inputs(view: Any, pointer: str, findings: Findings) -> None:
    """Slack: a modal with input blocks needs a submit button."""
    blocks = view.get("blocks")
    if isinstance(blocks, list) and "submit" not in view:
        for block in blocks:
            if isinstance(block, dict) and block.get("type") == "input":
                findings.add(pointer, "missing required field: submit (the view has input blocks)")
                return


_VIEW_KEYS: dict[str, Check] = {
    "private_metadata": string(3000, least=0),
    "callback_id": string(255, least=0),
    "external_id": string(255, least=0),
}
VIEWS: dict[str, Check] = {
    "modal": shape(
        {"type": anything_typed, "title": plain(24), "blocks": _blocks(VIEW_BLOCKS)},
        {
            **_VIEW_KEYS,
            "close": plain(24),
            "submit": plain(24),
            "clear_on_close": boolean,
            "notify_on_close": boolean,
            "submit_disabled": boolean,
        },
        _submit_for_inputs,
    ),
    "home": shape({"type": anything_typed, "blocks": _blocks(VIEW_BLOCKS)}, _VIEW_KEYS),
}


def check_blocks(blocks: Any) -> list[str]:
    """What is wrong with the blocks of a message, each with its JSON pointer; empty when nothing is."""
    findings = Findings("message")
    _blocks(MESSAGE_BLOCKS)(blocks, "/blocks", findings)
    return findings.errors


_attachment = shape(
    {},
    {
        "blocks": _blocks(MESSAGE_BLOCKS),
        "color": string(255),
        "fallback": string(),
        "mrkdwn_in": array(string()),
        "ts": integer(0),
        "fields": array(shape({"title": string(), "value": string()}, {"short": boolean})),
        **dict.fromkeys(("text", "pretext", "title", "author_name", "footer"), string(least=0)),
        **dict.fromkeys(("title_link", "author_link", "author_icon", "image_url", "thumb_url", "footer_icon"), url),
    },
)


def check_attachments(attachments: Any) -> list[str]:
    """What is wrong with the (old-style) attachments of a message and the blocks in them."""
    findings = Findings("message")
    array(_attachment, least=0, most=100)(attachments, "/attachments", findings)
    return findings.errors


def check_view(view: Any) -> list[str]:
    """What is wrong with a modal or home view, each with its JSON pointer; empty when nothing is."""
    surface = view.get("type") if isinstance(view, dict) else None
    findings = Findings(surface if surface in VIEWS else "modal")
    by_type(VIEWS)(view, "/view", findings)
    return findings.errors


_OPTIONS = shape(
    {},
    {"options": array(option, least=0, most=100), "option_groups": array(option_group, least=0, most=100)},
    exactly_one("options", "option_groups"),
)


def check_options(answer: Any) -> list[str]:
    """What is wrong with the answer to a menu that asked what it offers."""
    findings = Findings("modal")
    _OPTIONS(answer, "", findings)
    return findings.errors


def check_text(text: str, *, has_blocks: bool) -> list[str]:
    """What Slack accepts but advises against: long texts, and blocks that a screen reader cannot read out."""
    notes = []
    if has_blocks and not text.strip():
        notes.append("blocks without a text: notifications and screen readers have nothing to show")
    if len(text) > TEXT_RECOMMENDED:
        notes.append(f"text of {len(text)} characters; Slack recommends at most {TEXT_RECOMMENDED}")
    return notes


def blocks_too_long(blocks: Any) -> bool:
    """Whether the blocks of a message are too many characters in all, for `msg_blocks_too_long`."""
    return len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":"))) > BLOCKS_CHARACTERS
