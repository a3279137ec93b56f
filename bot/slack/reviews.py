"""Shows in rooms what GitHub asks of its own reviewers. A job says which review; how it stands is read then."""

from __future__ import annotations

import sqlalchemy as sa
import structlog

from bot.slack.client import SlackRefused
from bot.slack.sender import CLOSED, GONE, Mark, Sender, Sent
from bot.slack.views import reviews as views
from bot.slack.views.text import Links
from bot.store import protections
from bot.store.engine import Store
from bot.store.jobs import Job

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Reviews:
    """One message for each review in each room, edited when it is answered."""

    def __init__(self, store: Store, sender: Sender, links: Links) -> None:
        self._store = store
        self._sender = sender
        self._links = links

    def show(self, job: Job) -> None:
        """Posts or updates one message. Each step is stored, so that a second run goes on where the first ended."""
        data = job.json()
        number, room = data["review"], data["room"]
        with self._store.read() as connection:
            review = protections.review(connection, number)
            post = protections.post(connection, number, room)
        if review is None or post is None or review.asked is None:
            return
        message = views.review(
            review.app, review.environment, review.repository, review.asked, review.answered, self._links
        )
        mark = Mark(views.METADATA, str(review.id))
        where = Sent(post.channel, post.ts, anew=False)
        if not post.ts:

            def keep(connection: sa.Connection, channel: str, ts: str) -> None:
                protections.update_post(connection, number, room, channel=channel, ts=ts)

            try:
                where = self._sender.post(post.channel, message, mark, keep=keep)
            except SlackRefused as refused:
                if refused.code not in CLOSED:
                    raise
                log.warning("room_closed", code=refused.code, room=room)
                return
        if where.anew:
            return
        try:
            self._sender.update(where.channel, where.ts, message, mark)
        except SlackRefused as refused:
            if refused.code not in GONE | CLOSED:
                raise
            log.info("review_gone", code=refused.code, room=room)  # what was taken away is not said again
