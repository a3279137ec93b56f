"""The scheduler rings; it holds no truth. What is due stands in the database, and a ring missed is no loss."""

from __future__ import annotations

from collections.abc import Callable

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

TICK = 1  # seconds between looks for jobs that have become due
SWEEP = 15  # seconds between renewals of this process's claims and looks for those whose worker went away


class Scheduler:
    """Calls `tick` and `sweep` at their intervals, from a thread of its own."""

    def __init__(self, tick: Callable[[], object], sweep: Callable[[], object]) -> None:
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_job(tick, "interval", seconds=TICK)
        self._scheduler.add_job(sweep, "interval", seconds=SWEEP)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)
