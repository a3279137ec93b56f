"""What the simulated GitHub knows: people, repositories with their commit graph, checks, deployments, hooks.

Plain data and the questions that can be asked of it; nothing here knows of HTTP or JSON.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = dict[str, Any]

OF_APPS = ("deployment_protection_rule", "deployment_review")  # no webhook of a repository gets these

_SHORT_SHA = re.compile(r"[0-9a-f]{4,39}")
_FULL_SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Person:
    """A user, an organization (`kind` "Organization") or an app's user ("Bot")."""

    id: int
    login: str
    name: str | None
    kind: str
    created_at: datetime

    @property
    def email(self) -> str:
        return f"{self.id}+{self.login}@users.noreply.github.com"


@dataclass(frozen=True)
class Commit:
    """One commit. `files` is the whole tree after it: path to content."""

    sha: str
    tree: str
    message: str
    author: Person
    date: datetime
    parents: tuple[str, ...]
    files: dict[str, bytes]
    number: int  # grows with each commit of the repository; parents have smaller numbers


@dataclass(frozen=True)
class CommitStatus:
    id: int
    sha: str
    context: str
    state: str
    target_url: str
    description: str
    creator: Person
    created_at: datetime


@dataclass
class CheckRun:
    id: int
    suite_id: int
    sha: str
    name: str
    status: str
    conclusion: str | None
    details_url: str
    started_at: datetime
    completed_at: datetime | None


@dataclass
class CheckSuite:
    id: int
    sha: str
    branch: str | None
    created_at: datetime
    updated_at: datetime


@dataclass
class DeploymentStatus:
    id: int
    state: str
    description: str
    environment: str
    environment_url: str
    log_url: str
    creator: Person
    via_app: bool
    created_at: datetime


@dataclass
class Deployment:
    id: int
    ref: str
    sha: str
    task: str
    payload: Any
    environment: str
    original_environment: str
    description: str | None
    transient_environment: bool
    production_environment: bool
    creator: Person
    via_app: bool
    created_at: datetime
    updated_at: datetime
    statuses: list[DeploymentStatus] = field(default_factory=list)  # oldest first
    made_by: Json = field(default_factory=dict)  # where a workflow's job made it: its `workflow` and `workflow_run`

    @property
    def state(self) -> str:
        """The newest status's state; `pending` when nobody has reported yet."""
        return self.statuses[-1].state if self.statuses else "pending"


@dataclass
class Pull:
    id: int
    number: int
    title: str
    body: str | None
    author: Person
    head: str
    base: str
    head_sha: str
    base_sha: str
    labels: list[str]
    state: str
    created_at: datetime
    updated_at: datetime
    source: Repository = field(repr=False, compare=False)  # where its branch is: the repository itself, or a fork
    closed_at: datetime | None = None
    merged_at: datetime | None = None
    merged_by: Person | None = None
    merge_commit_sha: str | None = None


@dataclass
class Job:
    """One job of a workflow run."""

    id: int
    name: str
    status: str
    conclusion: str | None
    created_at: datetime
    completed_at: datetime | None = None


@dataclass
class WorkflowRun:
    """A run of a GitHub Actions workflow. `inputs` are those of a `workflow_dispatch`, which GitHub tells nobody."""

    id: int
    number: int
    path: str  # of the workflow's file
    name: str
    title: str
    sha: str
    branch: str | None
    event: str
    actor: Person
    created_at: datetime
    updated_at: datetime
    status: str = "queued"
    conclusion: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)


@dataclass
class Hook:
    id: int
    target_url: str
    secret: str
    events: tuple[str, ...]
    content_type: str
    active: bool
    created_at: datetime
    last_response: tuple[int | None, str, str | None] = (None, "unused", None)
    of_app: bool = False  # it is a GitHub App's

    def wants(self, event: str) -> bool:
        if event in OF_APPS and not self.of_app:
            return False
        return self.active and (event == "ping" or "*" in self.events or event in self.events)


@dataclass
class Repository:
    """A repository: its refs, its commit graph and everything that was reported on it."""

    id: int
    full_name: str
    owner: Person
    default_branch: str
    private: bool
    created_at: datetime
    pushed_at: datetime
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    commit_statuses: list[CommitStatus] = field(default_factory=list)  # oldest first
    check_runs: list[CheckRun] = field(default_factory=list)
    check_suites: dict[str, CheckSuite] = field(default_factory=dict)  # by SHA
    deployments: dict[int, Deployment] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    hooks: dict[int, Hook] = field(default_factory=dict)
    workflow_runs: dict[int, WorkflowRun] = field(default_factory=dict)
    former: dict[str, str] = field(default_factory=dict)  # names that branches had, and what they are called now
    conflicts: set[str] = field(default_factory=set)  # branches the default branch can't be merged into
    permissions: dict[str, str] = field(default_factory=dict)  # login to role
    hidden: bool = False  # the bot's token can't see it
    fork: bool = False  # of another one, with which it shares its commits

    @property
    def name(self) -> str:
        return self.full_name.partition("/")[2]

    def resolve(self, ref: str) -> str | None:
        """The SHA that `ref` names, or None.

        A full SHA, a branch, a tag, `heads/x` and `tags/x` (with or without `refs/`), or a unique short SHA,
        in the order in which GitHub's commits endpoint takes them.
        """
        if _FULL_SHA.fullmatch(ref):
            return ref if ref in self.commits else None
        for name in (ref, ref.removeprefix("refs/")):
            if name in self.branches:
                return self.branches[name]
            if name in self.tags:
                return self.tags[name]
            kind, _, rest = name.partition("/")
            if kind == "heads" and rest in self.branches:
                return self.branches[rest]
            if kind == "tags" and rest in self.tags:
                return self.tags[rest]
        if _SHORT_SHA.fullmatch(ref):
            found = [sha for sha in self.commits if sha.startswith(ref)]
            if len(found) == 1:
                return found[0]
        return None

    def branch_named(self, ref: str) -> str | None:
        """The branch that `ref` means (`topic`, `heads/topic`, `refs/heads/topic`), or None."""
        for name in (ref, ref.removeprefix("refs/heads/"), ref.removeprefix("heads/")):
            if name in self.branches:
                return name
        return None

    def add_commit(
        self, message: str, author: Person, date: datetime, parents: tuple[str, ...], files: dict[str, bytes]
    ) -> Commit:
        """Adds a commit object; refs stay where they are. Its SHA follows from its content and number."""
        number = len(self.commits) + 1
        tree = hashlib.sha1(repr((self.id, number, sorted(files.items()))).encode()).hexdigest()  # noqa: S324
        text = f"tree {tree}\nparents {parents}\nauthor {author.login} {date.isoformat()}\n\n{message}"
        sha = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324  # an identifier, as in git, no protection
        commit = Commit(sha, tree, message, author, date, parents, files, number)
        self.commits[sha] = commit
        return commit

    def ancestors(self, sha: str) -> set[str]:
        """The commit and all it builds on."""
        seen: set[str] = set()
        waiting = [sha]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting.extend(self.commits[current].parents)
        return seen

    def history(self, sha: str) -> list[Commit]:
        """All commits up to `sha`, newest first."""
        return sorted((self.commits[one] for one in self.ancestors(sha)), key=lambda c: -c.number)

    def between(self, base: str, head: str) -> list[Commit]:
        """The commits of `head` that `base` lacks, oldest first (`git log base..head`)."""
        missing = self.ancestors(head) - self.ancestors(base)
        return sorted((self.commits[one] for one in missing), key=lambda c: c.number)

    def merge_base(self, one: str, other: str) -> str | None:
        common = self.ancestors(one) & self.ancestors(other)
        return max(common, key=lambda sha: self.commits[sha].number, default=None)

    def statuses_of(self, sha: str) -> list[CommitStatus]:
        """All statuses reported on a commit, newest first."""
        return [status for status in reversed(self.commit_statuses) if status.sha == sha]

    def latest_statuses(self, sha: str) -> list[CommitStatus]:
        """The newest status per context, newest first."""
        newest: dict[str, CommitStatus] = {}
        for status in self.statuses_of(sha):
            newest.setdefault(status.context, status)
        return list(newest.values())

    def check_runs_of(self, sha: str, *, latest: bool = True) -> list[CheckRun]:
        """The check runs on a commit, newest first; with `latest` only the newest per name."""
        runs = [run for run in reversed(self.check_runs) if run.sha == sha]
        if not latest:
            return runs
        newest: dict[str, CheckRun] = {}
        for run in runs:
            newest.setdefault(run.name, run)
        return list(newest.values())

    def contexts(self, sha: str) -> dict[str, str]:
        """Every context reported on a commit with its state: commit statuses and check runs alike.

        A check run that has not completed is `pending`; a completed one counts with its own conclusion.
        """
        states = {status.context: status.state for status in self.latest_statuses(sha)}
        for run in self.check_runs_of(sha):
            states[run.name] = run.conclusion or "pending" if run.status == "completed" else "pending"
        return states

    def suite_state(self, sha: str) -> tuple[str, str | None]:
        """Status and conclusion of the commit's check suite, from its newest runs."""
        runs = self.check_runs_of(sha)
        if not runs:
            return "queued", None
        if any(run.status != "completed" for run in runs):
            return "in_progress", None
        conclusions = {run.conclusion for run in runs}
        for bad in ("failure", "timed_out", "cancelled", "action_required", "stale"):
            if bad in conclusions:
                return "completed", bad
        return "completed", "success" if "success" in conclusions else "neutral"

    def newest_deployments(self) -> Iterator[Deployment]:
        return (self.deployments[number] for number in sorted(self.deployments, reverse=True))

    def branches_at(self, sha: str) -> list[str]:
        return [name for name, head in sorted(self.branches.items()) if head == sha]
