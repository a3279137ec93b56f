"""A room as plain text, the way a person reads it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

from bot.playground.slack_state import Json, Message, Room, Workspace

REPLY = "  ↳ "
_REFERENCE = re.compile(r"<([^<>]+)>")


def transcript(workspace: Workspace, room: Room, *, viewer: str | None = None) -> str:
    """The room as a chat, one message after the other, threads below their parents.

    With `viewer` (a person's id) it shows what that person sees; without, what everybody sees together, where
    messages to one person are marked. Edited messages stand once, as they are now.
    """
    seen = [each for each in room.messages if viewer is None or each.ephemeral_for in (None, viewer)]
    roots = {message.ts for message in seen if not message.is_reply}
    lines: list[str] = []
    for message in seen:
        if not message.is_reply:
            lines += _lines(workspace, message, "")
            for reply in seen:
                if reply.is_reply and reply.thread_ts == message.ts:
                    lines += _lines(workspace, reply, REPLY)
        elif message.thread_ts not in roots:  # its parent was deleted, or was never there
            lines += _lines(workspace, message, REPLY)
        elif message.broadcast:
            lines += _lines(workspace, message, "")
    return "\n".join(lines)


def _lines(workspace: Workspace, message: Message, lead: str) -> list[str]:
    person = workspace.people.get(message.user)
    if person is None:
        name = "slackbot" if message.user == "USLACKBOT" else message.user
    else:
        name = person.name if person.is_bot else f"@{person.name}"
    mark = ""
    if message.ephemeral_for:
        mark = f" (only {_name(workspace, message.ephemeral_for)} sees)"
    body = rendered(workspace, message)
    start = f"{lead}{name}{mark}: "
    indent = " " * (len(lead) + 2)
    reactions = "".join(f"[:{reaction['name']}: {reaction['count']}]" for reaction in message.reactions)
    if reactions:
        body.append(reactions)
    return [f"{start}{body[0]}".rstrip(), *(f"{indent}{line}".rstrip() for line in body[1:])]


def rendered(workspace: Workspace, message: Message) -> list[str]:
    """The lines of one message: its blocks when it has any, else its text."""
    lines: list[str] = []
    if message.blocks:
        lines += block_lines(workspace, message.blocks)
    elif message.text:
        lines += plain_text(workspace, message.text).splitlines()
    for attachment in message.attachments:
        if isinstance(attachment.get("blocks"), list):
            inner = block_lines(workspace, attachment["blocks"])
        else:
            parts = [str(attachment.get(key) or "") for key in ("pretext", "title", "text")]
            inner = [line for part in parts for line in plain_text(workspace, part).splitlines()]
        lines += [f"| {line}" for line in inner]
    return lines or [""]


def block_lines(workspace: Workspace, blocks: Iterable[Json]) -> list[str]:
    """The lines of a list of blocks, of a message or of a view."""
    return [line for block in blocks for line in _block(workspace, block)]


def plain_text(workspace: Workspace, mrkdwn: str) -> str:
    """mrkdwn with names in the place of references; emphasis and emoji codes stay as they were written."""

    def named(match: re.Match[str]) -> str:
        body, _, label = match.group(1).partition("|")
        if body.startswith("@"):
            return _name(workspace, body[1:], label)
        if body.startswith("#"):
            room = workspace.rooms.get(body[1:])
            return f"#{room.name if room else label or body[1:]}"
        if body.startswith("!subteam^"):
            group = workspace.usergroups.get(body.removeprefix("!subteam^"))
            return f"@{group.handle}" if group else label or body
        if body.startswith("!date^"):
            return label
        if body.startswith("!"):
            return f"@{body[1:]}"
        return label or body.removeprefix("mailto:")

    return html.unescape(_REFERENCE.sub(named, mrkdwn))


def _name(workspace: Workspace, user: str, label: str = "") -> str:
    person = workspace.people.get(user)
    return f"@{person.name if person else label or user}"


def _text(workspace: Workspace, value: Any) -> list[str]:
    """The lines of a text object."""
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        return []
    if value.get("type") == "mrkdwn":
        return plain_text(workspace, value["text"]).splitlines()
    return str(value["text"]).splitlines()


def _line(workspace: Workspace, value: Any) -> str:
    return " ".join(_text(workspace, value))


def _block(workspace: Workspace, block: Json) -> list[str]:
    kind = block.get("type")
    if kind == "section":
        lines = _text(workspace, block.get("text"))
        for each in block.get("fields", []):
            lines += _text(workspace, each)
        if "accessory" in block:
            lines.append(_element(workspace, block["accessory"]))
        return lines
    if kind == "header":
        return _text(workspace, block.get("text"))
    if kind in ("actions", "context_actions"):
        return [" ".join(_element(workspace, element) for element in block.get("elements", []))]
    if kind == "context":
        return [line for element in block.get("elements", []) for line in _context(workspace, element)]
    if kind == "divider":
        return ["---"]
    if kind == "image":
        return [f"({_line(workspace, block.get('title')) or block.get('alt_text', 'image')})"]
    if kind == "input":
        label = _line(workspace, block.get("label"))
        return [f"{label}: {_element(workspace, block.get('element', {}))}"]
    if kind == "rich_text":
        return _rich(workspace, block.get("elements", []))
    if kind == "markdown":
        return str(block.get("text", "")).splitlines()
    if kind == "table":
        return [" | ".join(_cell(workspace, cell) for cell in row) for row in block.get("rows", [])]
    if kind == "video":
        return [f"({_line(workspace, block.get('title'))})"]
    return [f"({kind})"]


def _context(workspace: Workspace, element: Json) -> list[str]:
    return [f"({element.get('alt_text', 'image')})"] if element.get("type") == "image" else _text(workspace, element)


def _cell(workspace: Workspace, cell: Json) -> str:
    if cell.get("type") == "raw_text":
        return str(cell.get("text", ""))
    return " ".join(_rich(workspace, cell.get("elements", [])))


def _element(workspace: Workspace, element: Json) -> str:
    """One interactive element: what is written on it, or what is chosen in it."""
    kind = element.get("type")
    if kind == "image":
        return f"({element.get('alt_text', 'image')})"
    if kind in ("overflow", "checkboxes", "radio_buttons"):
        chosen = [element.get("initial_option"), *element.get("initial_options", [])]
        marks = {"overflow": ("", ""), "checkboxes": ("[x] ", "[ ] "), "radio_buttons": ("(o) ", "( ) ")}[kind]
        options = [
            (marks[0] if option in chosen else marks[1]) + _line(workspace, option.get("text"))
            for option in element.get("options", [])
        ]
        return f"[… {' | '.join(options)}]" if kind == "overflow" else " ".join(options)
    if "text" in element:
        return f"[{_line(workspace, element['text'])}]"
    if "initial_option" in element:
        return f"[{_line(workspace, element['initial_option'].get('text'))} ▾]"
    for key, value in element.items():
        if key.startswith("initial_"):
            return f"[{value}]"
    return f"[{_line(workspace, element.get('placeholder')) or kind}]"


def _rich(workspace: Workspace, elements: Iterable[Json]) -> list[str]:
    lines: list[str] = []
    for element in elements:
        kind = element.get("type")
        if kind == "rich_text_list":
            for number, item in enumerate(element.get("elements", []), 1 + element.get("offset", 0)):
                mark = "•" if element.get("style") == "bullet" else f"{number}."
                lines.append("  " * element.get("indent", 0) + f"{mark} {_inline(workspace, item)}")
        else:
            text = _inline(workspace, element)
            quote = "> " if kind == "rich_text_quote" else ""
            lines += [quote + line for line in text.splitlines()]
    return lines


def _inline(workspace: Workspace, section: Json) -> str:
    parts = []
    for element in section.get("elements", []):
        kind = element.get("type")
        if kind == "user":
            parts.append(_name(workspace, element["user_id"]))
        elif kind == "channel":
            room = workspace.rooms.get(element["channel_id"])
            parts.append(f"#{room.name if room else element['channel_id']}")
        elif kind == "usergroup":
            group = workspace.usergroups.get(element["usergroup_id"])
            parts.append(f"@{group.handle if group else element['usergroup_id']}")
        elif kind == "emoji":
            parts.append(f":{element['name']}:")
        elif kind == "broadcast":
            parts.append(f"@{element['range']}")
        elif kind == "date":
            parts.append(str(element.get("fallback", element["timestamp"])))
        else:
            parts.append(str(element.get("text") or element.get("url") or element.get("value") or ""))
    return "".join(parts)
