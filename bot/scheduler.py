"""The scheduler rings; it holds no truth. What is due stands in the database, and a ring missed is no loss."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler

TICK = 1  # seconds between looks for jobs that have become due
SWEEP = 15  # seconds between renewals of this process's claims and looks for those whose worker went away


class Steady(MemoryJobStore):  # type: ignore[misc]  # APScheduler has no types
    """Rings on when the clock is put back: what was to ring in a second would else ring when it is that time again."""

    def get_due_jobs(self, now: datetime) -> list[Job]:
        for job in self.get_all_jobs():
            if job.next_run_time - now > job.trigger.interval:
                job.next_run_time = now
                self.update_job(job)
        return list(super().get_due_jobs(now))


class Scheduler:
    """Calls `tick` and `sweep` at their intervals, from a thread of its own."""

    def __init__(self, tick: Callable[[], object], sweep: Callable[[], object]) -> None:
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            jobstores={"default": Steady()},
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_job(tick, "interval", seconds=TICK)
        self._scheduler.add_job(sweep, "interval", seconds=SWEEP)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)
