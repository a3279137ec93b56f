"""The payloads of commands, events and interactions, in the shapes that Slack sends.

From https://docs.slack.dev/reference/interaction-payloads and …/apis/events-api.
"""

from __future__ import annotations

import html
import re
from typing import Any

from bot.playground.slack_state import Json, Message, Person, Room, Workspace, copy_json

VERIFICATION_TOKEN = "playground"  # noqa: S105  (deprecated by Slack; still in every payload)
_CHANNEL_NAMES = {"im": "directmessage", "mpim": "mpdm", "private": "privategroup"}
_CHANNEL_TYPES = {"public": "channel", "private": "group", "im": "im", "mpim": "mpim"}
_MENTION = re.compile(r"(?<![\w@<])@([\w.-]*\w)|(?<![\w#<&])#([\w-]+)|https?://[^\s<>|]+")


def command(workspace: Workspace, person: Person, room: Room, text: str, name: str) -> Json:
    """The form of a slash command."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": workspace.team_id,
        "team_domain": workspace.team_domain,
        "channel_id": room.id,
        "channel_name": _CHANNEL_NAMES.get(room.kind, room.name),
        "user_id": person.id,
        "user_name": person.name,
        "command": name,
        "text": text,
        "api_app_id": workspace.app_id,
        "is_enterprise_install": "false",
        "response_url": workspace.new_response_url(room.id, person.id),
        "trigger_id": workspace.new_trigger(person.id),
    }


def event(workspace: Workspace, body: Json) -> Json:
    """The envelope around an event of the Events API."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": workspace.team_id,
        "api_app_id": workspace.app_id,
        "event": body,
        "type": "event_callback",
        "event_id": workspace.next_id("Ev"),
        "event_time": int(workspace.now().timestamp()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": workspace.team_id,
                "user_id": workspace.bot_user_id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": workspace.next_id("context-"),
    }


def message_event(workspace: Workspace, room: Room, message: Message, kind: str) -> Json:
    """The event for a message that a person wrote; `kind` is message or app_mention."""
    body = workspace.message_json(message) | {
        "type": kind,
        "client_msg_id": workspace.next_id("client-"),
        "blocks": [
            {
                "type": "rich_text",
                "block_id": workspace.next_id("b"),
                "elements": [
                    {
                        "type": "rich_text_section",
                        "elements": [{"type": "text", "text": html.unescape(message.text)}],
                    }
                ],
            }
        ],
        "channel": room.id,
        "event_ts": message.ts,
    }
    if workspace.people[message.user].team_id:
        body["user_team"] = body["source_team"] = body["team"]
    if kind == "message":
        body["channel_type"] = _CHANNEL_TYPES[room.kind]
    if not message.is_reply:
        body.pop("thread_ts", None)
    shared = any(workspace.people[member].team_id for member in room.members)
    return event(workspace, body) | {"is_ext_shared_channel": shared}


def interaction(workspace: Workspace, person: Person, kind: str) -> Json:
    """What every interaction payload holds."""
    return {
        "type": kind,
        "user": {
            "id": person.id,
            "username": person.name,
            "name": person.name,
            "team_id": person.team_id or workspace.team_id,
        },
        "api_app_id": workspace.app_id,
        "token": VERIFICATION_TOKEN,
        "team": {"id": workspace.team_id, "domain": workspace.team_domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def on_message(workspace: Workspace, person: Person, message: Message, blocks: list[Json]) -> Json:
    """The part of a payload that says on which message it happened; `blocks` are those the person saw."""
    room = workspace.rooms[message.room]
    ephemeral = message.ephemeral_for is not None
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": room.id,
        "is_ephemeral": ephemeral,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    body: Json = {
        "container": container,
        "channel": {"id": room.id, "name": _CHANNEL_NAMES.get(room.kind, room.name)},
        "state": {"values": state_values(blocks, {})},
        "response_url": workspace.new_response_url(room.id, person.id, message_ts=message.ts),
    }
    if not ephemeral:
        body["message"] = workspace.message_json(message)
        if blocks != message.all_blocks:  # the person still saw the message as it was
            body["message"]["blocks"] = blocks
    return body


def on_view(view: Json) -> Json:
    """The part of a payload that says on which view it happened."""
    return {"container": {"type": "view", "view_id": view["id"]}, "view": view_json(view)}


def view_json(view: Json) -> Json:
    """A view as the bot is shown it: `state` has all its inputs, filled in or not."""
    held = view["state"]["values"]
    shown = {key: value for key, value in view.items() if key != "errors"}
    return copy_json({**shown, "state": {"values": state_values(view["blocks"], {}, held)}})


def action(workspace: Workspace, block: Json, element: Json, value: Any) -> Json:
    """One entry of `actions`: the element, and what was chosen in it (None: what it says by itself)."""
    body: Json = {"type": element["type"], "action_id": element["action_id"], "block_id": block["block_id"]}
    for key in ("text", "style", "url", "placeholder", "confirm"):
        if key in element:
            body[key] = element[key]
    if element["type"] in ("button", "icon_button", "feedback_buttons"):
        given = element.get("value") if value is None else value
        if given is not None:
            body["value"] = given
    else:
        body |= chosen(element, value)
    return body | {"action_ts": workspace.next_ts()}


def elements(block: Json) -> list[Json]:
    """The interactive elements of a block."""
    found = [*block.get("elements", []), block.get("accessory"), block.get("element")]
    return [each for each in found if isinstance(each, dict) and "action_id" in each]


def find_element(blocks: list[Json], action_id: str, value: Any = None) -> tuple[Json, Json]:
    """The block and element with an action_id, the one with that value when several have it. LookupError."""
    found = [(block, each) for block in blocks for each in elements(block) if each["action_id"] == action_id]
    if not found:
        raise LookupError(f"nothing here has the action_id {action_id!r}")
    for block, each in found:
        if value is not None and each.get("value") == value:
            return block, each
    return found[0]


def options_of(element: Json) -> list[Json]:
    """All that a menu offers by itself."""
    groups = element.get("option_groups", [])
    return [*element.get("options", []), *(each for group in groups for each in group["options"])]


def chosen(element: Json, value: Any) -> Json:
    """What a menu or an input holds: `value`, or what it started with.

    A value stands for the option with that value (or several, in a list), for the id of a person or room, for
    a date, a time or a text. Raises LookupError for an option that the menu does not offer, and ValueError for what
    is no value at all.
    """
    kind = str(element["type"])

    def option(each: Any) -> Json:
        name = each.get("value") if isinstance(each, dict) else each
        for one in options_of(element):
            if one["value"] == name:
                return dict(one)
        if not kind.endswith("external_select"):
            raise LookupError(f"{name!r} can't be chosen in {element['action_id']}")
        if isinstance(each, dict):
            return each
        return {"text": {"type": "plain_text", "text": str(each), "emoji": True}, "value": str(each)}

    if kind in ("multi_static_select", "multi_external_select", "checkboxes"):
        given = element.get("initial_options", []) if value is None else value
        if not isinstance(given, list):
            raise ValueError(f"{element['action_id']} takes a list")
        return {"selected_options": [option(each) for each in given]}
    if kind in ("static_select", "external_select", "radio_buttons", "overflow"):
        given = element.get("initial_option") if value is None else value
        return {"selected_option": None if given is None else option(given)}
    if kind == "rich_text_input":
        return {"rich_text_value": element.get("initial_value") if value is None else value}
    if kind == "file_input":
        return {"files": value or []}
    initial, result = _SINGLE.get(kind, ("initial_value", "value"))
    given = element.get(initial) if value is None else value
    if result.endswith("s"):
        given = given or []
    if given is not None and not isinstance(given, list if result.endswith("s") else str | int):
        raise ValueError(f"{element['action_id']} takes no {type(given).__name__}")
    return {result: given}


_SINGLE = {
    "users_select": ("initial_user", "selected_user"),
    "channels_select": ("initial_channel", "selected_channel"),
    "conversations_select": ("initial_conversation", "selected_conversation"),
    "multi_users_select": ("initial_users", "selected_users"),
    "multi_channels_select": ("initial_channels", "selected_channels"),
    "multi_conversations_select": ("initial_conversations", "selected_conversations"),
    "datepicker": ("initial_date", "selected_date"),
    "timepicker": ("initial_time", "selected_time"),
    "datetimepicker": ("initial_date_time", "selected_date_time"),
}


STATELESS = ("button", "overflow", "workflow_button", "icon_button", "feedback_buttons", "image")


def stateful(blocks: list[Json]) -> list[tuple[Json, Json]]:
    """The menus and inputs, each with its block."""
    return [(block, each) for block in blocks for each in elements(block) if each["type"] not in STATELESS]


def filled(element: Json, value: Any) -> Json:
    """What a menu or an input holds after somebody put `value` there; None and '' for emptied."""
    if value not in (None, "", []):
        return chosen(element, value)
    return chosen({key: kept for key, kept in element.items() if not key.startswith("initial_")}, None)


def state_values(blocks: list[Json], values: Json, held: Json | None = None) -> Json:
    """`state.values` of a view or message: what each menu and input holds, by block_id and action_id.

    `values` has what a person filled in, by action_id or block_id; `held` what was there before, like the result.
    """
    state: Json = {}
    for block, element in stateful(blocks):
        block_id, action_id = block["block_id"], element["action_id"]
        value = values.get(action_id, values.get(block_id))
        holds = (held or {}).get(block_id, {}).get(action_id)
        if value is not None or holds is None:
            holds = {"type": element["type"], **chosen(element, value)}
        state.setdefault(block_id, {})[action_id] = holds
    return state


def incomplete(view: Json) -> list[str]:
    """The ids of the input blocks that must be filled in and are not."""
    state = state_values(view["blocks"], {}, view["state"]["values"])
    return [
        block["block_id"]
        for block, element in stateful(view["blocks"])
        if block["type"] == "input"
        and not block.get("optional")
        and all(
            value in (None, "", [])
            for key, value in state[block["block_id"]][element["action_id"]].items()
            if key != "type"
        )
    ]


def typed(workspace: Workspace, text: str, *, references: bool = True) -> str:
    """What a person typed, as Slack passes it on: &, < and > escaped.

    With `references`, @names, #rooms and addresses stand in their <…> forms.
    """

    def linked(match: re.Match[str]) -> str:
        name, room_name = match.group(1), match.group(2)
        if name in ("channel", "here", "everyone"):
            return f"<!{name}>"
        for person in workspace.people.values():
            if name is not None and person.name == name:
                return f"<@{person.id}>"
        for group in workspace.usergroups.values():
            if name is not None and group.handle == name:
                return f"<!subteam^{group.id}|@{name}>"
        for room in workspace.rooms.values():
            if room_name is not None and room.name == room_name:
                return f"<#{room.id}|{room.name}>"
        return match.group(0) if name or room_name else f"<{match.group(0)}>"

    escaped = html.escape(text, quote=False)
    return _MENTION.sub(linked, escaped) if references else escaped
