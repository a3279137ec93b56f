"""Previews of pull requests: what GitHub's events make of one, and what is to be done next for it.

Nothing here asks anybody anything. Events come twice, late and in any order; what is to be done is read off from how
things are, never from what has just happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.deploys import states
from bot.deploys.events import PullRequest
from bot.deploys.model import PREVIEW, TEARDOWN, Deploy

# Why a deploy that waits is not needed any more.
CLOSED, UNLABELLED, WANTED, PUSHED = "closed", "unlabelled", "wanted", "pushed"


@dataclass(frozen=True, slots=True)
class Preview:
    """One pull request of one app, and what was asked for so that it can be looked at.

    `source`, `head` and `sha` are where it comes from; `wanted`: it is open and has the label, where one is asked
    for; `due`: what is there is still to be taken down; `asked_sha` is what a rule asked for since it was last
    wanted, `asks` how often one has asked; `doubts` counts the events that tell otherwise in the same second;
    `gone`: nothing of it is there any more.
    """

    id: int
    key: str
    app: str
    pull: int
    environment: str
    repository: str
    title: str
    author: str
    source: str
    head: str
    sha: str
    labels: tuple[str, ...]
    open: bool
    updated_at: datetime
    heard_at: datetime
    wanted: bool
    due: bool = False
    asked_sha: str = ""
    asks: int = 0
    doubts: int = 0
    gone: bool = False

    @property
    def fork(self) -> bool:
        """Whether strangers may have written it, so that no rule deploys it."""
        return self.source.casefold() != self.repository.casefold()


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done now.

    `withdraw` are deploys that wait in vain, each with why; `ask` is the cause of one to ask for, of `ref` at `sha`;
    `put_away` are those whose deployments are to be marked inactive. `asked`: just that is there already. `settled`:
    nothing is left to be taken down.
    """

    withdraw: tuple[tuple[int, str], ...] = ()
    ask: str = ""
    ref: str = ""
    sha: str = ""
    put_away: tuple[int, ...] = ()
    asked: bool = False
    settled: bool = False


def first_heard(app: str, environment: str, key: str, pull: PullRequest, label: str | None, now: datetime) -> Preview:
    """A preview of a pull request that was not heard of before. Its id is 0 until it is stored."""
    return Preview(
        id=0,
        key=key,
        app=app,
        pull=pull.number,
        environment=environment,
        repository=pull.repository,
        title=pull.title,
        author=pull.author,
        source=pull.source,
        head=pull.head,
        sha=pull.sha,
        labels=_labels(pull),
        open=pull.open,
        updated_at=pull.updated_at,
        heard_at=now,
        wanted=_is_wanted(pull, label),
        due=not pull.open,  # somebody may have deployed it without this bot
    )


def heard(known: Preview, pull: PullRequest, label: str | None, *, sure: bool = False) -> Preview:
    """The preview with what an event tells of its pull request; the same one for what is older.

    GitHub's times are whole seconds: of two events of one second nobody can tell which came first, so one that tells
    otherwise raises a doubt, and GitHub is asked. `sure`: this is what it answers.
    """
    new = replace(
        known,
        repository=pull.repository,
        title=pull.title,
        author=pull.author,
        source=pull.source,
        head=pull.head,
        sha=pull.sha,
        labels=_labels(pull),
        open=pull.open,
        updated_at=pull.updated_at,
        wanted=_is_wanted(pull, label),
    )
    if pull.updated_at < known.updated_at or new == known:
        return known
    if pull.updated_at == known.updated_at and not sure:
        return replace(known, doubts=known.doubts + 1)
    if new.wanted:
        return replace(new, due=False, asked_sha=known.asked_sha if known.wanted else "")
    ends = known.wanted or (known.open and not new.open)
    return replace(new, due=known.due or ends, asked_sha="")


def next_step(preview: Preview, teardown_task: str | None, there: Sequence[Deploy]) -> Step:
    """What brings a preview to where it should be. `there` are the deploys to its environment, by number."""
    waiting = [deploy for deploy in there if _unsent(deploy)]
    vain = tuple((deploy.number, why) for deploy in waiting if (why := over(preview, deploy)))
    if preview.wanted:
        if preview.fork or preview.asked_sha == preview.sha:
            return Step(vain)
        if _runs(preview.sha, there):
            return Step(vain, asked=True)
        return Step(vain, ask=PREVIEW, ref=preview.head, sha=preview.sha)
    if not preview.due:
        return Step(vain)
    # Now also what people asked for.
    why = UNLABELLED if preview.open else CLOSED
    vain = tuple((deploy.number, why) for deploy in waiting if deploy.cause != TEARDOWN)
    left = [deploy for deploy in since_torn_down(there) if _went_out(deploy) and deploy.cause != TEARDOWN]
    if teardown_task is not None and left:
        return Step(vain, ask=TEARDOWN, ref=left[-1].ref, sha=left[-1].sha)
    running = [deploy for deploy in left if not deploy.final and deploy.state != states.LOST]
    ended = tuple(deploy.number for deploy in left if deploy not in running and is_active(deploy))
    return Step(vain, put_away=ended, settled=not running)


def over(preview: Preview, deploy: Deploy) -> str:
    """Why a deploy that waits is not needed any more; '' when it is."""
    if deploy.cause == TEARDOWN:
        return WANTED if preview.wanted else ""
    if not preview.open:
        return CLOSED
    if not deploy.automatic:
        return ""
    if not preview.wanted:
        return UNLABELLED
    # One of the same branch that GitHub was never asked for gives way to the newer one by itself.
    stays = deploy.sent_at is None and deploy.ref == preview.head
    return "" if stays or deploy.sha == preview.sha else PUSHED


def since_torn_down(there: Sequence[Deploy]) -> list[Deploy]:
    """Those that were asked for after the last teardown that succeeded."""
    ends = [deploy.number for deploy in there if deploy.cause == TEARDOWN and deploy.state == states.SUCCESS]
    return [deploy for deploy in there if deploy.number > max(ends, default=0)]


def last_up(preview: Preview, there: Sequence[Deploy]) -> Deploy | None:
    """The newest of its deploys that went out, of those that bring something."""
    mine = (deploy for deploy in reversed(there) if deploy.preview == preview.id and deploy.cause != TEARDOWN)
    return next((deploy for deploy in mine if _went_out(deploy)), None)


def is_active(deploy: Deploy) -> bool:
    """Whether GitHub shows its deployment as one that is there, or may."""
    ended = deploy.state in (states.FAILURE, states.ERROR, states.INACTIVE, states.CANCELLED)
    return deploy.deployment_id is not None and deploy.inactive_at is None and not ended


def comes_up(deploy: Deploy) -> bool:
    """Whether it is on its way to be there, or is."""
    ended = deploy.state in (states.CANCELLED, states.SUPERSEDED, states.REFUSED, states.EXPIRED)
    return deploy.cause != TEARDOWN and not ended


def _unsent(deploy: Deploy) -> bool:
    return deploy.state == states.HELD or (deploy.state == states.ASKED and deploy.sent_at is None)


def _went_out(deploy: Deploy) -> bool:
    """Whether GitHub has it, or may: whoever deploys may have heard of it."""
    unknown = deploy.sent_at is not None and deploy.state in (states.ASKED, states.LOST)
    return deploy.deployment_id is not None or unknown


def _runs(sha: str, there: Sequence[Deploy]) -> bool:
    """Whether just that commit is what went out last, and is live."""
    last = next((deploy for deploy in reversed(there) if _went_out(deploy)), None)
    return (
        last is not None
        and last.whole
        and (last.sha, last.state) == (sha, states.SUCCESS)
        and last.cause != TEARDOWN
        and last.inactive_at is None
    )


def _is_wanted(pull: PullRequest, label: str | None) -> bool:
    return pull.open and (label is None or label.casefold() in {one.casefold() for one in pull.labels})


def _labels(pull: PullRequest) -> tuple[str, ...]:
    return tuple(sorted(pull.labels))
