"""What the config's rules ask for when a branch moves, a tag is set or a pull request is merged.

An event only says where to look. What is to be there is worked out from how things are then, so that events may come
twice, late and in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from bot.deploys import policy, rules, states
from bot.deploys.errors import PersonError
from bot.deploys.events import PullRequest, Pushed
from bot.deploys.model import GREEN, MERGE, RULE, Commit, Deploy, Wanted
from bot.deploys.rules import Intent
from bot.service.asking import Asking
from bot.service.core import BRANCH
from bot.store import branches, gates, jobs, records
from bot.store.branches import Branch, Move

PATIENCE = timedelta(seconds=10)  # for the webhook of a push whose commit GitHub shows already
FAR_BACK = 20  # deploys of a branch among which a commit that is told late finds its place

NOT_GONE = frozenset({states.REFUSED, states.EXPIRED, states.CANCELLED})


class Automating(Asking):
    """The verb `look_at_branch`, and what is heard of branches and tags."""

    def look_at_branch(self, number: int) -> None:
        """Asks for what the rules want of a branch as it is now. Raises TryLater while GitHub can't be asked."""
        with self._store.read() as connection:
            branch = branches.branch(connection, number)
            moves = branches.moves_of(connection, number)
        assert branch is not None
        wanted = rules.of_branch(self.config, branch.repository, branch.name)
        head = None
        if wanted:
            head = self._github.branch_head(self._spelling(branch.repository), branch.name)
        if head is None:  # it was deleted, or no rule is about it any more
            with self._store.write() as connection:
                branches.forget_moves(connection, moves)
            return
        untold = head.sha != branch.heard_sha and self._clock.now() < branch.heard_at + PATIENCE
        if untold:
            with self._store.write() as connection:  # who pushed it is told in a moment
                self._look(connection, number, branch.heard_at + PATIENCE)
        repository = self._spelling(branch.repository)
        stand = [move for move in moves if (move.merged or not untold) and self._stands(repository, head, move)]
        for intent in wanted:
            if not untold or intent.cause == MERGE:
                for move in _candidates(intent, head, stand, self._clock.now()):
                    self._bring(intent, branch, move, head.sha)
        if not untold:  # else all of them are looked at once more, and what was asked for stays so
            with self._store.write() as connection:
                branches.forget_moves(connection, moves)

    def _heard_push(self, pushed: Pushed) -> None:
        if pushed.tag:
            self._heard_tag(pushed)
        elif pushed.sha and rules.of_branch(self.config, pushed.repository, pushed.branch):
            now = self._clock.now()
            with self._store.write() as connection:
                number = branches.heard(connection, pushed.repository, pushed.branch, now, pushed.sha)
                if not rules.skips(pushed.message):
                    branches.add_move(connection, number, pushed.sha, pushed.login, now)
                self._look(connection, number)

    def _heard_merge(self, pull: PullRequest) -> None:
        if not pull.merge_sha or pull.merged_at is None:
            return
        if rules.of_branch(self.config, pull.repository, pull.base):
            sha, by = pull.merge_sha, pull.merged_by
            with self._store.write() as connection:
                number = branches.heard(connection, pull.repository, pull.base, self._clock.now())
                branches.add_move(
                    connection, number, sha, by, pull.merged_at, merged=True, pull=pull.number, author=pull.author
                )
                self._look(connection, number)

    def _heard_tag(self, pushed: Pushed) -> None:
        wanted = rules.of_tag(self.config, pushed.repository, pushed.tag)
        if not pushed.sha or not wanted or rules.skips(pushed.message) or self._tag_has_moved(pushed):
            return
        for intent in wanted:
            place = (intent.app, intent.environment)
            with self._store.read() as connection:
                before = next(iter(records.by_rule(connection, *place, ref=pushed.tag, limit=1)), None)
                live = records.live(connection, *place, whole=True)
                running = gates.running(connection, *place)
            if before is not None and before.sha == pushed.sha:
                continue  # it is told once more
            if live is not None and live.sha == pushed.sha and running is None:
                continue  # two tags of one commit are one deploy
            wish = Wanted(
                f"{intent.app}/{pushed.tag}", intent.environment, sha=pushed.sha, cause=intent.cause, origin=RULE
            )
            # A tag may be set back to where it was.
            source = f"tag:{intent.app}:{intent.environment}:{pushed.tag}:{before.number if before else 0}:{pushed.sha}"
            self._by_rule(intent.environment, wish, self.people.asker_of(pushed.login), source=source)

    def _tag_has_moved(self, pushed: Pushed) -> bool:
        """Whether it is somewhere else by now, or gone, which is told by itself."""
        try:
            found = self._github.commit(self._spelling(pushed.repository), f"tags/{pushed.tag}")
        except PersonError:  # asking for the deploy says what is wrong
            return False
        return found is None or found.sha != pushed.sha

    def _checks_of_expired(self, late: Sequence[Deploy]) -> None:
        """A commit whose checks took longer than anybody waits goes once they are green all the same."""
        for deploy in filter(_gave_up_on_checks, late):
            with self._store.write() as connection:
                number = branches.known(connection, deploy.repository, deploy.ref)
                if number is not None:  # else it was a tag
                    branches.add_move(connection, number, deploy.sha, deploy.login, self._clock.now())
                    self._look(connection, number)

    def _look(self, connection: sa.Connection, number: int, at: datetime | None = None) -> None:
        job = jobs.new_job(BRANCH, {"branch": number}, subject=f"branch:{number}", run_at=at)
        jobs.add(connection, job, self._clock.now())

    def _stands(self, repository: str, head: Commit, move: Move) -> bool:
        """Whether a commit is in its branch as that is now, and does not skip. A push says itself whether it does; of a
        merge only its commit knows."""
        if move.sha != head.sha:  # it may have been amended since, or the merge told of be one of long ago
            compared = self._github.compare(repository, head.sha, move.sha)
            if compared is None or compared.ahead:
                return False
        if not move.merged:
            return True
        try:
            commit = head if move.sha == head.sha else self._github.commit(repository, move.sha)
        except PersonError:  # asking for the deploy says what is wrong
            return True
        return commit is None or not rules.skips(commit.message)

    def _bring(self, intent: Intent, branch: Branch, move: Move, head: str) -> None:
        """Sees to it that an environment comes to a commit of the branch, unless that was asked for before."""
        place = (intent.app, intent.environment)
        with self._store.read() as connection:
            past = records.by_rule(connection, *place, ref=branch.name, limit=FAR_BACK)
            live = records.live(connection, *place, whole=True)
            running = gates.running(connection, *place)
            in_line = gates.held(connection, places=[place], in_line=True)
            if move.sha != head:
                asked = next((deploy for deploy in past if deploy.sha == move.sha), None)
            else:  # a branch may come back to where it was
                since = past[0].number if past else 0
                asked = records.asked(connection, *place, branch.name, head, since=since)
        if asked is not None and not self._turned_green(asked):
            return
        rank = None
        if move.sha != head:
            # What people asked for has no place among those of the branch, and may have brought it there all the same.
            others = {
                deploy.number: deploy for deploy in (live, running, *in_line) if deploy is not None and deploy.whole
            }
            for deploy in past:
                others.pop(deploy.number, None)
            try:
                self._not_in([deploy for deploy in others.values() if deploy.sha != move.sha], move.sha)
                rank = self._rank([deploy for deploy in past if deploy.sha != move.sha], move.sha)
            except _Older:
                return
        if live is not None and live.sha == move.sha and running is None:
            with self._store.write() as connection:  # it is there, so nothing else of the branch is to come after it
                gates.claim(connection, [place])
                self._supersede(connection, (*place, branch.name, "deploy", ""), rank, live)
            return
        wish = Wanted(
            f"{intent.app}/{branch.name}",
            intent.environment,
            sha=move.sha,
            cause=intent.cause,
            origin=RULE,
            pull=move.pull,
            author=move.author,
            rank=rank,
        )
        before = asked or (past[0] if past else None)
        source = f"branch:{intent.app}:{intent.environment}:{move.sha}:{before.number if before else 0}"
        self._by_rule(intent.environment, wish, self.people.asker_of(move.login), source=source)

    def _turned_green(self, asked: Deploy) -> bool:
        """Whether a deploy that was given up since its checks took too long could go now."""
        if not _gave_up_on_checks(asked):
            return False
        environment = self._environment(asked)
        reported = self._github.checks(asked.repository, asked.sha)
        return policy.is_green(environment, reported, some=True)

    def _not_in(self, there: Sequence[Deploy], sha: str) -> None:
        """Raises _Older when a commit is in what is live, or on its way."""
        for deploy in there:
            compared = self._github.compare(deploy.repository, deploy.sha, sha)
            if compared is not None and not compared.ahead:
                raise _Older

    def _rank(self, past: Sequence[Deploy], sha: str) -> float | None:
        """Where a commit that is not the branch's head stands among the deploys of the branch, the newest of which
        is the first: below all that hold it too; None above all.

        Raises _Older when it is in something that has gone already, or that waits for no checks any more.
        """
        above: Deploy | None = None
        for deploy in past:
            compared = self._github.compare(deploy.repository, deploy.sha, sha)
            if compared is None or compared.ahead:
                return (above.standing + deploy.standing) / 2 if above is not None else None
            if deploy.state not in NOT_GONE and (deploy.state != states.HELD or policy.checked(deploy.findings)):
                raise _Older
            above = deploy
        return above.standing - 0.5 if above is not None else None


class _Older(Exception):
    """A commit is in something newer that goes, or has gone."""


def _gave_up_on_checks(deploy: Deploy) -> bool:
    """Whether it waited for as long as anybody does, and not for approvals, which nobody gave."""
    ended = deploy.problem is not None and deploy.problem.code == "Ended"  # by a gate
    return deploy.state == states.EXPIRED and deploy.cause == GREEN and not ended


def _candidates(intent: Intent, head: Commit, moves: Sequence[Move], now: datetime) -> Iterator[Move]:
    """What the environment might come to, the newest first."""
    merges = {move.sha: move for move in moves if move.merged}
    if intent.cause == MERGE:
        yield from merges.values()
        return
    pushes = {move.sha: move for move in moves if not move.merged}
    if not rules.skips(head.message):
        # Who wrote a commit anybody can say; who pushed it GitHub does.
        pushes = {head.sha: pushes.get(head.sha) or Move(0, head.sha, False, "", None, "", now)} | pushes
    for sha, move in pushes.items():
        merge = merges.get(sha)
        if merge is not None:
            move = replace(move, login=move.login or merge.login, pull=merge.pull, author=merge.author)
        yield move
