"""A small Bolt app for the tests of what people do, and the messages and forms it shows."""

from __future__ import annotations

from dataclasses import dataclass, field

from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk import WebClient
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.playground.slack import SimulatedSlack


@dataclass
class Bot:
    """A small Bolt app that keeps what it was told and answers as it is set to."""

    slack: SimulatedSlack
    told: list[dict] = field(default_factory=list)
    requests: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    say: object = None  # for the answers of commands, submissions and suggestions
    down: bool = False

    def asgi(self) -> Starlette:
        client = AsyncWebClient("xoxb-playground", base_url=f"{self.slack.url}/api/")
        app = AsyncApp(client=client, signing_secret=self.slack.signing_secret, process_before_response=True)

        @app.command("/deploy")
        @app.view("form")
        async def answered(ack, body):
            self.told.append(body)
            await (ack(**self.say) if isinstance(self.say, dict) else ack(self.say or ""))

        @app.event("app_mention")
        @app.event("message")
        @app.event("app_home_opened")
        @app.event("team_rename")
        async def event(body):
            self.told.append(body)

        @app.action({"block_id": "a"})
        @app.action({"block_id": "where"})
        @app.view_closed("form")
        @app.shortcut("go")
        async def acked(ack, body):
            self.told.append(body)
            await ack()

        @app.options("pick")
        async def options(ack, body):
            self.told.append(body)
            await ack(options=[{"text": {"type": "plain_text", "text": body["value"]}, "value": "1"}])

        handler = AsyncSlackRequestHandler(app)

        async def events(request: Request) -> Response:
            if self.down:
                return PlainTextResponse("down", 503)
            self.requests.append((await request.body(), dict(request.headers)))
            return await handler.handle(request)

        return Starlette(routes=[Route("/slack/events", events, methods=["POST"])])


def button(action_id: str, value: str, text: str = "Go") -> dict:
    return {
        "type": "button",
        "text": {"type": "plain_text", "text": text},
        "action_id": action_id,
        "value": value,
    }


def actions(*elements: dict) -> list[dict]:
    return [{"type": "actions", "block_id": "a", "elements": list(elements)}]


def form(**more) -> dict:
    plain = {"type": "plain_text", "text": "Reason"}
    return {
        "type": "modal",
        "callback_id": "form",
        "title": plain,
        "submit": plain,
        "notify_on_close": True,
        "blocks": [
            {
                "type": "input",
                "block_id": "reason",
                "label": plain,
                "element": {"type": "plain_text_input", "action_id": "why", "initial_value": "none"},
            },
            {
                "type": "section",
                "block_id": "a",
                "text": plain,
                "accessory": {
                    "type": "static_select",
                    "action_id": "where",
                    "options": [{"text": plain, "value": "staging"}, {"text": plain, "value": "production"}],
                },
            },
        ],
        **more,
    }


def open_form(slack: SimulatedSlack, bot: Bot, client: WebClient, **more) -> dict:
    slack.command("ana", "ops", "lock")
    return client.views_open(trigger_id=bot.told[-1]["trigger_id"], view=form(**more))["view"]
