"""Socket Mode: Bolt's own handler at the simulated websocket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk import WebClient
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.serving import Served
from bot.playground.slack import SimulatedSlack


class SocketBot:
    """A Bolt app with Socket Mode in a thread and a loop of its own."""

    def __init__(self, slack: SimulatedSlack) -> None:
        self.told: list[dict] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._handler = self._run(self._connect(slack))

    async def _connect(self, slack: SimulatedSlack) -> AsyncSocketModeHandler:
        client = AsyncWebClient(slack.bot_token, base_url=f"{slack.url}/api/")
        app = AsyncApp(client=client, signing_secret=slack.signing_secret, process_before_response=True)

        @app.command("/deploy")
        async def command(ack, body):
            self.told.append(body)
            await ack(f"Heard: {body['text']}")

        @app.event("app_mention")
        async def event(body):
            self.told.append(body)

        @app.action("go")
        async def action(ack, body):
            self.told.append(body)
            await ack()

        handler = AsyncSocketModeHandler(app, slack.app_token)
        await handler.connect_async()
        return handler

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def close(self) -> None:
        self._run(self._handler.close_async())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def slack() -> Iterator[SimulatedSlack]:
    simulated = SimulatedSlack()
    simulated.add_person("U0ANA", "ana")
    simulated.add_room("C0OPS", "ops")
    simulated.socket_mode = True
    with Served(simulated.asgi) as served:
        simulated.url = served.url
        yield simulated


@pytest.fixture
def bot(slack: SimulatedSlack) -> Iterator[SocketBot]:
    bot = SocketBot(slack)
    slack.sockets.wait()
    yield bot
    bot.close()


def test_commands_events_and_clicks_go_through_the_websocket(slack, bot):
    assert slack.command("ana", "ops", "web").status == 200
    slack.mention("ana", "ops", "apps")
    button = {
        "type": "button",
        "action_id": "go",
        "value": "42",
        "text": {"type": "plain_text", "text": "Go"},
    }
    client = WebClient(slack.bot_token, base_url=f"{slack.url}/api/")
    blocks = [{"type": "actions", "elements": [button]}]
    ts = client.chat_postMessage(channel="C0OPS", text="card", blocks=blocks)["ts"]
    assert slack.click("ana", "ops", ts, "go").status == 200
    assert [told.get("command") or told["type"] for told in bot.told] == [
        "/deploy",
        "event_callback",
        "block_actions",
    ]
    assert slack.transcript("ops").splitlines() == [
        "@ana: /deploy web",
        "shipbot (only @ana sees): Heard: web",
        "@ana: @shipbot apps",
        "shipbot: [Go]",
    ]
    assert slack.violations == []


def test_a_repeated_envelope_holds_the_same_payload(slack, bot):
    slack.mention("ana", "ops", "apps")
    assert slack.repeat_last().status == 200
    assert bot.told[0]["event_id"] == bot.told[1]["event_id"]


def test_the_bot_comes_back_when_slack_sends_it_away(slack, bot):
    slack.sockets.disconnect()
    slack.sockets.wait()
    assert slack.command("ana", "ops", "web").status == 200


def test_nobody_connected_shows_as_slacks_own_error(slack):
    assert slack.command("ana", "ops", "web").status == 0
    assert "operation_timeout" in slack.transcript("ops")


def test_a_ticket_is_good_for_one_websocket(slack, bot):
    assert slack.sockets.count == 1
    assert not slack._workspace.tickets
