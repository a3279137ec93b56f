"""`Dockerfile`, as far as it can be held to the tree without an engine."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bot.playground.serving import Served
from bot.settings import Settings

ROOT = Path(__file__).parents[2]
KNOWN = "FROM ENV RUN WORKDIR COPY USER VOLUME EXPOSE HEALTHCHECK CMD".split()


def instructions() -> list[tuple[str, str]]:
    """The instructions in order; a backslash at the end of a line goes on with the next."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def all_of(name: str) -> list[str]:
    return [rest for each, rest in instructions() if each == name]


def only(name: str) -> str:
    (rest,) = all_of(name)
    return rest


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in only("ENV").split())


def exec_form(text: str) -> list[str]:
    value = json.loads(text[text.index("[") :])
    assert isinstance(value, list)
    return value


def test_it_is_made_of_known_instructions_and_starts_from_python() -> None:
    assert {name for name, _ in instructions()} <= set(KNOWN)
    assert instructions()[0] == ("FROM", "python:3.11-slim")


def test_it_runs_as_a_user_who_owns_only_the_volume() -> None:
    names = [name for name, _ in instructions()]
    assert only("USER") not in ("root", "0", "0:0")
    assert names.index("USER") > max(at for at, name in enumerate(names) if name in ("RUN", "COPY"))
    assert only("VOLUME") == "/data"
    assert not any("--chown" in rest for rest in all_of("COPY"))
    owned = [rest for rest in all_of("RUN") if "owner=" in rest or "chown" in rest]
    assert len(owned) == 1
    assert re.search(r"--owner=shipbot --mode=0700 /data$", owned[0])


def test_it_copies_what_is_there_and_what_the_ignore_file_lets_in() -> None:
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    ]
    sources = [source for rest in all_of("COPY") for source in rest.split()[:-1]]
    assert sorted(sources) == sorted(allowed)
    assert all((ROOT / source).exists() for source in sources)


def test_it_installs_the_lock_and_nothing_else() -> None:
    (install,) = [rest for rest in all_of("RUN") if "pip" in rest]
    assert "--require-hashes -r requirements.lock" in install
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^[A-Za-z0-9_.\[\],-]+==", lock, re.MULTILINE)
    blocks = re.split(r"^(?=[A-Za-z0-9_.\[\],-]+==)", lock, flags=re.MULTILINE)[1:]
    assert pinned
    assert all("--hash=sha256:" in block for block in blocks)


def test_its_environment_is_one_that_the_settings_take() -> None:
    given = environment()
    assert given["DATABASE_URL"] == "sqlite:////data/shipbot.db"
    settings = Settings.model_validate(
        {
            "slack_bot_token": "xoxb-1",
            "slack_signing_secret": "s",
            "github_token": "t",
            "github_webhook_secret": "w",
            **{name.lower(): value for name, value in given.items() if name.lower() in Settings.model_fields},
        }
    )
    assert settings.shipbot_config == Path("/etc/shipbot/shipbot.yml")
    assert str(settings.port) == only("EXPOSE")


def test_its_command_is_real() -> None:
    command = exec_form(only("CMD"))
    assert command == ["python", "-m", "bot", "serve"]
    ran = subprocess.run([sys.executable, *command[1:], "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0
    assert "usage: python -m bot serve" in ran.stdout


@pytest.mark.parametrize("status", [200, 503])
def test_its_health_check_asks_healthz(status: int) -> None:
    asked = []

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] != "http":
            return
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    with Served(app) as served:
        assert health(served.url.rpartition(":")[2]) == (0 if status == 200 else 1)
    assert asked == ["/healthz"]


def test_its_health_check_fails_where_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert health(str(free.getsockname()[1])) == 1


def health(port: str) -> int:
    """The exit code of the health check, with the bot on that port and a proxy set, as in many companies."""
    command = exec_form(only("HEALTHCHECK"))
    assert command[0] == "python"
    variables = {**os.environ, "PORT": port, "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run([sys.executable, *command[1:]], env=variables, capture_output=True, timeout=30).returncode
