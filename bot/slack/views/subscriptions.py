"""The words about what a room hears of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bot.deploys.model import Asker, Subscription
from bot.service.subscribing import Subscribed
from bot.slack.views.text import Message, aloud, code, context, listed, name, person, plain, room, scope, section


def subscribed(made: Subscribed, by: Asker, *, unheard: bool = False) -> Message:
    """To the room: what it hears of from now on. `unheard`: to the person, since the bot can't write there."""
    told = made.subscription
    words = f":bell: {person(by.id, by.name)} subscribed {_here(told.room)} to {subscription(told)}"
    more = []
    if made.before is not None and made.before.states != told.states:
        more.append(context(f"Until now it was {_on(made.before.states)}"))
    if unheard:
        more.append(context("I can't write here yet: `/invite` me, and what comes after that will be shown"))
    return aloud([section(words), *more])


def unsubscribed(ended: Sequence[Subscription], by: Asker) -> Message:
    """To the room: what it hears of no more."""
    what = listed([subscription(one) for one in ended])
    words = f":no_bell: {person(by.id, by.name)} unsubscribed {_here(ended[0].room)} from {what}"
    return Message(plain(words), [section(words)])


def subscription(told: Subscription) -> str:
    """One subscription in the middle of a sentence."""
    return _line(told.app, told.environment, told.states)


def _line(app: str, environment: str | None, states: Sequence[str]) -> str:
    return f"{scope(app, environment)} {_on(states)}"


def _on(states: Sequence[str]) -> str:
    return f"on {listed([code(state) for state in states])}" if states else "on every state"


def _here(where: str) -> str:
    return "our conversation" if where.startswith("D") else "this room"


def _unknown_state(facts: Mapping[str, Any]) -> str:
    if facts["environment"]:
        command = f"/deploy subscribe {facts['app']} in {facts['environment']}"
        return (
            f"{code(facts['name'])} is no state but an environment of {name(facts['app'])}: {code(command, 200)} "
            "subscribes to it. Behind `on` come states, such as `success,failure`."
        )
    known = ", ".join(code(state) for state in facts["known"])
    near = listed([code(state) for state in facts["near"]], "or")
    hint = f"Did you mean {near}?" if near else f"There are {known}."
    return f"A deploy has no state {code(facts['name'])}. {hint}"


def _not_told_here(facts: Mapping[str, Any]) -> str:
    rooms = listed([room(item) for item in facts["rooms"]])
    return (
        f"{name(facts['app'])} is spoken of in {rooms} alone, so nobody can subscribe here. Whoever runs me can add "
        "this room to its `rooms`, or under its `announce`, in my config."
    )


def _not_subscribed(facts: Mapping[str, Any]) -> str:
    what = scope(facts["app"], facts["environment"] or None)
    if not facts["here"]:
        return f"Nobody has subscribed to {what} here. `/deploy subscribe …` would; `/deploy apps` lists what there is."
    here = [_line(one["app"], one["environment"], one["states"]) for one in facts["here"]]
    return f"Nobody has subscribed to {what} here, but to {listed(here)}."


ERRORS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "UnknownState": _unknown_state,
    "NotToldHere": _not_told_here,
    "NotSubscribed": _not_subscribed,
}
