"""Brings cards up to date. A job says which card; what it shows is read when it is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploys import states
from bot.deploys.clock import Clock
from bot.deploys.errors import TryLater
from bot.deploys.model import PROMOTION, TEARDOWN, Deploy, Step
from bot.slack.client import SlackClient, SlackRefused
from bot.slack.sender import CLOSED, GONE, THREADLESS, Keep, Mark, Sender, Sent
from bot.slack.views import card as views
from bot.slack.views import thread
from bot.slack.views.text import Links, Message
from bot.store import gates, logs, previews, records, runs
from bot.store.engine import Store
from bot.store.jobs import Job

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

FAILED = frozenset({states.FAILURE, states.ERROR})
LAST_LINES = 12  # of a provider's output, in the thread of what failed

Onward = Callable[[sa.Connection, Deploy], Sequence[str]]


class Outbox:
    """Shows deploys in rooms."""

    def __init__(
        self, store: Store, slack: SlackClient, sender: Sender, links: Links, clock: Clock, onward: Onward
    ) -> None:
        """`onward`: where a deploy that is live may go next."""
        self._onward = onward
        self._store = store
        self._slack = slack
        self._sender = sender
        self._links = links
        self._clock = clock

    def show(self, job: Job) -> None:
        """Posts or updates one card and adds what is new to its thread.

        Every step is stored before the next, so that a second run goes on where the first one ended.
        """
        data = job.json()
        number, room = data["deploy"], data["room"]
        with self._store.read() as connection:
            deploy = records.deploy(connection, number)
            row = records.card(connection, deploy, room) if deploy is not None else None
            if row is not None and row.deploy != number:  # a newer one of the same preview has taken the card over
                deploy = records.deploy(connection, row.deploy)
            sight = self._sight(connection, deploy) if deploy is not None else None
        if deploy is None or row is None or sight is None:
            return
        structlog.contextvars.bind_contextvars(deploy=deploy.number, room=room)
        if not self._told(deploy, sight, row):  # the room was closed in between
            self._remember(deploy, room, ts="")
            with self._store.read() as connection:
                row = records.card(connection, deploy, room)
            assert row is not None
            self._told(deploy, sight, row)

    def _told(self, deploy: Deploy, sight: views.Sight, row: sa.Row[Any]) -> bool:
        """The card, and what is new below it. False when that can't be said there, and the card should move."""
        card, message = self._card(deploy, sight, row)
        if not card.ts:
            return True
        try:
            open_still = self._thread(deploy, row, card)
        except TryLater:  # then the card need not be edited again to say the same
            self._remember(deploy, row.room, shown=_digest(message))
            raise
        if row.shown:
            self._remember(deploy, row.room, shown="")
        return open_still

    def _sight(self, connection: sa.Connection, deploy: Deploy) -> views.Sight:
        now = self._clock.now()
        waits = deploy.state == states.HELD
        live = None
        if deploy.state == states.SUCCESS:
            live = records.live(connection, deploy.app, deploy.environment)
        over = deploy.final or deploy.state == states.LOST
        good = records.successes(connection, deploy.app, deploy.environment, limit=2) if over else ()
        return views.Sight(
            now=now,
            ahead=gates.ahead(connection, deploy) if waits and not deploy.scheduled else (),
            votes=gates.votes_on(connection, [deploy.number])[deploy.number],
            lock=gates.lock_on(connection, deploy.app, deploy.environment, now) if not waits else None,
            replaced_by=live.number if live is not None and live.number != deploy.number else None,
            way_back=any(other.number != deploy.number for other in good),
            preview=previews.get(connection, deploy.preview) if deploy.preview is not None else None,
            open_at=self._open_at(connection, deploy),
            onward=self._onward(connection, deploy) if live is not None and live.number == deploy.number else (),
            taken_back_by=_taken_back_by(connection, deploy) if waits else None,
        )

    def _open_at(self, connection: sa.Connection, deploy: Deploy) -> str:
        """Where a preview is to be seen: also while its next commit is on the way there."""
        if deploy.preview is None or deploy.environment_url or deploy.cause == TEARDOWN:
            return deploy.environment_url
        live = records.live(connection, deploy.app, deploy.environment, whole=True)
        return live.environment_url if live is not None else ""

    def _card(self, deploy: Deploy, sight: views.Sight, row: sa.Row[Any]) -> tuple[Sent, Message]:
        """The card, brought up to date, and what it says; its ts is '' where nobody can be shown it."""
        channel: str = row.channel
        message = views.card(deploy, self._links, sight, row.detour)
        mark = Mark(
            views.METADATA,
            sight.preview.key if sight.preview is not None else deploy.id,
            {"number": deploy.number},
        )
        if row.ts:
            try:
                sent = Sent(channel, row.ts, anew=False)
                self._update(deploy, row, sent, message, mark)
                return sent, message
            except SlackRefused as refused:
                if refused.code not in GONE | CLOSED:
                    raise
                log.info("card_gone", code=refused.code)
        try:
            sent = self._post(deploy, row, channel, message, mark)
        except SlackRefused as refused:
            if refused.code not in CLOSED:
                raise
            log.warning("room_closed", code=refused.code)
            # The person who asked is told where they can be: in a conversation with the bot.
            detoured = None
            if not row.detour and deploy.ours and row.room == deploy.room and deploy.user_id:
                message = views.card(deploy, self._links, sight, refused.code)
                detoured = self._sender.direct(
                    deploy.user_id, message, mark, keep=self._keeping(deploy, row, detour=refused.code)
                )
            if detoured is None:  # nobody here asked for it, or they have left: nobody is told
                self._remember(deploy, row.room, ts="")
                return Sent(channel, "", anew=False), message
            sent = detoured
        if not sent.anew:
            self._update(deploy, row, sent, message, mark)
        return sent, message

    def _post(self, deploy: Deploy, row: sa.Row[Any], channel: str, message: Message, mark: Mark) -> Sent:
        return self._sender.post(channel, message, mark, keep=self._keeping(deploy, row))

    def _keeping(self, deploy: Deploy, row: sa.Row[Any], **more: str) -> Keep:
        """Stores where a card is."""

        def keep(connection: sa.Connection, channel: str, ts: str) -> None:
            records.update_card(connection, deploy, row.room, channel=channel, ts=ts, **more)

        return keep

    def _update(self, deploy: Deploy, row: sa.Row[Any], sent: Sent, message: Message, mark: Mark) -> None:
        if row.shown and row.shown == _digest(message):
            return  # an earlier attempt got as far as this, and no further
        self._sender.update(sent.channel, sent.ts, message, mark, first=deploy.pressing)

    def _thread(self, deploy: Deploy, row: sa.Row[Any], card: Sent) -> bool:
        """Tells what is new below the card. False when the room is closed, and it can be told elsewhere."""
        with self._store.read() as connection:
            steps = records.steps(connection, deploy.number, after=row.told)
            printed = self._printed(connection, deploy, steps)
        for step in steps:
            message = thread.line(deploy, step, row.room, printed.get(step.id, ""))
            if message is None:
                continue

            def keep(connection: sa.Connection, _channel: str, _ts: str, told: int = step.id) -> None:
                records.update_card(connection, deploy, row.room, told=told)

            mark = Mark(thread.METADATA, f"{deploy.id}:{step.id}")
            try:
                self._sender.post(card.channel, message, mark, thread=card.ts, first=deploy.pressing, keep=keep)
            except SlackRefused as refused:
                if refused.code not in GONE | CLOSED | THREADLESS:
                    raise
                log.warning("thread_closed", code=refused.code)  # the card says how it stands; the rest may come later
                return refused.code not in CLOSED or card.channel != row.room
        return True

    def _printed(self, connection: sa.Connection, deploy: Deploy, steps: Sequence[Step]) -> dict[int, str]:
        """The last lines that a provider of ours printed, for the step that says that it failed."""
        failed = [step for step in steps if step.kind == "status" and step.state in FAILED and not step.late]
        run = runs.of_deploy(connection, deploy.number) if failed else None
        if run is None or run.outcome not in FAILED:
            return {}
        lines = logs.tail(connection, run.log, LAST_LINES + 1).split("\n")
        if lines[-1].startswith(f"[{run.outcome}"):  # the runner's own last words, which the line above says already
            lines.pop()
        return {failed[-1].id: "\n".join(lines[-LAST_LINES:])}

    def _remember(self, deploy: Deploy, room: str, **values: Any) -> None:
        with self._store.write() as connection:
            records.update_card(connection, deploy, room, **values)


def _taken_back_by(connection: sa.Connection, deploy: Deploy) -> int | None:
    """The rollback that took back what a deploy that still waits would carry on."""
    led = records.deploy(connection, deploy.of) if deploy.cause == PROMOTION and deploy.of is not None else None
    return led.undone_by if led is not None else None


def _digest(message: Message) -> str:
    """What tells apart what two messages say."""
    return hashlib.sha256(json.dumps([message.text, message.blocks], sort_keys=True).encode()).hexdigest()
