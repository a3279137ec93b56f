"""What a person said, wherever they said it, from what Slack sends."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.deploys.model import Asker
from bot.store.jobs import Job


@dataclass(frozen=True, slots=True)
class Said:
    """Something a person said, typed or clicked.

    `response_url` is Slack's way back to a command or click, '' for a message; `thread` is where an answer to
    a message goes; `trigger_id` lets a form be opened, for three seconds. `at` is when it was, where that matters.
    """

    asker: Asker
    room: str
    text: str
    source: str
    response_url: str = ""
    message_id: str = ""
    thread: str = ""
    thread_id: str = ""
    trigger_id: str = ""
    at: datetime | None = None


def said_by_command(body: Mapping[str, Any], source: str) -> Said:
    """What a slash command's form says."""
    return Said(
        asker=Asker(body["user_id"], body.get("user_name", "")),
        room=body["channel_id"],
        text=plain_text(body.get("text", "")),
        source=source,
        response_url=body.get("response_url", ""),
        trigger_id=body.get("trigger_id", ""),
    )


# A message that a person wrote may be one with a file, or a reply that is shown in the room as well.
WRITTEN = frozenset({None, "", "file_share", "thread_broadcast"})


def said_by_event(body: Mapping[str, Any], source: str) -> Said | None:
    """What an `app_mention` or a direct message says; None for what is not a person speaking to the bot."""
    event = body["event"]
    if event.get("bot_id") or event.get("subtype") not in WRITTEN or not event.get("user"):
        return None
    if event["type"] not in ("app_mention", "message"):
        return None
    if event["type"] == "message" and event.get("channel_type") != "im":
        return None
    return Said(
        asker=Asker(event["user"]),
        room=event["channel"],
        text=without_mention(plain_text(event.get("text", ""))),
        source=source,
        message_id=event.get("ts", ""),
        thread=event.get("thread_ts") or event.get("ts", ""),
        thread_id=event.get("thread_ts", ""),
    )


def said_by_click(body: Mapping[str, Any], source: str) -> Said:
    """Who pressed a button, and where; a form or the home tab is no room."""
    user, at = body["user"], body.get("container") or {}
    thread = str(at.get("thread_ts") or "")
    return Said(
        asker=Asker(user["id"], user.get("username") or user.get("name") or ""),
        room=(body.get("channel") or {}).get("id", ""),
        text="",
        source=source,
        response_url=body.get("response_url", ""),
        thread_id=thread if thread != at.get("message_ts") else "",  # the first of a thread stands in the room
        trigger_id=body.get("trigger_id", ""),
    )


def said_by(job: Job) -> Said | None:
    """Whoever a stored request of Slack's came from."""
    body = job.json()
    if job.kind == "slack.command":
        return said_by_command(body, job.delivery)
    if job.kind == "slack.event":
        return said_by_event(body, job.delivery)
    return said_by_click(body, job.delivery)


# What can't be seen and comes along when something is copied. The joiners that some scripts are written with stay, and
# what turns the direction around, which a branch may be called.
_UNSEEN = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")


def plain_text(text: str) -> str:
    """What a person typed, from how Slack writes it down: links to their labels, entities to characters."""
    text = re.sub(r"<(?:https?|mailto):[^|>]*\|([^>]*)>", r"\1", text)
    text = re.sub(r"<((?:https?|mailto):[^|>]*)>", r"\1", text)
    return _UNSEEN.sub("", html.unescape(text)).replace("\u00a0", " ").strip()


def without_mention(text: str) -> str:
    """The text without the mention of the bot that it starts with."""
    return re.sub(r"^(?:<@[UW][A-Z0-9]+(?:\|[^>]*)?>[:,]?\s*)+", "", text)
