"""A playground without the real bot, and a small bot that shows a form and a home tab in it."""

from __future__ import annotations

import re
from typing import Any

import httpx
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.playground.github import SimulatedGitHub
from bot.playground.seed import Clock, seed
from bot.playground.server import Playground
from bot.playground.serving import HOST, Served
from bot.playground.slack import SimulatedSlack
from bot.playground.stage import free_port, serve

REFS = {"web": ["main", "topic", "fix/cart-total"], "api": ["main", "v2"]}


class Place:
    """A seeded playground and a client of it."""

    def __init__(self) -> None:
        clock = Clock()
        self.github, self.slack = SimulatedGitHub(now=clock), SimulatedSlack(now=clock)
        seed(self.github, self.slack, clock)
        self.slack.bot_url = f"http://{HOST}:{free_port()}"  # nobody is there
        self.playground = Playground(self.github, self.slack)
        self.served = serve(self.playground, 0)
        self.client = httpx.Client(base_url=self.served.url, trust_env=False, timeout=10)

    def state(self, viewer: str = "U0ANA") -> dict:
        answer = self.client.get("/playground/state", params={"viewer": viewer})
        assert answer.status_code == 200
        return answer.json()

    def repository(self, name: str = "acme/web") -> dict:
        return next(each for each in self.state()["github"]["repositories"] if each["name"] == name)

    def branch(self, name: str) -> dict:
        return next(each for each in self.repository()["branches"] if each["name"] == name)

    def lines(self, room: str, viewer: str = "U0ANA") -> list[str]:
        found = next(each for each in self.state(viewer)["rooms"] if each["id"] == room)
        return [message["text"] for message in found["messages"]]

    def close(self) -> None:
        self.client.close()
        self.playground.close()
        self.served.close()


def words(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def option(value: str, about: str = "") -> dict[str, Any]:
    return {"text": words(value), "value": value, **({"description": words(about)} if about else {})}


def entry(name: str, label: str, element: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "input", "block_id": name, "label": words(label), "element": element | {"action_id": name}, **more}


def deploy_form(app: str = "web") -> dict[str, Any]:
    """A form with every kind of input that the bot uses."""
    where = [option("staging", "live: 4c7b474"), option("production", "live: a81f0c2")]
    options = [option("force", "Skips checks and order, never locks and approvals"), option("quiet")]
    return {
        "type": "modal",
        "callback_id": "form",
        "private_metadata": app,
        "title": words("Deploy"),
        "submit": words("Deploy"),
        "close": words("Cancel"),
        "blocks": [
            entry(
                "app",
                "App",
                {"type": "static_select", "options": [option(each) for each in REFS], "initial_option": option("web")},
                dispatch_action=True,
            ),
            entry(f"ref-{app}", "Branch, tag or commit", {"type": "external_select", "min_query_length": 0}),
            entry("where", "Where to", {"type": "radio_buttons", "options": where}),
            {"type": "divider"},
            entry("reason", "Why", {"type": "plain_text_input", "max_length": 200}, optional=True),
            entry("options", "Options", {"type": "checkboxes", "options": options}, optional=True),
            {"type": "context", "elements": [{"type": "mrkdwn", "text": f"*{app}* has {len(REFS[app])} refs"}]},
        ],
    }


def on_its_way(line: str) -> dict[str, Any]:
    text = {"type": "mrkdwn", "text": line}
    return {"type": "modal", "title": words("Deploy"), "blocks": [{"type": "section", "text": text}]}


HOME = {
    "type": "home",
    "blocks": [
        {"type": "header", "text": words("What waits for you")},
        {"type": "section", "text": {"type": "mrkdwn", "text": "*web* to *production* waits for <!subteam^S0RELEASE>"}},
        {
            "type": "actions",
            "elements": [
                {"type": "button", "action_id": "go", "text": words("Deploy…"), "style": "primary"},
                {"type": "static_select", "action_id": "pick", "options": [option("web"), option("api")]},
            ],
        },
    ],
}


class FormBot:
    """Shows `deploy_form` after `/deploy`, follows what is chosen in it, and publishes `HOME`. `told` has all that
    it heard; while it `refuses`, it answers with 503."""

    def __init__(self, place: Place) -> None:
        self.told: list[dict[str, Any]] = []
        self.refuses = False
        client = AsyncWebClient("xoxb-playground", base_url=f"{place.slack.url}/api/")
        app = AsyncApp(client=client, signing_secret=place.slack.signing_secret, process_before_response=True)

        @app.command("/deploy")
        @app.action("go")
        async def show(ack: Any, body: dict[str, Any]) -> None:
            self.told.append(body)
            await ack()
            await client.views_open(trigger_id=body["trigger_id"], view=deploy_form())

        @app.action("app")
        async def chosen(ack: Any, body: dict[str, Any]) -> None:
            self.told.append(body)
            await ack()
            view = deploy_form(body["actions"][0]["selected_option"]["value"])
            await client.views_update(view_id=body["view"]["id"], hash=body["view"]["hash"], view=view)

        @app.action("pick")
        async def picked(ack: Any, body: dict[str, Any]) -> None:
            self.told.append(body)
            await ack()

        @app.options(re.compile("ref-"))
        async def offered(ack: Any, body: dict[str, Any]) -> None:
            self.told.append(body)
            refs = REFS[body["view"]["private_metadata"]]
            await ack(options=[option(ref) for ref in refs if body["value"] in ref])

        @app.view("form")
        async def submitted(ack: Any, body: dict[str, Any]) -> None:
            self.told.append(body)
            values = body["view"]["state"]["values"]
            if "!" in (values["reason"]["reason"]["value"] or ""):
                await ack(response_action="errors", errors={"reason": "Say it without shouting."})
            else:
                await ack(response_action="update", view=on_its_way("On its way…"))

        @app.event("app_home_opened")
        async def opened(body: dict[str, Any]) -> None:
            self.told.append(body)
            await client.views_publish(user_id=body["event"]["user"], view=HOME)

        @app.event("message")
        @app.event("app_mention")
        async def heard(body: dict[str, Any]) -> None:
            self.told.append(body)

        handler = AsyncSlackRequestHandler(app)

        async def events(request: Request) -> Response:
            if self.refuses:
                return PlainTextResponse("not now", 503)
            return await handler.handle(request)

        self.served = Served(Starlette(routes=[Route("/slack/events", events, methods=["POST"])]))
        place.slack.bot_url = self.served.url
        place.slack.add_usergroup("S0RELEASE", "release", ["U0BEN"])

    def close(self) -> None:
        self.served.close()
