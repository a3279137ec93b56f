"""What the config's key `provider` may name: found by entry point, and imported only when a config names it.

https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

import importlib
from functools import cache
from importlib import metadata
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

GROUP = "shipbot.providers"
# The same as in pyproject.toml, for a checkout that is not installed.
OURS = {
    "actions": "bot.providers.actions:PROVIDER",
    "command": "bot.providers.command:PROVIDER",
    "heroku": "bot.providers.heroku:PROVIDER",
    "http": "bot.providers.http:PROVIDER",
}


class ProviderConfig(BaseModel):
    """What stands under `provider` in the config. A provider adds its own keys; unknown ones are refused.

    `type` is the name that the provider is found by; a subclass may narrow it to a Literal, for the schema.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str


class Integrator(Protocol):
    """As much of a provider as the config needs to know."""

    @property
    def config(self) -> type[ProviderConfig]: ...


class NotAProvider(Exception):
    """What the entry point names can't be used; the message says why."""


def names() -> list[str]:
    """Every provider there is, sorted."""
    return sorted({*OURS, *(entry.name for entry in metadata.entry_points(group=GROUP))})


@cache
def find(name: str) -> Any:
    """The provider of that name; None when there is none. Raises NotAProvider when it can't be imported.

    Ours can't be replaced by a package that takes their name.
    """
    try:
        if name in OURS:
            module, _, attribute = OURS[name].partition(":")
            found = getattr(importlib.import_module(module), attribute)
        else:
            entry = next(iter(metadata.entry_points(group=GROUP, name=name)), None)
            if entry is None:
                return None
            found = entry.load()
    except Exception as error:  # of a package that others wrote
        raise NotAProvider(f"can't be imported ({type(error).__name__}: {error})") from error
    model = getattr(found, "config", None)
    if not (isinstance(model, type) and issubclass(model, ProviderConfig)):
        raise NotAProvider("is no provider: its `config` is not a ProviderConfig")
    return found
