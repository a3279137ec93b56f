"""A real `serve` that is killed while somebody else carries a deployment out for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.store.engine import Store
from bot.store.schema import jobs, runs
from tests.core.running import Running
from tests.providers.places import output
from tests.providers.receiving import SECRET, Slow, answers, call_back, receiving
from tests.world import Servers

pytestmark = pytest.mark.slow

CONFIG = """
apps:
  web:
    repository: acme/web
    environments:
      production:
        provider: {provider}
"""
WORKFLOW = "on:\n  workflow_dispatch:\njobs: {}\n"


class Place:
    """A bot that is killed as often as a test wants."""

    def __init__(self, bot: Running, database_url: str, provider: str) -> None:
        self.bot = bot
        self.database_url = database_url
        (bot.home / "shipbot.yml").write_text(CONFIG.format(provider=provider))

    def deploy(self) -> None:
        self.bot.start()
        assert self.bot.slack.command("U0ANA", "C0OPS", "web/topic to production").ok

    def killed(self) -> None:
        """Dies without a word, and another one starts; what it had claimed is up for it at once."""
        self.bot.kill()
        self._change(sa.update(runs).where(runs.c.state == "running").values(lease_until=runs.c.created_at))
        self._change(sa.update(jobs).where(jobs.c.state == "running").values(lease_until=jobs.c.created_at))
        self.bot.start()
        self._change(sa.update(runs).where(runs.c.state == "ready").values(run_at=runs.c.created_at))

    def output(self) -> str:
        store = Store(self.database_url)
        try:
            return output(store)
        finally:
            store.close()

    def ends(self, state: str) -> None:
        """GitHub tells the bot what it was told, until the card shows how it ended."""
        number = self.bot.github.deployments("acme/web")[0]["id"]

        def ended() -> bool:
            self.bot.github.deliver()
            return self.bot.github.statuses("acme/web", number)[0]["state"] == state

        self.bot.until(ended)
        self.bot.github.deliver()
        self.bot.until(lambda: ":large_green_circle: *web* to *production*" in self.bot.room())
        told = [one["state"] for one in reversed(self.bot.github.statuses("acme/web", number))]
        assert list(dict.fromkeys(told)) == ["queued", "in_progress", state]

    def _change(self, statement: sa.Update) -> None:
        store = Store(self.database_url)
        with store.write() as connection:
            connection.execute(statement)
        store.close()


@pytest.fixture
def make(servers: Servers, database_url: str, tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    made: list[Running] = []

    def place(provider: str) -> Place:
        bot = Running(servers, database_url, tmp_path, HOOK_SECRET=SECRET)
        bot.environment["PUBLIC_URL"] = bot.url
        made.append(bot)
        return Place(bot, database_url, provider)

    yield place
    for bot in made:
        bot.kill()


def test_http_killed_while_it_posts_and_while_it_waits(make: Callable[[str], Place]) -> None:
    slow = Slow(answers(202))
    with receiving(slow, answers(202)) as receiver:
        place = make(f'{{type: http, url: "{receiver.url}", secret_env: HOOK_SECRET, allow_private: true}}')
        place.deploy()
        place.bot.until(slow.asked.is_set)
        place.killed()  # nobody knows whether that one arrived
        slow.go.set()
        place.bot.until(lambda: "HTTP 202" in place.output())
        first, second = receiver.posted
        assert first.json["delivery"] == second.json["delivery"]
        assert first.json["callback"] == second.json["callback"]
        callback = second.json["callback"]
        assert call_back(callback["url"], callback["token"], {"state": "in_progress", "description": "on"}).is_success
        place.bot.until(lambda: "in_progress: on\n" in place.output())
        place.killed()
        place.bot.until(lambda: place.output().count("in_progress: on\n") == 2)
        assert call_back(callback["url"], callback["token"], {"state": "success"}).is_success
        place.ends("success")
        assert call_back(callback["url"], callback["token"], {"state": "failure"}).status_code == 410
        assert len(receiver.posted) == 2


def test_actions_killed_twice(make: Callable[[str], Place]) -> None:
    place = make("{type: actions, workflow: deploy.yml}")
    for branch in ("main", "topic"):
        place.bot.github.add_file("acme/web", ".github/workflows/deploy.yml", WORKFLOW, branch=branch)
    place.deploy()
    place.bot.until(lambda: bool(place.bot.github.runs_of("acme/web")))
    place.killed()  # about when it hears which run that is
    place.bot.until(lambda: "queued\n" in place.output())
    seen = place.output().count("queued\n")
    place.killed()
    place.bot.until(lambda: place.output().count("queued\n") > seen)
    (run,) = place.bot.github.runs_of("acme/web")
    assert run.conclusion is None
    place.bot.github.finish_run("acme/web", run.id)
    place.ends("success")
    asked = [one for one in place.bot.github.requests if one.path.endswith("/dispatches")]
    assert len(asked) == len(place.bot.github.runs_of("acme/web")) == 1
