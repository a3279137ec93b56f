"""The way in, through the front door: what is acknowledged is stored, and what is not asks to come again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest

from tests.core.sending import CLIENT, COMMAND, JSON, stored, to_github_door, to_slack_door, unwritable
from tests.world import WEBHOOK_SECRET, World


def command(number: int) -> bytes:
    return urlencode(COMMAND | {"trigger_id": f"trigger-{number}"}).encode()


def event(**inner: object) -> bytes:
    said = {"type": "app_mention", "user": "U0ANA", "channel": "C0OPS", "text": "<@U0SHIPBOT> apps", "ts": "1.2"}
    body = {"type": "event_callback", "team_id": "T0TEAM", "event_id": "Ev1", "event": said | inner}
    return json.dumps(body).encode()


# Slack's door


def test_commands_mentions_and_messages_are_stored_then_acknowledged(world: World) -> None:
    assert world.slack.command("U0ANA", "C0OPS", "help").text == ""
    assert world.slack.mention("U0ANA", "C0OPS", "apps").ok
    assert world.slack.direct_message("U0ANA", "where web").ok
    assert world.waiting() == ["slack.command", "slack.event", "slack.event"]
    assert [body.get("text") or body["event"]["text"] for body in stored(world)] == [
        "help",
        "<@U0SHIPBOT> apps",
        "where web",
    ]


def test_a_click_is_stored_then_acknowledged(world: World) -> None:
    for _ in range(12):
        world.github.create_deployment("acme/web", "main", environment="staging")
    world.deliver()
    world.say("U0ANA", "/deploy history web")
    page = world.slack.ephemerals("U0ANA")[-1]
    assert world.slack.click("U0ANA", "C0OPS", page.ts, "history_page").ok
    assert world.waiting() == ["slack.click"]
    world.slack.repeat_last()
    assert world.waiting() == ["slack.click"]


def test_what_slack_sends_again_is_known(world: World) -> None:
    for act in (
        lambda: world.slack.command("U0ANA", "C0OPS", "help"),
        lambda: world.slack.mention("U0ANA", "C0OPS", "apps"),
    ):
        before = len(world.waiting())
        assert act().ok
        assert world.slack.repeat_last(1).ok
        assert world.slack.repeat_last(2).ok
        assert len(world.waiting()) == before + 1
    world.settle()
    assert world.slack.repeat_last(3).ok
    assert world.waiting() == []


def test_the_deprecated_token_is_not_kept(world: World) -> None:
    world.slack.command("U0ANA", "C0OPS", "help")
    world.slack.mention("U0ANA", "C0OPS", "apps")
    assert all("token" not in body for body in stored(world))


def test_a_message_that_is_not_for_the_bot_is_acknowledged_and_not_kept(world: World) -> None:
    assert to_slack_door(world, event(bot_id="B1"), JSON).status_code == 200
    assert to_slack_door(world, event(type="message", channel_type="channel"), JSON).status_code == 200
    assert to_slack_door(world, event(type="reaction_added"), JSON).status_code == 200
    assert stored(world) == []


def test_slack_is_told_nothing_before_the_commit(world: World) -> None:
    with unwritable(world):
        assert to_slack_door(world, command(1)).status_code == 503
        assert to_slack_door(world, event(), JSON).status_code == 503
    assert stored(world) == []
    assert to_slack_door(world, command(1)).status_code == 200
    assert to_slack_door(world, event(), JSON).status_code == 200
    assert len(stored(world)) == 2


def test_a_person_sees_that_it_was_not_taken_in(world: World) -> None:
    with unwritable(world):
        world.slack.command("U0ANA", "C0OPS", "web")
    assert "dispatch_failed" in world.room()


def test_many_at_once_are_all_stored(world: World) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: to_slack_door(world, command(number % 100)).status_code, range(200)))
    assert answers == [200] * 200
    assert len(stored(world)) == 100


def test_slack_proves_the_address(world: World) -> None:
    asked = json.dumps({"type": "url_verification", "token": "x", "challenge": "3eZbrw1aB"}).encode()
    answer = to_slack_door(world, asked, JSON)
    assert (answer.status_code, answer.text) == (200, "3eZbrw1aB")
    assert answer.headers["content-type"].startswith("text/plain")
    assert to_slack_door(world, asked, JSON, x_slack_signature="v0=no").status_code == 401


def test_slack_looks_at_the_certificate(world: World) -> None:
    url = f"{world.servers.bot_url}/slack/events"
    assert CLIENT.get(f"{url}?ssl_check=1&token=x").status_code == 200
    assert CLIENT.post(url, data={"ssl_check": "1", "token": "x"}).status_code == 200
    assert CLIENT.get(url).status_code == 405
    assert CLIENT.delete(url).status_code == 405


# GitHub's door


@pytest.mark.parametrize("content_type", ["json", "form"])
def test_a_webhook_is_stored_then_acknowledged(world: World, content_type: str) -> None:
    hook = f"{world.servers.bot_url}/github/webhooks"
    world.github.add_repository("acme/other")
    world.github.push("acme/other", "main", "Start")
    world.github.add_hook("acme/other", hook, secret=WEBHOOK_SECRET, content_type=content_type)
    world.github.pending.clear()
    world.github.create_deployment("acme/other", "main")
    assert world.github.deliver() == [202]
    assert world.waiting() == ["github.deployment"]
    assert stored(world)[0]["deployment"]["environment"] == "production"


def test_a_delivery_that_comes_again_is_known_and_accepted(world: World) -> None:
    world.github.create_deployment("acme/web", "main")
    assert world.github.deliver() == [202]
    assert world.github.deliver(world.github.deliveries[-1]) == [202]
    world.settle()
    assert world.github.deliver(world.github.deliveries[-1]) == [202]
    assert world.waiting() == []


def test_a_delivery_without_an_id_is_known_by_its_body(world: World) -> None:
    for body in (b'{"zen": "a"}', b'{"zen": "a"}', b'{"zen": "b"}'):
        assert to_github_door(world, body, "ping", x_github_delivery="").status_code == 202
    assert [one["zen"] for one in stored(world)] == ["a", "b"]


def test_github_is_told_nothing_before_the_commit(world: World) -> None:
    world.github.create_deployment("acme/web", "main")
    with unwritable(world):
        assert world.github.deliver() == [503]
    assert stored(world) == []
    assert world.github.deliver(world.github.deliveries[-1]) == [202]
    assert len(stored(world)) == 1


def test_many_webhooks_at_once_are_all_stored(world: World) -> None:
    def send(number: int) -> int:
        body = json.dumps({"zen": str(number % 100)}).encode()
        return to_github_door(world, body, "ping", delivery=f"delivery-{number % 100}").status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(send, range(200))) == {202}
    assert {body["zen"] for body in stored(world)} == {str(number) for number in range(100)}
    assert len(stored(world)) == 100


def test_an_event_that_nobody_needs_is_told_so(world: World) -> None:
    for name in ("fork", "star", "no_such_event", "gollum", "déploiement"):
        answer = to_github_door(world, b'{"ref": "main"}', x_github_event=name.encode())
        assert (answer.status_code, answer.text) == (204, "")
    assert stored(world) == []


def test_webhooks_are_posted(world: World) -> None:
    assert CLIENT.get(f"{world.servers.bot_url}/github/webhooks").status_code == 405
    assert CLIENT.put(f"{world.servers.bot_url}/github/webhooks", content=b"{}").status_code == 405


def test_nothing_else_is_there(world: World) -> None:
    for path in ("/", "/slack", "/github/webhooks/", "/slack/events/../x", "/%00", "/login"):
        assert CLIENT.get(world.servers.bot_url + path).status_code == 404
