"""All that the playground's page shows to one person, as plain JSON.

{viewer, command, bot: {id, name}, people: [{id, name, real_name, login}], apps: [{name, repository, environments}],
 forms: [{form, begin, about}], hints: [{room, text, tries}],
 rooms: [{id, name, kind: room | direct, topic, about, messages: [{key, ts, user, text, blocks, attachments,
          thread_ts, edited, only_you, command}]}],
 usergroups: [{id, handle}],
 modal: null | {id, hash, title, submit, close, blocks, errors: {block_id: text}, values: {block_id: {action_id: …}}},
 home: null | {id, hash, blocks, values},
 github: {url, deliveries: [{event, action, status_code, delivered_at}], repositories: [{name, url, default_branch,
          branches: [{name, sha, message, checks: [{name, state}]}], tags: [{name, sha}],
          deployments: [{id, environment, ref_name, sha, creator, task, state, created_at, url, statuses}]}]}}
"""

from __future__ import annotations

import re
from typing import Any

from bot.playground.github import SimulatedGitHub
from bot.playground.seed import CONFIG, DIRECT, PEOPLE, PLACES, Place
from bot.playground.slack import Message, SimulatedSlack
from bot.playground.slack_payloads import view_json
from bot.slack.grammar import FORMS

COMMAND = "/deploy"
SHOWN_DELIVERIES = 8
Json = dict[str, Any]

_SHA = re.compile(r"[0-9a-f]{40}")
_GREEN = {"success", "neutral", "skipped"}
_RED = {"failure", "error", "timed_out", "cancelled", "action_required", "stale", "startup_failure"}


def viewers_state(github: SimulatedGitHub, slack: SimulatedSlack, viewer: str) -> Json:
    """The state as the person with the Slack id `viewer` sees it. Raises LookupError for nobody."""
    direct = slack.direct_room(viewer) if viewer not in _direct_members(slack) else _direct_members(slack)[viewer]
    rooms = [_room(slack, place, place.id, "room", viewer) for place in PLACES]
    rooms.append(_room(slack, DIRECT, direct, "direct", viewer))
    modals = slack.views(viewer)
    places = [(place.id, place) for place in PLACES] + [(direct, DIRECT)]
    return {
        "viewer": viewer,
        "command": COMMAND,
        "bot": {"id": slack.bot_user_id, "name": "shipbot"},
        "people": [
            {"id": each.id, "name": each.name, "real_name": each.real_name, "login": each.login} for each in PEOPLE
        ],
        "apps": [
            {"name": name, "repository": app["repository"], "environments": list(app["environments"])}
            for name, app in CONFIG["apps"].items()
        ],
        "forms": [
            {
                # The deploy form is said without its word, and shown without what is rarely needed.
                "form": "APP[/REF] [to ENV] [because REASON]" if form.name == "deploy" else form.usage,
                "begin": "web" if form.name == "deploy" else f"{form.name} " if form.slot else form.name,
                "about": form.summary,
            }
            for form in FORMS
        ],
        "hints": [
            {"room": room, "text": place.hint, "tries": list(place.tries)} for room, place in places if place.hint
        ],
        "rooms": rooms,
        "usergroups": [{"id": each.id, "handle": each.handle} for each in slack.usergroups],
        "modal": _view(modals[-1]) if modals else None,
        "home": _view(slack.home(viewer)),
        "github": _github(github),
    }


def _direct_members(slack: SimulatedSlack) -> dict[str, str]:
    """The direct messages there are: person to room."""
    return {
        member: room.id
        for room in slack.rooms
        if room.kind == "im"
        for member in room.members
        if member != slack.bot_user_id
    }


def _room(slack: SimulatedSlack, place: Place, room: str, kind: str, viewer: str) -> Json:
    messages = [
        _message(each)
        for each in slack.messages(room, commands=True)
        if each.ephemeral_for in (None, viewer) and (each.subtype != "slash_command" or each.user == viewer)
    ]
    return {
        "id": room,
        "name": place.name,
        "kind": kind,
        "topic": place.topic,
        "about": place.about,
        "messages": messages,
    }


def _message(message: Message) -> Json:
    return {
        "key": message.ts,
        "ts": message.ts,
        "user": message.user,
        "text": message.text,
        "blocks": message.blocks,
        "attachments": message.attachments,
        "thread_ts": message.thread_ts,
        "edited": message.edited,
        "only_you": message.ephemeral_for is not None,
        "command": message.subtype == "slash_command",
    }


def _view(view: Json | None) -> Json | None:
    """A modal or home tab with what stands in its inputs, filled in or not."""
    if view is None:
        return None
    shown = {key: view[key] for key in ("id", "hash", "title", "submit", "close", "blocks")}
    return {**shown, "errors": view.get("errors", {}), "values": view_json(view)["state"]["values"]}


def _github(github: SimulatedGitHub) -> Json:
    whole = github.snapshot()
    sent = [each for each in whole["deliveries"] if each["delivered_at"]][:SHOWN_DELIVERIES]
    places = {app["repository"]: place for place, app in enumerate(CONFIG["apps"].values())}
    listed = sorted(whole["repositories"], key=lambda each: places.get(each["full_name"], len(places)))
    return {
        "url": whole["url"],
        "deliveries": [
            {key: each[key] for key in ("guid", "event", "action", "status_code", "delivered_at")} for each in sent
        ],
        "repositories": [_repository(each) for each in listed],
    }


def _repository(repository: Json) -> Json:
    branches = [
        {
            "name": branch["name"],
            "sha": branch["sha"],
            "message": str(branch["message"]).partition("\n")[0],
            "checks": [{"name": check["name"], "state": _light(check["state"])} for check in branch["checks"]],
        }
        for branch in repository["branches"]
    ]
    return {
        "name": repository["full_name"],
        "url": repository["url"],
        "default_branch": repository["default_branch"],
        "branches": branches,
        "tags": repository["tags"],
        "deployments": [_deployment(each) for each in repository["deployments"]],
    }


def _light(state: str) -> str:
    """A check's state as a light: success, failure or pending."""
    return "success" if state in _GREEN else "failure" if state in _RED else "pending"


def _deployment(deployment: Json) -> Json:
    kept = ("id", "environment", "sha", "creator", "task", "created_at", "url", "statuses")
    state = deployment["state"] if deployment["statuses"] else "new"
    return {**{key: deployment[key] for key in kept}, "state": state, "ref_name": _ref_name(deployment)}


def _ref_name(deployment: Json) -> str:
    """What a person calls it: the ref in the payload where the deployment itself was pinned to a commit."""
    ref, payload = str(deployment["ref"]), deployment["payload"]
    if isinstance(payload, dict) and isinstance(payload.get("ref"), str):
        return str(payload["ref"])
    return ref[:7] if _SHA.fullmatch(ref) else ref
