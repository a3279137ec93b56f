"""What each button does. Whoever presses one is judged then, by the user's id that Slack has signed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from bot.deploys.clock import Clock
from bot.deploys.errors import AskedTooLate, PersonError, TryLater
from bot.deploys.model import Asker
from bot.reader import Reader
from bot.service import Service
from bot.slack.answers import MEANWHILE, Answers
from bot.slack.conversation import PATIENCE
from bot.slack.said import Said, said_by_click
from bot.slack.views import card, holds, replies
from bot.slack.views.text import Links, Message
from bot.store.jobs import Job

LINK = "link_"  # buttons that Slack opens an address for; there is nothing to do


class Clicks:
    """The handler of clicks on messages. `others` take those of forms and the home tab first."""

    def __init__(
        self,
        service: Service,
        reader: Reader,
        answers: Answers,
        links: Links,
        clock: Clock,
        others: Callable[[Job, Said, Mapping[str, Any]], bool] = lambda job, said, body: False,
    ) -> None:
        self._service = service
        self._reader = reader
        self._answers = answers
        self._links = links
        self._clock = clock
        self._others = others

    def click(self, job: Job) -> None:
        """A button was pressed. What can't be done is told to the person alone."""
        body = job.json()
        said = said_by_click(body, job.delivery)
        action = body["actions"][0]
        name, value = str(action.get("action_id", "")), str(action.get("value") or "")
        if name.startswith(LINK) or self._others(job, said, body):
            return
        if name == replies.HISTORY_PAGE:
            self._page(said, value)
            return
        late = self._clock.now() - job.created_at >= PATIENCE and job.attempts == 1
        if late and name not in (card.CANCEL, card.REJECT):  # these two do no harm however late
            error = AskedTooLate(job.created_at)
            self._service.refuse(said.source, error)
            self._answers.alone(said, replies.problem(error))
            return
        try:
            self._service.settled(said.source, lambda: self._act(name, value, said))
        except PersonError as error:
            self._answers.alone(said, replies.problem(error))
        except TryLater as error:
            if job.attempts == 1:
                self._answers.alone(said, replies.problem(error), what=MEANWHILE)
            raise

    def act(self, name: str, value: str, said: Said) -> bool:
        """Does what a button says; False when there is none of that name. Raises the person's errors, and TryLater."""
        asker = self._answers.named(said.asker)
        if (number := re.fullmatch(r"\d{1,18}", value)) and self._on_deploy(name, int(number[0]), said, asker):
            return True
        if name == card.PROMOTE and (onward := re.fullmatch(r"(\d{1,18}) (\S{1,255})", value)):
            where = {"room": said.room, "source": said.source}
            self._service.promote_on(int(onward[1]), onward[2], asker, **where)
            return True
        lock = re.fullmatch(r"L(\d{1,18})", value)
        if name == card.STEAL and lock:
            taken = self._service.steal(int(lock[1]), asker, room=said.room, source=said.source)
            self._answers.aloud(said, holds.locked(taken))
            return True
        if name == card.RELEASE and lock:
            self._answers.aloud(
                said, holds.unlocked(self._service.release(int(lock[1]), asker, source=said.source), asker)
            )
            return True
        return False

    def _act(self, name: str, value: str, said: Said) -> None:
        if not self.act(name, value, said):
            self._answers.alone(said, replies.old_button())

    def _on_deploy(self, name: str, number: int, said: Said, asker: Asker) -> bool:
        """The buttons of a card, which shows by itself what came of them."""
        match name:
            case card.APPROVE:
                self._service.approve(number, asker, source=said.source)
            case card.REJECT:
                self._service.reject(number, asker, "", source=said.source)
            case card.CANCEL:
                self._service.cancel(number, asker, source=said.source)
            case card.FORCE:
                self._service.force(number, asker, source=said.source)
            case card.RETRY:
                self._service.retry(number, asker, room=said.room, source=said.source)
            case card.ROLLBACK:
                self._service.roll_back_from(number, asker, room=said.room, source=said.source)
            case card.STEAL:
                taken = self._service.lock_for(number, asker, room=said.room, source=said.source)
                self._answers.aloud(said, holds.locked(taken))
            case _:
                return False
        return True

    def _page(self, said: Said, value: str) -> None:
        """The next page of a history, in the place of the one that was read."""
        message: Message
        try:
            app, environment, ref, before = value.split("\n")
            target = f"{app}/{ref}" if ref else app
            page = self._reader.history(target, environment or None, said.room, int(before))
        except PersonError as error:  # the app was taken out of the config meanwhile
            self._answers.alone(said, replies.problem(error))
        except ValueError:
            self._answers.alone(said, replies.old_button())
        else:
            message = replies.history(page, self._links, self._clock.now())
            self._answers.alone(said, message, instead=True)
