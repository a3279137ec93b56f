"""The gates, each alone and each with every other, and the words for what they find."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest

from bot.deploys import policy
from bot.deploys.config import Approvals, Environment
from bot.deploys.errors import (
    LookupFailed,
    NotAllowedByGitHub,
    NotFoundAtGitHub,
    RateLimited,
    TokenRefused,
    Unavailable,
    problem_of,
)
from bot.deploys.model import Check, Freezing, Lock, Person, Vote
from bot.deploys.policy import (
    CLEAR,
    EXPIRE,
    HOLD,
    LINE,
    PASSED,
    REFUSE,
    REFUSED,
    WAITING,
    Ahead,
    Answer,
    Checks,
    Decision,
    Facts,
    Finding,
    decide,
)
from tests.world import START

SHA, OTHER = "a" * 40, "b" * 40
ANA = Person("U0ANA", "ana", "ana-gh")
# What people outside may write wherever they may write something.
EVIL = "<!here> & <@U0EVIL|x> `*_\n<https://evil.example|click>"
NOW = START

Changes = dict[str, Any]  # of facts; those of the environment under `env`


def facts(*, fresh: bool, **changes: Any) -> Facts:
    """Facts that every gate passes, but for the changes."""
    environment = Environment.model_validate(changes.pop("env", {}))
    whole = Facts(
        now=NOW,
        fresh=fresh,
        environment=environment,
        room="C0OPS",
        rooms=(),
        asked_at=NOW,
        pinned_at=NOW,
        sha=SHA,
        forced=False,
        reason="",
        asker=ANA,
        standing=Answer(True, "anyone"),
        override=Answer(False),
    )
    return replace(whole, **changes)


def both(*all_changes: Changes) -> Changes:
    """Several changes as one."""
    merged: Changes = {"env": {}}
    for changes in all_changes:
        env = merged["env"] | changes.get("env", {})
        merged = merged | changes | {"env": env}
    return merged


def lock(user: str = "U0BEN", **values: Any) -> Lock:
    person = f"slack:{user}" if user != ANA.id else ANA.key
    return Lock(1, "web", "production", user, "ben", EVIL, "C0OPS", NOW, person=person, **values)


def freeze(**values: Any) -> Freezing:
    known = {"name": "", "reason": EVIL, "user_id": "", "user_name": "", "since": NOW, "until": None} | values
    return Freezing(id=None, app=None, environment=None, **known)


def vote(user: str, *, approves: bool = True, sha: str = SHA, person: str = "", reason: str = "") -> Vote:
    return Vote(1, approves, user, "ben", person or f"slack:{user}", sha, reason, {}, NOW)


def unread(error: Any) -> Changes:
    return {"checks": Checks(problem=problem_of(error))}


RED = Checks([Check("ci/build", "success", "https://ci.example/1"), Check(EVIL, "failure", f"https://{EVIL}")])
TWO = {"required": 2, "approvers": ["U0BEN", "U0CAL", "S0REL", "@acme/release"]}
ASKED = {"env": {"approvals": TWO}}
PAST = {"pinned_at": NOW - timedelta(hours=4)}
FROZEN = {"freezes": [freeze(name=EVIL, until=NOW + timedelta(hours=2))]}
OVERRIDE = {"env": {"override": ["U0ANA"]}}
UNKNOWN = Answer(None, "unknown", {"what": EVIL, "reason": EVIL})

# gate, what is changed, what it says of a deploy that is asked for now, what of one that was taken in.
P, W, R = PASSED, WAITING, REFUSED
ROWS: list[tuple[str, Changes, tuple[str, str], tuple[str, str]]] = [
    ("time", {}, (P, "none"), (P, "none")),
    ("time", {"due_at": NOW + timedelta(hours=1)}, (W, "early"), (W, "early")),
    ("time", {"due_at": NOW + timedelta(hours=1), "overtaken": 7}, (W, "early"), (W, "early")),
    ("time", {"due_at": NOW}, (P, "come"), (P, "come")),
    ("time", {"due_at": NOW - timedelta(minutes=15)}, (P, "come"), (P, "come")),
    ("time", {"due_at": NOW - timedelta(minutes=15, seconds=1)}, (R, "missed"), (R, "missed")),
    ("time", {"due_at": NOW - timedelta(hours=2), "grace": timedelta(hours=2)}, (P, "come"), (P, "come")),
    ("time", {"due_at": NOW - timedelta(hours=2), "judged": True}, (P, "come"), (P, "come")),
    ("time", {"due_at": NOW - timedelta(hours=2), "automatic": True}, (P, "come"), (P, "come")),
    ("time", {"due_at": NOW, "overtaken": 7}, (R, "overtaken"), (R, "overtaken")),
    ("time", {"due_at": NOW, "overtaken": 7, "judged": True}, (R, "overtaken"), (R, "overtaken")),
    ("room", {}, (P, "open"), (P, "open")),
    ("room", {"rooms": ["C0OPS"]}, (P, "open"), (P, "open")),
    ("room", {"rooms": ["C0REL", "C0RAN"]}, (R, "elsewhere"), (P, "open")),
    ("permission", {}, (P, "anyone"), (P, "anyone")),
    ("permission", {"standing": Answer(True, "listed")}, (P, "listed"), (P, "listed")),
    ("permission", {"standing": Answer(True, "rule")}, (P, "rule"), (P, "rule")),
    ("permission", {"standing": Answer(True, "level", {})}, (P, "level"), (P, "level")),
    (
        "permission",
        {"standing": Answer(False, "deployers", {"listed": ["U0BEN", "S0REL", "@acme/release"]})},
        (R, "deployers"),
        (R, "deployers"),
    ),
    ("permission", {"standing": Answer(False, "team", {"listed": ["@acme/release"]})}, (R, "team"), (R, "team")),
    ("permission", {"standing": Answer(False, "unlinked", {"permission": "write"})}, (R, "unlinked"), (R, "unlinked")),
    (
        "permission",
        {"standing": Answer(False, "level", {"wanted": "admin", "has": "write", "login": "ana-gh"})},
        (R, "level"),
        (R, "level"),
    ),
    ("permission", {"standing": UNKNOWN}, (R, "unknown"), (W, "unknown")),
    (
        "permission",
        {
            "standing": Answer(
                None, "unknown", {"what": "x", "problem": problem_of(Unavailable("GitHub", EVIL)).as_json()}
            )
        },
        (R, "unknown"),
        (W, "unknown"),
    ),
    ("lock", {}, (P, "none"), (P, "none")),
    ("lock", {"locks": [lock("U0ANA")]}, (P, "own"), (P, "own")),
    ("lock", {"locks": [lock("U0ANA")], "automatic": True}, (R, "held"), (W, "held")),
    ("lock", {"locks": [lock()]}, (R, "held"), (W, "held")),
    ("lock", {"locks": [lock("U0ANA"), lock(expires_at=NOW + timedelta(hours=1))]}, (R, "held"), (W, "held")),
    ("lock", {"locks": [lock()], "env": {"when_locked": "wait"}}, (W, "held"), (W, "held")),
    ("freeze", {}, (P, "none"), (P, "none")),
    ("freeze", FROZEN, (R, "frozen"), (W, "frozen")),
    ("freeze", both(FROZEN, {"env": {"when_frozen": "wait"}}), (W, "frozen"), (W, "frozen")),
    ("freeze", {"freezes": [freeze(user_id="U0BEN", user_name="ben")]}, (R, "frozen"), (W, "frozen")),
    ("freeze", both(FROZEN, OVERRIDE, {"override": Answer(True)}), (R, "frozen"), (W, "frozen")),
    ("freeze", both(FROZEN, OVERRIDE, {"reason": "it burns"}), (R, "frozen"), (W, "frozen")),
    ("freeze", both(FROZEN, OVERRIDE, {"reason": "it burns", "override": UNKNOWN}), (R, "frozen"), (W, "frozen")),
    (
        "freeze",
        both(FROZEN, OVERRIDE, {"reason": "it burns", "override": Answer(True)}),
        (P, "overridden"),
        (P, "overridden"),
    ),
    ("checks", {}, (P, "green"), (P, "green")),
    ("checks", {"checks": RED, "env": {"required_contexts": []}}, (P, "none"), (P, "none")),
    ("checks", {"checks": RED, "env": {"required_contexts": ["ci/build"]}}, (P, "green"), (P, "green")),
    ("checks", {"checks": RED, "forced": True}, (P, "forced"), (P, "forced")),
    ("checks", {"checks": RED, "rollback": True}, (P, "rollback"), (P, "rollback")),
    ("checks", {"checks": RED}, (W, "red"), (W, "red")),
    ("checks", {"checks": RED, "env": {"when_red": "refuse"}}, (R, "red"), (W, "red")),
    ("checks", {"env": {"required_contexts": ["ci/build", EVIL[:50]]}}, (W, "red"), (W, "red")),
    ("checks", {"checks": Checks([Check("lint", "skipped")])}, (W, "red"), (W, "red")),
    ("checks", {"some_check": True}, (W, "unreported"), (W, "unreported")),
    ("checks", {"some_check": True, "checks": Checks([Check("lint", "success")])}, (P, "green"), (P, "green")),
    ("checks", {"some_check": True, "env": {"required_contexts": ["lint"]}}, (W, "red"), (W, "red")),
    ("checks", unread(NotAllowedByGitHub("acme/web", "Checks: read", EVIL)), (W, "unknown"), (W, "unknown")),
    (
        "checks",
        both(unread(Unavailable("GitHub", EVIL)), {"env": {"when_red": "refuse"}}),
        (R, "unknown"),
        (W, "unknown"),
    ),
    ("checks", unread(LookupFailed("the checks", "more than 2000")), (W, "unknown"), (W, "unknown")),
    ("checks", unread(RateLimited("GitHub")), (W, "unknown"), (W, "unknown")),
    ("checks", unread(TokenRefused(EVIL)), (W, "unknown"), (W, "unknown")),
    ("checks", unread(NotFoundAtGitHub("acme/web")), (W, "unknown"), (W, "unknown")),
    ("order", {}, (P, "none"), (P, "none")),
    ("order", {"env": {"after": ["staging"]}, "live": {"staging": SHA}}, (P, "live"), (P, "live")),
    ("order", {"env": {"after": ["staging"]}, "forced": True}, (P, "forced"), (P, "forced")),
    ("order", {"env": {"after": ["staging"]}, "rollback": True}, (P, "rollback"), (P, "rollback")),
    ("order", {"env": {"after": ["staging"]}}, (R, "missing"), (W, "missing")),
    ("order", {"env": {"after": ["staging"]}, "live": {"staging": OTHER}}, (R, "missing"), (W, "missing")),
    ("order", {"env": {"after": ["staging"]}, "coming": frozenset({"staging"})}, (W, "missing"), (W, "missing")),
    (
        "order",
        {"env": {"after": ["staging", "qa"]}, "live": {"staging": OTHER}, "coming": frozenset({"qa"})},
        (R, "missing"),
        (W, "missing"),
    ),
    ("approvals", {**ASKED, "carries_out": 41}, (P, "before"), (P, "before")),
    ("approvals", {}, (P, "none"), (P, "none")),
    ("approvals", ASKED, (W, "asked"), (W, "asked")),
    ("approvals", {"env": {"approvals": {"required": 1}}}, (W, "asked"), (W, "asked")),
    ("approvals", both(ASKED, {"votes": [vote("U0BEN")]}), (W, "asked"), (W, "asked")),
    ("approvals", both(ASKED, {"votes": [vote("U0BEN"), vote("U0CAL")]}), (P, "given"), (P, "given")),
    ("approvals", both(ASKED, PAST, {"votes": [vote("U0BEN"), vote("U0CAL")]}), (P, "given"), (P, "given")),
    ("approvals", both(ASKED, {"votes": [vote("U0BEN"), vote("U0CAL", sha=OTHER)]}), (W, "asked"), (W, "asked")),
    (
        "approvals",
        both(ASKED, {"votes": [vote("U0BEN"), vote("U0X", person="slack:U0BEN")]}),
        (W, "asked"),
        (W, "asked"),
    ),
    ("approvals", both(ASKED, {"votes": [vote("U0BEN"), vote("U0X", person=ANA.key)]}), (W, "asked"), (W, "asked")),
    (
        "approvals",
        {
            "env": {"approvals": TWO | {"self_approval": True}},
            "votes": [vote("U0BEN"), vote("U0ANA", person=ANA.key)],
        },
        (P, "given"),
        (P, "given"),
    ),
    ("approvals", both(ASKED, PAST, {"votes": [vote("U0BEN")]}), (R, "expired"), (R, "expired")),
    ("approvals", both(ASKED, PAST), (R, "expired"), (R, "expired")),
    (
        "approvals",
        both(ASKED, {"votes": [vote("U0BEN"), vote("U0CAL"), vote("U0DEE", approves=False, reason=EVIL)]}),
        (R, "rejected"),
        (R, "rejected"),
    ),
    ("approvals", both(ASKED, {"votes": [vote("U0DEE", approves=False, sha=OTHER)]}), (W, "asked"), (W, "asked")),
    ("queue", {}, (P, "free"), (P, "free")),
    ("queue", {"ahead": [Ahead(7, "U0BEN", "ben", running=True)]}, (W, "busy"), (W, "busy")),
    (
        "queue",
        {"ahead": [Ahead(7, "U0BEN", EVIL, running=True), Ahead(8, "", EVIL, running=False)]},
        (W, "busy"),
        (W, "busy"),
    ),
    (
        "queue",
        {"ahead": [Ahead(7, "U0BEN", "ben", running=True)], "env": {"when_busy": "refuse"}},
        (R, "busy"),
        (W, "busy"),
    ),
]
ORDER = ["time", "room", "permission", "lock", "freeze", "checks", "order", "approvals", "queue"]


def finding(decision: Decision, gate: str) -> Finding:
    [found] = [item for item in decision.findings if item.gate == gate]
    return found


def outcome(*found: Finding) -> str:
    """What follows when only these gates may say anything but that it passes."""
    verdicts = {item.verdict for item in found}
    if REFUSED in verdicts:
        return REFUSE
    if WAITING not in verdicts:
        return CLEAR
    return LINE if {item.gate for item in found if item.verdict == WAITING} == {"queue"} else HOLD


@pytest.mark.parametrize("fresh", [True, False])
def test_each_gate(fresh: bool) -> None:
    for gate, changes, when_fresh, when_stored in ROWS:
        decision = decide(facts(fresh=fresh, **changes))
        found = finding(decision, gate)
        assert (gate, changes, found.verdict, found.code) == (gate, changes, *(when_fresh if fresh else when_stored))
        assert [item.gate for item in decision.findings] == ORDER, "all of them, always"
        others = [item.gate for item in decision.findings if item.gate != gate and item.verdict != PASSED]
        assert (changes, others) == (changes, [])
        assert (changes, decision.outcome) == (changes, outcome(found))
        assert (decision.again is None) == (decision.outcome in (CLEAR, REFUSE))
        assert Finding.from_json(found.as_json()) == replace(found, again=None)


@pytest.mark.parametrize("fresh", [True, False])
def test_each_pair_of_gates_says_what_each_says_alone(fresh: bool) -> None:
    pairs = 0
    for one, other in combinations(ROWS, 2):
        shared = set(one[1]) & set(other[1]) - {"env"}
        if (
            one[0] == other[0]
            or shared
            or {"forced", "rollback", "pinned_at", "due_at"} & (set(one[1]) | set(other[1]))
        ):
            continue  # one gate twice, or a fact that both look at
        alone = [finding(decide(facts(fresh=fresh, **row[1])), row[0]) for row in (one, other)]
        decision = decide(facts(fresh=fresh, **both(one[1], other[1])))
        together = [finding(decision, row[0]) for row in (one, other)]
        assert (one[1], other[1], together) == (one[1], other[1], alone)
        assert (one[1], other[1], decision.outcome) == (one[1], other[1], outcome(*together))
        pairs += 1
    assert pairs > 1000


@pytest.mark.parametrize("fresh", [True, False])
def test_what_is_to_go_later_beside_every_gate(fresh: bool) -> None:
    """Before its time it waits, whatever it is that keeps it, but for the room, the person and a rejection; at its
    time it is judged as if it were asked for then; and once it was, as one that was taken in."""
    rows = [row for row in ROWS if row[0] != "time" and not {"pinned_at", "automatic"} & set(row[1])]
    assert len({row[0] for row in rows}) == 8
    for gate, changes, when_fresh, when_stored in rows:
        early = decide(facts(fresh=fresh, **both(changes, {"due_at": NOW + HOUR})))
        expected = when_fresh if fresh and gate in ("room", "permission") else when_stored
        found = finding(early, gate)
        assert (changes, found.verdict, found.code) == (changes, *expected)
        assert early.outcome == (REFUSE if found.verdict == REFUSED else HOLD)
        assert early.again == (None if found.verdict == REFUSED else NOW + HOUR)

        asked = {"asked_at": NOW - 72 * HOUR, "pinned_at": NOW - 72 * HOUR}
        due = decide(facts(fresh=False, **both(changes, asked, {"due_at": NOW})))
        expected = when_stored if gate in ("room", "permission") else when_fresh
        assert (changes, finding(due, gate).verdict, finding(due, gate).code) == (changes, *expected)
        assert due.outcome == outcome(finding(due, gate))  # and no patience has been used up

        later = {"due_at": NOW - HOUR, "judged": True}
        judged = finding(decide(facts(fresh=False, **both(changes, asked, later))), gate)
        assert (changes, judged.verdict, judged.code) == (changes, *when_stored)

        rule = {"due_at": NOW - HOUR, "automatic": True}
        if gate != "lock":  # whose own locks keep a rule, too
            by_rule = finding(decide(facts(fresh=False, **both(changes, asked, rule))), gate)
            assert (changes, by_rule.verdict, by_rule.code) == (changes, *when_stored)


def test_time_is_counted_from_when_it_is_due() -> None:
    ago = {"asked_at": NOW - 72 * HOUR, "pinned_at": NOW - 72 * HOUR, "judged": True}
    until = lambda decision: finding(decision, "approvals").facts["until"]  # noqa: E731
    ahead = decide(facts(fresh=True, **both(ASKED, {"due_at": NOW + 10 * HOUR})))
    assert until(ahead) == (NOW + 14 * HOUR).isoformat()
    assert ahead.again == NOW + 10 * HOUR
    come = decide(facts(fresh=False, **both(ASKED, ago, {"due_at": NOW - HOUR})))
    assert (come.outcome, until(come)) == (HOLD, (NOW + 3 * HOUR).isoformat())
    assert decide(facts(fresh=False, **both(ASKED, ago, {"due_at": NOW - 4 * HOUR}))).outcome == REFUSE
    assert decide(facts(fresh=False, **both(DEE, ago, {"due_at": NOW - 71 * HOUR}))).outcome == LINE
    assert decide(facts(fresh=False, **both(DEE, ago, {"due_at": NOW - 72 * HOUR}))).outcome == EXPIRE
    given = both(ASKED, ago, {"votes": [vote("U0BEN"), vote("U0CAL")], "due_at": NOW})
    assert decide(facts(fresh=False, **given)).outcome == CLEAR


def test_force_opens_checks_and_order_and_nothing_else() -> None:
    closed = both(
        {"rooms": ["C0REL"], "standing": UNKNOWN, "locks": [lock()], "checks": RED, "forced": True},
        {"ahead": [Ahead(7, "U0BEN", "ben", running=True)]},
        {"env": {"after": ["staging"], "required_contexts": ["ci/build", "lint"]}},
        FROZEN,
        ASKED,
    )
    decision = decide(facts(fresh=True, **closed))
    assert {item.gate: item.verdict for item in decision.findings if item.verdict != REFUSED} == {
        "time": PASSED,
        "checks": PASSED,
        "order": PASSED,
        "approvals": WAITING,
        "queue": WAITING,
    }


MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DEE = {"ahead": [Ahead(7, "U0DEE", "dee", running=True)]}
WHEN = [  # what keeps it, how long it has waited, when it is looked at again
    ("an event may get lost", DEE, 0 * HOUR, timedelta(seconds=30)),
    ("more and more rarely", DEE, 10 * MINUTE, 5 * MINUTE),
    ("but at least four times an hour", DEE, 40 * HOUR, 15 * MINUTE),
    ("the end of its patience", DEE, 3 * 24 * HOUR - MINUTE, MINUTE),
    ("a lock that runs out", {"locks": [lock(), lock(expires_at=NOW + 3 * MINUTE)]}, 8 * HOUR, 3 * MINUTE),
    (
        "the last freeze to end",
        {"freezes": [freeze(until=NOW + 2 * MINUTE), freeze(until=NOW + MINUTE)]},
        8 * HOUR,
        2 * MINUTE,
    ),
    ("a freeze without an end", {"freezes": [freeze(until=NOW + 2 * MINUTE), freeze()]}, 8 * HOUR, 15 * MINUTE),
    ("what could not be asked", unread(Unavailable("GitHub")), 8 * HOUR, MINUTE),
    ("who could not be asked about", {"standing": UNKNOWN}, 8 * HOUR, MINUTE),
    ("a reminder", both(ASKED, {"pinned_at": NOW - 3 * HOUR + 2 * MINUTE}), 8 * HOUR, 2 * MINUTE),
    ("the end of the asking", both(ASKED, {"pinned_at": NOW - 4 * HOUR + 2 * MINUTE}), 8 * HOUR, 2 * MINUTE),
    ("what has been due for long", {"locks": [lock(expires_at=NOW - HOUR)]}, 8 * HOUR, timedelta(seconds=1)),
]


@pytest.mark.parametrize(("why", "changes", "waited", "again"), WHEN, ids=[row[0] for row in WHEN])
def test_when_it_is_looked_at_again(why: str, changes: Changes, waited: timedelta, again: timedelta) -> None:
    decision = decide(facts(fresh=False, asked_at=NOW - waited, **changes))
    assert decision.again is not None
    assert decision.again - NOW == again


def test_waiting_comes_to_an_end() -> None:
    waited = {"asked_at": NOW - 3 * 24 * HOUR}
    assert decide(facts(fresh=False, **waited, **DEE)).outcome == EXPIRE
    assert decide(facts(fresh=False, **waited)).outcome == CLEAR
    rejected = both(ASKED, {"votes": [vote("U0BEN", approves=False)]})
    assert decide(facts(fresh=False, **both(waited, DEE, rejected))).outcome == REFUSE
    shorter = {"asked_at": NOW - HOUR, "env": {"max_wait": "1h"}}
    assert decide(facts(fresh=False, **both(shorter, DEE))).outcome == EXPIRE


@pytest.mark.parametrize(
    ("asker", "count"),
    [
        (ANA, ["U0BEN", "U0CAL"]),
        (Person("U0DEE", "dee"), ["U0ANA", "U0BEN", "U0CAL"]),
        (Person("", "ana", "ana-gh"), ["U0CAL"]),  # known by a login alone, and could be Ben
        (Person("", "eve", "eve-gh"), ["U0ANA", "U0CAL"]),
        (Person("", "dependabot[bot]", "dependabot[bot]"), ["U0ANA", "U0BEN", "U0CAL"]),
        (Person(""), ["U0ANA", "U0BEN", "U0CAL"]),  # the clock's
    ],
    ids=lambda value: value.login or value.id or "nobody" if isinstance(value, Person) else "",
)
def test_whose_approval_could_be_ones_own(asker: Person, count: list[str]) -> None:
    votes = [vote("U0ANA", person=ANA.key), vote("U0BEN"), vote("U0CAL", person="github:cal-gh")]
    assert [given.user_id for given in policy.counted(votes, SHA, asker, Approvals(required=2))] == count


def test_who_is_asked_to_approve() -> None:
    """The one who asks is not, unless their own voice counts or nobody else is named."""
    some = Approvals(approvers=("U0ANA", "S0REL"))
    assert policy.asked_of(some, ANA) == ["S0REL"]
    assert policy.asked_of(some.model_copy(update={"self_approval": True}), ANA) == ["U0ANA", "S0REL"]
    assert policy.asked_of(Approvals(approvers=("U0ANA",)), ANA) == ["U0ANA"]
    assert policy.asked_of(Approvals(), ANA) == []


def test_what_waits_at_github_passes_three_gates_alone() -> None:
    """Whatever the others would say, and with a lock of one's own in the way."""
    closed: Changes = {
        "standing": Answer(False, "deployers", {"listed": ["U0BEN"]}),
        "checks": RED,
        "ahead": [Ahead(7, "U0BEN", "ben", running=True)],
        "env": {"after": ["staging"]},
        "protecting": True,
    }
    assert [item.gate for item in decide(facts(fresh=False, **closed)).findings] == ["lock", "freeze", "approvals"]
    assert decide(facts(fresh=False, **closed)).outcome == CLEAR
    for change in ({"locks": [lock("U0ANA")]}, FROZEN, {"env": {"approvals": TWO}}):
        assert decide(facts(fresh=False, **{**closed, **change})).outcome == HOLD
