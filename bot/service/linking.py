"""Who somebody is at GitHub, as they prove it themselves."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import sqlalchemy as sa

from bot.deploys.errors import LoginEnded, PersonError, problem_of
from bot.deploys.model import Asker, Login, Person
from bot.service.core import Core
from bot.store import gates, jobs

LOGIN = "login"  # the kind of job that asks GitHub whether a code was typed


class Linking(Core):
    """The verbs `login`, `login_due`, `logout` and `whoami`."""

    def login(self, asker: Asker) -> Login:
        """Begins a login; what GitHub says later is told to that person alone. Raises LoginUnavailable, TryLater."""
        begun = self._github.begin_login()
        with self._store.write() as connection:
            self._ask_again(connection, asker.id, begun.handle, begun.every)
        return begun

    def login_due(self, user_id: str, handle: str, every: timedelta) -> None:
        """Asks GitHub whether the code was typed, and again `every` so often until it was or has run out.

        Raises TryLater while GitHub can't be asked.
        """
        key = hashlib.sha256(handle.encode()).hexdigest()
        try:
            login = self._github.finish_login(handle)
        except PersonError as error:
            told = error if isinstance(error, LoginEnded) else LoginEnded()
            with self._store.write() as connection:
                self._tell(connection, user_id, "problem", problem_of(told).as_json(), f"login:{key}")
            return
        with self._store.write() as connection:
            if login is None:
                self._ask_again(connection, user_id, handle, every)
                return
            gates.link(connection, user_id, login, self._clock.now())
            self._tell(connection, user_id, "linked", {"login": login}, f"login:{key}")

    def _ask_again(self, connection: sa.Connection, user_id: str, handle: str, every: timedelta) -> None:
        # Every login is a subject of its own: a second one must not wait for the first to run out.
        now = self._clock.now()
        data = {"user": user_id, "handle": handle, "every": every.total_seconds()}
        subject = f"login:{hashlib.sha256(handle.encode()).hexdigest()}"
        jobs.add(connection, jobs.new_job(LOGIN, data, subject=subject, run_at=now + every), now)

    def logout(self, asker: Asker, *, source: str) -> bool:
        """Forgets who somebody is at GitHub, once for `source`; False when nothing was known, or the config says it."""
        if (done := self._done(source)) is not None:
            return bool(done)
        with self._store.write() as connection:
            forgotten = gates.unlink(connection, asker.id)
            self._does(connection, source, forgotten)
            return forgotten

    def whoami(self, asker: Asker) -> Person:
        """Who somebody is to the gates."""
        return self.people.person(asker)
