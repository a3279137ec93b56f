"""A log that a test writes in the place of a provider."""

from __future__ import annotations

import sqlalchemy as sa

from bot.store import logs, runs
from bot.store.schema import runs as table
from tests.world import World

CONFIG = """
apps:
  web:
    repository: acme/web
    environments:
      production: {provider: {type: command, run: ["true"], checkout: false}}
"""
PIECE = 65_536  # characters that are stored at once


class WrittenLog:
    """The log of a deploy whose run waits. The world is one of CONFIG, and its bot knows its public address."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.say("U0ANA", "/deploy web/topic to production")
        world.deliver()
        with world.store.read() as connection:
            run = runs.of_deploy(connection, 1)
        assert run is not None
        self.run = run
        self.url = run.log_url

    def prints(self, text: str) -> None:
        with self.world.store.write() as connection:
            for at in range(0, len(text), PIECE):
                logs.append(connection, self.run.log, text[at : at + PIECE], self.world.clock.now())

    def ends(self, outcome: str = "success") -> None:
        with self.world.store.write() as connection:
            now = self.world.clock.now()
            ended = {"state": "done", "outcome": outcome, "finished_at": now}
            connection.execute(sa.update(table).where(table.c.id == self.run.id).values(ended))
            logs.end(connection, self.run.log, now)
