"""The words for reviews that GitHub asks of its own reviewers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack.views.text import (
    Block,
    Links,
    Message,
    aloud,
    code,
    flat,
    is_address,
    link_button,
    listed,
    name,
    person,
    plain_context,
    quoted,
    section,
)

METADATA = "shipbot_review"  # the event type under which a message carries its review's id

_ANSWERS = {"approved": (":white_check_mark:", "approved it"), "rejected": (":no_entry:", "rejected it")}
_MOST = 10  # reviewers named one by one


def review(
    app: str,
    environment: str,
    repository: str,
    asked: Mapping[str, Any],
    answered: Mapping[str, Any] | None,
    links: Links,
) -> Message:
    """Who asks whom at GitHub to let what where, and what came of it."""
    sha = f" at {links.commit(repository, asked['sha'])}" if asked["sha"] else ""
    ref = f" · {code(asked['ref'])}{sha}" if asked["ref"] else ""
    who = person(asked["user_id"], asked["login"])
    whom = [code(reviewer, 60) for reviewer in asked["reviewers"][:_MOST]]
    if len(asked["reviewers"]) > _MOST:
        whom.append(f"{len(asked['reviewers']) - _MOST} more")
    place = f"{name(app)} to {name(environment)}{ref}"
    ask = f"{place}: GitHub asks {listed(whom, 'or') or 'somebody'} to review it, for {who}"
    if answered is None:
        return _message(f":eyes: {ask}", asked, button="Review at GitHub")
    sign, did = _ANSWERS.get(answered["state"], (":grey_question:", f"answered {code(answered['state'])}"))
    comment = f": {quoted(answered['comment'])}" if answered["comment"] else ""
    by = person(answered["user_id"], answered["login"])
    return _message(f"{sign} {by} {did} at GitHub{comment}\n{ask}", asked, button="See the run")


def _message(text: str, asked: Mapping[str, Any], *, button: str) -> Message:
    blocks: list[Block] = [section(text)]
    if asked["title"]:
        blocks.append(plain_context(flat(asked["title"], 150)))
    if is_address(asked["url"]):
        blocks.append({"type": "actions", "elements": [link_button("link_review", button, asked["url"])]})
    return aloud(blocks)
