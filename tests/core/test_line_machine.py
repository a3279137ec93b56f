"""Whatever people, deployers, GitHub and the clock do, in whatever order: what holds of gates and line holds.

Hypothesis plays; after every step the rows and GitHub's record are looked at. `MACHINE_EXAMPLES=500` in the
environment plays that many games in the place of the few that every run of the tests can afford.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bot.deploys import states
from bot.store.schema import deploys, locks, timeline, votes
from tests.core.games import play
from tests.front.chat import writes
from tests.world import Servers, World

pytestmark = pytest.mark.slow

CONFIG = """
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      staging: {required_contexts: [], when_locked: wait, max_wait: 6h, timeout: 1h}
      production:
        required_contexts: []
        approvals: {required: 2, expires: 4h}
        max_wait: 6h
        timeout: 1h
      canary: {after: [staging], required_contexts: [ci/build], when_locked: wait, max_wait: 6h, timeout: 1h}
"""
PEOPLE = ("U0ANA", "U0BEN", "U0CAL")
REQUIRED = {"production": 2}

Rows = Sequence[sa.Row[Any]]

people = st.sampled_from(PEOPLE)
places = st.sampled_from(("staging", "production", "canary"))
REFS = ("main", "topic", "fix", "docs")

refs = st.sampled_from(REFS)
which = st.integers(0, 9)


class Line(RuleBasedStateMachine):
    """One game. `make` gives it a world of its own."""

    make: Callable[[], World]

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).make()
        self.over: dict[int, str] = {}
        self.seen = 0
        self.locked: dict[int, sa.Row[Any]] = {}

    # what people do

    @initialize(
        green=st.booleans(), wanted=st.lists(st.tuples(people, refs, places, st.booleans()), min_size=3, max_size=7)
    )
    def begin(self, green: bool, wanted: list[tuple[str, str, str, bool]]) -> None:
        for ref in REFS:
            sha = self.world.github.push("acme/web", ref, f"Change {ref}")
            self.world.github.set_status("acme/web", sha, "ci/build", "success" if green else "pending")
        self.world.deliver()
        for who, ref, place, agreed in wanted:
            self.request(who, ref, place, "")
            if agreed and self.open():
                self.all_approve(-1)

    @rule(who=people, ref=refs, place=places, force=st.sampled_from(("", "", "!")))
    def request(self, who: str, ref: str, place: str, force: str) -> None:
        self.world.say(who, f"/deploy web/{ref}{force} to {place}")

    @precondition(lambda self: self.open())
    @rule(who=people, at=which)
    def approve(self, who: str, at: int) -> None:
        self.world.say(who, f"/deploy approve {self.one(at)}")

    @precondition(lambda self: self.open())
    @rule(at=which)
    def all_approve(self, at: int) -> None:
        number = self.one(at)
        for who in PEOPLE:
            self.world.say(who, f"/deploy approve {number}")

    @precondition(lambda self: self.open())
    @rule(who=people, at=which)
    def reject(self, who: str, at: int) -> None:
        self.world.say(who, f"/deploy reject {self.one(at)} because no")

    @precondition(lambda self: self.open())
    @rule(who=people, at=which)
    def cancel(self, who: str, at: int) -> None:
        self.world.say(who, f"/deploy cancel {self.one(at)}")

    @rule(
        who=people, place=st.sampled_from((" in staging", " in production", "")), more=st.sampled_from(("", " for 2h"))
    )
    def lock(self, who: str, place: str, more: str) -> None:
        self.world.say(who, f"/deploy lock web{place}{more}")

    @precondition(lambda self: self.locked)
    @rule(who=people, at=which)
    def steal(self, who: str, at: int) -> None:
        environment = list(self.locked.values())[at % len(self.locked)].environment
        self.world.say(who, f"/deploy lock web {f'in {environment} ' if environment else ''}because mine !")

    @precondition(lambda self: self.locked)
    @rule(who=people, at=which)
    def unlock(self, who: str, at: int) -> None:
        environment = list(self.locked.values())[at % len(self.locked)].environment
        self.world.say(who, f"/deploy unlock web{f' in {environment}' if environment else ''}")

    @precondition(lambda self: self.locked)
    @rule(who=people)
    def unlock_all(self, who: str) -> None:
        self.world.say(who, "/deploy unlock all")

    @rule(ref=refs, state=st.sampled_from(("success", "failure")))
    def push(self, ref: str, state: str) -> None:
        sha = self.world.github.push("acme/web", ref, "More")
        self.world.github.set_status("acme/web", sha, "ci/build", state)
        self.world.deliver()

    # what deployers, GitHub, the machine and the clock do

    @precondition(lambda self: self.world.github.deployments("acme/web"))
    @rule(
        at=st.sampled_from((0, 0, 0, 1, 2)),
        state=st.sampled_from(("in_progress", "success", "success", "failure", "error", "queued")),
        told=st.booleans(),
    )
    def status(self, at: int, state: str, told: bool) -> None:
        made = self.world.github.deployments("acme/web")
        self.world.github.report("acme/web", made[at % len(made)]["id"], state)
        if told:
            self.deliver()

    @precondition(lambda self: self.world.github.deployments("acme/web"))
    @rule(state=st.sampled_from(("success", "success", "failure")))
    def one_ends(self, state: str) -> None:
        self.status(0, state, True)

    @rule()
    def deliver(self) -> None:
        self.world.deliver()

    @precondition(lambda self: self.world.github.deliveries)
    @rule(at=which)
    def deliver_again(self, at: int) -> None:
        self.world.github.redeliver(self.world.github.deliveries[-1 - at % len(self.world.github.deliveries)])
        self.world.deliver()

    @rule(
        fault=st.sampled_from(({"status": 502}, {"drop": "before"}, {"drop": "after"})), times=st.sampled_from((1, 12))
    )
    def github_fails(self, fault: dict[str, Any], times: int) -> None:
        self.world.github.fail("POST", "/repos/acme/web/deployments", **fault, times=times)

    @rule(minutes=st.sampled_from((1, 3, 20, 20, 61, 300)))
    def time_passes(self, minutes: int) -> None:
        self.world.advance(minutes=minutes)

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @rule(who=people, ref=refs, place=places, done=st.integers(0, 4))
    def die_at_work(self, who: str, ref: str, place: str, done: int) -> None:
        """The bot has taken a command in, and dies after a few of the jobs that follow from it."""
        self.world.slack.say(who, "C0OPS", f"/deploy web/{ref} to {place}")
        for _ in range(done):
            self.world.bot.workers.step()
        self.world.restart()

    # what holds after every step

    @invariant()
    def all_is_well(self) -> None:
        assert self.world.dead() == []
        assert self.world.slack.violations == []
        with self.world.store.read() as connection:
            rows = connection.execute(sa.select(deploys).order_by(deploys.c.number)).all()
            lost = connection.execute(sa.select(timeline.c.deploy).where(timeline.c.state == states.LOST)).scalars()
            were_lost = set(lost)
            said = connection.execute(sa.select(votes)).all()
            holding = connection.execute(sa.select(locks).where(locks.c.scope.is_not(None))).all()
        self.one_at_a_time(rows, were_lost)
        self.sent_with_its_gates(rows, said, holding)
        now = {row.number: row.state for row in rows}
        assert {number: now[number] for number in self.over} == self.over
        self.over = {number: state for number, state in now.items() if state in states.FINAL}

    def one_at_a_time(self, rows: Rows, were_lost: set[int]) -> None:
        """One deploy has the slot of its place, and nobody stands in line where nobody has it."""
        busy = {row.environment for row in rows if row.slot is not None}
        under_way: dict[str, list[int]] = {}
        for row in rows:
            if row.slot is not None:
                assert row.slot == f"web {row.environment}"
                assert row.state not in (states.HELD, states.LOST, *states.FINAL), row
            if row.state == states.ASKED:
                assert row.slot is not None, row
            if row.in_line:
                assert row.state == states.HELD, row
                assert row.environment in busy, row
            if row.state not in (states.HELD, *states.FINAL) and row.number not in were_lost:
                under_way.setdefault(row.environment, []).append(row.number)
        assert all(len(numbers) == 1 for numbers in under_way.values()), under_way

    def sent_with_its_gates(self, rows: Rows, said: Rows, holding: Rows) -> None:
        """What GitHub was asked for in this step had its approvals, and nobody else's lock was on its place."""
        known = {row.number: row for row in rows}
        sent = writes(self.world)
        for body in sent[self.seen :]:
            told = body["payload"]["shipbot"]
            deploy = known[told["number"]]
            assert body["ref"] == deploy.sha
            agreed = {vote.user_id for vote in said if (vote.deploy, vote.sha) == (deploy.number, body["ref"])}
            assert set(told["approved_by"]) <= agreed - {deploy.user_id}
            assert len(set(told["approved_by"])) >= REQUIRED.get(deploy.environment, 0), deploy
            for lock in holding:  # one that held before this step and holds after it held while it was sent
                if lock.id in self.locked and lock.environment in (None, deploy.environment):
                    assert lock.user_id == deploy.user_id, (lock, deploy)
        self.seen = len(sent)
        self.locked = {lock.id: lock for lock in holding}

    def teardown(self) -> None:
        """When nobody does anything any more, every deploy comes to an end."""
        try:
            self.world.deliver()
            for _ in range(9):
                self.world.advance(minutes=61)
            self.all_is_well()
            assert [row for row in self.rows() if row.state not in (states.LOST, *states.FINAL)] == []
        finally:
            self.world.close()

    # looking

    def rows(self) -> Rows:
        with self.world.store.read() as connection:
            return connection.execute(sa.select(deploys).order_by(deploys.c.number)).all()

    def open(self) -> list[int]:
        return [row.number for row in self.rows() if row.state not in states.FINAL]

    def one(self, at: int) -> int:
        """One of the deploys that are not over."""
        numbers = self.open()
        return numbers[at % len(numbers)]


def test_whatever_happens(servers: Servers, migrated_sqlite: Path, tmp_path: Path) -> None:
    play(Line, CONFIG, servers, migrated_sqlite, tmp_path, steps=25)
