"""Subscriptions: how a room comes to hear of an app without being in the config."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.deploys import states
from bot.deploys.errors import NotSubscribed, NotToldHere, UnknownApp, UnknownEnvironment, UnknownState, WrongRoom
from bot.deploys.model import Asker, Subscription
from bot.deploys.nearest import nearest
from bot.service.core import Core
from bot.store import subscriptions

KNOWN = sorted(states.REPORTED | states.OURS)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription that was made, and the one that it replaced."""

    subscription: Subscription
    before: Subscription | None = None


class Subscribing(Core):
    """The verbs `subscribe` and `unsubscribe`."""

    def subscribe(self, target: str, environment: str | None, wanted: str, asker: Asker, *, room: str) -> Subscribed:
        """The room hears of the app from now on; said again for the same app and environment, it is replaced.

        `wanted` are states as people type them, with commas or blanks between; '' for every one. Raises UnknownApp,
        UnknownEnvironment, UnknownState, and NotToldHere where the app is not to be spoken of.
        """
        name, _ = self.config.app(target)
        try:
            self.config.check_room(name, room)
        except WrongRoom as error:
            raise NotToldHere(name, error.rooms) from None
        place = self.config.environment(name, environment)[0] if environment else None
        told = Subscription(room, name, place, self._states(name, wanted), asker.id, self._clock.now())
        with self._store.write() as connection:
            before = [one for one in subscriptions.of_room(connection, room) if one.covers_same(told)]
            subscriptions.subscribe(connection, told)
        return Subscribed(told, before[0] if before else None)

    def unsubscribe(
        self, target: str, environment: str | None, asker: Asker, *, room: str, source: str
    ) -> Sequence[Subscription]:
        """The room hears of it no more; without an environment, of nothing of that app. Returns what it had, also when
        `source` comes again.

        What is gone from the config can be left, too. Raises UnknownApp, UnknownEnvironment and NotSubscribed.
        """
        if (done := self._done(source)) is not None:
            now = self._clock.now()
            return [
                Subscription(room, one["app"], one["environment"], tuple(one["states"]), asker.id, now) for one in done
            ]
        with self._store.write() as connection:
            here = subscriptions.of_room(connection, room)
            name = _same(target, [one.app for one in here]) or self._known_app(target, here)
            of_app = [one for one in here if one.app == name]
            ended, place = of_app, ""
            if environment:
                places = [one.environment for one in of_app if one.environment]
                place = _same(environment, places) or self._known_environment(name, environment, of_app)
                ended = [one for one in of_app if one.environment == place]
            if not ended:
                raise NotSubscribed(name, place, [one.as_json() for one in of_app or here])
            for one in ended:
                subscriptions.unsubscribe(connection, one)
            self._does(connection, source, [one.as_json() for one in ended])
        return ended

    def _known_app(self, target: str, here: Sequence[Subscription]) -> str:
        try:
            return self.config.app(target)[0]
        except UnknownApp:
            if not here:
                raise
            raise NotSubscribed(target, "", [one.as_json() for one in here]) from None

    def _known_environment(self, app: str, typed: str, here: Sequence[Subscription]) -> str:
        try:
            return self.config.environment(app, typed)[0]
        except (UnknownEnvironment, KeyError):  # of an app, too, that was taken out of the config
            if not here:
                raise
            raise NotSubscribed(app, typed, [one.as_json() for one in here]) from None

    def _states(self, app: str, typed: str) -> tuple[str, ...]:
        """States by GitHub's names and ours, in any case and each once; raises UnknownState."""
        found: dict[str, None] = {}
        for word in re.split(r"[\s,]+", typed.strip(" ,")):
            state = word.casefold().replace("-", "_")
            if state in KNOWN:
                found[state] = None
            elif word and state != "and":
                raise UnknownState(word, nearest(state, KNOWN), KNOWN, app, self._meant(app, word))
        return tuple(found)

    def _meant(self, app: str, word: str) -> str:
        """The environment of that name, for those who say `on production`; '' when there is none."""
        try:
            return self.config.environment(app, word)[0]
        except UnknownEnvironment:
            return ""


def _same(typed: str, names: Sequence[str]) -> str | None:
    """The name that was typed, in whatever case."""
    return next((name for name in names if name.casefold() == typed.casefold()), None)
