"""Deployments that a provider of ours carries out: they begin here, and what they report goes to GitHub.

It comes back from there as every status does, so that GitHub is the record of these too.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploys import states
from bot.deploys.errors import PersonError, TryLater
from bot.deploys.events import Deployment
from bot.deploys.model import Deploy
from bot.service.core import Core
from bot.store import records, runs
from bot.store.runs import Report, Run

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

DESCRIPTION = 140  # characters; GitHub's limit
UNREPORTED = timedelta(hours=1)  # after that long without GitHub nobody waits for a status any more
WINDING_UP = timedelta(minutes=2)  # after the deadline: for what a provider ends, and for GitHub to tell of it


class Running(Core):
    """The verb `report`, and what other verbs begin a run with.

    `public_url` is where this bot is reached from outside, '' when that is not known.
    """

    public_url = ""

    def _begin_run(self, connection: sa.Connection, deploy: Deploy, told: Deployment) -> None:
        """The deployment is carried out by its environment's provider, if that has one. Its row is held.

        Once for each deployment, however often and by whichever way it is told of.
        """
        app = self.config.apps.get(deploy.app)
        environment = app.place(deploy.environment) if app else None
        # What asks this bot whether it may go is carried out by the workflow that asks, and what a workflow's job has
        # made for itself by that job: to run anything for it would make the next one.
        if environment is None or environment.provider is None or deploy.final or deploy.protected or told.by_run_on:
            return
        now = self._clock.now()
        values: dict[str, Any] = {
            "deploy": deploy.number,
            "app": deploy.app,
            "environment": deploy.environment,
            "repository": deploy.repository,
            "deployment_id": told.id,
            "creator": told.creator,
            "payload": told.payload,
            "deadline_at": deploy.deadline_at or told.created_at + environment.timeout,
        }
        run = runs.begin(connection, values, self.public_url, now)
        if run is not None:
            runs.report(connection, run, states.QUEUED, "", now)

    def report(self, number: int) -> None:
        """Writes the statuses at GitHub that a run has left, in order.

        One that GitHub was asked for before is looked for first. Raises TryLater while GitHub can't be asked or
        refuses; after an hour the deploy's thread says that it could not be told.
        """
        while True:
            with self._store.read() as connection:
                run = runs.find(connection, number)
                waiting = runs.unsettled(connection, number)
            if run is None or not waiting:
                return
            self._write(run, waiting)

    def _write(self, run: Run, waiting: list[Report]) -> None:
        """Writes the first of them that no later one stands for."""
        first = waiting[0]
        now = self._clock.now()
        if len(waiting) > 1 and waiting[1].state == first.state and first.tried_at is None:
            with self._store.write() as connection:
                runs.settle(connection, first, None, now)
            return
        with self._store.write() as connection:
            # Cancelled: GitHub is told that by the verb `stop`. What was live by then is live, though.
            if first.state != states.SUCCESS and runs.look(connection, run)[1]:
                runs.settle(connection, first, None, now)
                return
            deploy = records.deploy(connection, run.deploy)
            assert deploy is not None
            if deploy.final and first.state not in states.FINAL:  # others said how it ended, and that stays
                runs.settle(connection, first, None, now)
                return
            runs.trying(connection, first, now)
            newest = runs.newest_status(connection, run.id)
        try:
            status = self._written(run, first, newest) if first.tried_at is not None else None
            if status is None:
                status = self._github.write_status(
                    run.repository,
                    run.deployment_id,
                    first.state,
                    first.description,
                    log_url=first.log_url,
                    environment_url=first.environment_url,
                    auto_inactive=deploy.whole,  # a part of it, or another task, leaves what is live as it is
                )
        except (PersonError, TryLater) as error:
            self._not_written(run, first, error)
            return
        with self._store.write() as connection:
            runs.settle(connection, first, status, self._clock.now())
            if first.state != states.SUCCESS and runs.look(connection, run)[1]:  # `inactive` must be the last word
                self._stop(connection, run.deploy)

    def _written(self, run: Run, report: Report, newest: int) -> int | None:
        """GitHub's id of a status whose answer was lost, if it is there."""
        for status in self._github.statuses(run.repository, run.deployment_id):
            same = (status.state, status.description, status.log_url) == (
                report.state,
                _cut(report.description),
                report.log_url,
            )
            if status.id > newest and same:
                return status.id
        return None

    def _not_written(self, run: Run, report: Report, error: PersonError | TryLater) -> None:
        if self._clock.now() - report.at < UNREPORTED:
            if isinstance(error, TryLater):
                raise error
            raise TryLater(repr(error)) from error  # a permission may be given
        log.error("not_reported", state=report.state, reason=repr(error))
        with self._store.write() as connection:
            deploy = self._locked(connection, run.deploy)
            now = self._clock.now()
            runs.settle(connection, report, None, now)
            key = f"not reported:{report.id}"
            records.add_step(
                connection, run.deploy, "problem", key, now, state="not_reported", description=report.state
            )
            self._refresh(connection, deploy)


def _cut(description: str) -> str:
    return description if len(description) <= DESCRIPTION else description[: DESCRIPTION - 1] + "…"
