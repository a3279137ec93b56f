"""What the simulated Slack remembers: people, rooms, messages, views, faults, and what was called."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Json = dict[str, Any]
Blocks = list[Json]
RoomKind = Literal["public", "private", "im", "mpim"]
Drop = Literal["before", "after"]

TRIGGER_SECONDS = 3  # https://docs.slack.dev/interactivity/handling-user-interaction: triggers live 3 seconds
RESPONSE_URL_USES = 5  # the same page: five messages within thirty minutes
RESPONSE_URL_MINUTES = 30


@dataclass
class Person:
    """Somebody in the workspace, or a bot."""

    id: str
    name: str
    real_name: str
    tz: str = "Europe/Berlin"  # "" for none
    email: str = ""
    is_bot: bool = False
    deleted: bool = False
    team_id: str = ""  # of another company's workspace, with which a room is shared; "" for ours
    enterprise_id: str = ""  # the organization that the workspace is part of


@dataclass
class Message:
    """One message of a room. `ephemeral_for` names the only person who sees it, if there is one."""

    room: str
    ts: str
    user: str
    text: str = ""
    blocks: Blocks = field(default_factory=list)
    thread_ts: str | None = None
    edited: str | None = None
    metadata: Json | None = None
    ephemeral_for: str | None = None
    subtype: str | None = None
    attachments: list[Json] = field(default_factory=list)
    reactions: list[Json] = field(default_factory=list)
    broadcast: bool = False
    earlier: list[Blocks] = field(default_factory=list)  # blocks before each edit, oldest first

    @property
    def all_blocks(self) -> Blocks:
        """Its blocks and those in its attachments."""
        return self.blocks + [each for one in self.attachments for each in one.get("blocks", [])]

    @property
    def is_reply(self) -> bool:
        """Whether it stands in a thread below another message."""
        return self.thread_ts is not None and self.thread_ts != self.ts


@dataclass
class Room:
    """A conversation: a channel, a private one, or a direct message."""

    id: str
    name: str
    kind: RoomKind = "public"
    members: list[str] = field(default_factory=list)
    archived: bool = False
    messages: list[Message] = field(default_factory=list)


@dataclass
class Usergroup:
    """A group of people with a handle, `@release`."""

    id: str
    handle: str
    name: str
    members: list[str]
    disabled: bool = False


@dataclass(frozen=True)
class RecordedCall:
    """One call of the bot: the method, its arguments, the HTTP status (0: no answer) and Slack's answer."""

    method: str
    args: Json
    status: int
    answer: Json

    @property
    def error(self) -> str | None:
        """Slack's name of the error, or None when the call went well."""
        name = self.answer.get("error")
        return str(name) if name else None


@dataclass
class Fault:
    """What goes wrong with the next `times` calls of a method ("*": any; "response_url": those posts).

    With a `room`, only of those about that room.
    """

    method: str
    error: str | None
    status: int | None
    retry_after: int | None
    drop: Drop | None
    times: int
    room: str | None = None


@dataclass
class Trigger:
    """Allows one view to be opened for a person, for three seconds."""

    user: str
    until: datetime
    used: bool = False


@dataclass
class ResponseUrl:
    """Where the bot may answer one interaction; `message_ts` is the message it came from, if any."""

    room: str
    user: str
    until: datetime
    left: int = RESPONSE_URL_USES
    message_ts: str | None = None


class Workspace:
    """All state of one simulated workspace. Thread-safe: changes happen inside `change()`."""

    def __init__(self, now: Callable[[], datetime], scopes: Iterable[str] | None) -> None:
        self.now = now
        self.url = "http://127.0.0.1"
        self.team_id = "T0PLAY"
        self.team_domain = "playground"
        self.enterprise_id = ""  # of an Enterprise organization
        self.app_id = "A0SHIPBOT"
        self.bot_user_id = "U0SHIPBOT"
        self.bot_id = "B0SHIPBOT"
        self.scopes = None if scopes is None else frozenset(scopes)
        self.every_scope: frozenset[str] = frozenset()  # set by who knows the methods
        self.lock = threading.RLock()
        self.people: dict[str, Person] = {}
        self.rooms: dict[str, Room] = {}
        self.usergroups: dict[str, Usergroup] = {}
        self.modals: dict[str, list[Json]] = {}  # by person, the top one last
        self.homes: dict[str, Json] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.tickets: set[str] = set()  # for websockets, each good for one
        self.calls: list[RecordedCall] = []
        self.violations: list[str] = []
        self.faults: list[Fault] = []
        self.on_change: list[Callable[[], None]] = []
        self._last_ts = 0
        self._last_id = 0
        self.people[self.bot_user_id] = Person(self.bot_user_id, "shipbot", "Shipbot", is_bot=True)

    @contextmanager
    def change(self) -> Iterator[None]:
        """Holds the lock; afterwards, outside it, tells everyone in `on_change`."""
        with self.lock:
            yield
        for callback in list(self.on_change):
            callback()

    # Names and numbers

    def next_ts(self) -> str:
        """A message timestamp: the time now in seconds with six digits, never twice and never backwards."""
        micros = max(round(self.now().timestamp() * 1_000_000), self._last_ts + 100)
        self._last_ts = micros
        return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"

    def next_id(self, prefix: str) -> str:
        """An id that nothing else here has."""
        self._last_id += 1
        return f"{prefix}{self._last_id:08X}"

    def new_trigger(self, user: str) -> str:
        """A trigger id as interactions carry it, good for three seconds and one view."""
        trigger_id = f"{secrets.randbelow(10**12)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self.triggers[trigger_id] = Trigger(user, self.now() + timedelta(seconds=TRIGGER_SECONDS))
        return trigger_id

    def new_response_url(self, room: str, user: str, message_ts: str | None = None) -> str:
        """A URL where the bot may answer one interaction, five times within thirty minutes."""
        key = secrets.token_urlsafe(24)
        until = self.now() + timedelta(minutes=RESPONSE_URL_MINUTES)
        self.response_urls[key] = ResponseUrl(room, user, until, message_ts=message_ts)
        return f"{self.url}/response/{key}"

    def take_fault(self, method: str, room: str = "") -> Fault | None:
        """The fault that is to happen now, if any; it is used up. `room`: which one the call is about."""
        for fault in self.faults:
            if fault.method in (method, "*") and fault.room in (None, room) and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def granted(self) -> frozenset[str]:
        """The scopes that the app was granted; all that any method needs, unless some were named."""
        return self.every_scope if self.scopes is None else self.scopes

    # Finding

    def person(self, who: str) -> Person:
        """A person by id, name or @name. Raises LookupError."""
        if who in self.people:
            return self.people[who]
        for person in self.people.values():
            if person.name == who.removeprefix("@"):
                return person
        raise LookupError(f"nobody here is called {who!r}")

    def room(self, which: str) -> Room:
        """A room by id, name or #name. Raises LookupError."""
        if which in self.rooms:
            return self.rooms[which]
        for room in self.rooms.values():
            if room.kind in ("public", "private") and room.name == which.removeprefix("#"):
                return room
        raise LookupError(f"no room is called {which!r}")

    def message(self, room: str, ts: str) -> Message:
        """A message of a room by its ts. Raises LookupError."""
        for message in self.room(room).messages:
            if message.ts == ts:
                return message
        raise LookupError(f"no message {ts} in {room}")

    def replies(self, room: Room, ts: str) -> list[Message]:
        """The replies below a message, oldest first."""
        return [message for message in room.messages if message.thread_ts == ts and message.ts != ts]

    def view(self, *, view_id: str | None = None, external_id: str | None = None) -> Json:
        """An open modal or a published home by id. Raises LookupError."""
        for view in [view for stack in self.modals.values() for view in stack] + list(self.homes.values()):
            if (view_id and view["id"] == view_id) or (external_id and view["external_id"] == external_id):
                return view
        raise LookupError("no such view is open")

    # Changing

    def direct_room(self, users: Iterable[str]) -> Room:
        """The direct message of the bot with these people; made when there is none."""
        members = [self.bot_user_id, *users]
        for room in self.rooms.values():
            if room.kind in ("im", "mpim") and sorted(room.members) == sorted(members):
                return room
        kind: RoomKind = "im" if len(members) == 2 else "mpim"
        room_id = "D0" + members[1].removeprefix("U0") if kind == "im" else self.next_id("G0")
        names = "--".join(self.people[member].name for member in members)
        self.rooms[room_id] = Room(room_id, "" if kind == "im" else f"mpdm-{names}-1", kind, members)
        return self.rooms[room_id]

    def post(self, room: Room, user: str, text: str, **more: Any) -> Message:
        """Adds a message. `more` are further fields of `Message`."""
        blocks = self.with_block_ids(more.pop("blocks", None) or [])
        more["attachments"] = self._attached(more.get("attachments") or [])
        message = Message(room.id, self.next_ts(), user, text, blocks, **more)
        room.messages.append(message)
        return message

    def edit(self, message: Message, text: str, blocks: Blocks, metadata: Json | None, attachments: list[Json]) -> None:
        """Changes a message in place. None as metadata keeps what it has."""
        message.earlier.append(message.all_blocks)
        message.text = text
        message.blocks = self.with_block_ids(blocks)
        message.attachments = self._attached(attachments)
        message.edited = self.next_ts()
        if metadata is not None:
            message.metadata = metadata

    def remove(self, message: Message) -> None:
        """Deletes a message. One with replies leaves a tombstone, as in Slack."""
        room = self.rooms[message.room]
        if self.replies(room, message.ts):
            message.subtype, message.text, message.blocks = "tombstone", "This message was deleted.", []
            message.metadata = None
        else:
            room.messages.remove(message)

    def with_block_ids(self, blocks: Blocks) -> Blocks:
        """A copy in which each block has a block_id, as Slack gives one to those that came without."""
        copies = deepcopy(blocks)
        for block in copies:
            block.setdefault("block_id", self.next_id("b"))
        return copies

    def _attached(self, attachments: list[Json]) -> list[Json]:
        return [
            {**deepcopy(each), "blocks": self.with_block_ids(each["blocks"])} if "blocks" in each else copy_json(each)
            for each in attachments
        ]

    # As Slack writes them

    def message_json(self, message: Message, *, with_metadata: bool = False) -> Json:
        """The message object of the Web API and of interaction payloads."""
        person = self.people.get(message.user)
        body: Json = {"type": "message", "user": message.user, "text": message.text, "ts": message.ts}
        body["team"] = person.team_id if person is not None and person.team_id else self.team_id
        if person is not None and person.is_bot:
            body |= {"bot_id": self.bot_id, "app_id": self.app_id}
        if message.blocks:
            body["blocks"] = deepcopy(message.blocks)
        if message.attachments:
            body["attachments"] = deepcopy(message.attachments)
        if message.subtype:
            body["subtype"] = message.subtype
        if message.edited:
            body["edited"] = {"user": message.user, "ts": message.edited}
        if message.reactions:
            body["reactions"] = deepcopy(message.reactions)
        if with_metadata and message.metadata:
            body["metadata"] = deepcopy(message.metadata)
        replies = self.replies(self.rooms[message.room], message.ts)
        if message.thread_ts or replies:
            body["thread_ts"] = message.thread_ts or message.ts
        if replies:
            body |= {
                "reply_count": len(replies),
                "latest_reply": replies[-1].ts,
                "reply_users": sorted({reply.user for reply in replies}),
            }
        return body


def copy_json(value: Mapping[str, Any]) -> Json:
    """A copy that shares nothing with the original."""
    return deepcopy(dict(value))


def utc_now() -> datetime:
    """The time, when nobody hands in a clock."""
    return datetime.now(UTC)
