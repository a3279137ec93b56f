"""The chat.* and reactions.* methods. From https://docs.slack.dev/reference/methods."""

from __future__ import annotations

from typing import Any

from bot.playground.slack_blocks import (
    TEXT_CHARACTERS,
    blocks_too_long,
    check_attachments,
    check_blocks,
    check_text,
)
from bot.playground.slack_methods import (
    ApiError,
    flag,
    method,
    parsed,
    visible_room,
)
from bot.playground.slack_state import Blocks, Json, Message, Room, Workspace

CONTENT = "text blocks attachments metadata link_names parse markdown_text"


def content(workspace: Workspace, args: Json, where: str) -> tuple[str, Blocks, list[Json], Json | None]:
    """Text, blocks, attachments and metadata of a message, checked.

    Raises ApiError for what Slack refuses, and notes it in `violations` together with what it merely advises
    against; `where` says there which call it was.
    """
    text = str(args.get("text") or args.get("markdown_text") or "")
    blocks: Any = parsed(args, "blocks", "invalid_blocks_format") or []
    attachments: Any = parsed(args, "attachments", "invalid_attachments") or []
    metadata: Any = parsed(args, "metadata", "invalid_metadata_format")
    violations = workspace.violations
    if problems := check_blocks(blocks) + check_attachments(attachments):
        violations += [f"{where}: {problem}" for problem in problems]
        if not isinstance(attachments, list):
            raise ApiError("invalid_attachments")
        raise ApiError("invalid_blocks", errors=problems, response_metadata={"messages": problems})
    if blocks_too_long([blocks, *(attachment.get("blocks", []) for attachment in attachments)]):
        violations.append(f"{where}: msg_blocks_too_long")
        raise ApiError("msg_blocks_too_long")
    if not text and not blocks and not attachments:
        violations.append(f"{where}: no_text")
        raise ApiError("no_text")
    if len(text) > TEXT_CHARACTERS:
        violations.append(f"{where}: msg_too_long ({len(text)} characters)")
        raise ApiError("msg_too_long")
    if metadata is not None and (
        not isinstance(metadata, dict)
        or set(metadata) != {"event_type", "event_payload"}
        or not isinstance(metadata["event_payload"], dict)
    ):
        violations.append(f"{where}: invalid_metadata_format")
        raise ApiError("invalid_metadata_format")
    violations += [f"{where}: {note}" for note in check_text(text, has_blocks=bool(blocks or attachments))]
    return text, blocks, attachments, metadata


def thread(workspace: Workspace, room: Room, args: Json, where: str) -> str | None:
    """The thread that a message goes to. A reply stands for its thread (Slack advises against it)."""
    ts = args.get("thread_ts")
    if not ts:
        return None
    for message in room.messages:
        if message.ts == ts:
            if message.is_reply:
                workspace.violations.append(f"{where}: thread_ts {ts} is a reply; use that of its parent")
            return message.thread_ts or message.ts
    workspace.violations.append(f"{where}: thread_ts {ts} is no message of {room.id}")
    return str(ts)


def own_message(workspace: Workspace, room: Room, ts: Any, refusal: str) -> Message:
    """A message that the bot itself posted. Raises message_not_found, or `refusal` for those of others."""
    for message in room.messages:
        if message.ts == ts and message.ephemeral_for is None and message.subtype is None:
            if message.user != workspace.bot_user_id:
                raise ApiError(refusal)
            return message
    raise ApiError("message_not_found")


@method(
    "chat.postMessage",
    scopes="chat:write",
    required="channel",
    optional=f"{CONTENT} thread_ts reply_broadcast unfurl_links unfurl_media mrkdwn as_user username "
    "icon_emoji icon_url",
)
def post_message(workspace: Workspace, args: Json) -> Json:
    """Posts to a room, or with a person's id to the direct message with them."""
    channel = str(args["channel"])
    person = workspace.people.get(channel)
    if person is not None and not person.is_bot:
        room = workspace.direct_room([person.id])
    else:
        room = visible_room(workspace, channel)
    if room.archived:
        raise ApiError("is_archived")
    anywhere = workspace.scopes is None or "chat:write.public" in workspace.scopes
    if workspace.bot_user_id not in room.members and not anywhere:
        raise ApiError("not_in_channel")
    text, blocks, attachments, metadata = content(workspace, args, "chat.postMessage")
    message = workspace.post(
        room,
        workspace.bot_user_id,
        text,
        blocks=blocks,
        attachments=attachments,
        metadata=metadata,
        thread_ts=thread(workspace, room, args, "chat.postMessage"),
        broadcast=flag(args, "reply_broadcast"),
    )
    return {
        "channel": room.id,
        "ts": message.ts,
        "message": workspace.message_json(message, with_metadata=True),
    }


@method(
    "chat.postEphemeral",
    scopes="chat:write",
    required="channel user",
    optional=f"{CONTENT} thread_ts as_user username icon_emoji icon_url",
)
def post_ephemeral(workspace: Workspace, args: Json) -> Json:
    """Shows a message to one person in a room. Both the bot and the person have to be in it."""
    room = visible_room(workspace, args["channel"])
    if room.archived:
        raise ApiError("is_archived")
    if workspace.bot_user_id not in room.members:
        raise ApiError("not_in_channel")
    if args["user"] not in room.members:
        raise ApiError("user_not_in_channel")
    text, blocks, attachments, _ = content(workspace, args, "chat.postEphemeral")
    message = workspace.post(
        room,
        workspace.bot_user_id,
        text,
        blocks=blocks,
        attachments=attachments,
        ephemeral_for=str(args["user"]),
        thread_ts=thread(workspace, room, args, "chat.postEphemeral"),
    )
    return {"message_ts": message.ts}


@method(
    "chat.update",
    scopes="chat:write",
    required="channel ts",
    optional=f"{CONTENT} as_user file_ids reply_broadcast unfurl_links unfurl_media",
)
def update(workspace: Workspace, args: Json) -> Json:
    """Edits one of the bot's own messages. Text without blocks removes the blocks."""
    room = visible_room(workspace, args["channel"])
    message = own_message(workspace, room, args["ts"], "cant_update_message")
    if room.archived:
        raise ApiError("is_inactive")
    text, blocks, attachments, metadata = content(workspace, args, "chat.update")
    kept = attachments if "attachments" in args or "blocks" not in args else message.attachments
    workspace.edit(message, text, blocks, metadata, kept)
    body = workspace.message_json(message, with_metadata=True)
    return {"channel": room.id, "ts": message.ts, "text": message.text, "message": body}


@method("chat.delete", scopes="chat:write", required="channel ts", optional="as_user")
def delete(workspace: Workspace, args: Json) -> Json:
    """Deletes one of the bot's own messages."""
    room = visible_room(workspace, args["channel"])
    workspace.remove(own_message(workspace, room, args["ts"], "cant_delete_message"))
    return {"channel": room.id, "ts": args["ts"]}


@method("chat.getPermalink", required="channel message_ts")
def get_permalink(workspace: Workspace, args: Json) -> Json:
    """The address of a message."""
    room = visible_room(workspace, args["channel"])
    for message in room.messages:
        if message.ts == args["message_ts"] and message.ephemeral_for is None:
            link = f"{workspace.url}/archives/{room.id}/p{message.ts.replace('.', '')}"
            if message.is_reply:
                link += f"?thread_ts={message.thread_ts}&cid={room.id}"
            return {"channel": room.id, "permalink": link}
    raise ApiError("message_not_found")


@method("reactions.add", scopes="reactions:write", required="channel name timestamp")
def add_reaction(workspace: Workspace, args: Json) -> Json:
    """Adds the bot's emoji to a message."""
    room = visible_room(workspace, args["channel"])
    name = str(args["name"])
    if name.startswith(":"):
        raise ApiError("invalid_name")
    if workspace.bot_user_id not in room.members:
        raise ApiError("not_in_channel")
    for message in room.messages:
        if message.ts == args["timestamp"] and message.ephemeral_for is None:
            for reaction in message.reactions:
                if reaction["name"] == name and workspace.bot_user_id in reaction["users"]:
                    raise ApiError("already_reacted")
            message.reactions.append({"name": name, "users": [workspace.bot_user_id], "count": 1})
            return {}
    raise ApiError("message_not_found")
