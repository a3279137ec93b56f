"""What a provider is given, what it must be, and nothing of Slack, of the database or of this bot's insides.

A provider is found by its entry point in the group `shipbot.providers`: an object that is a `Provider`.
`docs/providers.md` shows how to write one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from bot.deploys.errors import PersonError, TryLater
from bot.deploys.integrators import ProviderConfig

__all__ = [
    "DESCRIPTION",
    "Callback",
    "Fault",
    "Outcome",
    "PersonError",
    "Provable",
    "Provider",
    "ProviderConfig",
    "Reporter",
    "Repository",
    "Stopped",
    "Told",
    "Trial",
    "TryLater",
    "Variable",
    "Work",
    "error",
    "failure",
    "handed_over",
    "success",
]

DESCRIPTION = 140  # characters of a status, GitHub's limit; what is longer is cut
CANCELLED, TIMED_OUT = "cancelled", "timed out"  # reasons to stop after which nobody goes on


class Fault(Exception):
    """The deployment can't be carried out. The message is the status's description: it says what is wrong and what
    helps, and holds no secret. Reported as `error`."""


class Stopped(Exception):
    """The work must end now: somebody cancelled it, its time is up, or this process stops.

    A provider cleans up, which may take `grace` seconds, and lets it pass: the runner reports what has to be reported.
    `reason` is one of `cancelled`, `timed out`, `stopping` (the process) and `taken` (by another process).
    """

    def __init__(self, reason: str = "", grace: float = 10.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.grace = grace

    @property
    def for_good(self) -> bool:
        """Whether nobody goes on with the work. When not, another attempt may: what runs elsewhere is left to it."""
        return self.reason in (CANCELLED, TIMED_OUT)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended: `success`, `failure` (what was deployed is bad), `error` (it could not be done), or "" where
    somebody else will report the end."""

    state: str
    description: str = ""


def success(description: str = "") -> Outcome:
    return Outcome("success", description)


def failure(description: str) -> Outcome:
    return Outcome("failure", description)


def error(description: str) -> Outcome:
    return Outcome("error", description)


def handed_over() -> Outcome:
    """Somebody else carries it on and writes the deployment statuses, as `on: deployment` workflows do."""
    return Outcome("")


@dataclass(frozen=True, slots=True)
class Callback:
    """Where somebody else may report how the work goes, and the token that they must show."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody else reported. Texts are theirs."""

    state: str  # in_progress, success, failure or error
    description: str = ""
    log_url: str = ""
    environment_url: str = ""


class Repository(Protocol):
    """The repository at GitHub, with this bot's rights.

    Every method may raise a PersonError for what GitHub refuses, and TryLater while it does not answer.
    """

    @property
    def clone_url(self) -> str:
        """Where git fetches from: https, without a token."""
        ...

    def token(self) -> str:
        """A token that may read the repository, good for ten minutes at least. It is hidden in the log. It belongs in
        no argument list and in no file that stays."""
        ...

    def tarball(self, sha: str) -> str:
        """A link to the source of a commit that needs no token and is good for five minutes."""
        ...

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """GitHub's REST API: `ask("GET", "actions/runs?head_sha=…")`. `path` is below the repository's.

        Returns the JSON of the answer, None where it has no body. Reads are sent again by themselves; a write never
        is: after TryLater, look whether it took effect.
        """
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """One deployment to carry out. All texts may come from anybody who may write to the repository: none is safe to
    be given to a shell, or to a program that could take it for an option."""

    app: str
    environment: str
    repository: str  # owner/name
    ref: str  # what people asked for: a branch, a tag, a commit
    sha: str  # the commit, 40 or 64 hexadecimal digits; checked
    task: str
    hosts: str  # as it was typed, '' for all
    user: str  # who asked: the name in the payload, else GitHub's creator
    deployment_id: int
    number: int  # of the deploy, as people call it: #42
    payload: Mapping[str, Any]
    attempt: int  # 1, and more where an earlier attempt did not come to an end
    remembered: Mapping[str, Any]  # what earlier attempts have left with `Reporter.remember`
    public_url: str  # where this bot is reached from outside, without a slash at its end; '' when that is not known
    run: int  # this bot's number for the work, the same in each attempt
    github: Repository
    variables: Mapping[str, str] = field(repr=False)  # those that the provider named and that are set


class Reporter(Protocol):
    """How the work says how it goes. Thread-safe. Nothing of it touches the network."""

    @property
    def deadline(self) -> datetime:
        """When the work is stopped (the environment's `timeout`)."""
        ...

    def seconds_left(self) -> float:
        """How long it is until then; 0 when it has passed."""
        ...

    def in_progress(self, description: str = "") -> None:
        """Reports that it goes on, and what it does now. The first is written for you."""
        ...

    def environment_url(self, url: str) -> None:
        """Where the result can be seen; what is no http(s) address is left out."""
        ...

    def log_url(self, url: str) -> None:
        """Where the output is, when it is not written here."""
        ...

    def write(self, output: bytes | str) -> None:
        """Adds to the log, in pieces of any size. The values of secret variables, the token and what `hide` named
        are masked, also where they are cut in two."""
        ...

    def hide(self, secret: str) -> None:
        """From now on the log shows *** in its place."""
        ...

    def remember(self, state: Mapping[str, Any]) -> None:
        """Keeps a few small things (JSON) for an attempt after this one, such as a build's id. Committed when it
        returns. Replaces what was kept before. No secrets."""
        ...

    def check(self) -> None:
        """Raises Stopped when the work must end."""
        ...

    def wait(self, seconds: float) -> None:
        """Waits; raises Stopped as soon as the work must end. Returns early when GitHub has told of something about
        the commit (a check, a workflow run), or somebody by the callback, so that who follows it need not ask often."""
        ...

    def callback(self) -> Callback | None:
        """Where somebody else may report: good from now on until the end, the same in each attempt. None where
        nobody knows how this bot is reached from outside."""
        ...

    def told(self) -> Told | None:
        """What was reported there last. The first end stays. It is for the provider to pass it on."""
        ...


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that a provider needs. `check` and `serve` say when one that is required is not set."""

    name: str
    required: bool = True
    secret: bool = True  # its value is masked in the log


Settings = TypeVar("Settings", bound=ProviderConfig, contravariant=True)


class Provider(Protocol[Settings]):
    """Carries out deployments. One object for all of them, used by several threads."""

    @property
    def name(self) -> str:
        """The `type` in the config, and the entry point's name."""
        ...

    @property
    def config(self) -> type[ProviderConfig]:
        """The model of what stands under `provider`."""
        ...

    def variables(self, config: Settings) -> Sequence[Variable]:
        """The environment variables that it needs with that config. It reads none by itself."""
        ...

    def may_run_again(self, config: Settings, remembered: Mapping[str, Any]) -> bool:
        """Whether `run` may be called once more for a deployment that an earlier attempt has begun and left
        (its process died or was stopped), given what that one had remembered. When not, `error` is reported."""
        ...

    def run(self, config: Settings, work: Work, reporter: Reporter) -> Outcome:
        """Does it. Blocks until it has ended.

        Raises Fault for what can't be done, and may let pass Stopped, PersonError and TryLater. After TryLater it is
        called again later where `may_run_again`. Anything else is a mistake of the provider's: reported as `error`
        with a reference to the log line.
        """
        ...

    def wind_up(self, config: Settings, work: Work, reporter: Reporter) -> None:
        """Ends what an earlier attempt has begun elsewhere and left, as far as that can be done: the deployment was
        cancelled, or its time ran out, while nobody carried it out. `reporter.check` and `wait` raise Stopped after
        half a minute. May raise what `run` may; after TryLater it is called again a few times."""
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """What a provider may try for `python -m bot check`: to ask, never to change anything."""

    repository: str  # owner/name
    github: Repository
    variables: Mapping[str, str] = field(repr=False)  # as in Work; those that are required are set


class Provable(Protocol[Settings]):
    """What a provider may be beside: one that is tried before the first deployment."""

    def prove(self, config: Settings, trial: Trial) -> str:
        """What could be seen to work, within a sentence and without a secret, in seconds.

        Raises Fault for what would not work, and may let pass PersonError and TryLater.
        """
        ...
