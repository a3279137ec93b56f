"""Which environment variables the providers of a config need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from bot.deploys.config import Config
from bot.deploys.integrators import find
from bot.providers.base import Variable


def needed(config: Config) -> Iterator[tuple[Variable, str]]:
    """Each with the place in the config that asks for it."""
    for name, app in config.apps.items():
        given = {f"environments.{key}": environment.provider for key, environment in app.environments.items()}
        given["previews"] = app.previews.provider if app.previews is not None else None
        for key, provider in given.items():
            if provider is not None:
                for variable in find(provider.type).variables(provider):
                    yield variable, f"apps.{name}.{key}.provider"


def missing(config: Config, variables: Callable[[Iterable[str]], Mapping[str, str]]) -> list[tuple[str, str]]:
    """Those that are required and not set, each once, with the first place that asks for it."""
    places: dict[str, str] = {}
    for variable, place in needed(config):
        if variable.required:
            places.setdefault(variable.name, place)
    given = variables(places)
    return [(name, place) for name, place in places.items() if name not in given]


def secret_names(config: Config) -> list[str]:
    """Those whose values must not be seen."""
    return sorted({variable.name for variable, _ in needed(config) if variable.secret})
