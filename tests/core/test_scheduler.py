"""The scheduler: it rings on, whatever is done to the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from bot.scheduler import SWEEP, TICK, Steady


@pytest.mark.parametrize("change", [timedelta(hours=-2), timedelta(), timedelta(hours=2)])
def test_the_clock_is_changed(change: timedelta) -> None:
    """What was to ring within seconds rings within seconds of the new time."""
    store = Steady()
    scheduler = BackgroundScheduler(timezone="UTC", jobstores={"default": store})
    scheduler.start(paused=True)
    for seconds in (TICK, SWEEP):
        scheduler.add_job(print, "interval", seconds=seconds)
    later = datetime.now(UTC) + change + timedelta(seconds=SWEEP)
    assert len(store.get_due_jobs(later)) == 2
    soon = store.get_next_run_time()
    assert soon <= later
    scheduler.shutdown()
