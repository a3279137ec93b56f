"""Approving, rejecting and cancelling a deploy."""

from __future__ import annotations

from bot.deploys import states
from bot.deploys.errors import (
    AlreadyVoted,
    MaybeOwnDeploy,
    NeedsNoApproval,
    NotEntitled,
    NotScheduled,
    NotWaiting,
    OwnDeploy,
    PersonError,
)
from bot.deploys.model import SCHEDULE, Asker, Deploy, Problem, Vote
from bot.service.asking import Asking
from bot.store import gates, records, runs


class Voting(Asking):
    """The verbs `approve`, `reject`, `cancel`, `unschedule` and `stop`."""

    def approve(self, number: int, asker: Asker, *, source: str) -> Deploy:
        """Counts a person's approval; the last one that is needed lets the deploy go, unless another gate waits.

        Whoever approves is judged now. Here and below, what was done for `source` is not done again. Raises
        UnknownDeploy, NotWaiting, NeedsNoApproval, OwnDeploy, MaybeOwnDeploy, AlreadyVoted, and NotEntitled for who may
        not or could not be looked up.
        """
        return self._vote(number, asker, source, approves=True, reason="")

    def reject(self, number: int, asker: Asker, reason: str, *, source: str) -> Deploy:
        """One rejection ends the deploy. Raises as `approve` does."""
        return self._vote(number, asker, source, approves=False, reason=reason)

    def _vote(self, number: int, asker: Asker, source: str, *, approves: bool, reason: str) -> Deploy:
        deploy = self._known(number)
        if self._done(source):
            return deploy
        environment = self._environment(deploy)
        approvals = environment.approvals
        if approvals is None:
            raise NeedsNoApproval(number, deploy.app, deploy.environment)
        voter = self.people.person(asker)
        act = "approve" if approves else "reject"
        if approvals.approvers:
            answer = self.people.one_of(voter, approvals.approvers, deploy.repository)
            if not answer.yes:
                raise NotEntitled(act, deploy.app, deploy.environment, answer.code, answer.facts)
        with self._store.write() as connection:
            deploy = self._held_in_place(connection, deploy)
            if deploy.state != states.HELD:
                raise NotWaiting(number, deploy.state)
            # Both as they are linked now: who links a second account to one login is one person.
            asked_for = self.people.behind(connection, deploy)
            if voter.key == asked_for.key and not approvals.self_approval:
                raise OwnDeploy(number)
            if approves and asked_for.may_be(voter.key) and not approvals.self_approval:
                raise MaybeOwnDeploy(number, asked_for.login)
            now = self._clock.now()
            vote = Vote(
                deploy=number,
                approves=approves,
                user_id=voter.id,
                user_name=voter.name,
                person=voter.key,
                sha=deploy.sha,
                reason=reason,
                policy={
                    "required": approvals.required,
                    "approvers": list(approvals.approvers),
                    "self_approval": approvals.self_approval,
                    "environment": deploy.environment,
                    "task": deploy.task,
                    "hosts": deploy.hosts,
                },
                at=now,
            )
            for said in self.people.votes_now(connection, number):
                if said.person == voter.key and said.sha == deploy.sha:
                    raise AlreadyVoted(number, said.approves)
            added = gates.add_vote(connection, vote)
            assert added, "the place is held, and they had not said anything"
            kind = "approved" if approves else "rejected"
            key = f"{deploy.sha}:{voter.id}"
            records.add_step(connection, number, kind, key, now, actor=voter.id, description=reason)
            self._does(connection, source, number)
            self._decide_soon(connection, number)
            return self._show(connection, number)

    def unschedule(self, number: int, asker: Asker, *, source: str) -> Deploy:
        """Cancels a deploy that is to go later. Raises NotScheduled for one that isn't, or whose time has come, and
        as `cancel` does."""
        return self.cancel(number, asker, source=source, scheduled=True)

    def cancel(self, number: int, asker: Asker, *, source: str, scheduled: bool = False) -> Deploy:
        """Takes a deploy back, whether it waits or is under way; a running one is marked inactive at GitHub.

        Whoever asked for it may, admins may, and who may deploy there. Raises UnknownDeploy, NotWaiting for one
        that is over or that GitHub was told to go on with, and NotEntitled.
        """
        deploy = self._known(number)
        if self._done(source):
            return deploy
        if not _stoppable(deploy):
            raise NotWaiting(number, deploy.state)
        if scheduled and not deploy.scheduled:
            raise NotScheduled(number, deploy.cause == SCHEDULE)
        person = self.people.person(asker)
        with self._store.read() as connection:
            own = self.people.behind(connection, deploy).key == person.key
        if not own and not self.people.admin(person):
            answer = self.people.may_deploy(person, self._environment(deploy), deploy.repository)
            if not answer.yes:
                raise NotEntitled("cancel", deploy.app, deploy.environment, answer.code, answer.facts)
        with self._store.write() as connection:
            deploy = self._held_in_place(connection, deploy)
            if not _stoppable(deploy):
                raise NotWaiting(number, deploy.state)
            if scheduled and not deploy.scheduled:  # its time came meanwhile
                raise NotScheduled(number)
            self._does(connection, source, number)
            started = deploy.state != states.HELD
            facts = {"user_id": person.id, "user_name": person.name, "started": started}
            shown = self._end(connection, deploy, states.CANCELLED, Problem("Cancelled", facts), ended_by=person.id)
            runs.cancel(connection, number, self._clock.now())
            if deploy.deployment_id is not None and not deploy.protected:
                self._stop(connection, number)
            return shown

    def stop(self, number: int) -> None:
        """Tells GitHub, and through it whoever deploys, that a cancelled deploy is not wanted any more.

        Raises TryLater while GitHub can't be asked; that GitHub refuses is said in the thread.
        """
        deploy = self.deploy(number)
        if deploy is None or deploy.state != states.CANCELLED or deploy.deployment_id is None:
            return
        by = deploy.problem.facts.get("user_name") if deploy.problem else ""
        try:
            self._mark_inactive(deploy, f"Cancelled in Slack by {by or 'somebody'}")
        except PersonError:
            with self._store.write() as connection:
                deploy = self._locked(connection, number)
                now = self._clock.now()
                records.add_step(connection, number, "problem", "not stopped", now, state="not_stopped")
                self._refresh(connection, deploy)


def _stoppable(deploy: Deploy) -> bool:
    """Whether it can be taken back: it waits, is on its way, or somebody may be carrying it out. A run of GitHub
    Actions that was let in can be ended there alone."""
    if deploy.protected:
        return deploy.state in (states.HELD, states.ASKED)
    return not deploy.final
