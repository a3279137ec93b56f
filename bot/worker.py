"""Workers: threads that claim jobs and call the handler of each kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import sqlalchemy as sa
import structlog

from bot.deploys.clock import Clock
from bot.deploys.errors import Paced, TryLater
from bot.metrics import Metrics
from bot.store import jobs
from bot.store.engine import Store
from bot.store.jobs import Job

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Handler = Callable[[Job], None]
Apology = Callable[[Job, str], None]
Word = Callable[[sa.Connection, Job, str], None]

FAILURES = 5  # of a job that breaks something of ours; what is merely not possible yet is tried without end
LONGEST_GIVING_WAY = 1.0  # seconds before each job: in a storm without end the work still gets done
DEADLOCK = "40P01"  # https://www.postgresql.org/docs/current/errcodes-appendix.html
LONGEST_WAIT = timedelta(minutes=1)


class NewerKind(TryLater):
    """Nobody in this replica does jobs of that kind. A newer one beside it may have left it, and does it itself."""


def wait_before(attempt: int) -> timedelta:
    """How long to wait after that many attempts: 1, 2, 4 … seconds, at most a minute."""
    return min(timedelta(seconds=2 ** min(attempt - 1, 10)), LONGEST_WAIT)


class Workers:
    """Does jobs. `handlers` by kind; `apologise` is told of a job that died, with a reference to its log line.

    While `pressed` says so, workers hold back a little: what comes in must be acknowledged within seconds,
    and what is to be done can wait that long. `leave_word` is told of the death too, inside its transaction.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        handlers: Mapping[str, Handler],
        apologise: Apology,
        pressed: Callable[[], bool] = lambda: False,
        leave_word: Word = lambda connection, job, reference: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._handlers = handlers
        self._apologise = apologise
        self._pressed = pressed
        self._leave_word = leave_word
        self._threads: list[threading.Thread] = []
        self._at_work: dict[int, Job] = {}
        self._looking = threading.Lock()
        self._stopping = threading.Event()

    @property
    def running(self) -> bool:
        """Whether every worker that was started is at work."""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def start(self, number: int) -> None:
        for index in range(number):
            thread = threading.Thread(target=self._run, args=(f"worker-{index}",), name=f"worker-{index}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, seconds: float) -> None:
        """Takes no more; waits up to `seconds` for what is claimed. What is not done by then is done again later."""
        self._stopping.set()
        self._store.bell.ring()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._threads = []

    def step(self, name: str = "worker") -> bool:
        """Does one job that is due; False when there is none."""
        job = self._claim(name)
        if job is None:
            return False
        self._take_on(job)
        return True

    def _claim(self, name: str) -> Job | None:
        if self._store.sqlite:  # where a look keeps nobody from writing, and a claim does
            with self._store.read() as connection:
                if not jobs.any_due(connection, self._clock.now()):
                    return None
        # A claim that a power cut undoes leaves the job ready, as its end would: what it did is written after it.
        with self._store.write(lasting=False) as connection:
            return jobs.claim(connection, name, self._clock.now())

    def _take_on(self, job: Job) -> None:
        structlog.contextvars.bind_contextvars(job=job.id, kind=job.kind, delivery=job.delivery)
        self._at_work[job.id] = job
        try:
            self._do(job)
        finally:
            self._at_work.pop(job.id, None)  # what could not be settled is brought back by the end of its lease
            structlog.contextvars.clear_contextvars()  # also what the handler bound: the deploy, the room

    def renew(self) -> None:
        """Keeps the claims of what is being worked on, which may take longer than a lease, from running out."""
        held = sorted(self._at_work.copy().values(), key=lambda job: job.id)
        if held:
            with self._store.write() as connection:
                jobs.renew(connection, held, self._clock.now())

    def _run(self, name: str) -> None:
        while not self._stopping.is_set():
            self._give_way()
            try:
                job = self._next(name)
                if job is not None:
                    self._take_on(job)
            except sa.exc.IntegrityError:
                continue  # another replica claimed a job of the same subject in the same moment
            except sa.exc.SQLAlchemyError as error:
                log.error("database_unavailable", error=type(error).__name__)
                self._store.bell.wait(self._store.bell.rings, 1)
                continue
            except Exception:  # of one job; a worker that died of it would leave the others to it too
                log.exception("stumbled")
                self._store.bell.wait(self._store.bell.rings, 1)
                continue

    def _next(self, name: str) -> Job | None:
        """The next job, which is waited for. One worker looks at a time: were all of them woken by each ring, the one
        that gets the job would share the interpreter with those that find nothing."""
        with self._looking:
            if self._stopping.is_set():
                return None
            rings = self._store.bell.rings
            job = self._claim(name)
            if job is None:
                self._store.bell.wait(rings, 60)
            return job

    def _give_way(self) -> None:
        until = time.monotonic() + LONGEST_GIVING_WAY
        while self._pressed() and not self._stopping.is_set() and time.monotonic() < until:
            self._stopping.wait(0.05)

    def _do(self, job: Job) -> None:
        started = time.perf_counter()
        try:
            handler = self._handlers.get(job.kind)
            if handler is None:
                if self._clock.now() - job.created_at < jobs.ROLLOUT:
                    raise NewerKind(job.kind)
                raise LookupError(f"nobody does jobs of the kind {job.kind}")
            handler(job)
        except TryLater as later:
            now = self._clock.now()
            until = max(later.at or now, now if isinstance(later, Paced) else now + wait_before(job.attempts))
            say = log.info if isinstance(later, Paced) else log.warning
            say("put_off", reason=repr(later), attempt=job.attempts, until=until.isoformat())
            with self._store.write() as connection:
                jobs.put_off(connection, job, until, repr(later))
            outcome = "put_off"
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != DEADLOCK:
                raise  # the database went away: the job's lease brings it back
            log.warning("deadlock")  # PostgreSQL undid this one of two that waited for each other
            with self._store.write() as connection:
                jobs.put_off(connection, job, self._clock.now(), "deadlock")
            outcome = "put_off"
        except Exception as error:
            outcome = self._failed(job, error)
        else:
            with self._store.write() as connection:
                jobs.finish(connection, job, self._clock.now())
            outcome = "done"
        seconds = time.perf_counter() - started
        self._metrics.jobs.labels(job.kind, outcome).inc()
        self._metrics.job_seconds.labels(job.kind).observe(seconds)
        log.debug("job", outcome=outcome, seconds=round(seconds, 4))

    def _failed(self, job: Job, error: Exception) -> str:
        """Something of ours broke: it is tried again a few times, then kept as a dead letter and owned up to."""
        note = f"{type(error).__name__}: {error}"[:2000]
        # What no database keeps in a text would make a failure of the failure.
        note = note.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
        now = self._clock.now()
        failures = job.failures + 1  # not the attempts: GitHub may have been down for a hundred of those
        if failures < FAILURES:
            log.exception("failed", failures=failures)
            with self._store.write() as connection:
                jobs.put_off(connection, job, now + wait_before(failures), note, failed=True)
            return "failed"
        reference = f"J{job.id}"
        log.exception("dead", failures=failures, reference=reference)
        with self._store.write() as connection:
            if jobs.bury(connection, job, now, note):
                self._leave_word(connection, job, reference)
        try:
            self._apologise(job, reference)
        except Exception:
            log.exception("apology_failed", reference=reference)
        return "dead"
