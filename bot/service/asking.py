"""Asking for a deploy, and deciding again on what waits."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace

from bot.deploys import policy, states
from bot.deploys.config import Environment
from bot.deploys.errors import (
    AlreadyAsked,
    NotAllowed,
    NotConfigured,
    NotEntitled,
    NotWaiting,
    PersonError,
    PullNotOpen,
    TooFarAhead,
    TryLater,
    UnknownDeploy,
    UnknownRef,
    problem_of,
)
from bot.deploys.model import PROMOTION, RETRY, ROLLBACK, TEARDOWN, Asker, Commit, Deploy, Problem, Wanted, short
from bot.deploys.nearest import nearest
from bot.deploys.policy import CLEAR, EXPIRE, LINE, REFUSE, Decision
from bot.service.core import CHANGE, CREATE
from bot.service.facts import Deciding, Outside
from bot.store import gates, jobs, records

FURTHEST = timedelta(days=30)  # that a deploy can be asked for ahead of its time


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would happen if a deploy were asked for now. Nothing was stored of it."""

    deploy: Deploy
    decision: Decision
    twin: Deploy | None


class Asking(Deciding):
    """The verbs `request`, `foresee` and `decide`."""

    def request(
        self,
        wanted: Wanted,
        asker: Asker,
        *,
        room: str,
        source: str,
        message_id: str = "",
        thread_id: str = "",
        fresh: bool = True,
    ) -> Deploy:
        """Takes in a person's wish and returns the deploy it became, waiting or on its way.

        `source` is the delivery it came with: asking again with the same one returns the same deploy. What a rule
        asks for is not `fresh`: nobody is there to be refused, so it waits where it can, and its card says what
        ended it.
        Raises the person's errors for what can't be deployed, NotAllowed with every finding among them, and
        TryLater while GitHub can't be asked. Of what is refused nothing is stored. One that is to go later is
        decided on at that time; until then only its room and the person's permission can refuse it.
        """
        if (known := self._asked_before(source)) is not None:
            return known
        candidate, environment, outside = self._candidate(wanted, asker, room)
        candidate = replace(candidate, message_id=message_id, thread_id=thread_id)
        with self._store.write() as connection:
            place = (candidate.app, candidate.environment)
            gates.claim(connection, [place])
            known = records.deploy_by_source(connection, source)
            if known is not None:  # another worker took the same command in while GitHub was asked
                return known
            twin = self._twin(connection, candidate)
            if twin is not None and candidate.automatic:
                self._supersede(connection, _kind(candidate), candidate.rank, twin)
                return twin  # somebody was quicker than the rule
            if twin is not None:
                raise AlreadyAsked(twin.app, twin.environment, twin.number, twin.state, twin.room)
            decision = self._decided(connection, candidate, environment, outside, fresh=fresh)
            if decision.outcome == REFUSE and fresh:
                raise NotAllowed(
                    candidate.app,
                    candidate.environment,
                    again(candidate),
                    [finding.as_json() for finding in decision.findings],
                )
            deploy = records.add_deploy(connection, source, _values(candidate))
            assert deploy is not None, "the place is held, and there was none of this source"
            self._joins(connection, deploy)
            records.add_card(connection, deploy, room)
            if deploy.of is not None and (led := records.deploy(connection, deploy.of)) is not None:
                self._refresh(connection, led)  # what can be done with that one is something else now
            decision = self._past_older(connection, deploy, environment, outside, decision)
            self._settle(connection, deploy, environment, decision)
            self._describe_soon(connection, deploy.number)
            return self._show(connection, deploy.number)

    def _by_rule(self, environment: str, wish: Wanted, asker: Asker, *, source: str, room: str = "") -> Deploy | None:
        """Asks for what a rule wants, in the room named, else in those of the environment.

        None when there is nowhere to show it, for what nobody sees nobody asked for, and when it can't be: whoever
        it is for is told, else the admins. Raises TryLater while GitHub can't be asked.
        """
        _, app, _ = self.config.target(wish.target)
        room = room or next(iter(self._rooms(app, environment)), "")
        if not room:
            return None
        try:
            return self.request(wish, asker, room=room, source=source, fresh=False)
        except AlreadyAsked:
            return None  # somebody was quicker
        except PersonError as error:
            with self._store.write() as connection:
                told = problem_of(error).as_json()
                for user_id in [asker.id] if asker.id else self.config.admins:
                    self._tell(connection, user_id, "problem", told, f"{source}:{user_id}")
            return None

    def foresee(self, wanted: Wanted, asker: Asker, *, room: str) -> Foreseen:
        """What every gate would say now; nothing is stored. Raises as `request` does, except NotAllowed."""
        candidate, environment, outside = self._candidate(wanted, asker, room)
        with self._store.read() as connection:
            twin = self._twin(connection, candidate)
            decision = self._decided(connection, candidate, environment, outside, fresh=True)
        return Foreseen(candidate, decision, twin)

    def decide(self, number: int) -> None:
        """Decides again on a deploy that waits. What can't be asked makes it wait on."""
        deploy = self.deploy(number)
        if deploy is None or deploy.state != states.HELD:
            return
        try:
            environment = self._environment(deploy)
        except NotConfigured as error:
            with self._store.write() as connection:
                deploy = self._held_in_place(connection, deploy)
                if deploy.state == states.HELD:
                    self._end(connection, deploy, states.REFUSED, problem_of(error))
            return
        outside = self._outside_of(deploy, environment)
        with self._store.write() as connection:
            deploy = self._held_in_place(connection, deploy)
            if deploy.state != states.HELD:
                return
            decision = self._decided(connection, deploy, environment, outside, fresh=False)
            decision = self._past_older(connection, deploy, environment, outside, decision)
            if self._settle(connection, deploy, environment, decision):
                self._show(connection, number)

    def force(self, number: int, asker: Asker, *, source: str) -> Deploy:
        """Lets a deploy that waits skip checks and order, once for `source`. Whoever asked for it may, and who may
        deploy there.

        Raises UnknownDeploy, NotWaiting and NotEntitled.
        """
        deploy = self._known(number)
        if self._done(source):
            return deploy
        environment = self._environment(deploy)
        person = self.people.person(asker)
        answer = self.people.may_deploy(person, environment, deploy.repository)
        if not answer.yes:
            raise NotEntitled("force", deploy.app, deploy.environment, answer.code, answer.facts)
        with self._store.write() as connection:
            deploy = self._held_in_place(connection, deploy)
            if deploy.state != states.HELD:
                raise NotWaiting(number, deploy.state)
            self._does(connection, source, number)
            records.update_deploy(connection, number, forced=True)
            records.add_step(connection, number, "forced", "forced", self._clock.now(), actor=person.id)
            self._decide_soon(connection, number)
            return self._show(connection, number)

    def _asked_before(self, source: str) -> Deploy | None:
        """The deploy that a command or click has become already."""
        with self._store.read() as connection:
            return records.deploy_by_source(connection, source)

    def _joins(self, connection: sa.Connection, deploy: Deploy) -> None:
        """What a new deploy means for the preview that it belongs to. Its place is held."""

    def _known(self, number: int) -> Deploy:
        deploy = self.deploy(number)
        if deploy is None or not deploy.ours:
            raise UnknownDeploy(number)
        return deploy

    def _past_older(
        self, connection: sa.Connection, deploy: Deploy, environment: Environment, outside: Outside, decision: Decision
    ) -> Decision:
        """Of what rules ask for only the newest of a branch goes, so those that stand below it and still wait end, and
        it is decided on without them.

        Not before its checks are green: else a branch that moves faster than they run would never be deployed.
        """
        if not deploy.automatic or any(item.gate == policy.CHECKS for item in decision.of(policy.WAITING)):
            return decision
        if not self._supersede(connection, _kind(deploy), deploy.standing, deploy):
            return decision
        return self._decided(connection, deploy, environment, outside, fresh=False)  # no rule's wish is fresh

    def _supersede(
        self, connection: sa.Connection, of: tuple[str, str, str, str, str], below: float | None, by: Deploy
    ) -> bool:
        """What rules asked for `of` an app, environment, ref, task and hosts and what still waits gives way to `by`,
        where it stands `below` that (None: whatever). False when there was none. The place is held.
        """
        older = [
            other
            for other in gates.held(connection, places=[of[:2]])
            if other.automatic
            and other.number != by.number
            and (below is None or other.standing < below)
            and _kind(other) == of
            and other.sent_at is None  # else GitHub may have it
        ]
        problem = Problem("Superseded", {"number": by.number, "sha": by.sha})
        for other in older:
            self._end(connection, self._locked(connection, other.number), states.SUPERSEDED, problem)
        return bool(older)

    def _describe_soon(self, connection: sa.Connection, number: int) -> None:
        change = jobs.new_job(CHANGE, {"deploy": number}, subject=f"change:{number}")
        jobs.add(connection, change, self._clock.now())

    # deciding

    def _settle(self, connection: sa.Connection, deploy: Deploy, environment: Environment, decision: Decision) -> bool:
        """Does what a decision says; False when the card says all of it already. The place and the row are held."""
        was_in_line = deploy.in_line
        values: dict[str, Any] = {"findings": [finding.as_json() for finding in decision.findings]}
        if deploy.judged_at is None and any(item.code == "come" for item in decision.findings):
            values["judged_at"] = self._clock.now()
            self._describe_soon(connection, deploy.number)  # something else may have gone live since it was asked for
        if decision.outcome == REFUSE:
            finding = decision.of(policy.REFUSED)[0]
            self._end(connection, deploy, _end_of(finding), _problem(finding), **values)
            return True
        if decision.outcome == EXPIRE:
            waited = Problem("WaitedTooLong", {"since": deploy.begun_at.isoformat()})
            self._end(connection, deploy, states.EXPIRED, waited, **values)
            return True
        if decision.outcome == CLEAR:
            # GitHub runs its own ones when it likes, so they stand in nobody's way.
            slot = None if deploy.protected else gates.slot(deploy.app, deploy.environment)
            now = self._clock.now()
            # The unique key on the slot is what keeps a second one out, whoever else decides at this moment.
            values |= {"state": states.ASKED, "slot": slot, "in_line": False, "cleared_at": now, "problem": None}
            self._mark_override(connection, deploy, decision)
            told = True
            if deploy.protected:
                self._answer(connection, deploy.number)
            else:
                job = jobs.new_job(CREATE, {"deploy": deploy.number}, subject=f"create:{deploy.number}")
                jobs.add(connection, job, now)
        else:
            values |= {"state": states.HELD, "in_line": decision.outcome == LINE, "slot": None}
            told = self._ask_approvers(connection, deploy, environment, decision)
            self._decide_soon(connection, deploy.number, decision.again)
            if deploy.protected and values["findings"] != list(deploy.findings):
                self._answer(connection, deploy.number)
        records.update_deploy(connection, deploy.number, **values)
        place = (deploy.app, deploy.environment)
        if (was_in_line and decision.outcome != LINE) or deploy.slot is not None:
            self._next(connection, place)
        elif decision.outcome == LINE and not was_in_line:  # it asked before those who now stand behind it
            for other in gates.held(connection, places=[place], in_line=True):
                if other.number > deploy.number:
                    self._refresh(connection, other)
        return told or deploy.state != values["state"] or values["findings"] != list(deploy.findings)

    def _ask_approvers(
        self, connection: sa.Connection, deploy: Deploy, environment: Environment, decision: Decision
    ) -> bool:
        """Those who may approve are mentioned once, and once more before the time for it is over. False when they
        were before."""
        asked = next((item for item in decision.findings if item.code == "asked"), None)
        if asked is None or environment.approvals is None:
            return False
        now = self._clock.now()
        approvers = asked.facts["approvers"]
        told = {"actor": deploy.user_id, "description": " ".join(approvers)}
        called = records.add_step(connection, deploy.number, "asks", deploy.sha, now, **told)
        answered = {user_id for user_id, _ in asked.facts["given"]}
        told["description"] = " ".join([who for who in approvers if who not in answered] or approvers)
        asked_at = max(deploy.pinned_at or deploy.asked_at, deploy.due_at or deploy.asked_at)
        if now >= policy.remind_at(asked_at, environment.approvals):
            called = records.add_step(connection, deploy.number, "reminds", deploy.sha, now, **told) or called
        return called

    def _mark_override(self, connection: sa.Connection, deploy: Deploy, decision: Decision) -> None:
        """A deploy through a freeze is announced wherever the app is spoken of."""
        if not any(item.code == "overridden" for item in decision.findings):
            return
        told = {"actor": deploy.user_id, "description": deploy.reason}
        records.add_step(connection, deploy.number, "overridden", "freeze", self._clock.now(), **told)
        for announcement in self._announcements(connection, deploy.app):
            if announcement.covers(deploy.environment):
                records.add_card(connection, deploy, announcement.room)

    # what is asked for

    def _candidate(self, wanted: Wanted, asker: Asker, room: str) -> tuple[Deploy, Environment, Outside]:
        """The deploy that a wish would become, and what Slack and GitHub say of it."""
        name, app, ref = self.config.target(wanted.target)
        environment_name, environment = self.config.environment(name, wanted.environment)
        if wanted.due_at is not None and wanted.due_at - self._clock.now() > FURTHEST:
            raise TooFarAhead(wanted.due_at, FURTHEST.days)
        default = app.default_ref or self._github.default_branch(app.repository)
        preview = self._preview_at(name, environment_name)
        sha = wanted.sha
        if (pull := app.pull(environment_name)) is not None and wanted.cause != TEARDOWN:
            if preview is None and not ref:
                raise PullNotOpen(name, environment_name, pull, known=False)
            if preview is not None and not preview.open:
                raise PullNotOpen(name, environment_name, pull, known=True)
        if preview is not None and not ref:
            ref, sha = preview.head, preview.sha
        ref = ref or default
        try:
            commit = self._commit(app.repository, sha or ref)
        except UnknownRef:
            self.config.check_room(name, room)  # the names of its branches are told in its rooms alone
            raise
        # Only a branch can be merged into; of a tag or commit the config's wish means nothing.
        merge = environment.auto_merge and not sha and self._github.branch_head(app.repository, ref) is not None
        now = self._clock.now()
        candidate = Deploy(
            number=0,
            id=str(uuid.uuid4()),
            origin=wanted.origin,
            app=name,
            repository=app.repository,
            environment=environment_name,
            ref=ref,
            sha=commit.sha,
            task=wanted.task,
            hosts=wanted.hosts,
            forced=wanted.force,
            auto_merge=merge,
            reason=wanted.reason,
            subject=commit.subject,
            user_id=asker.id,
            user_name=asker.name,
            login=asker.login,
            pull=preview.pull if preview else wanted.pull,
            author=preview.author if preview else wanted.author,
            preview=preview.id if preview else None,
            rank=wanted.rank,
            room=room,
            state=states.HELD,
            asked_at=now,
            pinned_at=now,
            is_default=ref == default and wanted.cause != ROLLBACK,
            cause=wanted.cause,
            of=wanted.of,
            due_at=wanted.due_at,
        )
        environment = self._guarded(candidate, environment)
        return candidate, environment, self._outside(environment, candidate, self.people.person(asker))

    def _twin(self, connection: sa.Connection, deploy: Deploy) -> Deploy | None:
        return gates.twin(
            connection,
            deploy.app,
            deploy.environment,
            sha=deploy.sha,
            task=deploy.task,
            hosts=deploy.hosts,
            forced=deploy.forced,
            due_at=deploy.due_at if deploy.due_at is not None and deploy.due_at > self._clock.now() else None,
            of_github=False,
        )

    def _commit(self, repository: str, ref: str) -> Commit:
        commit = self._github.commit(repository, ref)
        if commit is None:
            raise self._unknown_ref(repository, ref)
        return commit

    def _unknown_ref(self, repository: str, ref: str) -> UnknownRef:
        try:
            names = self._github.refs(repository)
        except (PersonError, TryLater):
            names = []  # the near names are a help, and no reason to say something else
        return UnknownRef(repository, ref, nearest(ref, [name for name in names if name != ref]))


_STORED = (
    "id origin app repository environment ref sha task hosts forced auto_merge reason subject user_id user_name room"
    " login pull author preview rank message_id thread_id state asked_at pinned_at is_default cause of due_at"
).split()


def _values(deploy: Deploy) -> dict[str, Any]:
    return {name: getattr(deploy, name) for name in _STORED}


def _kind(deploy: Deploy) -> tuple[str, str, str, str, str]:
    return deploy.app, deploy.environment, deploy.ref, deploy.task, deploy.hosts


def again(deploy: Deploy) -> str:
    """What a person would type to ask for the same once more; of what another deploy led to just that commit."""
    if deploy.cause == ROLLBACK:
        return f"rollback {deploy.app} in {deploy.environment} to {short(deploy.sha)}"
    ref = short(deploy.sha) if deploy.cause in (RETRY, PROMOTION) else deploy.ref
    task = "" if deploy.task == "deploy" else f"{deploy.task} "
    force = "!" if deploy.forced else ""
    hosts = f"/{deploy.hosts}" if deploy.hosts else ""
    return f"{task}{deploy.app}/{ref}{force} to {deploy.environment}{hosts}"


def _end_of(finding: policy.Finding) -> str:
    return {"expired": states.EXPIRED, "missed": states.EXPIRED, "overtaken": states.SUPERSEDED}.get(
        finding.code, states.REFUSED
    )


def _problem(finding: policy.Finding) -> Problem:
    """What ended a deploy that waited, as what its card says."""
    return Problem("Ended", {"finding": finding.as_json()})
