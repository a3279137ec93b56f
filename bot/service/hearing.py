"""Taking in what GitHub tells, on the one road that every status takes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploys import states
from bot.deploys.config import App
from bot.deploys.errors import PersonError, TryLater
from bot.deploys.events import (
    ChecksChanged,
    Deployment,
    DeploymentCreated,
    Event,
    Pinged,
    ProtectionAsked,
    PullRequestChanged,
    Pushed,
    ReviewChanged,
    Status,
    StatusReported,
)
from bot.deploys.model import ELSEWHERE, GREEN, PROMOTION, ROLLBACK, Deploy
from bot.service.automating import Automating
from bot.service.configuring import Configuring
from bot.service.core import LOOK_AGAIN, PAST, PROMOTE
from bot.service.protecting import DEPLOYMENT, Protecting, carries_out, source_of
from bot.service.reviewing import Reviewing
from bot.store import gates, jobs, records, runs

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

SOON = timedelta(minutes=1)  # in which GitHub may tell of a deployment that it does not find yet
PAST_DEPLOYMENTS = 50  # of each repository, read once so that a new bot knows what is live


class Hearing(Protecting, Reviewing, Automating, Configuring):
    """The verbs `on_event`, `read_past` and `start`."""

    def on_event(self, event: Event) -> Deploy | None:
        """Takes in what GitHub tells; returns the deploy it is about, None when it is about none of ours."""
        match event:
            case Pinged():
                with self._store.write() as connection:
                    records.remember(connection, f"ping:{event.hooked}", event.zen, self._clock.now())
                return None
            case ChecksChanged(repository, sha):
                with self._store.read() as connection:  # most commits are nobody's, and need no turn at writing
                    waiting = gates.held(connection, repository=repository, sha=sha)
                    late = records.expired(connection, repository, sha, cause=GREEN)
                if waiting:
                    with self._store.write() as connection:
                        for deploy in waiting:
                            self._decide_soon(connection, deploy.number)
                self._checks_of_expired(late)
                return None
            case Pushed():
                self._file_pushed(event)
                self._heard_push(event)
                return None
            case PullRequestChanged(pull):
                if pull.merged and event.action == "closed":  # it may still get a label years later
                    self._heard_merge(pull)
                return None
            case ProtectionAsked():
                return self._protect(event)
            case ReviewChanged():
                self._heard_review(event)
                return None
            case DeploymentCreated(deployment):
                told = self._as_github_says(deployment)
                return self._take_in(told, (), announce=True) if told is not None else None
            case StatusReported(deployment, status):
                return self._take_in(deployment, (status,), announce=True)

    def _as_github_says(self, told: Deployment) -> Deployment | None:
        """The deployment by GitHub's own record, where a provider of ours would carry it out; None when there is none.

        A webhook is as good as the secret that signs it, and what is run must not hang on that alone.
        """
        name = self.config.apps_for(told.repository, told.environment, str(told.payload.get("name", "")))
        environment = self.config.apps[name].place(told.environment) if name else None
        if environment is None or environment.provider is None:
            return told
        found = self._github.deployment(told.repository, told.id)
        if found is None:
            if abs(self._clock.now() - told.created_at) < SOON:
                raise TryLater  # it may not be seen everywhere yet
            log.warning("deployment_unknown_to_github", repository=told.repository, deployment=told.id)
            return None
        return replace(found, by_run_on=told.by_run_on)  # which webhooks alone tell; it only keeps from running

    def read_past(self, repository: str) -> None:
        """Reads what was deployed before this bot came, once for each repository, without telling rooms.

        A repository that GitHub does not let us read is left for the next start; `check` says what it lacks.
        """
        fact = f"past:{repository}"
        with self._store.read() as connection:
            if records.fact(connection, fact) is not None:
                return
        try:
            past = list(self._github.past_deployments(repository, PAST_DEPLOYMENTS))
        except PersonError:
            return
        for deployment, statuses in reversed(past):
            self._take_in(deployment, sorted(statuses, key=lambda status: status.id), announce=False)
        with self._store.write() as connection:
            first = records.fact_at(connection, f"first:{repository}")
            # From when on what GitHub tells is meant for this bot, however long the reading took.
            records.remember(connection, fact, len(past), first[1] if first is not None else self._clock.now())

    def start(self) -> None:
        """Leaves the jobs that a start calls for."""
        now = self._clock.now()
        with self._store.write() as connection:
            for repository in {app.repository for app in self.config.apps.values()}:
                if records.fact(connection, f"past:{repository}") is None:
                    if records.fact(connection, f"first:{repository}") is None:
                        records.remember(connection, f"first:{repository}", True, now)
                    job = jobs.new_job(
                        PAST,
                        {"repository": repository},
                        subject=f"past:{repository}",
                        priority=jobs.BACKGROUND,
                    )
                    jobs.add(connection, job, now)
            self._read_files(connection, [name for name, app in self.config.apps.items() if app.config is not None])
            for deploy in gates.held(connection):  # the config may be another one now
                self._decide_soon(connection, deploy.number)

    def _take_in(self, told: Deployment, statuses: Sequence[Status], *, announce: bool) -> Deploy | None:
        app = self.config.apps_for(told.repository, told.environment, str(told.payload.get("name", "")))
        with self._store.write() as connection:
            deploy = self._find(connection, told)
            if deploy is not None:
                # What ends frees the place for the next in line, so the place comes first, as it does everywhere.
                if deploy.ours:
                    gates.claim(connection, [(deploy.app, deploy.environment)])
                deploy = self._locked(connection, deploy.number)
                if deploy.deployment_id not in (None, told.id):  # another one was quicker with that id of ours
                    deploy = None
            past = deploy is not None and self._went_past(connection, deploy, statuses)
            if deploy is None or past:
                if app is None or (deploy is None and self._carries_out_another(connection, told, app)):
                    return None
                deploy = self._adopt(connection, told, app, past=past)
                if not any(states.is_final(status.state) for status in statuses):
                    self._look_at(connection, deploy.number, self._clock.now() + LOOK_AGAIN)
            if deploy.deployment_id is None:
                self._is_made(connection, deploy, told, sha=told.sha)
                deploy = self._locked(connection, deploy.number)
            if announce and not statuses:
                self._begin_run(connection, deploy, told)
            for status in statuses:
                deploy = self._report(connection, deploy, status)
            if announce:
                self._announce(connection, deploy)
                self._refresh(connection, deploy)
            return deploy

    def _hear(self, connection: sa.Connection, deploy: Deploy, statuses: Sequence[Status]) -> None:
        """Takes in statuses of a deploy whose deployment is known, the oldest first."""
        if deploy.ours:
            gates.claim(connection, [(deploy.app, deploy.environment)])
        deploy = self._locked(connection, deploy.number)
        for status in statuses:
            deploy = self._report(connection, deploy, status)
        self._announce(connection, deploy)
        self._refresh(connection, deploy)

    def _find(self, connection: sa.Connection, told: Deployment) -> Deploy | None:
        repository = self._spelling(told.repository)
        deploy = records.deploy_by_deployment(connection, repository, told.id)
        if deploy is not None or not told.our_id:
            return deploy
        # Whoever may write to the repository can copy an id into a payload: it counts only for the deploy
        # that asked for just this, and only until GitHub's own id is known. Its answer may have told that id since
        # the line above.
        deploy = records.deploy_by_id(connection, told.our_id)
        if (
            deploy is not None
            and deploy.deployment_id in (None, told.id)
            and (deploy.state != states.HELD or deploy.sent_at is not None)  # else GitHub was never asked
            and deploy.repository == repository
            and deploy.environment == told.environment
            and deploy.task == told.task
            and (deploy.auto_merge or deploy.sha == told.sha)
        ):
            return deploy
        return None

    def _carries_out_another(self, connection: sa.Connection, told: Deployment, app: str) -> bool:
        """Whether GitHub made it for a job's `environment` in a run that carries out a deployment there: it is no other
        deploy."""
        if not carries_out(told.by_run_on, self.config.apps[app].place(told.environment)):
            return False
        others = records.of_commit(connection, told.repository, told.environment, told.sha)
        return any(
            other.deployment_id not in (None, told.id)
            and other.created_at is not None
            and other.created_at <= told.created_at <= (other.finished_at or told.created_at)
            and (told.by_run_on == DEPLOYMENT or runs.of_deploy(connection, other.number) is not None)
            for other in others
        )

    def _adopt(self, connection: sa.Connection, told: Deployment, app: str, *, past: bool) -> Deploy:
        """A deployment that somebody made without this bot gets a number and a timeline too.

        `past`: it is one that this bot had said no to.
        """
        repository = self._spelling(told.repository)
        source = source_of(repository, told.id) + (":past" if past else "")
        deploy = records.add_deploy(
            connection,
            source,
            {
                "id": str(uuid.uuid4()),
                "origin": ELSEWHERE,
                "app": app,
                "repository": repository,
                "environment": told.environment,
                "ref": told.ref,
                "sha": told.sha,
                "task": told.task,
                "reason": told.description,
                "user_name": told.creator,
                "state": states.CREATED,
                "asked_at": told.created_at,
                "created_at": told.created_at,
                "deployment_id": told.id,
            },
        )
        # Another worker's: held like every deploy that is found, since its state may be changed next.
        deploy = deploy or records.deploy_by_source(connection, source, lock=True)
        assert deploy is not None
        return deploy

    def _report(self, connection: sa.Connection, deploy: Deploy, status: Status) -> Deploy:
        newer = status.id > deploy.last_status_id
        fresh = records.add_step(
            connection,
            deploy.number,
            "status",
            str(status.id),
            status.created_at,
            state=status.state,
            actor=status.creator,
            description=status.description,
            log_url=status.log_url,
            environment_url=status.environment_url,
            late=deploy.final or not (newer or states.is_final(status.state)),
        )
        if not fresh:
            return deploy
        state = states.advance(deploy.state, status.state, newer=newer)
        if deploy.protected and deploy.state in (states.HELD, states.ASKED):
            state = self._meanwhile(connection, deploy, state)
        values: dict[str, Any] = {"last_status_id": max(status.id, deploy.last_status_id)}
        if state != deploy.state:
            ended = status.created_at if states.is_final(state) else None
            values |= {"state": state, "problem": None, "finished_at": ended}
            self._reached(deploy.app, deploy.environment, state)
            if deploy.state == states.LOST and ended is None:  # it was only late: it has as long again
                values["deadline_at"] = self._clock.now() + self._timeout(deploy)
                self._watch(connection, deploy.number, values["deadline_at"])
        if deploy.final and newer and status.state == states.INACTIVE:
            values["inactive_at"] = status.created_at
        if not deploy.final and (newer or states.is_final(state)):
            values["description"] = status.description
        for name in ("log_url", "environment_url"):
            value = getattr(status, name)
            if value and (newer or not getattr(deploy, name)):
                values[name] = value
        records.update_deploy(connection, deploy.number, **values)
        if state != deploy.state and states.is_final(state):
            self._ended(connection, deploy, state)
        return self._locked(connection, deploy.number)

    def _ended(self, connection: sa.Connection, deploy: Deploy, state: str) -> None:
        """GitHub says that it is over: the next in line gets a turn, and whoever waits for it to be live here
        learns whether it is."""
        if deploy.ours:
            self._free(connection, deploy)
        if state == states.SUCCESS and deploy.cause == ROLLBACK and deploy.of is not None:
            records.update_deploy(connection, deploy.of, undone_by=deploy.number)
            undone = records.deploy(connection, deploy.of)
            if undone is not None:
                self._refresh(connection, undone)
            for other in gates.held(connection, places=self.config.places(deploy.app)):
                if (other.cause, other.of) == (PROMOTION, deploy.of):
                    self._refresh(connection, other)  # who is to approve it should know
        app = self.config.apps.get(deploy.app)
        if app is None:
            return
        if state == states.SUCCESS:
            if deploy.whole and self._is_newest(connection, deploy):
                self._promote(connection, deploy, app)
            for other in records.successes(connection, deploy.app, deploy.environment, limit=2):
                if other.number != deploy.number:
                    self._refresh(connection, other)  # it is not what is live any more
        after = [
            (deploy.app, name)
            for name, environment in app.environments.items()
            if deploy.environment in environment.after
        ]
        self._decide_places(connection, after)

    def _is_newest(self, connection: sa.Connection, deploy: Deploy) -> bool:
        """Whether it is what is live now: of successes that are told out of order only that goes on."""
        live = records.live(connection, deploy.app, deploy.environment, whole=True)
        return live is not None and live.number == deploy.number

    def _promote(self, connection: sa.Connection, deploy: Deploy, app: App) -> None:
        """A success here asks for the environments that are promoted from it."""
        for name, environment in app.environments.items():
            if environment.promote_from == deploy.environment and deploy.cause != ROLLBACK:
                data = {"deploy": deploy.number, "environment": name}
                job = jobs.new_job(PROMOTE, data, subject=f"promote:{deploy.number}:{name}")
                jobs.add(connection, job, self._clock.now())
