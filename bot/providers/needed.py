"""Which environment variables the providers of a config need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from bot.deploys.config import App, Config
from bot.deploys.integrators import ProviderConfig, find
from bot.providers.base import Variable


def needed(config: Config) -> Iterator[tuple[Variable, str]]:
    """Each with the place in the config that asks for it."""
    for name, app in config.apps.items():
        for key, provider in providers(app):
            for variable in find(provider.type).variables(provider):
                yield variable, f"apps.{name}.{key}.provider"


def providers(app: App) -> Iterator[tuple[str, ProviderConfig]]:
    """Those of an app, each with its place below it: `environments.production`, `previews`."""
    for key, environment in app.environments.items():
        if environment.provider is not None:
            yield f"environments.{key}", environment.provider
    if app.previews is not None and app.previews.provider is not None:
        yield "previews", app.previews.provider


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
