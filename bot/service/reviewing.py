"""Reviews that GitHub asks of its own reviewers: rooms hear of them, GitHub decides."""

from __future__ import annotations

from typing import Any

from bot.deploys.events import ReviewChanged
from bot.service.core import REVIEW, Core
from bot.store import jobs, protections

REQUESTED = "requested"


class Reviewing(Core):
    """What is heard of reviews. The message of each is brought up to date by the outbox, as a card is."""

    def _heard_review(self, event: ReviewChanged) -> None:
        """Shows a review in the rooms that are told of its environment. Events may come twice and in any order."""
        repository = self._spelling(event.repository)
        told: dict[str, Any] = {
            "state": event.state,
            "url": event.url,
            "title": event.title,
            "ref": event.ref,
            "sha": event.sha,
            "login": event.login,
            "user_id": self.people.asker_of(event.login).id,
            "reviewers": list(event.reviewers),
            "comment": event.comment,
        }
        what = "asked" if event.state == REQUESTED else "answered"
        for environment in event.environments:
            name = self.config.apps_for(repository, environment)
            if name is None:
                continue
            key = {
                "repository": repository,
                "run": event.run,
                "attempt": event.attempt,
                "environment": environment,
            }
            now = self._clock.now()
            with self._store.write() as connection:
                review = protections.add_review(connection, name, key, now, **{what: told})
                if what == "asked":
                    rooms = [one.room for one in self._announcements(connection, name) if one.covers(environment)]
                    protections.add_posts(connection, review.id, rooms)
                for room in protections.post_rooms(connection, review.id):
                    data = {"review": review.id, "room": room}
                    jobs.add(connection, jobs.new_job(REVIEW, data, subject=f"review:{review.id}:{room}"), now)
