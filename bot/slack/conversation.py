"""What people say to the bot, and what it answers: commands, mentions and direct messages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from bot.deploys.clock import Clock
from bot.deploys.errors import AskedTooLate, PersonError, TryLater, UnknownApp, UnknownEnvironment
from bot.deploys.model import Deploy
from bot.service import Service
from bot.slack.answers import MEANWHILE, SORRY, Answers
from bot.slack.commands import READING, Commands
from bot.slack.grammar import ParseError, parse
from bot.slack.said import Said, said_by, said_by_command, said_by_event
from bot.slack.views import holds, replies, schedules
from bot.slack.views.text import duration
from bot.store.jobs import Job

PATIENCE = timedelta(minutes=15)  # longer, and a command that is done at last surprises more than it helps


class Form(Protocol):
    """What a bare `/deploy` opens."""

    def open(self, said: Said) -> bool:
        """False when Slack did not let it be opened any more."""
        ...


class Conversation:
    """Answers people. Each method is the handler of a kind of job."""

    def __init__(
        self, service: Service, commands: Commands, answers: Answers, clock: Clock, form: Form | None = None
    ) -> None:
        self._service = service
        self._commands = commands
        self._answers = answers
        self._form = form
        self._clock = clock

    def command(self, job: Job) -> None:
        """A slash command; one without words opens the form."""
        said = said_by_command(job.json(), job.delivery)
        if not said.text and job.attempts == 1 and self._form is not None and self._form.open(said):
            return
        self._hear(job, said)

    def event(self, job: Job) -> None:
        """A mention, or a message in a conversation with the bot."""
        said = said_by_event(job.json(), job.delivery)
        if said is None:
            return
        if job.json()["event"].get("edited"):  # Slack tells of a mention again, as a new event, whenever it is edited
            once = f"edited {said.room} {said.message_id}"
            self._answers.alone(replace(said, source=once), replies.edited())
            return
        self._hear(job, said)

    def tell(self, job: Job) -> None:
        """Word for one person or one room, of something that happened elsewhere."""
        data = job.json()
        words = schedules.told if data["what"] in schedules.TOLD else holds.told
        message = words(data["what"], data["facts"])
        if "room" in data:
            self._answers.in_room(data["room"], message, job.delivery)
        else:
            self._answers.direct(data["user"], message, job.delivery)

    def apologise(self, job: Job, reference: str) -> None:
        """Tells the person whose command or click broke something of ours."""
        said = said_by(job)
        if said is not None:
            self._answers.alone(said, replies.our_fault(reference), what=SORRY)

    def apologise_for(self, deploy: Deploy, reference: str) -> None:
        """Tells the person whose deploy broke something of ours, in the conversation with the bot; where Slack knows
        them."""
        if deploy.user_id:
            self._answers.direct(deploy.user_id, replies.our_fault(reference), reference)

    def _hear(self, job: Job, said: Said) -> None:
        try:
            command = parse(said.text)
        except ParseError as error:
            offer = next((text for text in error.nearest if self._possible(text, error.text)), "")
            self._answers.alone(said, replies.not_understood(error, offer))
            return
        waited = self._clock.now() - job.created_at
        if waited >= PATIENCE and job.attempts == 1 and command.name not in READING:
            # It was stored and nobody was there to do it; by now it may be the last thing that anyone wants.
            late = AskedTooLate(job.created_at)
            self._service.refuse(said.source, late)
            self._answers.alone(said, replies.problem(late))
            return
        try:
            said = replace(said, at=job.created_at)
            message = self._service.settled(said.source, lambda: self._commands.obey(command, said))
        except PersonError as error:
            message = replies.problem(error, bare=command.bare)
        except TryLater as error:
            if waited >= PATIENCE:
                self._service.refuse(said.source, AskedTooLate(job.created_at))
                self._answers.alone(said, replies.gave_up(error, duration(waited)))
                return
            if job.attempts == 1:
                self._answers.alone(said, replies.problem(error), what=MEANWHILE)
            raise
        if message is not None:
            self._answers.alone(said, message)

    def _possible(self, text: str, typed: str) -> bool:
        """Whether a mended command names what there is: `rollback to web` would parse, and nobody meant it. A ref that
        was not typed as one is looked for among those that are remembered."""
        command, config = parse(text), self._service.config
        targets = [command.target, command.environment] if command.either else [command.target]
        for target in filter(None, targets):
            try:
                name, app, ref = config.target(target)
                for place in (command.origin, "" if command.either else command.environment):
                    if place:
                        config.environment(name, place)
            except (UnknownApp, UnknownEnvironment):
                continue
            as_typed = target in typed.split() or not ref
            return as_typed or ref in self._service.freshen_refs(app.repository).names
        return not any(targets)
