"""The shapes of Block Kit's elements and composition objects.

From https://docs.slack.dev/reference/block-kit/block-elements and …/composition-objects.
"""

from __future__ import annotations

from typing import Any

from bot.playground.slack_shapes import (
    Check,
    Findings,
    array,
    at_least_one,
    boolean,
    by_type,
    exactly_one,
    integer,
    matching,
    on_surfaces,
    one_of,
    shape,
    string,
    url,
)

anything_typed: Check = string(255)
action_id = string(255)


def text(most: int = 3000, *, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> Check:
    """A text object of 1 to `most` characters."""
    body = string(most)
    shapes = {
        "plain_text": shape({"type": anything_typed, "text": body}, {"emoji": boolean}),
        "mrkdwn": shape({"type": anything_typed, "text": body}, {"verbatim": boolean}),
    }
    return by_type(shapes, kinds)


def plain(most: int) -> Check:
    """A plain_text object of 1 to `most` characters."""
    return text(most, kinds=("plain_text",))


confirm = shape(
    {"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)},
    {"style": one_of("primary", "danger")},
)
slack_file = shape({}, {"id": string(255), "url": url}, exactly_one("id", "url"))
option = shape({"text": plain(75), "value": string(150)}, {"description": plain(75)})
option_mrkdwn = shape({"text": text(75), "value": string(150)}, {"description": text(75)})
option_link = shape({"text": plain(75), "value": string(150)}, {"description": plain(75), "url": url})
option_group = shape({"label": plain(75), "options": array(option, most=100)}, {})
conversation_filter = shape(
    {},
    {
        "include": array(one_of("im", "mpim", "private", "public")),
        "exclude_external_shared_channels": boolean,
        "exclude_bot_users": boolean,
    },
    at_least_one("include", "exclude_external_shared_channels", "exclude_bot_users"),
)
dispatch_config = shape({"trigger_actions_on": array(one_of("on_enter_pressed", "on_character_entered"), most=2)}, {})
date = matching(r"\d{4}-\d{2}-\d{2}", "a date of the form YYYY-MM-DD")
time_of_day = matching(r"([01]\d|2[0-3]):[0-5]\d", "a time of the form HH:mm")
number = matching(r"-?\d+(\.\d+)?", "a number as a string")
style = one_of("primary", "danger")
label = string(75)


def _one_focus(value: Any, pointer: str, findings: Findings) -> None:
    """Slack: only one element of a view may have focus_on_load."""
    if value.get("focus_on_load") is True:
        findings.focused += 1
        if findings.focused > 1:
            findings.add(f"{pointer}/focus_on_load", "only one element may have focus_on_load")


def _initial_is_offered(value: Any, pointer: str, findings: Findings) -> None:
    """Slack: an initial option has to be exactly one of the options."""
    offered = value.get("options") or []
    if isinstance(value.get("option_groups"), list):
        lists = [group.get("options") for group in value["option_groups"] if isinstance(group, dict)]
        offered = [each for options in lists if isinstance(options, list) for each in options]
    chosen = [value["initial_option"]] if "initial_option" in value else value.get("initial_options") or []
    if isinstance(offered, list) and isinstance(chosen, list):
        for each in chosen:
            if each not in offered:
                findings.add(pointer, "initial option must match one of the options")


def _element(required: dict[str, Check], optional: dict[str, Check], *rules: Check) -> Check:
    return shape(
        {"type": anything_typed, **required},
        {"action_id": action_id, **optional},
        *rules,
        _one_focus,
    )


_FOCUS: dict[str, Check] = {"focus_on_load": boolean}
_MENU: dict[str, Check] = {"confirm": confirm, "placeholder": plain(150), **_FOCUS}
_MANY: dict[str, Check] = {**_MENU, "max_selected_items": integer(1)}
_TEXT: dict[str, Check] = {"placeholder": plain(150), "dispatch_action_config": dispatch_config, **_FOCUS}
_STATIC: dict[str, Check] = {
    "options": array(option, most=100),
    "option_groups": array(option_group, most=100),
}
_CONVERSATIONS: dict[str, Check] = {
    "default_to_current_conversation": boolean,
    "filter": conversation_filter,
}
_either_options = exactly_one("options", "option_groups")

_image = shape(
    {"type": anything_typed, "alt_text": string(2000)},
    {"image_url": url, "slack_file": slack_file},
    exactly_one("image_url", "slack_file"),
)
_feedback = shape({"text": plain(75), "value": string(2000)}, {"accessibility_label": label})

ELEMENTS: dict[str, Check] = {
    "button": _element(
        {"text": plain(75)},
        {
            "url": url,
            "value": string(2000, least=0),
            "style": style,
            "confirm": confirm,
            "accessibility_label": label,
        },
    ),
    "static_select": _element({}, {**_STATIC, **_MENU, "initial_option": option}, _either_options, _initial_is_offered),
    "external_select": _element({}, {**_MENU, "initial_option": option, "min_query_length": integer(0)}),
    "users_select": _element({}, {**_MENU, "initial_user": string(255)}),
    "conversations_select": _element(
        {},
        {**_MENU, **_CONVERSATIONS, "initial_conversation": string(255), "response_url_enabled": boolean},
    ),
    "channels_select": _element({}, {**_MENU, "initial_channel": string(255), "response_url_enabled": boolean}),
    "multi_static_select": _element(
        {},
        {**_STATIC, **_MANY, "initial_options": array(option, most=100)},
        _either_options,
        _initial_is_offered,
    ),
    "multi_external_select": _element(
        {}, {**_MANY, "initial_options": array(option, most=100), "min_query_length": integer(0)}
    ),
    "multi_users_select": _element({}, {**_MANY, "initial_users": array(string(255))}),
    "multi_conversations_select": _element(
        {}, {**_MANY, **_CONVERSATIONS, "initial_conversations": array(string(255))}
    ),
    "multi_channels_select": _element({}, {**_MANY, "initial_channels": array(string(255))}),
    "overflow": _element({"options": array(option_link, most=5)}, {"confirm": confirm}),
    "checkboxes": _element(
        {"options": array(option_mrkdwn, most=10)},
        {"initial_options": array(option_mrkdwn, most=10), "confirm": confirm, **_FOCUS},
        _initial_is_offered,
    ),
    "radio_buttons": _element(
        {"options": array(option_mrkdwn, most=10)},
        {"initial_option": option_mrkdwn, "confirm": confirm, **_FOCUS},
        _initial_is_offered,
    ),
    "datepicker": _element({}, {**_MENU, "initial_date": date}),
    "timepicker": _element({}, {**_MENU, "initial_time": time_of_day, "timezone": string(255)}),
    "datetimepicker": _element(
        {},
        {"initial_date_time": integer(10**9, 10**10 - 1), "confirm": confirm, **_FOCUS},
        on_surfaces("message", "modal"),
    ),
    "plain_text_input": _element(
        {},
        {
            **_TEXT,
            "initial_value": string(3000, least=0),
            "multiline": boolean,
            "min_length": integer(0, 3000),
            "max_length": integer(1, 3000),
        },
    ),
    "email_text_input": _element({}, {**_TEXT, "initial_value": string(255, least=0)}, on_surfaces("modal")),
    "url_text_input": _element({}, {**_TEXT, "initial_value": string(3000, least=0)}, on_surfaces("modal")),
    "number_input": _element(
        {"is_decimal_allowed": boolean},
        {**_TEXT, "initial_value": number, "min_value": number, "max_value": number},
        on_surfaces("modal"),
    ),
    "rich_text_input": _element(
        {}, {**_TEXT, "initial_value": shape({"type": one_of("rich_text")}, {"elements": array(by_type({}))})}
    ),
    "file_input": _element({}, {"filetypes": array(string(20)), "max_files": integer(1, 10)}, on_surfaces("modal")),
    "workflow_button": _element(
        {
            "text": plain(75),
            "workflow": shape(
                {
                    "trigger": shape(
                        {"url": url},
                        {"customizable_input_parameters": array(shape({"name": string(), "value": string()}, {}))},
                    )
                },
                {},
            ),
        },
        {"style": style, "accessibility_label": label},
    ),
    "feedback_buttons": _element({"positive_button": _feedback, "negative_button": _feedback}, {}),
    "icon_button": _element(
        {"icon": one_of("trash"), "text": plain(75)},
        {
            "value": string(2000, least=0),
            "confirm": confirm,
            "accessibility_label": label,
            "visible_to_user_ids": array(string(255)),
        },
    ),
    "image": _image,
}

MENUS = ("static_select", "external_select", "users_select", "conversations_select", "channels_select")
MULTI_MENUS = tuple(f"multi_{menu}" for menu in MENUS)
CHOICES = ("checkboxes", "radio_buttons", "datepicker", "timepicker")
IN_ACTIONS = ("button", "workflow_button", "overflow", "datetimepicker", *CHOICES, *MENUS)
IN_SECTION = ("button", "workflow_button", "overflow", "image", *CHOICES, *MENUS, *MULTI_MENUS)
IN_INPUT = (
    "plain_text_input",
    "email_text_input",
    "url_text_input",
    "number_input",
    "rich_text_input",
    "file_input",
    "datetimepicker",
    *CHOICES,
    *MENUS,
    *MULTI_MENUS,
)
