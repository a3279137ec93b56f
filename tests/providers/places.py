"""Real git repositories, programs and the world that a provider's test plays in."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bot.playground.github import SimulatedGitHub
from bot.store import logs, runs
from bot.store.engine import Store
from tests.front.chat import cards
from tests.world import World

PATIENCE = 20.0  # seconds for a real process to do something
PUBLIC_URL = "https://shipbot.example"


class Origin:
    """A bare repository on disk, whose commits the simulated GitHub knows too."""

    def __init__(self, folder: Path) -> None:
        self._work = folder / "work"
        self.bare = folder / "origin.git"
        self.url = f"file://{self.bare}"
        self._git("init", "--quiet", "--bare", str(self.bare), place=folder)
        self._git("init", "--quiet", str(self._work), place=folder)

    def commit(self, github: SimulatedGitHub, files: dict[str, str], branch: str = "topic") -> str:
        """Commits programs to a branch and tells the simulated GitHub; returns the commit."""
        for name, text in files.items():
            path = self._work / name
            path.write_text(text)
            path.chmod(0o755)
        self._git("add", "--all")
        who = ("-c", "user.name=Ana", "-c", "user.email=ana@example.com")
        self._git(*who, "commit", "--quiet", "--allow-empty", "--message", "Release it")
        sha = self._git("rev-parse", "HEAD")
        self._git("push", "--quiet", "--force", str(self.bare), f"HEAD:refs/heads/{branch}")
        return known(github, sha, branch)

    def _git(self, *arguments: str, place: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=place or self._work, check=True, capture_output=True, text=True, timeout=PATIENCE
        )
        return done.stdout.strip()


def command(origin: Origin, *run: str, **more: object) -> str:
    """The config of a provider that runs a program of that repository."""
    return json.dumps({"type": "command", "run": run or ("./release.sh",), "checkout": origin.url} | more)


def program(folder: Path, text: str) -> Path:
    """The program that `local` runs."""
    path = folder / "release.sh"
    path.write_text(text)
    path.chmod(0o755)
    return path


def local(folder: Path, **more: object) -> str:
    """The config of a provider that runs that program, without a checkout."""
    return json.dumps({"type": "command", "run": [str(folder / "release.sh")], "checkout": False} | more)


def newest_card(world: World) -> str:
    return cards(world)[-1]


def known(github: SimulatedGitHub, sha: str, branch: str, repository: str = "acme/web") -> str:
    """Tells the simulated GitHub of a commit of git's own, the head of a branch."""
    with github.change():
        repo, person = github.repository(repository), github.person("ana-gh")
        made = repo.add_commit("Release it", person, github.now(), (repo.branches[repo.default_branch],), {})
        repo.commits[sha] = replace(made, sha=sha)
        github.move(repo, branch, sha, person)
    return sha


def carry_out(world: World) -> None:
    """Webhooks come in, what is due is done, runs go to their end, and what they report comes back."""
    for _ in range(50):
        world.deliver()
        if not world.bot.runner.step() and not world.github.pending:
            world.deliver()
            return
    raise AssertionError("it does not come to rest")


def in_background(world: World) -> threading.Thread:
    """The next run, in a thread of its own."""
    thread = threading.Thread(target=world.bot.runner.step, daemon=True)
    thread.start()
    return thread


def until(happened: Callable[[], object], what: str = "") -> None:
    """Waits for a real process to do something."""
    pause = threading.Event()
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, what or "it did not happen"
        pause.wait(0.02)


def output(store: Store, deploy: int = 1) -> str:
    """What the run of a deploy has written to its log."""
    with store.read() as connection:
        run = runs.of_deploy(connection, deploy)
        assert run is not None
        return "".join(chunk.text for chunk in logs.read(connection, run.log, limit=100_000))


def statuses(world: World, deployment: int = 0, repository: str = "acme/web") -> list[tuple[str, str]]:
    """State and description of all statuses of a deployment at GitHub, oldest first. The newest deployment is 0."""
    number = world.github.deployments(repository)[deployment]["id"]
    told = reversed(world.github.statuses(repository, number))
    return [(status["state"], status["description"]) for status in told]


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
