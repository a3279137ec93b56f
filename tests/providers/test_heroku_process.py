"""A real `serve` that is killed and stopped while Heroku builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.playground.heroku import SimulatedHeroku
from tests.core.running import Running
from tests.providers.test_process import Place, hasten
from tests.world import Servers

pytestmark = pytest.mark.slow

CONFIG = """
apps:
  web:
    repository: acme/web
    environments:
      production:
        provider: {type: heroku, app: web-prod}
"""
TOKEN = "HRKU-secret-of-heroku"


class OnHeroku(Place):
    """A bot whose production is an app at Heroku, with a deploy asked for."""

    def __init__(self, servers: Servers, folder: Path, database_url: str) -> None:
        address = f"{servers.outside_url}/heroku"
        self.bot = Running(servers, database_url, folder, HEROKU_API_KEY=TOKEN, HEROKU_API_URL=address)
        self.database_url = database_url
        self.heroku = SimulatedHeroku(token=TOKEN)
        self.heroku.url = address
        servers.outside.apps["/heroku"] = self.heroku.asgi
        self.app = self.heroku.add_app("web-prod")
        self.heroku.will("web-prod", release_output=b"migrating\n", held=frozenset({"build", "release"}))
        (folder / "shipbot.yml").write_text(CONFIG)

    def begin(self) -> None:
        self.bot.start()
        assert self.bot.slack.command("U0ANA", "C0OPS", "web/topic to production").ok

    def die(self) -> None:
        """kill -9; then another process takes over."""
        self.bot.kill()
        self.claims_end()
        self.bot.start()
        if self.database_url.startswith("sqlite"):
            hasten(self)


def test_killed_three_times_it_is_built_once(servers: Servers, database_url: str, tmp_path: Path) -> None:
    place = OnHeroku(servers, tmp_path, database_url)
    place.heroku.fail("POST", "/apps/web-prod/builds", drop="after")
    try:
        place.begin()
        place.bot.until(lambda: len(place.app.builds) == 1)  # and it has not heard of it
        place.die()
        place.bot.until(lambda: "Launching" in place.output())
        place.die()
        place.heroku.let_go("web-prod", "build")
        place.bot.until(lambda: "migrating" in place.output())
        place.die()
        place.heroku.let_go("web-prod", "release")
        place.ends("success")
        assert place.statuses()[-1] == ("success", "v2 is live with 1 dyno")
        assert len(place.app.builds) == 1
        assert len(place.app.releases) == 2
        place.bot.until(lambda: ":large_green_circle: *web* to *production*" in place.bot.room())
        assert place.bot.stop() == 0
        assert TOKEN not in place.bot.log.read_text()
    finally:
        place.bot.kill()


def test_stopped_while_heroku_builds(servers: Servers, database_url: str, tmp_path: Path) -> None:
    place = OnHeroku(servers, tmp_path, database_url)
    try:
        place.begin()
        place.bot.until(lambda: len(place.app.builds) == 1)
        place.bot.until(lambda: "Launching" in place.output())
        assert place.bot.stop() == 0  # within ten seconds, though the stream is silent
        assert "[the bot was stopped; another goes on with it]" in place.output()
        place.heroku.let_go("web-prod", "build")
        place.heroku.let_go("web-prod", "release")
        place.bot.start()
        place.ends("success")
        assert len(place.app.builds) == 1
        assert place.output().count("Launching") == 1
        assert place.bot.stop() == 0
    finally:
        place.bot.kill()
