"""The form of a bare `/deploy`: opened, filled in, looked at by the gates before it is sent, and sent.

Slack is asked nothing in a listener: `suggest`, `faults` and `taken_in` answer from what is stored, the rest is done
by workers. A form's private_metadata says which room it was opened in; Slack keeps it, and nobody who fills the form
in can change it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import structlog

from bot.deploys.clock import Clock
from bot.deploys.config import App
from bot.deploys.errors import AskedTooLate, NoDefaultEnvironment, PersonError, TryLater, UnknownTime, WrongRoom
from bot.deploys.model import Asker, Wanted
from bot.deploys.refs import possible_ref
from bot.deploys.times import parse_later
from bot.reader import Reader
from bot.service import Service
from bot.slack.answers import ANSWER, MEANWHILE, Answers
from bot.slack.client import SlackClient, SlackRefused
from bot.slack.conversation import PATIENCE
from bot.slack.said import Said, said_by_click
from bot.slack.views import modal as views
from bot.slack.views import replies
from bot.slack.views.modal import APP, ENVIRONMENT, FORCE, FORM, REASON, REF, ROOM, TASK, WHEN, Filled, Form
from bot.slack.views.text import Block, Links, Message, duration
from bot.store.jobs import Job

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Json = Mapping[str, Any]
OPENING = 0  # the turn of a form that was just opened: every choice comes after it


class Modal:
    """Opens the form, and does what is chosen and sent in it. Raises TryLater while Slack can't be asked."""

    def __init__(
        self, service: Service, reader: Reader, slack: SlackClient, answers: Answers, links: Links, clock: Clock
    ) -> None:
        self._service = service
        self._reader = reader
        self._slack = slack
        self._answers = answers
        self._links = links
        self._clock = clock

    def open(self, said: Said) -> bool:
        """Opens the form for the room it was said in, or with a choice of rooms where that is none (the home tab).

        False when Slack does not let it be opened, or there is nothing that could be deployed from there.
        """
        form = self._form(said.room, Filled(), said.asker.id)
        if form is None:
            return False
        try:
            # A trigger is good for three seconds, so nobody else is asked before.
            view_id = self._slack.open_view(said.trigger_id, views.form(form, views.looking()))
        except SlackRefused as refused:
            log.info("form_not_opened", code=refused.code)
            return False
        try:
            self._look(view_id, OPENING, said.room, Filled(), said.asker)
        except TryLater as later:  # it is open all the same; the next choice makes it look again
            log.info("form_not_completed", reason=repr(later))
        return True

    def clicked(self, job: Job, said: Said, body: Json) -> bool:
        """Something was chosen in the form: what hangs on it is shown anew. False for what was pressed elsewhere."""
        view = body.get("view") or {}
        if view.get("callback_id") != FORM:
            return False
        if self._service.take_turn(view["id"], job.id):
            self._look(view["id"], job.id, _room_of(view), _filled(view), said.asker)
        return True

    def submitted(self, job: Job) -> None:
        """The form was sent. What became of it is shown in its place; when that was closed, errors are told."""
        body = job.json()
        view = body["view"]
        if view.get("callback_id") != FORM:
            return
        said = said_by_click(body, job.delivery)
        view_id, filled = view["id"], _filled(view)
        self._service.take_turn(view_id, job.id)
        waited = self._clock.now() - job.created_at
        if waited >= PATIENCE and job.attempts == 1:
            late = AskedTooLate(job.created_at)
            self._service.refuse(said.source, late)
            self._end(view_id, said, replies.problem(late))
            return
        try:
            due_at, zone = self._due(filled, said.asker, job.created_at)
            deploy = self._service.settled(
                said.source,
                lambda: self._service.request(
                    replace(_wanted(filled), due_at=due_at),
                    self._answers.named(said.asker),
                    room=self._room(_room_of(view), filled, said.asker.id),
                    source=said.source,
                ),
            )
        except PersonError as error:
            self._send_back(view_id, _room_of(view), filled, said, error)
        except TryLater as error:
            if waited >= PATIENCE:
                self._end(view_id, said, replies.gave_up(error, duration(waited)))
                return
            if job.attempts == 1:
                self._replace(view_id, said, views.put_off(error), replies.problem(error), MEANWHILE)
            raise
        else:
            structlog.contextvars.bind_contextvars(deploy=deploy.number)
            self._replace(view_id, said, views.done(deploy, self._links, zone), None)

    def taken_in(self, view: Json) -> dict[str, Any]:
        """What is shown while a form that was sent is worked on."""
        return views.on_its_way() if view.get("callback_id") == FORM else {}

    def faults(self, view: Json) -> dict[str, str]:
        """What is wrong with a form by itself, by the id of the block it is wrong in."""
        if view.get("callback_id") != FORM:
            return {}
        filled = _filled(view)
        found = {}
        for block_id in view["state"].get("values", {}):
            field = re.split(r"[?:]", block_id)[0]
            if field in (ENVIRONMENT, REF, ROOM) and not getattr(filled, field):
                found[block_id] = views.missing()
            elif field == TASK and filled.task and not re.fullmatch(r"[\w.:-]+", filled.task):
                found[block_id] = views.odd_task()
        return found

    def suggest(self, body: Json) -> list[Block]:
        """The refs that a menu offers for what is typed, from what is remembered; what is typed is one of them."""
        field, _, name = str(body.get("block_id") or "").partition(":")
        app = self._reader.config.apps.get(name)
        if field.rstrip("?") != REF or app is None:
            return []
        known = self._service.refs(app.repository)
        typed = str(body.get("value") or "").strip()
        default = app.default_ref or known.default
        refs = dict.fromkeys([*([default] if default else []), *known.names])
        return views.ref_options(_alike(typed, list(refs)), typed if possible_ref(typed) else "")

    def _look(self, view_id: str, turn: int, room: str, filled: Filled, asker: Asker) -> None:
        """Shows the form with what is known now and what the gates say, unless something newer was chosen."""
        form = self._form(room, filled, asker.id)
        if form is None:  # the config or the rooms of the person have changed since
            return
        self._service.freshen_refs(self._reader.config.apps[form.filled.app].repository)
        form = self._form(room, filled, asker.id) or form
        gates, wrong = self._gates(room, form.filled, asker)
        if not self._service.has_turn(view_id, turn):
            return
        try:
            self._slack.update_view(view_id, views.form(form, gates, wrong))
        except SlackRefused as refused:  # closed meanwhile
            log.info("form_gone", code=refused.code)

    def _gates(self, room: str, filled: Filled, asker: Asker) -> tuple[list[Block], dict[str, list[Block]]]:
        """What the gates would say now, and what is wrong, by field."""
        if not filled.environment or not filled.ref:
            return views.not_yet(), {}
        try:
            wanted = replace(_wanted(filled), due_at=self._due(filled, asker, self._clock.now())[0])
            asked = self._service.foresee(wanted, self._answers.named(asker), room=room or filled.room)
        except PersonError as error:
            return [], views.wrong(error)
        except TryLater as error:
            return views.unasked(error), {}
        return replies.foreseen(asked, self._links).blocks, {}

    def _due(self, filled: Filled, asker: Asker, now: datetime) -> tuple[datetime | None, ZoneInfo]:
        """When it is to go, None for as soon as it can; and the zone that the person is in. Raises UnknownTime."""
        if not filled.when:
            return None, ZoneInfo("UTC")
        zone = ZoneInfo(self._slack.time_zone(asker.id))
        try:
            return parse_later(filled.when, now, zone), zone
        except ValueError as error:
            raise UnknownTime(filled.when, str(error)) from None

    def _form(self, room: str, filled: Filled, user: str) -> Form | None:
        """The form with what can be chosen in it, and for what is not chosen yet the default. None without apps."""
        apps = self._reader.apps(room) if room else self._reader.seen_by(self._slack.rooms_of(user))
        if not apps:
            return None
        name = filled.app if filled.app in apps else next(iter(apps))
        app = apps[name]
        rooms = {} if room else self._rooms(app, user)
        environment = filled.environment if filled.app == name else ""
        ref = filled.ref if filled.app == name else ""
        filled = replace(
            filled,
            app=name,
            environment=environment or self._default_environment(name),
            ref=ref or app.default_ref or self._service.refs(app.repository).default,
            room=filled.room if filled.room in rooms else next(iter(rooms), ""),
        )
        metadata = msgspec.json.encode({"room": room}).decode()
        return Form(filled, list(apps), list(app.environments), rooms, metadata)

    def _default_environment(self, app: str) -> str:
        try:
            return self._reader.config.environment(app, None)[0]
        except NoDefaultEnvironment:
            return ""

    def _rooms(self, app: App, user: str) -> dict[str, str]:
        """The rooms that a person could type into to deploy an app that names its rooms."""
        known = self._slack.rooms_of(user) if app.rooms else {}
        return {room: known[room] for room in app.rooms if room in known}

    def _room(self, room: str, filled: Filled, user: str) -> str:
        """Where the card goes: where the form was opened, else the room that was chosen, or the conversation with
        the bot for an app that may be deployed from anywhere. Raises WrongRoom for one the person is not in."""
        app = self._reader.config.apps.get(filled.app)
        if room or app is None:
            return room
        if not app.rooms:
            return self._slack.direct_message(user)
        if filled.room not in self._rooms(app, user):
            raise WrongRoom(filled.app, app.rooms)
        return filled.room

    def _send_back(self, view_id: str, room: str, filled: Filled, said: Said, error: PersonError) -> None:
        """The form again as it was filled in, with what is wrong."""
        form = self._form(room, filled, said.asker.id)
        if form is None:
            self._end(view_id, said, replies.problem(error))
        else:
            self._replace(view_id, said, views.form(form, [], views.wrong(error)), replies.problem(error))

    def _end(self, view_id: str, said: Said, message: Message) -> None:
        self._replace(view_id, said, views.ended(message.blocks), message)

    def _replace(
        self, view_id: str, said: Said, view: dict[str, Any], otherwise: Message | None, what: str = ANSWER
    ) -> None:
        """Shows a view in the form's place; when that is closed, the message goes to the person."""
        try:
            self._slack.update_view(view_id, view)
        except SlackRefused as refused:
            log.info("form_gone", code=refused.code)
            if otherwise is not None:
                self._answers.direct(said.asker.id, otherwise, f"{what} {said.source}")


def _alike(typed: str, refs: Sequence[str]) -> list[str]:
    """The refs that hold what is typed, in any case; those that start with it first."""
    wanted = typed.casefold()
    holding = [ref for ref in refs if wanted in ref.casefold()]
    return sorted(holding, key=lambda ref: not ref.casefold().startswith(wanted)) if wanted else holding


def _wanted(filled: Filled) -> Wanted:
    """As a command would have it: `migrations` is `deploy:migrations`."""
    task = filled.task.removeprefix("deploy:")
    return Wanted(
        target=f"{filled.app}@{filled.ref}",
        environment=filled.environment or None,
        task="deploy" if task in ("", "deploy") else f"deploy:{task}",
        force=filled.force,
        reason=filled.reason,
    )


def _room_of(view: Json) -> str:
    """The room that a form was opened in; '' for the home tab."""
    return str(msgspec.json.decode(view["private_metadata"])["room"])


def _filled(view: Json) -> Filled:
    """What stands in the form. What belongs to another app than the chosen one is left."""
    values = view["state"].get("values", {})

    def field(name: str, *blocks: str) -> Any:
        return next((values[block][name] for block in blocks if name in values.get(block, {})), {})

    def chosen(name: str, *blocks: str) -> str:
        return str((field(name, *blocks).get("selected_option") or {}).get("value") or "")

    app = chosen(APP, APP)
    return Filled(
        app=app,
        environment=chosen(ENVIRONMENT, f"{ENVIRONMENT}:{app}"),
        ref=chosen(REF, f"{REF}:{app}", f"{REF}?:{app}"),
        room=chosen(ROOM, f"{ROOM}:{app}"),
        when=" ".join(str(field(WHEN, WHEN).get("value") or "").split()),
        task=str(field(TASK, TASK).get("value") or "").strip(),
        reason=" ".join(str(field(REASON, REASON).get("value") or "").split()),
        force=bool(field(FORCE, FORCE).get("selected_options")),
    )
