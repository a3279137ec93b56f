"""What front-door tests look at: the last thing the bot said, and what GitHub was asked."""

from __future__ import annotations

import copy
import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bot.playground.github import Delivery
from bot.playground.slack import SimulatedSlack
from bot.playground.slack_state import Message
from tests.world import WEBHOOK_SECRET, World


def ask(world: World, text: str, person: str = "U0ANA", room: str = "C0OPS") -> str:
    """Somebody says something; returns the newest message of the bot as that person sees it."""
    world.say(person, text, room)
    return newest(world, world.slack.direct_room(person) if room == "dm" else room)


def newest(world: World, room: str = "C0OPS") -> str:
    """The newest message of the bot in a room, a reply in a thread or one to a single person too."""
    mine = [message for message in world.slack.messages(room) if message.user == world.slack.bot_user_id]
    return world.slack.text_of(mine[-1])


def posted(slack: SimulatedSlack, room: str = "C0OPS") -> list[Message]:
    """The messages in a room that show something and are kept current: cards, and reviews."""
    kinds = ("shipbot_deploy", "shipbot_review")
    return [each for each in slack.messages(room) if (each.metadata or {}).get("event_type") in kinds]


def cards(world: World, room: str = "C0OPS") -> list[str]:
    """The cards in a room, as text, oldest first."""
    return [world.slack.text_of(message) for message in posted(world.slack, room)]


def thread(world: World, room: str = "C0OPS") -> list[str]:
    """All lines in threads of a room, as text."""
    return [world.slack.text_of(message) for message in world.slack.messages(room) if message.is_reply]


def writes(world: World, path: str = "/deployments") -> list[Any]:
    """The bodies of the bot's POSTs to GitHub whose path ends so."""
    return [asked.json for asked in world.github.requests if asked.method == "POST" and asked.path.endswith(path)]


def calls(world: World, method: str) -> int:
    """How often the bot called a method of Slack's."""
    return sum(call.method == method for call in world.slack.calls)


def deliver_altered(world: World, delivery: Delivery, change: Callable[[Any], None]) -> list[int]:
    """Delivers a webhook once more, as another event of its own: its payload changed, its signature good."""
    payload = copy.deepcopy(delivery.payload)
    change(payload)
    body = json.dumps(payload).encode()
    signature = hmac.new(WEBHOOK_SECRET.encode(), body, "sha256").hexdigest()
    headers = delivery.headers | {
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    statuses = world.github.deliver(replace(delivery, payload=payload, body=body, headers=headers))
    world.github.deliveries.pop()  # it is not one of GitHub's
    world.settle()
    return statuses
