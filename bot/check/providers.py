"""What the check looks at of providers: whether what carries deployments out is there and lets itself be asked."""

from __future__ import annotations

from bot.check.github import github_says
from bot.check.report import Report, later
from bot.deploys.config import Config
from bot.deploys.errors import PersonError, TokenRefused, TryLater
from bot.deploys.integrators import ProviderConfig, find
from bot.github.client import GitHubClient
from bot.providers.base import Fault, Trial
from bot.providers.needed import providers
from bot.settings import variables


def look_at_providers(report: Report, github: GitHubClient, config: Config) -> None:
    """One line for each that can be tried, with where it is for. A variable that is missing was told before."""
    for repository, provider, places in _providers(config):
        found = find(provider.type)
        if not hasattr(found, "prove"):
            continue
        named = found.variables(provider)
        given = variables(variable.name for variable in named)
        if any(variable.required and variable.name not in given for variable in named):
            continue
        report.hide([given[variable.name] for variable in named if variable.secret and variable.name in given])
        what = f"{provider.type} for {', '.join(places)}"
        with report.part(what):
            try:
                report.ok(f"{what}: {found.prove(provider, Trial(repository, github.repository(repository), given))}")
            except Fault as fault:
                report.fail(f"{what}: {str(fault).rstrip('.')}")
            except TokenRefused:
                pass  # which was told before
            except PersonError as error:
                report.fail(f"{what}: {github_says(error)}")
            except TryLater as error:
                report.fail(f"{what}: {later(error)}: check again later")


def _providers(config: Config) -> list[tuple[str, ProviderConfig, list[str]]]:
    """Each once for a repository, with where it is for: `web in production`."""
    found: list[tuple[str, ProviderConfig, list[str]]] = []
    for name, app in config.apps.items():
        for place, provider in providers(app):
            known = next((one for one in found if one[:2] == (app.repository, provider)), None)
            if known is None:
                found.append(known := (app.repository, provider, []))
            known[2].append(f"{name} in {place.removeprefix('environments.')}")
    return found
