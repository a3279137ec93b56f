"""Deploys as listings show them: pages of the past, and how things stand in many places at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from bot.deploys import states
from bot.deploys.model import Listed
from bot.store.records import LIVE, WHOLE
from bot.store.schema import REF_START, THERE, Moment, deploys, previews, ref_start

Place = tuple[str, str]  # an app and its environment
UNDER_WAY = 50  # at most, of one place

_NAMES = Listed.__struct_fields__
_COLUMNS = [deploys.c[name] for name in _NAMES]


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand in one place: what is live, what is on its way by number, what ended last, newest first."""

    live: Listed | None
    under_way: Sequence[Listed]
    recent: Sequence[Listed]


def history(
    connection: sa.Connection,
    app: str,
    *,
    environment: str | None = None,
    ref: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[Listed]:
    """Deploys of an app, newest first; `ref` is a ref's name or the start of a SHA; `before` a number."""
    number = deploys.c.number
    of_app = sa.select(number).where(deploys.c.app == app)
    if environment is not None:
        of_app = of_app.where(deploys.c.environment == environment)
    if before is not None:
        of_app = of_app.where(number < before)
    # The numbers first, of which an index alone knows enough, and each way of naming by an index of its own: asked in
    # one, a database goes back through everything until it has found a page of what may be rare.
    found: sa.Select[tuple[int]] | sa.CompoundSelect[int] = _newest(of_app, limit)
    if ref is not None:
        named = of_app.where(ref_start == ref[:REF_START])
        if len(ref) >= REF_START:  # else its beginning is all of it, and SQLite would rather not use the index for both
            named = named.where(deploys.c.ref == ref)
        found = sa.union_all(sa.select(_newest(named, limit).subquery().c.number), *_by_sha(of_app, ref))
    query = sa.select(*_COLUMNS).where(number.in_(found)).order_by(number.desc()).limit(limit)
    return [_listed(row) for row in connection.execute(query)]


def _newest(numbers: sa.Select[tuple[int]], limit: int) -> sa.Select[tuple[int]]:
    return numbers.order_by(deploys.c.number.desc()).limit(limit)


def _by_sha(numbers: sa.Select[tuple[int]], start: str) -> list[sa.Select[tuple[int]]]:
    """Those of a commit whose SHA starts so; none where that is not how one starts."""
    start = start.lower()
    if len(start) < 7 or not all(letter in "0123456789abcdef" for letter in start):
        return []
    return [numbers.where(deploys.c.sha >= start, deploys.c.sha < f"{start}g")]  # every SHA that goes on sorts between


def standings(
    connection: sa.Connection, places: Sequence[Place], *, since: datetime, live: bool = True, recent: int = 0
) -> dict[Place, Standing]:
    """How things stand in each of those places.

    Under way is what was asked for after `since` and is not over. `live`: whether to look for what is, too. `recent`:
    of how many of the newest deploys those that are over are told.
    """
    wanted = msgspec.json.encode(places).decode()
    values = {"places": wanted, "since": since, "live": int(live), "recent": recent, "under_way": UNDER_WAY}
    found: dict[Place, list[Listed]] = {place: [] for place in places}
    for row in connection.execute(_STANDINGS[connection.dialect.name], values):
        deploy = _listed(row)
        found[deploy.app, deploy.environment].append(deploy)
    return {place: _standing(of_place, since, live=live, recent=recent) for place, of_place in found.items()}


def _standing(found: list[Listed], since: datetime, *, live: bool, recent: int) -> Standing:
    """That of one place, from all that was found there for any reason."""
    found.sort(key=lambda deploy: deploy.number, reverse=True)
    alive = [deploy for deploy in found if deploy.state == states.SUCCESS and deploy.inactive_at is None]
    last = max(alive, key=lambda deploy: (deploy.finished_at or deploy.asked_at, deploy.number), default=None)
    return Standing(
        live=last if live else None,
        under_way=[item for item in reversed(found) if item.finished_at is None and item.asked_at > since],
        recent=[item for item in found[:recent] if item.finished_at is not None],
    )


def previews_up(connection: sa.Connection, apps: Collection[str]) -> dict[str, list[Listed]]:
    """What is live in the previews of each of those apps that has any, the newest of each, by pull request."""
    there = sa.select(previews.c.id).where(previews.c.app.in_(list(apps)), THERE)
    query = sa.select(*_COLUMNS, deploys.c.preview, deploys.c.pull).where(deploys.c.preview.in_(there), *LIVE, *WHOLE)
    rows = connection.execute(query.order_by(deploys.c.finished_at, deploys.c.number))
    live = {row.preview: (row.pull or 0, _listed(row[:-2])) for row in rows}
    found: dict[str, list[Listed]] = {}
    for _, deploy in sorted(live.values(), key=lambda item: item[0]):
        found.setdefault(deploy.app, []).append(deploy)
    return found


def _standings() -> dict[str, sa.TextualSelect]:
    """By dialect, what finds the newest, the live one and what is under way in each of `places`, a JSON text.

    One statement for all of it, since a question for each costs a trip each; and one that stays the same however many
    places there are, since putting it together costs SQLAlchemy as much as asking.
    """
    # States spelt out rather than bound, so that a database sees that a partial index has what is asked for.
    ways = {
        "newest": "TRUE ORDER BY each.number DESC LIMIT :recent",
        "live": f"each.state = '{states.SUCCESS}' AND each.inactive_at IS NULL"
        " ORDER BY each.finished_at DESC, each.number DESC LIMIT :live",
        "begun": "each.finished_at IS NULL AND each.asked_at > :since ORDER BY each.asked_at LIMIT :under_way",
    }
    here = "FROM deploys AS each WHERE each.app = place.value->>0 AND each.environment = place.value->>1"
    numbers = " UNION ".join(
        f"SELECT number FROM (SELECT each.number {here} AND {which}) AS {way}"  # noqa: S608
        for way, which in ways.items()
    )
    texts = {
        "sqlite": f"json_each(:places) AS place JOIN deploys ON deploys.number IN ({numbers})",
        "postgresql": "json_array_elements(CAST(:places AS json)) AS place (value)"
        f" CROSS JOIN LATERAL ({numbers}) AS found JOIN deploys ON deploys.number = found.number",
    }
    names = ", ".join(f'deploys."{name}"' for name in _NAMES)
    since = sa.bindparam("since", type_=Moment)
    return {
        dialect: sa.text(f"SELECT {names} FROM {text}").bindparams(since).columns(*_COLUMNS)  # noqa: S608
        for dialect, text in texts.items()
    }


_STANDINGS = _standings()


def _listed(row: Sequence[Any]) -> Listed:
    return Listed(**dict(zip(_NAMES, row, strict=True)))
