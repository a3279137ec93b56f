"""What an event makes of a preview, and what is to be done for it next: tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.deploys import previews, states
from bot.deploys.events import PullRequest
from bot.deploys.model import HUMAN, PREVIEW, RETRY, RULE, TEARDOWN, Deploy
from bot.deploys.previews import CLOSED, PUSHED, UNLABELLED, WANTED, Preview, Step, heard, next_step
from tests.world import START

A, B = "a" * 40, "b" * 40
SECOND = timedelta(seconds=1)


def pull(**changes: Any) -> PullRequest:
    """An open pull request of a branch of the repository, with the label."""
    return replace(
        PullRequest(
            repository="acme/web",
            number=7,
            title="Fix it",
            author="ana-gh",
            open=True,
            draft=False,
            source="acme/web",
            head="topic",
            sha=A,
            base="main",
            labels=frozenset({"preview"}),
            updated_at=START,
        ),
        **changes,
    )


def preview(of: PullRequest | None = None, **changes: Any) -> Preview:
    return replace(previews.first_heard("web", "pr-7", "key", of or pull(), "preview", START), id=1, **changes)


def deploy(number: int, state: str = states.SUCCESS, **changes: Any) -> Deploy:
    """One of a rule, of the first commit; of what has reached GitHub it has the number."""
    values: dict[str, Any] = {
        "origin": RULE,
        "cause": PREVIEW,
        "ref": "topic",
        "sha": A,
        "task": "teardown" if changes.get("cause") == TEARDOWN else "deploy",
        "deployment_id": number if state not in (states.HELD, states.ASKED) else None,
        **changes,
    }
    return Deploy(
        number=number,
        id=str(number),
        app="web",
        repository="acme/web",
        environment="pr-7",
        state=state,
        asked_at=START,
        **values,
    )


FORK = "mallory/web"
TEAR = {"cause": TEARDOWN}
LATER = START + SECOND


@pytest.mark.parametrize(
    ("changes", "wanted", "due"),
    [
        ({}, True, False),
        ({"labels": frozenset({"PREVIEW", "bug"})}, True, False),
        ({"labels": frozenset()}, False, False),
        ({"source": FORK}, True, False),
        ({"draft": True}, True, False),
        ({"open": False}, False, True),
    ],
)
def test_a_pull_request_is_heard_of_for_the_first_time(changes: Any, wanted: bool, due: bool) -> None:
    first = preview(pull(**changes))
    assert (first.wanted, first.due, first.asked_sha, first.gone) == (wanted, due, "", False)
    assert previews.first_heard("web", "pr-7", "key", pull(labels=frozenset()), None, START).wanted


UNLABELLED_PULL = pull(labels=frozenset(), updated_at=LATER)
CLOSED_PULL = pull(open=False, updated_at=LATER)
BOTH = pull(open=False, labels=frozenset(), updated_at=LATER)


@pytest.mark.parametrize(
    ("known", "told", "becomes"),
    [
        (preview(asked_sha=A), pull(), {}),
        (preview(asked_sha=A), pull(open=False, updated_at=START - SECOND), {}),
        (preview(asked_sha=A), pull(open=False), {"doubts": 1}),
        (preview(asked_sha=A, doubts=1), pull(sha=B), {"doubts": 2}),
        (preview(asked_sha=A), pull(updated_at=LATER), {"updated_at": LATER}),
        (preview(asked_sha=A), pull(sha=B, updated_at=LATER), {"sha": B}),
        (preview(asked_sha=A), UNLABELLED_PULL, {"wanted": False, "due": True, "asked_sha": ""}),
        (preview(asked_sha=A), CLOSED_PULL, {"open": False, "wanted": False, "due": True, "asked_sha": ""}),
        (preview(UNLABELLED_PULL), BOTH, {}),
        (preview(UNLABELLED_PULL), replace(BOTH, updated_at=LATER + SECOND), {"open": False, "due": True}),
        (preview(UNLABELLED_PULL), pull(updated_at=LATER + SECOND), {"wanted": True, "due": False}),
        (preview(CLOSED_PULL), pull(updated_at=LATER + SECOND), {"open": True, "wanted": True, "due": False}),
        (preview(CLOSED_PULL), replace(UNLABELLED_PULL, updated_at=LATER + SECOND), {"open": True, "due": True}),
        (preview(CLOSED_PULL, due=False), replace(BOTH, updated_at=LATER + SECOND), {"due": False}),
    ],
)
def test_what_an_event_makes_of_it(known: Preview, told: PullRequest, becomes: dict[str, Any]) -> None:
    new = heard(known, told, "preview")
    if not becomes:
        told_in_the_same_second = told.updated_at == known.updated_at and told.open != known.open
        assert new == (replace(known, doubts=1) if told_in_the_same_second else known)
        return
    assert {name: getattr(new, name) for name in becomes} == becomes
    if "doubts" in becomes:
        assert replace(new, doubts=known.doubts) == known


def test_what_github_answers_settles_a_doubt() -> None:
    known = preview(asked_sha=A)
    closed = heard(known, pull(open=False), "preview", sure=True)
    assert (closed.open, closed.wanted, closed.due, closed.doubts) == (False, False, True, 0)
    assert heard(known, pull(open=False, updated_at=START - SECOND), "preview", sure=True) == known


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=4))
def test_the_order_of_events_does_not_matter(order: list[int], again: list[int]) -> None:
    told = [
        pull(
            open=number % 3 != 1,
            sha=(A, B)[number // 3],
            labels=frozenset({"preview"} if number % 2 else ()),
            updated_at=START + number * SECOND,
        )
        for number in range(6)
    ]
    known = preview(told[order[0]])
    for number in [*order, *again]:
        known = heard(known, told[number], "preview")
    assert (known.open, known.sha, known.wanted, known.doubts) == (True, B, True, 0)


SHUT = preview(CLOSED_PULL)
BARE = preview(UNLABELLED_PULL, due=True)
DOWN = deploy(2, **TEAR)
HELD, ASKED = states.HELD, states.ASKED
SENT = {"sent_at": START}


@pytest.mark.parametrize(
    ("known", "there", "step"),
    [
        # wanted
        (preview(), [], Step(ask=PREVIEW, ref="topic", sha=A)),
        (preview(asked_sha=A), [], Step()),
        (preview(asked_sha=A, sha=B), [deploy(1)], Step(ask=PREVIEW, ref="topic", sha=B)),
        (preview(), [deploy(1)], Step(asked=True)),
        (preview(), [deploy(1, origin=HUMAN, cause="")], Step(asked=True)),
        (preview(), [deploy(1, hosts="one")], Step(ask=PREVIEW, ref="topic", sha=A)),
        (preview(), [deploy(1, states.FAILURE)], Step(ask=PREVIEW, ref="topic", sha=A)),
        (preview(), [deploy(1), DOWN], Step(ask=PREVIEW, ref="topic", sha=A)),
        (preview(), [deploy(1, inactive_at=START)], Step(ask=PREVIEW, ref="topic", sha=A)),
        (preview(), [deploy(1), deploy(2, HELD, **TEAR)], Step(((2, WANTED),), asked=True)),
        (preview(), [deploy(1), deploy(2, ASKED, **TEAR)], Step(((2, WANTED),), asked=True)),
        (preview(), [deploy(1), deploy(2, ASKED, **SENT, **TEAR)], Step(ask=PREVIEW, ref="topic", sha=A)),
        (preview(asked_sha=A), [deploy(1, HELD)], Step()),
        (preview(sha=B, asked_sha=B), [deploy(1, HELD, **SENT)], Step(((1, PUSHED),))),
        # a fork is nobody's rule
        (preview(pull(source=FORK)), [], Step()),
        (preview(pull(source="")), [], Step()),
        (preview(pull(source=FORK)), [deploy(1), deploy(2, HELD, **TEAR)], Step(((2, WANTED),))),
        # not wanted
        (preview(UNLABELLED_PULL), [deploy(1, origin=HUMAN, cause="")], Step()),
        (SHUT, [], Step(settled=True)),
        (SHUT, [deploy(1, states.REFUSED, deployment_id=None)], Step(settled=True)),
        (SHUT, [deploy(1)], Step(ask=TEARDOWN, ref="topic", sha=A)),
        (SHUT, [deploy(1), deploy(2, states.FAILURE, sha=B)], Step(ask=TEARDOWN, ref="topic", sha=B)),
        (SHUT, [deploy(1, states.LOST, **SENT, deployment_id=None)], Step(ask=TEARDOWN, ref="topic", sha=A)),
        (SHUT, [deploy(1, states.IN_PROGRESS)], Step(ask=TEARDOWN, ref="topic", sha=A)),
        (SHUT, [deploy(1, ASKED, **SENT)], Step(ask=TEARDOWN, ref="topic", sha=A)),
        (SHUT, [deploy(1, ASKED)], Step(((1, CLOSED),), settled=True)),
        (SHUT, [deploy(1), deploy(2, HELD)], Step(((2, CLOSED),), ask=TEARDOWN, ref="topic", sha=A)),
        (SHUT, [deploy(1, HELD, origin=HUMAN, cause=RETRY)], Step(((1, CLOSED),), settled=True)),
        (BARE, [deploy(1, HELD, origin=HUMAN, cause="")], Step(((1, UNLABELLED),), settled=True)),
        (SHUT, [deploy(1), DOWN], Step(settled=True)),
        (SHUT, [deploy(1), deploy(2, states.FAILURE, **TEAR)], Step(ask=TEARDOWN, ref="topic", sha=A)),
        (SHUT, [deploy(1), DOWN, deploy(3, sha=B)], Step(ask=TEARDOWN, ref="topic", sha=B)),
        # done with
        (preview(CLOSED_PULL, due=False), [deploy(1), DOWN], Step()),
        (preview(CLOSED_PULL, due=False), [deploy(1), deploy(2, HELD)], Step(((2, CLOSED),))),
    ],
)
def test_what_is_to_be_done(known: Preview, there: list[Deploy], step: Step) -> None:
    assert next_step(known, "teardown", there) == step


@pytest.mark.parametrize(
    ("there", "step"),
    [
        ([], Step(settled=True)),
        ([deploy(1), deploy(2)], Step(put_away=(1, 2), settled=True)),
        ([deploy(1, inactive_at=START), deploy(2, states.FAILURE)], Step(settled=True)),
        ([deploy(1), deploy(2, states.IN_PROGRESS)], Step(put_away=(1,))),
        ([deploy(1, ASKED, **SENT)], Step()),
        ([deploy(1, states.LOST)], Step(put_away=(1,), settled=True)),
        ([deploy(1, HELD)], Step(((1, CLOSED),), settled=True)),
    ],
)
def test_what_is_to_be_done_where_deployers_are_not_told(there: list[Deploy], step: Step) -> None:
    assert next_step(SHUT, None, there) == step
