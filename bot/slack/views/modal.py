"""The form that a bare `/deploy` opens, and what becomes of it.

https://docs.slack.dev/reference/views/modal-views
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from bot.deploys import states
from bot.deploys.errors import (
    NoDefaultEnvironment,
    PersonError,
    TooFarAhead,
    TryLater,
    UnknownEnvironment,
    UnknownRef,
    UnknownTime,
)
from bot.deploys.model import Deploy
from bot.deploys.policy import Finding
from bot.slack.views import replies, schedules
from bot.slack.views.card import emoji
from bot.slack.views.findings import waiting_for
from bot.slack.views.problems import cause
from bot.slack.views.text import Block, Links, code, context, flat, name, room, section

FORM = "deploy_form"  # the callback_id of the form
# The fields. Those that belong to an app carry it in their block's id, so that with another app they start anew.
APP, ENVIRONMENT, REF, ROOM = "app", "environment", "ref", "room"
WHEN, TASK, REASON, FORCE = "when", "task", "reason", "force"

OPTIONS, OPTION = 100, 75  # Slack's limits: of a menu, and of what stands in it
WHEN_LENGTH, TASK_LENGTH, REASON_LENGTH = 50, 100, 500

View = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filled:
    """What stands in the form; '' where nothing was chosen or typed."""

    app: str = ""
    environment: str = ""
    ref: str = ""
    room: str = ""
    when: str = ""
    task: str = ""
    reason: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """The form as it is to be shown. `rooms` (names by id) are offered where it was opened in none of them."""

    filled: Filled
    apps: Sequence[str]
    environments: Sequence[str]
    rooms: Mapping[str, str] = field(default_factory=dict)
    metadata: str = ""


def form(shown: Form, gates: Sequence[Block], wrong: Mapping[str, Sequence[Block]] | None = None) -> View:
    """The form, with what the gates say below it. `wrong` has what is said below a field, '' above the gates."""
    filled = shown.filled
    app = filled.app
    fields = {
        APP: _menu(APP, APP, "App", shown.apps, app),
        ENVIRONMENT: _menu(ENVIRONMENT, f"{ENVIRONMENT}:{app}", "Environment", shown.environments, filled.environment),
        REF: _ref(app, filled.ref),
        ROOM: _menu(ROOM, f"{ROOM}:{app}", "Room", list(shown.rooms), filled.room, shown.rooms) if shown.rooms else {},
        WHEN: _text(
            WHEN, "When", filled.when, WHEN_LENGTH, "Such as 16:00, Fri 16:00 or 30m. Empty: as soon as it can."
        ),
        TASK: _text(TASK, "Task", filled.task, TASK_LENGTH, "Such as migrations. Empty: the app is deployed."),
        REASON: _text(REASON, "Reason", filled.reason, REASON_LENGTH, "Everyone can read it on the card."),
        FORCE: _force(filled.force),
    }
    blocks: list[Block] = []
    for key, block in fields.items():
        blocks += [block] if block else []
        blocks += (wrong or {}).get(key, ())
    if len(shown.apps) > OPTIONS:
        blocks.insert(1, context(f"and {len(shown.apps) - OPTIONS} more: type `/deploy APP` for those"))
    blocks += [{"type": "divider"}, *(wrong or {}).get("", ()), *gates]
    return {
        **_modal(blocks),
        "submit": {"type": "plain_text", "text": "Deploy"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "private_metadata": shown.metadata,
    }


def on_its_way() -> View:
    """While it is found out what becomes of it."""
    return _modal([section(":hourglass_flowing_sand: Asking GitHub and the gates. You may close this.")])


def done(deploy: Deploy, links: Links, zone: ZoneInfo) -> View:
    """What became of it; `zone` is the person's."""
    sha = links.commit(deploy.repository, deploy.sha)
    at = sha if deploy.sha.startswith(deploy.ref) else f"{code(deploy.ref)} at {sha}"
    what = f"{emoji(deploy)} #{deploy.number}: {name(deploy.app)} to {name(deploy.environment)} · {at}"
    where = "our conversation" if deploy.room.startswith("D") else room(deploy.room)
    how = "It is on its way"
    if deploy.scheduled:
        return _modal([section(what), *schedules.goes_at(deploy, zone).blocks])
    if deploy.state == states.HELD:
        how = f"It waits for {waiting_for([Finding.from_json(item) for item in deploy.findings])}"
    return _modal([section(what), section(f"{how}. Its card is in {where}.")])


def put_off(error: TryLater) -> View:
    """Somebody does not answer, and it is tried again."""
    return _modal(replies.problem(error).blocks)


def ended(blocks: Sequence[Block]) -> View:
    """It came to nothing, and can't be tried again from here."""
    return _modal(blocks)


def looking() -> list[Block]:
    """While it is found out what the gates say."""
    return [context(":mag: Looking what the gates say")]


def not_yet() -> list[Block]:
    """Too little is chosen to say anything."""
    return [context("Choose where it should go and what, and I say here what the gates make of it.")]


def wrong(error: PersonError) -> dict[str, list[Block]]:
    """What is said of a person's error, by the field that it belongs to."""
    place = ""
    if isinstance(error, UnknownRef):
        place = REF
    elif isinstance(error, UnknownEnvironment | NoDefaultEnvironment):
        place = ENVIRONMENT
    elif isinstance(error, UnknownTime | TooFarAhead):
        place = WHEN
    # A button that takes over a lock belongs to a message; here it would be one more thing to press by mistake.
    return {place: [block for block in replies.problem(error).blocks if block["type"] != "actions"]}


def unasked(error: TryLater) -> list[Block]:
    """In place of the gates, while somebody does not answer."""
    words = f":hourglass: {cause(error)} What the gates say is not known yet; you may send it all the same."
    return [context(words)]


def odd_task() -> str:
    """Below the field, letter by letter."""
    return "A task is one word of letters, digits and . : _ -"


def missing() -> str:
    return "Choose one."


def ref_options(refs: Sequence[str], typed: str) -> list[Block]:
    """What the menu of refs offers: those that are known, then the one as typed, where git allows it."""
    fitting = [ref for ref in refs if len(ref) <= OPTION]
    if not typed or len(typed) > OPTION or typed in fitting:
        return [_option(ref) for ref in fitting[:OPTIONS]]
    return [*(_option(ref) for ref in fitting[: OPTIONS - 1]), _option(typed, f"{typed} (as typed)")]


def _modal(blocks: Sequence[Block]) -> View:
    return {
        "type": "modal",
        "callback_id": FORM,
        "title": {"type": "plain_text", "text": "Deploy"},
        "close": {"type": "plain_text", "text": "Close"},
        "blocks": list(blocks),
    }


def _input(block_id: str, label: str, element: Block, **more: Any) -> Block:
    words = {"type": "plain_text", "text": label}
    return {"type": "input", "block_id": block_id, "label": words, "element": element, **more}


def _option(value: str, label: str = "") -> Block:
    return {"text": {"type": "plain_text", "text": flat(label or value, OPTION), "emoji": False}, "value": value}


def _menu(
    action_id: str,
    block_id: str,
    label: str,
    values: Sequence[str],
    chosen: str,
    names: Mapping[str, str] | None = None,
) -> Block:
    options = [_option(value, f"#{names[value]}" if names else "") for value in values[:OPTIONS]]
    element: Block = {"type": "static_select", "action_id": action_id, "options": options}
    initial = [option for option in options if option["value"] == chosen]
    if initial:
        element["initial_option"] = initial[0]
    return _input(block_id, label, element, dispatch_action=True)


def _ref(app: str, chosen: str) -> Block:
    element: Block = {
        "type": "external_select",
        "action_id": REF,
        "min_query_length": 0,
        "placeholder": {"type": "plain_text", "text": "Search, or type a SHA"},
    }
    if chosen and len(chosen) <= OPTION:
        element["initial_option"] = _option(chosen)
    # Slack passes over an initial option in a block that it has shown already, so an empty one has another id.
    block_id = f"{REF}:{app}" if "initial_option" in element else f"{REF}?:{app}"
    return _input(block_id, "Branch, tag or commit", element, dispatch_action=True)


def _text(key: str, label: str, value: str, most: int, hint: str) -> Block:
    element: Block = {"type": "plain_text_input", "action_id": key, "max_length": most}
    if value:
        element["initial_value"] = value
    return _input(key, label, element, optional=True, hint={"type": "plain_text", "text": hint})


def _force(chosen: bool) -> Block:
    options = [_option("force", "Skip checks and order")]
    element: Block = {"type": "checkboxes", "action_id": FORCE, "options": options}
    if chosen:
        element["initial_options"] = options
    return _input(FORCE, "Force", element, optional=True, dispatch_action=True)
