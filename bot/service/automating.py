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
        for intent in wanted:
            if not untold or intent.cause == MERGE:
                for move in _candidates(intent, head, moves, self._clock.now()):
                    self._bring(intent, branch, move, head.sha)
        with self._store.write() as connection:
            branches.forget_moves(connection, [move for move in moves if not untold or move.merged])

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
        if not pushed.sha or rules.skips(pushed.message):
            return
        for intent in rules.of_tag(self.config, pushed.repository, pushed.tag):
            wish = Wanted(
                f"{intent.app}/{pushed.tag}", intent.environment, sha=pushed.sha, cause=intent.cause, origin=RULE
            )
            # Which tag it was is no part of it: two tags of one commit are one deploy.
            source = f"tag:{intent.app}:{intent.environment}:{pushed.sha}"
            self._by_rule(intent.environment, wish, self.people.asker_of(pushed.login), source=source)

    def _checks_of_expired(self, late: Sequence[Deploy]) -> None:
        """A commit whose checks took longer than anybody waits goes once they are green all the same."""
        for deploy in late:
            with self._store.write() as connection:
                number = branches.known(connection, deploy.repository, deploy.ref)
                if number is not None:  # else it was a tag
                    branches.add_move(connection, number, deploy.sha, deploy.login, self._clock.now())
                    self._look(connection, number)

    def _look(self, connection: sa.Connection, number: int, at: datetime | None = None) -> None:
        job = jobs.new_job(BRANCH, {"branch": number}, subject=f"branch:{number}", run_at=at)
        jobs.add(connection, job, self._clock.now())

    def _bring(self, intent: Intent, branch: Branch, move: Move, head: str) -> None:
        """Sees to it that an environment comes to a commit of the branch, unless that was asked for before."""
        place = (intent.app, intent.environment)
        with self._store.read() as connection:
            past = records.by_rule(connection, *place, ref=branch.name, limit=FAR_BACK)
            live = records.live(connection, *place, whole=True)
            running = gates.running(connection, *place)
            if move.sha != head:
                asked = next((deploy for deploy in past if deploy.sha == move.sha), None)
            else:  # a branch may come back to where it was
                since = past[0].number if past else 0
                asked = records.asked(connection, *place, branch.name, head, since=since)
        if asked is not None and not self._turned_green(asked):
            return
        rank = None
        if move.sha != head:
            try:
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
        if asked.state != states.EXPIRED or asked.cause != GREEN:
            return False
        environment = self._environment(asked)
        reported = self._github.checks(asked.repository, asked.sha)
        return policy.is_green(environment, reported, some=True)

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
        yield replace(move, pull=merge.pull, author=merge.author) if merge is not None else move
