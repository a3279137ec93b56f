"""`python -m bot check`: what it says of the environment, the database and Slack, and as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from bot.check.slack import SCOPES
from bot.playground.serving import Served
from bot.playground.slack import SimulatedSlack
from bot.settings import Settings
from bot.store import rooms
from bot.store.engine import Store
from tests.ops.checking import SMALL, Look, fails
from tests.world import START, World

ROOT = Path(__file__).parents[2]
NEWEST = max(path.name[:4] for path in (ROOT / "bot/store/migrations/versions").glob("[0-9]*.py"))


def test_all_is_well(small: World, look: Look) -> None:
    shown = sa.make_url(small.settings.database_url).render_as_string(hide_password=True)
    before = len(small.slack.messages("C0OPS")), small.github.deployments("acme/web")
    assert look(small, 0) == [
        "ok    environment: everything that is needed is set",
        "ok    config: shipbot.yml names web",
        f"ok    database: {shown} answers, at version {NEWEST}",
        f"ok    Slack: I am @shipbot in Playground ({small.slack.url}/)",
        f"ok    Slack: all {len(SCOPES)} scopes are granted",
        "ok    #ops (room C0OPS of web) can be written to",
        "ok    acme/web: can be seen and deployed, as push",
        f"ok    acme/web: the webhook to {small.servers.bot_url}/github/webhooks is set up well, "
        "and its last delivery arrived",
    ]
    assert before == (len(small.slack.messages("C0OPS")), small.github.deployments("acme/web")), "nothing is changed"


def test_a_process_of_its_own_says_the_same(small: World, tmp_path: Path, look: Look) -> None:
    (tmp_path / "shipbot.yml").write_text(SMALL)
    expected = look(small, 0)
    ran = process(small, tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == expected
    small.slack.archive("C0OPS")
    small.slack.fail("conversations.info", status=500)
    ran = process(small, tmp_path)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_a_process_without_anything_names_every_variable(tmp_path: Path) -> None:
    ran = process(None, tmp_path)
    assert ran.returncode == 1
    assert ran.stdout.splitlines() == [
        "FAIL  SLACK_BOT_TOKEN: must be set",
        "FAIL  GITHUB_WEBHOOK_SECRET: must be set",
        "FAIL  SLACK_SIGNING_SECRET: must be set (or SLACK_APP_TOKEN, for Socket Mode)",
        "FAIL  GITHUB_TOKEN: must be set (or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY)",
        "FAIL  shipbot.yml: can't be read (No such file or directory); SHIPBOT_CONFIG says where it is",
        "warn  database, Slack and GitHub are looked at once the environment is whole",
    ]


def test_a_config_with_faults_does_not_hide_the_rest(small: World, tmp_path: Path, look: Look) -> None:
    (tmp_path / "shipbot.yml").write_text("apps: {web: {repository: acme/web, colour: red}}")
    lines = process(small, tmp_path).stdout.splitlines()
    assert fails(lines) == [
        "shipbot.yml: line 1: apps.web.environments: must be given",
        "shipbot.yml: line 1: apps.web.colour: no such key",
    ]
    assert any(line.startswith("ok    Slack: I am") for line in lines)
    assert any(line.startswith("ok    database:") for line in lines)


def process(world: World | None, directory: Path) -> subprocess.CompletedProcess[str]:
    """`python -m bot check` as somebody would run it in that directory."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    given = {}
    if world is not None:
        for name in ("slack_bot_token", "slack_signing_secret", "github_token", "github_webhook_secret"):
            given[name.upper()] = getattr(world.settings, name).get_secret_value()
        for name in ("slack_api_url", "github_api_url", "database_url"):
            given[name.upper()] = getattr(world.settings, name)
    return subprocess.run(
        [sys.executable, "-m", "bot", "check"],
        cwd=directory,
        env={**kept, **given, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
    )


# The database


def test_databases_that_are_not_ready(small: World, look: Look, tmp_path: Path) -> None:
    def said(url: str, expect: int) -> str:
        small.settings = small.settings.model_copy(update={"database_url": url})
        return look(small, expect)[2]

    absent = tmp_path / "new" / "shipbot.db"
    assert said(f"sqlite:///{absent}", 1) == (
        f"FAIL  DATABASE_URL: there is no directory {absent.parent}: make it, or name another place"
    )
    absent.parent.mkdir()
    assert said(f"sqlite:///{absent}", 0) == f"ok    database: sqlite:///{absent} is not there yet; `serve` makes it"
    assert not absent.exists()
    empty = Store(f"sqlite:///{absent}")
    with empty.read():
        assert said(f"sqlite:///{absent}", 0).endswith("answers and is empty; `serve` makes the tables")
    empty.close()
    (tmp_path / "text.db").write_text("not a database, but long enough to look like one" * 50)
    assert said(f"sqlite:///{tmp_path / 'text.db'}", 1).startswith("FAIL  DATABASE_URL: sqlite:///")
    gone = said("postgresql://ship:pa55word@127.0.0.1:1/ship", 1)
    assert gone.startswith("FAIL  DATABASE_URL: postgresql://ship:***@127.0.0.1:1/ship can't be used (")


def test_a_database_of_a_newer_program(small: World, look: Look) -> None:
    with small.store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    (fault,) = fails(look(small, 1))
    assert fault.endswith(
        f"is at version 9999, newer than this program's {NEWEST}: run the Shipbot that made it, or restore a backup"
    )


# Slack


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("invalid_auth", "Slack does not know this token"),
        ("token_revoked", "it was revoked"),
        ("not_allowed_token_type", "it is a token of another kind"),
        ("two_factor_setup_required", "Slack says two_factor_setup_required"),
    ],
)
def test_a_bot_token_that_slack_refuses(small: World, look: Look, error: str, words: str) -> None:
    small.slack.fail("auth.test", error=error)
    assert fails(look(small, 1)) == [
        f"SLACK_BOT_TOKEN: {words}: set SLACK_BOT_TOKEN to the Bot User OAuth Token (xoxb-…) under OAuth & Permissions"
    ]


def test_slack_can_not_be_reached(small: World, look: Look) -> None:
    small.slack.fail("auth.test", status=503)
    small.slack.fail("auth.test", drop="before")
    for _ in range(2):
        (fault,) = fails(look(small, 1))
        assert fault.startswith("SLACK_BOT_TOKEN: Slack does not answer (")
        assert fault.endswith(f"see that {small.slack.url}/api/ can be reached from here, then check again")


def test_scopes_that_are_missing_are_named_with_what_they_are_for(small: World, look: Look) -> None:
    granted = set(SCOPES) - {"im:write", "chat:write.public"}
    with served(small, SimulatedSlack(scopes=granted)):
        lines = look(small, 1)
    mend = "add it under OAuth & Permissions (manifest.yml has them all) and install the app again"
    assert fails(lines)[:2] == [
        f"Slack: the scope chat:write.public is missing, without which I can't post in public rooms without an "
        f"invitation: {mend}",
        f"Slack: the scope im:write is missing, without which I can't write to somebody alone: {mend}",
    ]
    assert not any("scopes are granted" in line for line in lines)


class served:
    """Another Slack in the place of the world's."""

    def __init__(self, world: World, slack: SimulatedSlack) -> None:
        slack.url = world.slack.url
        self._apps, self._asgi, self._before = world.servers.outside.apps, slack.asgi, world.slack.asgi

    def __enter__(self) -> None:
        self._apps["/slack"] = self._asgi

    def __exit__(self, *_: object) -> None:
        self._apps["/slack"] = self._before


def test_socket_mode(small: World, look: Look, make_world: Callable[..., World]) -> None:
    small.settings = Settings.model_validate({**plain(small.settings), "slack_app_token": "xapp-playground"})
    assert "ok    Slack: Socket Mode opens; /slack/events is not served" in look(small, 0)
    small.settings = Settings.model_validate({**plain(small.settings), "slack_app_token": "xapp-of-another"})
    (fault,) = fails(look(small, 1))
    assert fault == (
        "SLACK_APP_TOKEN: Slack does not know this token: set SLACK_APP_TOKEN to an app-level token (xapp-…) with "
        "connections:write, made under Basic Information, and turn Socket Mode on"
    )


def plain(settings: Settings) -> dict[str, object]:
    """Settings as they were given."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    return {
        name: value.get_secret_value() if hasattr(value, "get_secret_value") else value
        for name, value in values.items()
        if value is not None
    }


def test_rooms(small: World, look: Look) -> None:
    slack = small.slack
    slack.add_room("C0OUT", "outside", bot_is_member=False)
    slack.add_room("C0OLD", "old")
    slack.archive("C0OLD")
    slack.add_room("C0PRIV", "private", private=True, bot_is_member=False)
    config = yaml.safe_load(SMALL)
    config["apps"]["web"]["rooms"] = ["C0OPS", "C0OUT"]
    config["apps"]["web"]["announce"] = [{"room": room} for room in ("C0OPS", "C0OLD", "C0PRIV", "C0NONE")]
    config["apps"]["api"] = {"repository": "acme/web", "rooms": ["C0OPS"], "environments": {"production": {}}}
    lines = look(small, 1, yaml.safe_dump(config, sort_keys=False))
    assert [line for line in lines if "room C0" in line] == [
        "ok    #ops (room C0OPS of web, api) can be written to",
        "ok    #outside (room C0OUT of web) can be written to; I am no member, so `@` me there only after an `/invite`",
        "FAIL  #old (room C0OLD of web) is archived: bring it back, or take it out of the config",
        "FAIL  room C0PRIV of web: Slack shows me no such room: mend the id, or `/invite` me there if it is private",
        "FAIL  room C0NONE of web: Slack shows me no such room: mend the id, or `/invite` me there if it is private",
    ]


def test_rooms_that_could_not_be_written_to(small: World, look: Look) -> None:
    """One line for each, with why, since when, and what to do; of those that people tried, too."""
    slack = small.slack
    slack.add_room("C0OLD", "old")
    slack.add_room("C0SEC", "secret", private=True, bot_is_member=False)
    slack.add_room("C0QUIET", "quiet")
    slack.add_room("C0AGAIN", "again")
    with small.store.write() as connection:
        for room, code in (
            ("C0OPS", "is_archived"),
            ("C0OLD", "is_archived"),
            ("C0SEC", "channel_not_found"),
            ("C0QUIET", "restricted_action"),
            ("C0AGAIN", "not_in_channel"),
        ):
            rooms.close(connection, room, code, START)
    slack.archive("C0OPS")
    slack.archive("C0OLD")
    since = "; nothing of mine got there since 2026-03-02 09:00 UTC"
    unnamed = "which the config does not name"
    assert [line for line in look(small, 1) if "room C0" in line] == [
        f"FAIL  #ops (room C0OPS of web) is archived: bring it back, or take it out of the config{since} (is_archived)",
        f"ok    #again (room C0AGAIN, {unnamed}) can be written to again, as the next message will show{since} "
        "(not_in_channel)",
        f"warn  #old (room C0OLD, {unnamed}) is archived: bring it back, or deploy from another room{since} "
        "(is_archived)",
        f"warn  #quiet (room C0QUIET, {unnamed}): Slack does not let me write there: see who may post in it, or deploy "
        f"from another room{since} (restricted_action)",
        f"warn  room C0SEC, {unnamed}: Slack shows me no such room: `/invite` me there if it is private{since} "
        "(channel_not_found)",
    ]


def test_what_nobody_foresaw_is_said_and_the_rest_goes_on(small: World, look: Look) -> None:
    async def nonsense(scope: object, receive: object, send: Callable[..., object]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})  # type: ignore[misc]
        await send({"type": "http.response.body", "body": b'{"ok": true, "bot_id": "B0", "channel": 7}'})  # type: ignore[misc]

    with Served(nonsense) as other:  # type: ignore[arg-type]
        small.settings = small.settings.model_copy(update={"slack_api_url": f"{other.url}/"})
        lines = look(small, 1)
    assert any(line.startswith("FAIL  room C0OPS could not be looked at (TypeError:") for line in lines)
    assert any(line.startswith("ok    acme/web: can be seen") for line in lines)
