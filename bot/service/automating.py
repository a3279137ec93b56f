"""What the config's rules ask for when a branch moves, a tag is set or a pull request is merged.

An event only says where to look. Then what is to be there is worked out from how things are, so that events may come
twice, late and in any order.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from bot.deploys import policy, rules, states
from bot.deploys.events import ChecksChanged, PullRequest, Pushed
from bot.deploys.model import GREEN, MERGE, RULE, Asker, Deploy, Wanted
from bot.deploys.rules import Intent
from bot.service.asking import Asking
from bot.service.core import BRANCH
from bot.store import branches, gates, jobs, records
from bot.store.branches import Branch

PATIENCE = timedelta(seconds=10)  # for the webhook of a push whose commit GitHub shows already


class Automating(Asking):
    """The verb `look_at_branch`, and what is heard of branches and tags."""

    def look_at_branch(self, number: int) -> None:
        """Asks for what the rules want of a branch as it is now. Raises TryLater while GitHub can't be asked."""
        with self._store.read() as connection:
            branch = branches.branch(connection, number)
        assert branch is not None
        wanted = rules.of_branch(self.config, branch.repository, branch.name)
        if not wanted:
            return
        repository = self.config.apps[wanted[0].app].repository
        head = self._github.branch_head(repository, branch.name)
        if head is None:
            return  # it was deleted
        untold = head.sha != branch.heard_sha and self._clock.now() < branch.heard_at + PATIENCE
        if untold:
            with self._store.write() as connection:  # who pushed it is told in a moment
                self._look(connection, number, branch.heard_at + PATIENCE)
        skipped = rules.skips(head.message)
        for intent in wanted:
            if intent.cause == MERGE:
                sha, asker = branch.merged_sha, self.people.asker_of(branch.merged_by)
            elif untold:
                continue
            else:
                sha = branch.pushed_sha if skipped else head.sha
                # Who wrote a commit anybody can say; who pushed it GitHub does.
                asker = self.people.asker_of(branch.pushed_by if sha == branch.pushed_sha else "")
            if sha:
                wish = Wanted(
                    f"{intent.app}/{branch.name}", intent.environment, sha=sha, cause=intent.cause, origin=RULE
                )
                if sha == branch.merged_sha:
                    wish = replace(wish, pull=branch.pull, author=branch.author)
                self._bring(intent, branch, wish, asker, head=head.sha)

    def _bring(self, intent: Intent, branch: Branch, wish: Wanted, asker: Asker, *, head: str) -> None:
        """Sees to it that an environment comes to a commit of the branch, unless that was asked for before."""
        place = (intent.app, intent.environment)
        with self._store.read() as connection:
            last = records.newest_by_rule(connection, *place, ref=branch.name)
            asked = records.asked(connection, *place, branch.name, wish.sha, since=last.number if last else 0)
            live = records.live(connection, *place, whole=True)
            running = gates.running(connection, *place)
        if asked is not None and not self._turned_green(asked):
            return
        if asked is None and last is not None and wish.sha != head and not self._is_newer(last, wish.sha):
            return  # an older commit, told late
        if live is not None and live.sha == wish.sha and running is None:
            with self._store.write() as connection:  # it is there, so nothing else of the branch is to come after it
                gates.claim(connection, [place])
                self._supersede(connection, replace(live, origin=RULE, ref=branch.name), live)
            return
        source = f"branch:{intent.app}:{intent.environment}:{wish.sha}:{last.number if last else 0}"
        self._by_rule(intent.environment, wish, asker, source=source)

    def _turned_green(self, asked: Deploy) -> bool:
        """Whether a deploy that was given up since its checks took too long could go now."""
        if asked.state != states.EXPIRED or asked.cause != GREEN:
            return False
        environment = self._environment(asked)
        reported = self._github.checks(asked.repository, asked.sha)
        return policy.is_green(environment, reported, some=True)

    def _is_newer(self, last: Deploy, sha: str) -> bool:
        """Whether a commit has anything that the last deploy by rule had not."""
        compared = self._github.compare(last.repository, last.sha, sha)
        return compared is not None and compared.ahead > 0

    def _heard_push(self, pushed: Pushed) -> None:
        if pushed.tag:
            self._heard_tag(pushed)
        elif pushed.sha and rules.of_branch(self.config, pushed.repository, pushed.branch):
            with self._store.write() as connection:
                asks = not rules.skips(pushed.message)
                number = branches.push(connection, pushed, asks=asks, now=self._clock.now())
                self._look(connection, number)

    def _heard_merge(self, pull: PullRequest) -> None:
        wanted = rules.of_branch(self.config, pull.repository, pull.base)
        if pull.merge_sha and any(intent.cause == MERGE for intent in wanted):
            with self._store.write() as connection:
                self._look(connection, branches.merge(connection, pull, self._clock.now()))

    def _heard_tag(self, pushed: Pushed) -> None:
        if not pushed.sha or rules.skips(pushed.message):
            return
        for intent in rules.of_tag(self.config, pushed.repository, pushed.tag):
            wish = Wanted(
                f"{intent.app}/{pushed.tag}", intent.environment, sha=pushed.sha, cause=intent.cause, origin=RULE
            )
            # Which tag it was is no part of it: two tags of one commit are one deploy.
            source = f"tag:{intent.app}:{intent.environment}:{pushed.sha}"
            self._by_rule(intent.environment, wish, self.people.asker_of(pushed.login), source=source)

    def _heard_checks(self, event: ChecksChanged) -> None:
        """A commit whose checks took longer than anybody waits goes once they are green all the same."""
        with self._store.read() as connection:
            late = records.expired(connection, event.repository, event.sha, cause=GREEN)
        for deploy in late:
            with self._store.write() as connection:
                number = branches.number(connection, deploy.repository, deploy.ref)
                if number is not None:  # else it was a tag
                    self._look(connection, number)

    def _look(self, connection: sa.Connection, number: int, at: datetime | None = None) -> None:
        job = jobs.new_job(BRANCH, {"branch": number}, subject=f"branch:{number}", run_at=at)
        jobs.add(connection, job, self._clock.now())
