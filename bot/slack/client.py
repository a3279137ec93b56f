"""Slack's Web API as the bot uses it, with Slack's refusals as errors of ours.

https://api.slack.com/web
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any, Generic, TypeVar
from urllib.error import HTTPError, URLError
from zoneinfo import ZoneInfo

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse
from slack_sdk.webhook import WebhookClient

from bot.deploys.clock import Clock
from bot.deploys.errors import LookupFailed, RateLimited, Unavailable
from bot.slack.views.text import Message

TIMEOUT = 10  # seconds
PASSING = frozenset(
    "internal_error fatal_error service_unavailable request_timeout team_added_to_org org_login_required"
    " update_failed external_channel_migrating message_limit_exceeded".split()
)
LIMITED = frozenset({"ratelimited", "rate_limited"})  # the second is what chat.postMessage documents
KEPT_ELSEWHERE = frozenset({"chat.postMessage", "chat.update"})  # how long these must wait (bot/slack/sender.py)

# What somebody must mend at Slack first. It is tried again until they have, rather than given up.
MENDABLE = frozenset("invalid_auth not_authed account_inactive token_revoked token_expired missing_scope".split())

# How long answers are good for. Slack takes about 20 questions a minute about members of usergroups.
MEMBERS_KEPT = timedelta(seconds=60)
TIME_ZONE_KEPT = timedelta(minutes=10)
STRANGERS_KEPT = timedelta(minutes=10)
ROOMS_KEPT = timedelta(minutes=1)
PAGES = 10  # of a thousand rooms each; more than anybody is in
FOUND_WITHIN = 10  # pages of two hundred messages

Observer = Callable[[str, float], None]
Value = TypeVar("Value")


class SlackRefused(Exception):
    """Slack answers `ok: false`; `code` is its word for why, e.g. `channel_not_found`."""

    def __init__(self, method: str, code: str, needed: str = "") -> None:
        super().__init__(f"{method}: {code}" + (f" (needs the scope {needed})" if needed else ""))
        self.method = method
        self.code = code
        self.needed = needed


class SlackClient:
    """Posts, updates and looks up. Thread-safe.

    Every method raises SlackRefused, and RateLimited or Unavailable for what passes by itself.
    """

    def __init__(self, api_url: str, token: str, clock: Clock, observe: Observer | None = None) -> None:
        # No retries of the SDK's own: after a dropped connection it would send a message a second time.
        self._web = WebClient(
            token=token, base_url=api_url, timeout=TIMEOUT, user_agent_prefix="shipbot", retry_handlers=[]
        )
        self._clock = clock
        self._closed_until: dict[str, datetime] = {}  # by method, as Slack said in a 429
        self._members: _Kept[frozenset[str]] = _Kept(clock, MEMBERS_KEPT)
        self._time_zones: _Kept[str] = _Kept(clock, TIME_ZONE_KEPT)
        self._rooms: _Kept[dict[str, str]] = _Kept(clock, ROOMS_KEPT)
        self._strangers: _Kept[bool] = _Kept(clock, STRANGERS_KEPT)
        self._bot_id = ""  # once it was needed
        self._observe = observe or (lambda outcome, seconds: None)

    def auth(self) -> SlackResponse:
        """Who this token is (`auth.test`)."""
        return self._call("auth.test")

    def post(
        self, channel: str, message: Message, *, thread: str = "", metadata: dict[str, Any] | None = None
    ) -> tuple[str, str]:
        """Posts a message; returns its channel and ts."""
        arguments: dict[str, Any] = {"channel": channel, **_shown(message), **_UNFURL_NOTHING}
        if thread:
            arguments["thread_ts"] = thread
        if metadata:
            arguments["metadata"] = metadata
        answer = self._call("chat.postMessage", arguments)
        return answer["channel"], answer["ts"]

    def update(self, channel: str, ts: str, message: Message, *, metadata: dict[str, Any]) -> None:
        """Replaces what a message says."""
        self._call("chat.update", {"channel": channel, "ts": ts, "metadata": metadata, **_shown(message)})

    def find(self, channel: str, since: datetime, event_type: str, id: str, *, thread: str = "") -> str:
        """The ts of the bot's message with that metadata among those posted since, in a thread or else outside of any.

        '' when there is none. What others post is passed over, whatever it carries.
        """
        self._bot_id = self._bot_id or str(self.auth()["bot_id"])
        arguments = {
            "channel": channel,
            "oldest": str(since.timestamp()),
            "include_all_metadata": True,
            "limit": 200,
            **({"ts": thread} if thread else {}),
        }
        for _ in range(FOUND_WITHIN):
            answer = self._call("conversations.replies" if thread else "conversations.history", arguments)
            for message in answer["messages"]:
                metadata = message.get("metadata") or {}
                same = metadata.get("event_type") == event_type and metadata.get("event_payload", {}).get("id") == id
                if same and message.get("bot_id") == self._bot_id:
                    return str(message["ts"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
            arguments["cursor"] = cursor
        return ""

    def direct_message(self, user: str) -> str:
        """The channel of the conversation between a person and the bot."""
        channel: str = self._call("conversations.open", {"users": user})["channel"]["id"]
        return channel

    def user_name(self, user: str) -> str:
        """A person's name as Slack's commands give it."""
        return str(self._call("users.info", {"user": user})["user"].get("name") or user)

    def is_stranger(self, user: str) -> bool:
        """Whether somebody is of another company: another workspace, and none of the same Enterprise organization. As
        known within the last ten minutes; somebody whom Slack does not show is one."""
        return self._strangers.get(user, lambda: self._is_stranger(user))

    def usergroup(self, group: str) -> frozenset[str]:
        """The ids of the people in a usergroup, as known within the last minute.

        Raises LookupFailed for what Slack does not tell: there is no such usergroup, or the scope is missing.
        """
        return self._members.get(group, lambda: self._members_of(group))

    def time_zone(self, user: str) -> str:
        """The name of a person's time zone, as known within the last ten minutes; UTC where they have set none.

        Raises LookupFailed for what Slack does not tell.
        """
        return self._time_zones.get(user, lambda: self._time_zone_of(user))

    def rooms_of(self, user: str) -> dict[str, str]:
        """The rooms that a person is in, names by id, as known within the last minute.

        Of private rooms those alone that the bot is in too: of others Slack tells it nothing. None for somebody whom
        Slack does not show to the bot.
        """
        return dict(self._rooms.get(user, lambda: self._rooms_of(user)))

    def open_view(self, trigger_id: str, view: dict[str, Any]) -> str:
        """Opens a modal for the person whose trigger it is; returns the view's id.

        A trigger is good for one view and three seconds; then SlackRefused. After Unavailable it may be open.
        """
        view_id: str = self._call("views.open", {"trigger_id": trigger_id, "view": view})["view"]["id"]
        return view_id

    def update_view(self, view_id: str, view: dict[str, Any]) -> None:
        """Replaces what an open modal shows. SlackRefused with `not_found` once the person has closed it."""
        self._call("views.update", {"view_id": view_id, "view": view})

    def publish_home(self, user: str, view: dict[str, Any]) -> None:
        """Sets what a person sees on the bot's home tab."""
        self._call("views.publish", {"user_id": user, "view": view})

    def permalink(self, channel: str, ts: str) -> str:
        """The address of a message."""
        return str(self._call("chat.getPermalink", {"channel": channel, "message_ts": ts})["permalink"])

    def room(self, channel: str) -> dict[str, Any]:
        """Slack's channel object of a conversation (`conversations.info`)."""
        return dict(self._call("conversations.info", {"channel": channel})["channel"])

    def try_socket(self, app_token: str) -> None:
        """Asks for the address of a Socket Mode connection, and opens none (`apps.connections.open`)."""
        self._call("apps.connections.open", {"token": app_token})

    def respond(self, response_url: str, message: Message, *, replace: bool = False, thread: str = "") -> None:
        """Answers where a command or click came from, to that person alone; in a thread where that is named, else
        Slack shows it outside of any.

        Works where the bot is no member, for 30 minutes and 5 answers; then SlackRefused.
        """
        started = time.perf_counter()
        try:
            answer = WebhookClient(response_url, timeout=TIMEOUT, retry_handlers=[]).send_dict(
                {
                    **_shown(message),
                    "response_type": "ephemeral",
                    "replace_original": replace,
                    **({"thread_ts": thread} if thread else {}),
                }
            )
        except (OSError, HTTPException) as error:
            self._observe("Unavailable", time.perf_counter() - started)
            raise Unavailable("Slack", type(error).__name__) from error
        self._observe("ok" if answer.status_code == 200 else str(answer.status_code), time.perf_counter() - started)
        if answer.status_code == 429:
            raise RateLimited("Slack", self._after(answer.headers))
        if answer.status_code >= 500:
            raise Unavailable("Slack", f"HTTP {answer.status_code}")
        if answer.status_code != 200:
            raise SlackRefused("response_url", answer.body[:100])

    def _is_stranger(self, user: str) -> bool:
        ours = self.auth()
        try:
            theirs = self._call("users.info", {"user": user})["user"]
        except SlackRefused:
            return True
        organization = ours.get("enterprise_id")
        if organization and (theirs.get("enterprise_user") or {}).get("enterprise_id") == organization:
            return False
        return bool(theirs.get("team_id") != ours["team_id"])

    def _members_of(self, group: str) -> frozenset[str]:
        return frozenset(map(str, self._look_up(group, "usergroups.users.list", {"usergroup": group})["users"]))

    def _rooms_of(self, user: str) -> dict[str, str]:
        arguments = {"user": user, "types": "public_channel,private_channel", "exclude_archived": "true", "limit": 999}
        found: dict[str, str] = {}
        for _ in range(PAGES):
            try:
                answer = self._call("users.conversations", arguments)
            except SlackRefused:
                return {}
            found |= {str(room["id"]): str(room.get("name") or room["id"]) for room in answer["channels"]}
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
            arguments["cursor"] = cursor
        return found

    def _time_zone_of(self, user: str) -> str:
        name = str(self._look_up(user, "users.info", {"user": user})["user"].get("tz") or "UTC")
        try:
            ZoneInfo(name)
        except (OSError, ValueError, LookupError):  # Slack's list of zones is not ours
            return "UTC"
        return name

    def _look_up(self, what: str, method: str, arguments: dict[str, Any]) -> SlackResponse:
        """Like _call, for what a person waits for: a refusal and a missing scope are LookupFailed of `what`."""
        try:
            return self._call(method, arguments)
        except SlackRefused as refused:
            raise LookupFailed(what, refused.code) from refused
        except Unavailable as error:
            if error.detail == "missing_scope":
                raise LookupFailed(what, error.detail) from error
            raise

    def _call(self, method: str, arguments: dict[str, Any] | None = None) -> SlackResponse:
        if (until := self._closed_until.get(method)) is not None:
            if self._clock.now() < until:
                raise RateLimited("Slack", until)
            self._closed_until.pop(method, None)
        started = time.perf_counter()
        outcome = "ok"
        try:
            return (
                self._web.api_call(method, json=arguments)
                if arguments and arguments.keys() & {"blocks", "view"}
                else (self._web.api_call(method, params=arguments or {}))
            )
        except SlackApiError as error:
            answer = error.response
            code = str(answer.get("error", "")) if isinstance(answer.data, dict) else ""
            if answer.status_code >= 500 or not re.fullmatch(r"[a-z_]+", code):
                code = ""  # what is no answer of Slack's, the SDK describes with the whole body in it
            outcome = code or f"HTTP {answer.status_code}"
            if answer.status_code == 429 or code in LIMITED:
                until = self._after(answer.headers)
                if method not in KEPT_ELSEWHERE:
                    self._closed_until[method] = until
                raise RateLimited("Slack", until) from error
            if not code or code in PASSING or code in MENDABLE:
                raise Unavailable("Slack", outcome) from error
            raise SlackRefused(method, code, str(answer.get("needed") or "")) from error
        except HTTPError as error:
            outcome = f"HTTP {error.code}"
            raise Unavailable("Slack", outcome) from error
        except (URLError, OSError, HTTPException, SlackClientError, ValueError) as error:
            outcome = type(error).__name__
            raise Unavailable("Slack", outcome) from error
        finally:
            self._observe(outcome, time.perf_counter() - started)

    def _after(self, headers: Any) -> datetime:
        value = next((item for key, item in headers.items() if key.lower() == "retry-after"), "")
        value = value[0] if isinstance(value, list) else value
        return self._clock.now() + timedelta(seconds=int(value) if str(value).isdigit() else 30)


class _Kept(Generic[Value]):
    """Answers that are good for a while. Thread-safe; two that ask at once for the same may both look it up."""

    def __init__(self, clock: Clock, length: timedelta) -> None:
        self._clock = clock
        self._length = length
        self._lock = threading.Lock()
        self._answers: dict[str, tuple[datetime, Value]] = {}  # by key: until when it is good, and the answer

    def get(self, key: str, look_up: Callable[[], Value]) -> Value:
        """What is known of `key`, else what `look_up` returns, which is kept. What it raises is not."""
        now = self._clock.now()
        with self._lock:
            if (known := self._answers.get(key)) is not None and now < known[0]:
                return known[1]
        value = look_up()
        with self._lock:
            self._answers = {key: answer for key, answer in self._answers.items() if now < answer[0]}
            self._answers[key] = now + self._length, value
        return value


_UNFURL_NOTHING = {"unfurl_links": False, "unfurl_media": False}


def _shown(message: Message) -> dict[str, Any]:
    return {"text": message.text, "blocks": message.blocks}
