"""Whatever order pushes, checks and webhooks come in: where a branch's environments end, and that nothing goes twice.

Hypothesis plays. Webhooks wait in a heap, out of which any may be delivered, once or more, early or late.
`MACHINE_EXAMPLES=500` in the environment plays that many games in the place of the few of every run.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.playground.github import Delivery
from bot.store.schema import deploys
from tests.core.games import play
from tests.front.chat import writes
from tests.world import Servers, World

pytestmark = pytest.mark.slow

CONFIG = """
apps:
  web:
    repository: acme/web
    default_ref: main
    rooms: [C0OPS]
    environments:
      staging: {required_contexts: [], auto_deploy: [{on: push, branch: main}]}
      qa: {required_contexts: [ci, lint], auto_deploy: [{on: green, branch: main}], max_wait: 30d, timeout: 20d}
"""
WEB = "acme/web"
which = st.integers(0, 99)


class Branch(RuleBasedStateMachine):
    """One game. `make` gives it a world of its own."""

    make: Callable[[], World]

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).make()
        self.shas: list[str] = []
        self.amended: set[str] = set()  # those that the branch has lost
        self.reported: dict[tuple[str, str], str] = {}
        self.heap: list[Delivery] = []

    @rule(author=st.sampled_from(("ana-gh", "ben-gh")))
    def push(self, author: str) -> None:
        self.shas.append(self.world.github.push(WEB, "main", f"Commit {len(self.shas)}", author=author))
        self.collect()

    @precondition(lambda self: self.shas)
    @rule()
    def amend(self) -> None:
        """Another commit takes the place of the newest one."""
        old, number = self.shas[-1], len(self.shas)
        parent = self.world.github.repository(WEB).commits[old].parents[0]
        self.amended.add(old)
        self.shas.append(self.world.github.push(WEB, f"scratch-{number}", f"Commit {number}", base=parent))
        self.world.github.reset_branch(WEB, "main", self.shas[-1])
        self.collect()

    @precondition(lambda self: self.shas)
    @rule(at=which, name=st.sampled_from(("ci", "lint")), good=st.sampled_from((True, True, False)), run=st.booleans())
    def report(self, at: int, name: str, good: bool, run: bool) -> None:
        """A check ends, once for each commit; `run`: as a check run, else as a commit status."""
        sha = self.shas[-1 - at % min(3, len(self.shas))]
        if (sha, name) in self.reported:
            return
        state = self.reported[sha, name] = "success" if good else "failure"
        if run:
            self.world.github.set_check_run(WEB, sha, name, conclusion=state)
        else:
            self.world.github.set_status(WEB, sha, name, state)
        self.collect()

    @precondition(lambda self: self.heap)
    @rule(at=which, again=st.booleans())
    def deliver(self, at: int, again: bool) -> None:
        """One webhook arrives, and may arrive once more later, told as another one."""
        delivery = self.heap.pop(at % len(self.heap))
        if again:
            headers = delivery.headers | {"X-GitHub-Delivery": str(uuid.uuid4())}
            self.heap.append(replace(delivery, headers=headers))
        self.arrive(delivery)

    @rule(good=st.booleans())
    def deployer_reports(self, good: bool) -> None:
        for row in self.under_way():
            self.world.github.report(WEB, row.deployment_id, "success" if good else "failure")
        self.collect()

    @rule(minutes=st.sampled_from((1, 1, 20)))
    def time_passes(self, minutes: int) -> None:
        self.world.advance(minutes=minutes)

    @rule(done=st.integers(0, 3))
    def die_at_work(self, done: int) -> None:
        if self.heap:
            self.world.github.deliver(self.heap.pop(0))
        for _ in range(done):
            self.world.bot.workers.step()
        self.world.restart()

    @invariant()
    def nothing_goes_twice(self) -> None:
        assert self.world.dead() == []
        sent = Counter((body["environment"], body["ref"]) for body in writes(self.world))
        assert all(times == 1 for times in sent.values()), sent
        for environment in ("staging", "qa"):  # and never an older one after a newer
            order = [self.shas.index(sha) for place, sha in sent if place == environment]
            assert order == sorted(order), (environment, order)

    def teardown(self) -> None:
        """When everything is told at last, each environment ends at the newest commit that may go there."""
        try:
            for _ in range(60):
                if not self.heap and not self.under_way():
                    break
                for delivery in self.heap[::-1]:
                    self.heap.remove(delivery)
                    self.arrive(delivery)
                self.world.advance(seconds=20)
                self.deployer_reports(good=True)
            self.world.advance(minutes=16)
            self.nothing_goes_twice()
            assert not self.under_way()
            if self.shas:
                assert self.newest("staging") == self.shas[-1]
            green = [
                sha for sha in self.shas if all(self.reported.get((sha, name)) == "success" for name in ("ci", "lint"))
            ]
            # One that was amended goes where it was green and asked for before that was heard of.
            may = [sha for sha in green if sha not in self.amended][-1:] or [None]
            later = green[green.index(may[0]) + 1 :] if may[0] else green
            assert self.newest("qa") in [*may, *later]
        finally:
            self.world.close()

    # looking

    def collect(self) -> None:
        self.heap += self.world.github.pending
        self.world.github.pending.clear()

    def arrive(self, delivery: Delivery) -> None:
        self.world.github.deliver(delivery)
        self.world.settle()
        self.collect()

    def is_green(self, sha: str) -> bool:
        return all(self.reported.get((sha, name)) == "success" for name in ("ci", "lint"))

    def under_way(self) -> list[sa.Row]:  # type: ignore[type-arg]
        with self.world.store.read() as connection:
            query = sa.select(deploys).where(deploys.c.slot.is_not(None), deploys.c.deployment_id.is_not(None))
            return list(connection.execute(query))

    def newest(self, environment: str) -> str | None:
        """The commit that went there last."""
        gone = [body["ref"] for body in writes(self.world) if body["environment"] == environment]
        return gone[-1] if gone else None


def test_whatever_happens_to_a_branch(servers: Servers, migrated_sqlite: Path, tmp_path: Path) -> None:
    play(Branch, CONFIG, servers, migrated_sqlite, tmp_path, steps=30)
