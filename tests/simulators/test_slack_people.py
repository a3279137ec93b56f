"""People act in the simulated Slack; a real Bolt app behind a real server hears of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from slack_sdk.signature import SignatureVerifier

from tests.simulators.bolt import actions, button


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


def test_suggestions_for_a_menu(slack, bot, client):
    ts = client.chat_postMessage(
        channel="C0OPS", text="?", blocks=actions({"type": "external_select", "action_id": "pick"})
    )["ts"]
    assert slack.block_suggestion("ana", "pick", "we", room="ops", ts=ts).status == 0
    assert bot.told == []
    answer = slack.block_suggestion("ana", "pick", "web", room="ops", ts=ts)
    assert answer.json()["options"][0]["text"]["text"] == "web"
    assert bot.told[0]["type"] == "block_suggestion"
    assert slack.violations == []


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


def test_a_usergroup_is_shown_by_its_handle(slack, bot, client):
    slack.add_usergroup("S0RELEASE", "release", ["U0ANA"])
    client.chat_postMessage(channel="C0OPS", text="<!subteam^S0RELEASE> and <!subteam^S0GONE>")
    assert slack.transcript("ops") == "shipbot: @release and !subteam^S0GONE"
