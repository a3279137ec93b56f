"""The conversations.* methods, and users.conversations. From https://docs.slack.dev/reference/methods."""

from __future__ import annotations

from bot.playground.slack_methods import (
    ApiError,
    flag,
    method,
    need_room_scope,
    need_scope,
    page,
    visible_room,
)
from bot.playground.slack_state import Json, Message, Room, Workspace

TYPES = {"public_channel": "public", "private_channel": "private", "im": "im", "mpim": "mpim"}


def room_json(workspace: Workspace, room: Room) -> Json:
    """The channel object."""
    body: Json = {
        "id": room.id,
        "created": 1700000000,
        "is_archived": room.archived,
        "is_channel": room.kind == "public",
        "is_group": room.kind == "private",
        "is_im": room.kind == "im",
        "is_mpim": room.kind == "mpim",
        "is_private": room.kind != "public",
        "is_org_shared": False,
        "context_team_id": workspace.team_id,
    }
    if room.kind == "im":
        others = [member for member in room.members if member != workspace.bot_user_id]
        return body | {"user": others[0], "is_open": True, "is_user_deleted": False}
    return body | {
        "name": room.name,
        "name_normalized": room.name,
        "is_general": False,
        "is_shared": False,
        "is_ext_shared": False,
        "is_member": workspace.bot_user_id in room.members,
        "creator": room.members[0] if room.members else workspace.bot_user_id,
        "topic": {"value": "", "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "previous_names": [],
    }


@method("conversations.open", optional="channel users return_im prevent_creation", scopes="im:write")
def open_room(workspace: Workspace, args: Json) -> Json:
    """Opens the direct message with one person, or with several (which needs mpim:write)."""
    if args.get("channel"):
        room = visible_room(workspace, args["channel"])
        return {"channel": {"id": room.id}, "no_op": True, "already_open": True}
    given = args.get("users")
    users = list(given) if isinstance(given, list) else [user for user in str(given or "").split(",") if user]
    if not users:
        raise ApiError("users_list_not_supplied")
    if any(user not in workspace.people for user in users):
        raise ApiError("user_not_found")
    if any(workspace.people[user].is_bot for user in users):
        raise ApiError("cannot_dm_bot")
    if any(workspace.people[user].deleted for user in users):
        raise ApiError("user_disabled")
    if len(users) > 8:
        raise ApiError("too_many_users")
    if len(users) > 1:
        need_scope(workspace, "mpim:write")
    known = len(workspace.rooms)
    room = workspace.direct_room(users)
    answer: Json = {"channel": room_json(workspace, room) if flag(args, "return_im") else {"id": room.id}}
    return answer | ({"no_op": True, "already_open": True} if len(workspace.rooms) == known else {})


@method(
    "conversations.info",
    room_scopes="read",
    required="channel",
    optional="include_locale include_num_members",
)
def info(workspace: Workspace, args: Json) -> Json:
    """What a room is."""
    room = visible_room(workspace, args["channel"])
    need_room_scope(workspace, room, "read")
    body = room_json(workspace, room)
    if flag(args, "include_num_members"):
        body["num_members"] = len(room.members)
    return {"channel": body}


@method("conversations.list", room_scopes="read", optional="types exclude_archived limit cursor team_id")
def list_rooms(workspace: Workspace, args: Json) -> Json:
    """The rooms that the bot can see, of the asked types."""
    rooms = [
        room for room in _of_types(workspace, args) if room.kind == "public" or workspace.bot_user_id in room.members
    ]
    found, cursor = page(args, rooms, default=100)
    return {
        "channels": [room_json(workspace, room) for room in found],
        "response_metadata": {"next_cursor": cursor},
    }


@method("users.conversations", room_scopes="read", optional="user types exclude_archived limit cursor team_id")
def rooms_of(workspace: Workspace, args: Json) -> Json:
    """The rooms that a person is in, of the asked types; private ones only where the bot is too."""
    user = str(args.get("user") or workspace.bot_user_id)
    if user not in workspace.people:
        raise ApiError("user_not_found")
    rooms = [
        room
        for room in _of_types(workspace, args)
        if user in room.members and (room.kind == "public" or workspace.bot_user_id in room.members)
    ]
    found, cursor = page(args, rooms, default=100, most=999)
    return {
        "channels": [room_json(workspace, room) for room in found],
        "response_metadata": {"next_cursor": cursor},
    }


def _of_types(workspace: Workspace, args: Json) -> list[Room]:
    """All rooms of the types that are asked for, in which the app may look. Raises invalid_types, missing_scope."""
    kinds = []
    for each in str(args.get("types") or "public_channel").split(","):
        if each.strip() not in TYPES:
            raise ApiError("invalid_types")
        kinds.append(TYPES[each.strip()])
    rooms = []
    for room in workspace.rooms.values():
        if room.kind not in kinds or (room.archived and flag(args, "exclude_archived")):
            continue
        need_room_scope(workspace, room, "read")
        rooms.append(room)
    return rooms


@method("conversations.members", room_scopes="read", required="channel", optional="limit cursor")
def members(workspace: Workspace, args: Json) -> Json:
    """Who is in a room."""
    room = visible_room(workspace, args["channel"])
    need_room_scope(workspace, room, "read")
    found, cursor = page(args, room.members, default=100)
    return {"members": found, "response_metadata": {"next_cursor": cursor}}


@method("conversations.join", scopes="channels:join", required="channel")
def join(workspace: Workspace, args: Json) -> Json:
    """The bot enters a public room."""
    room = visible_room(workspace, args["channel"])
    if room.kind != "public":
        raise ApiError("method_not_supported_for_channel_type")
    if room.archived:
        raise ApiError("is_archived")
    warning: Json = {}
    if workspace.bot_user_id in room.members:
        warning = {
            "warning": "already_in_channel",
            "response_metadata": {"warnings": ["already_in_channel"]},
        }
    else:
        room.members.append(workspace.bot_user_id)
    return {"channel": room_json(workspace, room), **warning}


def _between(message: Message, args: Json) -> bool:
    oldest, latest = str(args.get("oldest") or "0"), str(args.get("latest") or "")
    if flag(args, "inclusive"):
        return message.ts >= oldest and (not latest or message.ts <= latest)
    return message.ts > oldest and (not latest or message.ts < latest)


WINDOW = "limit cursor oldest latest inclusive include_all_metadata"


def _readable(workspace: Workspace, args: Json) -> Room:
    room = visible_room(workspace, args["channel"])
    need_room_scope(workspace, room, "history")
    if workspace.bot_user_id not in room.members:
        raise ApiError("not_in_channel")
    return room


def _messages(workspace: Workspace, args: Json, messages: list[Message]) -> Json:
    found, cursor = page(args, messages, default=100, most=999)
    with_metadata = flag(args, "include_all_metadata")
    return {
        "messages": [workspace.message_json(each, with_metadata=with_metadata) for each in found],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


@method("conversations.history", room_scopes="history", required="channel", optional=WINDOW)
def history(workspace: Workspace, args: Json) -> Json:
    """The messages of a room, newest first, without replies and what only one person saw."""
    room = _readable(workspace, args)
    shown = [
        message
        for message in reversed(room.messages)
        if message.ephemeral_for is None
        and message.subtype != "slash_command"
        and (not message.is_reply or message.broadcast)
        and _between(message, args)
    ]
    return _messages(workspace, args, shown) | {"pin_count": 0}


@method("conversations.replies", room_scopes="history", required="channel ts", optional=WINDOW)
def replies(workspace: Workspace, args: Json) -> Json:
    """A thread: its parent, then the replies, oldest first."""
    room = _readable(workspace, args)
    for message in room.messages:
        if message.ts == args["ts"] and message.ephemeral_for is None:
            root = message.thread_ts or message.ts
            below = [each for each in workspace.replies(room, root) if each.ephemeral_for is None]
            parent = [each for each in room.messages if each.ts == root]
            return _messages(workspace, args, parent + [each for each in below if _between(each, args)])
    raise ApiError("thread_not_found")
