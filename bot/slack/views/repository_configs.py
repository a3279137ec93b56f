"""The words about the files in which repositories say how their apps are deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.deploys.config import App
from bot.deploys.config_file import Fault
from bot.deploys.model import RepositoryConfig, short
from bot.slack.views.text import Links, code, count, name

MOST = 5  # faults that are shown of one file


def broken(facts: Mapping[str, Any]) -> str:
    """To the app's rooms: the file can't be used, why, and what holds meanwhile."""
    since = f" since {code(short(facts['sha']))}" if facts["sha"] else ""
    good = f"what it said at {code(short(facts['good']))} still holds" if facts["good"] else "only my own config holds"
    head = f":warning: {_file(facts)} is broken{since}. For {name(facts['app'])} {good}."
    return "\n".join([head, *_faults(facts["faults"])])


def mended(facts: Mapping[str, Any]) -> str:
    """To the app's rooms: it is good again."""
    return (
        f":white_check_mark: {_file(facts)} is good again at {code(short(facts['sha']))}, and holds for "
        f"{name(facts['app'])}."
    )


TOLD = {"config_broken": broken, "config_mended": mended}


def lines(app: App, row: RepositoryConfig | None, links: Links) -> list[str]:
    """How an app's file stands, for a listing; nothing for an app without one."""
    if app.config is None:
        return []
    path = code(app.config)
    if row is None or (row.repository, row.path) != (app.repository, app.config):
        return [f"     with {path}, which is not read yet"]
    shown = []
    if row.text is not None:
        shown.append(f"     with {path} as it is at {links.commit(app.repository, row.sha)}")
    if row.broken_blob is not None:
        since = f" since {links.commit(app.repository, row.broken_sha)}" if row.broken_sha else ""
        shown += [f"     :warning: {path} is broken{since}:", *_faults(row.faults)]
    return shown


def _file(facts: Mapping[str, Any]) -> str:
    return code(f"{facts['repository']}:{facts['path']}", 310)


def _faults(faults: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = [f"• {code(str(Fault(**fault)), 300)}" for fault in faults[:MOST]]
    return [*shown, f"• and {count(len(faults) - MOST, 'more fault')}"] if len(faults) > MOST else shown
