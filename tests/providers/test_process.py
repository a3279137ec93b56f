"""A real `serve` that is killed and stopped while a provider of its works."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.store.engine import Store
from bot.store.schema import jobs
from bot.store.schema import runs as table
from tests.core.running import Running
from tests.providers.places import alive, output, program, until
from tests.world import Servers

pytestmark = pytest.mark.slow

CONFIG = """
apps:
  web:
    repository: acme/web
    environments:
      production:
        provider: {{type: command, run: [{program}], checkout: false, rerun: {rerun}}}
"""
# Counts its attempts; the first ones go on until they are ended, and do not care for TERM where they are stubborn.
PROGRAM = """#!/usr/bin/env python3
import os, signal, subprocess, sys, time
if {stubborn}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open({attempts!r}, "a+") as file:
    file.write(os.environ["SHIPBOT_SHA"] + "\\n")
    file.seek(0)
    attempt = len(file.readlines())
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print("pids", os.getpid(), child.pid, os.getppid(), flush=True)
if attempt < 3:
    time.sleep(600)
print("done", flush=True)
"""


class Place:
    """A bot whose production runs that program."""

    def __init__(self, bot: Running, folder: Path, database_url: str, *, rerun: bool, stubborn: bool = False) -> None:
        self.bot = bot
        self.database_url = database_url
        self.attempts = folder / "attempts"
        path = program(folder, PROGRAM.format(stubborn=stubborn, attempts=str(self.attempts)))
        (folder / "shipbot.yml").write_text(CONFIG.format(program=path, rerun=str(rerun).lower()))

    def output(self) -> str:
        store = Store(self.database_url)
        try:
            return output(store)
        finally:
            store.close()

    def begun(self, attempt: int) -> list[int]:
        """Waits until that attempt is under way; the processes of it: the program, its child, the one between."""
        self.bot.until(lambda: self.attempts.exists() and len(self.attempts.read_text().split()) == attempt)
        self.bot.until(lambda: self.output().count("pids") == attempt)
        found = re.findall(r"pids (\d+) (\d+) (\d+)\n", self.output())
        return [int(pid) for pid in found[-1]]

    def claims_end(self) -> None:
        """What the process that died had claimed may be taken by another, and at once."""
        store = Store(self.database_url)
        with store.write() as connection:
            for rows in (table, jobs):
                running = sa.update(rows).where(rows.c.state == "running")
                connection.execute(running.values(lease_until=rows.c.created_at))
        store.close()

    def statuses(self) -> list[tuple[str, str]]:
        number = self.bot.github.deployments("acme/web")[0]["id"]
        return [(one["state"], one["description"]) for one in reversed(self.bot.github.statuses("acme/web", number))]

    def ends(self, state: str) -> None:
        """GitHub tells the bot what it was told, until the card shows how it ended."""

        def ended() -> bool:
            self.bot.github.deliver()
            return self.statuses()[-1][0] == state

        self.bot.until(ended)
        self.bot.github.deliver()


@pytest.fixture
def make(servers: Servers, database_url: str, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Starts a bot with a deploy under way; whatever is left at the end is killed."""
    made: list[Running] = []

    def start(**options: bool) -> Place:
        bot = Running(servers, database_url, tmp_path, PUBLIC_URL="https://shipbot.example")
        made.append(bot)
        place = Place(bot, tmp_path, database_url, **options)
        bot.start()
        assert bot.slack.command("U0ANA", "C0OPS", "web/topic to production").ok
        return place

    yield start
    for bot in made:
        bot.kill()


def test_killed_twice_it_ends_where_that_is_safe(make: Callable[..., Place]) -> None:
    place = make(rerun=True, stubborn=False)
    for attempt in (1, 2):
        pids = place.begun(attempt)
        place.bot.kill()
        until(lambda pids=pids: not [pid for pid in pids if alive(pid)], "what the bot had started runs on")  # type: ignore[misc]
        place.claims_end()
        place.bot.start()
        if place.database_url.startswith("sqlite"):
            hasten(place)
    place.ends("success")
    assert list(dict.fromkeys(state for state, _ in place.statuses())) == ["queued", "in_progress", "success"]
    place.bot.until(lambda: ":large_green_circle: *web* to *production*" in place.bot.room())
    assert len(place.attempts.read_text().split()) == 3
    assert place.output().endswith("done\n[success]\n")
    assert place.bot.stop() == 0


def hasten(place: Place) -> None:
    """On SQLite a start waits until what the last process did has taken effect; here it has."""
    store = Store(place.database_url)
    with store.write() as connection:
        connection.execute(sa.update(table).where(table.c.state == "ready").values(run_at=table.c.created_at))
    store.close()


def test_killed_it_is_not_run_twice(make: Callable[..., Place]) -> None:
    place = make(rerun=False, stubborn=True)
    pids = place.begun(1)
    place.bot.kill()
    until(
        lambda: not [pid for pid in pids if alive(pid)], "what the bot had started runs on"
    )  # KILL, after ten seconds
    place.claims_end()
    place.bot.start()
    hasten(place)
    place.ends("error")
    assert place.statuses()[-1] == ("error", "The bot that ran it went away. How far it got is not known.")
    place.bot.until(lambda: "The bot that ran it went away" in place.bot.room())
    assert len(place.attempts.read_text().split()) == 1
    assert place.bot.stop() == 0


@pytest.mark.parametrize("rerun", [False, True])
def test_stopped_in_the_middle(make: Callable[..., Place], rerun: bool) -> None:
    place = make(rerun=rerun, stubborn=True)
    pids = place.begun(1)
    began = time.monotonic()
    assert place.bot.stop() == 0
    assert time.monotonic() - began < 10
    assert [pid for pid in pids if alive(pid)] == []
    place.bot.start()
    if rerun:
        for pid in place.begun(2)[:1]:
            assert alive(pid)
        assert place.bot.process is not None
        place.bot.process.send_signal(signal.SIGTERM)
        assert place.bot.process.wait(10) == 0
        place.bot.start()
        place.ends("success")
        assert place.output().count("[the bot was stopped; another goes on with it]") == 2
    else:
        place.ends("error")
        assert place.statuses()[-1] == ("error", "The bot was stopped while it ran. How far it got is not known.")
    assert place.bot.stop() == 0
