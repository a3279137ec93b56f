"""The simulated Web API, spoken to by the real SDK over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook import WebhookClient
from starlette.applications import Starlette
from starlette.routing import Mount

from bot.playground.serving import Served
from bot.playground.slack import METHOD_SCOPES, SimulatedSlack

TOKEN = "xoxb-playground"


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2030, 5, 6, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slack(clock: Clock) -> Iterator[SimulatedSlack]:
    simulated = SimulatedSlack(now=clock)
    simulated.add_person("U0ANA", "ana", "Ana Lang", "America/New_York")
    simulated.add_person("U0BEN", "ben")
    simulated.add_room("C0OPS", "ops")
    with Served(Starlette(routes=[Mount("/slack", simulated.asgi)])) as served:
        simulated.url = f"{served.url}/slack"
        yield simulated


@pytest.fixture
def client(slack: SimulatedSlack) -> WebClient:
    return WebClient(TOKEN, base_url=f"{slack.url}/api/")


def refused(call, *args, **kwargs) -> dict:
    with pytest.raises(SlackApiError) as caught:
        call(*args, **kwargs)
    return caught.value.response.data


def section(text: str = "hello", **more) -> dict:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def test_auth_test_names_the_bot_and_its_scopes(slack, client):
    answer = client.auth_test()
    assert (answer["user_id"], answer["bot_id"], answer["team_id"]) == (
        slack.bot_user_id,
        slack.bot_id,
        "T0PLAY",
    )
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")
    assert client.api_test(foo="bar")["args"] == {"foo": "bar"}


@pytest.mark.parametrize(("token", "error"), [("", "not_authed"), ("xoxb-other", "invalid_auth")])
def test_a_wrong_token_is_refused(slack, token, error):
    assert httpx.post(f"{slack.url}/api/auth.test", data={"token": token}).json() == {
        "ok": False,
        "error": error,
    }


def test_the_app_token_is_for_socket_mode_only(slack, client):
    assert refused(client.apps_connections_open, app_token=TOKEN)["error"] == "not_allowed_token_type"
    other = WebClient("xapp-playground", base_url=f"{slack.url}/api/")
    assert refused(other.auth_test)["error"] == "not_allowed_token_type"
    assert other.apps_connections_open(app_token="xapp-playground")["url"].startswith("ws://127.0.0.1:")


def test_the_life_of_a_message(slack, client):
    posted = client.chat_postMessage(
        channel="C0OPS",
        text="one",
        blocks=[section("one", block_id="a")],
        metadata={"event_type": "card", "event_payload": {"number": 42}},
    )
    ts = posted["ts"]
    reply = client.chat_postMessage(channel="C0OPS", text="below", thread_ts=ts)
    updated = client.chat_update(channel="C0OPS", ts=ts, text="two", blocks=[section("two")])
    assert updated["ts"] == ts
    assert "edited" in updated["message"]
    client.reactions_add(channel="C0OPS", name="tada", timestamp=ts)
    assert refused(client.reactions_add, channel="C0OPS", name="tada", timestamp=ts)["error"] == "already_reacted"

    plain = client.conversations_history(channel="C0OPS")["messages"]
    assert [(each["text"], each["reply_count"]) for each in plain] == [("two", 1)]
    assert "metadata" not in plain[0]
    full = client.conversations_history(channel="C0OPS", include_all_metadata=True)["messages"]
    assert full[0]["metadata"]["event_payload"] == {"number": 42}
    thread = client.conversations_replies(channel="C0OPS", ts=ts)["messages"]
    assert [each["text"] for each in thread] == ["two", "below"]
    link = client.chat_getPermalink(channel="C0OPS", message_ts=reply["ts"])["permalink"]
    assert "below" in httpx.get(link).text

    client.chat_delete(channel="C0OPS", ts=reply["ts"])
    client.chat_delete(channel="C0OPS", ts=ts)
    assert slack.messages("C0OPS") == []
    assert refused(client.chat_update, channel="C0OPS", ts=ts, text="x")["error"] == "message_not_found"
    assert slack.violations == []


def test_text_without_blocks_removes_the_blocks(slack, client):
    ts = client.chat_postMessage(channel="C0OPS", text="one", blocks=[section()])["ts"]
    client.chat_update(channel="C0OPS", ts=ts, text="only text")
    assert slack.messages("C0OPS")[0].blocks == []


def test_timestamps_never_repeat_while_the_clock_stands_still(slack, client):
    stamps = [client.chat_postMessage(channel="C0OPS", text="x")["ts"] for _ in range(3)]
    assert stamps == sorted(set(stamps))


def test_history_comes_in_pages_newest_first(slack, client):
    for number in range(5):
        client.chat_postMessage(channel="C0OPS", text=str(number))
    first = client.conversations_history(channel="C0OPS", limit=2)
    assert [each["text"] for each in first["messages"]] == ["4", "3"]
    assert first["has_more"]
    cursor = first["response_metadata"]["next_cursor"]
    second = client.conversations_history(channel="C0OPS", limit=2, cursor=cursor)
    assert [each["text"] for each in second["messages"]] == ["2", "1"]
    newer = client.conversations_history(channel="C0OPS", oldest=second["messages"][0]["ts"])
    assert [each["text"] for each in newer["messages"]] == ["4", "3"]


def test_an_ephemeral_message_is_for_one_person(slack, client):
    client.chat_postEphemeral(channel="C0OPS", user="U0ANA", text="psst")
    assert [each.text for each in slack.ephemerals("ana")] == ["psst"]
    assert slack.ephemerals("ben") == []
    assert client.conversations_history(channel="C0OPS")["messages"] == []
    ts = slack.ephemerals("ana")[0].ts
    assert refused(client.chat_update, channel="C0OPS", ts=ts, text="x")["error"] == "message_not_found"
    slack.add_person("U0CAL", "cal")
    call = refused(client.chat_postEphemeral, channel="C0OPS", user="U0CAL", text="psst")
    assert call["error"] == "user_not_in_channel"


def test_where_the_bot_may_post(clock):
    slack = SimulatedSlack(now=clock, scopes=["chat:write"])
    slack.add_room("C0PUB", "public", bot_is_member=False)
    slack.add_room("C0SEC", "secret", private=True, bot_is_member=False)
    slack.add_room("C0OLD", "old")
    slack.archive("#old")
    with Served(slack.asgi) as served:
        client = WebClient(TOKEN, base_url=f"{served.url}/api/")
        errors = [
            refused(client.chat_postMessage, channel=room, text="x")["error"]
            for room in ("C0PUB", "C0SEC", "C0OLD", "C0NOWHERE")
        ]
    assert errors == ["not_in_channel", "channel_not_found", "is_archived", "channel_not_found"]


def test_with_all_scopes_the_bot_posts_in_any_public_room(slack, client):
    slack.add_room("C0PUB", "public", bot_is_member=False)
    client.chat_postMessage(channel="C0PUB", text="x")
    assert refused(client.conversations_history, channel="C0PUB")["error"] == "not_in_channel"
    client.conversations_join(channel="C0PUB")
    assert client.conversations_info(channel="C0PUB")["channel"]["is_member"]


def test_a_missing_scope_is_named(clock):
    slack = SimulatedSlack(now=clock, scopes=["chat:write", "channels:read"])
    slack.add_room("C0OPS", "ops")
    slack.add_room("C0SEC", "secret", private=True)
    with Served(slack.asgi) as served:
        client = WebClient(TOKEN, base_url=f"{served.url}/api/")
        assert client.auth_test().headers["x-oauth-scopes"] == "channels:read,chat:write"
        missing = refused(client.users_info, user="U0ANA")
        assert (missing["error"], missing["needed"]) == ("missing_scope", "users:read")
        assert missing["provided"] == "channels:read,chat:write"
        client.conversations_info(channel="C0OPS")
        assert refused(client.conversations_info, channel="C0SEC")["needed"] == "groups:read"
    assert METHOD_SCOPES["users.info"] == {"users:read"}
    assert "groups:read" in METHOD_SCOPES["conversations.info"]


def test_only_own_messages_can_be_changed(slack, client):
    slack.say("ana", "ops", "mine")
    ts = slack.messages("ops")[0].ts
    assert refused(client.chat_update, channel="C0OPS", ts=ts, text="x")["error"] == "cant_update_message"
    assert refused(client.chat_delete, channel="C0OPS", ts=ts)["error"] == "cant_delete_message"


def test_direct_messages(slack, client):
    opened = client.conversations_open(users=["U0ANA"])["channel"]["id"]
    assert client.conversations_open(users="U0ANA")["already_open"]
    assert client.chat_postMessage(channel="U0ANA", text="hi")["channel"] == opened == slack.direct_room("ana")
    assert client.conversations_info(channel=opened)["channel"]["user"] == "U0ANA"
    assert slack.transcript(opened) == "shipbot: hi"
    assert refused(client.conversations_open, users="U0NOBODY")["error"] == "user_not_found"


def test_people_and_rooms(slack, client):
    slack.add_usergroup("S0REL", "release", ["U0ANA"])
    user = client.users_info(user="U0ANA")["user"]
    assert (user["tz"], user["tz_offset"], user["profile"]["email"]) == (
        "America/New_York",
        -14400,
        "ana@example.com",
    )
    assert client.users_lookupByEmail(email="ben@example.com")["user"]["id"] == "U0BEN"
    assert refused(client.users_info, user="U0NO")["error"] == "user_not_found"
    assert [each["name"] for each in client.users_list()["members"]] == ["shipbot", "ana", "ben"]
    assert client.conversations_members(channel="C0OPS")["members"] == ["U0ANA", "U0BEN", "U0SHIPBOT"]
    assert [each["id"] for each in client.conversations_list()["channels"]] == ["C0OPS"]
    assert client.usergroups_list(include_users=True)["usergroups"][0]["users"] == ["U0ANA"]
    assert client.usergroups_users_list(usergroup="S0REL")["users"] == ["U0ANA"]
    assert refused(client.usergroups_users_list, usergroup="S0NO")["error"] == "no_such_subteam"


def test_what_slack_refuses_is_noted(slack, client):
    bad = refused(client.chat_postMessage, channel="C0OPS", text="x", blocks=[section("y" * 3001)])
    assert bad["error"] == "invalid_blocks"
    assert bad["response_metadata"]["messages"] == [
        "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    ]
    assert refused(client.chat_postMessage, channel="C0OPS")["error"] == "no_text"
    assert refused(client.chat_postMessage, channel="C0OPS", text="y" * 40_001)["error"] == "msg_too_long"
    many = [section("y" * 2900) for _ in range(5)]
    assert refused(client.chat_postMessage, channel="C0OPS", text="x", blocks=many)["error"] == "msg_blocks_too_long"
    assert refused(client.api_call, "chat.shout")["error"] == "unknown_method"
    assert len(slack.violations) == 5
    assert slack.messages("ops") == []


def test_what_slack_advises_against_is_noted_too(slack, client):
    ts = client.chat_postMessage(channel="C0OPS", blocks=[section()])["ts"]
    client.chat_postMessage(channel="C0OPS", text="y" * 4_001)
    reply = client.chat_postMessage(channel="C0OPS", text="below", thread_ts=ts)["ts"]
    nested = client.chat_postMessage(channel="C0OPS", text="below that", thread_ts=reply)
    assert nested["message"]["thread_ts"] == ts
    client.chat_postMessage(channel="C0OPS", text="lost", thread_ts="1.000000")
    client.api_call("chat.postMessage", json={"channel": "C0OPS", "text": "x", "colour": "red"})
    assert [note.split(": ")[1].split()[0] for note in slack.violations] == [
        "blocks",
        "text",
        "thread_ts",
        "thread_ts",
        "unknown",
    ]


def test_calls_are_recorded_without_the_token(slack, client):
    client.chat_postMessage(channel="C0OPS", text="x")
    refused(client.conversations_info, channel="C0NO")
    assert [(call.method, call.error) for call in slack.calls] == [
        ("chat.postMessage", None),
        ("conversations.info", "channel_not_found"),
    ]
    assert slack.calls[0].args == {"channel": "C0OPS", "text": "x"}


def test_faults(slack, client):
    slack.fail("chat.postMessage", error="ratelimited", retry_after=7)
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel="C0OPS", text="x")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "7"
    slack.fail("*", error="fatal_error")
    assert refused(client.auth_test)["error"] == "fatal_error"
    slack.fail("auth.test", status=503)
    with pytest.raises(SlackApiError):
        client.auth_test()
    client.auth_test()
    assert [call.status for call in slack.calls] == [429, 200, 503, 200]


def test_the_sdk_waits_out_a_rate_limit(slack, client):
    client.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=1))
    slack.fail("chat.postMessage", error="ratelimited", retry_after=0)
    assert client.chat_postMessage(channel="C0OPS", text="x")["ok"]


def test_a_lost_answer_before_and_after_the_call_took_effect(slack):
    address, headers = f"{slack.url}/api/chat.postMessage", {"Authorization": f"Bearer {TOKEN}"}
    for moment in ("before", "after"):
        slack.fail("chat.postMessage", drop=moment)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(address, json={"channel": "C0OPS", "text": moment}, headers=headers)
    assert [each.text for each in slack.messages("ops")] == ["after"]
    assert [(call.status, call.answer.get("ok")) for call in slack.calls] == [(0, None), (0, True)]


def test_a_response_url_takes_five_uses_in_thirty_minutes(slack, clock):
    slack.bot_url = "http://127.0.0.1:9"  # nobody there; the address is made all the same
    slack.command("ana", "ops", "help")
    key = list(slack._workspace.response_urls)[-1]
    webhook = WebhookClient(f"{slack.url}/response/{key}")
    assert webhook.send(text="for ana").status_code == 200
    assert webhook.send(text="for all", response_type="in_channel").body == "ok"
    assert webhook.send(text="for ana, better", replace_original=True).status_code == 200
    assert webhook.send(text="", delete_original=True).status_code == 200
    assert webhook.send(text="x", blocks=[{"type": "nonsense"}]).body == "invalid_blocks"
    assert webhook.send(text="last").status_code == 200
    used = webhook.send(text="once more")
    assert (used.status_code, used.body) == (404, "used_url")
    shown = [(each.text, each.ephemeral_for) for each in slack.messages("ops") if each.user == slack.bot_user_id]
    assert shown == [("for all", None), ("last", "U0ANA")]

    slack.command("ana", "ops", "help")
    key = list(slack._workspace.response_urls)[-1]
    clock.time += timedelta(minutes=31)
    late = WebhookClient(f"{slack.url}/response/{key}").send(text="x")
    assert (late.status_code, late.body) == (404, "expired_url")


def test_the_asynchronous_client_and_a_call_on_change(slack):
    changes = []
    slack.on_change.append(lambda: changes.append(len(slack.calls)))

    async def talk() -> None:
        client = AsyncWebClient(TOKEN, base_url=f"{slack.url}/api/")
        ts = (await client.chat_postMessage(channel="C0OPS", text="x"))["ts"]
        await client.chat_update(channel="C0OPS", ts=ts, text="y")

    asyncio.run(talk())
    assert slack.transcript("ops") == "shipbot: y"
    assert changes == [1, 2]
