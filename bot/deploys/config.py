"""The config file: which apps there are, where they live and where they may go.

Unknown keys are refused and every fault is named at once, with its path and line, because a deploy bot that
guesses what its config meant is not to be trusted with production.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StringConstraints,
    ValidationError,
)
from pydantic_core import ErrorDetails

from bot.deploys.errors import NoDefaultEnvironment, UnknownApp, UnknownEnvironment, WrongRoom
from bot.deploys.nearest import nearest

# Words that start another command, so that `/deploy status web` can mean one thing only.
RESERVED = frozenset(
    "apps approve at because cancel check deploy diff for freeze from help history in lock locks login logout"
    " on promote reject retry rollback schedules stats status subscribe to unfreeze unlock unschedule"
    " unsubscribe where whoami all".split()
)


def _not_reserved(name: str) -> str:
    if name.casefold() in RESERVED:
        raise ValueError(f"“{name}” is a word of the command language; choose another name")
    return name


NAME = r"^[A-Za-z0-9][A-Za-z0-9._{}-]{0,99}$"
ROOM = r"^[CGD][A-Z0-9]{2,}$"
REPOSITORY = r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$"
Name = Annotated[str, StringConstraints(pattern=NAME), AfterValidator(_not_reserved)]
Room = Annotated[str, StringConstraints(pattern=ROOM)]
Repository = Annotated[str, StringConstraints(pattern=REPOSITORY)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=250)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Announcement(_Strict):
    """A room that hears of an app's deploys wherever they were asked for, also from outside this bot."""

    room: Room
    environments: tuple[Text, ...] = Field((), description="only these; none: every environment")
    on: tuple[Text, ...] = Field((), description="states that start a card there; none: every state")

    def wants(self, environment: str, state: str) -> bool:
        """Whether a deploy to `environment` that has reached `state` is announced."""
        return (not self.environments or environment in self.environments) and (not self.on or state in self.on)


class Environment(_Strict):
    """Somewhere an app can be deployed to."""

    aliases: tuple[Name, ...] = Field((), description="other names that people type")
    required_contexts: tuple[Text, ...] | None = Field(
        None, description="checks GitHub must see green; none given: all that ever reported; []: none"
    )
    auto_merge: StrictBool = Field(False, description="let GitHub merge the default branch into the branch first")
    production_environment: StrictBool | None = Field(
        None, description="end users work with it; none given: true for the one named production"
    )
    transient_environment: StrictBool = Field(False, description="it will be gone some day")


class App(_Strict):
    """A name for one repository and its environments."""

    repository: Repository
    default_ref: Text | None = Field(None, description="none: the repository's default branch")
    rooms: tuple[Room, ...] = Field((), description="where it may be deployed from; none: anywhere")
    announce: tuple[Announcement, ...] = ()
    payload: dict[str, JsonValue] = Field({}, description="handed to deployers under payload.config")
    environments: dict[Name, Environment] = Field(min_length=1)


class Defaults(_Strict):
    environment: Name = Field("production", description="where a deploy goes that names no environment")


class Config(_Strict):
    """The whole file."""

    defaults: Defaults = Defaults()
    apps: dict[Name, App] = Field(min_length=1)

    def app(self, name: str) -> tuple[str, App]:
        """The app of that name (in any case) or full `owner/repo`; raises UnknownApp with what is alike."""
        folded = name.casefold()
        for key, app in self.apps.items():
            if key.casefold() == folded:
                return key, app
        for key, app in self.apps.items():
            if app.repository.casefold() == folded:
                return key, app
        names = [*self.apps, *(app.repository for app in self.apps.values())]
        raise UnknownApp(name, nearest(name, names), list(self.apps))

    def target(self, target: str) -> tuple[str, App, str]:
        """`APP`, `APP/REF`, `APP@REF` and the same with `owner/repo`: the app's name, the app, the ref or ''.

        Raises UnknownApp.
        """
        for separators in (1, 2):  # an app is known by one word, a repository by two
            name, ref = _split_target(target, separators)
            try:
                key, app = self.app(name)
            except UnknownApp as error:
                unknown = error
                continue
            return key, app, ref
        if unknown.name.count("/") and not unknown.near:  # `wbe/topic` is an app with a slip, not owner/repo
            name, _ = _split_target(target, 1)
            self.app(name)
        raise unknown

    def environment(self, app_name: str, name: str | None) -> tuple[str, Environment]:
        """The app's environment of that name or alias (in any case); the default one for None.

        Raises UnknownEnvironment, or NoDefaultEnvironment when none was named.
        """
        environments = self.apps[app_name].environments
        wanted = self.defaults.environment if name is None else name
        folded = wanted.casefold()
        for key, environment in environments.items():
            if folded in (key.casefold(), *(alias.casefold() for alias in environment.aliases)):
                return key, environment
        if name is None:
            if len(environments) == 1:
                return next(iter(environments.items()))
            raise NoDefaultEnvironment(app_name, wanted, list(environments))
        names = [alias for key, item in environments.items() for alias in (key, *item.aliases)]
        raise UnknownEnvironment(app_name, name, nearest(name, names), list(environments))

    def check_room(self, app_name: str, room: str) -> None:
        """Raises WrongRoom where the app names its rooms and this is none of them."""
        rooms = self.apps[app_name].rooms
        if rooms and room not in rooms:
            raise WrongRoom(app_name, rooms)

    def apps_for(self, repository: str, environment: str, name: str = "") -> str | None:
        """The app that a deployment made elsewhere belongs to.

        A repository may hold several apps: the one its payload names comes first, then the first that has
        the environment, then the first of that repository; None when no app is of that repository.
        """
        folded = repository.casefold()
        here = [key for key, app in self.apps.items() if app.repository.casefold() == folded]
        if name in here:
            return name
        having = [key for key in here if environment in self.apps[key].environments]
        return next(iter(having or here), None)


def _split_target(target: str, words: int) -> tuple[str, str]:
    """Cuts the first `words` words off a target: `acme/web@x`, 2 -> (`acme/web`, `x`)."""
    end = 0
    for _ in range(words):
        start = end + 1 if end else 0
        cuts = [place for mark in "/@" if (place := target.find(mark, start)) >= 0]
        if not cuts:
            return target, ""
        end = min(cuts)
        if target[end] == "@":
            break
    return target[:end], target[end + 1 :]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a config file. `line` counts from 1; 0 where there is no place to name."""

    path: str
    message: str
    line: int = 0

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.path + ': ' if self.path else ''}{self.message}"


class ConfigError(Exception):
    """The config can't be used. `faults` names everything that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class _Loader(yaml.SafeLoader):
    """YAML in which `on` is a word, as it is since version 1.2, only `true` and `false` are truths, and a date is
    text, as it is in the JSON that payloads become."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def read_config(text: str) -> Config:
    """Config from YAML text; raises ConfigError with every fault, its path and its line."""
    try:
        return _read(text)
    except RecursionError:  # an alias inside what it stands for
        raise ConfigError([Fault("", "something in it holds itself, or is nested without end")]) from None


def _read(text: str) -> Config:
    try:
        node = yaml.compose(text, Loader=_Loader)
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ConfigError([Fault("", f"not YAML: {error.problem}", mark.line + 1 if mark else 0)]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError([Fault("", f"not YAML: {' '.join(str(error).split())}")]) from None
    faults = [Fault(path, "is there twice", line) for path, line in _repeated_keys(node, ())]
    try:
        config = Config.model_validate(raw if raw is not None else {})
    except ValidationError as error:
        lines = dict(_lines(node, ()))
        faults += [_fault(item, lines) for item in error.errors()]
        raise ConfigError(sorted(faults, key=lambda fault: fault.line)) from None
    faults += list(_contradictions(config, dict(_lines(node, ()))))
    if faults:
        raise ConfigError(faults)
    return config


def load_config(path: Path) -> Config:
    """Config from a file; raises ConfigError, also when it can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Fault("", f"can't be read ({error.strerror}); SHIPBOT_CONFIG says where it is")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Fault("", "is not UTF-8 text")]) from None
    return read_config(text)


def _contradictions(config: Config, lines: dict[tuple[str, ...], int]) -> Iterator[Fault]:
    """What every key allows by itself and the whole does not."""
    for name, app in config.apps.items():
        seen: dict[str, str] = {}
        for key, environment in app.environments.items():
            place = ("apps", name, "environments", key)
            for label in (key, *environment.aliases):
                first = seen.setdefault(label.casefold(), key)
                if first != key:
                    yield Fault(".".join(place), f"“{label}” already means {first}", lines.get(place, 0))
    folded: dict[str, str] = {}
    for name in config.apps:
        if (first := folded.setdefault(name.casefold(), name)) != name:
            line = lines.get(("apps", name), 0)
            yield Fault(f"apps.{name}", f"differs from {first} only in case", line)


def _fault(error: ErrorDetails, lines: dict[tuple[str, ...], int]) -> Fault:
    path = tuple(str(part) for part in error["loc"] if part != "[key]")
    line = 0
    for length in range(len(path), 0, -1):
        if line := lines.get(path[:length], 0):
            break
    words = _WORDS.get(error["type"]) or _PATTERNS.get(error.get("ctx", {}).get("pattern", ""))
    return Fault(".".join(path), words or error["msg"].removeprefix("Value error, "), line)


_WORDS = {
    "bool_type": "must be true or false",
    "dict_type": "must hold keys and values ({} for none)",
    "extra_forbidden": "no such key",
    "missing": "must be given",
    "model_type": "must hold keys and values ({} for none)",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
}
_PATTERNS = {
    NAME: "must be a name of letters, digits and ._{}- that starts with a letter or digit",
    ROOM: "must be the id of a Slack conversation, such as C0123ABCD (at the bottom of its details in Slack)",
    REPOSITORY: "must be a repository, such as acme/web",
}


def _lines(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            inner = (*path, str(index))
            yield inner, value.start_mark.line + 1
            yield from _lines(value, inner)


def _repeated_keys(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """YAML lets the last of two equal keys win; in a config that is a slip nobody would see."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            inner = (*path, str(key.value))
            if key.value in seen:
                yield ".".join(inner), key.start_mark.line + 1
            seen.add(key.value)
            yield from _repeated_keys(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _repeated_keys(value, (*path, str(index)))
