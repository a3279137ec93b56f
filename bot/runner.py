"""Carries out deployments with their providers, each in a thread of its own, so that no worker waits for one."""

from __future__ import annotations

import hmac
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploys import states
from bot.deploys.clock import Clock
from bot.deploys.errors import PersonError, TryLater
from bot.deploys.integrators import NotAProvider, ProviderConfig, find
from bot.deploys.model import Deploy
from bot.providers.base import CANCELLED, Callback, Fault, Outcome, Provider, Repository, Stopped, Told, Work
from bot.providers.base import error as failed
from bot.reporter import STOPPING, TAKEN, RunReporter
from bot.service.configured import Configured
from bot.store import records, runs
from bot.store.engine import Store
from bot.store.runs import Run
from bot.worker import wait_before

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

RUNS = 8  # deployments under way at once in one process
WINDING_UP = 10  # attempts in all, after which what was begun elsewhere is left to itself
PAUSE = 0.2  # seconds between two looks for work at least: in a storm the bell rings thousands of times a second
COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})")
ENDS = frozenset({states.SUCCESS, states.FAILURE, states.ERROR, ""})

GONE = "The bot that ran it went away. How far it got is not known."
STOPPED = "The bot was stopped while it ran. How far it got is not known."


class Runner:
    """Does runs. `repository` gives a provider its repository; `variables` reads the environment; `seal` is a secret
    that the tokens of callbacks are made with.

    What is claimed stays ours while `renew` is called more often than the lease is long.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        configured: Configured,
        repository: Callable[[str], Repository],
        variables: Callable[[Iterable[str]], Mapping[str, str]],
        public_url: str = "",
        *,
        seal: str,
        most: int = RUNS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._configured = configured
        self._repository = repository
        self._variables = variables
        self._public_url = public_url
        self._seal = seal.encode()
        self._free = threading.Semaphore(most)
        self._name = f"{socket.gethostname()[:40]}:{os.getpid()}"
        self._under_way: dict[int, tuple[Run, str, RunReporter]] = {}
        self._threads: list[threading.Thread] = []
        self._dispatcher: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def running(self) -> bool:
        """Whether it looks for work."""
        return self._dispatcher is not None and self._dispatcher.is_alive()

    def start(self) -> None:
        self._dispatcher = threading.Thread(target=self._dispatch, name="runner", daemon=True)
        self._dispatcher.start()

    def halt(self) -> None:
        """Takes no more, and tells what is under way to end."""
        self._stopping.set()
        self._store.bell.ring()
        for _, _, reporter in list(self._under_way.values()):
            reporter.stop()

    def stop(self, seconds: float) -> None:
        """Halts, and waits up to `seconds` for the end of what is under way.

        What may run again is put back. The rest is reported as an error, by the worker that comes to it.
        """
        self.halt()
        deadline = time.monotonic() + seconds
        for thread in [self._dispatcher, *self._threads]:
            if thread is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        self._dispatcher = None

    def step(self) -> bool:
        """Does one run that is due, to its end; False when there is none."""
        run = self._claim()
        if run is None:
            return False
        self._do(run)
        return True

    def renew(self) -> None:
        """Keeps the claims of what is under way from running out."""
        held = [run for run, _, _ in list(self._under_way.values())]
        if held:
            with self._store.write() as connection:
                runs.renew(connection, sorted(held, key=lambda run: run.id), self._clock.now())

    def poke(self, repository: str, sha: str) -> None:
        """GitHub told of something about a commit: whoever waits for that looks at once."""
        for run, commit, reporter in list(self._under_way.values()):
            if commit == sha and run.repository.casefold() == repository.casefold():
                reporter.poke()

    def heard(self, number: int) -> None:
        """Somebody reported on a run: its provider looks at once."""
        for run, _, reporter in list(self._under_way.values()):
            if run.id == number:
                reporter.poke()

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            rings = self._store.bell.rings
            self._free.acquire()
            run = None
            try:
                run = self._claim()
            except sa.exc.IntegrityError:
                pass  # another replica took one in the same place in the same moment
            except sa.exc.SQLAlchemyError as error:
                log.error("database_unavailable", error=type(error).__name__)
            if run is None:
                self._free.release()
                self._store.bell.wait(rings, 60)
                self._stopping.wait(PAUSE)
                continue
            thread = threading.Thread(target=self._alone, args=(run,), name=f"run-{run.id}", daemon=True)
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def _alone(self, run: Run) -> None:
        try:
            self._do(run)
        except Exception:  # what could not be settled is brought back by the end of its lease
            log.exception("run_unsettled", run=run.id)
        finally:
            self._free.release()

    def _claim(self) -> Run | None:
        if self._stopping.is_set():
            return None
        with self._store.read() as connection:
            if not runs.any_due(connection, self._clock.now()):
                return None
        with self._store.write() as connection:
            return runs.claim(connection, self._name, self._clock.now())

    def _do(self, run: Run) -> None:
        structlog.contextvars.bind_contextvars(run=run.id, deploy=run.deploy)
        with self._store.read() as connection:
            deploy = records.deploy(connection, run.deploy)
        assert deploy is not None
        reporter = RunReporter(self._store, self._clock, run, self._callback(run))
        self._under_way[run.id] = (run, deploy.sha, reporter)
        if self._stopping.is_set():
            reporter.stop()
        started = time.monotonic()
        try:
            outcome = self._outcome(run, deploy, reporter)
            log.info("run", outcome=outcome, attempt=run.attempts, seconds=round(time.monotonic() - started, 1))
        finally:
            self._under_way.pop(run.id, None)
            structlog.contextvars.clear_contextvars()

    def _callback(self, run: Run) -> Callback | None:
        """Where others may report on a run. The token is the same in each attempt, and kept nowhere."""
        if not self._public_url:
            return None
        about = f"callback:{run.id}:{run.repository}:{run.deployment_id}:{run.created_at.isoformat()}"
        token = hmac.digest(self._seal, about.encode(), "sha256").hex()
        return Callback(f"{self._public_url}/callbacks/{run.id}", token)

    def _outcome(self, run: Run, deploy: Deploy, reporter: RunReporter) -> str:
        """Does it, and settles it; returns the word for how it ended."""
        if run.cancelled and not run.begun:
            return self._settle(run, reporter, runs.CANCELLED, None)
        try:
            provider, settings = self._provider(run)
        except Fault as fault:
            return self._settle(run, reporter, runs.CANCELLED if run.cancelled else states.ERROR, str(fault))
        if run.cancelled:
            return self._wind_up(run, deploy, provider, settings, reporter, runs.CANCELLED)
        if self._clock.now() >= run.deadline_at:
            told = reporter.told()
            if told is not None and told.state in ENDS:  # in time, while nobody was there to pass it on
                return self._settle_told(run, reporter, provider, settings, told)
            if run.begun:
                return self._wind_up(run, deploy, provider, settings, reporter, states.ERROR)
            return self._settle(run, reporter, states.ERROR, "It was not begun within the time that it has (timeout).")
        if run.begun and not provider.may_run_again(settings, run.remembered):
            return self._settle(run, reporter, states.ERROR, GONE)
        try:
            outcome = self._run(run, deploy, provider, settings, reporter)
        except Stopped:
            return self._stopped(run, reporter, provider, settings)
        except TryLater as later:
            if self._may_run_again(run, provider, settings):
                return self._put_back(run, reporter, max(wait_before(run.attempts), timedelta(seconds=5)), repr(later))
            outcome = failed(f"{_service(later)} did not answer.")
        except PersonError as refused:
            outcome = failed(_refused(refused))
        except Fault as fault:
            outcome = failed(str(fault))
        except Exception as error:
            log.exception("provider_failed", provider=provider.name)
            kind = type(error).__name__
            outcome = failed(f"The provider {provider.name} is broken ({kind}); its log has more under R{run.id}.")
        if outcome.state not in ENDS:
            log.error("provider_ended_strangely", provider=provider.name, state=outcome.state)
            outcome = failed(f"The provider {provider.name} ended with “{outcome.state}”, which is no end.")
        return self._settle(run, reporter, outcome.state or runs.HANDED_OVER, outcome.description)

    def _run(
        self, run: Run, deploy: Deploy, provider: Provider[Any], settings: ProviderConfig, reporter: RunReporter
    ) -> Outcome:
        work = self._prepared(run, deploy, provider, settings, reporter)
        reporter.in_progress()
        reporter.begin()
        return provider.run(settings, work, reporter)

    def _wind_up(
        self,
        run: Run,
        deploy: Deploy,
        provider: Provider[Any],
        settings: ProviderConfig,
        reporter: RunReporter,
        outcome: str,
    ) -> str:
        """Ends what an earlier attempt has begun elsewhere, and settles the run: it was cancelled, or its time ran out,
        while nobody carried it out."""
        reporter.wind_up()
        try:
            provider.wind_up(settings, self._prepared(run, deploy, provider, settings, reporter), reporter)
        except TryLater as later:
            if run.attempts < WINDING_UP:
                return self._put_back(run, reporter, max(wait_before(run.attempts), timedelta(seconds=5)), repr(later))
            reporter.write(f"[{_service(later)} did not answer: what was begun may go on]\n")
        except (PersonError, Fault) as problem:
            reporter.write(f"[{_refused(problem) if isinstance(problem, PersonError) else problem}]\n")
        except Stopped:
            if reporter.reason == TAKEN:
                return TAKEN
            if reporter.reason == STOPPING:
                return self._put_back(run, reporter, timedelta(0), "the bot was stopped; another goes on with it")
            reporter.write("[what was begun could not be ended in time: it may go on]\n")
        except Exception:
            log.exception("provider_failed", provider=provider.name)
        return self._settle(run, reporter, outcome, None if outcome == runs.CANCELLED else GONE)

    def _prepared(
        self, run: Run, deploy: Deploy, provider: Provider[Any], settings: ProviderConfig, reporter: RunReporter
    ) -> Work:
        """What the provider is given. Raises Fault for what it can't be done with."""
        if not COMMIT.fullmatch(deploy.sha):
            raise Fault(f"“{deploy.sha}” is no commit.")
        needed = provider.variables(settings)
        variables = self._variables([variable.name for variable in needed])
        missing = [one.name for one in needed if one.required and one.name not in variables]
        if missing:
            raise Fault(f"The bot's environment lacks {', '.join(missing)}.")
        for one in needed:
            if one.secret and one.name in variables:
                reporter.hide(variables[one.name])
        return _work(run, deploy, _Hiding(self._repository(run.repository), reporter), variables, self._public_url)

    def _provider(self, run: Run) -> tuple[Provider[Any], ProviderConfig]:
        """Raises Fault where the config has changed so that there is none any more."""
        app = self._configured.config.apps.get(run.app)
        environment = app.place(run.environment) if app else None
        if environment is None or environment.provider is None:
            raise Fault(f"The config has no provider for {run.app} in {run.environment} any more.")
        try:
            return find(environment.provider.type), environment.provider
        except NotAProvider as error:
            raise Fault(f"The provider {environment.provider.type} {error}") from None

    def _stopped(self, run: Run, reporter: RunReporter, provider: Provider[Any], settings: ProviderConfig) -> str:
        if reporter.reason == TAKEN:
            log.warning("run_taken")  # somebody else has it, or has ended it
            return TAKEN
        if reporter.reason == CANCELLED:
            return self._settle(run, reporter, runs.CANCELLED, None)
        if reporter.reason == STOPPING:
            if not reporter.begun:
                return self._put_back(run, reporter, timedelta(0), "")
            if self._may_run_again(run, provider, settings):
                return self._put_back(run, reporter, timedelta(0), "the bot was stopped; another goes on with it")
            return self._settle(run, reporter, states.ERROR, STOPPED)
        minutes = (run.deadline_at - run.created_at).total_seconds() / 60
        return self._settle(
            run, reporter, states.ERROR, f"Stopped after {minutes:.0f} min, the time that it has (timeout)."
        )

    def _may_run_again(self, run: Run, provider: Provider[Any], settings: ProviderConfig) -> bool:
        with self._store.read() as connection:
            now = runs.find(connection, run.id)
        assert now is not None
        return provider.may_run_again(settings, now.remembered)

    def _put_back(self, run: Run, reporter: RunReporter, after: timedelta, why: str) -> str:
        reporter.close(why)
        with self._store.write() as connection:
            runs.put_back(connection, run, self._clock.now() + after)
        return "put back"

    def _settle_told(
        self, run: Run, reporter: RunReporter, provider: Provider[Any], settings: ProviderConfig, told: Told
    ) -> str:
        """Settles what somebody reported by the callback."""
        reporter.callback()  # whose token stays out of it, as the provider's secrets do
        for secret in self._variables([one.name for one in provider.variables(settings) if one.secret]).values():
            reporter.hide(secret)
        for url, keep in ((told.log_url, reporter.log_url), (told.environment_url, reporter.environment_url)):
            if url:
                keep(url)
        return self._settle(run, reporter, told.state, told.description)

    def _settle(self, run: Run, reporter: RunReporter, outcome: str, description: str | None) -> str:
        """Stores the end and leaves its status to be written. None: no status, since GitHub knows already."""
        told = reporter.mask(description or "")
        words = {runs.CANCELLED: "stopped: it was cancelled", runs.HANDED_OVER: "handed over"}.get(outcome, outcome)
        reporter.close(f"{words}: {told}" if told else words)
        while True:  # a database that is away comes back; until then the lease is not renewed either
            reporter.flush()
            try:
                with self._store.write() as connection:
                    now = self._clock.now()
                    cancelled = runs.look(connection, run)[1]
                    if not runs.finish(connection, run, outcome, now):
                        return TAKEN
                    if outcome in states.REPORTED and (not cancelled or outcome == states.SUCCESS):
                        runs.report(connection, run, outcome, told, now)
                return outcome
            except sa.exc.OperationalError as error:
                log.error("database_unavailable", error=type(error).__name__)
                if self._stopping.wait(1):
                    raise


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
