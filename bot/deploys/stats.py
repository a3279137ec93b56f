"""How deploys went, in figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from bot.deploys import states
from bot.deploys.model import ROLLBACK, Listed

FAILED = frozenset({states.FAILURE, states.ERROR, states.LOST})


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one environment of an app: how many deploys it had, and how many of those that came to an end went live,
    failed, or never started; how many took something back, or were forced; `took` is the median time from asking until
    it was live, None where nothing was."""

    app: str
    environment: str
    deploys: int
    live: int
    failed: int
    unstarted: int
    rollbacks: int
    forced: int
    took: timedelta | None


def figures(app: str, environment: str, deploys: Iterable[Listed]) -> Figures:
    """The figures of some deploys to one environment. What was merely told of (another task, some hosts) counts too;
    what is not over yet counts as a deploy alone."""
    found = list(deploys)
    live = [deploy for deploy in found if deploy.state == states.SUCCESS]
    took = [deploy.finished_at - deploy.asked_at for deploy in live if deploy.finished_at is not None]
    return Figures(
        app=app,
        environment=environment,
        deploys=len(found),
        live=len(live),
        failed=sum(deploy.state in FAILED for deploy in found),
        unstarted=sum(deploy.final and deploy.created_at is None for deploy in found),
        rollbacks=sum(deploy.cause == ROLLBACK for deploy in found),
        forced=sum(deploy.forced for deploy in found),
        took=timedelta(seconds=median(max(each, timedelta()).total_seconds() for each in took)) if took else None,
    )
