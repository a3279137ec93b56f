"""What the check looks at in Slack: the tokens, the scopes, the rooms of the config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.check.report import Report, later
from bot.deploys.config import Config
from bot.deploys.errors import TryLater, Unavailable
from bot.settings import Settings
from bot.slack.client import SlackClient, SlackRefused
from bot.store.rooms import Closed

# The scopes that `manifest.yml` asks for, and what would not work without each.
SCOPES = {
    "app_mentions:read": "hear @shipbot",
    "channels:history": "find a message again in public rooms",
    "channels:read": "look at public rooms in this check",
    "chat:write": "post and update cards",
    "chat:write.public": "post in public rooms without an invitation",
    "commands": "take /deploy",
    "groups:history": "find a message again in private rooms",
    "groups:read": "look at private rooms in this check",
    "im:history": "hear commands in a conversation with the bot",
    "im:read": "look at conversations with the bot in this check",
    "im:write": "write to somebody alone",
    "mpim:history": "find a message again in group conversations",
    "mpim:read": "look at group conversations in this check",
    "usergroups:read": "know who is in a usergroup that may deploy or approve",
    "users:read": "know somebody's name and time zone",
}

_REINSTALL = "add it under OAuth & Permissions (manifest.yml has them all) and install the app again"
_SET_BOT = "set SLACK_BOT_TOKEN to the Bot User OAuth Token (xoxb-…) under OAuth & Permissions"
_SET_APP = (
    "set SLACK_APP_TOKEN to an app-level token (xapp-…) with connections:write, made under Basic Information, "
    "and turn Socket Mode on"
)
# https://docs.slack.dev/reference/methods/auth.test#errors
_REFUSALS = {
    "invalid_auth": "Slack does not know this token",
    "not_authed": "Slack sees no token",
    "not_allowed_token_type": "it is a token of another kind",
    "account_inactive": "its app was removed from the workspace",
    "token_revoked": "it was revoked",
    "token_expired": "it has expired",
    "missing_scope": "it lacks a scope",
}


# What the look at a room shows to be over; that its settings keep the bot out is not to be seen there.
_MENDED_BY_LOOKING = frozenset({"not_in_channel", "channel_not_found", "is_archived", "is_inactive"})


def look_at_slack(
    report: Report, slack: SlackClient, settings: Settings, config: Config | None, closed: Sequence[Closed] = ()
) -> None:
    """Who the bot is there, what it may do, and whether it can write where the config and people want it to.

    `closed` are the rooms that its last message could not be posted to.
    """
    try:
        me = slack.auth()
    except (SlackRefused, TryLater) as error:
        report.fail(f"SLACK_BOT_TOKEN: {_slack_says(error, _SET_BOT, settings)}")
        return
    if not me.get("bot_id"):
        report.fail(f"SLACK_BOT_TOKEN: it is the token of a person, {me.get('user')}: {_SET_BOT}")
        return
    report.ok(f"Slack: I am @{me.get('user')} in {me.get('team')} ({me.get('url')})")
    granted = _granted({name.lower(): value for name, value in (me.headers or {}).items()}.get("x-oauth-scopes"))
    missing = [scope for scope in SCOPES if scope not in granted]
    for scope in missing:
        report.fail(f"Slack: the scope {scope} is missing, without which I can't {SCOPES[scope]}: {_REINSTALL}")
    if not missing:
        report.ok(f"Slack: all {len(SCOPES)} scopes are granted")
    if settings.slack_app_token is not None:
        try:
            slack.try_socket(settings.slack_app_token.get_secret_value())
            report.ok("Slack: Socket Mode opens; /slack/events is not served")
        except (SlackRefused, TryLater) as error:
            report.fail(f"SLACK_APP_TOKEN: {_slack_says(error, _SET_APP, settings)}")
    shut = {each.room: each for each in closed}
    rooms = _rooms(config) if config is not None else {}
    for room in [*rooms, *(each for each in shut if each not in rooms)]:
        with report.part(f"room {room}"):
            _room(report, slack, room, rooms.get(room, []), shut.get(room), granted, settings)


def _granted(header: Any) -> set[str]:
    values = header if isinstance(header, list) else [header or ""]
    return {scope.strip() for value in values for scope in str(value).split(",")}


def _slack_says(error: SlackRefused | TryLater, mend: str, settings: Settings) -> str:
    """Why Slack can't be asked, and what to do about it."""
    if isinstance(error, SlackRefused):
        return f"{_REFUSALS.get(error.code, f'Slack says {error.code}')}: {mend}"
    if isinstance(error, Unavailable) and error.detail in _REFUSALS:
        return f"{_REFUSALS[error.detail]}: {mend}"
    return f"{later(error)}: see that {settings.slack_api_url} can be reached from here, then check again"


def _rooms(config: Config) -> dict[str, list[str]]:
    """The rooms that the config names, and the apps that name them."""
    rooms: dict[str, list[str]] = {}
    for name, app in config.apps.items():
        for room in (*app.rooms, *(announcement.room for announcement in app.announce)):
            apps = rooms.setdefault(room, [])
            if name not in apps:
                apps.append(name)
    return rooms


def _room(
    report: Report,
    slack: SlackClient,
    room: str,
    apps: list[str],
    closed: Closed | None,
    granted: set[str],
    settings: Settings,
) -> None:
    whose = f"room {room} of {', '.join(apps)}" if apps else f"room {room}, which the config does not name"
    fail = report.fail if apps else report.warn
    leave = "take it out of the config" if apps else "deploy from another room"
    since = (
        f"; nothing of mine got there since {closed.since:%Y-%m-%d %H:%M} UTC ({closed.code})"
        if closed is not None
        else ""
    )
    try:
        found = slack.room(room)
    except SlackRefused as error:
        if error.code == "channel_not_found":
            mend = "mend the id, or " if apps else ""
            fail(f"{whose}: Slack shows me no such room: {mend}`/invite` me there if it is private{since}")
        else:
            fail(f"{whose}: {_slack_says(error, 'see that it may be looked at', settings)}{since}")
        return
    except TryLater as error:
        fail(f"{whose}: {_slack_says(error, _REINSTALL, settings)}{since}")
        return
    label = f"#{found['name']} ({whose})" if found.get("name") else whose
    if found.get("is_archived"):
        fail(f"{label} is archived: bring it back, or {leave}{since}")
    elif not (found.get("is_member") or found.get("is_im")) and (
        found.get("is_private") or "chat:write.public" not in granted
    ):
        fail(f"{label}: I am no member: `/invite` me there{since}")
    elif closed is not None and closed.code not in _MENDED_BY_LOOKING:
        fail(f"{label}: Slack does not let me write there: see who may post in it, or {leave}{since}")
    elif closed is not None:
        report.ok(f"{label} can be written to again, as the next message will show{since}")
    elif found.get("is_member") or found.get("is_im"):
        report.ok(f"{label} can be written to")
    else:
        report.ok(f"{label} can be written to; I am no member, so `@` me there only after an `/invite`")
