"""The process needs to write to its database, and to nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.running import ROOT, Running
from tests.world import Servers

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

# Read by every Python process at its start: it writes down which files are opened to be written, made or moved.
WATCH = """
import os, sys
told = os.open({told!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def watch(event, given):
    path = None
    if event == "open":
        name, mode, flags = given
        if any(each in (mode or "") for each in "wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            path = name
    elif event in ("sqlite3.connect", "os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.chmod"):
        path = given[0]
    if path is not None and not isinstance(path, int):
        os.write(told, os.fsencode(os.path.abspath(path)) + b"\\n")
sys.addaudithook(watch)
"""


@pytest.fixture
def bot(servers: Servers, database_url: str, tmp_path: Path) -> Iterator[Running]:
    """A bot that is watched, in a folder of its own."""
    hook, home = tmp_path / "hook", tmp_path / "home"
    hook.mkdir()
    home.mkdir()
    (hook / "sitecustomize.py").write_text(WATCH.format(told=str(tmp_path / "told")))
    watched = {"PYTHONPATH": f"{hook}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}  # as in the container
    running = Running(servers, database_url, home, **watched)
    running.start()
    yield running
    running.kill()


def test_the_process_writes_to_its_database_alone(bot: Running, tmp_path: Path) -> None:
    assert bot.slack.command("U0ANA", "C0OPS", "web/topic to production").ok
    bot.until(lambda: len(bot.github.deployments("acme/web")) == 1)
    bot.github.report("acme/web", bot.github.deployments("acme/web")[0]["id"], "success")
    assert set(bot.github.deliver()) == {202}
    bot.until(lambda: ":large_green_circle: *web* to *production*" in bot.room())
    assert bot.slack.command("U0ANA", "C0OPS", "where web").ok
    bot.until(lambda: "What is live of web" in bot.room())
    assert bot.stop() == 0
    database = bot.environment["DATABASE_URL"].removeprefix("sqlite:///")
    written = set((tmp_path / "told").read_text().splitlines()) - {"/dev/null"}
    assert database in written, "the watch works"
    assert written <= {database, f"{database}.lock.pid"}
    assert sorted(path.name for path in bot.home.iterdir()) == ["bot.log", "shipbot.yml"]
