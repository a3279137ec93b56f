"""The values that everything else speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from bot.deploys import states

HUMAN = "slack"  # origin of a deploy that a person asked this bot for
RULE = "rule"  # origin of a deploy that a rule of the config asked for; nobody was there to be told no
RETRY, ROLLBACK, PROMOTION = "retry", "rollback", "promotion"  # causes of a deploy that another one led to
PUSH, GREEN, MERGE = "push", "green", "merge"  # causes of a deploy that a branch or a tag led to
BY_BRANCH = (PUSH, GREEN, MERGE)
PREVIEW, SCHEDULE = "preview", "schedule"  # that a pull request led to, and that the time did
TEARDOWN = "teardown"  # of a deploy that takes a preview down
ELSEWHERE = "github"  # origin of a deploy that somebody created at GitHub without this bot
PROTECTED = "protection"  # origin of a deploy of GitHub Actions that waits there for this bot's word


@dataclass(frozen=True, slots=True)
class Asker:
    """The person who asks, as Slack names them. `name` may be empty where Slack did not send it.

    `id` is empty for somebody of whom only their `login` at GitHub is known, or for nobody at all.
    """

    id: str
    name: str = ""
    login: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as the gates know them: a Slack user and, where it is known, their login at GitHub.

    Two Slack users with one login are one person; `key` says who.
    """

    id: str
    name: str = ""
    login: str = ""

    @property
    def key(self) -> str:
        return f"github:{self.login.casefold()}" if self.login else f"slack:{self.id}"

    def may_be(self, key: str) -> bool:
        """Whether whoever has that key is this person, or could be.

        Who is known by a login alone could be anyone in Slack whose login is not known; an app at GitHub
        (`dependabot[bot]`) is nobody.
        """
        unlinked = bool(self.login) and not self.id and not self.login.endswith("[bot]")
        return key == self.key or (unlinked and key.startswith("slack:"))


@dataclass(frozen=True, slots=True)
class Lock:
    """Somebody keeps others from deploying: to one environment, to all of an app (`environment` is None), or at
    all (`app` is None too). It ends by itself at `expires_at`, where there is one."""

    id: int
    app: str | None
    environment: str | None
    user_id: str
    user_name: str
    reason: str
    room: str
    at: datetime
    expires_at: datetime | None = None
    person: str = ""  # Person.key of the owner, as they are linked now, where that matters

    @property
    def label(self) -> str:
        """Its id as people and buttons see it, never to be taken for a deploy's number."""
        return f"L{self.id}"

    def covers(self, app: str, environment: str) -> bool:
        return self.app in (None, app) and self.environment in (None, environment)

    def as_json(self) -> dict[str, Any]:
        """What the words about it are made of."""
        return {
            "id": self.id,
            "app": self.app,
            "environment": self.environment,
            "user_id": self.user_id,
            "user_name": self.user_name,
            "reason": self.reason,
            "at": self.at.isoformat(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }


@dataclass(frozen=True, slots=True)
class Freezing:
    """A freeze that holds now. `id` is None for one of the config's; `until` is None when only a person ends it."""

    id: int | None
    app: str | None
    environment: str | None
    name: str
    reason: str
    user_id: str
    user_name: str
    since: datetime
    until: datetime | None

    def covers(self, app: str, environment: str) -> bool:
        return self.app in (None, app) and self.environment in (None, environment)

    def as_json(self) -> dict[str, Any]:
        """What the words about it are made of."""
        return {
            "app": self.app,
            "environment": self.environment,
            "name": self.name,
            "reason": self.reason,
            "user_id": self.user_id,
            "user_name": self.user_name,
            "since": self.since.isoformat(),
            "until": self.until.isoformat() if self.until else None,
        }


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said about one deploy, of which commit, and what the config asked for at that moment."""

    deploy: int
    approves: bool
    user_id: str
    user_name: str
    person: str
    sha: str
    reason: str
    policy: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit. `subject` is the first line of its message; `author` a GitHub login, else a name: whoever made it
    could write any."""

    sha: str
    subject: str = ""
    author: str = ""
    url: str = ""
    parents: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is in `head` and not in `base`: `ahead` commits, newest last in `commits` (at most 250 there)."""

    base: str
    head: str
    ahead: int
    behind: int
    url: str
    commits: tuple[Commit, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """What was reported about a commit under one name: a commit status or a check run, the newest of that name.

    `state` is GitHub's word: `success`, `failure`, `error`, `pending`, or a check run's conclusion; one that has
    not ended is `pending`.
    """

    name: str
    state: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """A login that a person has begun: what to type where, and how to ask whether they did.

    `handle` is sealed, so that it may be stored. Nobody but this bot can use it.
    """

    code: str
    address: str
    handle: str
    every: timedelta
    until: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """A deploy as somebody asked for it, names still as typed. `target` is `APP[/REF | @REF]`.

    `sha`: just that commit, whatever its ref has become. `cause` and `of`: why, where another deploy led to it.
    `origin`: HUMAN or RULE. `pull` and `author`: the pull request that led to it, and the login of who wrote it.
    `due_at`: when it is to go, None for as soon as it can.
    `rank`: see `Deploy.standing`.
    """

    target: str
    environment: str | None = None
    hosts: str = ""
    task: str = "deploy"
    force: bool = False
    reason: str = ""
    sha: str = ""
    cause: str = ""
    of: int | None = None
    origin: str = HUMAN
    pull: int | None = None
    author: str = ""
    due_at: datetime | None = None
    rank: float | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a deploy stands still or ended, as a code with its facts; the words are in `bot/slack/views`."""

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, **self.facts}

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> Problem | None:
        if not value:
            return None
        return cls(value["code"], {key: item for key, item in value.items() if key != "code"})


@dataclass(frozen=True, slots=True)
class Subscription:
    """A room that asked to hear of an app: in one environment, or with None in all; on some states, or with none on
    every one."""

    room: str
    app: str
    environment: str | None
    states: tuple[str, ...]
    user_id: str
    at: datetime

    def covers_same(self, other: Subscription) -> bool:
        """Whether one takes the place of the other."""
        same = (self.room, self.app, self.environment)
        return same == (other.room, other.app, other.environment)

    def as_json(self) -> dict[str, Any]:
        return {"app": self.app, "environment": self.environment, "states": list(self.states)}


@dataclass(frozen=True, slots=True)
class RepositoryConfig:
    """What is known of the file in which a repository says how its app is deployed.

    `text`, `sha` and `blob` are the last good one's, with None before there was one; `broken_blob` is None unless the
    newest one is broken, and then `broken_sha` is the commit and `faults` are as `config_file.Fault` is stored.
    """

    app: str
    repository: str
    path: str
    text: str | None
    sha: str
    blob: str
    broken_sha: str
    broken_blob: str | None
    faults: Sequence[Mapping[str, Any]]
    version: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a deploy brings compared with what was live when it was asked for."""

    base: str
    count: int
    url: str
    subjects: tuple[str, ...] = ()
    behind: int = 0
    live_since: datetime | None = None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing shows of a deploy, and no more: there are dozens in one answer.

    A struct rather than a dataclass, since one of so many fields is made in a quarter of the time.
    """

    number: int
    origin: str
    app: str
    repository: str
    environment: str
    ref: str
    sha: str
    task: str
    state: str
    asked_at: datetime
    hosts: str = ""
    forced: bool = False
    user_id: str = ""
    user_name: str = ""
    login: str = ""  # at GitHub, of whoever a rule asked for
    cause: str = ""  # why, where it was no person's own idea: RETRY, PUSH, …
    created_at: datetime | None = None
    finished_at: datetime | None = None
    inactive_at: datetime | None = None
    due_at: datetime | None = None  # when it is to go, where a time was named
    judged_at: datetime | None = None  # when, that time having come, its gates were first judged in earnest
    environment_url: str = ""

    @property
    def scheduled(self) -> bool:
        """Whether it waits for its time, and its gates have not been judged in earnest."""
        return self.state == states.HELD and self.due_at is not None and self.judged_at is None

    @property
    def begun_at(self) -> datetime:
        """Since when it has really been wanted: since its time came, where one was named."""
        return self.judged_at or self.asked_at

    @property
    def final(self) -> bool:
        return states.is_final(self.state)

    @property
    def ours(self) -> bool:
        """Whether this bot made it or decides about it, so that its room may be written to."""
        return self.origin != ELSEWHERE


class Deploy(Listed, frozen=True, kw_only=True):
    """One request to put a ref of an app into an environment, from asked to finished."""

    id: str
    auto_merge: bool = False
    reason: str = ""
    subject: str = ""
    room: str = ""
    message_id: str = ""
    thread_id: str = ""
    deployment_id: int | None = None
    last_status_id: int = 0
    description: str = ""
    log_url: str = ""
    problem: Problem | None = None
    change: Change | None = None
    pinned_at: datetime | None = None  # since when it is for just this commit
    cleared_at: datetime | None = None  # when every gate had let it through
    sent_at: datetime | None = None  # when GitHub was first asked for the deployment; it may have heard
    slot: str | None = None  # while it is the one under way in its environment
    in_line: bool = False  # nothing but those ahead of it keeps it
    findings: Sequence[Mapping[str, Any]] = ()  # of the newest decision, as policy.Finding stores them
    deadline_at: datetime | None = None  # when it counts as lost unless it ends before
    ended_by: str = ""  # the Slack id of who cancelled it
    is_default: bool = False  # its ref is the app's default one
    pull: int | None = None  # the pull request that led to it
    author: str = ""  # the login of who wrote that pull request
    preview: int | None = None  # the preview that it belongs to
    rank: float | None = None  # where it stands among those of its branch, when not by its number
    of: int | None = None  # the deploy that it tries again, takes back or carries on
    undone_by: int | None = None  # the rollback that took it back

    @property
    def pressing(self) -> bool:
        """Whether people wait to see it as it is now: it has ended, is about to go, or asks for approval."""
        asks = any(finding["gate"] == "approvals" and finding["verdict"] == "waiting" for finding in self.findings)
        return self.final or self.state in (states.ASKED, states.LOST) or (self.state == states.HELD and asks)

    @property
    def whole(self) -> bool:
        """Whether it puts the app everywhere in its environment, and is no other task."""
        return self.task == "deploy" and not self.hosts

    @property
    def unchecked(self) -> bool:
        """Whether checks and order are skipped: it was forced, or goes back to what ran there before."""
        return self.forced or self.cause == ROLLBACK

    @property
    def standing(self) -> float:
        """What orders the deploys that rules asked for because of one branch: the newer its commit, the more."""
        return self.number if self.rank is None else self.rank

    @property
    def automatic(self) -> bool:
        """Whether a rule of the config asked for it."""
        return self.origin == RULE

    @property
    def protected(self) -> bool:
        """Whether it is GitHub's, which asks this bot whether it may go."""
        return self.origin == PROTECTED


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a deploy's timeline.

    `kind` is `status` (reported at GitHub), `merged`, `problem` (it ended or waits without a word of GitHub's), `asks`
    and `reminds` (those who may approve), `approved`, `rejected`, `overridden` (a freeze was), `asked` (it took over
    the card of its preview), `kept` (its preview is wanted again), `gone` (marked inactive with its preview) or
    `bypassed` (GitHub did not wait for this bot's word).
    `actor` is a GitHub login for a status, a Slack user's id for what people do here.
    """

    id: int
    deploy: int
    kind: str
    at: datetime
    state: str = ""
    actor: str = ""
    description: str = ""
    log_url: str = ""
    environment_url: str = ""
    late: bool = False


def short(sha: str) -> str:
    """The seven characters by which people know a commit."""
    return sha[:7]
