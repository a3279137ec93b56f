"""What the check looks at in Slack: the tokens, the scopes, the rooms of the config."""

from __future__ import annotations

from typing import Any

from bot.check.report import Report, later
from bot.deploys.config import Config
from bot.deploys.errors import TryLater, Unavailable
from bot.settings import Settings
from bot.slack.client import SlackClient, SlackRefused

# The scopes that `manifest.yml` asks for, and what would not work without each.
SCOPES = {
    "app_mentions:read": "hear @shipbot",
    "channels:history": "find a card again in public rooms",
    "channels:read": "look at public rooms in this check",
    "chat:write": "post and update cards",
    "chat:write.public": "post in public rooms without an invitation",
    "commands": "take /deploy",
    "groups:history": "find a card again in private rooms",
    "groups:read": "look at private rooms in this check",
    "im:history": "hear commands in a conversation with the bot",
    "im:read": "look at conversations with the bot in this check",
    "im:write": "write to somebody alone",
    "mpim:history": "find a card again in group conversations",
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


def look_at_slack(report: Report, slack: SlackClient, settings: Settings, config: Config | None) -> None:
    """Who the bot is there, what it may do, and whether it can write where the config wants it to."""
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
    for room, apps in _rooms(config).items() if config is not None else ():
        with report.part(f"room {room}"):
            _room(report, slack, room, apps, granted, settings)


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
    report: Report, slack: SlackClient, room: str, apps: list[str], granted: set[str], settings: Settings
) -> None:
    whose = f"room {room} of {', '.join(apps)}"
    try:
        found = slack.room(room)
    except SlackRefused as error:
        if error.code == "channel_not_found":
            report.fail(f"{whose}: Slack shows me no such room: mend the id, or `/invite` me there if it is private")
        else:
            report.fail(f"{whose}: {_slack_says(error, 'see that it may be looked at', settings)}")
        return
    except TryLater as error:
        report.fail(f"{whose}: {_slack_says(error, _REINSTALL, settings)}")
        return
    label = f"#{found['name']} ({whose})" if found.get("name") else whose
    if found.get("is_archived"):
        report.fail(f"{label} is archived: bring it back, or take it out of the config")
    elif found.get("is_member") or found.get("is_im"):
        report.ok(f"{label} can be written to")
    elif found.get("is_private") or "chat:write.public" not in granted:
        report.fail(f"{label}: I am no member: `/invite` me there")
    else:
        report.ok(f"{label} can be written to; I am no member, so `@` me there only after an `/invite`")
