"""The home tab: what waits for a person, what is live, locked and frozen.

https://docs.slack.dev/surfaces/app-home
"""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import Any

from bot.deploys import states
from bot.deploys.model import Deploy
from bot.reader import Overview
from bot.slack.views import card, holds, replies
from bot.slack.views.text import Block, Links, Message, actions, button, context, count, plain, quoted, section

DEPLOY = "home_deploy"

# Slack lets 100 blocks into a view. Each list takes two of them for every item at most, and two more.
TO_APPROVE, MINE, APPS, HOLDS = 10, 10, 15, 8


def home(seen: Overview, links: Links, now: datetime) -> dict[str, Any]:
    """What one person sees there."""
    blocks: list[Block] = []
    if seen.places:
        blocks.append(actions(button(DEPLOY, "Deploy…", "form", style="primary")))
    else:
        blocks.append(section("I know no app that may be deployed from a room you are in."))
    blocks += _to_approve(seen, links, now) + _mine(seen, links, now) + _live(seen, links) + _holds(seen, now)
    return {"type": "home", "callback_id": "home", "blocks": blocks}


def _to_approve(seen: Overview, links: Links, now: datetime) -> list[Block]:
    blocks = [_header("Waits for you")]
    for deploy in seen.to_approve[:TO_APPROVE]:
        number = str(deploy.number)
        approve = button(card.APPROVE, "Approve", number, style="primary")
        blocks += [_line(deploy, links, now), actions(approve, button(card.REJECT, "Reject", number))]
    if not seen.to_approve:
        blocks.append(context("Nothing waits for your approval."))
    return blocks + _more(len(seen.to_approve) - TO_APPROVE)


def _mine(seen: Overview, links: Links, now: datetime) -> list[Block]:
    if not seen.mine:
        return []
    blocks = [_header("Yours")]
    for deploy in seen.mine[:MINE]:
        line = _line(deploy, links, now)
        sure = f"Take back #{deploy.number}? Whoever deploys is told to stop." if deploy.state != states.HELD else ""
        style = "danger" if sure else ""
        line["accessory"] = button(card.CANCEL, "Cancel", str(deploy.number), style=style, confirm=sure)
        blocks.append(line)
    return blocks + _more(len(seen.mine) - MINE)


def _live(seen: Overview, links: Links) -> list[Block]:
    apps = [list(places) for _, places in groupby(seen.places, key=lambda place: place.app)]
    if not apps:
        return []
    blocks = [_header("Live")]
    for places in apps[:APPS]:
        # An app with so many environments that they fill more than one block is cut, and counted.
        first, *more = replies.where(places, links, seen.previews.get(places[0].app, ())).blocks
        blocks += [first, *([context(f"`/deploy where {places[0].app}` lists them all")] if more else [])]
    return blocks + _more(len(apps) - APPS, "app")


def _holds(seen: Overview, now: datetime) -> list[Block]:
    shown = holds.listed_holds(seen.locks[:HOLDS], seen.freezes[:HOLDS], now).blocks
    blocks = [_header("Locks and freezes"), *shown]
    return blocks + _more(max(0, len(seen.locks) - HOLDS) + max(0, len(seen.freezes) - HOLDS))


def _line(deploy: Deploy, links: Links, now: datetime) -> Block:
    """What it is and how it stands, as its card has it."""
    lines = [block["text"]["text"] for block in card.card(deploy, links, card.Sight(now=now)).blocks[:2]]
    if deploy.reason:
        lines.append(quoted(deploy.reason))
    return section("\n".join(lines))


def _more(left: int, thing: str = "") -> list[Block]:
    """How many found no room."""
    if left <= 0:
        return []
    return [context(f"and {count(left, f'more {thing}') if thing else f'{left} more'}")]


def _header(words: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": words}}


def not_opened() -> Message:
    """To the person: the form did not open."""
    words = "Slack did not let me open the form any more. Press it again, or type `/deploy APP to ENV` in a room."
    return Message(plain(words), [section(words)])
