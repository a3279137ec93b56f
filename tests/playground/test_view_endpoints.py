"""Modals and the home tab over the playground's JSON, with a small bot that shows a form."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from bot.playground.seed import OPS
from tests.playground.places import FormBot, Place


def send(place: Place, path: str, **body: Any) -> httpx.Response:
    return place.client.post(f"/playground/{path}", json={"user": "U0ANA", **body})


def filled(**values: Any) -> list[dict[str, Any]]:
    return [{"block_id": name, "action_id": name, "value": value} for name, value in values.items()]


@pytest.fixture
def view(place: Place, bot: FormBot) -> dict[str, Any]:
    """Ana's open form."""
    assert send(place, "say", room=OPS, text="/deploy").status_code == 200
    return place.state()["modal"]


def test_the_state_has_the_viewers_modal_home_and_usergroups(place: Place, bot: FormBot, view: dict[str, Any]) -> None:
    assert (view["title"]["text"], view["errors"]) == ("Deploy", {})
    assert view["values"]["app"]["app"]["selected_option"]["value"] == "web"
    assert place.state("U0BEN")["modal"] is None
    assert place.state()["usergroups"] == [{"id": "S0RELEASE", "handle": "release"}]

    assert place.state()["home"] is None
    assert send(place, "home/open").status_code == 200
    assert place.state()["home"]["blocks"][0]["type"] == "header"
    assert place.state("U0BEN")["home"] is None


def test_a_form_from_search_to_submission(place: Place, bot: FormBot, view: dict[str, Any]) -> None:
    found = send(place, "view/options", view=view["id"], action_id="ref-web", query="top").json()["options"]
    assert [each["value"] for each in found] == ["topic"]

    answer = send(place, "view/submit", view=view["id"], values=filled(where="staging"))
    assert (answer.status_code, answer.json()["status"]) == (200, 0)
    assert place.state()["modal"]["errors"] == {"ref-web": "Please complete this required field."}

    option = {"text": "topic", "value": "topic"}
    values = [*filled(reason="no!"), {"block_id": "ref-web", "action_id": "ref-web", "value": option}]
    assert send(place, "view/submit", view=view["id"], values=values).status_code == 200
    assert place.state()["modal"]["errors"] == {"reason": "Say it without shouting."}
    assert place.state()["modal"]["values"]["where"]["where"]["selected_option"]["value"] == "staging"

    assert send(place, "view/submit", view=view["id"], values=filled(reason=None)).status_code == 200
    held = bot.told[-1]["view"]["state"]["values"]
    assert held["ref-web"]["ref-web"]["selected_option"]["text"]["text"] == "topic"
    assert held["reason"]["reason"]["value"] is None
    assert place.state()["modal"]["submit"] is None
    assert send(place, "view/close", view=view["id"]).status_code == 200
    assert place.state()["modal"] is None


def test_a_choice_tells_the_bot_what_else_is_filled_in(place: Place, bot: FormBot, view: dict[str, Any]) -> None:
    chosen = {"block_id": "app", "action_id": "app", "value": "api"}
    assert send(place, "view/act", view=view["id"], **chosen, values=filled(reason="demo")).status_code == 200
    assert bot.told[-1]["view"]["state"]["values"]["reason"]["reason"]["value"] == "demo"
    modal = place.state()["modal"]
    assert modal["hash"] != view["hash"]
    assert "ref-api" in modal["values"]


def test_what_can_not_be_done_in_a_view_is_refused_in_words(place: Place, bot: FormBot, view: dict[str, Any]) -> None:
    heard = len(bot.told)
    act = {"view": view["id"], "block_id": "app", "action_id": "app"}
    for path, body, words in (
        ("view/act", {**act, "value": "moon"}, "'moon' can't be chosen in app"),
        ("view/act", {**act, "block_id": "where", "value": "api"}, "nothing here has the action_id 'app'"),
        ("view/act", {**act, "user": "U0BEN", "value": "api"}, "@ben has no view"),
        ("view/close", {"user": "U0BEN", "view": view["id"]}, "@ben has no view"),
        ("view/options", {"view": view["id"], "action_id": "app"}, "asks nobody"),
        ("view/submit", {"view": view["id"], "values": filled(colour="red")}, "nothing in the view is called"),
        ("view/submit", {"view": view["id"], "values": filled(reason=["x"])}, "reason takes no list"),
        ("view/submit", {"view": view["id"], "values": filled(options="force")}, "options takes a list"),
    ):
        answer = send(place, path, **body)
        assert (answer.status_code, words in answer.json()["error"]) == (400, True), answer.text
    assert len(bot.told) == heard


def test_a_bot_that_does_not_answer_is_502(place: Place, bot: FormBot, view: dict[str, Any]) -> None:
    bot.refuses = True
    option = {"text": "main", "value": "main"}
    values = [*filled(where="staging"), {"block_id": "ref-web", "action_id": "ref-web", "value": option}]
    for path, body in (
        ("view/submit", {"view": view["id"], "values": values}),
        ("view/act", {"view": view["id"], "block_id": "app", "action_id": "app", "value": "api"}),
        ("view/options", {"view": view["id"], "action_id": "ref-web"}),
        ("home/open", {}),
    ):
        answer = send(place, path, **body)
        assert (answer.status_code, "HTTP status 503" in answer.json()["error"]) == (502, True), path
    assert place.state()["modal"]["id"] == view["id"], "the form stays open"
