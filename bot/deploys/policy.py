"""Whether a deploy may go: facts in, findings out, all of them and not just the first.

Nothing here asks anybody anything and time is one of the facts, so that the same facts always give the same
findings. A gate either passes, makes the deploy wait for something that may come by itself or from somebody,
or refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot.deploys.config import Approvals, Environment
from bot.deploys.model import Check, Freezing, Lock, Person, Problem, Vote

PASSED, WAITING, REFUSED = "passed", "waiting", "refused"

# How a deploy as a whole stands.
CLEAR = "clear"  # every gate is passed: it may go now
LINE = "line"  # nothing but those ahead of it keeps it
HOLD = "hold"  # it waits for something else
REFUSE = "refuse"  # it ends here
EXPIRE = "expire"  # it has waited for as long as anyone could expect

FIRST_LOOK, LONGEST_LOOK = timedelta(seconds=30), timedelta(minutes=15)
SOON = timedelta(minutes=1)  # until what could not be asked is asked again


@dataclass(frozen=True, slots=True)
class Finding:
    """What one gate says. `code` and `facts` are what the words are made of; `again` is when time alone may
    change it."""

    gate: str
    verdict: str
    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    again: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        return {"gate": self.gate, "verdict": self.verdict, "code": self.code, "facts": dict(self.facts)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Finding:
        return cls(value["gate"], value["verdict"], value["code"], value["facts"])


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether somebody is one of those that the config names. `yes` is None when it could not be found out."""

    yes: bool | None
    code: str = ""  # what is wrong: `deployers`, `level`, `unlinked`, `unknown`
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checks:
    """What is reported about the commit; `problem` says why it could not be read."""

    reported: Sequence[Check] = ()
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Ahead:
    """A deploy that goes first. `running`: it is under way; else it waits in the same line."""

    number: int
    user_id: str
    user_name: str
    running: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known about a deploy when it is decided on.

    `fresh`: it is being asked for now, so it can still be refused for what would let a deploy that was taken in
    wait; see `strict`. `live` maps each environment of `after` to the SHA that is live there; `coming` names those
    where this very SHA is on its way.
    """

    now: datetime
    fresh: bool
    environment: Environment
    room: str
    rooms: Sequence[str]
    asked_at: datetime
    pinned_at: datetime
    sha: str
    forced: bool
    reason: str
    asker: Person
    standing: Answer
    override: Answer
    locks: Sequence[Lock] = ()
    freezes: Sequence[Freezing] = ()
    checks: Checks = Checks()
    live: Mapping[str, str] = field(default_factory=dict)
    coming: frozenset[str] = frozenset()
    votes: Sequence[Vote] = ()
    ahead: Sequence[Ahead] = ()
    rollback: bool = False
    automatic: bool = False  # a rule of the config asks, for the person
    protecting: bool = False  # it is GitHub's own deployment, which waits there: the gates of PROTECTING alone
    carries_out: int | None = None  # the deploy under way that it is the carrying out of, at that very commit
    some_check: bool = False  # it waits until anything at all was reported about the commit
    due_at: datetime | None = None  # when it is to go, where a time was named
    judged: bool = False  # its time had come before, and it was decided on
    grace: timedelta = timedelta(minutes=15)  # how late it may still go
    overtaken: int | None = None  # the deploy that put this very commit there since it was asked for

    @property
    def early(self) -> bool:
        """Whether its time has not come yet: nothing that may change until then refuses it."""
        return self.due_at is not None and self.now < self.due_at

    @property
    def strict(self) -> bool:
        """Whether it can still be refused for what would let a deploy that was taken in wait: it is being asked for
        now, or this is the first time that it could go."""
        if self.due_at is None or self.automatic:
            return self.fresh
        return not self.early and not self.judged

    @property
    def begun_at(self) -> datetime:
        """Since when its patience is counted."""
        return max(self.asked_at, self.due_at or self.asked_at)

    @property
    def approvable_at(self) -> datetime:
        """Since when the time for approvals is counted; they may be given before."""
        return max(self.pinned_at, self.due_at or self.pinned_at)


@dataclass(frozen=True, slots=True)
class Decision:
    """The findings of every gate, and what follows from them. `again` is when to look at the latest."""

    outcome: str
    findings: tuple[Finding, ...]
    again: datetime | None = None

    def of(self, verdict: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.verdict == verdict]


def decide(facts: Facts) -> Decision:
    """What every gate says, and what follows."""
    findings = tuple(gate(facts) for gate in (PROTECTING if facts.protecting else GATES))
    waiting = [finding for finding in findings if finding.verdict == WAITING]
    if any(finding.verdict == REFUSED for finding in findings):
        return Decision(REFUSE, findings)
    if not waiting:
        return Decision(CLEAR, findings)
    if facts.due_at is not None and facts.early:  # what else keeps it then is found then
        return Decision(HOLD, findings, facts.due_at)
    until = facts.begun_at + facts.environment.max_wait
    if facts.now >= until:
        return Decision(EXPIRE, findings)
    # Whatever it waits for is told by an event; should that get lost, it is found by looking.
    times = [until, facts.now + _patience(facts)] + [item.again for item in findings if item.again is not None]
    again = max(min(times), facts.now + timedelta(seconds=1))
    line = all(finding.gate == QUEUE for finding in waiting)
    return Decision(LINE if line else HOLD, findings, again)


def _patience(facts: Facts) -> timedelta:
    """How long until it is looked at again without a reason: more and more rarely the longer it waits."""
    return min(max(FIRST_LOOK, (facts.now - facts.begun_at) / 2), LONGEST_LOOK)


TIME = "time"
ROOM, PERMISSION, LOCK, FREEZE = "room", "permission", "lock", "freeze"
CHECKS, ORDER, APPROVALS, QUEUE = "checks", "order", "approvals", "queue"


def _time(facts: Facts) -> Finding:
    """It waits for its time. Long after that nobody expects it any more; and what somebody put there meanwhile is not
    put there once more."""
    if facts.due_at is None:
        return Finding(TIME, PASSED, "none")
    told: dict[str, Any] = {"at": facts.due_at.isoformat()}
    if facts.early:
        return Finding(TIME, WAITING, "early", told, facts.due_at)
    if facts.overtaken is not None:
        return Finding(TIME, REFUSED, "overtaken", {**told, "by": facts.overtaken})
    if not facts.judged and not facts.automatic and facts.now - facts.due_at > facts.grace:
        return Finding(TIME, REFUSED, "missed", {**told, "late": (facts.now - facts.due_at).total_seconds()})
    return Finding(TIME, PASSED, "come", told)


def _room(facts: Facts) -> Finding:
    if facts.fresh and facts.rooms and facts.room not in facts.rooms:
        return Finding(ROOM, REFUSED, "elsewhere", {"rooms": list(facts.rooms)})
    return Finding(ROOM, PASSED, "open")


def _permission(facts: Facts) -> Finding:
    answer = facts.standing
    if answer.yes:
        return Finding(PERMISSION, PASSED, answer.code, answer.facts)
    if answer.yes is None and not facts.fresh:
        return Finding(PERMISSION, WAITING, "unknown", answer.facts, facts.now + SOON)
    return Finding(PERMISSION, REFUSED, answer.code, answer.facts)


def _lock(facts: Facts) -> Finding:
    """Somebody else's lock keeps it; one's own lets it through, unless it is a rule or a workflow that asks: who locks
    an environment does not want their own next push in it."""
    unasked = facts.automatic or facts.protecting
    others = [lock for lock in facts.locks if unasked or lock.person != facts.asker.key]
    if not others:
        own = [lock.as_json() for lock in facts.locks]
        return Finding(LOCK, PASSED, "own" if own else "none", {"locks": own} if own else {})
    verdict = REFUSED if facts.strict and facts.environment.when_locked == "refuse" else WAITING
    ends = [lock.expires_at for lock in others if lock.expires_at is not None]
    again = min(ends) if ends else None
    return Finding(LOCK, verdict, "held", {"locks": [lock.as_json() for lock in others]}, again)


def _freeze(facts: Facts) -> Finding:
    if not facts.freezes:
        return Finding(FREEZE, PASSED, "none")
    told: dict[str, Any] = {"freezes": [freezing.as_json() for freezing in facts.freezes]}
    if facts.environment.override and facts.reason and facts.override.yes:
        return Finding(FREEZE, PASSED, "overridden", told)
    may = bool(facts.override.yes)  # then all that is missing is a reason
    unknown = facts.environment.override and facts.reason and facts.override.yes is None
    if unknown:
        told["lookup"] = facts.override.facts
    verdict = REFUSED if facts.strict and facts.environment.when_frozen == "refuse" else WAITING
    ends = [freezing.until for freezing in facts.freezes if freezing.until is not None]
    again = facts.now + SOON if unknown else max(ends) if len(ends) == len(facts.freezes) else None
    return Finding(FREEZE, verdict, "frozen", {**told, "override": may}, again)


def _checks(facts: Facts) -> Finding:
    """A check that never reported is not a green one, and one that can't be read is not known."""
    required = facts.environment.required_contexts
    if facts.forced or facts.rollback:
        return Finding(CHECKS, PASSED, "forced" if facts.forced else "rollback")
    if required is not None and not required:
        return Finding(CHECKS, PASSED, "none")
    verdict = REFUSED if facts.strict and facts.environment.when_red == "refuse" else WAITING
    if facts.checks.problem is not None:
        return Finding(CHECKS, verdict, "unknown", {"problem": facts.checks.problem.as_json()}, facts.now + SOON)
    found = _looked_at(required, facts.checks.reported)
    if facts.some_check and not found:
        return Finding(CHECKS, verdict, "unreported")
    told = {"checks": [[check.name, check.state, check.url] for check in found]}
    if all(check.state == "success" for check in found):
        return Finding(CHECKS, PASSED, "green", told)
    return Finding(CHECKS, verdict, "red", told)


def _looked_at(required: Sequence[str] | None, reported: Sequence[Check]) -> list[Check]:
    """The checks that count: those required, `missing` where nothing was reported; None: all that were."""
    known = {check.name: check for check in reported}
    return [known.get(name, Check(name, "missing")) for name in (sorted(known) if required is None else required)]


def checked(findings: Sequence[Mapping[str, Any]]) -> bool:
    """Whether stored findings say that the checks let it through."""
    return any(item["gate"] == CHECKS and item["verdict"] == PASSED for item in findings)


def is_green(environment: Environment, reported: Sequence[Check], *, some: bool) -> bool:
    """Whether all that count are green. `some`: there must be one."""
    found = _looked_at(environment.required_contexts, reported)
    return all(check.state == "success" for check in found) and (bool(found) or not some)


def _order(facts: Facts) -> Finding:
    """That very commit must be live in the environments before this one."""
    if not facts.environment.after:
        return Finding(ORDER, PASSED, "none")
    if facts.forced or facts.rollback:
        return Finding(ORDER, PASSED, "forced" if facts.forced else "rollback")
    missing = [name for name in facts.environment.after if facts.live.get(name) != facts.sha]
    if not missing:
        return Finding(ORDER, PASSED, "live", {"environments": list(facts.environment.after)})
    told = {"missing": [[name, facts.live.get(name, ""), name in facts.coming] for name in missing]}
    comes = all(name in facts.coming for name in missing)
    return Finding(ORDER, REFUSED if facts.strict and not comes else WAITING, "missing", told)


def counted(votes: Sequence[Vote], sha: str, asker: Person, approvals: Approvals) -> list[Vote]:
    """The approvals that count: of this very commit, one for each person, and what is or could be the asker's own only
    where that is allowed."""
    found: dict[str, Vote] = {}
    for vote in votes:
        own = asker.may_be(vote.person) and not approvals.self_approval
        if vote.approves and vote.sha == sha and not own:
            found.setdefault(vote.person, vote)
    return list(found.values())


def _approvals(facts: Facts) -> Finding:
    approvals = facts.environment.approvals
    rejection = next((vote for vote in facts.votes if not vote.approves and vote.sha == facts.sha), None)
    if rejection is not None:
        said = {"user_id": rejection.user_id, "user_name": rejection.user_name, "reason": rejection.reason}
        return Finding(APPROVALS, REFUSED, "rejected", said)
    if approvals is None:
        return Finding(APPROVALS, PASSED, "none")
    if facts.carries_out is not None:
        return Finding(APPROVALS, PASSED, "before", {"number": facts.carries_out})
    required = wanted(approvals, rollback=facts.rollback)
    if required == 0:
        return Finding(APPROVALS, PASSED, "none")
    given = counted(facts.votes, facts.sha, facts.asker, approvals)
    until = facts.approvable_at + approvals.expires
    told = {
        "required": required,
        "given": [[vote.user_id, vote.user_name] for vote in given],
        "approvers": asked_of(approvals, facts.asker),
        "own": approvals.self_approval,
        "until": until.isoformat(),
    }
    if len(given) >= required:
        return Finding(APPROVALS, PASSED, "given", told)
    if facts.now >= until:
        return Finding(APPROVALS, REFUSED, "expired", told)
    remind = remind_at(facts.approvable_at, approvals)
    return Finding(APPROVALS, WAITING, "asked", told, remind if facts.now < remind else until)


def asked_of(approvals: Approvals, asker: Person) -> list[str]:
    """Those who are asked to approve, of whom the one who asks is none."""
    others = [who for who in approvals.approvers if who != asker.id or approvals.self_approval]
    return others or list(approvals.approvers)


def wanted(approvals: Approvals, *, rollback: bool) -> int:
    """How many must approve; what goes back to something that ran before may take fewer."""
    return approvals.rollback if rollback and approvals.rollback is not None else approvals.required


def remind_at(asked: datetime, approvals: Approvals) -> datetime:
    """When those who have not answered are mentioned again: when a quarter of the time is left."""
    return asked + approvals.expires * 3 / 4


def _queue(facts: Facts) -> Finding:
    if not facts.ahead:
        return Finding(QUEUE, PASSED, "free")
    verdict = REFUSED if facts.strict and facts.environment.when_busy == "refuse" else WAITING
    ahead = [[item.number, item.user_id, item.user_name, item.running] for item in facts.ahead]
    return Finding(QUEUE, verdict, "busy", {"ahead": ahead})


GATES: tuple[Callable[[Facts], Finding], ...] = (
    _time,
    _room,
    _permission,
    _lock,
    _freeze,
    _checks,
    _order,
    _approvals,
    _queue,
)
# Of what GitHub runs by itself, where, when and in which order is its workflow's business.
PROTECTING = (_lock, _freeze, _approvals)
