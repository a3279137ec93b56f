"""A simulated Slack that remembers: the real SDKs talk to it over HTTP and websockets.

Serve `asgi` at `url` (at a server's root or below a prefix), point the bot's SLACK_API_URL at
`url` + "/api/", set `bot_url`, and let people act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from starlette.types import ASGIApp

from bot.playground.slack_api import METHOD_SCOPES, WebApi
from bot.playground.slack_http import slack_app
from bot.playground.slack_people import People
from bot.playground.slack_sending import Answer, Sender, sign
from bot.playground.slack_socket import Sockets
from bot.playground.slack_state import (
    Drop,
    Fault,
    Json,
    Message,
    Person,
    RecordedCall,
    Room,
    RoomKind,
    Usergroup,
    Workspace,
    copy_json,
    utc_now,
)
from bot.playground.slack_transcript import block_lines, rendered, transcript

__all__ = [
    "METHOD_SCOPES",
    "Answer",
    "Message",
    "Person",
    "RecordedCall",
    "Room",
    "SimulatedSlack",
    "Usergroup",
    "sign",
]

EVERY_SCOPE = frozenset[str]().union(*METHOD_SCOPES.values()) | {
    "app_mentions:read",
    "chat:write.public",
    "commands",
    "mpim:write",
}


class SimulatedSlack(People):
    """One workspace with the bot in it. Thread-safe.

    `now` is the workspace's clock, with a time zone: it stamps messages and ends triggers and response URLs.
    Requests to the bot are signed at the real time, which verifiers compare with, unless `signing_time`
    says otherwise. `scopes` are those granted to the app (None: all that there are).
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        bot_token: str = "xoxb-playground",  # noqa: S107
        app_token: str = "xapp-playground",  # noqa: S107
        signing_secret: str = "playground-signing-secret",  # noqa: S107
        scopes: Iterable[str] | None = None,
    ) -> None:
        workspace = Workspace(now or utc_now, scopes)
        workspace.every_scope = EVERY_SCOPE
        self.sockets = Sockets(workspace)
        super().__init__(workspace, Sender(self.sockets, signing_secret))
        self.bot_token = bot_token
        self.app_token = app_token
        self.signing_secret = signing_secret
        self.team_id = workspace.team_id
        self.bot_user_id = workspace.bot_user_id
        self.bot_id = workspace.bot_id
        self.calls: list[RecordedCall] = workspace.calls
        self.violations: list[str] = workspace.violations
        self.on_change: list[Callable[[], None]] = workspace.on_change
        api = WebApi(workspace, bot_token=bot_token, app_token=app_token)
        self.asgi: ASGIApp = slack_app(workspace, api, self.sockets, self.transcript)

    # Where things are

    @property
    def url(self) -> str:
        """The public root, without a slash at its end; set by whoever serves `asgi`."""
        return self._workspace.url

    @url.setter
    def url(self, value: str) -> None:
        self._workspace.url = value.rstrip("/")

    @property
    def bot_url(self) -> str:
        """The root of the bot, whose /slack/events Slack posts to."""
        return self._sender.bot_url

    @bot_url.setter
    def bot_url(self, value: str) -> None:
        self._sender.bot_url = value.rstrip("/")

    @property
    def enterprise_id(self) -> str:
        """The Enterprise organization that the workspace is part of; '' for none."""
        return self._workspace.enterprise_id

    @enterprise_id.setter
    def enterprise_id(self, value: str) -> None:
        self._workspace.enterprise_id = value

    @property
    def socket_mode(self) -> bool:
        """Whether acts go through the bot's websocket and not over HTTP."""
        return self._sender.socket_mode

    @socket_mode.setter
    def socket_mode(self, value: bool) -> None:
        self._sender.socket_mode = value

    @property
    def patience(self) -> float:
        """For how many seconds Slack waits for the bot's answer. Slack's own is 3; here 10 unless set."""
        return self._sender.patience

    @patience.setter
    def patience(self, value: float) -> None:
        self._sender.patience = value

    @property
    def signing_time(self) -> Callable[[], float]:
        """The clock of the signatures, in seconds since 1970."""
        return self._sender.signing_time

    @signing_time.setter
    def signing_time(self, value: Callable[[], float]) -> None:
        self._sender.signing_time = value

    # Setting the scene

    def add_person(
        self,
        id: str,
        name: str,
        real_name: str | None = None,
        tz: str = "Europe/Berlin",
        *,
        email: str | None = None,
        team_id: str = "",
        enterprise_id: str = "",
    ) -> Person:
        """Somebody joins the workspace, or is of another one (`team_id`) with which rooms are shared. The address is
        name@example.com unless given."""
        with self._workspace.change():
            person = Person(id, name, real_name or name.title(), tz, email or f"{name}@example.com")
            person.team_id, person.enterprise_id = team_id, enterprise_id
            self._workspace.people[id] = person
            return person

    def add_room(
        self,
        id: str,
        name: str,
        *,
        private: bool = False,
        members: Iterable[str] | None = None,
        bot_is_member: bool = True,
    ) -> Room:
        """A new room, with everybody in it unless `members` are named."""
        with self._workspace.change():
            people = self._workspace.people.values()
            inside = [each.id for each in people if not each.is_bot] if members is None else list(members)
            if bot_is_member:
                inside.append(self.bot_user_id)
            kind: RoomKind = "private" if private else "public"
            room = Room(id, name.removeprefix("#"), kind, inside)
            self._workspace.rooms[id] = room
            return room

    def add_usergroup(self, id: str, handle: str, members: Iterable[str], *, name: str | None = None) -> None:
        """A new usergroup, @handle."""
        with self._workspace.change():
            group = Usergroup(id, handle, name or handle.title(), list(members))
            self._workspace.usergroups[id] = group

    def archive(self, room: str) -> None:
        """Archives a room: nobody can post there any more."""
        with self._workspace.change():
            self._workspace.room(room).archived = True

    def unarchive(self, room: str) -> None:
        """Brings a room back."""
        with self._workspace.change():
            self._workspace.room(room).archived = False

    def invite_bot(self, room: str) -> None:
        """Somebody invites the bot into a room."""
        with self._workspace.change():
            self._workspace.room(room).members.append(self.bot_user_id)

    def rename(self, room: str, name: str) -> None:
        """Gives a room another name; its id stays."""
        with self._workspace.change():
            self._workspace.room(room).name = name.removeprefix("#")

    def remove_bot(self, room: str) -> None:
        """Somebody removes the bot from a room."""
        with self._workspace.change():
            self._workspace.room(room).members.remove(self.bot_user_id)

    def delete_message(self, room: str, ts: str) -> None:
        """Somebody deletes a message. One with replies leaves a tombstone."""
        with self._workspace.change():
            self._workspace.remove(self._workspace.message(room, ts))

    def fail(
        self,
        method: str,
        *,
        error: str | None = None,
        status: int | None = None,
        retry_after: int | None = None,
        drop: Drop | None = None,
        times: int = 1,
        room: str | None = None,
    ) -> None:
        """Makes the next `times` calls of a method go wrong ("*": of any; "response_url": posts to those).

        With a `room`, only of those about that room.

        `error` is Slack's name of it ("ratelimited" comes with 429 and Retry-After), `status` an HTTP status,
        `retry_after` seconds. With `drop` the connection ends without an answer, before the call took effect
        or after.
        """
        with self._workspace.lock:
            self._workspace.faults.append(Fault(method, error, status, retry_after, drop, times, room))

    # Looking

    @property
    def people(self) -> list[Person]:
        """Everybody but bots."""
        with self._workspace.lock:
            return [person for person in self._workspace.people.values() if not person.is_bot]

    @property
    def rooms(self) -> list[Room]:
        """All conversations, direct messages too."""
        with self._workspace.lock:
            return list(self._workspace.rooms.values())

    @property
    def usergroups(self) -> list[Usergroup]:
        """All usergroups."""
        with self._workspace.lock:
            return list(self._workspace.usergroups.values())

    def direct_room(self, user: str) -> str:
        """The id of the direct message between a person and the bot; it is made when there is none."""
        with self._workspace.change():
            return self._workspace.direct_room([self._workspace.person(user).id]).id

    def messages(self, room: str, *, commands: bool = False) -> list[Message]:
        """The messages of a room, oldest first, replies and ephemeral ones among them.

        What people typed as slash commands is no message; with `commands` it is there all the same, with the
        subtype "slash_command".
        """
        with self._workspace.lock:
            found = self._workspace.room(room).messages
            return [each for each in found if commands or each.subtype != "slash_command"]

    def ephemerals(self, user: str) -> list[Message]:
        """All messages that only this person sees, oldest first."""
        with self._workspace.lock:
            person = self._workspace.person(user).id
            rooms = self._workspace.rooms.values()
            found = [each for room in rooms for each in room.messages if each.ephemeral_for == person]
            return sorted(found, key=lambda message: message.ts)

    def views(self, user: str) -> list[Json]:
        """The modals that a person has open, the top one last."""
        with self._workspace.lock:
            stack = self._workspace.modals.get(self._workspace.person(user).id, [])
            return [copy_json(view) for view in stack]

    def home(self, user: str) -> Json | None:
        """What a person sees on the bot's home tab."""
        with self._workspace.lock:
            view = self._workspace.homes.get(self._workspace.person(user).id)
            return None if view is None else copy_json(view)

    def transcript(self, room: str, *, viewer: str | None = None) -> str:
        """A room as plain text, as everybody sees it together, or as `viewer` sees it."""
        with self._workspace.lock:
            who = None if viewer is None else self._workspace.person(viewer).id
            return transcript(self._workspace, self._workspace.room(room), viewer=who)

    def text_of(self, shown: Message | Json) -> str:
        """One message, or one view, as plain text."""
        with self._workspace.lock:
            if isinstance(shown, Message):
                return "\n".join(rendered(self._workspace, shown))
            title = [shown["title"]["text"]] if shown.get("title") else []
            return "\n".join(title + block_lines(self._workspace, shown["blocks"]))

    def deliver_raw(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Posts any bytes with exactly these headers to the bot, as an attacker or a broken proxy might."""
        return self._sender.post(body, headers)

    def signed(self, body: bytes) -> dict[str, Any]:
        """The headers with a good signature of `body`, made now."""
        return dict(self._sender.signed(body))
