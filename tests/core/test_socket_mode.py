"""Socket Mode: the same requests through a websocket, acknowledged only when they are stored."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from bot.slack.listeners import SocketMode, build_app
from bot.store.intake import Intake
from tests.core.sending import stored, unwritable
from tests.world import World


@pytest.fixture
def connected(world: World) -> Iterator[World]:
    """The bot's socket, open; its workers are the world's."""
    intake = Intake(world.store, world.clock)
    app = build_app(intake, world.slack.bot_token)
    mode = SocketMode(app, world.slack.app_token, world.slack.bot_token, world.settings.slack_api_url)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> None:
        mode.start()

    asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    world.slack.sockets.wait()
    world.slack.socket_mode = True
    yield world
    asyncio.run_coroutine_threadsafe(mode.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    intake.close()


def test_the_same_conversation_through_a_websocket(connected: World) -> None:
    world = connected
    assert world.slack.command("U0ANA", "C0OPS", "web/topic to staging").ok
    assert world.slack.mention("U0ANA", "C0OPS", "where web").ok
    assert world.slack.direct_message("U0BEN", "apps").ok
    assert world.waiting() == ["slack.command", "slack.event", "slack.event"]
    assert all("token" not in body for body in stored(world))
    world.settle()
    assert "*web* to *staging*" in world.room()
    assert "What is live of web" in world.room()
    assert world.slack.messages(world.slack.direct_room("U0BEN"))[-1].text.startswith(
        "1 app\nweb · "
    )  # api stays in its rooms


def test_a_click_through_a_websocket(connected: World) -> None:
    world = connected
    for _ in range(12):
        world.github.create_deployment("acme/web", "main", environment="staging")
    world.deliver()
    world.say("U0ANA", "/deploy history web")
    assert world.slack.click("U0ANA", "C0OPS", world.slack.ephemerals("U0ANA")[-1].ts, "history_page").ok
    assert world.waiting() == ["slack.click"]


def test_what_slack_sends_again_is_known(connected: World) -> None:
    world = connected
    world.slack.mention("U0ANA", "C0OPS", "apps")
    assert world.slack.repeat_last().ok
    assert world.waiting() == ["slack.event"]


def test_what_can_not_be_stored_is_not_acknowledged(connected: World) -> None:
    world = connected
    world.slack.patience = 0.5
    with unwritable(world):
        assert world.slack.command("U0ANA", "C0OPS", "help").status == 0
    assert "operation_timeout" in world.room()
    world.slack.patience = 10
    assert world.slack.repeat_last().ok
    assert world.waiting() == ["slack.command"]


def test_it_comes_back_when_slack_sends_it_away(connected: World) -> None:
    world = connected
    world.slack.sockets.disconnect()
    world.slack.sockets.wait()
    assert world.slack.command("U0ANA", "C0OPS", "help").ok


def test_it_keeps_trying_while_slack_refuses(world: World) -> None:
    """The first connection fails; the bot starts and stops cleanly all the same."""
    world.slack.fail("apps.connections.open", error="internal_error")
    intake = Intake(world.store, world.clock)
    mode = SocketMode(build_app(intake, "xoxb-x"), "xapp-x", "xoxb-x", world.settings.slack_api_url)

    async def briefly() -> None:
        mode.start()
        while not world.slack.calls:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        await mode.stop()

    asyncio.run(briefly())
    intake.close()
