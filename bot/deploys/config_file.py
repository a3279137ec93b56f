"""Reads the config file. Every fault in it is named at once, with its path and its line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bot.deploys.config import App, Config, Environment, Previews
from bot.deploys.config_parts import LOGIN, NAME, PATH, PREVIEW, REPOSITORY, ROOM, TASK, USER, WHO
from bot.deploys.nearest import nearest


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


class Loader(yaml.SafeLoader):
    """YAML in which `on` is a word and `18:00` no number, as it is since version 1.2, only `true` and `false` are
    truths, and a date is text, as it is in the JSON that payloads become."""


Loader.yaml_implicit_resolvers = {
    letter: [
        (tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp", ":int", ":float"))
    ]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
# https://yaml.org/spec/1.2.2/#103-core-schema
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$|^0o[0-7]+$|^0x[0-9a-fA-F]+$"), list("-+0123456789")
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?$|^[-+]?[0-9]+[eE][-+]?[0-9]+$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


MOST = 1_000_000  # entries; a few lines of aliases of aliases would come to billions


def read_config(text: str) -> Config:
    """Config from YAML text; raises ConfigError with every fault, its path and its line."""
    try:
        return _read(text)
    except RecursionError:  # an alias inside what it stands for
        raise ConfigError([Fault("", "something in it holds itself, or is nested without end")]) from None


@contextlib.contextmanager
def not_yaml() -> Iterator[None]:
    """What YAML can't be read for comes out as a ConfigError."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ConfigError([Fault("", f"not YAML: {error.problem}", mark.line + 1 if mark else 0)]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError([Fault("", f"not YAML: {' '.join(str(error).split())}")]) from None


def composed(text: str) -> tuple[yaml.Node | None, Any]:
    """What YAML text says, as nodes that know their lines and as values."""
    return yaml.compose(text, Loader=Loader), yaml.load(text, Loader=Loader)  # noqa: S506 - Loader is a SafeLoader


def _read(text: str) -> Config:
    with not_yaml():
        node, raw = composed(text)
    if _entries(node, {}) > MOST:
        raise ConfigError([Fault("", f"holds more than {MOST:,} entries once its aliases are written out")])
    faults = [Fault(path, "is there twice", line) for path, line in repeated_keys(node, ())]
    try:
        config = Config.model_validate(raw if raw is not None else {})
    except ValidationError as error:
        lines = dict(lines_of(node, ()))
        faults += [fault_of(item, lines) for item in error.errors()]
        raise ConfigError(sorted(faults, key=lambda fault: fault.line)) from None
    faults += list(_contradictions(config, dict(lines_of(node, ()))))
    if faults:
        raise ConfigError(faults)
    return config


def _entries(node: yaml.Node | None, known: dict[int, int]) -> int:
    """How many there are below a node, those behind an alias counted each time. `known` are those counted before."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        inner = [one for entry in node.value for one in (entry if isinstance(entry, tuple) else (entry,))]
        known[id(node)] = 1 + sum(_entries(one, known) for one in inner)
    return known[id(node)]


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
        yield from contradictions_in(app, ("apps", name), lines)
    folded: dict[str, str] = {}
    for name in config.apps:
        if (first := folded.setdefault(name.casefold(), name)) != name:
            line = lines.get(("apps", name), 0)
            yield Fault(f"apps.{name}", f"differs from {first} only in case", line)
    yield from _of_schedules(config, lines)


def _of_schedules(config: Config, lines: dict[tuple[str, ...], int]) -> Iterator[Fault]:
    """Each asks for something there is, and has a room that it is shown in."""
    seen: dict[str, int] = {}
    for number, schedule in enumerate(config.schedules):
        place = ("schedules", str(number))
        app = config.apps.get(schedule.app)
        if (first := seen.setdefault(schedule.key, number)) != number:
            yield Fault(".".join(place), f"is the same as schedules.{first}", lines.get(place, 0))
        if app is None or schedule.environment not in app.environments:
            inner, known = (*place, "app" if app is None else "environment"), app.environments if app else config.apps
            name = schedule.environment if app else schedule.app
            near = nearest(name, known)
            hint = f"; did you mean {near[0]}?" if near else ""
            what = f"the app has no environment “{name}”" if app else f"there is no app “{name}”"
            yield Fault(".".join(inner), f"{what}{hint}", lines.get(inner, 0))
        elif not app.shown_in(schedule.environment):
            yield Fault(
                ".".join(place),
                f"nobody would see it: give {schedule.app} `rooms`, or `announce` {schedule.environment} somewhere",
                lines.get(place, 0),
            )


def contradictions_in(app: App, place: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> Iterator[Fault]:
    """The same within one app, whose keys are below `place`."""
    seen: dict[str, str] = {}
    for key, environment in app.environments.items():
        inner = (*place, "environments", key)
        for label in (key, *environment.aliases):
            first = seen.setdefault(label.casefold(), key)
            if first != key:
                yield Fault(".".join(inner), f"“{label}” already means {first}", lines.get(inner, 0))
        yield from _of_environment(app, key, environment, inner, lines)
    yield from _circles(app, place, lines)
    if app.previews is not None:
        yield from _of_previews(app, app.previews, seen, (*place, "previews"), lines)


def _of_environment(
    app: App, key: str, environment: Environment, place: tuple[str, ...], lines: dict[tuple[str, ...], int]
) -> Iterator[Fault]:
    for name in environment.after:
        if name not in app.environments:
            inner = (*place, "after")
            near = nearest(name, app.environments)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield Fault(".".join(inner), f"the app has no environment “{name}”{hint}", lines.get(inner, 0))
    source = environment.promote_from
    if source is not None and source not in app.environments:
        inner = (*place, "promote_from")
        near = nearest(source, app.environments)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield Fault(".".join(inner), f"the app has no environment “{source}”{hint}", lines.get(inner, 0))
    if environment.auto_deploy:
        inner = (*place, "auto_deploy")
        if not app.rooms and not any(item.covers(key) for item in app.announce):
            words = "nobody would see what it starts: give the app rooms, or announce the environment"
            yield Fault(".".join(inner), words, lines.get(inner, 0))
        if environment.required_contexts == () and any(rule.on == "green" for rule in environment.auto_deploy):
            words = "`green` waits for checks, and required_contexts is []: there are none to wait for"
            yield Fault(".".join(inner), words, lines.get(inner, 0))
    approvals = environment.approvals
    if approvals is not None and approvals.approvers:
        people = {who for who in approvals.approvers if re.match(USER, who)}
        if people == set(approvals.approvers) and len(people) < approvals.required:
            inner = (*place, "approvals", "required")
            yield Fault(
                ".".join(inner),
                f"asks for {approvals.required} approvals, and only {len(people)} may give one",
                lines.get(inner, 0) or lines.get(inner[:-1], 0),
            )


def _of_previews(
    app: App, previews: Previews, labels: dict[str, str], place: tuple[str, ...], lines: dict[tuple[str, ...], int]
) -> Iterator[Fault]:
    for label in labels:
        if (pull := previews.pull(label)) is not None:
            inner = (*place, "environment")
            yield Fault(
                ".".join(inner),
                f"“{label}” would be the preview of pull request {pull}, and is an environment of its own",
                lines.get(inner, 0) or lines.get(place, 0),
            )
    if not app.rooms and not any(item.covers(previews.name(1)) for item in app.announce):
        yield Fault(".".join(place), "are shown nowhere: name a room under rooms or announce", lines.get(place, 0))


def _circles(app: App, place: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> Iterator[Fault]:
    """Environments that wait for one another, so that none could ever be the first, or promote to one another without
    end."""
    for key in app.environments:
        path, name = [key], app.environments[key].promote_from
        while name is not None and name in app.environments and name not in path[1:]:
            if name == key:
                inner = (*place, "environments", key, "promote_from")
                yield Fault(".".join(inner), f"goes in a circle: {' from '.join([*path, key])}", lines.get(inner, 0))
                break
            path.append(name)
            name = app.environments[name].promote_from
    for key in app.environments:
        path = [key]
        waiting = [(path, name) for name in app.environments[key].after]
        seen: set[str] = set()
        while waiting:
            path, name = waiting.pop()
            if name == key:
                inner = (*place, "environments", key, "after")
                yield Fault(".".join(inner), f"goes in a circle: {' after '.join([*path, key])}", lines.get(inner, 0))
                break
            if name in app.environments and name not in seen:
                seen.add(name)
                waiting += [([*path, name], further) for further in app.environments[name].after]


def fault_of(error: ErrorDetails, lines: dict[tuple[str, ...], int]) -> Fault:
    """What pydantic found, in our words, with the line of the key or of the nearest one around it."""
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
    "int_type": "must be a whole number",
}
_PATTERNS = {
    PREVIEW: "must be a name with {number} in it, such as pr-{number}",
    NAME: "must be a name of letters, digits and ._{}- that starts with a letter or digit",
    ROOM: "must be the id of a Slack conversation, such as C0123ABCD (at the bottom of its details in Slack)",
    REPOSITORY: "must be a repository, such as acme/web",
    PATH: "must be the path of a file within the repository, such as .github/shipbot.yml",
    USER: "must be the id of a Slack user, such as U0123ABCD (in their profile, under ⋮)",
    WHO: "must be a Slack user (U0123ABCD), a usergroup (S0123ABCD) or a GitHub team (@acme/release)",
    LOGIN: "must be a login at GitHub, such as octocat",
    TASK: "must be one word of letters, digits and . : _ -, such as migrations",
}


def lines_of(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every key below `path` with its line."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from lines_of(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            inner = (*path, str(index))
            yield inner, value.start_mark.line + 1
            yield from lines_of(value, inner)


def repeated_keys(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """YAML lets the last of two equal keys win; in a config that is a slip nobody would see."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            inner = (*path, str(key.value))
            if key.value in seen:
                yield ".".join(inner), key.start_mark.line + 1
            seen.add(key.value)
            yield from repeated_keys(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from repeated_keys(value, (*path, str(index)))
