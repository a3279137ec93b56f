"""Modals, menus and the home tab at the door: stored, then acknowledged, over HTTP and through a websocket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from bot.slack.client import SlackClient
from bot.slack.listeners import SlackEvents, SocketMode, build_app
from bot.store.intake import Intake
from tests.core.sending import JSON, stored, to_slack_door, unwritable
from tests.world import World

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def words(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def option(name: str) -> dict[str, Any]:
    return {"text": words(name), "value": name}


def entry(name: str, element: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "input", "block_id": name, "label": words(name), "element": element | {"action_id": name}, **more}


FORM = {
    "type": "modal",
    "callback_id": "deploy",
    "private_metadata": "C0OPS",
    "title": words("Deploy"),
    "submit": words("Deploy"),
    "blocks": [
        entry("app", {"type": "static_select", "options": [option("web"), option("api")]}, dispatch_action=True),
        entry("ref", {"type": "external_select", "min_query_length": 0}),
        entry("reason", {"type": "plain_text_input"}, optional=True),
    ],
}
WORKING = {"type": "modal", "title": words("Deploy"), "blocks": [{"type": "section", "text": words("On its way…")}]}
HOME = {
    "type": "home",
    "blocks": [{"type": "actions", "elements": [{"type": "button", "action_id": "again", "text": words("Again")}]}],
}


class Door:
    """The listeners in a world of their own, and what they asked the three callables."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.slack = world.slack
        self.broken = False
        self.threads: list[str] = []
        self.intake = Intake(world.store, world.clock)
        self.app = build_app(
            self.intake, world.slack.bot_token, taken_in=self.taken_in, suggest=self.suggest, faults=self.faults
        )

    def faults(self, view: dict[str, Any]) -> dict[str, str]:
        reason = view["state"]["values"]["reason"]["reason"]["value"] or ""
        return {"reason": "Say it politely."} if "damn" in reason else {}

    def taken_in(self, view: dict[str, Any]) -> dict[str, Any]:
        if self.broken:
            raise RuntimeError("no view today")
        return {**WORKING, "private_metadata": view["private_metadata"]}

    def suggest(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        self.threads.append(threading.current_thread().name)
        if self.broken:
            raise RuntimeError("no refs today")
        return [option(name) for name in ("main", "topic", "tidy") if name.startswith(body["value"])]

    def open(self) -> str:
        with self.slack._workspace.lock:
            trigger = self.slack._workspace.new_trigger("U0ANA")
        client = SlackClient(f"{self.slack.url}/api/", self.slack.bot_token, self.world.clock)
        client.publish_home("U0ANA", HOME)
        return client.open_view(trigger, FORM)


@pytest.fixture
def door(request: pytest.FixtureRequest, world: World) -> Iterator[Door]:
    """Over HTTP, or with `socket` through a websocket."""
    door = Door(world)
    if getattr(request, "param", "http") == "http":
        events = SlackEvents(door.app, world.slack.signing_secret, lambda status: None)
        world.servers.inside.apps = {"/": events}
        yield door
    else:
        mode = SocketMode(door.app, world.slack.app_token, world.slack.bot_token, world.settings.slack_api_url)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()

        async def start() -> None:
            mode.start()

        asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        world.slack.sockets.wait()
        world.slack.socket_mode = True
        yield door
        asyncio.run_coroutine_threadsafe(mode.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    door.intake.close()


both = pytest.mark.parametrize("door", ["http", "socket"], indirect=True)
MAIN = {"app": "web", "ref": option("main")}


@both
def test_a_submission_is_stored_and_shows_that_it_is_worked_on(door: Door) -> None:
    view_id = door.open()
    assert door.slack.submit_view("U0ANA", MAIN | {"reason": "demo"}).ok
    assert door.world.waiting() == ["slack.view"]
    (body,) = stored(door.world)
    assert "token" not in body
    assert (body["user"]["id"], body["view"]["id"], body["view"]["callback_id"]) == ("U0ANA", view_id, "deploy")
    assert body["view"]["state"]["values"]["ref"]["ref"]["selected_option"] == option("main")
    (shown,) = door.slack.views("U0ANA")
    assert (shown["id"], door.slack.text_of(shown)) == (view_id, "Deploy\nOn its way…")

    assert door.slack.repeat_last().ok
    assert len(stored(door.world)) == 1, "what comes again is known"


@both
def test_what_is_wrong_by_itself_is_shown_and_not_stored(door: Door) -> None:
    door.open()
    assert door.slack.submit_view("U0ANA", MAIN | {"reason": "damn"}).ok
    assert door.slack.views("U0ANA")[0]["errors"] == {"reason": "Say it politely."}
    assert stored(door.world) == []
    door.slack.submit_view("U0ANA", {"reason": "please"})
    assert door.world.waiting() == ["slack.view"]


@both
def test_a_menu_is_told_what_it_offers_and_nothing_is_stored(door: Door) -> None:
    door.open()
    answer = door.slack.block_suggestion("U0ANA", "ref", "t")
    assert answer.json() == {"options": [option("topic"), option("tidy")]}
    assert door.slack.block_suggestion("U0ANA", "ref", "zzz").json() == {"options": []}
    assert stored(door.world) == []
    assert not any("MainThread" in name or "uvicorn" in name for name in door.threads)


@both
def test_choices_and_clicks_without_a_room_are_stored(door: Door) -> None:
    door.open()
    assert door.slack.click_view("U0ANA", "app", "api", values={"reason": "demo"}).ok
    home = door.slack.home("U0ANA")
    assert home is not None
    assert door.slack.click_view("U0ANA", "again", view_id=home["id"]).ok
    assert door.world.waiting() == ["slack.click", "slack.click"]
    chosen, clicked = stored(door.world)
    assert chosen["actions"][0]["selected_option"] == option("api")
    assert "value" not in chosen["actions"][0]
    assert chosen["view"]["state"]["values"]["reason"]["reason"]["value"] == "demo"
    assert {"id", "hash", "callback_id", "private_metadata"} <= chosen["view"].keys()
    assert (clicked["view"]["type"], "channel" in clicked) == ("home", False)


@both
def test_the_home_tab_opens(door: Door) -> None:
    assert door.slack.open_home("U0ANA").ok
    assert door.slack.open_home("U0ANA", tab="messages").ok
    assert door.world.waiting() == ["slack.event"]
    assert stored(door.world)[0]["event"]["user"] == "U0ANA"


def test_what_can_not_be_stored_leaves_the_form_as_it_was(door: Door) -> None:
    door.open()
    with unwritable(door.world):
        assert door.slack.submit_view("U0ANA", MAIN).status == 503
    assert door.slack.text_of(door.slack.views("U0ANA")[0]).startswith("Deploy\napp:")
    assert door.slack.submit_view("U0ANA").ok


def test_what_is_broken_here_is_not_blamed_on_slack(door: Door) -> None:
    door.open()
    door.broken = True
    assert door.slack.submit_view("U0ANA", MAIN).status == 503
    assert door.slack.block_suggestion("U0ANA", "ref", "m").status == 503
    assert stored(door.world) == []


def test_without_callables_a_submission_closes_and_a_menu_is_empty(door: Door) -> None:
    app = build_app(door.intake, door.slack.bot_token)
    door.world.servers.inside.apps = {"/": SlackEvents(app, door.slack.signing_secret, lambda status: None)}
    door.open()
    assert door.slack.block_suggestion("U0ANA", "ref", "m").json() == {"options": []}
    assert door.slack.submit_view("U0ANA", MAIN | {"reason": "damn"}).ok
    assert door.slack.views("U0ANA") == []
    assert door.world.waiting() == ["slack.view"]


VIEW = {
    "type": "modal",
    "id": "V1",
    "hash": "1.a",
    "callback_id": "deploy",
    "private_metadata": "",
    "state": {"values": {}},
}
ANA = {"id": "U0ANA"}
BAD = [
    ({"type": "view_submission", "user": ANA, "view": VIEW | {"id": ""}}, "view.id"),
    ({"type": "view_submission", "user": {}, "view": VIEW}, "user.id: missing"),
    ({"type": "view_submission", "view": VIEW}, "user"),
    ({"type": "view_submission", "user": ANA, "view": VIEW | {"hash": None}}, "view.hash"),
    ({"type": "view_submission", "user": ANA, "view": VIEW | {"state": []}}, "view.state"),
    ({"type": "view_submission", "user": ANA, "view": VIEW | {"state": {"values": {"a": 1}}}}, "view.state.values.a"),
    ({"type": "view_submission", "user": ANA, "view": VIEW | {"private_metadata": 7}}, "view.private_metadata"),
    ({"type": "block_suggestion", "action_id": "ref"}, "user"),
    ({"type": "block_suggestion", "action_id": "ref", "user": ANA, "value": ["m"]}, "value"),
    ({"type": "block_suggestion", "action_id": "ref", "user": ANA, "view": "V1"}, "view"),
    (
        {"type": "block_actions", "trigger_id": "t", "user": ANA, "actions": [{"action_id": "a"}], "view": {}},
        "view.id: missing",
    ),
    (
        {
            "type": "block_actions",
            "trigger_id": "t",
            "user": ANA,
            "actions": [{"action_id": "a", "selected_option": "web"}],
        },
        "actions.0.selected_option",
    ),
    ({"type": "event_callback", "event_id": "E1", "event": {"type": "app_home_opened"}}, "event.user: missing"),
    (
        {"type": "event_callback", "event_id": "E1", "event": {"type": "app_home_opened", "user": "U0ANA", "tab": 1}},
        "event.tab",
    ),
]


def test_what_slack_would_never_send_is_named(door: Door) -> None:
    for body, place in BAD:
        text = json.dumps(body).encode()
        if body["type"] == "event_callback":
            answer = to_slack_door(door.world, text, JSON)
        else:
            answer = to_slack_door(door.world, urlencode({"payload": text}).encode())
        assert answer.status_code == 400, body
        assert place in answer.text, (body, answer.text)
        assert door.world.slack.signing_secret not in answer.text
    assert stored(door.world) == []


def test_an_answer_says_that_it_is_json(door: Door) -> None:
    body = {"type": "block_suggestion", "user": ANA, "action_id": "ref", "value": "m", "view": VIEW}
    answer = to_slack_door(door.world, urlencode({"payload": json.dumps(body)}).encode())
    assert (answer.status_code, answer.json()) == (200, {"options": [option("main")]})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
