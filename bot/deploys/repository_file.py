"""The file in a repository that fills in what the config leaves open about an app.

Whoever may write to the repository may write this file, so it holds only what gives nobody a power: how and when
the app goes out, never who may let it, where it is told of, or with what it is deployed. And anything may stand in
it, so that it is looked at before it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from bot.deploys.config import App, Config, Environment
from bot.deploys.config_file import (
    ConfigError,
    Fault,
    Loader,
    composed,
    contradictions_in,
    fault_of,
    lines_of,
    not_yaml,
    repeated_keys,
)
from bot.deploys.nearest import nearest
from bot.deploys.ports import RepositoryFile

APP_KEYS = frozenset({"default_ref", "environments", "payload"})
ENVIRONMENT_KEYS = frozenset(
    "after aliases auto_deploy freezes max_wait production_environment promote_from required_contexts timeout"
    " transient_environment when_busy when_frozen when_locked when_red".split()
)
# A rule's deploys pass the gate of permission, since whoever wrote the rule has said so.
_RULES = ("auto_deploy", "promote_from")
DEEPEST = 20  # of one thing in another; what is nested without end takes YAML's reader minutes
_HOLDS = "must hold keys and values ({} for none)"
_LACKS = {
    "large": "is larger than 64 KB",
    "text": "is not UTF-8 text",
    "kind": "is no file",
}


def filled_in(app: App, file: RepositoryFile | None) -> App:
    """The app with what its file says where the config says nothing; raises ConfigError with every fault of the file.

    None stands for a file that is not there.
    """
    if file is None:
        raise ConfigError([Fault("", "is not there: add it, or take `config` out of the bot's own config")])
    if file.text is None:
        raise ConfigError([Fault("", _LACKS[file.lack])])
    with not_yaml():
        faults = list(_traps(file.text))
        if faults:
            raise ConfigError(faults)
        node, raw = composed(file.text)
    return _filled_in(app, {} if raw is None else raw, node)


def with_apps(config: Config, apps: Mapping[str, App]) -> Config:
    """The config with those apps in the place of its own of these names."""
    return config.model_copy(update={"apps": {**config.apps, **apps}})


def _filled_in(app: App, raw: Any, node: yaml.Node | None) -> App:
    lines = dict(lines_of(node, ()))
    faults = [Fault(path, "is there twice", line) for path, line in repeated_keys(node, ())]
    faults += [Fault(".".join(path), words, lines.get(path, 1)) for path, words in _not_for_it(app, raw)]
    if not faults:
        try:
            filled = App.model_validate(_merged(app, raw))
        except ValidationError as error:
            faults = [fault_of(item, lines) for item in error.errors()]
        else:
            faults = [*contradictions_in(filled, (), lines), *_past_permission(app, filled, lines)]
    if faults:
        raise ConfigError(sorted(faults, key=lambda fault: fault.line))
    return filled


def _traps(text: str) -> Iterator[Fault]:
    """What would take long to read, or what no JSON takes; each by itself is reason enough to read no further."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):  # a few lines of these stand for more than any memory holds
            yield Fault("", "aliases (`*name`) are not taken here: write it out", line)
            return
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent):
            if any(letter == "\x00" or "\ud800" <= letter <= "\udfff" for letter in event.value):
                yield Fault("", "holds a character that is none", line)
            if event.implicit[0] and event.value.lower().lstrip("+-") in (".inf", ".nan"):
                yield Fault("", f"“{event.value}” is no number here", line)
        if depth > DEEPEST:
            yield Fault("", f"is nested deeper than {DEEPEST} levels", line)
            return


def _not_for_it(app: App, raw: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """The places at which stands what is not to stand in such a file, and why."""
    if not isinstance(raw, dict):
        yield (), _HOLDS
        return
    for key in raw:
        if str(key) not in APP_KEYS:
            yield (str(key),), _no_key(str(key), APP_KEYS, set(App.model_fields))
    for key in ("environments", "payload"):
        if key in raw and not isinstance(raw[key], dict):
            yield (key,), _HOLDS
    environments = raw.get("environments")
    for name, found in environments.items() if isinstance(environments, dict) else ():
        place = ("environments", str(name))
        if name not in app.environments:
            near = nearest(str(name), app.environments)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(app.environments)}"
            yield place, f"the app has no such environment in the bot's own config, and only that can add one; {hint}"
        elif not isinstance(found, dict):
            yield place, _HOLDS
        else:
            for key in found:
                if str(key) not in ENVIRONMENT_KEYS:
                    yield (*place, str(key)), _no_key(str(key), ENVIRONMENT_KEYS, set(Environment.model_fields))


def _past_permission(app: App, filled: App, lines: dict[tuple[str, ...], int]) -> Iterator[Fault]:
    """The rules of the file that would let something into an environment which not everybody may deploy to."""
    for name, own in app.environments.items():
        reached, further = set[str](), [name]
        while further:
            here = further.pop()
            reached.add(here)
            further += [to for to, found in filled.environments.items() if found.promote_from == here]
            further = [to for to in further if to not in reached]  # circles are told of as such
        guarded = [to for to in app.environments if to in reached and _guarded(app.environments[to])]
        for key in _RULES if guarded else ():
            if key not in own.model_fields_set and getattr(filled.environments[name], key):
                place = ("environments", name, key)
                words = (
                    f"would start deploys to {guarded[0]} past its `deployers` and `permission`; only the bot's own "
                    "config can set that"
                )
                yield Fault(".".join(place), words, lines.get(place, 0))


def _guarded(environment: Environment) -> bool:
    return bool(environment.deployers) or environment.permission is not None


def _no_key(key: str, allowed: frozenset[str], known: set[str]) -> str:
    if key in known:
        return "only the bot's own config can set that"
    near = nearest(key, allowed)
    return f"no such key; did you mean {near[0]}?" if near else "no such key"


def _merged(app: App, raw: dict[str, Any]) -> dict[str, Any]:
    """What the config sets, and what the file says beside it: key by key, also within environments and `payload`."""
    own = app.model_dump(exclude_unset=True, by_alias=True)
    environments = {
        name: {**raw.get("environments", {}).get(name, {}), **own["environments"][name]} for name in own["environments"]
    }
    payload = {**raw.get("payload", {}), **own.get("payload", {})}
    return {**raw, **own, "environments": environments, "payload": payload}
