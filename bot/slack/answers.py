"""The ways back to a person: to them alone where Slack can, to their room where it concerns everyone there."""

from __future__ import annotations

import structlog

from bot.deploys.model import Asker
from bot.slack.client import SlackClient, SlackRefused
from bot.slack.said import Said
from bot.slack.views.text import Message

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Answers:
    """Sends answers. Raises TryLater while Slack can't be asked."""

    def __init__(self, slack: SlackClient) -> None:
        self._slack = slack

    def alone(self, said: Said, message: Message, *, instead: bool = False) -> None:
        """To the person alone where Slack can; in the thread of a mention, so that it is found again.

        `instead`: in the place of the message that was clicked.
        """
        try:
            if said.response_url:
                self._slack.respond(said.response_url, message, replace=instead)
            elif said.room.startswith("D"):
                self._slack.post(said.room, message)
            elif said.room:
                self._slack.post(said.room, message, thread=said.thread)
            else:
                self.direct(said.asker.id, message)
        except SlackRefused as refused:
            # An old response_url, or a room the bot is not in: there is still the conversation with the bot.
            log.info("answered_elsewhere", code=refused.code)
            self.direct(said.asker.id, message)

    def aloud(self, said: Said, message: Message, *, otherwise: Message | None = None) -> None:
        """To everyone in the room, since it concerns them; where Slack does not let the bot write, to the person.

        `otherwise` is what they are told then, where it is not the same.
        """
        if not said.room:
            self.direct(said.asker.id, message)
            return
        try:
            self._slack.post(said.room, message, thread=said.thread_id)
        except SlackRefused as refused:
            log.info("answered_elsewhere", code=refused.code)
            self.alone(said, otherwise or message)

    def in_room(self, room: str, message: Message) -> None:
        """To everyone in a room, where nobody asked; where Slack does not let the bot write, to nobody."""
        try:
            self._slack.post(room, message)
        except SlackRefused as refused:
            log.warning("room_closed", code=refused.code, room=room)

    def direct(self, user_id: str, message: Message) -> None:
        """In the conversation between a person and the bot."""
        self._slack.post(self._slack.direct_message(user_id), message)

    def named(self, asker: Asker) -> Asker:
        """With the name, which Slack sends with a command and not with a message."""
        return asker if asker.name else Asker(asker.id, self._slack.user_name(asker.id))
