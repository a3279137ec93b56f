"""The one road of messages to Slack's rooms: at Slack's pace, each once, and knowing which rooms are closed.

Answers by a response_url don't take it (bot/slack/answers.py): they count towards none of these limits, and can't be
looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploys.clock import Clock
from bot.deploys.config import SlackLimits
from bot.deploys.errors import Paced, RateLimited
from bot.slack.client import SlackClient, SlackRefused
from bot.slack.views.text import Message
from bot.store import paces, rooms, sends
from bot.store.engine import Store
from bot.store.paces import Limit

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# What Slack says of a room that the bot can't write to
# (https://docs.slack.dev/reference/methods/chat.postMessage#errors, and of chat.update: is_inactive).
CLOSED = frozenset(
    "not_in_channel channel_not_found is_archived is_inactive no_permission access_denied ekm_access_denied"
    " team_access_not_granted restricted_action restricted_action_read_only_channel"
    " restricted_action_thread_only_channel".split()
)
# Of a room or a message that takes no replies; the message itself may be edited.
THREADLESS = frozenset(
    "restricted_action_non_threadable_channel restricted_action_thread_locked cannot_reply_to_message".split()
)
# Of a person whom the bot can't write to alone (https://docs.slack.dev/reference/methods/conversations.open#errors).
UNREACHABLE = frozenset(
    "user_disabled user_not_found users_not_found user_not_visible cannot_dm_bot messages_tab_disabled".split()
)
GONE = frozenset("message_not_found cant_update_message thread_not_found edit_window_closed".split())

CLOCKS_DIFFER = timedelta(minutes=5)

Keep = Callable[[sa.Connection, str, str], None]


@dataclass(frozen=True, slots=True)
class Mark:
    """By which a message is found again. It travels as metadata, which any app in the workspace may read."""

    kind: str
    id: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, Any]:
        """As Slack takes it."""
        return {"event_type": self.kind, "event_payload": {"id": self.id, **self.facts}}


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a message is. `anew`: posted just now; else by an earlier attempt, and it may say what was true then."""

    channel: str
    ts: str
    anew: bool


class Sender:
    """Posts and edits messages in rooms. Thread-safe.

    Raises SlackRefused; Unavailable, after which the message may be there; RateLimited when Slack says so, and Paced
    before it would. What is `first` is what people wait for: the rest leaves some room to that.
    """

    def __init__(self, store: Store, slack: SlackClient, clock: Clock, limits: SlackLimits) -> None:
        self._store = store
        self._slack = slack
        self._clock = clock
        self._limits = limits
        self._updates = Limit("chat.update", limits.updates)
        self._posts = Limit("chat.postMessage", limits.posts)

    def post(
        self,
        channel: str,
        message: Message,
        mark: Mark,
        *,
        thread: str = "",
        first: bool = True,
        keep: Keep | None = None,
    ) -> Sent:
        """Posts a message, once for each mark and room, however often it is called.

        Before the call a row says that it was begun; when that is there already, an earlier attempt may have posted it
        and lost the answer, and it is looked for first. `keep` stores where it is, in the transaction in which the row
        goes; without it, the row stays and says so. A room that can't be searched gets it again: rather twice than
        never.
        """
        key = f"{mark.kind} {mark.id} {channel}"
        room = Limit(f"chat.postMessage {channel}", self._limits.posts_per_room)
        now = self._clock.now()
        with self._store.write() as connection:
            earlier = sends.get(connection, key)
            if earlier is not None and earlier.ts:
                return Sent(earlier.channel, earlier.ts, anew=False)
            wait = paces.claim(connection, [room, self._posts], now, first=first)
            was_closed = rooms.is_closed(connection, channel)
            if wait is None and earlier is None:
                sends.begin(connection, key, channel, now)
        if wait is not None:
            raise Paced("Slack", wait)
        found = self._find(channel, earlier.at - CLOCKS_DIFFER, mark, thread) if earlier is not None else ""
        ts = found
        if not found:
            try:
                channel, ts = self._slack.post(channel, message, thread=thread, metadata=mark.metadata)
            except RateLimited as limited:
                self._hold(room, limited, key)
                raise
            except SlackRefused as refused:
                self._refused(channel, refused, key)
                raise
        with self._store.write() as connection:
            if keep is None:
                sends.done(connection, key, ts)
            else:
                keep(connection, channel, ts)
                sends.end(connection, key)
            if was_closed:
                rooms.open_again(connection, channel)
        return Sent(channel, ts, anew=not found)

    def update(self, channel: str, ts: str, message: Message, mark: Mark, *, first: bool = True) -> None:
        """Replaces what a message says."""
        with self._store.write(lasting=False) as connection:  # a pace that a power cut takes back is no loss
            wait = paces.claim(connection, [self._updates], self._clock.now(), first=first)
        if wait is not None:
            raise Paced("Slack", wait)
        try:
            self._slack.update(channel, ts, message, metadata=mark.metadata)
        except RateLimited as limited:
            self._hold(self._updates, limited)
            raise
        except SlackRefused as refused:
            self._refused(channel, refused)
            raise

    def direct(self, user_id: str, message: Message, mark: Mark, *, keep: Keep | None = None) -> Sent | None:
        """Posts in the conversation between a person and the bot; None for somebody who can't be written to there, such
        as one who has left."""
        try:
            return self.post(self._slack.direct_message(user_id), message, mark, keep=keep)
        except SlackRefused as refused:
            if refused.code not in UNREACHABLE:
                raise
            log.warning("person_unreachable", code=refused.code)
            return None

    def _find(self, channel: str, since: datetime, mark: Mark, thread: str) -> str:
        try:
            return self._slack.find(channel, since, mark.kind, mark.id, thread=thread)
        except SlackRefused as refused:
            log.info("not_looked_for", code=refused.code, room=channel, mark=mark.kind)
            return ""

    def _hold(self, limit: Limit, limited: RateLimited, key: str = "") -> None:
        """Slack said when to come again; what had that key was not posted."""
        with self._store.write() as connection:
            sends.end(connection, key)
            if limited.at is not None:
                paces.hold(connection, limit, limited.at)

    def _refused(self, channel: str, refused: SlackRefused, key: str = "") -> None:
        """Slack said no; what had that key was not posted. A room that is closed is remembered as such."""
        with self._store.write() as connection:
            sends.end(connection, key)
            if refused.code in CLOSED and not channel.startswith("D"):
                rooms.close(connection, channel, refused.code, self._clock.now())
