"""People of other companies, with whom a room may be shared (Slack Connect). They can mention the bot there and press
buttons; what they may, the config must say by their names.

https://docs.slack.dev/apis/slack-connect
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from bot.deploys.errors import Stranger
from bot.service.configured import Configured
from bot.slack.answers import Answers
from bot.slack.clicks import LINK
from bot.slack.client import SlackClient
from bot.slack.said import said_by
from bot.slack.views import replies
from bot.store.jobs import Job

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Strangers:
    """Turns them away. Raises TryLater while Slack can't be asked."""

    def __init__(self, slack: SlackClient, answers: Answers, configured: Configured) -> None:
        self._slack = slack
        self._answers = answers
        self._configured = configured

    def turned_away(self, job: Job) -> bool:
        """Whether a request came from one whom the config does not name; they are told so."""
        body = job.json()
        theirs, ours = _workspaces(body)
        if not theirs or not ours or theirs == ours:
            return False
        said = said_by(job)
        opens = any(str(action.get("action_id", "")).startswith(LINK) for action in body.get("actions", ()))
        if said is None or opens or self._configured.config.names(said.asker.id):
            return False
        if not self._slack.is_stranger(said.asker.id):
            return False
        log.info("stranger", workspace=theirs)
        self._answers.alone(said, replies.problem(Stranger()))
        return True


def _workspaces(body: Mapping[str, Any]) -> tuple[str, str]:
    """Of whoever did something, and of the bot; '' where Slack does not say. Commands are taken only from people of a
    workspace that has the app."""
    if event := body.get("event"):
        granted = body.get("authorizations") or [{}]
        return (
            str(event.get("user_team") or event.get("team") or ""),
            str(granted[0].get("team_id") or body.get("team_id") or ""),
        )
    return str((body.get("user") or {}).get("team_id") or ""), str((body.get("team") or {}).get("id") or "")
