"""Brings cards up to date. A job says which card; what it shows is read when it is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploys import states
from bot.deploys.clock import Clock
from bot.deploys.model import TEARDOWN, Deploy, Step
from bot.slack.client import SlackClient, SlackRefused
from bot.slack.views import card as views
from bot.slack.views import thread
from bot.slack.views.text import Links
from bot.store import gates, logs, previews, records, runs
from bot.store.engine import Store
from bot.store.jobs import Job

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# What Slack says of a room that the bot can't write to (https://api.slack.com/methods/chat.postMessage#errors).
CLOSED = frozenset(
    "not_in_channel channel_not_found is_archived restricted_action restricted_action_read_only_channel"
    " restricted_action_non_threadable_channel restricted_action_thread_only_channel".split()
)
GONE = frozenset("message_not_found cant_update_message thread_not_found edit_window_closed".split())


FAILED = frozenset({states.FAILURE, states.ERROR})
LAST_LINES = 12  # of a provider's output, in the thread of what failed

Onward = Callable[[sa.Connection, Deploy], Sequence[str]]


class Outbox:
    """Shows deploys in rooms."""

    def __init__(self, store: Store, slack: SlackClient, links: Links, clock: Clock, onward: Onward) -> None:
        """`onward`: where a deploy that is live may go next."""
        self._onward = onward
        self._store = store
        self._slack = slack
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
        channel, ts = self._card(deploy, sight, row)
        if ts:
            self._thread(deploy, row, channel, ts)

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
        )

    def _open_at(self, connection: sa.Connection, deploy: Deploy) -> str:
        """Where a preview is to be seen: also while its next commit is on the way there."""
        if deploy.preview is None or deploy.environment_url or deploy.cause == TEARDOWN:
            return deploy.environment_url
        live = records.live(connection, deploy.app, deploy.environment, whole=True)
        return live.environment_url if live is not None else ""

    def _card(self, deploy: Deploy, sight: views.Sight, row: sa.Row[Any]) -> tuple[str, str]:
        channel: str = row.channel
        ts: str = row.ts
        message = views.card(deploy, self._links, sight, row.detour)
        mark = sight.preview.key if sight.preview is not None else deploy.id
        metadata = {"event_type": views.METADATA, "event_payload": {"id": mark, "number": deploy.number}}
        if ts:
            try:
                self._slack.update(channel, ts, message, metadata=metadata)
                return channel, ts
            except SlackRefused as refused:
                if refused.code not in GONE | CLOSED:
                    raise
                log.info("card_gone", code=refused.code)
                self._remember(deploy, row.room, ts="")  # so that a post without an answer is looked for
        elif row.tries:
            begun = sight.preview.heard_at if sight.preview is not None else deploy.asked_at
            ts = self._posted_already(mark, begun, channel)
            if ts:
                self._remember(deploy, row.room, ts=ts, channel=channel)
                self._slack.update(channel, ts, message, metadata=metadata)
                return channel, ts
        self._remember(deploy, row.room, tries=row.tries + 1)
        try:
            channel, ts = self._slack.post(channel, message, metadata=metadata)
        except SlackRefused as refused:
            if refused.code not in CLOSED:
                raise
            log.warning("room_closed", code=refused.code)
            if row.detour or not deploy.ours or row.room != deploy.room or not deploy.user_id:
                return channel, ""  # nobody here asked for it, so nobody is told
            # The person who asked is told where they can be: in a conversation with the bot.
            channel = self._slack.direct_message(deploy.user_id)
            self._remember(deploy, row.room, channel=channel, detour=refused.code)
            message = views.card(deploy, self._links, sight, refused.code)
            channel, ts = self._slack.post(channel, message, metadata=metadata)
        self._remember(deploy, row.room, ts=ts, channel=channel)
        return channel, ts

    def _posted_already(self, mark: str, begun: datetime, channel: str) -> str:
        """The ts of a card whose posting was begun, not before that moment, and whose answer never came."""
        since = begun - timedelta(minutes=5)  # clocks differ
        try:
            return self._slack.find(channel, since, views.METADATA, "id", mark)
        except SlackRefused as refused:
            log.info("card_not_looked_for", code=refused.code)  # a second card is better than none
            return ""

    def _thread(self, deploy: Deploy, row: sa.Row[Any], channel: str, ts: str) -> None:
        with self._store.read() as connection:
            steps = records.steps(connection, deploy.number, after=row.told)
            printed = self._printed(connection, deploy, steps)
        for step in steps:
            message = thread.line(deploy, step, row.room, printed.get(step.id, ""))
            if message is None:
                continue
            try:
                self._slack.post(channel, message, thread=ts)
            except SlackRefused as refused:
                if refused.code not in GONE | CLOSED:
                    raise
                log.warning("thread_closed", code=refused.code)  # the card says how it stands; the rest may come later
                return
            self._remember(deploy, row.room, told=step.id)

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
