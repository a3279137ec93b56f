"""The playground's JSON over real HTTP, without a bot."""

from __future__ import annotations

import json

import pytest

from bot.deploys.config_file import load_config
from bot.playground.seed import OPS, WEB_TEAM, config_yaml
from bot.playground.server import STATIC
from tests.playground.places import Place


def test_a_newcomer_finds_people_rooms_apps_and_a_line_that_says_what_to_type(place: Place) -> None:
    state = place.state()

    assert [person["name"] for person in state["people"]] == ["ana", "ben", "cal"]
    assert [room["name"] for room in state["rooms"]] == ["ops", "web-team", "releases", "shipbot"]
    assert [app["name"] for app in state["apps"]] == ["web", "api", "docs"]
    assert "/deploy web/topic to staging" in place.lines(OPS)[-1]
    assert state["hints"][0]["tries"][0] == "/deploy web/topic to staging"
    assert {"where APP", "apps"} <= {form["form"] for form in state["forms"]}


def test_the_past_has_good_and_bad_deployments_and_a_red_branch(place: Place) -> None:
    deployments = place.repository()["deployments"]

    assert [each["state"] for each in deployments] == ["success", "success", "failure", "inactive", "success"]
    assert deployments == sorted(deployments, key=lambda each: each["created_at"], reverse=True)
    assert {check["name"]: check["state"] for check in place.branch("fix/cart-total")["checks"]} == {
        "ci/build": "failure",
        "lint": "success",
    }


def test_the_config_that_comes_with_it_is_one_the_bot_takes(tmp_path) -> None:
    (tmp_path / "shipbot.yml").write_text(config_yaml("http://127.0.0.1:9"), encoding="utf-8")

    assert list(load_config(tmp_path / "shipbot.yml").apps) == ["web", "api", "docs"]


def test_what_is_said_appears_in_the_room_for_everyone(place: Place) -> None:
    answer = place.client.post("/playground/say", json={"user": "U0BEN", "room": OPS, "text": "a < b & c"})

    assert answer.status_code == 200
    assert place.lines(OPS)[-1] == place.lines(OPS, "U0CAL")[-1] == "a &lt; b &amp; c"


def test_a_command_that_no_bot_takes_is_told_to_its_writer_alone(place: Place) -> None:
    answer = place.client.post("/playground/say", json={"user": "U0BEN", "room": OPS, "text": "/deploy web"})

    assert answer.status_code == 200
    assert place.lines(OPS, "U0BEN")[-2] == "/deploy web"
    assert "/deploy failed" in place.lines(OPS, "U0BEN")[-1]
    assert not any("/deploy failed" in line for line in place.lines(OPS))
    assert "/deploy web" not in place.lines(OPS)


def test_a_push_moves_the_branch_and_its_new_head_has_no_checks(place: Place) -> None:
    before = place.branch("topic")["sha"]
    answer = place.client.post(
        "/playground/github/push", json={"repository": "acme/web", "branch": "topic", "message": "Tidy up"}
    )

    assert answer.json()["sha"] == place.branch("topic")["sha"] != before
    assert place.branch("topic")["message"] == "Tidy up"
    assert place.branch("topic")["checks"] == []


@pytest.mark.parametrize("name", ["ci/build", "lint", "ci/new"])
@pytest.mark.parametrize("state", ["failure", "success", "pending"])
def test_a_check_turns_as_told_whether_it_is_a_status_or_a_check_run(place: Place, name: str, state: str) -> None:
    answer = place.client.post(
        "/playground/github/check",
        json={"repository": "acme/web", "branch": "topic", "name": name, "state": state},
    )

    assert answer.status_code == 200
    assert [each["state"] for each in place.branch("topic")["checks"] if each["name"] == name] == [state]


def test_a_report_is_written_with_words_and_links_that_lead_somewhere(place: Place) -> None:
    number = place.github.create_deployment("acme/web", "topic", environment="staging")
    for state in ("queued", "in_progress", "success"):
        answer = place.client.post(
            "/playground/github/report", json={"repository": "acme/web", "deployment": number, "state": state}
        )
        assert answer.status_code == 200

    shown = place.repository()["deployments"][0]
    newest = shown["statuses"][0]
    assert (shown["state"], len(shown["statuses"])) == ("success", 3)
    assert newest["description"]
    assert "success" in place.client.get(newest["log_url"]).text
    assert "is live" in place.client.get(newest["environment_url"]).text


BAD = [
    ("say", {"user": "U0NOBODY", "room": OPS, "text": "hi"}),
    ("say", {"user": "U0SHIPBOT", "room": OPS, "text": "hi"}),
    ("say", {"user": "U0ANA", "room": "C0NOWHERE", "text": "hi"}),
    ("say", {"user": "U0ANA", "room": OPS, "text": "   "}),
    ("say", {"user": "U0ANA", "room": OPS, "text": "x" * 5000}),
    ("say", {"user": "U0ANA", "room": OPS}),
    ("say", {"user": "U0ANA", "room": OPS, "text": "hi", "extra": 1}),
    ("say", {"user": ["U0ANA"], "room": OPS, "text": "hi"}),
    ("click", {"user": "U0ANA", "room": OPS, "ts": "1.000", "action_id": "deploy_cancel"}),
    ("click", {"user": "U0ANA", "room": "C0NOWHERE", "ts": "1.000", "action_id": "deploy_cancel"}),
    ("view/submit", {"user": "U0NOBODY", "view": "V1"}),
    ("view/submit", {"user": "U0ANA", "view": "V1"}),
    ("view/submit", {"user": "U0ANA", "view": "V1", "values": {"why": "x"}}),
    ("view/close", {"user": "U0ANA", "view": "V1"}),
    ("view/close", {"user": "U0ANA"}),
    ("view/act", {"user": "U0ANA", "view": "V1", "block_id": "b", "action_id": "a"}),
    ("view/act", {"user": "U0ANA", "view": "V1", "block_id": "b", "action_id": "a", "value": {"text": "x"}}),
    ("view/options", {"user": "U0ANA", "view": "V1", "action_id": "ref", "query": "x" * 300}),
    ("view/options", {"user": "U0ANA", "view": "V1", "action_id": "ref", "query": "x"}),
    ("home/open", {"user": "U0SHIPBOT"}),
    ("home/open", {}),
    ("github/push", {"repository": "acme/nothing", "branch": "main"}),
    ("github/push", {"repository": "acme/web", "branch": ""}),
    ("github/push", {"repository": "acme/web", "branch": "two words"}),
    ("github/check", {"repository": "acme/web", "branch": "nope", "name": "ci/build", "state": "success"}),
    ("github/check", {"repository": "acme/web", "branch": "main", "name": "ci/build", "state": "purple"}),
    ("github/report", {"repository": "acme/web", "deployment": 1, "state": "success"}),
    ("github/report", {"repository": "acme/web", "deployment": 10**400, "state": "success"}),
    ("github/report", {"repository": "acme/nothing", "deployment": 1, "state": "success"}),
    ("github/report", {"repository": "acme/web", "deployment": 1, "state": "exploded"}),
]


@pytest.mark.parametrize(("path", "body"), BAD)
def test_bad_input_is_refused_in_words(place: Place, path: str, body: dict) -> None:
    answer = place.client.post(f"/playground/{path}", json=body)

    assert answer.status_code == 400
    assert len(answer.json()["error"]) > 5


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"user": "\\ud800"}', b"x" * 100_000, b"[" * 50_000]
)
@pytest.mark.parametrize(
    "path", ["say", "click", "view/submit", "view/act", "home/open", "github/push", "github/check", "github/report"]
)
def test_a_body_that_is_no_json_object_is_refused(place: Place, path: str, body: bytes) -> None:
    answer = place.client.post(f"/playground/{path}", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_form_of_another_site_is_refused(place: Place) -> None:
    body = json.dumps({"user": "U0ANA", "room": OPS, "text": "hi"})
    answer = place.client.post("/playground/say", content=body, headers={"Content-Type": "text/plain"})

    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/playground/state", "/playground/events"])
def test_nobody_looks_as_somebody_unknown(place: Place, path: str) -> None:
    answer = place.client.get(path, params={"viewer": "U0NOBODY"})

    assert answer.status_code == 400
    assert "U0NOBODY" in answer.json()["error"]


@pytest.mark.parametrize(
    "path",
    ["log/acme/web/1", "log/acme/nothing/1", "site/acme/nothing/at/staging", "log/acme/web/99999999999999999999"],
)
def test_links_to_what_is_not_there_are_no_server_errors(place: Place, path: str) -> None:
    assert place.client.get(f"/playground/{path}").status_code in (400, 404)


def test_the_stream_brings_the_state_at_once_and_after_each_change(place: Place) -> None:
    with place.client.stream("GET", "/playground/events", params={"viewer": "U0CAL"}) as answer:
        states = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
        assert next(states)["viewer"] == "U0CAL"

        place.slack.say("U0ANA", WEB_TEAM, "hello")
        room = next(each for each in next(states)["rooms"] if each["id"] == WEB_TEAM)
        assert room["messages"][-1]["text"] == "hello"

        place.github.push("acme/web", "topic", "One more")
        branches = next(states)["github"]["repositories"][0]["branches"]
        assert "One more" in [branch["message"] for branch in branches]


def test_an_open_stream_ends_when_the_playground_closes(place: Place) -> None:
    with place.client.stream("GET", "/playground/events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: state"
        place.playground.close()
        assert [line for line in lines if line.startswith("event:")] == []


def test_the_page_asks_for_nothing_from_elsewhere(place: Place) -> None:
    page = place.client.get("/")

    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in page.text.replace("http-equiv", "")
    for path in (p for p in STATIC.iterdir() if p.suffix in (".css", ".js")):
        text = place.client.get(f"/static/{path.name}").text
        assert text == path.read_text(encoding="utf-8")
        assert "innerHTML" not in text
        assert "@import" not in text
        assert "url(" not in text
