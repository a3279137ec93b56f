"""GitHub's own gates: runs of GitHub Actions that wait there until this bot lets them into an environment.

The deployment is GitHub's. It becomes a deploy of ours while it waits, with the gates of `policy.PROTECTING`, and
what comes of that is told to GitHub, once, by a job.

https://docs.github.com/en/actions/how-tos/deploy/configure-and-manage-deployments/create-custom-protection-rules
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploys import policy, states
from bot.deploys.config import Environment
from bot.deploys.errors import PersonError, RequestRefused, TryLater, problem_of
from bot.deploys.events import ProtectionAsked, Status
from bot.deploys.model import PROTECTED, Deploy
from bot.deploys.policy import CLEAR, WAITING, Finding
from bot.service.core import CHANGE
from bot.service.creating import GIVE_UP, Creating
from bot.store import gates, jobs, protections, records
from bot.store.protections import Protection

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

REPORTS = 10  # on how it stands; GitHub takes no more
SETTLING = timedelta(minutes=2)  # in which GitHub may say that nothing waits there, though it has just asked
LONGEST = 200  # characters of a reason in a comment
NAMES = 10  # of those who approved, in a comment
DEPLOYMENT = "deployment"  # the event that starts workflows which carry deployments out

APPROVED, REJECTED = "approved", "rejected"  # GitHub's words
_NO = frozenset({states.REFUSED, states.EXPIRED, states.CANCELLED})
_AT_REST = frozenset({states.CREATED, states.QUEUED, states.PENDING, states.WAITING})
_ENDED = frozenset({states.SUCCESS, states.FAILURE, states.ERROR, states.INACTIVE})
_MOVED = _ENDED | {states.IN_PROGRESS}
_WENT = frozenset({states.IN_PROGRESS, states.SUCCESS})


def source_of(repository: str, deployment_id: int) -> str:
    """The source of a deploy that is a deployment of GitHub's, whichever event tells of it first."""
    return f"github:{repository}:{deployment_id}"


class Protecting(Creating):
    """The verb `answer`, and how a run that waits at GitHub becomes a deploy."""

    def _protect(self, asked: ProtectionAsked) -> Deploy | None:
        """A run waits for this bot's word; None where the config does not have its environment.

        Its deployment may have been told of before, or be told of later: either way it is one deploy.
        """
        of = str(asked.deployment.payload.get("name", "")) if asked.deployment else ""
        name = self.config.apps_for(asked.repository, asked.environment, of)
        app = self.config.apps.get(name or "")
        environment = app.environments.get(asked.environment) if app else None
        if name is None or app is None or environment is None:
            log.info("protection_of_others", environment=asked.environment)
            return None
        asker = self.people.asker_of(asked.login)
        rooms = self._rooms(app, asked.environment)
        now = self._clock.now()
        values: dict[str, Any] = {
            "origin": PROTECTED,
            "user_id": asker.id,
            "user_name": asker.name,
            "login": asker.login,
            "room": next(iter(rooms), ""),
            "state": states.HELD,
            "asked_at": now,
            "pinned_at": now,
            "log_url": asked.url,
        }
        with self._store.write() as connection:
            gates.claim(connection, [(name, asked.environment)])
            under_way = gates.running(connection, name, asked.environment)
            if under_way is not None and under_way.sha == asked.sha and carries_out(asked.event, environment):
                values["of"] = under_way.number  # whoever had to agree has agreed
            source = self._source(connection, asked)
            known = records.deploy_by_source(connection, source, lock=True)
            if known is None:
                new = {
                    **values,
                    "id": str(uuid.uuid4()),
                    "app": name,
                    "repository": self._spelling(asked.repository),
                    "environment": asked.environment,
                    "ref": asked.ref or asked.sha,
                    "sha": asked.sha,
                    "task": asked.deployment.task if asked.deployment else "deploy",
                    "deployment_id": asked.deployment.id if asked.deployment else None,
                }
                deploy = records.add_deploy(connection, source, new)
                # Its `deployment` webhook may be taken in at this very moment.
                known = None if deploy is not None else records.deploy_by_source(connection, source, lock=True)
            if known is not None:
                deploy = known
                if deploy.protected or deploy.state not in _AT_REST:
                    return deploy  # it asks again, or does not wait any more
                records.update_deploy(connection, deploy.number, **values, reason="", deadline_at=None)
            assert deploy is not None, "it is new, or known"
            protections.protect(connection, deploy.number, asked.run, now)
            deploy = self._locked(connection, deploy.number)
            for room in rooms:
                records.add_card(connection, deploy, room)
            outside = self._outside_of_github(connection, deploy)
            decision = self._decided(connection, deploy, environment, outside, fresh=False)
            self._settle(connection, deploy, environment, decision)
            change = jobs.new_job(CHANGE, {"deploy": deploy.number}, subject=f"change:{deploy.number}")
            jobs.add(connection, change, now)
            return self._show(connection, deploy.number)

    def _source(self, connection: sa.Connection, asked: ProtectionAsked) -> str:
        """What makes a run's question one deploy. Its place is held."""
        repository = self._spelling(asked.repository)
        if asked.deployment is not None:
            return source_of(repository, asked.deployment.id)
        # Without a deployment nothing tells one attempt of a run from the next: what does not wait was an earlier one.
        for attempt in count(1):
            source = f"protection:{repository}:{asked.run}:{asked.environment}:{attempt}"
            known = records.deploy_by_source(connection, source)
            if known is None or known.state in (states.HELD, states.ASKED):
                return source
        raise AssertionError("there is always another number")

    # what GitHub reports meanwhile

    def _meanwhile(self, connection: sa.Connection, deploy: Deploy, state: str) -> str:
        """The state of a deploy that waits for this bot's word, after GitHub reported one. Its row is held.

        That it waits there says nothing new. It may have ended, or somebody let it go without this bot.
        """
        if state not in _MOVED:
            return deploy.state
        if state in _WENT and deploy.state == states.HELD:
            records.add_step(connection, deploy.number, "bypassed", "bypassed", self._clock.now())
        if state not in _ENDED:
            deadline = self._clock.now() + self._timeout(deploy)
            records.update_deploy(connection, deploy.number, deadline_at=deadline)
            self._watch(connection, deploy.number, deadline)
        return state

    def _went_past(self, connection: sa.Connection, deploy: Deploy, statuses: Iterable[Status]) -> bool:
        """Whether GitHub goes on with what this bot had said no to. That stays as it ended: what goes on is another."""
        if not deploy.protected or deploy.state not in _NO or not any(status.state in _WENT for status in statuses):
            return False
        records.update_deploy(connection, deploy.number, deployment_id=None)
        records.add_step(connection, deploy.number, "bypassed", "bypassed", self._clock.now())
        self._refresh(connection, deploy)
        return True

    # the answer

    def answer(self, number: int) -> None:
        """Tells GitHub how it stands with a deploy that waits there: what it waits for, or the answer.

        Raises TryLater while GitHub can't be told; after an hour, or when it refuses, card and thread say so.
        """
        with self._store.read() as connection:
            deploy = records.deploy(connection, number)
            asked = protections.protection(connection, number)
        if deploy is None or asked is None or asked.answered_at is not None:
            return
        if deploy.state == states.HELD:
            self._tell_progress(deploy, asked)
        elif deploy.state == states.ASKED:
            self._let_in(deploy, asked)
        elif deploy.state in _NO:
            self._turn_away(deploy, asked)

    def _tell_progress(self, deploy: Deploy, asked: Protection) -> None:
        comment = _waits(deploy)
        if not comment or comment == asked.told or asked.reports >= REPORTS:
            return
        with self._store.write() as connection:  # counted first: when no answer comes, GitHub may have it
            protections.update_protection(connection, deploy.number, reports=asked.reports + 1)
        try:
            self._github.report_protection(deploy.repository, asked.run, deploy.environment, comment)
        except PersonError as error:
            log.warning(
                "protection_not_reported", deploy=deploy.number, reason=repr(error)
            )  # the answer is what counts
        with self._store.write() as connection:
            protections.update_protection(connection, deploy.number, told=comment)

    def _let_in(self, deploy: Deploy, asked: Protection) -> None:
        waited = self._clock.now() - (deploy.cleared_at or deploy.asked_at)
        try:
            known = self._answered(deploy, asked) if asked.tried_at is not None else ""
            if not known:
                if not self._may_still(deploy):
                    return
                known = self._give(deploy, asked, APPROVED, _approval(deploy))
        except TryLater as error:
            if waited >= GIVE_UP:
                self._give_up(deploy.number, states.LOST, problem_of(error))
                return
            self._note(deploy.number, problem_of(error))
            raise
        except PersonError as error:
            self._give_up(deploy.number, states.LOST, problem_of(error))
            return
        with self._store.write() as connection:
            now = self._clock.now()
            deploy = self._held_in_place(connection, deploy)
            protections.update_protection(connection, deploy.number, answered_at=now)
            if deploy.state != states.ASKED:
                return  # GitHub has told more by now
            deadline = now + self._timeout(deploy)
            records.update_deploy(
                connection, deploy.number, state=states.CREATED, problem=None, created_at=now, deadline_at=deadline
            )
            self._watch(connection, deploy.number, min(now + states.UNHEARD, deadline))
            self._show(connection, deploy.number)

    def _may_still(self, deploy: Deploy) -> bool:
        """Decides once more right before GitHub is told; False when a gate has closed since."""
        environment = self._environment(deploy)
        with self._store.write() as connection:
            deploy = self._held_in_place(connection, deploy)
            if deploy.state != states.ASKED:
                return False
            outside = self._outside_of_github(connection, deploy)
            decision = self._decided(connection, deploy, environment, outside, fresh=False)
            if decision.outcome == CLEAR:
                return True
            self._settle(connection, deploy, environment, decision)
            self._show(connection, deploy.number)
            return False

    def _turn_away(self, deploy: Deploy, asked: Protection) -> None:
        waited = self._clock.now() - (deploy.finished_at or deploy.asked_at)
        told = ""
        try:
            told = self._answered(deploy, asked) if asked.tried_at is not None else ""
            told = told or self._give(deploy, asked, REJECTED, _rejection(deploy))
        except TryLater:
            if waited < GIVE_UP:
                raise
        except PersonError as error:
            log.warning("protection_not_answered", deploy=deploy.number, reason=repr(error))
        with self._store.write() as connection:
            now = self._clock.now()
            deploy = self._locked(connection, deploy.number)
            protections.update_protection(connection, deploy.number, answered_at=now)
            if told != REJECTED:
                records.add_step(connection, deploy.number, "problem", "not answered", now, state="not_answered")
                self._refresh(connection, deploy)

    def _give(self, deploy: Deploy, asked: Protection, state: str, comment: str) -> str:
        """Gives GitHub an answer; returns the one of ours that it has."""
        with self._store.write() as connection:
            protections.update_protection(connection, deploy.number, tried_at=self._clock.now())
        try:
            self._github.answer_protection(deploy.repository, asked.run, deploy.environment, state, comment)
        except RequestRefused as error:
            known = self._answered(deploy, asked)
            if not known and self._clock.now() - asked.asked_at < SETTLING:
                raise TryLater from error
            if not known:
                raise
            return known
        return state

    def _answered(self, deploy: Deploy, asked: Protection) -> str:
        """The answer that GitHub has from this bot, '' when it has none or does not say."""
        try:
            return self._github.protection_answer(
                deploy.repository, asked.run, deploy.environment, _mark(deploy.number)
            )
        except PersonError:
            return ""  # without Actions: read; then GitHub says to a second answer that it has one


def carries_out(event: str, environment: Environment | None) -> bool:
    """Whether runs that start so carry out the deployments there: those on `deployment`, or the provider's own."""
    provider = environment.provider if environment is not None else None
    ours = provider is not None and provider.type == "actions"
    return event == DEPLOYMENT or (ours and event == "workflow_dispatch")


# What GitHub shows to those who wait for the run. Names and reasons stand in code spans, so that they mention nobody.


def _mark(number: int) -> str:
    """What tells this bot's answers from those of others, and is no number of an issue."""
    return f"`#{number}`"


def _said(text: str, longest: int = LONGEST) -> str:
    text = " ".join(text.replace("`", "'").split())
    return f"`{text if len(text) <= longest else text[: longest - 1] + '…'}`"


def _names(given: Sequence[Sequence[str]]) -> str:
    """Those who approved, each a Slack id and a name."""
    shown = [_said(name or user_id, 80) for user_id, name in given[:NAMES]]
    more = [f"{len(given) - NAMES} more"] if len(given) > NAMES else []
    return ", ".join([*shown, *more])


def _found(deploy: Deploy) -> list[Finding]:
    return [Finding.from_json(item) for item in deploy.findings]


def _waits(deploy: Deploy) -> str:
    """What a deploy waits for; '' when that is nothing to tell."""
    parts = []
    for finding in _found(deploy):
        if finding.verdict != WAITING:
            continue
        if finding.gate == policy.APPROVALS:
            given = finding.facts["given"]
            by = f" by {_names(given)}" if given else ""
            how = f"`approve {deploy.number}` there agrees"
            parts.append(f"{len(given)} of {finding.facts['required']} approved in Slack{by}; {how}")
        elif finding.gate == policy.LOCK:
            owners = [[lock["user_id"], lock["user_name"]] for lock in finding.facts["locks"]]
            parts.append(f"locked in Slack by {_names(owners)}")
        elif finding.gate == policy.FREEZE:
            parts.append("frozen in Slack")
    return f"{' · '.join(parts)} · {_mark(deploy.number)}" if parts else ""


def _approval(deploy: Deploy) -> str:
    """Who let it in."""
    for finding in _found(deploy):
        if finding.gate == policy.APPROVALS and finding.code == "given":
            given, required = finding.facts["given"], finding.facts["required"]
            return f"Approved in Slack by {_names(given)} ({len(given)} of {required}) · {_mark(deploy.number)}"
        if finding.gate == policy.APPROVALS and finding.code == "before":
            return f"Let out in Slack as {_mark(finding.facts['number'])} · {_mark(deploy.number)}"
    return f"No approval is asked for in Slack, no lock and no freeze holds it · {_mark(deploy.number)}"


def _rejection(deploy: Deploy) -> str:
    """Who or what kept it out, and why."""
    return f"{_why_not(deploy)} · {_mark(deploy.number)}"


def _why_not(deploy: Deploy) -> str:
    problem = deploy.problem
    facts = problem.facts if problem else {}
    match problem.code if problem else "":
        case "Cancelled":
            return f"Cancelled in Slack by {_names([[facts['user_id'], facts['user_name']]])}"
        case "WaitedTooLong":
            return "It was held in Slack for longer than the config lets it wait"
        case "Ended":
            finding = Finding.from_json(facts["finding"])
            if finding.code == "rejected":
                because = f": {_said(finding.facts['reason'])}" if finding.facts["reason"] else ""
                by = _names([[finding.facts["user_id"], finding.facts["user_name"]]])
                return f"Rejected in Slack by {by}{because}"
            if finding.code == "expired":
                return f"Only {len(finding.facts['given'])} of {finding.facts['required']} approved in Slack in time"
    return "Not let in by Shipbot"
