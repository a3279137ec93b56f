"""What GitHub's JSON means: webhook bodies and REST answers become events.

Only the keys that are used are read, and what is missing or of another kind raises Malformed.
https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from bot.deploys.events import Deployment, DeploymentCreated, Event, Pinged, Status, StatusReported

LONGEST_NAME = 255  # characters of an environment's name; GitHub's own limit


class Malformed(Exception):
    """The body is not what GitHub sends for that event; the message names the place."""


def _text(value: str | None) -> str:
    """Without NUL, which a database may not keep in a text."""
    return (value or "").replace("\x00", "\ufffd")


def _link(value: str | None) -> str:
    """Only addresses a browser opens: a status may carry anything, and it becomes a button."""
    return value if value and value.startswith(("https://", "http://")) else ""


def _object(value: Any) -> dict[str, Any]:
    """An object, or text that may be JSON: GitHub keeps either as it was sent."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.MsgspecError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # what a database's integer holds


class _User(msgspec.Struct):
    login: str


class _Repository(msgspec.Struct):
    full_name: str


class _Organization(msgspec.Struct):
    login: str


class _Deployment(msgspec.Struct):
    id: Id
    ref: str
    sha: str
    environment: str
    created_at: datetime
    task: str = "deploy"
    payload: Any = None
    creator: _User | None = None
    description: str | None = None

    def event(self, repository: str) -> Deployment:
        return Deployment(
            repository=repository,
            id=self.id,
            ref=_text(self.ref),
            sha=_text(self.sha),
            task=_text(self.task),
            environment=_text(self.environment)[:LONGEST_NAME],
            payload=_object(self.payload),
            creator=_text(self.creator.login) if self.creator else "",
            created_at=self.created_at,
            description=_text(self.description),
        )


class _Status(msgspec.Struct):
    id: Id
    state: Annotated[str, msgspec.Meta(min_length=1)]
    created_at: datetime
    creator: _User | None = None
    description: str | None = None
    log_url: str | None = None
    target_url: str | None = None
    environment_url: str | None = None

    def event(self) -> Status:
        return Status(
            id=self.id,
            state=_text(self.state),
            creator=_text(self.creator.login) if self.creator else "",
            created_at=self.created_at,
            description=_text(self.description),
            log_url=_link(self.log_url) or _link(self.target_url),
            environment_url=_link(self.environment_url),
        )


class _DeploymentEvent(msgspec.Struct):
    deployment: _Deployment
    repository: _Repository


class _StatusEvent(msgspec.Struct):
    deployment: _Deployment
    deployment_status: _Status
    repository: _Repository


class _Ping(msgspec.Struct):
    zen: str = ""
    repository: _Repository | None = None
    organization: _Organization | None = None


_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "deployment": msgspec.json.Decoder(_DeploymentEvent),
    "deployment_status": msgspec.json.Decoder(_StatusEvent),
    "ping": msgspec.json.Decoder(_Ping),
}
EVENTS = frozenset(_DECODERS)  # the others are answered and not stored
_ENCODER = msgspec.json.Encoder()


def essence(event: str, body: bytes) -> str:
    """What is read of a webhook's body, as JSON: a tenth of it, which is all that is worth storing.

    Raises Malformed.
    """
    return _ENCODER.encode(_decoded(event, body)).decode()


def parse_webhook(event: str, body: str | bytes) -> Event:
    """The event in a webhook's JSON body, whole or its essence. Raises Malformed."""
    match _decoded(event, body):
        case _StatusEvent(deployment, status, repository):
            return StatusReported(deployment.event(repository.full_name), status.event())
        case _DeploymentEvent(deployment, repository):
            return DeploymentCreated(deployment.event(repository.full_name))
        case _Ping(zen, repository, organization):
            hooked = repository.full_name if repository else organization.login if organization else ""
            return Pinged(_text(hooked), _text(zen))
    raise Malformed(f"nobody needs the event {event}")


def _decoded(event: str, body: str | bytes) -> Any:
    try:
        return _DECODERS[event].decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # msgspec's words name the place and the kind, never the value.
        raise Malformed(str(error) or type(error).__name__) from None


def parse_deployment(repository: str, value: dict[str, Any]) -> Deployment:
    """A deployment from a REST answer; raises Malformed."""
    try:
        return msgspec.convert(value, _Deployment).event(repository)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None


def parse_status(value: dict[str, Any]) -> Status:
    """A deployment status from a REST answer; raises Malformed."""
    try:
        return msgspec.convert(value, _Status).event()
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None
