"""What a decision needs to know: asked of Slack and GitHub first, then read within the transaction that decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from bot.deploys import policy
from bot.deploys.config import Config, Environment
from bot.deploys.errors import PersonError, TryLater, problem_of
from bot.deploys.model import GREEN, ROLLBACK, Deploy, Freezing, Person
from bot.deploys.policy import Answer, Checks, Facts
from bot.service.core import Core
from bot.store import gates, records


@dataclass(frozen=True, slots=True)
class Outside:
    """What Slack and GitHub say: who the person is and may do, and what is reported about the commit."""

    asker: Person
    standing: Answer
    override: Answer
    checks: Checks


def _of_github(asker: Person) -> Outside:
    """Nothing is asked about GitHub's own deployment: its gates need none of it."""
    return Outside(asker, Answer(True), Answer(False), Checks())


class Deciding(Core):
    """Gathers facts and decides; the verbs act on what comes out."""

    def _outside(self, environment: Environment, deploy: Deploy, asker: Person) -> Outside:
        """Asks Slack and GitHub what this decision needs of them, and nothing else. No transaction may be open."""
        if deploy.protected:
            return _of_github(asker)
        override = Answer(False)
        if environment.override:
            override = self.people.one_of(asker, environment.override, deploy.repository)
        checks = Checks()
        if not deploy.unchecked and environment.required_contexts != ():
            try:
                checks = Checks(self._github.checks(deploy.repository, deploy.sha))
            except (PersonError, TryLater) as error:
                checks = Checks(problem=problem_of(error))
        if deploy.automatic:  # whoever wrote the rule has said so
            standing = Answer(True, "rule")
        else:
            standing = self.people.may_deploy(asker, environment, deploy.repository)
        return Outside(asker, standing, override, checks)

    def _outside_of(self, deploy: Deploy, environment: Environment) -> Outside:
        with self._store.read() as connection:
            asker = self.people.behind(connection, deploy)
        return self._outside(environment, deploy, asker)

    def _outside_of_github(self, connection: sa.Connection, deploy: Deploy) -> Outside:
        """The same of a deploy that waits at GitHub, which takes no asking."""
        return _of_github(self.people.behind(connection, deploy))

    def _decided(
        self, connection: sa.Connection, deploy: Deploy, environment: Environment, outside: Outside, *, fresh: bool
    ) -> policy.Decision:
        """Decides on a deploy as it is now (or would be, when it is `fresh`). Its place is held."""
        now = self._clock.now()
        app = self.config.apps[deploy.app]
        early = deploy.due_at is not None and now < deploy.due_at
        live, coming = self._before(connection, deploy, environment)
        facts = Facts(
            now=now,
            fresh=fresh,
            environment=environment,
            room=deploy.room,
            rooms=app.rooms,
            asked_at=deploy.asked_at,
            pinned_at=deploy.pinned_at or deploy.asked_at,
            sha=deploy.sha,
            forced=deploy.forced,
            rollback=deploy.cause == ROLLBACK,
            automatic=deploy.automatic,
            protecting=deploy.protected,
            carries_out=deploy.of if deploy.protected else None,
            some_check=deploy.cause == GREEN,
            reason=deploy.reason,
            asker=outside.asker,
            standing=outside.standing,
            override=outside.override,
            locks=self.people.locks_now(connection, gates.locks_over(connection, deploy.app, deploy.environment, now)),
            freezes=freezes_over(connection, self.config, deploy.app, deploy.environment, now),
            checks=outside.checks,
            live=live,
            coming=coming,
            votes=self.people.votes_now(connection, deploy.number) if deploy.number else (),
            ahead=() if early else gates.ahead(connection, deploy),
            due_at=deploy.due_at,
            judged=deploy.judged_at is not None,
            grace=self.config.defaults.grace,
            overtaken=self._overtaken(connection, deploy),
        )
        return policy.decide(facts)

    def _overtaken(self, connection: sa.Connection, deploy: Deploy) -> int | None:
        """The deploy that put this very commit there since this one was asked for, for a later time."""
        if deploy.due_at is None or not deploy.number or not deploy.whole:  # without a number it is being asked for now
            return None
        there = records.live(connection, deploy.app, deploy.environment, whole=True)
        if there is None or there.sha != deploy.sha or there.number == deploy.number:
            return None
        since = there.number > deploy.number or (there.finished_at or there.asked_at) > deploy.asked_at
        return there.number if since else None

    def _before(
        self, connection: sa.Connection, deploy: Deploy, environment: Environment
    ) -> tuple[dict[str, str], frozenset[str]]:
        """What is live, and on its way, in the environments that come before."""
        live: dict[str, str] = {}
        coming: set[str] = set()
        for name in environment.after:
            there = records.live(connection, deploy.app, name, whole=True)
            if there is not None:
                live[name] = there.sha
            if self._coming(connection, deploy, name):
                coming.add(name)
        return live, frozenset(coming)

    def _coming(self, connection: sa.Connection, deploy: Deploy, environment: str) -> bool:
        """Whether its very commit waits for or is on its way to an environment of its app."""
        return any(
            gates.twin(connection, deploy.app, environment, sha=deploy.sha, task="deploy", hosts="", forced=forced)
            for forced in (False, True)
        )


def freezes_over(
    connection: sa.Connection, config: Config, app: str, environment: str, now: datetime
) -> list[Freezing]:
    """The freezes that hold there now: of the config, and of people."""
    return [freezing for freezing in all_freezes(connection, config, now) if freezing.covers(app, environment)]


def all_freezes(connection: sa.Connection, config: Config, now: datetime) -> list[Freezing]:
    """Every freeze that holds now."""
    return [*_configured(config, now), *gates.all_freezes(connection, now)]


def _configured(config: Config, now: datetime) -> Iterable[Freezing]:
    everywhere = [(None, None, freeze) for freeze in config.freezes]
    somewhere = [
        (name, place, freeze)
        for name, app in config.apps.items()
        for place, environment in app.environments.items()
        for freeze in environment.freezes
    ]
    for app_name, place_name, freeze in [*everywhere, *somewhere]:
        span = freeze.window.span(now)
        if span is not None:
            yield Freezing(
                id=None,
                app=app_name,
                environment=place_name,
                name=freeze.name or "",
                reason=freeze.reason or "",
                user_id="",
                user_name="",
                since=span[0],
                until=span[1],
            )
