"""Looking at GitHub for what its webhooks may not have told: how deployments stand, and where branches are."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import structlog

from bot.deploys import rules, states
from bot.deploys.errors import PersonError, Unavailable
from bot.deploys.events import Pushed, Status
from bot.deploys.model import Deploy
from bot.service.automating import PATIENCE
from bot.service.core import HEAD, LOOK, LOOK_AGAIN, RARELY
from bot.service.scheduling import Scheduling
from bot.store import branches, jobs, records

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

SELDOM = timedelta(minutes=15)  # between looks at a deployment that nothing is heard of
LOOKED_AFTER = timedelta(days=1)  # one that was lost, or that others made and never report on
A_SECOND = 10  # looks that a start begins each second; GitHub allows some fifteen of its readers
TOLD_FIRST = timedelta(seconds=30)  # for the webhook of a push, sent once more, to say whose it was
BRANCHES = 200  # whose heads are looked at after a start, of those that something was heard of last
QUIET = timedelta(seconds=20)  # in which a GitHub that has just not answered is not asked by any other look


class Looking(Scheduling):
    """The verbs `start` (with the looks), `look` and `look_at_head`."""

    @functools.cached_property
    def _quiet(self) -> dict[str, datetime]:
        """Until when an owner's repositories are left alone. Each process finds out by itself."""
        return {}

    def start(self) -> None:
        """Leaves the jobs that a start calls for: whatever was told while nobody was here is to be learned now."""
        super().start()
        now = self._clock.now()
        with self._store.write() as connection:
            # Those that were lost are among the first. Who dies again and again looks once a minute all the same.
            looked = {told["deploy"]: told["looked"] for told in jobs.waiting(connection, LOOK)}
            numbers = {*looked, *records.open_at_github(connection, since=now - LOOKED_AFTER)}
            for index, number in enumerate(sorted(numbers, reverse=True)):
                last = looked.get(number)
                soonest = datetime.fromisoformat(last) + LOOK_AGAIN if last else now
                self._look_at(connection, number, max(now + turn(index), soonest))
            watched = [
                branch
                for branch in branches.newest(connection, BRANCHES)
                if branch.heard_sha and rules.of_branch(self.config, branch.repository, branch.name)
            ]
            for index, branch in enumerate(watched):
                job = jobs.new_job(
                    HEAD,
                    {"branch": branch.id, "sha": ""},
                    subject=f"head:{branch.id}",
                    run_at=now + TOLD_FIRST + turn(index),
                    priority=jobs.BACKGROUND,
                )
                jobs.add(connection, job, now)

    def look(self, number: int, etag: str = "") -> None:
        """Reads how a deploy under way stands at GitHub and takes in what is new, as if webhooks had told it.

        `etag` is of the answer that was taken in last. The next look is after a minute where something was new, else
        after as long again as nothing was heard, at most a quarter of an hour. Raises TryLater while GitHub can't be
        asked.
        """
        deploy = self.deploy(number)
        if deploy is None or deploy.final or self._looked_after_enough(deploy):
            return
        try:
            with self._unless_quiet(deploy.repository):
                etag, fresh = self._learn(deploy, etag)
        except PersonError as error:  # it may not be read, or is gone: its deadline ends it
            log.info("look_refused", reason=repr(error))
            fresh = False
        now = self._clock.now()
        with self._store.write() as connection:
            deploy = self._locked(connection, number)
            if deploy.final:
                return
            if deploy.state == states.LOST:
                wait = RARELY
            elif fresh:
                wait = LOOK_AGAIN
            else:
                heard_at = records.heard_at(connection, number) or deploy.created_at or deploy.asked_at
                wait = min(max(now - heard_at, LOOK_AGAIN), SELDOM)
            self._look_at(connection, number, now + wait, etag=etag, looked=now)

    def look_at_head(self, number: int, seen: str = "") -> None:
        """Takes in where a branch that rules look at is, as if its push had been told, where that was not.

        `seen` is where it was when it was first found to have moved: a webhook may be on its way, so that is given its
        time. Raises TryLater while GitHub can't be asked.
        """
        with self._store.read() as connection:
            branch = branches.branch(connection, number)
        if branch is None or not rules.of_branch(self.config, branch.repository, branch.name):
            return
        repository = self._spelling(branch.repository)
        try:
            with self._unless_quiet(repository):
                head = self._github.branch_head(repository, branch.name)
        except PersonError as error:
            log.info("look_refused", reason=repr(error))
            return
        if head is None or head.sha == branch.heard_sha:
            return
        if head.sha != seen:
            now = self._clock.now()
            again = {"branch": number, "sha": head.sha}
            job = jobs.new_job(HEAD, again, subject=f"head:{number}", run_at=now + PATIENCE, priority=jobs.BACKGROUND)
            with self._store.write() as connection:
                jobs.add(connection, job, now)
            return
        # By whom is not known: who wrote a commit anybody can say.
        self.on_event(Pushed(branch.repository, branch.name, "", head.sha, login="", message=head.message))

    def _looked_after_enough(self, deploy: Deploy) -> bool:
        if deploy.state == states.LOST:
            since = deploy.finished_at or deploy.asked_at
        elif deploy.deadline_at is not None:
            return False  # that ends it
        else:
            since = deploy.created_at or deploy.asked_at
        return self._clock.now() >= since + LOOKED_AFTER

    def _learn(self, deploy: Deploy, etag: str) -> tuple[str, bool]:
        """Asks GitHub and takes in what it says. Returns the tag of its answer, and whether that was anything new."""
        if deploy.deployment_id is None:
            if deploy.state != states.LOST or deploy.sent_at is None:
                return "", False
            found = self._github.find_deployment(deploy.repository, deploy.environment, deploy.task, deploy.id)
            if found is None:
                return "", False
            deploy = self._take_in(found, (), announce=True) or deploy
            if deploy.deployment_id is None:
                return "", False
        answer = self._github.statuses_unless(deploy.repository, deploy.deployment_id, etag)
        if answer is None:
            return etag, False
        statuses, etag = answer
        return etag, self._take_in_missed(deploy, statuses)

    def _take_in_missed(self, deploy: Deploy, statuses: Sequence[Status]) -> bool:
        """The way of every status, for those that no webhook has told. Returns whether there were any."""
        with self._store.read() as connection:
            known = records.known_statuses(connection, deploy.number)
        missed = sorted((status for status in statuses if status.id not in known), key=lambda status: status.id)
        if not missed:
            return False
        log.info("missed", deploy=deploy.number, statuses=len(missed))
        with self._store.write() as connection:
            self._hear(connection, deploy, missed)
        return True

    @contextlib.contextmanager
    def _unless_quiet(self, repository: str) -> Iterator[None]:
        """Asks GitHub inside, unless it has just not answered: there may be a thousand looks."""
        owner = repository.partition("/")[0].casefold()
        until = self._quiet.get(owner)
        if until is not None and self._clock.now() < until:
            raise Unavailable("GitHub", "it has just not answered", until)
        try:
            yield
        except Unavailable:
            self._quiet[owner] = self._clock.now() + QUIET
            raise


def turn(index: int) -> timedelta:
    """When it is the turn of one of many."""
    return timedelta(seconds=index // A_SECOND)
