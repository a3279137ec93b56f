"""Two families of errors: the person's, which are shown to them, and ours, which are logged and tried again.

A person's error carries facts, not sentences; `bot/slack/views` has the words for each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.deploys.model import Problem


class PersonError(Exception):
    """Something the person who asked can see and mend. Subclasses hold the facts."""


@dataclass(eq=False)
class UnknownApp(PersonError):
    """No app or repository of that name is configured."""

    name: str
    near: Sequence[str] = ()
    known: Sequence[str] = ()


@dataclass(eq=False)
class UnknownEnvironment(PersonError):
    """The app has no environment of that name."""

    app: str
    name: str
    near: Sequence[str] = ()
    known: Sequence[str] = ()


@dataclass(eq=False)
class NoDefaultEnvironment(PersonError):
    """No environment was named, and the app does not have the default one."""

    app: str
    default: str
    known: Sequence[str] = ()


@dataclass(eq=False)
class UnknownRef(PersonError):
    """The repository has no branch, tag or commit of that name."""

    repository: str
    name: str
    near: Sequence[str] = ()


@dataclass(eq=False)
class WrongRoom(PersonError):
    """The app may not be spoken of in this room."""

    app: str
    rooms: Sequence[str] = ()


@dataclass(eq=False)
class NothingLive(PersonError):
    """Nothing has succeeded in that environment yet, so there is nothing to compare with."""

    app: str
    environment: str


@dataclass(eq=False)
class NotAllowedByGitHub(PersonError):
    """GitHub knows who we are and says no (403). `permission` is what the token or app must have."""

    repository: str
    permission: str
    message: str = ""


@dataclass(eq=False)
class NotFoundAtGitHub(PersonError):
    """GitHub answers 404: there is no such repository, or this token may not see it."""

    repository: str
    permission: str = ""


@dataclass(eq=False)
class TokenRefused(PersonError):
    """GitHub answers 401: the token is wrong, expired or revoked."""

    message: str = ""


@dataclass(eq=False)
class RepositoryMoved(PersonError):
    """The repository was renamed or handed over. `new_name` is empty when GitHub does not tell."""

    repository: str
    new_name: str = ""


@dataclass(eq=False)
class BranchMoved(PersonError):
    """The branch has another head than when it was asked for; `head` is empty when it is gone."""

    ref: str
    asked: str
    head: str = ""


@dataclass(eq=False)
class MergeConflict(PersonError):
    """GitHub could not merge the default branch into the ref (409)."""

    message: str = ""


@dataclass(eq=False)
class ChecksFailed(PersonError):
    """GitHub wants these contexts green first (409). Each is a (context, state) pair."""

    contexts: Sequence[tuple[str, str]] = ()
    message: str = ""


@dataclass(eq=False)
class RequestRefused(PersonError):
    """GitHub answers with another refusal, in its own words."""

    status: int
    message: str = ""


@dataclass(eq=False)
class NotConfigured(PersonError):
    """The app or environment of a deploy was taken out of the config before it went."""

    app: str
    environment: str


@dataclass(eq=False)
class NotAllowed(PersonError):
    """A gate refuses a deploy. `findings` are those of every gate, as `policy.Finding` is stored."""

    app: str
    environment: str
    target: str  # what would be typed to ask again: `web/topic to production`
    findings: Sequence[Mapping[str, Any]] = ()


@dataclass(eq=False)
class PullNotOpen(PersonError):
    """The pull request of a preview is closed; or, where it is not `known`, nothing was heard of it yet."""

    app: str
    environment: str
    pull: int
    known: bool


@dataclass(eq=False)
class AlreadyAsked(PersonError):
    """Just the same is waiting or under way already."""

    app: str
    environment: str
    number: int
    state: str
    room: str


@dataclass(eq=False)
class UnknownDeploy(PersonError):
    """There is no deploy of that number."""

    number: int


@dataclass(eq=False)
class NotWaiting(PersonError):
    """A deploy can't be approved, rejected or cancelled any more."""

    number: int
    state: str


@dataclass(eq=False)
class NeedsNoApproval(PersonError):
    """The environment asks for no approvals."""

    number: int
    app: str
    environment: str


@dataclass(eq=False)
class OwnDeploy(PersonError):
    """Whoever asked for a deploy does not approve it."""

    number: int


@dataclass(eq=False)
class MaybeOwnDeploy(PersonError):
    """Whoever has that login at GitHub asked for a deploy, and nothing says that the one who approves is not them."""

    number: int
    login: str


@dataclass(eq=False)
class Stranger(PersonError):
    """Somebody of another company's workspace, whom the config does not name."""


@dataclass(eq=False)
class AlreadyVoted(PersonError):
    """One person is heard once about one commit. `approves`: what they said then."""

    number: int
    approves: bool


@dataclass(eq=False)
class NotEntitled(PersonError):
    """A person may not do that. `act` is what; `code` and `facts` say why, as `policy.Answer` has them."""

    act: str
    app: str
    environment: str
    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Locked(PersonError):
    """Somebody else holds the lock. `lock` is as `model.Lock` is stored."""

    lock: Mapping[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class NotLocked(PersonError):
    """There is no such lock. `app` and `environment` are '' where it would have covered all of them. `gone`: there
    was one, which its id stood for."""

    app: str = ""
    environment: str = ""
    gone: bool = False


@dataclass(eq=False)
class AlreadyFrozen(PersonError):
    """Somebody has frozen just that already. `freeze` is as `model.Freezing` is stored."""

    freeze: Mapping[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class NotFrozen(PersonError):
    """Nobody has frozen just that. `by_config`: the config does, and only it can end it."""

    app: str = ""
    environment: str = ""
    by_config: bool = False


@dataclass(eq=False)
class UnknownState(PersonError):
    """A deploy has no such state. `environment` is the one of the app that was named instead, else ''."""

    name: str
    near: Sequence[str] = ()
    known: Sequence[str] = ()
    app: str = ""
    environment: str = ""


@dataclass(eq=False)
class NotToldHere(PersonError):
    """A room that is none of the app's can't subscribe to it."""

    app: str
    rooms: Sequence[str] = ()


@dataclass(eq=False)
class NotSubscribed(PersonError):
    """The room is not subscribed to that. `here` is what it is subscribed to, as `model.Subscription` is stored."""

    app: str
    environment: str = ""
    here: Sequence[Mapping[str, Any]] = ()


@dataclass(eq=False)
class UnknownTime(PersonError):
    """A time that is not understood; the message says what is."""

    text: str
    message: str


@dataclass(eq=False)
class TooFarAhead(PersonError):
    """A deploy is asked for a time that is more than `days` away."""

    at: datetime
    days: int


@dataclass(eq=False)
class NotScheduled(PersonError):
    """A deploy does not wait for its time. `by_config`: a schedule of the config asked for it."""

    number: int
    by_config: bool = False


@dataclass(eq=False)
class TooLate(PersonError):
    """A deploy was to go at `at`, and so long ago that sending it now would surprise."""

    at: datetime


@dataclass(eq=False)
class AskedTooLate(PersonError):
    """A command or click was stored at `at`, and so long ago that doing it now would surprise."""

    at: datetime


@dataclass(eq=False)
class NotRetriable(PersonError):
    """A deploy that is live, or not over, is not tried again."""

    number: int
    state: str


@dataclass(eq=False)
class NotLive(PersonError):
    """What is to be carried on is not live any more: `live` is."""

    number: int
    live: int


@dataclass(eq=False)
class NothingBefore(PersonError):
    """There is no earlier success to go back to. `number` is what is live."""

    app: str
    environment: str
    number: int


@dataclass(eq=False)
class LoginUnavailable(PersonError):
    """Nobody can log in to GitHub here: the bot is no GitHub App, or its App does not allow the device flow."""

    message: str = ""


@dataclass(eq=False)
class LoginEnded(PersonError):
    """The code of a login ran out (`expired`) or the person declined."""

    expired: bool = False


@dataclass(eq=False)
class LookupFailed(PersonError):
    """Slack or GitHub did not say who belongs to `what` (a usergroup, a team) or what a person may do.

    `reason` is their word for it.
    """

    what: str
    reason: str = ""


def problem_of(error: PersonError | TryLater) -> Problem:
    """The error as a value that can be stored; its code is the class's name."""
    facts = dataclasses.asdict(error)  # type: ignore[call-overload]  # every subclass is a dataclass
    return Problem(type(error).__name__, {key: _plain(value) for key, value in facts.items()})


def error_of(problem: Problem) -> PersonError | None:
    """The person's error that was stored as this; its moments stay text. None for one of another version's."""
    kind = globals().get(problem.code)
    if not (isinstance(kind, type) and issubclass(kind, PersonError)):
        return None
    try:
        return kind(**problem.facts)
    except TypeError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


class TryLater(Exception):
    """Not a failure: the same job goes on at another time. `at` is when, where somebody told us."""

    at: datetime | None = None


@dataclass(eq=False)
class Unavailable(TryLater):
    """The other side did not answer, or answered that it can't now (5xx). Not known yet is not failed.

    A write that it was raised for may have taken effect.
    """

    service: str
    detail: str = ""
    at: datetime | None = field(default=None)


@dataclass(eq=False)
class RateLimited(TryLater):
    """The other side told us to wait until `at`."""

    service: str
    at: datetime | None = field(default=None)


@dataclass(eq=False)
class Paced(RateLimited):
    """We hold back by ourselves. `at` is a place among those who wait, and no better for coming sooner or later."""
