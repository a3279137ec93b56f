"""A run that one replica carries out, and what another one learns of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bot.app import Bot
from bot.deploys.config_file import read_config
from bot.pages import following
from bot.providers import following as workflows
from bot.providers import http
from bot.reporter import RunReporter
from bot.store import logs, runs
from bot.store.engine import Store
from bot.store.wire import Wire
from tests.front.test_log_page import Place as LogPlace
from tests.providers.places import carry_out, in_background, statuses, until
from tests.providers.receiving import answers, receiving
from tests.providers.test_http import waits_for_news
from tests.world import Servers, World
from tests.written import CONFIG

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]


@contextmanager
def another(world: World) -> Iterator[Bot]:
    """A second replica, which has the door to itself; both are on the wire."""
    other = Bot(world.settings, read_config(world.config), Store(world.settings.database_url), world.clock)
    wires = [Wire(bot.store, bot.runner.hear_of) for bot in (world.bot, other)]
    for wire, bot in zip(wires, (world.bot, other), strict=True):
        wire.start()
        bot.store.bell.wait(0, 20)
    world.servers.inside.apps = {"/": other}
    try:
        yield other
    finally:
        for wire in wires:
            wire.stop(5)
        other.close()
        other.store.close()


def test_a_callback_that_another_replica_is_told(
    make_place: Callable[..., World], servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "secret-of-the-hook")
    monkeypatch.setattr(http, "POLL", 600.0)  # it is told, or never learns of it
    with receiving(answers(202)) as receiver:
        provider = {"type": "http", "url": receiver.url, "secret_env": "HOOK_SECRET", "allow_private": True}
        world = make_place(json.dumps(provider), public_url=servers.bot_url)
        with another(world):
            world.say("U0ANA", "/deploy web/topic to production")
            run = in_background(world)
            until(lambda: waits_for_news(world))
            (posted,) = receiver.posted
            assert posted.report(state="success", description="12 pods").status_code == 202
            run.join(20)
            assert not run.is_alive()
            carry_out(world)
            assert statuses(world)[-1] == ("success", "12 pods")


def test_news_of_a_commit_that_another_replica_is_told(make_place: Callable[..., World]) -> None:
    world = make_place('{type: command, run: ["true"], checkout: false}')
    with another(world) as other:
        world.say("U0ANA", "/deploy web/topic to production")
        with world.store.write() as connection:
            run = runs.claim(connection, "this one", world.clock.now())
        assert run is not None
        reporter = RunReporter(world.store, world.clock, run)
        sha = world.github.head("acme/web", "topic")
        world.bot.runner._under_way[run.id] = (run, sha, reporter)
        other.runner.poke("Acme/Web", "0" * 40)
        other.runner.poke("Acme/Web", sha)
        reporter.wait(20)
        assert reporter._noticed == 1, "it was woken by one of them, and not by time"
        assert workflows.POLL < 20


def test_output_that_another_replica_writes(
    make_world: Callable[..., World], servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK", 0.02)
    world = make_world(config=CONFIG, public_url=servers.bot_url)
    place = LogPlace(world)
    with another(world):
        events = place.events()
        assert next(events)[0] == "state"
        with world.store.write() as connection:  # as the reporter of the first does
            logs.append(connection, place.run.log, "one\n", world.clock.now())
        assert next(event for event in events if event[0] == "output")[2]
        place.ends()
        assert [name for name, _, _ in events][-1] == "end"
    place.http.close()
