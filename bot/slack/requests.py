"""What Slack's requests must hold, and how one that does not is refused.

https://docs.slack.dev/reference/interaction-payloads
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs

import msgspec
from pydantic import BaseModel, Field, StringConstraints, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class Unfit(Exception):
    """A request that is not what Slack sends; the message says why."""


Id = Annotated[str, StringConstraints(min_length=1)]


class Command(BaseModel):
    """What is read of a slash command."""

    trigger_id: Id
    user_id: Id
    channel_id: Id
    user_name: str = ""
    text: str = ""
    response_url: str = ""


class User(BaseModel):
    id: Id
    username: str = ""
    name: str = ""


class Channel(BaseModel):
    id: Id


class Option(BaseModel):
    value: str


class Action(BaseModel):
    """Buttons have a value, menus a selected option, checkboxes several."""

    action_id: str = ""
    action_ts: str = ""
    value: str | None = None
    selected_option: Option | None = None
    selected_options: list[Option] | None = None


class State(BaseModel):
    values: dict[str, dict[str, dict[str, Any]]] = {}


class View(BaseModel):
    """What is read of a modal or a home tab; `state.values` has what was filled in, by block and action."""

    id: Id
    hash: str = ""
    callback_id: str = ""
    private_metadata: str = ""
    state: State = State()


class Filled(View):
    """A modal as it is submitted, which has all of it."""

    hash: Id
    callback_id: str
    private_metadata: str
    state: State


class Click(BaseModel):
    """What is read of a click, or of a choice in a menu: on a message, in a modal, or on the home tab."""

    trigger_id: Id
    user: User
    actions: Annotated[list[Action], Field(min_length=1)]
    channel: Channel | None = None
    view: View | None = None
    response_url: str = ""


class Submission(BaseModel):
    """What is read of a modal that was submitted."""

    user: User
    view: Filled


class Suggestion(BaseModel):
    """What is read of somebody's typing into a menu that asks the bot what it offers."""

    user: User
    action_id: Id
    value: str = ""
    view: View | None = None


class Kind(BaseModel):
    type: Id
    bot_id: Any = None
    subtype: str | None = None


class Event(BaseModel):
    """What every event has."""

    event_id: Id
    event: Kind


class Words(BaseModel):
    user: Id
    channel: Id
    text: str = ""
    ts: str = ""
    thread_ts: str = ""


class Said(BaseModel):
    """What is read of a person's message."""

    event: Words


class Opening(BaseModel):
    user: Id
    tab: Id
    channel: str = ""


class Opened(BaseModel):
    """What is read of the opening of the bot's home tab."""

    event: Opening


def fit(model: type[Model], body: Mapping[str, Any]) -> Model:
    """The body as the model says; raises Unfit with what is missing or of another kind."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, item['loc']))}: {'missing' if item['type'] == 'missing' else item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise Unfit("; ".join(faults)) from None


def json_object(text: str, content_type: bytes) -> dict[str, Any]:
    """The JSON object in a body, {} for a form without one. Raises Unfit for JSON that is none."""
    try:
        if content_type.startswith(b"application/json") or text.startswith("{"):
            value = msgspec.json.decode(text)
        elif (payload := parse_qs(text).get("payload")) is not None:
            value = msgspec.json.decode(payload[0])
        else:
            return {}
    except (msgspec.MsgspecError, RecursionError):
        raise Unfit("the body is not JSON") from None
    if not isinstance(value, dict):
        raise Unfit("the body is not a JSON object")
    return value
