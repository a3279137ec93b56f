"""Creating the deployment at GitHub, once, and seeing that what was begun comes to an end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from bot.deploys import policy, states
from bot.deploys.config import Environment
from bot.deploys.errors import (
    BranchMoved,
    ChecksFailed,
    PersonError,
    TooLate,
    TryLater,
    Unavailable,
    UnknownRef,
    problem_of,
)
from bot.deploys.events import Deployment
from bot.deploys.model import TEARDOWN, Change, Commit, Deploy, Problem, short
from bot.deploys.policy import CHECKS, CLEAR, WAITING, Finding
from bot.deploys.ports import Merged, NewDeployment
from bot.service.asking import Asking
from bot.service.running import WINDING_UP, Running
from bot.store import gates, records, runs

# After an hour without GitHub nobody expects a deploy to start by itself any more.
GIVE_UP = timedelta(hours=1)
FORGOTTEN = 2 * GIVE_UP  # the same for what was begun: GitHub may have told us to wait for nearly that hour
MERGES = 3  # auto-merges in a row for one deploy; a busy default branch needs two at most
SUBJECTS = 3  # commit subjects kept for the card
DESCRIPTION = 140  # characters; GitHub's limit for statuses, kept for deployments too


class _NotNow(Exception):
    """A gate makes the deploy wait again, or it is over; that is stored already."""


class Creating(Asking, Running):
    """The verbs `create`, `watch`, `lose` and `describe_change`."""

    def create(self, number: int) -> None:
        """Creates the deployment of a deploy that was cleared, unless that is done or a gate has closed since.

        Once GitHub was asked for it, GitHub is searched for what it may have made of that before it is asked
        again. Raises TryLater while GitHub can't be asked; the card says so.
        """
        deploy = self.deploy(number)
        if deploy is not None and deploy.state == states.CANCELLED:
            self._look_for_cancelled(deploy)
        if deploy is None or deploy.state != states.ASKED:
            return
        waited = self._clock.now() - (deploy.cleared_at or deploy.asked_at)
        # It was cleared and then nobody was here to send it; by now it may be the last thing that anyone wants.
        tried = deploy.sent_at is not None or deploy.problem is not None
        try:
            created = self._create(deploy, too_late=waited >= (FORGOTTEN if tried else GIVE_UP))
        except _NotNow:
            return
        except TooLate as error:
            self._give_up(number, states.EXPIRED, problem_of(error))
            return
        except UnknownRef:
            unknown = self._unknown_ref(deploy.repository, deploy.ref)
            self._give_up(number, states.REFUSED, problem_of(unknown))
            return
        except ChecksFailed as error:
            self._wait_for_checks(number, error)
            return
        except TryLater as error:
            if waited >= GIVE_UP:
                self._give_up(number, states.LOST, problem_of(error))
                return
            self._note(number, problem_of(error))
            raise
        except PersonError as error:
            self._give_up(number, states.REFUSED, problem_of(error))
            return
        with self._store.write() as connection:
            current = self._held_in_place(connection, deploy)
            # A branch that moved in the very moment went out as it was then: GitHub's record is the truth.
            self._is_made(connection, current, created, sha=created.sha)
            self._begin_run(connection, self._locked(connection, number), created)
            self._show(connection, number)

    def _look_for_cancelled(self, deploy: Deploy) -> None:
        """It was cancelled while GitHub's answer was missing: what became of the request is to be stopped too.

        Raises TryLater while GitHub can't be asked; after an hour only a webhook can tell of it.
        """
        if deploy.sent_at is None or deploy.deployment_id is not None:
            return
        try:
            found = self._github.find_deployment(deploy.repository, deploy.environment, deploy.task, deploy.id)
        except PersonError:
            return
        except TryLater:
            if self._clock.now() - deploy.sent_at >= GIVE_UP:
                return
            raise
        if found is None:
            return
        with self._store.write() as connection:
            deploy = self._held_in_place(connection, deploy)
            if deploy.deployment_id is None:
                self._is_made(connection, deploy, found, sha=found.sha)

    def _is_made(self, connection: sa.Connection, deploy: Deploy, told: Deployment, **values: Any) -> None:
        """GitHub has the deployment. Its place and row are held."""
        values |= {"deployment_id": told.id, "problem": deploy.problem if deploy.final else None}
        if deploy.created_at is None:
            values["created_at"] = told.created_at
        if deploy.state in (states.HELD, states.ASKED, states.LOST):  # else a webhook was quicker than the answer
            now = self._clock.now()
            deadline = now + self._timeout(deploy)
            values |= {"state": states.CREATED, "finished_at": None, "in_line": False, "deadline_at": deadline}
            if deploy.slot is None and gates.running(connection, deploy.app, deploy.environment) is None:
                values["slot"] = gates.slot(deploy.app, deploy.environment)  # it had been given up, and is there
            self._watch(connection, deploy.number, min(now + states.UNHEARD, deadline))
        records.update_deploy(connection, deploy.number, **values)
        if deploy.state == states.CANCELLED and deploy.deployment_id is None:
            self._stop(connection, deploy.number)

    def _timeout(self, deploy: Deploy) -> timedelta:
        app = self.config.apps.get(deploy.app)
        environment = app.place(deploy.environment) if app else None
        return environment.timeout if environment else timedelta(hours=1)

    def watch(self, number: int) -> None:
        """Looks after a deploy under way: the card says when nobody has reported, and one that has no end by its
        deadline is lost, so that the next in line gets a turn. A status that comes later still wins."""
        deploy = self.deploy(number)
        if deploy is None or deploy.final or deploy.deadline_at is None:
            return
        with self._store.write() as connection:
            deploy = self._held_in_place(connection, deploy)
            if deploy.final or deploy.state == states.LOST or deploy.deadline_at is None:
                return
            now = self._clock.now()
            until = deploy.deadline_at + WINDING_UP
            if deploy.deadline_at <= now < until and runs.active(connection, number):
                self._watch(connection, number, until)  # it is being stopped, and says itself how it ended
                return
            if now < deploy.deadline_at:
                if deploy.state == states.CREATED:
                    self._refresh(connection, deploy)  # it says by itself that nothing was heard yet
                self._watch(connection, number, deploy.deadline_at)
                return
            since = deploy.created_at or deploy.asked_at
            facts = {"since": since.isoformat(), "until": deploy.deadline_at.isoformat()}
            self._end(connection, deploy, states.LOST, Problem("TimedOut", facts))

    def lose(self, number: int) -> Deploy:
        """Something of ours broke while the deployment was created: whether GitHub has it is not known."""
        self._give_up(number, states.LOST, None)
        deploy = self.deploy(number)
        assert deploy is not None
        return deploy

    def describe_change(self, number: int) -> None:
        """Finds out what a deploy brings compared with what is live, for its card."""
        with self._store.read() as connection:
            deploy = records.deploy(connection, number)
            assert deploy is not None
            if deploy.cause == TEARDOWN:
                return
            before = records.live(connection, deploy.app, deploy.environment)
        if before is None or before.number == number:
            return
        if before.number > number and (deploy.due_at is None or deploy.final):
            return
        try:
            compared = self._github.compare(deploy.repository, before.sha, deploy.sha)
        except PersonError:
            return  # the card says what GitHub refuses where it matters; this line it can do without
        except TryLater:
            if self._clock.now() - deploy.begun_at >= GIVE_UP:
                return  # some comparisons GitHub never comes to the end of
            raise
        if compared is None:
            return
        change = Change(
            base=before.sha,
            count=compared.ahead,
            url=compared.url,
            subjects=tuple(commit.subject for commit in compared.commits[-SUBJECTS:]),
            behind=compared.behind,
            live_since=before.finished_at,
        )
        with self._store.write() as connection:
            self._locked(connection, number)
            records.update_deploy(connection, number, change=change)
            self._show(connection, number)

    # creating

    def _create(self, deploy: Deploy, *, too_late: bool) -> Deployment:
        environment = self._environment(deploy)
        look_first = deploy.sent_at is not None
        for _ in range(MERGES):
            if look_first:
                found = self._github.find_deployment(deploy.repository, deploy.environment, deploy.task, deploy.id)
                if found is not None:
                    return found
            if too_late:
                raise TooLate(deploy.cleared_at or deploy.asked_at)
            if deploy.auto_merge:
                head = self._github.branch_head(deploy.repository, deploy.ref)
                if head is not None and look_first and self._is_merge(deploy, head):
                    deploy = self._merged(deploy, head)  # the answer that told of the merge was lost
                elif head is None or head.sha != deploy.sha:
                    raise BranchMoved(deploy.ref, deploy.sha, head.sha if head else "")
            self._still_clear(deploy, environment)
            created = self._github.create_deployment(self._new_deployment(deploy, environment))
            if not isinstance(created, Merged):
                return created
            head = self._github.branch_head(deploy.repository, deploy.ref)
            if head is None or not self._is_merge(deploy, head):
                raise BranchMoved(deploy.ref, deploy.sha, head.sha if head else "")
            deploy = self._merged(deploy, head)
        raise Unavailable("GitHub", "the default branch moves faster than it can be merged")

    def _still_clear(self, deploy: Deploy, environment: Environment) -> None:
        """Decides once more right before sending. Raises _NotNow when a gate has closed since."""
        outside = self._outside_of(deploy, environment)
        with self._store.write() as connection:
            deploy = self._held_in_place(connection, deploy)
            if deploy.state != states.ASKED:
                raise _NotNow  # cancelled meanwhile, or GitHub has it after all
            decision = self._decided(connection, deploy, environment, outside, fresh=False)
            if decision.outcome == CLEAR:
                if deploy.sent_at is None:
                    records.update_deploy(connection, deploy.number, sent_at=self._clock.now())
                return
            self._settle(connection, deploy, environment, decision)
            self._show(connection, deploy.number)
        raise _NotNow

    def _wait_for_checks(self, number: int, error: ChecksFailed) -> None:
        """GitHub sees a check that is not green, though we did not: it waits, and is tried again."""
        deploy = self.deploy(number)
        assert deploy is not None
        environment = self._environment(deploy)
        if environment.when_red == "refuse" and not deploy.automatic:
            self._give_up(number, states.REFUSED, problem_of(error))
            return
        with self._store.write() as connection:
            deploy = self._held_in_place(connection, deploy)
            if deploy.state != states.ASKED:
                return
            if self._clock.now() >= deploy.begun_at + environment.max_wait:  # else it would be tried without end
                self._end(connection, deploy, states.EXPIRED, problem_of(error))
                return
            told = {"checks": [[name, state, ""] for name, state in error.contexts]}
            red = Finding(CHECKS, WAITING, "github", told).as_json()
            findings = [red if item["gate"] == CHECKS else item for item in deploy.findings]
            records.update_deploy(connection, number, state=states.HELD, slot=None, findings=findings)
            self._decide_soon(connection, number, self._clock.now() + policy.LONGEST_LOOK / 3)
            self._next(connection, (deploy.app, deploy.environment))
            self._show(connection, number)

    def _new_deployment(self, deploy: Deploy, environment: Environment) -> NewDeployment:
        production = environment.production_environment
        required: Sequence[str] | None = [] if deploy.unchecked else environment.required_contexts
        with self._store.read() as connection:
            votes = gates.votes_on(connection, [deploy.number])[deploy.number]
        approved_by = [vote.user_id for vote in votes if vote.approves and vote.sha == deploy.sha]
        return NewDeployment(
            repository=deploy.repository,
            ref=deploy.ref if deploy.auto_merge else deploy.sha,
            task=deploy.task,
            environment=deploy.environment,
            auto_merge=deploy.auto_merge,
            required_contexts=required,
            production_environment=deploy.environment == "production" if production is None else production,
            transient_environment=environment.transient_environment,
            description=_description(deploy),
            payload={
                **({"deploy_user": deploy.author or deploy.user_name} if deploy.pull is not None else {}),
                **({"pull_request": deploy.pull} if deploy.preview is not None else {}),
                "user": deploy.user_name,
                "room_id": deploy.room,
                "name": deploy.app,
                "hosts": deploy.hosts,
                "ref": deploy.ref,
                "notify": {
                    "adapter": "slack",
                    "room": deploy.room,
                    "user": deploy.user_id,
                    "user_name": deploy.user_name,
                    "message_id": deploy.message_id,
                    "thread_id": deploy.thread_id,
                },
                "shipbot": {
                    "id": deploy.id,
                    "number": deploy.number,
                    "forced": deploy.forced,
                    "approved_by": approved_by,
                },
                "config": self.config.apps[deploy.app].payload,
            },
        )

    def _is_merge(self, deploy: Deploy, head: Commit) -> bool:
        """Whether `head` is the commit that was asked for with the default branch merged in, and nothing else.

        A commit that somebody pushed on top has that commit for a parent too, and nobody asked for it.
        """
        if len(head.parents) != 2 or head.parents[0] != deploy.sha:
            return False
        default = self._github.default_branch(deploy.repository)
        compared = self._github.compare(deploy.repository, default, head.parents[1])
        return compared is not None and compared.ahead == 0

    def _merged(self, deploy: Deploy, head: Commit) -> Deploy:
        """GitHub merged the default branch into the ref: the merge commit is what goes out now.

        Nobody has approved that commit yet, so where approvals are needed they are asked for anew.
        """
        with self._store.write() as connection:
            self._locked(connection, deploy.number)
            now = self._clock.now()
            records.update_deploy(connection, deploy.number, sha=head.sha, pinned_at=now)
            records.add_step(
                connection,
                deploy.number,
                "merged",
                head.sha,
                now,
                description=head.subject,
                actor=short(head.sha),
            )
            return self._show(connection, deploy.number)

    def _note(self, number: int, problem: Problem) -> None:
        """The deploy stands still for now; its card says why."""
        with self._store.write() as connection:
            if self._locked(connection, number).state != states.ASKED:
                return  # a webhook was quicker: GitHub has it after all
            records.update_deploy(connection, number, problem=problem)
            self._show(connection, number)

    def _give_up(self, number: int, state: str, problem: Problem | None) -> None:
        """The deploy ends before GitHub has told of it."""
        deploy = self.deploy(number)
        assert deploy is not None
        with self._store.write() as connection:
            deploy = self._held_in_place(connection, deploy)
            if deploy.state != states.ASKED:
                return  # a webhook was quicker: GitHub has it after all
            self._end(connection, deploy, state, problem)


def _description(deploy: Deploy) -> str:
    by = f" by {deploy.user_name}" if deploy.user_name else ""
    because = f": {deploy.reason}" if deploy.reason else ""
    text = f"{deploy.app} {deploy.ref} to {deploy.environment}{by}{because}"
    return text if len(text) <= DESCRIPTION else text[: DESCRIPTION - 1] + "…"
