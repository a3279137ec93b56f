"""One attempt at a run: what its provider is given, and what comes of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploys import states
from bot.deploys.clock import Clock
from bot.deploys.errors import PersonError, TryLater
from bot.deploys.integrators import NotAProvider, ProviderConfig, find
from bot.deploys.model import Deploy
from bot.providers.base import CANCELLED, Fault, Outcome, Provider, Repository, Stopped, Told, Variable, Work
from bot.providers.base import error as failed
from bot.reporter import STOPPING, TAKEN, RunReporter
from bot.service.configured import Configured
from bot.store import runs
from bot.store.engine import Store
from bot.store.runs import Run
from bot.worker import wait_before

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

WINDING_UP = 10  # attempts in all, after which what was begun elsewhere is left to itself
COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})")
ENDS = frozenset({states.SUCCESS, states.FAILURE, states.ERROR, ""})

GONE = "The bot that ran it went away. How far it got is not known."
STOPPED = "The bot was stopped while it ran. How far it got is not known."
PASSED_ON = "the bot was stopped; another goes on with it"
SOON = timedelta(seconds=5)  # after which what could not be done now is tried again, at least


@dataclass(frozen=True, slots=True)
class Means:
    """What every attempt works with. `repository` gives a provider its repository; `variables` reads the environment;
    `stopping` is set once the process stops."""

    store: Store
    clock: Clock
    configured: Configured
    repository: Callable[[str], Repository]
    variables: Callable[[Iterable[str]], Mapping[str, str]]
    public_url: str
    stopping: threading.Event


class Attempt:
    """Carries one run out, or ends what an earlier attempt has begun. Its claim is held by whoever calls."""

    def __init__(self, means: Means, run: Run, deploy: Deploy, reporter: RunReporter) -> None:
        self._means = means
        self._run = run
        self._deploy = deploy
        self._reporter = reporter

    def make(self) -> str:
        """Does it, and settles it; returns the word for how it ended."""
        run = self._run
        if run.cancelled and not run.begun:
            return self._settle(runs.CANCELLED)
        try:
            theirs = self._theirs()
        except Fault as fault:
            return self._settle(runs.CANCELLED) if run.cancelled else self._settle(states.ERROR, str(fault))
        if run.cancelled:
            return self._wind_up(theirs, runs.CANCELLED)
        if self._means.clock.now() >= run.deadline_at:
            told = self._reporter.told()
            if told is not None and told.state in ENDS:  # in time, while nobody was there to pass it on
                return self._settle_told(theirs, told)
            if run.begun:
                return self._wind_up(theirs, states.ERROR, GONE)
            return self._settle(states.ERROR, "It was not begun within the time that it has (timeout).")
        if run.begun and not theirs.may_run_again(run.remembered):
            return self._settle(states.ERROR, GONE)
        try:
            outcome = self._carry_out(theirs)
        except Stopped:
            return self._stopped(theirs)
        except TryLater as later:
            if self._may_run_again(theirs):
                return self._put_back(max(wait_before(run.attempts), SOON), repr(later))
            outcome = failed(f"{_service(later)} did not answer.")
        except PersonError as refused:
            outcome = failed(_refused(refused))
        except Fault as fault:
            outcome = failed(str(fault))
        except Exception as error:
            log.exception("provider_failed", provider=theirs.name)
            kind = type(error).__name__
            outcome = failed(f"The provider {theirs.name} is broken ({kind}); its log has more under R{run.id}.")
        if outcome.state not in ENDS:
            log.error("provider_ended_strangely", provider=theirs.name, state=outcome.state)
            outcome = failed(f"The provider {theirs.name} ended with “{outcome.state}”, which is no end.")
        return self._settle(outcome.state or runs.HANDED_OVER, outcome.description)

    def _carry_out(self, theirs: _Theirs) -> Outcome:
        work = self._work(theirs)
        self._reporter.in_progress()
        self._reporter.begin()
        return theirs.provider.run(theirs.settings, work, self._reporter)

    def _wind_up(self, theirs: _Theirs, outcome: str, description: str = "") -> str:
        """Ends what an earlier attempt has begun elsewhere, and settles the run: it was cancelled, or its time ran out,
        while nobody carried it out."""
        self._reporter.wind_up()
        try:
            theirs.provider.wind_up(theirs.settings, self._work(theirs), self._reporter)
        except TryLater as later:
            if self._run.attempts < WINDING_UP:
                return self._put_back(max(wait_before(self._run.attempts), SOON), repr(later))
            self._reporter.write(f"[{_service(later)} did not answer: what was begun may go on]\n")
        except PersonError as refused:
            self._reporter.write(f"[{_refused(refused)}]\n")
        except Fault as fault:
            self._reporter.write(f"[{fault}]\n")
        except Stopped:
            if self._reporter.reason == TAKEN:
                return TAKEN
            if self._reporter.reason == STOPPING:
                return self._put_back(timedelta(0), PASSED_ON)
            self._reporter.write("[what was begun could not be ended in time: it may go on]\n")
        except Exception:
            log.exception("provider_failed", provider=theirs.name)
        return self._settle(outcome, description)

    def _stopped(self, theirs: _Theirs) -> str:
        reason = self._reporter.reason
        if reason == TAKEN:
            log.warning("run_taken")  # somebody else has it, or has ended it
            return TAKEN
        if reason == CANCELLED:
            return self._settle(runs.CANCELLED)
        if reason == STOPPING:
            if not self._reporter.begun:
                return self._put_back(timedelta(0), "")
            if self._may_run_again(theirs):
                return self._put_back(timedelta(0), PASSED_ON)
            return self._settle(states.ERROR, STOPPED)
        minutes = (self._run.deadline_at - self._run.created_at).total_seconds() / 60
        return self._settle(states.ERROR, f"Stopped after {minutes:.0f} min, the time that it has (timeout).")

    # what the provider is given

    def _theirs(self) -> _Theirs:
        """Raises Fault where the config has changed so that there is no provider any more."""
        run = self._run
        app = self._means.configured.config.apps.get(run.app)
        environment = app.place(run.environment) if app else None
        if environment is None or environment.provider is None:
            raise Fault(f"The config has no provider for {run.app} in {run.environment} any more.")
        try:
            return _Theirs(find(environment.provider.type), environment.provider)
        except NotAProvider as error:
            raise Fault(f"The provider {environment.provider.type} {error}") from None

    def _work(self, theirs: _Theirs) -> Work:
        """Raises Fault for what it can't be done with."""
        deploy = self._deploy
        if not COMMIT.fullmatch(deploy.sha):
            raise Fault(f"“{deploy.sha}” is no commit.")
        needed = theirs.variables()
        variables = self._means.variables([variable.name for variable in needed])
        missing = [one.name for one in needed if one.required and one.name not in variables]
        if missing:
            raise Fault(f"The bot's environment lacks {', '.join(missing)}.")
        self._hide(needed, variables)
        github = _Hiding(self._means.repository(self._run.repository), self._reporter)
        return _work(self._run, deploy, github, variables, self._means.public_url)

    def _hide(self, needed: Iterable[Variable], variables: Mapping[str, str]) -> None:
        for one in needed:
            if one.secret and one.name in variables:
                self._reporter.hide(variables[one.name])

    def _may_run_again(self, theirs: _Theirs) -> bool:
        with self._means.store.read() as connection:
            now = runs.find(connection, self._run.id)
        assert now is not None
        return theirs.may_run_again(now.remembered)

    # how it ends

    def _put_back(self, after: timedelta, why: str) -> str:
        self._reporter.close(why)
        with self._means.store.write() as connection:
            runs.put_back(connection, self._run, self._means.clock.now() + after)
        return "put back"

    def _settle_told(self, theirs: _Theirs, told: Told) -> str:
        """Settles what somebody reported by the callback."""
        self._reporter.callback()  # whose token stays out of it, as the provider's secrets do
        needed = theirs.variables()
        self._hide(needed, self._means.variables([one.name for one in needed]))
        if told.log_url:
            self._reporter.log_url(told.log_url)
        if told.environment_url:
            self._reporter.environment_url(told.environment_url)
        return self._settle(told.state, told.description)

    def _settle(self, outcome: str, description: str = "") -> str:
        """Stores the end and leaves its status to be written, but for one that GitHub knows already."""
        told = self._reporter.mask(description)
        words = {runs.CANCELLED: "stopped: it was cancelled", runs.HANDED_OVER: "handed over"}.get(outcome, outcome)
        self._reporter.close(f"{words}: {told}" if told else words)
        while True:  # a database that is away comes back; until then the lease is not renewed either
            self._reporter.flush()
            try:
                with self._means.store.write() as connection:
                    now = self._means.clock.now()
                    cancelled = runs.look(connection, self._run)[1]
                    if not runs.finish(connection, self._run, outcome, now):
                        return TAKEN
                    if outcome in states.REPORTED and (not cancelled or outcome == states.SUCCESS):
                        runs.report(connection, self._run, outcome, told, now)
                return outcome
            except sa.exc.OperationalError as error:
                log.error("database_unavailable", error=type(error).__name__)
                if self._means.stopping.wait(1):
                    raise


@dataclass(frozen=True, slots=True)
class _Theirs:
    """A provider with its config."""

    provider: Provider[Any]
    settings: ProviderConfig

    @property
    def name(self) -> str:
        return self.provider.name

    def variables(self) -> list[Variable]:
        return list(self.provider.variables(self.settings))

    def may_run_again(self, remembered: Mapping[str, Any]) -> bool:
        return self.provider.may_run_again(self.settings, remembered)


class _Hiding:
    """The repository, whose tokens and links are hidden in the log as soon as they are handed out."""

    def __init__(self, repository: Repository, reporter: RunReporter) -> None:
        self._repository = repository
        self._reporter = reporter

    @property
    def clone_url(self) -> str:
        return self._repository.clone_url

    def token(self) -> str:
        token = self._repository.token()
        self._reporter.hide(token)
        return token

    def tarball(self, sha: str) -> str:
        link = self._repository.tarball(sha)
        self._reporter.hide(link)
        return link

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._repository.ask(method, path, body)


def _work(run: Run, deploy: Deploy, github: Repository, variables: Mapping[str, str], public_url: str) -> Work:
    """What is known of it here comes first; of a deployment that others made, what its payload says."""
    payload = run.payload

    def said(name: str) -> str:
        value = payload.get(name)
        return value.replace("\x00", "\ufffd") if isinstance(value, str) else ""

    ours = deploy.ours
    return Work(
        app=deploy.app,
        environment=deploy.environment,
        repository=deploy.repository,
        ref=deploy.ref,
        sha=deploy.sha,
        task=deploy.task,
        hosts=deploy.hosts if ours else said("hosts"),
        user=deploy.user_name if ours else said("user") or run.creator,
        deployment_id=run.deployment_id,
        number=deploy.number,
        payload=payload,
        attempt=run.attempts,
        remembered=run.remembered,
        public_url=public_url,
        run=run.id,
        github=github,
        variables=variables,
    )


def _service(later: TryLater) -> str:
    return getattr(later, "service", "") or "GitHub"


def _refused(refused: PersonError) -> str:
    """A person's error in one line. The words that Slack has for it name commands, and belong there."""
    message = getattr(refused, "message", "")
    permission = getattr(refused, "permission", "")
    what = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in type(refused).__name__).strip()
    needs = f" (needs {permission})" if permission else ""
    return f"GitHub refuses: {what}{needs}{': ' + message if message else ''}"
