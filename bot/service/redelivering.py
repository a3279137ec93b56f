"""Having GitHub send once more what it could not hand over: it lists those webhooks, and never tries again by itself.

https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import structlog

from bot.deploys.errors import NotFoundAtGitHub, PersonError, RequestRefused, Unavailable
from bot.service.core import DELIVERIES
from bot.service.looking import Looking, turn
from bot.store import jobs, records

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

KEPT = timedelta(days=3)  # by GitHub, of what it has delivered
SOON, CALM = timedelta(minutes=1), timedelta(minutes=15)  # between looks, with something lost and without
LISTED = timedelta(hours=1)  # after which the webhooks themselves are listed anew
HASTE = timedelta(hours=1)  # in which nothing arrives before looks get rarer
OVERLAP = timedelta(minutes=2)  # of two looks, since an attempt is listed when it has ended
UNDER_WAY = timedelta(minutes=5)  # after which an attempt that was asked for and is not listed was not made
ASKS = 3  # for one event, while others arrive
AT_ONCE = 50  # in one look; GitHub takes 80 a minute from all of us together


class Lost(msgspec.Struct):
    """An event that has not arrived: its newest attempt's id, when the first was, and when it was asked for again."""

    attempt: int
    first_at: datetime
    asks: int = 0
    asked_at: datetime | None = None


class Hook(msgspec.Struct):
    """What is known of a webhook's deliveries: up to when they were read, whether the newest arrived, and which of
    them are lost, by guid."""

    seen: datetime
    reached: bool = True
    lost: dict[str, Lost] = {}


class Hooks(msgspec.Struct):
    """The webhooks that lead here of a repository, an organization or the App. `hidden`: they may not be read."""

    listed_at: datetime | None = None
    hidden: bool = False
    hooks: dict[str, Hook] = {}


class Redelivering(Looking):
    """The verb `redeliver`, and when it is called for."""

    _began: datetime | None = None

    def start(self) -> None:
        """Leaves the jobs that a start calls for."""
        super().start()
        self._began = self._clock.now()
        repositories = sorted({app.repository for app in self.config.apps.values()})
        with self._store.read() as connection:
            # What came before this bot was never meant for it; its first look follows the reading of the past.
            known = [name for name in repositories if records.fact(connection, f"past:{name}") is not None]
            looked = records.facts_like(connection, "deliveries:")
        for index, repository in enumerate(_with_owners(known)):
            _, last = looked.get(f"deliveries:{repository}", (None, None))
            at = self._began + turn(index)
            # One that starts again and again looks once a minute all the same.
            self._redeliver_at(repository, max(at, last + SOON) if last else at)

    def read_past(self, repository: str) -> None:
        super().read_past(repository)
        for which in _with_owners([repository]):
            self._redeliver_at(which, self._clock.now() + CALM)

    def redeliver(self, repository: str) -> None:
        """Looks for webhooks of a repository that have not arrived, and asks for them again; of an organization by its
        name alone, of the GitHub App by "".

        It goes on after a minute while any is lost, else after a quarter of an hour. What may not be read or asked for
        is said in the log, once. Raises TryLater while GitHub can't be asked.
        """
        name = f"deliveries:{repository}"
        now = self._clock.now()
        with self._store.read() as connection:
            fact = records.fact(connection, name)
            of_it = repository if "/" in repository or not repository else f"{repository}/"
            past = [at for _, at in records.facts_like(connection, f"past:{of_it}").values()]
        known = msgspec.convert(fact, Hooks) if fact is not None else Hooks()
        since = max(min(past, default=now), now - KEPT)
        try:
            there = self._look_through(repository, known, since)
        finally:  # what was done before GitHub failed is done
            with self._store.write() as connection:
                records.remember(connection, name, msgspec.to_builtins(known), now)
        if there:
            back = self._began is not None and now - self._began < 2 * SOON  # what is under way may fail yet
            wanted = any(hook.reached or _young(hook, now) for hook in known.hooks.values() if _open(hook))
            wait = LISTED if known.hidden else SOON if wanted or back else CALM
            self._redeliver_at(repository, now + wait)

    def _look_through(self, repository: str, known: Hooks, since: datetime) -> bool:
        """Brings what is known up to date and asks for what is lost; False where there is no App to ask as."""
        now = self._clock.now()
        try:
            with self._unless_quiet(repository):
                if known.listed_at is None or now - known.listed_at >= LISTED:
                    here = self._github.hooks_here(repository, self.public_url)
                    if here is None:
                        return False
                    known.hooks = {str(hook): known.hooks.get(str(hook)) or Hook(since) for hook in here}
                    known.listed_at = now
                for hook, of_hook in known.hooks.items():
                    self._read(repository, int(hook), of_hook)
                    self._ask_for_lost(repository, int(hook), of_hook)
                known.hidden = False
        except PersonError as error:
            if not known.hidden and not (isinstance(error, NotFoundAtGitHub) and known.hooks):
                # Few let this bot see an organization's webhooks, and few need to.
                say = log.warning if "/" in repository or not repository or self._pinged(repository) else log.info
                say("redelivery_refused", repository=repository or "the App", reason=repr(error))
                known.hidden = True
            known.listed_at = None  # one of them may be gone
        return True

    def _read(self, repository: str, number: int, hook: Hook) -> None:
        """Takes in which deliveries arrived and which did not since the last look."""
        now = self._clock.now()
        for delivery in self._github.deliveries(repository, number, max(hook.seen - OVERLAP, now - KEPT)):
            hook.reached = delivery.arrived
            hook.seen = max(hook.seen, delivery.at)
            if delivery.arrived:
                hook.lost.pop(delivery.guid, None)
            elif delivery.needed:
                lost = hook.lost.setdefault(delivery.guid, Lost(delivery.id, delivery.at))
                if lost.attempt < delivery.id:
                    lost.attempt, lost.asked_at = delivery.id, None
        hook.lost = {guid: lost for guid, lost in hook.lost.items() if now - lost.first_at < KEPT}

    def _ask_for_lost(self, repository: str, number: int, hook: Hook) -> None:
        """Asks for what is lost: at once the first time, then while others arrive, and else for one of them, since it
        may be that nothing can reach this bot."""
        now = self._clock.now()
        due = [lost for lost in _open(hook) if lost.asked_at is None or now - lost.asked_at >= UNDER_WAY]
        due.sort(key=lambda lost: (lost.asks > 0, lost.attempt))  # so that each gets its turn
        if not hook.reached:
            tried = [lost for lost in due if lost.asks]
            due = [lost for lost in due if not lost.asks] + tried[:1]
        for lost in due[:AT_ONCE]:
            try:
                self._github.redeliver(repository, number, lost.attempt)
            except Unavailable:
                lost.asked_at = now  # it may be on its way
                raise
            except (NotFoundAtGitHub, RequestRefused) as error:  # GitHub has it no more
                log.warning("not_redelivered", repository=repository, attempt=lost.attempt, reason=repr(error))
                lost.asks = ASKS
                continue
            log.info("redelivery", repository=repository or "the App", attempt=lost.attempt)
            lost.asked_at = now
            if hook.reached or not lost.asks:
                lost.asks += 1

    def _pinged(self, organization: str) -> bool:
        """Whether a webhook of the organization has been heard of."""
        with self._store.read() as connection:
            pings = records.facts_like(connection, "ping:")
        return f"ping:{organization}".casefold() in {name.casefold() for name in pings}

    def _redeliver_at(self, repository: str, at: datetime) -> None:
        job = jobs.new_job(
            DELIVERIES,
            {"repository": repository},
            subject=f"deliveries:{repository}",
            run_at=at,
            priority=jobs.BACKGROUND,
        )
        with self._store.write() as connection:
            jobs.add(connection, job, self._clock.now())


def _with_owners(repositories: list[str]) -> list[str]:
    """Whose webhooks may tell of them: the GitHub App, their organizations, and they themselves."""
    owners = dict.fromkeys(name.partition("/")[0] for name in repositories)
    return ["", *owners, *repositories] if repositories else []


def _young(hook: Hook, now: datetime) -> bool:
    return any(now - lost.first_at < HASTE for lost in _open(hook))


def _open(hook: Hook) -> list[Lost]:
    """What is still to be had. What others arrived around and did not, again and again, is given up."""
    return [lost for lost in hook.lost.values() if lost.asks < ASKS]
