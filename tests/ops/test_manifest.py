"""`manifest.yml` against Slack's rules and against what the code really does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bot.check.slack import SCOPES
from bot.playground.slack import METHOD_SCOPES
from bot.slack.grammar import BY_NAME, parse

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "manifest.yml").read_text(encoding="utf-8")
MANIFEST: dict[str, Any] = yaml.safe_load(TEXT)
PATH = "/slack/events"

# Slack's limits for the parts of a manifest that are used here, in version 2; any other key is refused.
# https://docs.slack.dev/reference/app-manifest
URL = {"type": "string", "pattern": "^https?://", "maxLength": 3000}
NAMES = {"type": "array", "items": {"type": "string", "maxLength": 50}, "uniqueItems": True, "maxItems": 100}


def text(longest: int, shortest: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": shortest, "maxLength": longest, **more}


def record(required: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


BOOLEAN = {"type": "boolean"}
RULES = record(
    "display_information",
    _metadata=record(major_version={"const": 2}, minor_version={"type": "integer"}),
    display_information=record(
        "name",
        name=text(35),
        description=text(140),
        long_description=text(4000, 175),
        background_color=text(7, 4, pattern="^#([0-9a-fA-F]{3}){1,2}$"),
    ),
    features=record(
        app_home=record(home_tab_enabled=BOOLEAN, messages_tab_enabled=BOOLEAN, messages_tab_read_only_enabled=BOOLEAN),
        bot_user=record("display_name", display_name=text(80, pattern="^[a-z0-9._-]+$"), always_online=BOOLEAN),
        slash_commands={
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": record(
                "command description",
                command=text(32, 2, pattern="^/"),
                url=URL,
                description=text(2000),
                usage_hint=text(1000),
                should_escape=BOOLEAN,
            ),
        },
    ),
    oauth_config=record(scopes=record(bot=NAMES)),
    settings=record(
        event_subscriptions=record(request_url=URL, bot_events=NAMES),
        interactivity=record("is_enabled", is_enabled=BOOLEAN, request_url=URL, message_menu_options_url=URL),
        org_deploy_enabled=BOOLEAN,
        socket_mode_enabled=BOOLEAN,
        token_rotation_enabled=BOOLEAN,
    ),
)

# What each event that the listeners take needs, '' for nothing (https://docs.slack.dev/reference/events).
EVENT_SCOPES = {"app_home_opened": "", "app_mention": "app_mentions:read", "message.im": "im:history"}


def strings(path: Path) -> Iterator[str]:
    """Every text that stands in a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def called() -> set[str]:
    """The Web API methods that the bot calls."""
    modules = sorted((ROOT / "bot" / "slack").rglob("*.py"))
    return {value for path in modules for value in strings(path) if value in METHOD_SCOPES}


def test_it_keeps_to_slacks_rules() -> None:
    jsonschema.Draft202012Validator.check_schema(RULES)
    jsonschema.validate(MANIFEST, RULES)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("display_information/name", ""),
        ("display_information/colour", "red"),
        ("features/bot_user", {}),
        ("settings/interactivity/request_url", "shipbot.example.com"),
        ("settings/interactivity/message_menu_options_url", ""),
        ("oauth_config/scopes/bot", ["chat:write", "chat:write"]),
    ],
)
def test_the_rules_refuse_what_slack_refuses(path: str, value: Any) -> None:
    manifest = yaml.safe_load(TEXT)
    *parents, last = path.split("/")
    place = manifest
    for key in parents:
        place = place[key]
    place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, RULES)


def test_the_scopes_are_those_that_the_code_needs_and_no_more() -> None:
    methods = called()
    assert {"auth.test", "chat.postMessage", "chat.update", "conversations.history", "users.info"} <= methods
    needed = {scope for method in methods for scope in METHOD_SCOPES[method]}
    needed |= {scope for scope in EVENT_SCOPES.values() if scope} | {"commands"}
    needed.add("chat:write.public")  # public rooms need no invitation
    scopes = MANIFEST["oauth_config"]["scopes"]["bot"]
    assert set(scopes) == needed
    assert scopes == sorted(scopes)


def test_check_asks_for_the_same_scopes() -> None:
    assert list(SCOPES) == MANIFEST["oauth_config"]["scopes"]["bot"]


def test_no_method_of_slacks_is_called_that_the_table_does_not_know() -> None:
    """Whatever looks like a method in the client must be one, or its scopes would go unseen."""
    shaped = re.compile(r"(?:api|apps|auth|chat|conversations|reactions|usergroups|users|views)\.[A-Za-z.]+")
    client = set(filter(shaped.fullmatch, strings(ROOT / "bot" / "slack" / "client.py")))
    assert client - set(METHOD_SCOPES) == {"apps.connections.open"}  # which takes the app-level token


def test_every_scope_says_what_it_is_for() -> None:
    listed = re.findall(r"^ +- ([a-z_.:]+:[a-z.]+|commands)( # .{8,})?$", TEXT, re.MULTILINE)
    assert [scope for scope, _ in listed] == MANIFEST["oauth_config"]["scopes"]["bot"]
    assert all(comment for _, comment in listed)


def test_the_events_are_those_that_the_listeners_take() -> None:
    assert set(MANIFEST["settings"]["event_subscriptions"]["bot_events"]) == set(EVENT_SCOPES)
    assert {"app_home_opened", "app_mention", "message"} <= set(strings(ROOT / "bot" / "slack" / "listeners.py"))
    # A home tab that is published must be switched on, and the other way about.
    published = "views.publish" in called()
    assert MANIFEST["features"]["app_home"]["home_tab_enabled"] is published is True
    assert MANIFEST["features"]["app_home"]["messages_tab_enabled"] is True
    assert MANIFEST["features"]["app_home"]["messages_tab_read_only_enabled"] is False
    assert MANIFEST["settings"]["interactivity"]["is_enabled"] is True


def test_every_address_is_the_one_that_is_served() -> None:
    lines = [line for line in TEXT.splitlines() if re.search(r"^\s*(-\s*)?(request_|message_menu_options_)?url:", line)]
    assert len(lines) == 4
    for line in lines:
        assert f"https://shipbot.example.com{PATH} # Socket Mode: leave out" in line
    assert PATH in set(strings(ROOT / "bot" / "app.py"))


def test_it_is_still_whole_after_the_changes_for_socket_mode() -> None:
    kept = [line for line in TEXT.splitlines() if "# Socket Mode: leave out" not in line]
    changed = "\n".join(kept).replace("socket_mode_enabled: false", "socket_mode_enabled: true")
    manifest = yaml.safe_load(changed)
    jsonschema.validate(manifest, RULES)
    assert "https://" not in str(manifest)
    assert manifest["settings"]["socket_mode_enabled"] is True


def test_the_command_and_its_hint() -> None:
    (command,) = MANIFEST["features"]["slash_commands"]
    assert command["command"] == "/deploy"
    assert command["should_escape"] is False
    forms = [parse(form.strip()) for form in command["usage_hint"].split("|")]
    assert [form.name for form in forms] == ["deploy", "deploy", "status", "diff", "help"]
    assert {form.name for form in forms} <= set(BY_NAME)
