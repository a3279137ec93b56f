"""`python -m bot check`: proves environment, config, database, Slack, GitHub and providers, one line each.

    ok    what works
    warn  what may be meant so, or can't be known
    FAIL  what is wrong: how to mend it

It goes on after a failure, so that one run names everything. It changes nothing anywhere.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from bot.app import github_client, slack_client
from bot.check.github import look_at_github
from bot.check.providers import look_at_providers
from bot.check.report import Report
from bot.check.slack import look_at_slack
from bot.deploys.clock import SystemClock
from bot.deploys.config import Config
from bot.settings import Settings
from bot.store import dead, records, rooms
from bot.store.engine import Store, shown
from bot.store.migrations import HEAD, HERE, current
from bot.store.rooms import Closed


def check(settings: Settings | None, config: Config | None, faults: list[str]) -> int:
    """Looks at everything there is and writes what it finds; 0 when nothing fails, else 1.

    `faults` are what was found wrong with the environment (then `settings` is None) or the config (then
    `config` is None).
    """
    logging.getLogger().addHandler(logging.NullHandler())  # what the SDKs log of a failure, a line here says better
    report = Report(settings.secrets() if settings else [])
    if settings is None:
        for fault in faults:
            report.fail(fault)
        if config is not None:
            report.ok(f"config: names {', '.join(config.apps)}")
        report.warn("database, Slack and GitHub are looked at once the environment is whole")
        return 1
    if config is None or not faults:  # else a provider lacks something
        report.ok("environment: everything that is needed is set")
    for fault in faults:
        report.fail(fault)
    if config is not None:
        report.ok(f"config: {settings.shipbot_config} names {', '.join(config.apps)}")
    pings: dict[str, datetime] = {}
    closed: list[Closed] = []
    with report.part("DATABASE_URL"):
        pings, closed = _database(report, settings)
    clock = SystemClock()
    with report.part("Slack"):
        look_at_slack(report, slack_client(settings, clock), settings, config, closed)
    if config is not None:
        with report.part("GitHub"):
            github = github_client(settings, clock)
            look_at_github(report, github, settings, config, pings)
            look_at_providers(report, github, config)
    return 1 if report.failed else 0


def _database(report: Report, settings: Settings) -> tuple[dict[str, datetime], list[Closed]]:
    """Returns when GitHub pinged a webhook, by the repository or organization that it named; and the rooms that
    could not be written to."""
    url = sa.make_url(settings.database_url)
    named = shown(url)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        directory = Path(url.database).resolve().parent
        if directory.is_dir():
            report.ok(f"database: {named} is not there yet; `serve` makes it")
        else:
            report.fail(f"DATABASE_URL: there is no directory {directory}: make it, or name another place")
        return {}, []
    store = Store(settings.database_url, pool=1)
    try:
        version = current(store)
        if version is None:
            report.ok(f"database: {named} answers and is empty; `serve` makes the tables")
            return {}, []
        if version != HEAD and not list((HERE / "versions").glob(f"{version}_*.py")):
            report.fail(
                f"database: {named} is at version {version}, newer than this program's {HEAD}: run the Shipbot "
                "that made it, or restore a backup"
            )
            return {}, []
        later = "" if version == HEAD else f"; `serve` brings it to {HEAD}"
        report.ok(f"database: {named} answers, at version {version}{later}")
        with store.read() as connection:
            if version == HEAD:
                _dead(report, dead.kinds(connection))
            pings = records.facts_like(connection, "ping:").items()
            return {name.removeprefix("ping:").casefold(): at for name, (_, at) in pings}, rooms.closed(connection)
    except sa.exc.SQLAlchemyError as error:
        why = str(getattr(error, "orig", None) or error).strip()
        report.fail(f"DATABASE_URL: {named} can't be used ({why}): see that it runs, and that user and name are right")
        return {}, []
    finally:
        store.close()


def _dead(report: Report, kinds: dict[str, int]) -> None:
    number = sum(kinds.values())
    if number:
        listed = ", ".join(f"{kind}: {of_it}" for kind, of_it in kinds.items())
        letters = "job has died" if number == 1 else "jobs have died"
        report.warn(
            f"database: {number} {letters} ({listed}): `python -m bot jobs list` says what of, and once that is mended "
            "`python -m bot jobs retry --all` tries again"
        )
