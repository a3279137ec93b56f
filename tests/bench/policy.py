"""What a decision costs: every gate, for a deploy with many checks and many people who agreed."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta

from bot.deploys import policy
from bot.deploys.config import Environment
from bot.deploys.model import Check, Person, Vote
from bot.deploys.policy import CLEAR, Answer, Checks, Facts

CHECKS, APPROVERS = 200, 20
RUNS = 2000


def facts() -> Facts:
    """Of a deploy that may go: every gate has everything to look at, and none ends the work early."""
    now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    sha = "4c7b474" + "0" * 33
    approvers = tuple(f"U0P{number:02}" for number in range(APPROVERS))
    approvals = {"required": APPROVERS, "approvers": approvers}
    return Facts(
        now=now,
        fresh=False,
        environment=Environment.model_validate({"approvals": approvals, "after": ["staging"]}),
        room="C0OPS",
        rooms=["C0OPS"],
        asked_at=now - timedelta(minutes=5),
        pinned_at=now - timedelta(minutes=5),
        sha=sha,
        forced=False,
        reason="fix the login loop",
        asker=Person("U0ANA", "ana", "ana-gh"),
        standing=Answer(True, "listed"),
        override=Answer(False),
        checks=Checks([Check(f"ci/{number}", "success", f"https://ci.example/{number}") for number in range(CHECKS)]),
        live={"staging": sha},
        votes=[Vote(1, True, who, who, f"slack:{who}", sha, "", {}, now) for who in approvers],
    )


def decision() -> None:
    """Prints the median of many decisions."""
    known = facts()
    assert policy.decide(known).outcome == CLEAR
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        policy.decide(known)
        times.append(time.perf_counter() - begun)
    times.sort()
    print(
        f"decision on a deploy with {CHECKS} checks and {APPROVERS} approvers: median "
        f"{statistics.median(times) * 1000:.2f} ms, p99 {times[int(RUNS * 0.99)] * 1000:.2f} ms (target under 1 ms)"
    )
