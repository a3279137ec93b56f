"""What all verbs share: the store, GitHub, the clock, and what follows from every change of a deploy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from bot.deploys import states
from bot.deploys.clock import Clock
from bot.deploys.config import Announcement, App, Config, Environment
from bot.deploys.errors import NotConfigured, PersonError, error_of, problem_of
from bot.deploys.model import TEARDOWN, Deploy, Problem
from bot.deploys.ports import Directory, GitHub
from bot.deploys.previews import Preview
from bot.service.configured import Configured
from bot.service.people import People
from bot.store import gates, jobs, previews, records, subscriptions
from bot.store.engine import Store

# Kinds of jobs that the verbs leave behind; `bot/app.py` says who does them.
CARD, CREATE, CHANGE, PAST = "card", "create", "change", "past"
PROMOTE = "promote"
BRANCH, HEAD = "branch", "head"
LOOK, DELIVERIES = "look", "deliveries"
DECIDE, WATCH, STOP = "decide", "watch", "stop"
PREVIEW, GONE = "preview", "gone"
LOCK_TIMER, SCHEDULE_TIMER = "lock", "schedule"
TELL = "tell"
FILE = "file"
ANSWER, REVIEW = "answer", "review"

LOOK_AGAIN = timedelta(minutes=1)  # after which GitHub is asked how a deployment stands, in case a webhook was lost
RARELY = timedelta(hours=1)  # the same for one that was lost

Place = tuple[str, str]
Came = TypeVar("Came")


class Core:
    """The ground that every verb stands on. Thread-safe; `github` and `directory` are too.

    `reached` is told of each state that a deploy comes to: the app, the environment, the state.
    """

    def __init__(
        self,
        store: Store,
        github: GitHub,
        directory: Directory,
        configured: Configured,
        clock: Clock,
        reached: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self._reached = reached or (lambda app, environment, state: None)
        self._store = store
        self._github = github
        self._directory = directory
        self._configured = configured
        self._clock = clock
        self.people = People(store, github, directory, configured)

    @property
    def config(self) -> Config:
        """The config as it holds now."""
        return self._configured.config

    def deploy(self, number: int) -> Deploy | None:
        """The deploy of that number."""
        with self._store.read() as connection:
            return records.deploy(connection, number)

    def _environment(self, deploy: Deploy) -> Environment:
        app = self.config.apps.get(deploy.app)
        environment = app.place(deploy.environment) if app else None
        if environment is None:
            raise NotConfigured(deploy.app, deploy.environment)
        return self._guarded(deploy, environment)

    def _guarded(self, deploy: Deploy, environment: Environment) -> Environment:
        """The environment as it is for that deploy: what is a preview of a fork's pull request, or of one that is not
        known, takes somebody who may write to the repository; what takes one down waits for no checks."""
        if self.config.apps[deploy.app].pull(deploy.environment) is None:
            return environment
        preview = self._preview_at(deploy.app, deploy.environment)
        needs: dict[str, Any] = {"permission": "write"} if preview is None or preview.fork else {}
        if deploy.cause == TEARDOWN:
            needs["required_contexts"] = ()
        return environment.model_copy(update=needs)

    def _preview_at(self, app: str, environment: str) -> Preview | None:
        """The preview that an environment is of; None for another environment, and before its pull request is known."""
        pull = self.config.apps[app].pull(environment)
        if pull is None:
            return None
        with self._store.read() as connection:
            return previews.of_pull(connection, app, pull)

    def _rooms(self, app: App, environment: str) -> list[str]:
        """Where what nobody asked for in a room is shown: where the environment is announced, else the app's first."""
        return app.shown_in(environment)

    def _spelling(self, repository: str) -> str:
        """The repository as the config spells it; GitHub doesn't mind the case."""
        folded = repository.casefold()
        names = (app.repository for app in self.config.apps.values())
        return next((name for name in names if name.casefold() == folded), repository)

    # what people ask for, each by its source

    def settled(self, source: str, act: Callable[[], Came]) -> Came:
        """Does what somebody asked for. What was refused stays so when its job runs again, though what stood in the
        way is gone: they may have been told already. Raises as `act` does."""
        with self._store.read() as connection:
            refused = Problem.from_json(jobs.outcome(connection, source).get("refused"))
        if refused is not None and (error := error_of(refused)) is not None:
            raise error
        try:
            return act()
        except PersonError as error:
            self.refuse(source, error)
            raise

    def refuse(self, source: str, error: PersonError) -> None:
        """Stores that it is refused, before they are told."""
        with self._store.write() as connection:
            jobs.came_to(connection, source, {"refused": problem_of(error).as_json()})

    def _done(self, source: str) -> Any | None:
        """What was left by `_does` when this was done before."""
        with self._store.read() as connection:
            return jobs.outcome(connection, source).get("done")

    def _does(self, connection: sa.Connection, source: str, done: Any) -> None:
        """In the transaction of what is done: that it is, and what is needed to say so again."""
        jobs.came_to(connection, source, {"done": done})

    # the row

    def _locked(self, connection: sa.Connection, number: int) -> Deploy:
        deploy = records.deploy(connection, number, lock=True)
        assert deploy is not None
        return deploy

    def _held_in_place(self, connection: sa.Connection, deploy: Deploy) -> Deploy:
        """The deploy as it is now, its place and then its row held until the transaction ends."""
        gates.claim(connection, [(deploy.app, deploy.environment)])
        return self._locked(connection, deploy.number)

    def _end(
        self, connection: sa.Connection, deploy: Deploy, state: str, problem: Problem | None, **values: Any
    ) -> Deploy:
        """The deploy ends without a word of GitHub's, and whoever is next in line gets a turn.

        Its place and row are held.
        """
        now = self._clock.now()
        records.update_deploy(
            connection, deploy.number, state=state, problem=problem, finished_at=now, in_line=False, **values
        )
        records.add_step(connection, deploy.number, "problem", f"{state}:{now.isoformat()}", now, state=state)
        self._free(connection, deploy)
        if state == states.LOST:
            self._look_at(connection, deploy.number, now + RARELY)
        self._reached(deploy.app, deploy.environment, state)
        if deploy.protected:
            self._answer(connection, deploy.number)
        return self._show(connection, deploy.number)

    def _free(self, connection: sa.Connection, deploy: Deploy) -> None:
        """The deploy is no longer the one under way in its environment. The place is held."""
        if deploy.slot is not None:
            records.update_deploy(connection, deploy.number, slot=None)
        self._next(connection, (deploy.app, deploy.environment))

    def _next(self, connection: sa.Connection, place: Place) -> None:
        """Lets the first in line be decided on, when nothing is under way there; the others' cards say who is ahead."""
        waiting = gates.held(connection, places=[place], in_line=True)
        if waiting and gates.running(connection, *place) is None:
            self._decide_soon(connection, waiting[0].number)
        for deploy in waiting:
            self._refresh(connection, deploy)

    def _mark_inactive(self, deploy: Deploy, description: str) -> None:
        """Tells GitHub that a deployment is not wanted any more, unless an earlier try did and its answer was lost."""
        assert deploy.deployment_id is not None
        told = self._github.statuses(deploy.repository, deploy.deployment_id)
        newest = max(told, key=lambda status: status.id, default=None)
        if newest is None or newest.state != states.INACTIVE:
            self._github.write_status(deploy.repository, deploy.deployment_id, states.INACTIVE, description)

    # jobs

    def _decide_soon(self, connection: sa.Connection, number: int, at: datetime | None = None) -> None:
        job = jobs.new_job(DECIDE, {"deploy": number}, subject=f"decide:{number}", run_at=at)
        jobs.add(connection, job, self._clock.now())

    def _decide_places(self, connection: sa.Connection, places: list[Place]) -> None:
        """Everything that waits in those places is decided on again."""
        for deploy in gates.held(connection, places=places):
            self._decide_soon(connection, deploy.number)

    def _watch(self, connection: sa.Connection, number: int, at: datetime) -> None:
        job = jobs.new_job(WATCH, {"deploy": number}, subject=f"watch:{number}", run_at=at)
        jobs.add(connection, job, self._clock.now())

    def _look_at(
        self, connection: sa.Connection, number: int, at: datetime, *, etag: str = "", looked: datetime | None = None
    ) -> None:
        """How the deploy stands at GitHub is looked at then. `etag` is of the last answer, `looked` when it came."""
        job = jobs.new_job(
            LOOK,
            {"deploy": number, "etag": etag, "looked": looked.isoformat() if looked else None},
            subject=f"look:{number}",
            run_at=at,
            priority=jobs.BACKGROUND,
        )
        jobs.add(connection, job, self._clock.now())

    def _stop(self, connection: sa.Connection, number: int) -> None:
        jobs.add(connection, jobs.new_job(STOP, {"deploy": number}, subject=f"stop:{number}"), self._clock.now())

    def _answer(self, connection: sa.Connection, number: int) -> None:
        """Lets GitHub know how it stands with a deploy that waits there."""
        jobs.add(connection, jobs.new_job(ANSWER, {"deploy": number}, subject=f"answer:{number}"), self._clock.now())

    def _tell(self, connection: sa.Connection, user_id: str, what: str, facts: dict[str, Any], key: str) -> None:
        """Leaves word for one person, in the conversation with the bot; once for each `key`."""
        data = {"user": user_id, "what": what, "facts": facts}
        jobs.add(connection, jobs.new_job(TELL, data, delivery=f"tell:{key}"), self._clock.now())

    def _tell_room(self, connection: sa.Connection, room: str, what: str, facts: dict[str, Any], key: str) -> None:
        """The same for everyone in a room."""
        data = {"room": room, "what": what, "facts": facts}
        jobs.add(connection, jobs.new_job(TELL, data, delivery=f"tell:{key}"), self._clock.now())

    # cards

    def _show(self, connection: sa.Connection, number: int) -> Deploy:
        deploy = self._locked(connection, number)
        self._announce(connection, deploy)
        self._refresh(connection, deploy)
        return deploy

    def _announce(self, connection: sa.Connection, deploy: Deploy) -> None:
        """Gives the deploy a card in the rooms that want to hear of it."""
        for announcement in self._announcements(connection, deploy.app):
            if announcement.wants(deploy.environment, deploy.state):
                records.add_card(connection, deploy, announcement.room)

    def _announcements(self, connection: sa.Connection, name: str) -> list[Announcement]:
        """Who wants to hear of an app: the rooms that the config names, and those that subscribed where they may."""
        app = self.config.apps.get(name)
        if app is None:
            return []
        subscribed = [
            Announcement(
                room=one.room,
                environments=(one.environment,) if one.environment is not None else (),
                on=one.states,
            )
            for one in subscriptions.of_app(connection, name)
            if not app.rooms or one.room in app.rooms  # the config may have changed since
        ]
        return [*app.announce, *subscribed]

    def _refresh(self, connection: sa.Connection, deploy: Deploy) -> None:
        """Asks the outbox to bring the deploy's cards up to date; what people wait for goes first."""
        priority = jobs.FIRST if deploy.pressing else jobs.NORMAL
        # The deploys of a preview share a card, which is never written by two at a time.
        card = deploy.number if deploy.preview is None else f"preview:{deploy.preview}"
        for room in records.card_rooms(connection, deploy):
            job = jobs.new_job(
                CARD,
                {"deploy": deploy.number, "room": room},
                subject=f"card:{card}:{room}",
                priority=priority,
                patient=True,
            )
            jobs.add(connection, job, self._clock.now())
