"""People act in the simulated Slack; a real Bolt app behind a real server hears of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.playground.serving import Served
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


@pytest.fixture
def slack() -> Iterator[SimulatedSlack]:
    simulated = SimulatedSlack()
    simulated.add_person("U0ANA", "ana")
    simulated.add_person("U0BEN", "ben")
    simulated.add_room("C0OPS", "ops")
    with Served(simulated.asgi) as served:
        simulated.url = served.url
        yield simulated


@pytest.fixture
def bot(slack: SimulatedSlack) -> Iterator[Bot]:
    bot = Bot(slack)
    with Served(bot.asgi()) as served:
        slack.bot_url = served.url
        yield bot


@pytest.fixture
def client(slack: SimulatedSlack) -> WebClient:
    return WebClient("xoxb-playground", base_url=f"{slack.url}/api/")


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


def test_a_command_is_a_signed_form(slack, bot):
    bot.say = "On it."
    answer = slack.command("@ana", "#ops", "web to production because <this> & that")
    assert (answer.status, answer.body, answer.ok) == (200, "On it.", True)
    body, headers = bot.requests[0]
    assert SignatureVerifier(slack.signing_secret).is_valid_request(body, headers)
    assert not SignatureVerifier("other").is_valid_request(body, headers)
    told = bot.told[0]
    assert (told["user_id"], told["channel_id"], told["channel_name"]) == ("U0ANA", "C0OPS", "ops")
    assert told["text"] == "web to production because &lt;this&gt; &amp; that"
    assert slack.transcript("ops").splitlines() == [
        "@ana: /deploy web to production because <this> & that",
        "shipbot (only @ana sees): On it.",
    ]
    assert slack.transcript("ops", viewer="ben").splitlines() == [
        "@ana: /deploy web to production because <this> & that"
    ]


def test_a_command_may_be_answered_for_all_with_blocks(slack, bot):
    bot.say = {"text": "All", "response_type": "in_channel", "blocks": actions(button("b", "1", "Stop"))}
    slack.command("ana", "ops", "status")
    assert slack.transcript("ops").splitlines()[1] == "shipbot: [Stop]"


def test_what_a_command_names_is_escaped_only_when_the_app_asks_for_it(slack, bot):
    slack.command("ana", "ops", "lock for @ben in #ops @nobody")
    slack.escape_commands = True
    slack.command("ana", "ops", "lock for @ben in #ops @nobody", user_name="someone")
    assert bot.told[0]["text"] == "lock for @ben in #ops @nobody"
    assert bot.told[1]["text"] == "lock for <@U0BEN> in <#C0OPS|ops> @nobody"
    assert bot.told[1]["user_name"] == "someone"


def test_a_failed_command_shows_as_slacks_own_error(slack, bot):
    bot.down = True
    assert slack.command("ana", "ops", "x").status == 503
    slack.bot_url = "http://127.0.0.1:9"
    assert slack.command("ana", "ops", "x").status == 0
    shown = [line for line in slack.transcript("ops").splitlines() if line.startswith("slackbot")]
    assert [line.split("error ")[1] for line in shown] == ["“dispatch_failed”", "“operation_timeout”"]


def test_a_mention_and_its_thread(slack, bot):
    slack.mention("ana", "ops", "deploy web because <!channel> & @here")
    event = bot.told[0]["event"]
    assert event["text"] == ("<@U0SHIPBOT> deploy web because &lt;!channel&gt; &amp; <!here>")
    assert (event["type"], event["user"], event["channel"]) == ("app_mention", "U0ANA", "C0OPS")
    slack.mention("ana", "ops", "@shipbot status", thread_ts=event["ts"])
    assert bot.told[1]["event"]["thread_ts"] == event["ts"]
    assert slack.transcript("ops").splitlines() == [
        "@ana: @shipbot deploy web because <!channel> & @here",
        "  ↳ @ana: @shipbot status",
    ]


def test_a_direct_message(slack, bot):
    assert slack.direct_message("ana", "deploy web").status == 200
    event = bot.told[0]["event"]
    assert (event["type"], event["channel_type"], event["channel"]) == (
        "message",
        "im",
        slack.direct_room("ana"),
    )


def test_say_does_what_the_text_means(slack, bot):
    slack.say("ana", "ops", "/deploy web")
    slack.say("ana", "ops", "@shipbot apps")
    slack.say("ana", slack.direct_room("ana"), "help")
    assert slack.say("ana", "ops", "good morning").status == 0
    slack.events.add("message.channels")
    slack.say("ana", "ops", "good evening")
    kinds = [told.get("command") or told["event"]["type"] for told in bot.told]
    assert kinds == ["/deploy", "app_mention", "message", "message"]


def test_slack_itself_answers_what_is_no_command_of_the_app(slack, bot):
    slack.say("U0ANA", "C0OPS", "hello")
    ts = slack.messages("C0OPS")[-1].ts
    slack.say("U0ANA", "C0OPS", "/dpeloy web")
    slack.say("U0ANA", "C0OPS", "/deploy web", thread_ts=ts)
    told = [message.text for message in slack.ephemerals("U0ANA")]
    assert "/dpeloy is not a valid command." in told
    assert "/deploy is not supported in threads. Sorry!" in told
    assert bot.told == []


def test_other_events(slack, bot):
    slack.send_event({"type": "team_rename", "name": "Playground"})
    slack.open_home("ana")
    assert [told["event"]["type"] for told in bot.told] == ["team_rename", "app_home_opened"]


def test_a_repeated_request_has_the_same_ids_and_a_new_signature(slack, bot):
    slack.mention("ana", "ops", "deploy web")
    slack.signing_time = lambda: datetime.now(UTC).timestamp() + 60
    slack.repeat_last()
    (first, once), (second, again) = bot.requests
    assert first == second
    assert once["x-slack-signature"] != again["x-slack-signature"]
    assert (again["x-slack-retry-num"], again["x-slack-retry-reason"]) == ("1", "http_timeout")
    assert "x-slack-retry-num" not in once
    assert len(slack.messages("ops")) == 1


def test_forged_and_stale_requests_can_be_made(slack, bot):
    body = b"command=%2Fdeploy&text=x"
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    assert slack.deliver_raw(body, form_type | slack.signed(body)).status == 200
    assert slack.deliver_raw(body + b"y", form_type | slack.signed(body)).status == 401
    slack.signing_time = lambda: 1_000_000.0
    assert slack.deliver_raw(body, form_type | slack.signed(body)).status == 401


def test_a_click(slack, bot, client):
    ts = client.chat_postMessage(
        channel="C0OPS", text="card", blocks=actions(button("deploy_approve", "42", "Approve"))
    )["ts"]
    slack.click("ben", "ops", ts, "deploy_approve")
    told = bot.told[0]
    assert (told["type"], told["user"]["id"], told["channel"]["id"]) == ("block_actions", "U0BEN", "C0OPS")
    assert told["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": "C0OPS",
        "is_ephemeral": False,
    }
    assert told["message"]["blocks"][0]["block_id"] == "a"
    chosen = told["actions"][0]
    assert (chosen["action_id"], chosen["value"], chosen["block_id"]) == ("deploy_approve", "42", "a")
    assert told["response_url"].startswith(slack.url)
    slack.click("ben", "ops", ts, "deploy_approve", "43")
    assert bot.told[1]["actions"][0]["value"] == "43"
    with pytest.raises(LookupError):
        slack.click("ben", "ops", ts, "deploy_reject")


def test_a_button_that_an_edit_removed_can_still_be_clicked(slack, bot, client):
    ts = client.chat_postMessage(channel="C0OPS", text="card", blocks=actions(button("go", "1")))["ts"]
    client.chat_update(channel="C0OPS", ts=ts, text="gone")
    slack.click("ana", "ops", ts, "go")
    assert bot.told[0]["actions"][0]["value"] == "1"


def test_a_click_on_what_only_one_person_sees(slack, bot, client):
    client.chat_postEphemeral(channel="C0OPS", user="U0ANA", text="?", blocks=actions(button("go", "1")))
    ts = slack.ephemerals("ana")[0].ts
    with pytest.raises(LookupError):
        slack.click("ben", "ops", ts, "go")
    slack.click("ana", "ops", ts, "go")
    assert bot.told[0]["container"]["is_ephemeral"]
    assert "message" not in bot.told[0]


def test_choices_in_menus(slack, bot, client):
    plain = {"type": "plain_text", "text": "x"}
    options = [{"text": plain, "value": "a"}, {"text": plain, "value": "b"}]
    ts = client.chat_postMessage(
        channel="C0OPS",
        text="menus",
        blocks=actions(
            {"type": "static_select", "action_id": "one", "options": options},
            {"type": "users_select", "action_id": "who"},
            {"type": "checkboxes", "action_id": "some", "options": options},
            {"type": "datepicker", "action_id": "when"},
            {"type": "overflow", "action_id": "more", "options": options},
        ),
    )["ts"]
    for action_id, value in (
        ("one", "b"),
        ("who", "U0BEN"),
        ("some", ["a"]),
        ("when", "2030-01-31"),
        ("more", "a"),
    ):
        slack.click("ana", "ops", ts, action_id, value)
    told = [each["actions"][0] for each in bot.told]
    assert told[0]["selected_option"] == options[1]
    assert told[1]["selected_user"] == "U0BEN"
    assert told[2]["selected_options"] == options[:1]
    assert told[3]["selected_date"] == "2030-01-31"
    assert told[4]["selected_option"] == options[0]


def test_a_modal_from_opening_to_submission(slack, bot, client):
    view = open_form(slack, bot, client, private_metadata="42")
    slack.click_view("ana", "where", "production")
    assert bot.told[-1]["actions"][0]["selected_option"]["value"] == "production"
    bot.say = {"response_action": "errors", "errors": {"reason": "too short"}}
    slack.submit_view("ana", {"why": "x"})
    assert slack.views("ana")[0]["errors"] == {"reason": "too short"}
    bot.say = {"response_action": "update", "view": form(private_metadata="43")}
    slack.submit_view("ana", {"why": "because", "where": "staging"})
    told = bot.told[-1]["view"]
    assert (told["id"], told["private_metadata"]) == (view["id"], "42")
    assert told["state"]["values"]["reason"]["why"] == {"type": "plain_text_input", "value": "because"}
    assert told["state"]["values"]["a"]["where"]["selected_option"]["value"] == "staging"
    assert [each["private_metadata"] for each in slack.views("ana")] == ["43"]
    bot.say = None
    slack.submit_view("ana")
    assert bot.told[-1]["view"]["state"]["values"]["reason"]["why"]["value"] == "none"
    assert slack.views("ana") == []
    assert slack.violations == []


def test_a_modal_closed_updated_and_pushed(slack, bot, client):
    view = open_form(slack, bot, client)
    client.views_update(view_id=view["id"], hash=view["hash"], view=form(private_metadata="new"))
    with pytest.raises(Exception, match="hash_conflict"):
        client.views_update(view_id=view["id"], hash=view["hash"], view=form())
    slack.click_view("ana", "where", "staging")
    top = client.views_push(trigger_id=bot.told[-1]["trigger_id"], view=form())["view"]
    assert top["previous_view_id"] == view["id"]
    slack.close_view("ana")
    assert bot.told[-1]["type"] == "view_closed"
    bot.say = {"response_action": "clear"}
    slack.submit_view("ana")
    assert slack.views("ana") == []


def test_a_trigger_opens_one_view_within_three_seconds(slack, bot, client):
    view = form()
    slack.command("ana", "ops", "lock")
    trigger = bot.told[-1]["trigger_id"]
    client.views_open(trigger_id=trigger, view=view)
    with pytest.raises(Exception, match="exchanged_trigger_id"):
        client.views_open(trigger_id=trigger, view=view)
    with pytest.raises(Exception, match="invalid_trigger_id"):
        client.views_open(trigger_id="1.2.3", view=view)
    slack.command("ana", "ops", "lock")
    slack._workspace.now = lambda: datetime.now(UTC) + timedelta(seconds=4)
    with pytest.raises(Exception, match="expired_trigger_id"):
        client.views_open(trigger_id=bot.told[-1]["trigger_id"], view=view)
    with pytest.raises(Exception, match="invalid_arguments"):
        client.views_open(trigger_id="1.2.3", view={"type": "modal"})
    assert any("missing required field: title" in note for note in slack.violations)


def test_the_home_tab(slack, bot, client):
    client.views_publish(user_id="U0ANA", view={"type": "home", "blocks": actions(button("go", "1", "Deploy"))})
    home = slack.home("ana")
    assert slack.text_of(home) == "[Deploy]"
    slack.click_view("ana", "go", view_id=home["id"])
    assert bot.told[0]["container"] == {"type": "view", "view_id": home["id"]}
    assert slack.home("ben") is None


def test_suggestions_for_a_menu(slack, bot, client):
    ts = client.chat_postMessage(
        channel="C0OPS", text="?", blocks=actions({"type": "external_select", "action_id": "pick"})
    )["ts"]
    answer = slack.block_suggestion("ana", "pick", "we", room="ops", ts=ts)
    assert answer.json()["options"][0]["text"]["text"] == "we"
    assert bot.told[0]["type"] == "block_suggestion"


def test_a_shortcut(slack, bot):
    assert slack.shortcut("ana", "go").status == 200
    assert bot.told[0]["callback_id"] == "go"


def test_payloads_are_json_in_a_form(slack, bot):
    slack.shortcut("ana", "go")
    body, headers = bot.requests[0]
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert body.startswith(b"payload=%7B%22type%22")
    assert json.loads(json.dumps(bot.told[0])) == bot.told[0]


def test_a_button_in_an_attachment(slack, bot, client):
    striped = [{"color": "#2eb886", "blocks": actions(button("go", "1", "Stop"))}]
    ts = client.chat_postMessage(channel="C0OPS", text="card", attachments=striped)["ts"]
    slack.click("ana", "ops", ts, "go")
    assert bot.told[0]["actions"][0]["value"] == "1"
    assert slack.transcript("ops") == "shipbot: card\n  | [Stop]"
    bad = [{"colour": "red", "blocks": [{"type": "nonsense"}]}]
    with pytest.raises(Exception, match="invalid_blocks"):
        client.chat_update(channel="C0OPS", ts=ts, text="card", attachments=bad)
    assert len(slack.violations) == 2
