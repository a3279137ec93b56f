"""The states of a deploy and how it moves between them.

GitHub's own states are kept by GitHub's names
(https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status); the others are ours.
A state that is in neither table is one that GitHub learned after this was written: it is kept and shown by
its name, and counts as progress.
"""

from __future__ import annotations

from datetime import timedelta

# Ours, before GitHub knows of the deploy or when it never will.
HELD = "held"  # stored; a gate makes it wait
ASKED = "asked"  # cleared by every gate; the deployment is still to be created
CREATED = "created"  # GitHub has the deployment; nobody has reported on it yet
REFUSED = "refused"  # GitHub, a gate or an approver said no; nothing was created
EXPIRED = "expired"  # it waited for so long that nobody expects it any more; nothing was created
CANCELLED = "cancelled"  # a person took it back
SUPERSEDED = "superseded"  # a newer one of the same branch took its place before it was sent
LOST = "lost"  # nothing was heard for so long that we stopped waiting; how it stands is unknown

# GitHub's.
QUEUED = "queued"
PENDING = "pending"
WAITING = "waiting"
IN_PROGRESS = "in_progress"
SUCCESS = "success"
FAILURE = "failure"
ERROR = "error"
INACTIVE = "inactive"

UNHEARD = timedelta(minutes=2)  # without a status, somebody should look whether anything deploys at all

REPORTED = frozenset({QUEUED, PENDING, WAITING, IN_PROGRESS, SUCCESS, FAILURE, ERROR, INACTIVE})
OURS = frozenset({HELD, ASKED, CREATED, REFUSED, EXPIRED, CANCELLED, SUPERSEDED, LOST})
FINAL = frozenset({SUCCESS, FAILURE, ERROR, INACTIVE, REFUSED, EXPIRED, CANCELLED, SUPERSEDED})


def is_known(state: str) -> bool:
    """Whether it is one of those above."""
    return state in REPORTED or state in OURS


def is_final(state: str) -> bool:
    """Whether a deploy in this state is over. LOST is not final: a status that comes later still wins."""
    return state in FINAL


def advance(current: str, reported: str, *, newer: bool) -> str:
    """The state after a deployment status was reported.

    `newer`: GitHub gave this status a higher id than every one seen before. A final state stays whatever
    comes later; a final report is taken even when it was overtaken by an earlier one; anything else counts
    only when it is the newest, so that a late or reordered event changes nothing.
    """
    if is_final(current):
        return current
    if is_final(reported) or newer:
        return reported
    return current
