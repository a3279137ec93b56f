"""The ways back to a person: to them alone where Slack can, to their room where it concerns everyone there."""

from __future__ import annotations

import hashlib

import structlog

from bot.deploys.model import Asker
from bot.slack.client import SlackClient, SlackRefused
from bot.slack.said import Said
from bot.slack.sender import Mark, Sender
from bot.slack.views.text import Message

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

METADATA = "shipbot_message"  # the event type under which an answer or a word carries its id

# What is said to one request, each once: what came of it, that it takes a while, that something broke.
ANSWER, MEANWHILE, SORRY = "answer", "meanwhile", "sorry"


class Answers:
    """Sends answers. Raises TryLater while Slack can't be asked.

    What is posted is posted once, also when its answer is lost. What goes by a response_url can't be looked for: when
    the answer to that is lost, the person sees it twice, which nobody else does.
    """

    def __init__(self, slack: SlackClient, sender: Sender) -> None:
        self._slack = slack
        self._sender = sender

    def alone(self, said: Said, message: Message, *, instead: bool = False, what: str = ANSWER) -> None:
        """To the person alone where Slack can; in the thread of a mention, so that it is found again.

        `instead`: in the place of the message that was clicked.
        """
        mark = _mark(said.source, what)
        try:
            if said.response_url:
                self._slack.respond(
                    said.response_url, message, replace=instead, thread="" if instead else said.thread_id
                )
            elif said.room.startswith("D"):
                self._sender.post(said.room, message, mark, thread=said.thread_id)
            elif said.room:
                self._sender.post(said.room, message, mark, thread=said.thread)
            else:
                self._sender.direct(said.asker.id, message, mark)
        except SlackRefused as refused:
            # An old response_url, or a room the bot is not in: there is still the conversation with the bot.
            log.info("answered_elsewhere", code=refused.code)
            self._sender.direct(said.asker.id, message, mark)

    def aloud(self, said: Said, message: Message, *, otherwise: Message | None = None) -> None:
        """To everyone in the room, since it concerns them; where Slack does not let the bot write, to the person.

        `otherwise` is what they are told then, where it is not the same.
        """
        if not said.room:
            self.direct(said.asker.id, message, said.source)
            return
        try:
            self._sender.post(said.room, message, _mark(said.source, "aloud"), thread=said.thread_id)
        except SlackRefused as refused:
            log.info("answered_elsewhere", code=refused.code)
            self.alone(said, otherwise or message)

    def in_room(self, room: str, message: Message, key: str) -> None:
        """To everyone in a room, where nobody asked; where Slack does not let the bot write, to nobody.

        Here and in `direct`: what has the same `key` is said once.
        """
        try:
            self._sender.post(room, message, _mark(key, "room"))
        except SlackRefused as refused:
            log.warning("room_closed", code=refused.code, room=room)

    def direct(self, user_id: str, message: Message, key: str) -> None:
        """In the conversation between a person and the bot."""
        self._sender.direct(user_id, message, _mark(key, "direct"))

    def named(self, asker: Asker) -> Asker:
        """With the name, which Slack sends with a command and not with a message."""
        return asker if asker.name else Asker(asker.id, self._slack.user_name(asker.id))


def _mark(key: str, what: str) -> Mark:
    # Not the key itself: others may read it, and it may be as long as a sender's id.
    return Mark(METADATA, hashlib.sha256(f"{what} {key}".encode()).hexdigest()[:32])
