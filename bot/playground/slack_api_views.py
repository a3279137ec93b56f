"""The views.* methods: modals and the home tab. From https://docs.slack.dev/reference/methods."""

from __future__ import annotations

from typing import Any

from bot.playground.slack_blocks import check_view
from bot.playground.slack_methods import ApiError, invalid_arguments, method, parsed
from bot.playground.slack_payloads import stateful
from bot.playground.slack_state import Json, Workspace, copy_json

MODALS = 3  # https://docs.slack.dev/surfaces/modals: up to three views in a stack

_DEFAULTS: Json = {
    "callback_id": "",
    "external_id": "",
    "private_metadata": "",
    "title": None,
    "close": None,
    "submit": None,
    "clear_on_close": False,
    "notify_on_close": False,
    "state": {"values": {}},
}


def checked(workspace: Workspace, view: Any, kind: str, where: str) -> Json:
    """A view as the bot sent it, when it is of that kind and right. Raises invalid_arguments."""
    problems = check_view(view)
    if not problems and view["type"] != kind:
        problems = [f"[ERROR] must be a {kind} view [json-pointer:/view/type]"]
    if problems:
        workspace.violations += [f"{where}: {problem}" for problem in problems]
        raise invalid_arguments(*problems)
    return copy_json(view)


def built(workspace: Workspace, view: Json, **more: Any) -> Json:
    """The view as Slack keeps it, with its ids. `more` are further keys."""
    view_id = workspace.next_id("V0")
    return {
        **copy_json(_DEFAULTS),
        **view,
        "id": view_id,
        "team_id": workspace.team_id,
        "app_id": workspace.app_id,
        "app_installed_team_id": workspace.team_id,
        "bot_id": workspace.bot_id,
        "blocks": workspace.with_block_ids(view["blocks"]),
        "hash": _hash(workspace),
        "root_view_id": view_id,
        "previous_view_id": None,
        **more,
    }


def replace(workspace: Workspace, old: Json, view: Json) -> None:
    """Puts what the bot sent in the place of an open view, which keeps its ids.

    What was filled in stays in inputs that have the same block_id and action_id, and errors go.
    """
    kept = {key: old[key] for key in ("id", "root_view_id", "previous_view_id", "external_id")}
    held = old["state"]["values"]
    old.pop("errors", None)
    old.update(built(workspace, view))
    old.update({**kept, "external_id": view.get("external_id") or kept["external_id"]})
    for block, element in stateful(old["blocks"]):
        block_id, action_id = block["block_id"], element["action_id"]
        holds = held.get(block_id, {}).get(action_id)
        if holds is not None and holds["type"] == element["type"] and _still_offered(element, holds):
            old["state"]["values"].setdefault(block_id, {})[action_id] = holds


def _still_offered(element: Json, holds: Json) -> bool:
    """Whether what was chosen in a menu is among the options it has now."""
    options = element.get("options") or [
        each for group in element.get("option_groups", []) for each in group["options"]
    ]
    chosen = [holds["selected_option"]] if holds.get("selected_option") else holds.get("selected_options") or []
    return not options or all(each in options for each in chosen)


def push_view(workspace: Workspace, user: str, view: Json) -> Json:
    """Adds a modal on top of those that the person has open. Raises push_limit_reached."""
    stack = workspace.modals.setdefault(user, [])
    if len(stack) >= MODALS:
        raise ApiError("push_limit_reached")
    new = built(workspace, view)
    if stack:
        new |= {"root_view_id": stack[0]["id"], "previous_view_id": stack[-1]["id"]}
    stack.append(new)
    return new


def _hash(workspace: Workspace) -> str:
    return f"{workspace.next_ts()}.{workspace.next_id('h')}"


def _take_trigger(workspace: Workspace, trigger_id: Any) -> str:
    """The person whose trigger it is. It is used up, also when it came too late."""
    trigger = workspace.triggers.get(str(trigger_id))
    if trigger is None:
        raise ApiError("invalid_trigger_id")
    if trigger.used:
        raise ApiError("exchanged_trigger_id")
    if workspace.now() > trigger.until:
        raise ApiError("expired_trigger_id")
    trigger.used = True
    return trigger.user


@method("views.open", required="view", optional="trigger_id interactivity_pointer")
def open_view(workspace: Workspace, args: Json) -> Json:
    """Opens a modal for the person whose trigger it is; other modals of theirs are gone."""
    view = checked(workspace, parsed(args, "view", "invalid_arguments"), "modal", "views.open")
    user = _take_trigger(workspace, args.get("trigger_id"))
    workspace.modals[user] = []
    return {"view": copy_json(push_view(workspace, user, view))}


@method("views.push", required="view", optional="trigger_id interactivity_pointer")
def push(workspace: Workspace, args: Json) -> Json:
    """Opens a modal on top of an open one."""
    view = checked(workspace, parsed(args, "view", "invalid_arguments"), "modal", "views.push")
    user = _take_trigger(workspace, args.get("trigger_id"))
    if not workspace.modals.get(user):
        raise ApiError("not_found")
    return {"view": copy_json(push_view(workspace, user, view))}


@method("views.update", required="view", optional="view_id external_id hash")
def update(workspace: Workspace, args: Json) -> Json:
    """Changes an open modal."""
    sent = parsed(args, "view", "invalid_arguments")
    kind = "home" if isinstance(sent, dict) and sent.get("type") == "home" else "modal"
    view = checked(workspace, sent, kind, "views.update")
    try:
        old = workspace.view(view_id=args.get("view_id"), external_id=args.get("external_id"))
    except LookupError:
        raise ApiError("not_found") from None
    if args.get("hash") and args["hash"] != old["hash"]:
        raise ApiError("hash_conflict")
    replace(workspace, old, view)
    return {"view": copy_json(old)}


@method("views.publish", required="user_id view", optional="hash")
def publish(workspace: Workspace, args: Json) -> Json:
    """Sets what a person sees on the bot's home tab."""
    view = checked(workspace, parsed(args, "view", "invalid_arguments"), "home", "views.publish")
    user = str(args["user_id"])
    if user not in workspace.people:
        raise ApiError("user_not_found")
    old = workspace.homes.get(user)
    if old and args.get("hash") and args["hash"] != old["hash"]:
        raise ApiError("hash_conflict")
    if old:
        replace(workspace, old, view)
    else:
        workspace.homes[user] = built(workspace, view)
    return {"view": copy_json(workspace.homes[user])}
