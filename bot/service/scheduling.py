"""What the config asks for again and again. When it is next is a timer in the database; the config says what and for
which times."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.deploys.config import Schedule
from bot.deploys.errors import AlreadyAsked, PersonError, TryLater, problem_of
from bot.deploys.model import RULE, SCHEDULE, Asker, Wanted
from bot.service.core import SCHEDULE_TIMER
from bot.service.hearing import Hearing
from bot.store import jobs


class Scheduling(Hearing):
    """The verbs `start` (with the timers), `wind` and `ring`."""

    def start(self) -> None:
        """Leaves the jobs that a start calls for, and takes away the timers of what the config says no more."""
        super().start()
        with self._store.write() as connection:
            jobs.keep_only(connection, SCHEDULE_TIMER, [_subject(schedule) for schedule in self.config.schedules])
        self.wind()

    def wind(self) -> None:
        """Sees that each schedule of the config has its timer. What has one keeps it, also when that is long due."""
        schedules = {_subject(schedule): schedule for schedule in self.config.schedules}
        if not schedules:
            return
        with self._store.read() as connection:
            missing = schedules.keys() - jobs.open_subjects(connection, list(schedules))
        if missing:
            with self._store.write() as connection:
                # Looked at again: what rings at this moment sets its own, and must not find another in its place.
                for subject in sorted(missing - jobs.open_subjects(connection, list(schedules))):
                    self._wind(connection, schedules[subject])

    def ring(self, key: str, at: datetime) -> None:
        """The time of a schedule has come: asks for its deploy, once however often it rings, and sets the next.

        Of several times that nobody was here for only the last counts, and that too only within its grace; later it
        is skipped, and its room is told. Raises TryLater.
        """
        schedule = next((schedule for schedule in self.config.schedules if schedule.key == key), None)
        now = self._clock.now()
        if schedule is None:
            if now < at + jobs.ROLLOUT:  # a replica beside this one may have a newer config
                raise TryLater
            return  # it was taken out of the config
        due = schedule.times.latest(at, now)
        late = due is not None and now - due > (schedule.grace or self.config.defaults.grace)
        if due is not None and not late:
            self._ask(schedule, due)
        with self._store.write() as connection:
            if due is not None and late:
                self._tell_of_schedule(
                    connection, schedule, due, "schedule_skipped", {"late": (now - due).total_seconds()}
                )
            self._wind(connection, schedule)

    def _ask(self, schedule: Schedule, due: datetime) -> None:
        """By the door that everyone takes, for nobody. That it can't even be asked for is told to its room."""
        wanted = Wanted(
            target=f"{schedule.app}@{schedule.ref}" if schedule.ref else schedule.app,
            environment=schedule.environment,
            task=schedule.whole_task,
            cause=SCHEDULE,
            origin=RULE,
            due_at=due,
        )
        source = f"schedule:{schedule.key}:{due.isoformat()}"
        try:
            self.request(wanted, Asker(""), room=self._room_of(schedule), source=source, fresh=False)
        except AlreadyAsked:
            return  # just that waits already or is under way, on a card of its own
        except PersonError as error:
            with self._store.write() as connection:
                told = {"problem": problem_of(error).as_json()}
                self._tell_of_schedule(connection, schedule, due, "schedule_failed", told)

    def _tell_of_schedule(
        self, connection: sa.Connection, schedule: Schedule, due: datetime, what: str, facts: dict[str, Any]
    ) -> None:
        told = {"app": schedule.app, "environment": schedule.environment, "at": due.isoformat(), **facts}
        key = f"{what}:{schedule.key}:{due.isoformat()}"
        self._tell_room(connection, self._room_of(schedule), what, told, key)

    def _room_of(self, schedule: Schedule) -> str:
        return self._rooms(self.config.apps[schedule.app], schedule.environment)[0]  # the config was held to it

    def _wind(self, connection: sa.Connection, schedule: Schedule) -> None:
        now = self._clock.now()
        at = schedule.times.after(now)
        data = {"schedule": schedule.key, "at": at.isoformat()}
        jobs.add(connection, jobs.new_job(SCHEDULE_TIMER, data, subject=_subject(schedule), run_at=at), now)


def _subject(schedule: Schedule) -> str:
    return f"schedule:{schedule.key}"
