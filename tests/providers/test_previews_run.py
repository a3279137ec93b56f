"""Previews that a provider of the bot's own brings up and takes down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bot.deploys.config_file import read_config
from bot.providers.command import PROXIES
from bot.providers.needed import missing, secret_names
from tests.front.chat import thread
from tests.providers.places import carry_out, local, newest_card, output, program, statuses
from tests.world import World

CONFIG = """
users: {{U0BEN: ben-gh}}
apps:
  web:
    repository: acme/web
    rooms: [C0OPS]
    previews: {{teardown_task: teardown, timeout: 20m, provider: {provider}}}
    environments:
      production: {{}}
"""
SCRIPT = """#!/bin/sh
echo "$SHIPBOT_TASK $SHIPBOT_SHA in $SHIPBOT_ENVIRONMENT"
[ "$SHIPBOT_TASK" = teardown ] || echo "environment_url=https://$SHIPBOT_ENVIRONMENT.example" >> "$SHIPBOT_OUTPUT"
"""


def test_a_preview_is_brought_up_and_taken_down(make_world: Callable[..., World], tmp_path: Path) -> None:
    program(tmp_path, SCRIPT)
    world = make_world(config=CONFIG.format(provider=local(tmp_path)))
    pull = world.github.open_pull_request("acme/web", "topic", title="Fix the login loop", author="ben-gh")
    carry_out(world)
    commit = world.github.head("acme/web", "topic")
    assert output(world.store, 1).startswith(f"deploy {commit} in pr-1\n")
    assert [state for state, _ in statuses(world)] == ["queued", "in_progress", "success"]
    assert world.github.statuses("acme/web", 1_100_001)[0]["environment_url"] == "https://pr-1.example"
    assert newest_card(world).splitlines()[-1] == "[Open]"

    world.advance(minutes=5)
    world.github.close_pull_request("acme/web", pull)
    carry_out(world)
    assert output(world.store, 2).startswith(f"teardown {commit} in pr-1\n")
    assert [state for state, _ in statuses(world)] == ["queued", "in_progress", "success", "inactive"]
    assert [state for state, _ in statuses(world, 1)][-1] == "inactive"
    assert "Gone since" in newest_card(world)
    assert thread(world)[-1] == ":wastebasket: Marked inactive at GitHub"


def test_what_its_provider_needs_is_asked_for_and_hidden() -> None:
    config = read_config(CONFIG.format(provider="{type: command, run: [x], env: [PREVIEW_KEY]}"))
    assert missing(config, lambda names: {}) == [("PREVIEW_KEY", "apps.web.previews.provider")]
    assert set(secret_names(config)) == {"PREVIEW_KEY", *PROXIES}
