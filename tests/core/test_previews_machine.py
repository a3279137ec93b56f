"""Whatever happens to a pull request, and however GitHub tells of it: its preview ends as it should.

Hypothesis plays. `MACHINE_EXAMPLES=500` in the environment plays that many games in the place of the few that every
run of the tests can afford.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bot.playground.github import Delivery
from bot.playground.github_state import Pull
from tests.core.games import play
from tests.front.chat import cards, newest, writes
from tests.world import Servers, World

pytestmark = pytest.mark.slow

CONFIG = """
users: {U0ANA: ana-gh}
apps:
  web:
    repository: acme/web
    default_ref: main
    rooms: [C0OPS]
    previews: {label: preview, teardown_task: teardown, timeout: 30d, max_wait: 30d}
    environments: {production: {}}
"""

URL = "https://pr.example"
which = st.integers(0, 9)
OUTAGES = 3  # of a game; who is away for an hour is given up, which is another story


class Previewed(RuleBasedStateMachine):
    """One game. `make` gives it a world of its own."""

    make: Callable[[], World]

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).make()
        self.kept: list[Delivery] = []  # what GitHub has told, for it may tell so again
        self.outages = 0

    @initialize(labels=st.sampled_from(((), ("preview",))))
    def begin(self, labels: tuple[str, ...]) -> None:
        self.world.github.open_pull_request("acme/web", "topic", labels=labels)

    # what people do

    @rule()
    def push(self) -> None:
        self.world.github.push("acme/web", "topic", "More")

    @rule()
    def label(self) -> None:
        self.world.github.label("acme/web", 1, "preview")

    @rule()
    def unlabel(self) -> None:
        self.world.github.unlabel("acme/web", 1, "preview")

    @rule()
    def open_or_close(self) -> None:
        if self.pull().state == "open":
            self.world.github.close_pull_request("acme/web", 1)
        else:
            self.world.github.reopen_pull_request("acme/web", 1)

    @rule(on=st.booleans())
    def lock(self, on: bool) -> None:
        self.world.say("U0BEN", "/deploy lock web" if on else "/deploy unlock web")

    # what GitHub, deployers, the machine and the clock do

    @rule(at=which)
    def tell_one(self, at: int) -> None:
        if pending := self.world.github.pending:
            self.tell(pending[at % len(pending)])

    @rule(at=which)
    def tell_again(self, at: int) -> None:
        if self.kept:
            self.world.github.redeliver(self.kept[at % len(self.kept)])
            self.world.deliver()

    @rule()
    def tell_all(self) -> None:
        for delivery in list(self.world.github.pending):
            self.tell(delivery)

    @rule(at=which)
    def one_succeeds(self, at: int) -> None:
        if made := self.unfinished():
            self.world.github.report("acme/web", made[at % len(made)], "success", environment_url=URL)

    @precondition(lambda self: self.outages < OUTAGES)
    @rule(fault=st.sampled_from(({"status": 502}, {"drop": "after"})), what=st.sampled_from(("pulls/1", "deployments")))
    def github_fails(self, fault: dict[str, Any], what: str) -> None:
        self.outages += 1
        self.world.github.fail("GET" if what == "pulls/1" else "POST", f".*/{what}", **fault, times=2)

    @precondition(lambda self: self.outages < OUTAGES)
    @rule(fault=st.sampled_from(("before", "after")))
    def slack_fails(self, fault: Any) -> None:
        self.outages += 1
        self.world.slack.fail("chat.postMessage", drop=fault)

    @rule(seconds=st.sampled_from((1, 30, 600)))
    def time_passes(self, seconds: int) -> None:
        self.world.advance(seconds=seconds)

    @rule(done=st.integers(0, 3))
    def die_at_work(self, done: int) -> None:
        self.kept += self.world.github.pending
        self.world.github.deliver()
        for _ in range(done):
            self.world.bot.workers.step()
        self.world.restart()

    # what holds

    @invariant()
    def all_is_well(self) -> None:
        assert self.world.dead() == []
        assert self.world.slack.violations == []
        assert len(cards(self.world)) <= 1

    def teardown(self) -> None:
        """When nobody does anything any more, what is there is what should be."""
        try:
            self.world.say("U0BEN", "/deploy unlock web")
            for _ in range(12):
                self.tell_all()
                for deployment in self.unfinished():
                    self.world.github.report("acme/web", deployment, "success", environment_url=URL)
                self.world.advance(minutes=16)
            self.all_is_well()
            self.it_is_as_it_should_be()
        finally:
            self.world.close()

    def it_is_as_it_should_be(self) -> None:
        pull = self.pull()
        asked = [(body["task"], body["ref"]) for body in writes(self.world)]
        active = [
            (one["task"], one["sha"])
            for one in self.world.github.deployments("acme/web")
            if self.states(one["id"])[0] == "success"
        ]
        self.world.say("U0ANA", "/deploy where web")
        listed = newest(self.world)
        if pull.state == "open" and "preview" in pull.labels:
            assert asked[-1] == active[0] == ("deploy", pull.head_sha)
            assert "1 preview: *pr-1* (Open)" in listed
            assert cards(self.world)[0].splitlines()[1].startswith("Live after")
        else:
            assert active == []
            assert "preview" not in listed
            if asked:
                assert asked[-1][0] == "teardown"
                first = cards(self.world)[0].splitlines()[1]
                assert first.startswith(("Gone since", "Pull request 1 "))
            else:
                assert all("Nothing was deployed" in card for card in cards(self.world))

    def tell(self, delivery: Delivery) -> None:
        self.kept.append(delivery)
        self.world.github.deliver(delivery)
        self.world.settle()

    def pull(self) -> Pull:
        return self.world.github.repository("acme/web").pulls[1]

    def states(self, deployment: int) -> list[str]:
        return [status["state"] for status in self.world.github.statuses("acme/web", deployment)]

    def unfinished(self) -> list[int]:
        made = [one["id"] for one in reversed(self.world.github.deployments("acme/web"))]
        return [number for number in made if not self.states(number)]


def test_whatever_happens(servers: Servers, migrated_sqlite: Path, tmp_path: Path) -> None:
    play(Previewed, CONFIG, servers, migrated_sqlite, tmp_path, steps=20)
