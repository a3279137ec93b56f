"""The home tab: shown when somebody opens it, and anew after each button they press there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from bot.deploys.clock import Clock
from bot.deploys.errors import PersonError, TryLater
from bot.deploys.model import Asker
from bot.reader import Reader
from bot.service import Service
from bot.slack.answers import ANSWER, MEANWHILE, Answers
from bot.slack.client import SlackClient, SlackRefused
from bot.slack.conversation import Form
from bot.slack.said import Said
from bot.slack.views import home as views
from bot.slack.views import replies
from bot.slack.views.text import Links, Message
from bot.store.jobs import Job

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

OPENED = "app_home_opened"


class Home:
    """Publishes the home tab. `act` does what the button of a card or lock says, as `Clicks.act` does.

    Raises TryLater while Slack can't be asked.
    """

    def __init__(
        self,
        service: Service,
        reader: Reader,
        slack: SlackClient,
        answers: Answers,
        links: Links,
        clock: Clock,
        form: Form,
        act: Callable[[str, str, Said], bool],
    ) -> None:
        self._service = service
        self._reader = reader
        self._slack = slack
        self._answers = answers
        self._links = links
        self._clock = clock
        self._form = form
        self._act = act

    def opened(self, job: Job) -> None:
        """Somebody opened the tab."""
        self._publish(job.json()["event"]["user"])

    def clicked(self, job: Job, said: Said, body: Mapping[str, Any]) -> bool:
        """A button of the tab was pressed. What can't be done is told in the conversation with the bot, since no
        room belongs to it. False for what was pressed elsewhere."""
        if (body.get("view") or {}).get("type") != "home":
            return False
        action = body["actions"][0]
        name, value = str(action.get("action_id", "")), str(action.get("value") or "")
        if name == views.DEPLOY:
            if not self._form.open(said):
                self._tell(said, views.not_opened())
            return True
        try:
            at = replace(said, room=self._room_of_lock(value, said.asker.id))
            if not self._service.settled(said.source, lambda: self._act(name, value, at)):
                self._tell(said, replies.old_button())
        except PersonError as error:
            self._tell(said, replies.problem(error))
        except TryLater as error:
            if job.attempts == 1:
                self._tell(said, replies.problem(error), MEANWHILE)
            raise
        try:
            self._publish(said.asker.id)
        except TryLater as later:  # what was pressed is done and must not be done again; opening the tab shows it
            log.info("home_not_published", reason=repr(later))
        return True

    def _room_of_lock(self, value: str, user: str) -> str:
        """The room that hears what somebody does to a lock: where it was taken, else another that its app may be
        deployed from. '' for one the person is not in, and for buttons of another kind."""
        lock = next((lock for lock in self._reader.locks() if lock.label == value), None)
        if lock is None:
            return ""
        app = self._reader.config.apps.get(lock.app or "")
        allowed = app.rooms if app else ()
        rooms = self._slack.rooms_of(user)
        fitting = [room for room in (lock.room, *allowed) if room in rooms and (not allowed or room in allowed)]
        return next(iter(fitting), "")

    def _tell(self, said: Said, message: Message, what: str = ANSWER) -> None:
        self._answers.direct(said.asker.id, message, f"{what} {said.source}")

    def _publish(self, user: str) -> None:
        person = self._service.whoami(Asker(user))
        seen = self._reader.overview(person, self._slack.rooms_of(user), self._service.people)
        try:
            self._slack.publish_home(user, views.home(seen, self._links, self._clock.now()))
        except SlackRefused as refused:
            log.warning("home_refused", code=refused.code)
