"""Carries out deployments with their providers, each in a thread of its own, so that no worker waits for one."""

from __future__ import annotations

import hmac
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import sqlalchemy as sa
import structlog

from bot.attempt import Attempt, Means
from bot.deploys.clock import Clock
from bot.providers.base import Callback, Repository
from bot.reporter import RunReporter
from bot.service.configured import Configured
from bot.store import records, runs
from bot.store.engine import Store
from bot.store.runs import Run

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

RUNS = 8  # deployments under way at once in one process
PAUSE = 0.2  # seconds between two looks for work at least: in a storm the bell rings thousands of times a second
RUN_NEWS, COMMIT_NEWS = "run", "commit"  # the first word of what the replicas tell one another


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
        self._public_url = public_url
        self._seal = seal.encode()
        self._free = threading.Semaphore(most)
        self._name = f"{socket.gethostname()[:40]}:{os.getpid()}"
        self._under_way: dict[int, tuple[Run, str, RunReporter]] = {}
        self._threads: list[threading.Thread] = []
        self._dispatcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._means = Means(store, clock, configured, repository, variables, public_url, self._stopping)

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
        """GitHub told of something about a commit: whoever waits for that looks at once, in whichever replica."""
        self._everywhere(f"{COMMIT_NEWS} {repository.casefold()} {sha}")

    def heard(self, number: int) -> None:
        """Somebody reported on a run: its provider looks at once, in whichever replica."""
        self._everywhere(f"{RUN_NEWS} {number}")

    def hear_of(self, word: str) -> None:
        """What another replica was told of."""
        for run, commit, reporter in list(self._under_way.values()):
            if word in (f"{RUN_NEWS} {run.id}", f"{COMMIT_NEWS} {run.repository.casefold()} {commit}"):
                reporter.poke()

    def _everywhere(self, word: str) -> None:
        self.hear_of(word)
        self._store.tell(word)

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
            outcome = Attempt(self._means, run, deploy, reporter).make()
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
