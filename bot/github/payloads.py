"""What GitHub's JSON means: webhook bodies and REST answers become events.

Only the keys that are used are read, and what is missing or of another kind raises Malformed.
https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

from typing import Annotated, Any, get_args

import orjson
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, ValidationError

from bot.deploys.events import Deployment, DeploymentCreated, Event, Pinged, Status, StatusReported


class Malformed(Exception):
    """The body is not what GitHub sends for that event; the message names the places."""


LONGEST_NAME = 255  # characters of an environment's name; GitHub's own limit


def _clean(value: object) -> object:
    """Without NUL, which a database may not keep in a text."""
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def _text(value: object) -> object:
    return "" if value is None else _clean(value)


def _link(value: object) -> object:
    """Only addresses a browser opens: a status may carry anything, and it becomes a button."""
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else ""


def _payload(value: object) -> object:
    """An object, or text that may be JSON: GitHub keeps either as it was sent."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, dict) else {}


Clean = Annotated[str, BeforeValidator(_clean)]
Text = Annotated[str, BeforeValidator(_text)]
Link = Annotated[str, BeforeValidator(_link)]


class _User(BaseModel):
    login: Clean


class _Repository(BaseModel):
    full_name: str


class _Deployment(BaseModel):
    id: int
    ref: Clean
    sha: Clean
    task: Clean = "deploy"
    environment: Clean
    payload: Annotated[dict[str, Any], BeforeValidator(_payload)] = {}
    creator: _User | None = None
    created_at: AwareDatetime
    description: Text = ""

    def event(self, repository: str) -> Deployment:
        return Deployment(
            repository=repository,
            id=self.id,
            ref=self.ref,
            sha=self.sha,
            task=self.task,
            environment=self.environment[:LONGEST_NAME],
            payload=self.payload,
            creator=self.creator.login if self.creator else "",
            created_at=self.created_at,
            description=self.description,
        )


class _Status(BaseModel):
    id: int
    state: Annotated[Clean, Field(min_length=1)]
    creator: _User | None = None
    created_at: AwareDatetime
    description: Text = ""
    log_url: Link = ""
    target_url: Link = ""
    environment_url: Link = ""

    def event(self) -> Status:
        return Status(
            id=self.id,
            state=self.state,
            creator=self.creator.login if self.creator else "",
            created_at=self.created_at,
            description=self.description,
            log_url=self.log_url or self.target_url,
            environment_url=self.environment_url,
        )


class _DeploymentEvent(BaseModel):
    deployment: _Deployment
    repository: _Repository


class _StatusEvent(_DeploymentEvent):
    deployment_status: _Status


class _Organization(BaseModel):
    login: str


class _Ping(BaseModel):
    zen: str = ""
    repository: _Repository | None = None
    organization: _Organization | None = None


_MODELS: dict[str, type[BaseModel]] = {
    "deployment": _DeploymentEvent,
    "deployment_status": _StatusEvent,
    "ping": _Ping,
}
EVENTS = frozenset(_MODELS)  # the others are answered and not stored

_Keys = dict[str, "_Keys | None"]


def _keys(model: type[BaseModel]) -> _Keys:
    """The keys that a model reads, and those of the models in it."""
    keys: _Keys = {}
    for name, field in model.model_fields.items():
        inner = next((kind for kind in (field.annotation, *get_args(field.annotation)) if _is_model(kind)), None)
        keys[name] = _keys(inner) if inner else None
    return keys


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


_KEYS = {event: _keys(model) for event, model in _MODELS.items()}


def essence(event: str, body: dict[str, Any]) -> str:
    """What is read of a webhook's body, as JSON: a tenth of it, which is all that is worth storing.

    What is missing or of another kind stays so; parse_webhook says it.
    """
    return orjson.dumps(_only(body, _KEYS[event])).decode()


def _only(value: dict[str, Any], keys: _Keys) -> dict[str, Any]:
    return {
        key: _only(value[key], inner) if inner and isinstance(value[key], dict) else value[key]
        for key, inner in keys.items()
        if key in value
    }


def parse_webhook(event: str, body: str | bytes) -> Event | None:
    """The event in a webhook's JSON body; None for one that nobody needs. Raises Malformed."""
    try:
        match event:
            case "deployment":
                made = _DeploymentEvent.model_validate_json(body)
                return DeploymentCreated(made.deployment.event(made.repository.full_name))
            case "deployment_status":
                told = _StatusEvent.model_validate_json(body)
                deployment = told.deployment.event(told.repository.full_name)
                return StatusReported(deployment, told.deployment_status.event())
            case "ping":
                ping = _Ping.model_validate_json(body)
                hooked = ping.repository.full_name if ping.repository else ""
                return Pinged(hooked or (ping.organization.login if ping.organization else ""), ping.zen)
    except ValidationError as error:
        raise Malformed(_places(error)) from None
    return None


def parse_deployment(repository: str, value: dict[str, Any]) -> Deployment:
    """A deployment from a REST answer; raises Malformed."""
    try:
        return _Deployment.model_validate(value).event(repository)
    except ValidationError as error:
        raise Malformed(_places(error)) from None


def parse_status(value: dict[str, Any]) -> Status:
    """A deployment status from a REST answer; raises Malformed."""
    try:
        return _Status.model_validate(value).event()
    except ValidationError as error:
        raise Malformed(_places(error)) from None


def _places(error: ValidationError) -> str:
    # The values stay out of it: they are from outside and go to the log.
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['type']}" for item in error.errors())
