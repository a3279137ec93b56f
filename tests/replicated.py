"""A world with two replicas of the bot, for tests that would not notice if there were one."""

from __future__ import annotations

import itertools
import textwrap

from bot.app import Bot
from bot.deploys.config_file import read_config
from bot.store.engine import Store
from bot.web import Receive, Scope, Send
from tests.world import World


class Turns:
    """An ASGI application that hands each request to the next of several bots."""

    def __init__(self, *bots: Bot) -> None:
        self._next = itertools.cycle(bots)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await next(self._next)(scope, receive, send)


class Replicated(World):
    """Two bots with nothing in common but a PostgreSQL: what comes in goes to them in turns, and job by job they take
    turns at what is due. `bot` is the first of them."""

    other: Bot

    def settle(self) -> None:
        _come_to_rest(self.other, self.bot)

    def restart(self) -> None:
        self._stop_the_other()
        super().restart()

    def close(self) -> None:
        self._stop_the_other()
        super().close()

    def _stop_the_other(self) -> None:
        self.other.close()
        self.other.store.close()

    def _start(self) -> Bot:
        config = textwrap.dedent(self.config)
        stores = self.store, Store(self.settings.database_url)
        made = [Bot(self.settings, read_config(config), store, self.clock) for store in stores]
        first, self.other = made
        self.servers.inside.apps = {"/": Turns(*made)}
        for bot in made:
            bot.service.start()
        _come_to_rest(first, self.other)
        return first


def _come_to_rest(*bots: Bot) -> None:
    idle = 0
    for turn in range(2000):
        idle = 0 if bots[turn % 2].workers.step() else idle + 1
        if idle == 2:
            return
    raise AssertionError("the bots do not come to rest")
