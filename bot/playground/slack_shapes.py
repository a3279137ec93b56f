"""Small checks that are put together into the shapes of Block Kit objects.

A check takes a value, where it stands (a JSON pointer) and a `Findings` that it adds what is wrong to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

Check = Callable[[Any, str, "Findings"], None]


@dataclass
class Findings:
    """What is wrong with one message or view, in Slack's manner of telling."""

    surface: str  # "message", "modal" or "home"
    errors: list[str] = field(default_factory=list)
    focused: int = 0  # elements with focus_on_load

    def add(self, pointer: str, problem: str) -> None:
        """Notes a problem of the value at `pointer`."""
        self.errors.append(f"[ERROR] {problem} [json-pointer:{pointer}]")


def string(most: int | None = None, *, least: int = 1) -> Check:
    """A string of `least` to `most` characters."""

    def check(value: Any, pointer: str, findings: Findings) -> None:
        if not isinstance(value, str):
            findings.add(pointer, "must be a string")
        elif len(value) < least:
            findings.add(pointer, f"must be more than {least - 1} characters")
        elif most is not None and len(value) > most:
            findings.add(pointer, f"must be less than {most + 1} characters")

    return check


def matching(pattern: str, meaning: str) -> Check:
    """A string of a certain form; `meaning` says which."""

    def check(value: Any, pointer: str, findings: Findings) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            findings.add(pointer, f"must be {meaning}")

    return check


def url(value: Any, pointer: str, findings: Findings) -> None:
    """A URL of at most 3000 characters with a scheme that Slack opens."""
    string(3000)(value, pointer, findings)
    if isinstance(value, str) and not re.match(r"(https?|mailto|slack|tel)://?\S|mailto:\S|tel:\S", value):
        findings.add(pointer, "must be a valid URL")


def boolean(value: Any, pointer: str, findings: Findings) -> None:
    """True or false."""
    if not isinstance(value, bool):
        findings.add(pointer, "must be a boolean")


def integer(least: int | None = None, most: int | None = None) -> Check:
    """A whole number within bounds, both included."""

    def check(value: Any, pointer: str, findings: Findings) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            findings.add(pointer, "must be an integer")
        elif least is not None and value < least:
            findings.add(pointer, f"must be at least {least}")
        elif most is not None and value > most:
            findings.add(pointer, f"must be at most {most}")

    return check


def one_of(*allowed: str) -> Check:
    """One of the named strings."""

    def check(value: Any, pointer: str, findings: Findings) -> None:
        if value not in allowed:
            findings.add(pointer, f"must be one of: {', '.join(allowed)}")

    return check


def array(item: Check, *, least: int = 1, most: int | None = None) -> Check:
    """A list of `least` to `most` items."""

    def check(value: Any, pointer: str, findings: Findings) -> None:
        if not isinstance(value, list):
            findings.add(pointer, "must be an array")
            return
        if len(value) < least:
            findings.add(pointer, f"no fewer than {least} items allowed")
        if most is not None and len(value) > most:
            findings.add(pointer, f"no more than {most} items allowed")
        for index, entry in enumerate(value):
            item(entry, f"{pointer}/{index}", findings)

    return check


def shape(required: Mapping[str, Check], optional: Mapping[str, Check], *rules: Check) -> Check:
    """An object with these keys and no others. `rules` look at the object as a whole."""
    known = {**required, **optional}

    def check(value: Any, pointer: str, findings: Findings) -> None:
        if not isinstance(value, dict):
            findings.add(pointer, "must be an object")
            return
        for key in required:
            if key not in value:
                findings.add(pointer, f"missing required field: {key}")
        for key, entry in value.items():
            if key in known:
                known[key](entry, f"{pointer}/{key}", findings)
            else:
                findings.add(pointer, f"additional property not allowed: {key}")
        for rule in rules:
            rule(value, pointer, findings)

    return check


def by_type(kinds: Mapping[str, Check], allowed: Collection[str] | None = None) -> Check:
    """An object whose `type` says which shape it has; only the `allowed` types are taken."""

    def check(value: Any, pointer: str, findings: Findings) -> None:
        if not isinstance(value, dict):
            findings.add(pointer, "must be an object")
            return
        kind = value.get("type")
        if not isinstance(kind, str) or kind not in kinds:
            findings.add(f"{pointer}/type", f"unsupported type: {kind}")
        elif allowed is not None and kind not in allowed:
            findings.add(f"{pointer}/type", f"{kind} is not allowed here")
        else:
            kinds[kind](value, pointer, findings)

    return check


def exactly_one(*keys: str) -> Check:
    """A rule: one of these keys is there, and only one."""

    def rule(value: Any, pointer: str, findings: Findings) -> None:
        if sum(key in value for key in keys) != 1:
            findings.add(pointer, f"exactly one of these is required: {', '.join(keys)}")

    return rule


def at_least_one(*keys: str) -> Check:
    """A rule: one of these keys is there, or more."""

    def rule(value: Any, pointer: str, findings: Findings) -> None:
        if not any(key in value for key in keys):
            findings.add(pointer, f"one of these is required: {', '.join(keys)}")

    return rule


def on_surfaces(*surfaces: str) -> Check:
    """A rule: the object stands only on these surfaces."""

    def rule(value: Any, pointer: str, findings: Findings) -> None:
        if findings.surface not in surfaces:
            findings.add(pointer, f"{value.get('type')} is not allowed in a {findings.surface}")

    return rule
