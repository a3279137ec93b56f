"""What died is told to the config's admins."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from bot.service.core import TELL, Core
from bot.store import dead
from bot.store.jobs import Job

SINGLY = 10  # in an hour told one by one; of more the admins hear once, since something bigger is wrong
HOUR = timedelta(hours=1)
_KEY = "dead:"


class Burying(Core):
    """The verb `died`."""

    def died(self, connection: sa.Connection, job: Job, reference: str) -> None:
        """Leaves word for the admins that a job is a dead letter now; once for each death. Within its transaction."""
        if job.kind == TELL and job.delivery.startswith(f"tell:{_KEY}"):
            return  # the word itself died: another one would fare no better
        now = self._clock.now()
        what, key = "job_died", f"{job.id}:{job.attempts}"
        number = dead.count(connection, since=now - HOUR)
        if number > SINGLY:
            what, key = "jobs_died", f"many:{now:%Y-%m-%dT%H}"
        facts = {"id": job.id, "kind": job.kind, "reference": reference, "number": number}
        for user_id in self.config.admins:
            self._tell(connection, user_id, what, facts, f"{_KEY}{key}:{user_id}")
