"""Locks and freezes: how people keep others from deploying, and let them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from bot.deploys import states
from bot.deploys.errors import (
    AlreadyFrozen,
    Locked,
    NotEntitled,
    NotFrozen,
    NotLocked,
    UnknownApp,
    UnknownDeploy,
    UnknownEnvironment,
)
from bot.deploys.model import Asker, Deploy, Freezing, Lock, Person
from bot.deploys.nearest import nearest
from bot.deploys.times import at_wall
from bot.service.core import LOCK_TIMER, Place
from bot.service.facts import Deciding, all_freezes
from bot.store import gates, jobs, previews, records

MONDAY_MORNING = time(9)
SATURDAY = 5  # as datetime.weekday() counts


@dataclass(frozen=True, slots=True)
class Scope:
    """What a lock or freeze covers; None stands for every one."""

    app: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A lock that was taken: whose it was before, whether it was one's own, and whose deploys are still under way."""

    lock: Lock
    stolen: Lock | None = None
    renewed: bool = False
    under_way: Sequence[Deploy] = field(default_factory=tuple)


class Locking(Deciding):
    """The verbs `lock`, `steal`, `unlock`, `unlock_mine`, `lock_due`, `freeze` and `unfreeze`."""

    def scope(self, target: str, environment: str, *, either: bool = False) -> Scope:
        """What `APP [in ENV]` names, '' standing for all. `either`: the words were `X on Y`, which is tried both ways.

        Raises UnknownApp and UnknownEnvironment.
        """
        if not target:
            return Scope(None, self._any_environment(environment) if environment else None)
        try:
            name, _ = self.config.app(target)
        except UnknownApp:
            if not either:
                raise
            target, environment = environment, target
            name, _ = self.config.app(target)
        return Scope(name, self.config.environment(name, environment)[0] if environment else None)

    def _any_environment(self, typed: str) -> str:
        """An environment's name as some app has it."""
        for name in self.config.apps:
            try:
                return self.config.environment(name, typed)[0]
            except UnknownEnvironment:
                continue
        known = sorted({place for _, place in self.config.places()})
        raise UnknownEnvironment("", typed, nearest(typed, known), known)

    # locks

    def lock(
        self,
        scope: Scope,
        asker: Asker,
        *,
        room: str,
        source: str,
        reason: str = "",
        length: timedelta | None = None,
        steal: bool = False,
    ) -> Taken:
        """Keeps others from deploying there. One's own lock is renewed; somebody else's is taken over with `steal`.

        `source` is what it came with: the same one again takes no second lock. Raises Locked, NotEntitled,
        WrongRoom, and UnknownApp or UnknownEnvironment for what was taken out of the config.
        """
        person = self.people.person(asker)
        if scope.app is not None:
            self.config.app(scope.app)  # a button may be older than the config
            self.config.check_room(scope.app, room)
            if scope.environment is not None:
                self.config.environment(scope.app, scope.environment)
        self._entitled("lock", person, scope)
        places = self._covered(scope)
        with self._store.write() as connection:
            gates.claim(connection, places)
            known = gates.lock_by_source(connection, source)
            if known is not None:
                return Taken(known)
            now = self._clock.now()
            before = gates.lock_on(connection, scope.app, scope.environment, now)
            own = before is not None and self._is(connection, before, person)
            if before is not None:
                if not own and not steal:
                    raise Locked(before.as_json())
                gates.end_lock(connection, before.id, person.id, now)
            lock = gates.add_lock(
                connection,
                source,
                {
                    "app": scope.app,
                    "environment": scope.environment,
                    "user_id": person.id,
                    "user_name": person.name,
                    "reason": reason or (before.reason if before is not None and own else ""),
                    "room": room,
                    "at": now,
                    "expires_at": now + length if length is not None else None,
                },
            )
            assert lock is not None, "its places are held, and the one before was ended"
            self._lock_timer(connection, lock, now + self.config.lock_reminders.every)
            self._locks_changed(connection, scope, places)
            stolen = None if own else before
            if stolen is not None:
                self._tell_owner(connection, stolen, "lock_stolen", person, reason)
            running = [deploy for place in places if (deploy := gates.running(connection, *place)) is not None]
            others = [
                deploy
                for deploy in running
                if deploy.state != states.ASKED  # not sent yet, so the lock holds it too
                and self.people.behind(connection, deploy).key != person.key
            ]
            return Taken(lock, stolen, own, others)

    def steal(self, lock_id: int, asker: Asker, *, room: str, source: str) -> Taken:
        """Takes over a lock that is known by its id. Raises NotLocked when it holds no more, else as `lock` does."""
        with self._store.read() as connection:
            known = gates.lock_by_source(connection, source)
            lock = gates.lock_by_id(connection, lock_id)
        if known is not None:
            return Taken(known)
        if lock is None:
            raise NotLocked(gone=True)
        return self.lock(Scope(lock.app, lock.environment), asker, room=room, source=source, steal=True)

    def lock_for(self, number: int, asker: Asker, *, room: str, source: str) -> Taken:
        """Locks the environment that a deploy went to, taking it over from whoever has. Raises as `lock` does."""
        deploy = self.deploy(number)
        if deploy is None:
            raise UnknownDeploy(number)
        scope = Scope(deploy.app, deploy.environment)
        reason = f"{deploy.ref} is being tried out"
        return self.lock(scope, asker, room=room, source=source, reason=reason, steal=True)

    def unlock(self, scope: Scope, asker: Asker, *, room: str, source: str) -> Lock:
        """Ends the lock of just that scope; its owner is told when it is somebody else. Here and below, `source` ends
        no other one when it comes again. Raises NotLocked, NotEntitled and WrongRoom."""
        if (done := self._unlocked(source)) is not None:
            return done[0]
        self._check_room(scope, room)
        with self._store.read() as connection:
            lock = gates.lock_on(connection, scope.app, scope.environment, self._clock.now())
        if lock is None:
            raise NotLocked(scope.app or "", scope.environment or "")
        return self._unlock([lock], asker, source)[0]

    def release(self, lock_id: int, asker: Asker, *, source: str) -> Lock:
        """Ends a lock that is known by its id. Raises as `unlock` does."""
        if (done := self._unlocked(source)) is not None:
            return done[0]
        with self._store.read() as connection:
            lock = gates.lock_by_id(connection, lock_id)
        if lock is None:
            raise NotLocked(gone=True)
        return self._unlock([lock], asker, source)[0]

    def unlock_mine(self, asker: Asker, *, source: str) -> list[Lock]:
        """Ends every lock of that person's; returns them."""
        if (done := self._unlocked(source)) is not None:
            return done
        person = self.people.person(asker)
        with self._store.read() as connection:
            held = gates.all_locks(connection, self._clock.now())
            mine = [lock for lock in held if self._is(connection, lock, person)]
        return self._unlock(mine, asker, source)

    def _unlocked(self, source: str) -> list[Lock] | None:
        """The locks that were ended for `source` before; None when it comes for the first time."""
        done = self._done(source)
        if done is None:
            return None
        with self._store.read() as connection:
            return gates.locks_known(connection, done)

    def _unlock(self, locks: list[Lock], asker: Asker, source: str) -> list[Lock]:
        """Ends them all in one transaction."""
        person = self.people.person(asker)
        with self._store.read() as connection:
            others = [lock for lock in locks if not self._is(connection, lock, person)]
        for lock in others:
            self._entitled("unlock", person, Scope(lock.app, lock.environment))
        covered = {lock.id: self._covered(Scope(lock.app, lock.environment)) for lock in locks}
        with self._store.write() as connection:
            gates.claim(connection, sorted({place for places in covered.values() for place in places}))
            for lock in locks:
                if gates.end_lock(connection, lock.id, person.id, self._clock.now()):
                    if lock in others:
                        self._tell_owner(connection, lock, "lock_released", person, "")
                    self._locks_changed(connection, Scope(lock.app, lock.environment), covered[lock.id])
            self._does(connection, source, [lock.id for lock in locks])
        return locks

    def _covered(self, scope: Scope) -> list[Place]:
        """The places that a lock or freeze covers: those of the config, and previews where something waits."""
        with self._store.read() as connection:
            waiting = previews.waiting_places(connection, scope.app, scope.environment)
        return sorted({*self.config.places(scope.app, scope.environment), *waiting})

    def _locks_changed(self, connection: sa.Connection, scope: Scope, places: list[Place]) -> None:
        """What waits there is decided on again, and the card of what is live offers to unlock, or to lock."""
        self._decide_places(connection, places)
        if scope.app is None or scope.environment is None:
            return
        live = records.live(connection, scope.app, scope.environment)
        if live is not None:
            self._refresh(connection, live)

    def _is(self, connection: sa.Connection, lock: Lock, person: Person) -> bool:
        """Whether a lock is that person's, also where they have linked their account since."""
        return self.people.person_in(connection, lock.user_id).key == person.key

    def lock_due(self, lock_id: int) -> None:
        """A lock has run out, or its owner is to be reminded of it. Raises TryLater while Slack can't be asked."""
        now = self._clock.now()
        with self._store.read() as connection:
            lock = gates.lock_by_id(connection, lock_id)
        if lock is None:
            return
        if lock.expires_at is not None and lock.expires_at <= now:
            places = self._covered(Scope(lock.app, lock.environment))
            with self._store.write() as connection:
                gates.claim(connection, places)
                if gates.end_lock(connection, lock.id, "", now):
                    self._tell(connection, lock.user_id, "lock_expired", lock.as_json(), f"lock:{lock.id}:expired")
                    self._locks_changed(connection, Scope(lock.app, lock.environment), places)
            return
        rest = self._day_off(lock.user_id, now)
        with self._store.write() as connection:
            if rest is None:
                key = f"lock:{lock.id}:{now.isoformat()}"
                self._tell(connection, lock.user_id, "lock_reminder", lock.as_json(), key)
            self._lock_timer(connection, lock, rest or now + self.config.lock_reminders.every)

    def _day_off(self, user_id: str, now: datetime) -> datetime | None:
        """When a person is next at work, if they are not today."""
        if self.config.lock_reminders.days == "all":
            return None
        zone = ZoneInfo(self._directory.time_zone(user_id))
        today = now.astimezone(zone).date()
        if today.weekday() < SATURDAY:
            return None
        return at_wall(today + timedelta(days=7 - today.weekday()), MONDAY_MORNING, zone)

    def _lock_timer(self, connection: sa.Connection, lock: Lock, remind: datetime) -> None:
        at = min(remind, lock.expires_at) if lock.expires_at is not None else remind
        job = jobs.new_job(LOCK_TIMER, {"lock": lock.id}, subject=f"lock:{lock.id}", run_at=at)
        jobs.add(connection, job, self._clock.now())

    def _tell_owner(self, connection: sa.Connection, lock: Lock, what: str, person: Person, reason: str) -> None:
        facts = {**lock.as_json(), "by_id": person.id, "by_name": person.name, "by_reason": reason}
        self._tell(connection, lock.user_id, what, facts, f"lock:{lock.id}:{what}")

    # freezes

    def freeze(
        self, scope: Scope, asker: Asker, *, room: str, source: str, reason: str = "", until: datetime | None = None
    ) -> Freezing:
        """Lets nothing be deployed there until then, or until somebody unfreezes it. Raises AlreadyFrozen,
        NotEntitled and WrongRoom."""
        person = self.people.person(asker)
        self._check_room(scope, room)
        self._entitled("freeze", person, scope)
        places = self._covered(scope)
        with self._store.write() as connection:
            gates.claim(connection, places)
            known = gates.freeze_by_source(connection, source)
            if known is not None:
                return known
            now = self._clock.now()
            before = gates.freeze_on(connection, scope.app, scope.environment, now)
            if before is not None:
                raise AlreadyFrozen(before.as_json())
            made = gates.add_freeze(
                connection,
                source,
                {
                    "app": scope.app,
                    "environment": scope.environment,
                    "user_id": person.id,
                    "user_name": person.name,
                    "reason": reason,
                    "at": now,
                    "until": until,
                },
            )
            assert made is not None, "its places are held, and there was none"
            self._decide_places(connection, places)
            return made

    def unfreeze(self, scope: Scope, asker: Asker, *, room: str, source: str) -> Freezing:
        """Ends the freeze that somebody made of just that scope, and no other one when `source` comes again. Raises
        NotFrozen, NotEntitled and WrongRoom."""
        if (done := self._done(source)) is not None:
            with self._store.read() as connection:
                return gates.freeze_known(connection, done)
        person = self.people.person(asker)
        self._check_room(scope, room)
        now = self._clock.now()
        with self._store.read() as connection:
            found = gates.freeze_on(connection, scope.app, scope.environment, now)
            holding = all_freezes(connection, self.config, now)
        if found is None:
            by_config = any(
                item.id is None and item.covers(*place)
                for item in holding
                for place in self.config.places(scope.app, scope.environment)
            )
            raise NotFrozen(scope.app or "", scope.environment or "", by_config)
        if found.user_id != person.id:
            self._entitled("unfreeze", person, scope)
        places = self._covered(scope)
        with self._store.write() as connection:
            gates.claim(connection, places)
            gates.end_freeze(connection, scope.app, scope.environment, person.id, now)
            self._does(connection, source, found.id)
            self._decide_places(connection, places)
        return found

    def _check_room(self, scope: Scope, room: str) -> None:
        """Raises WrongRoom where the app that it is about may not be spoken of."""
        if scope.app is not None:
            self.config.check_room(scope.app, room)

    def _entitled(self, act: str, person: Person, scope: Scope) -> None:
        """Admins may keep everyone from deploying and let them again; others where they may deploy themselves,
        to every environment that it concerns. Raises NotEntitled."""
        if self.people.admin(person):
            return
        for app, place in self.config.places(scope.app, scope.environment):
            found = self.config.apps[app]
            environment = found.place(place)
            assert environment is not None, "it is one of the app's places"
            answer = self.people.may_deploy(person, environment, found.repository)
            if not answer.yes:
                raise NotEntitled(act, app, place, answer.code, answer.facts)
