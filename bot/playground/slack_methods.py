"""What all Web API methods share: how they are declared, their errors, and reading arguments."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.playground.slack_state import Json, Room, RoomKind, Workspace

Handler = Callable[[Workspace, Json], Json]

ANYWHERE = ("token", "team_id")  # Bolt sends team_id with every call
PREFIXES: dict[RoomKind, str] = {"public": "channels", "private": "groups", "im": "im", "mpim": "mpim"}


class ApiError(Exception):
    """An answer with ok: false. `name` is Slack's name of the error, `more` goes into the answer."""

    def __init__(self, name: str, **more: Any) -> None:
        super().__init__(name)
        self.name = name
        self.more = more


@dataclass(frozen=True)
class Method:
    """A Web API method. Of `scopes` it needs all, or with `per_room` the one for the kind of the room."""

    handler: Handler
    scopes: tuple[str, ...]
    per_room: bool
    required: tuple[str, ...]
    known: frozenset[str]
    caller: str  # whose token it takes: "bot" or "app"


METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    scopes: str = "",
    room_scopes: str = "",
    required: str = "",
    optional: str = "",
    caller: str = "bot",
) -> Callable[[Handler], Handler]:
    """Declares a Web API method. The lists are words between spaces.

    `room_scopes` is the last part of scopes of which each kind of room has its own: "history" stands for
    channels:history, groups:history, im:history and mpim:history.
    """

    def declare(handler: Handler) -> Handler:
        needed = [f"{prefix}:{room_scopes}" for prefix in PREFIXES.values()] if room_scopes else scopes.split()
        METHODS[name] = Method(
            handler,
            tuple(needed),
            bool(room_scopes),
            tuple(required.split()),
            frozenset((*required.split(), *optional.split(), *ANYWHERE)),
            caller,
        )
        return handler

    return declare


def need_scope(workspace: Workspace, scope: str) -> None:
    """Raises missing_scope when the app was not granted `scope`."""
    if workspace.scopes is not None and scope not in workspace.scopes:
        raise ApiError("missing_scope", needed=scope, provided=",".join(sorted(workspace.scopes)))


def need_room_scope(workspace: Workspace, room: Room, what: str) -> None:
    """Raises missing_scope when the app may not do `what` ("read", "history") in rooms of this kind."""
    need_scope(workspace, f"{PREFIXES[room.kind]}:{what}")


def visible_room(workspace: Workspace, room_id: Any) -> Room:
    """A room by its id. Raises channel_not_found, also for private rooms that the bot is not in."""
    room = workspace.rooms.get(str(room_id))
    if room is None or (room.kind != "public" and workspace.bot_user_id not in room.members):
        raise ApiError("channel_not_found")
    return room


def parsed(args: Json, key: str, error: str) -> Any:
    """An argument that is JSON: an object already, or its text in a form. Raises `error`."""
    value = args.get(key)
    if isinstance(value, str):
        try:
            return json.loads(value) if value else None
        except ValueError:
            raise ApiError(error) from None
    return value


def flag(args: Json, key: str) -> bool:
    """A boolean argument; forms write it as true or 1."""
    return args.get(key) in (True, 1, "true", "1", "True")


def number(args: Json, key: str, default: int) -> int:
    """A whole number. Raises invalid_arguments."""
    try:
        return int(args.get(key) or default)
    except (TypeError, ValueError):
        raise invalid_arguments(f"[ERROR] must be an integer [json-pointer:/{key}]") from None


def invalid_arguments(*messages: str) -> ApiError:
    """The error for arguments that Slack refuses, with what is wrong."""
    return ApiError("invalid_arguments", response_metadata={"messages": list(messages)})


def page(args: Json, items: list[Any], *, default: int, most: int = 1000) -> tuple[list[Any], str]:
    """The items that `limit` and `cursor` ask for, and the cursor for what comes next ("" at the end)."""
    limit = min(number(args, "limit", default), most)
    start = 0
    if args.get("cursor"):
        try:
            start = int(urlsafe_b64decode(str(args["cursor"])).decode().removeprefix("from:"))
        except ValueError:
            raise ApiError("invalid_cursor") from None
    rest = start + limit < len(items)
    cursor = urlsafe_b64encode(f"from:{start + limit}".encode()).decode() if rest else ""
    return items[start : start + limit], cursor
