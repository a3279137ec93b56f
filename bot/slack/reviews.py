"""Shows in rooms what GitHub asks of its own reviewers. A job says which review; how it stands is read then."""

from __future__ import annotations

from datetime import timedelta

import structlog

from bot.slack.client import SlackClient, SlackRefused
from bot.slack.outbox import CLOSED, GONE
from bot.slack.views import reviews as views
from bot.slack.views.text import Links
from bot.store import protections
from bot.store.engine import Store
from bot.store.jobs import Job
from bot.store.protections import Post, Review

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Reviews:
    """One message for each review in each room, edited when it is answered."""

    def __init__(self, store: Store, slack: SlackClient, links: Links) -> None:
        self._store = store
        self._slack = slack
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
        metadata = {"event_type": views.METADATA, "event_payload": {"id": str(review.id)}}
        ts = post.ts or (self._posted_already(review, post) if post.tries else "")
        if ts:
            self._remember(review, room, ts=ts)
            try:
                self._slack.update(post.channel, ts, message, metadata=metadata)
            except SlackRefused as refused:
                if refused.code not in GONE | CLOSED:
                    raise
                log.info("review_gone", code=refused.code, room=room)  # what was taken away is not said again
            return
        self._remember(review, room, tries=post.tries + 1)
        try:
            channel, ts = self._slack.post(post.channel, message, metadata=metadata)
        except SlackRefused as refused:
            if refused.code not in CLOSED:
                raise
            log.warning("room_closed", code=refused.code, room=room)
            return
        self._remember(review, room, ts=ts, channel=channel)

    def _posted_already(self, review: Review, post: Post) -> str:
        """The ts of a message whose posting was begun and whose answer never came."""
        since = review.at - timedelta(minutes=5)  # clocks differ
        try:
            return self._slack.find(post.channel, since, views.METADATA, "id", str(review.id))
        except SlackRefused as refused:
            log.info("review_not_looked_for", code=refused.code)
            return ""

    def _remember(self, review: Review, room: str, **values: object) -> None:
        with self._store.write() as connection:
            protections.update_post(connection, review.id, room, **values)
