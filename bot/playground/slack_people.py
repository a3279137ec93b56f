"""What people do in the simulated Slack: type, click, fill in. The bot hears of it as it would from Slack."""

from __future__ import annotations

import html
from typing import Any

from bot.playground import slack_payloads as payloads
from bot.playground.slack_methods import ApiError
from bot.playground.slack_people_views import ViewActs
from bot.playground.slack_responses import apply_response
from bot.playground.slack_sending import Answer, Outgoing, Sender
from bot.playground.slack_state import Json, Message, Person, ResponseUrl, Room, Workspace, copy_json

SLACKBOT = "USLACKBOT"


class People(ViewActs):
    """The acts. They block until the bot has answered (up to `patience` seconds), so they are called from a
    thread that serves neither Slack nor the bot. Raise LookupError for what is not there to act on.
    """

    def __init__(self, workspace: Workspace, sender: Sender) -> None:
        super().__init__(workspace, sender)
        self.commands = {"/deploy"}  # those that the app has registered
        self.events = {"app_mention", "message.im", "app_home_opened"}  # what the app is subscribed to
        self.escape_commands = False  # "Escape channels, users, and links" of the command's settings

    # Typing

    def command(self, user: str, room: str, text: str, *, command: str = "/deploy", **override: Any) -> Answer:
        """A slash command. `override` replaces fields of the form.

        What the bot answers in the HTTP response is shown to the person (or to all, with in_channel); no good
        answer shows as Slack's own error.
        """
        workspace = self._workspace
        with workspace.change():
            person, place = workspace.person(user), workspace.room(room)
            line = f"{command} {text}".rstrip()
            workspace.post(place, person.id, payloads.typed(workspace, line), subtype="slash_command")
            sent = payloads.typed(workspace, text, references=self.escape_commands)
            form = payloads.command(workspace, person, place, sent, command) | override
        answer = self._send(Outgoing("slash_commands", form))
        with workspace.change():
            if not answer.ok:
                error = "dispatch_failed" if answer.status else "operation_timeout"
                note = f"{command} failed with the error “{error}”"
                workspace.post(place, SLACKBOT, note, ephemeral_for=person.id)
            else:
                self._show_answer(form, answer)
        return answer

    def mention(self, user: str, room: str, text: str, *, thread_ts: str | None = None) -> Answer:
        """A message that names the bot; `@shipbot` is put in front when it is not in the text."""
        workspace = self._workspace
        bot = workspace.people[workspace.bot_user_id].name
        said = text if f"@{bot}" in text else f"@{bot} {text}"
        return self._write(workspace.person(user), workspace.room(room), said, thread_ts, mention=True)

    def direct_message(self, user: str, text: str, *, thread_ts: str | None = None) -> Answer:
        """A message to the bot in the direct message with it."""
        with self._workspace.change():
            person = self._workspace.person(user)
            room = self._workspace.direct_room([person.id])
        return self._write(person, room, text, thread_ts)

    def say(self, user: str, room: str, text: str, *, thread_ts: str | None = None) -> Answer:
        """Whatever a person types into a room: a slash command, a mention, or just a message.

        Status 0 also stands for a message that the bot is not told of.
        """
        workspace = self._workspace
        bot = workspace.people[workspace.bot_user_id].name
        if text.startswith("/"):
            name, _, rest = text.partition(" ")
            if thread_ts is None and name in self.commands:
                return self.command(user, room, rest, command=name)
            return self._refuse(user, room, text, name, thread_ts)
        place = workspace.room(room)
        if place.kind != "im" and f"@{bot}" in text.lower():
            return self.mention(user, room, text, thread_ts=thread_ts)
        return self._write(workspace.person(user), place, text, thread_ts)

    def edit(self, user: str, room: str, ts: str, text: str) -> Answer:
        """A person changes a message of theirs. When it names the bot, that is an event of its own, with a new id."""
        workspace = self._workspace
        bot = workspace.people[workspace.bot_user_id].name
        with workspace.change():
            message, place = workspace.message(room, ts), workspace.room(room)
            if message.user != workspace.person(user).id:
                raise LookupError("people change their own messages alone")
            workspace.edit(message, payloads.typed(workspace, text), [], None, [])
            told = payloads.message_event(workspace, place, message, "app_mention")
        if place.kind == "im" or f"@{bot}" not in text.lower() or "app_mention" not in self.events:
            return Answer(0)
        return self._send(Outgoing("events_api", told))

    def _refuse(self, user: str, room: str, text: str, command: str, thread_ts: str | None) -> Answer:
        """Slack knows no such command, or takes none in threads: it says so itself, and the bot is not told."""
        workspace = self._workspace
        with workspace.change():
            person, place = workspace.person(user), workspace.room(room)
            known = command in self.commands
            why = "is not supported in threads. Sorry!" if known else "is not a valid command."
            said = {"ephemeral_for": person.id, "thread_ts": thread_ts}
            workspace.post(place, person.id, payloads.typed(workspace, text), subtype="slash_command", **said)
            workspace.post(place, SLACKBOT, f"{payloads.typed(workspace, command)} {why}", **said)
        return Answer(0)

    def _write(self, person: Person, room: Room, text: str, thread_ts: str | None, *, mention: bool = False) -> Answer:
        workspace = self._workspace
        with workspace.change():
            said = payloads.typed(workspace, text)
            message = workspace.post(room, person.id, said, thread_ts=thread_ts)
            channel_type = {"public": "channels", "private": "groups"}.get(room.kind, room.kind)
            told = []
            if workspace.bot_user_id in room.members or mention:
                if mention and "app_mention" in self.events:
                    told.append(payloads.message_event(workspace, room, message, "app_mention"))
                if f"message.{channel_type}" in self.events and workspace.bot_user_id in room.members:
                    told.append(payloads.message_event(workspace, room, message, "message"))
        answer = Answer(0)
        for each in told:
            answer = self._send(Outgoing("events_api", each))
        return answer

    def repeat_last(self, retry_num: int = 1) -> Answer:
        """The last thing sent, again: the same ids, a new timestamp and signature. Raises LookupError."""
        if self._last is None:
            raise LookupError("nothing was sent yet")
        return self._sender.send(self._last, retry=retry_num)

    # Clicking

    def click(self, user: str, room: str, ts: str, action_id: str, value: Any = None) -> Answer:
        """A click on a button, or a choice in a menu, of the message `ts`.

        `value` is what is chosen in a menu; for a button it picks the one with that value among several, or
        goes out in the place of its own. A button that an edit has just removed can still be clicked, as it
        can by a person whose screen lags behind.
        """
        workspace = self._workspace
        with workspace.change():
            person = workspace.person(user)
            message = self._visible(person, room, ts)
            blocks, block, element = _seen(message, action_id, value)
            payload = {
                **payloads.interaction(workspace, person, "block_actions"),
                **payloads.on_message(workspace, person, message, blocks),
                "trigger_id": workspace.new_trigger(person.id),
                "actions": [payloads.action(workspace, block, element, value)],
            }
        return self._send(Outgoing("interactive", copy_json(payload)))

    def shortcut(self, user: str, callback_id: str) -> Answer:
        """A person picks one of the app's global shortcuts."""
        workspace = self._workspace
        with workspace.change():
            person = workspace.person(user)
            payload = {
                **payloads.interaction(workspace, person, "shortcut"),
                "callback_id": callback_id,
                "trigger_id": workspace.new_trigger(person.id),
                "action_ts": workspace.next_ts(),
            }
        return self._send(Outgoing("interactive", payload))

    # Inside

    def _show_answer(self, form: Json, answer: Answer) -> None:
        """Shows what the bot said in the HTTP response to a command."""
        body = answer.body
        if isinstance(body, str):
            if not body.strip():
                return
            body = {"text": html.escape(body, quote=False)}
        url = self._workspace.response_urls.get(str(form.get("response_url", "")).rpartition("/")[2])
        if not isinstance(body, dict) or not (body.get("text") or body.get("blocks")):
            return
        if url is None:
            url = ResponseUrl(form["channel_id"], form["user_id"], self._workspace.now())
        try:
            apply_response(self._workspace, url, body, "answer to a command")
        except ApiError as error:
            self._workspace.violations.append(f"answer to a command: {error.name}")


def _seen(message: Message, action_id: str, value: Any) -> tuple[list[Json], Json, Json]:
    """The blocks in which an element stands, now or before an edit, the block, and the element."""
    for blocks in [message.all_blocks, *reversed(message.earlier)]:
        try:
            return blocks, *payloads.find_element(blocks, action_id, value)
        except LookupError:
            continue
    raise LookupError(f"the message {message.ts} has nothing with the action_id {action_id!r}")
