"""The auth.*, users.* and usergroups.* methods. From https://docs.slack.dev/reference/methods."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from bot.playground.slack_methods import ApiError, flag, method, page
from bot.playground.slack_state import Json, Person, Usergroup, Workspace


def person_json(workspace: Workspace, person: Person) -> Json:
    """The user object. The address is in it only with users:read.email."""
    profile: Json = {
        "real_name": person.real_name,
        "real_name_normalized": person.real_name,
        "display_name": person.name,
        "display_name_normalized": person.name,
        "team": person.team_id or workspace.team_id,
        "status_text": "",
        "status_emoji": "",
    }
    if person.email and (workspace.scopes is None or "users:read.email" in workspace.scopes):
        profile["email"] = person.email
    body: Json = {
        "id": person.id,
        "team_id": person.team_id or workspace.team_id,
        "name": person.name,
        "deleted": person.deleted,
        "real_name": person.real_name,
        "profile": profile,
        "is_admin": False,
        "is_owner": False,
        "is_restricted": False,
        "is_ultra_restricted": False,
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": 1700000000,
    }
    enterprise = person.enterprise_id if person.team_id else workspace.enterprise_id
    if enterprise:
        body["enterprise_user"] = {"id": person.id, "enterprise_id": enterprise}
    if person.tz:
        body |= {"tz": person.tz, "tz_label": person.tz, "tz_offset": _offset(workspace, person.tz)}
    return body


def _offset(workspace: Workspace, zone: str) -> int:
    """How many seconds a time zone is ahead of UTC now; 0 for one that this machine does not know."""
    try:
        offset = workspace.now().astimezone(ZoneInfo(zone)).utcoffset()
    except (OSError, ValueError, LookupError):
        return 0
    return int((offset or timedelta()).total_seconds())


def usergroup_json(workspace: Workspace, group: Usergroup, *, with_users: bool, with_count: bool) -> Json:
    """The usergroup object."""
    body: Json = {
        "id": group.id,
        "team_id": workspace.team_id,
        "is_usergroup": True,
        "name": group.name,
        "description": "",
        "handle": group.handle,
        "is_external": False,
        "date_create": 1700000000,
        "date_update": 1700000000,
        "date_delete": 1700000000 if group.disabled else 0,
        "auto_type": None,
        "prefs": {"channels": [], "groups": []},
    }
    if with_users:
        body["users"] = list(group.members)
    if with_count:
        body["user_count"] = len(group.members)
    return body


@method("api.test", optional="error foo")
def api_test(workspace: Workspace, args: Json) -> Json:
    """Answers what it was asked."""
    if args.get("error"):
        raise ApiError(str(args["error"]), args={"error": args["error"]})
    return {"args": {key: value for key, value in args.items() if key != "token"}}


@method("auth.test")
def auth_test(workspace: Workspace, args: Json) -> Json:
    """Who the token belongs to."""
    return {
        "url": f"{workspace.url}/",
        "team": "Playground",
        "user": workspace.people[workspace.bot_user_id].name,
        "team_id": workspace.team_id,
        "user_id": workspace.bot_user_id,
        "bot_id": workspace.bot_id,
        **({"enterprise_id": workspace.enterprise_id} if workspace.enterprise_id else {}),
        "is_enterprise_install": False,
    }


@method("users.info", scopes="users:read", required="user", optional="include_locale")
def user_info(workspace: Workspace, args: Json) -> Json:
    """One person."""
    person = workspace.people.get(str(args["user"]))
    if person is None:
        raise ApiError("user_not_found")
    return {"user": person_json(workspace, person)}


@method("users.list", scopes="users:read", optional="limit cursor include_locale team_id")
def users_list(workspace: Workspace, args: Json) -> Json:
    """Everybody."""
    found, cursor = page(args, list(workspace.people.values()), default=1000)
    return {
        "members": [person_json(workspace, person) for person in found],
        "cache_ts": int(workspace.now().timestamp()),
        "response_metadata": {"next_cursor": cursor},
    }


@method("users.lookupByEmail", scopes="users:read.email", required="email")
def lookup_by_email(workspace: Workspace, args: Json) -> Json:
    """The person with an address."""
    for person in workspace.people.values():
        if person.email and person.email == args["email"] and not person.deleted:
            return {"user": person_json(workspace, person)}
    raise ApiError("users_not_found")


@method(
    "usergroups.list",
    scopes="usergroups:read",
    optional="include_users include_count include_disabled team_id",
)
def usergroups_list(workspace: Workspace, args: Json) -> Json:
    """The usergroups, without the disabled ones unless asked for."""
    return {
        "usergroups": [
            usergroup_json(
                workspace,
                group,
                with_users=flag(args, "include_users"),
                with_count=flag(args, "include_count"),
            )
            for group in workspace.usergroups.values()
            if not group.disabled or flag(args, "include_disabled")
        ]
    }


@method(
    "usergroups.users.list",
    scopes="usergroups:read",
    required="usergroup",
    optional="include_disabled team_id",
)
def usergroup_users(workspace: Workspace, args: Json) -> Json:
    """Who is in a usergroup."""
    group = workspace.usergroups.get(str(args["usergroup"]))
    if group is None or (group.disabled and not flag(args, "include_disabled")):
        raise ApiError("no_such_subteam")
    return {"users": list(group.members)}
