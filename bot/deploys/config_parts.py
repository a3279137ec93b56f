"""What the config is written in: names, ids, lengths of time, and providers, each held to its form."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SerializeAsAny,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from bot.deploys import integrators
from bot.deploys.cron import parse_cron
from bot.deploys.nearest import nearest
from bot.deploys.times import parse_duration, parse_zone

# Words that start another command, so that `/deploy status web` can mean one thing only.
RESERVED = frozenset(
    "apps approve at because cancel check deploy diff for freeze from help history in lock locks login logout"
    " on promote reject retry rollback schedules stats status subscribe to unfreeze unlock unschedule"
    " unsubscribe until where whoami all".split()
)


def _not_reserved(name: str) -> str:
    if name.casefold() in RESERVED:
        raise ValueError(f"“{name}” is a word of the command language; choose another name")
    return name


NAME = r"^[A-Za-z0-9][A-Za-z0-9._{}-]{0,99}$"
ROOM = r"^[CGD][A-Z0-9]{2,}$"
REPOSITORY = r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$"
PATH = r"^[A-Za-z0-9._][A-Za-z0-9._/-]{0,199}$"
USER = r"^[UW][A-Z0-9]{2,}$"
PREVIEW = r"^(?:[A-Za-z0-9][A-Za-z0-9._-]{0,39})?\{number\}[A-Za-z0-9._-]{0,40}$"
WHO = r"^(?:[UWS][A-Z0-9]{2,}|@[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100})$"
LOGIN = r"^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9])?$"
TASK = r"^[\w.:-]{1,100}$"


def _within(path: str) -> str:
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError("must be the path of a file within the repository, such as .github/shipbot.yml")
    return path


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    return parse_duration(str(value))


def _zone(name: str) -> str:
    return parse_zone(name).key


def _cron(text: str) -> str:
    return parse_cron(text, ZoneInfo("UTC")).text


def lasting(text: str, description: str) -> Any:
    """The field of a length of time, with its default as people write it, in the schema too."""
    return Field(parse_duration(text), description=description, json_schema_extra={"default": text})


Name = Annotated[str, StringConstraints(pattern=NAME), AfterValidator(_not_reserved)]
Room = Annotated[str, StringConstraints(pattern=ROOM)]
Repository = Annotated[str, StringConstraints(pattern=REPOSITORY)]
Path = Annotated[str, StringConstraints(pattern=PATH), AfterValidator(_within)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=250)]
User = Annotated[str, StringConstraints(pattern=USER)]
Who = Annotated[str, StringConstraints(pattern=WHO)]
Login = Annotated[str, StringConstraints(pattern=LOGIN)]
Task = Annotated[str, StringConstraints(pattern=TASK)]
Zone = Annotated[Text, AfterValidator(_zone)]
Crontab = Annotated[Text, AfterValidator(_cron)]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(min|[smhdw]))+$", "examples": ["30m", "4h", "1h30m"]}),
]


class Strict(BaseModel):
    """Unknown keys are refused, and nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _provider(value: Any) -> Any:
    """What stands under `provider`, by the model of the provider that its `type` names."""
    if not isinstance(value, dict):
        return value  # pydantic says what it must be
    name = value.get("type")
    if not isinstance(name, str):
        listed = ", ".join(integrators.names())
        raise PydanticCustomError("provider", "must name its type, one of {known}", {"known": listed})
    try:
        found = integrators.find(name)
    except integrators.NotAProvider as error:
        raise ValueError(f"the provider {name} {error}") from None
    if found is None:
        known = integrators.names()
        near = nearest(name, known)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise PydanticCustomError("provider", "there is no provider “{name}”; {hint}", {"name": name, "hint": hint})
    return found.config.model_validate(value)


class _AnyProvider:
    """For the JSON Schema: one of those that are installed, each with its own keys."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        choices = []
        for name in integrators.names():
            with contextlib.suppress(integrators.NotAProvider):
                choices.append(_inlined(integrators.find(name).config, name))
        return {"oneOf": choices, "title": "Provider"}


def _inlined(model: type[BaseModel], name: str) -> JsonSchemaValue:
    """The model's schema with what it refers to put in its place; it stands inside another one."""
    schema = TypeAdapter(model).json_schema()
    parts = schema.pop("$defs", {})

    def put_in(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return put_in(parts[value["$ref"].rpartition("/")[2]])
            return {key: put_in(item) for key, item in value.items()}
        return [put_in(item) for item in value] if isinstance(value, list) else value

    told: JsonSchemaValue = put_in(schema)
    told["properties"]["type"] = {"const": name, "type": "string"}
    return told


Provider = Annotated[SerializeAsAny[integrators.ProviderConfig], BeforeValidator(_provider), _AnyProvider()]
