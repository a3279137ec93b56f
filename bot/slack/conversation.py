"""What people say to the bot, and what it answers: commands, mentions, direct messages and clicks."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from bot.deploys.clock import Clock
from bot.deploys.errors import PersonError, TryLater, UnknownApp
from bot.deploys.model import Asker, Deploy, Wanted
from bot.reader import Reader
from bot.service import Service
from bot.slack.client import SlackClient, SlackRefused
from bot.slack.grammar import Command, ParseError, parse
from bot.slack.views import replies
from bot.slack.views.text import Links, Message, duration
from bot.store.jobs import Job

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

PATIENCE = timedelta(minutes=15)  # longer, and a deploy that starts at last surprises more than it helps


@dataclass(frozen=True, slots=True)
class Said:
    """Something a person said, wherever they said it.

    `response_url` is Slack's way back to a command or click, '' for a message; `thread` is where an answer to
    a message goes.
    """

    asker: Asker
    room: str
    text: str
    source: str
    response_url: str = ""
    message_id: str = ""
    thread: str = ""
    thread_id: str = ""


class Conversation:
    """Answers people. Each method is the handler of a kind of job."""

    def __init__(self, service: Service, reader: Reader, slack: SlackClient, links: Links, clock: Clock) -> None:
        self._service = service
        self._reader = reader
        self._slack = slack
        self._links = links
        self._clock = clock

    def command(self, job: Job) -> None:
        """A slash command."""
        self._hear(job, said_by_command(job.json(), job.delivery))

    def event(self, job: Job) -> None:
        """A mention, or a message in a conversation with the bot."""
        said = said_by_event(job.json(), job.delivery)
        if said is None:
            return
        self._hear(job, said)

    def click(self, job: Job) -> None:
        """A button."""
        body = job.json()
        action = body["actions"][0]
        if str(action.get("action_id", "")).startswith("link_"):
            return  # Slack opened the address; there is nothing to do
        said = Said(
            asker=Asker(body["user"]["id"], body["user"].get("username") or body["user"].get("name") or ""),
            room=(body.get("channel") or {}).get("id", ""),
            text="",
            source=job.delivery,
            response_url=body.get("response_url", ""),
        )
        if action.get("action_id") == replies.HISTORY_PAGE:
            try:
                app, environment, ref, before = str(action.get("value", "")).split("\n")
                page = self._reader.history(f"{app}/{ref}" if ref else app, environment or None, int(before))
            except PersonError as error:  # the app was taken out of the config meanwhile
                self._answer(said, replies.problem(error))
            except ValueError:
                self._answer(said, replies.old_button())
            else:
                self._answer(said, replies.history(page, self._links, self._clock.now()), instead=True)
            return
        self._answer(said, replies.old_button())

    def apologise(self, job: Job, reference: str) -> None:
        """Tells the person whose command or click broke something of ours."""
        body = job.json()
        if job.kind == "slack.command":
            said: Said | None = said_by_command(body, job.delivery)
        elif job.kind == "slack.event":
            said = said_by_event(body, job.delivery)
        else:
            user, room = body["user"]["id"], (body.get("channel") or {}).get("id", "")
            said = Said(Asker(user), room, "", job.delivery, response_url=body.get("response_url", ""))
        if said is not None:
            self._answer(said, replies.our_fault(reference))

    def apologise_for(self, deploy: Deploy, reference: str) -> None:
        """Tells the person whose deploy broke something of ours, in the conversation with the bot."""
        self._slack.post(self._slack.direct_message(deploy.user_id), replies.our_fault(reference))

    def _hear(self, job: Job, said: Said) -> None:
        try:
            command = parse(said.text)
        except ParseError as error:
            self._answer(said, replies.not_understood(error, offer=self._possible(error.nearest)))
            return
        try:
            message = self._obey(command, said)
        except PersonError as error:
            message = replies.problem(error, bare=command.bare)
        except TryLater as error:
            waited = self._clock.now() - job.created_at
            if waited >= PATIENCE:
                self._answer(said, replies.gave_up(error, duration(waited)))
                return
            if job.attempts == 1:
                self._answer(said, replies.problem(error))
            raise
        if message is not None:
            self._answer(said, message)

    def _possible(self, text: str) -> bool:
        """Whether a mended command names an app there is: `rollback to web` would parse, and nobody meant it."""
        if not text:
            return False
        command = parse(text)
        try:
            return not command.target or bool(self._service.config.target(command.target))
        except UnknownApp:
            return False

    def _obey(self, command: Command, said: Said) -> Message | None:
        """Does what was asked; returns the answer, None where the card is one."""
        now = self._clock.now()
        place = command.environment or None
        match command.name:
            case "deploy":
                deploy = self._service.request(
                    Wanted(
                        target=command.target,
                        environment=place,
                        hosts=command.hosts,
                        task=command.task or "deploy",
                        force=command.force,
                        reason=command.reason,
                    ),
                    self._named(said.asker),
                    room=said.room,
                    source=said.source,
                    message_id=said.message_id,
                    thread_id=said.thread_id,
                )
                structlog.contextvars.bind_contextvars(deploy=deploy.number)
                return None
            case "apps":
                return replies.apps(self._service.config.apps, self._links)
            case "where":
                return replies.where(self._reader.where(command.target), self._links)
            case "status":
                return replies.status(self._reader.status(command.target, place), self._links, now)
            case "history":
                return replies.history(self._reader.history(command.target, place), self._links, now)
            case "diff":
                return replies.diff(self._reader.diff(command.target, place), self._links)
            case _:
                return replies.help_topic(command.topic) if command.topic else replies.help_overview()

    def _named(self, asker: Asker) -> Asker:
        """With the name, which Slack sends with a command and not with a message."""
        return asker if asker.name else Asker(asker.id, self._slack.user_name(asker.id))

    def _answer(self, said: Said, message: Message, *, instead: bool = False) -> None:
        """To the person alone where Slack can; in the thread of a mention, so that it is found again."""
        try:
            if said.response_url:
                self._slack.respond(said.response_url, message, replace=instead)
            elif said.room.startswith("D"):
                self._slack.post(said.room, message)
            else:
                self._slack.post(said.room, message, thread=said.thread)
        except SlackRefused as refused:
            # An old response_url, or a room the bot is not in: there is still the conversation with the bot.
            log.info("answered_elsewhere", code=refused.code)
            self._slack.post(self._slack.direct_message(said.asker.id), message)


def said_by_command(body: Mapping[str, Any], source: str) -> Said:
    """What a slash command's form says."""
    return Said(
        asker=Asker(body["user_id"], body.get("user_name", "")),
        room=body["channel_id"],
        text=plain_text(body.get("text", "")),
        source=source,
        response_url=body.get("response_url", ""),
    )


def said_by_event(body: Mapping[str, Any], source: str) -> Said | None:
    """What an `app_mention` or a direct message says; None for what is not a person speaking to the bot."""
    event = body["event"]
    if event.get("bot_id") or event.get("subtype") or not event.get("user"):
        return None
    if event["type"] == "message" and event.get("channel_type") != "im":
        return None
    return Said(
        asker=Asker(event["user"]),
        room=event["channel"],
        text=without_mention(plain_text(event.get("text", ""))),
        source=source,
        message_id=event.get("ts", ""),
        thread=event.get("thread_ts") or event.get("ts", ""),
        thread_id=event.get("thread_ts", ""),
    )


def plain_text(text: str) -> str:
    """What a person typed, from how Slack writes it down: links to their labels, entities to characters."""
    text = re.sub(r"<(?:https?|mailto):[^|>]*\|([^>]*)>", r"\1", text)
    text = re.sub(r"<((?:https?|mailto):[^|>]*)>", r"\1", text)
    return html.unescape(text).replace("\u00a0", " ").strip()


def without_mention(text: str) -> str:
    """The text without the mention of the bot that it starts with."""
    return re.sub(r"^(?:<@[UW][A-Z0-9]+(?:\|[^>]*)?>[:,]?\s*)+", "", text)
