"""The demo and the tour as processes: the real bot, ports that are taken, ends that are clean."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from bot.playground.github import SimulatedGitHub
from bot.playground.server import Playground
from bot.playground.serving import HOST
from bot.playground.slack import SimulatedSlack
from bot.playground.stage import BotFailed, Stage, bot_environment, serve

ROOT = Path(__file__).parents[2]


def listen() -> socket.socket:
    taken = socket.socket()
    taken.bind((HOST, 0))
    taken.listen()
    return taken


def test_a_taken_port_is_stepped_over() -> None:
    with listen() as taken:
        port = taken.getsockname()[1]
        with serve(Playground(SimulatedGitHub(), SimulatedSlack()), port) as served:
            assert port < int(served.url.rpartition(":")[2]) <= port + 50


def test_the_simulators_are_told_where_they_are() -> None:
    playground = Playground(SimulatedGitHub(), SimulatedSlack())
    with serve(playground, 0) as served:
        assert playground.github.url == f"{served.url}/github"
        assert playground.slack.url == f"{served.url}/slack"


def test_a_bot_that_ends_by_itself_ends_the_stage_with_its_message() -> None:
    stage = Stage(bot=[sys.executable, "-c", "import sys; sys.exit('the config has a hole')"])

    with pytest.raises(BotFailed, match=r"exit code 1(?s:.*)the config has a hole"), stage:
        pass


def test_the_bot_of_the_demo_knows_nothing_of_real_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-real")
    monkeypatch.setenv("GITHUB_APP_ID", "7")
    monkeypatch.setenv("DATABASE_URL", "postgresql://real")

    environment = bot_environment({"GITHUB_TOKEN": "made up"})

    assert not {"SLACK_APP_TOKEN", "GITHUB_APP_ID", "DATABASE_URL"} & environment.keys()
    assert environment["GITHUB_TOKEN"] == "made up"
    assert environment["NO_PROXY"] == HOST


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_runs_until_it_is_told_to_stop_and_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    with listen() as taken, demo(tmp_path, "--port", str(taken.getsockname()[1])) as process:
        assert process.stdout is not None
        words = ""
        while "Ctrl-C" not in words:
            line = process.stdout.readline()
            assert line, f"the demo ended: {words}"
            words += line
        url = next(word for word in words.split() if word.startswith("http://"))
        assert int(url.rpartition(":")[2]) > taken.getsockname()[1]
        assert "/deploy web/topic to staging" in words
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/", timeout=10) as page:
            assert page.status == 200
        process.send_signal(number)
        rest, _ = process.communicate(timeout=30)

    assert process.returncode == 0, rest
    assert "Stopped." in rest
    assert list(tmp_path.iterdir()) == []


def test_the_tour_plays_two_deploys_as_a_chat(tmp_path: Path) -> None:
    with demo(tmp_path, "--tour") as process:
        told, _ = process.communicate(timeout=90)

    assert process.returncode == 0, told
    first, second = told.split("@ana: /deploy docs/typos\n")
    played(first.split("@ana: /deploy web/topic to staging\n")[1])
    played(second)
    assert "Its log ends with: Published 8 pages at http://" in second
    assert list(tmp_path.iterdir()) == []


def played(story: str) -> None:
    """After the command come the card, its green end, and the line in its thread that says so."""
    lines = story.splitlines()
    card = next(at for at, line in enumerate(lines) if line.startswith("shipbot: "))
    live = next(at for at, line in enumerate(lines) if line.startswith("shipbot (edits the card): 🟢"))
    thread = next(at for at, line in enumerate(lines) if line.startswith("  ↳ shipbot: 🟢"))
    assert card < live
    assert card < thread


def demo(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(directory), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(
        [sys.executable, "-m", "bot", "demo", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
