"""Whatever comes in at the doors, the answer is a clear one: never a 5xx, nothing lost, nothing stored unsigned."""

from __future__ import annotations

import json
import socket
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.sending import (
    CLIENT,
    COMMAND,
    FORM,
    JSON,
    stored,
    stream,
    to_github_door,
    to_slack_door,
)
from tests.world import World

GOOD = urlencode(COMMAND | {"trigger_id": "t1"}).encode()
DEEP = b'{"a":' + b"[" * 900 + b"]" * 900 + b"}"
DEEPER = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
NO_OBJECTS = [b"[]", b'"text"', b"1", b"null", b"true"]
NO_JSON = [b"", b"{", b"nope", b"\xff\xfe", b'{"a": NaN}', b'{"a": "\\ud800"}', b"\xef\xbb\xbf{}", b"{}{}", DEEPER]
SIGNATURES = [b"", b"v0=", b"v0=00", b"garbage", "v0=ü".encode(), b"v0=\xff\xfe", b"v1=" + b"0" * 64, b"x" * 4000]
TIMESTAMPS = [b"", b"now", b"-1", b"1e9", "١٧".encode(), b"\xb2\xb3", b"9" * 400, b"0", b"1.5", b"0x10"]


def test_slacks_signature_must_be_right(world: World) -> None:
    for signature in SIGNATURES:
        assert to_slack_door(world, GOOD, x_slack_signature=signature).status_code == 401, signature
    assert stored(world) == []


def test_slacks_timestamp_must_be_one(world: World) -> None:
    for timestamp in TIMESTAMPS:
        assert to_slack_door(world, GOOD, x_slack_request_timestamp=timestamp).status_code == 401, timestamp
    assert stored(world) == []


def test_what_is_old_is_not_taken(world: World) -> None:
    assert to_slack_door(world, GOOD, at=time.time() - 400).status_code == 401
    assert to_slack_door(world, GOOD, at=time.time() + 400).status_code == 401
    assert to_slack_door(world, GOOD, at=time.time() - 200).status_code == 200


def test_githubs_signature_must_be_right(world: World) -> None:
    for signature in SIGNATURES:
        of_github = signature.replace(b"v0=", b"sha256=")
        answer = to_github_door(world, b'{"zen": "x"}', "ping", x_hub_signature_256=of_github)
        assert (answer.status_code, "X-Hub-Signature-256" in answer.text) == (401, True), of_github
    assert stored(world) == []


def test_the_signature_is_of_this_very_body(world: World) -> None:
    signed = to_github_door(world, b'{"zen": "x"}', "ping").request.headers
    other = CLIENT.post(f"{world.servers.bot_url}/github/webhooks", content=b'{"zen": "y"}', headers=signed)
    assert other.status_code in (400, 401)  # 400: the server's own, for a length that does not fit
    assert [body["zen"] for body in stored(world)] == ["x"]


def test_githubs_body_must_be_a_json_object(world: World) -> None:
    for body in NO_JSON + NO_OBJECTS:
        form = urlencode({"payload": body}).encode()
        assert to_github_door(world, body).status_code == 400, body[:20]
        assert to_github_door(world, form, content_type=FORM).status_code == 400, body[:20]
        assert to_github_door(world, body, content_type=FORM).status_code == 400, body[:20]
    assert stored(world) == []


def test_a_signed_body_means_one_thing_alone(world: World) -> None:
    """GitHub signs whatever somebody titled a pull request. The content type is not signed."""
    inner = {"payload": '{"zen": "mine"}'}
    body = b'{"zen": "theirs", "title": "&' + urlencode(inner).encode() + b'&"}'
    assert to_github_door(world, body, "ping", content_type=FORM).status_code == 400
    for form in (b"x=1&" + urlencode(inner).encode(), urlencode(inner).encode() + b"&payload={}", b"payload", b"="):
        assert to_github_door(world, form, "ping", content_type=FORM).status_code == 400, form
    assert stored(world) == []
    assert to_github_door(world, urlencode(inner).encode(), "ping", content_type=FORM).status_code == 202
    assert [body["zen"] for body in stored(world)] == ["mine"]


def test_a_webhook_must_say_its_event(world: World) -> None:
    assert to_github_door(world, b"{}", "").status_code == 400


def test_a_webhook_without_what_it_needs_gets_a_clear_answer(world: World) -> None:
    for body, fault in (
        (b"{}", "missing required field `deployment`"),
        (b'{"deployment": 1, "deployment_status": [], "repository": null}', "`$.deployment`"),
        (b'{"deployment": {}, "deployment_status": {}, "repository": {"full_name": "acme/web"}}', "`$.deployment`"),
        (DEEP, "deployment"),
    ):
        for event in ("deployment", "deployment_status"):
            answer = to_github_door(world, body, event)
            assert answer.status_code == 400
            assert fault in answer.text
    assert world.waiting() == []


def test_slacks_body_must_be_a_json_object(world: World) -> None:
    for body in NO_JSON + NO_OBJECTS:
        assert to_slack_door(world, body, JSON).status_code in (400, 401), body[:20]
        assert to_slack_door(world, urlencode({"payload": body}).encode()).status_code in (400, 404), body[:20]
    assert stored(world) == []


MISSING: list[dict[str, Any]] = [
    {},
    {"type": "event_callback"},
    {"type": "event_callback", "event": None},
    {"type": "event_callback", "event": "text"},
    {"type": "event_callback", "event": []},
    {"type": "event_callback", "event": {}},
    {"type": "event_callback", "event": {"type": "message"}},
    {"type": "event_callback", "event": {"type": 7, "user": {}, "channel": []}, "event_id": "Ev1"},
    {"type": "event_callback", "event": {"type": "app_mention", "user": "U0ANA"}, "event_id": "Ev1"},
    {"type": "event_callback", "event": {"type": "app_mention", "user": 1, "channel": 2}, "event_id": "Ev2"},
    {"type": "event_callback", "event": {"type": "app_mention"}, "event_id": "Ev1", "authorizations": 5},
    {"type": "block_actions"},
    {"type": "block_actions", "trigger_id": "t", "user": {}, "actions": []},
    {"type": "block_actions", "trigger_id": "t", "user": {"id": "U0ANA"}, "actions": [{}]},
    {"type": "block_actions", "trigger_id": "t", "user": {"id": "U0ANA"}, "actions": "all"},
    {"type": "block_actions", "trigger_id": "t", "user": "U0ANA", "actions": [{"action_id": "a", "type": "button"}]},
    {"type": "block_actions", "trigger_id": "t", "user": {"id": "U0ANA"}, "actions": [{"action_id": 1}], "team": 3},
    {"type": "view_submission", "view": None},
    {"type": "view_submission", "view": {"callback_id": "x"}, "user": {"id": "U0ANA"}},
    {"type": "block_suggestion", "action_id": "x"},
    {"type": "shortcut", "callback_id": "x"},
    {"type": "message_action", "callback_id": "x"},
    {"type": "no_such_thing"},
    {"type": ["event_callback"]},
    {"command": "/deploy"},
]


def test_a_request_of_slacks_without_what_it_needs_gets_a_clear_answer(world: World) -> None:
    for body in MISSING:
        text = json.dumps(body).encode()
        fields = urlencode({key: str(value) for key, value in body.items()}).encode()
        assert to_slack_door(world, text, JSON).status_code in (200, 400, 404), body
        assert to_slack_door(world, urlencode({"payload": text}).encode()).status_code in (200, 400, 404), body
        assert to_slack_door(world, fields).status_code in (400, 404), body
    world.settle()
    assert world.waiting() == []
    assert stored(world) == []


def test_a_command_without_what_every_command_has_is_named(world: World) -> None:
    for key in ("trigger_id", "user_id", "channel_id"):
        without = {name: value for name, value in (COMMAND | {"trigger_id": "t1"}).items() if name != key}
        answer = to_slack_door(world, urlencode(without).encode())
        assert (answer.status_code, answer.text) == (400, f"{key}: missing")


GOOD_EVENT = json.dumps(
    {
        "type": "event_callback",
        "event_id": "Ev9",
        "event": {"type": "app_mention", "user": "U0ANA", "channel": "C0OPS", "text": "apps"},
        "size": "SIZE",
    }
)


def test_numbers_of_any_size(world: World) -> None:
    for number in ("1" + "0" * 30, "1" + "0" * 5000, "-1" + "0" * 30, "1e308", "1e400"):
        event = GOOD_EVENT.replace('"SIZE"', number).encode()
        assert to_slack_door(world, event, JSON).status_code in (200, 400), number[:20]
        webhook = b'{"zen": "x", "hook_id": %s}' % number.encode()
        assert to_github_door(world, webhook, "ping").status_code in (202, 400), number[:20]
    world.settle()


def test_nested_without_end(world: World) -> None:
    body = GOOD_EVENT.replace('"SIZE"', "[" * 900 + "]" * 900).encode()
    for deep in (body, body.replace(b"[" * 600, b"").replace(b"]" * 600, b"")):
        assert to_slack_door(world, deep, JSON).status_code in (200, 400)
    world.settle()


def test_a_nul_is_kept_as_the_sign_for_what_can_not_be_shown(world: World) -> None:
    for number, text in enumerate(("web\0", "\0", "\\u0000", "\\\0")):
        body = urlencode(COMMAND | {"trigger_id": f"t{number}", "text": text}).encode()
        assert to_slack_door(world, body).status_code == 200
    assert to_github_door(world, rb'{"zen": "a\u0000b \\u0000 \\\u0000"}', "ping").status_code == 202
    assert [each.get("text") or each.get("zen") for each in stored(world)] == [
        "web\ufffd",
        "\ufffd",
        "\\u0000",
        "\\\ufffd",
        "a\ufffdb \\u0000 \\\ufffd",
    ]
    world.settle()


def test_half_a_character(world: World) -> None:
    form = urlencode(COMMAND | {"trigger_id": "t1", "text": "X"}).encode().replace(b"text=X", b"text=%ED%A0%80")
    assert to_slack_door(world, form).status_code == 200
    assert to_slack_door(world, GOOD_EVENT.replace("apps", "\\ud800").encode(), JSON).status_code == 400
    assert to_slack_door(world, b"text=\xed\xa0\x80").status_code == 401
    assert [set(each["text"]) for each in stored(world)] == [{"\ufffd"}]
    world.settle()


def test_an_id_of_any_length_is_one(world: World) -> None:
    for end in ("a", "b", "a"):
        long = urlencode(COMMAND | {"trigger_id": "t" * 400 + end}).encode()
        assert to_slack_door(world, long).status_code == 200
        assert to_github_door(world, b'{"zen": "x"}', "ping", delivery="d" * 150 + end).status_code == 202
    assert len(stored(world)) == 4


def test_absurd_sizes(world: World) -> None:
    slack, github = f"{world.servers.bot_url}/slack/events", f"{world.servers.bot_url}/github/webhooks"
    large, larger = b"x" * (1024 * 1024 + 1), b"x" * (25 * 1024 * 1024 + 1)
    assert CLIENT.post(slack, content=large).status_code == 413
    assert CLIENT.post(github, content=larger).status_code == 413
    assert stream(slack, [b"x" * 65536] * 17).status_code == 413
    assert stream(github, [larger]).status_code == 413
    assert CLIENT.post(github, content=larger[:-1]).status_code == 401
    assert to_slack_door(world, GOOD).status_code == 200


def test_a_claimed_size_is_believed_before_anything_is_sent(world: World) -> None:
    for path in ("/slack/events", "/github/webhooks"):
        for size in (b"26214401", b"9" * 18):
            assert raw(world, path, b"Content-Length: " + size).startswith(b"HTTP/1.1 413")
        for size in (b"9" * 5000, b"-1", b"ten", b"1, 2"):
            assert raw(world, path, b"Content-Length: " + size).startswith(b"HTTP/1.1 400")


def test_a_sender_who_hangs_up_half_way_leaves_nothing(world: World) -> None:
    for path in ("/slack/events", "/github/webhooks"):
        for head in (b"Content-Length: 1000", b"Transfer-Encoding: chunked"):
            raw(world, path, head, body=b"5\r\n{'a':" if b"chunked" in head else b"{'a':", listen=False)
    assert to_slack_door(world, GOOD).status_code == 200
    assert len(stored(world)) == 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), data=st.data())
def test_no_bytes_make_a_door_fail(world: World, body: bytes, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([FORM, JSON, "", "text/plain", "application/json; charset=utf-16"]))
    assert to_slack_door(world, body, kind).status_code in (200, 400, 401, 404)
    assert to_slack_door(world, urlencode({"payload": body}).encode(), kind).status_code in (200, 400, 404)
    assert to_github_door(world, body, content_type=kind).status_code in (202, 400)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = (
    "type event user channel team actions view trigger_id event_id command text user_id channel_id response_url"
    " authorizations message container enterprise is_enterprise_install token bot_id subtype channel_type ts"
).split()
SHAPES = st.dictionaries(
    st.sampled_from(KEYS),
    VALUES
    | st.sampled_from(["event_callback", "block_actions", "app_mention", "message", "im", "U0ANA", "view_submission"])
    | st.dictionaries(
        st.sampled_from([*KEYS, "id", "action_id", "action_ts"]), VALUES | st.just("message"), max_size=5
    ),
    max_size=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=SHAPES, kind=st.sampled_from(["event_callback", "block_actions", "view_submission", None]))
def test_no_shape_makes_slacks_door_fail(world: World, body: dict[str, object], kind: str | None) -> None:
    text = json.dumps(body | ({"type": kind} if kind else {})).encode()
    assert to_slack_door(world, text, JSON).status_code in (200, 400, 404)
    assert to_slack_door(world, urlencode({"payload": text}).encode()).status_code in (200, 400, 404)


def raw(world: World, path: str, header: bytes, *, body: bytes = b"", listen: bool = True) -> bytes:
    """Writes a request by hand; returns the first bytes of the answer, or hangs up."""
    address = urlsplit(world.servers.bot_url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"POST %s HTTP/1.1\r\nHost: bot\r\n%s\r\n\r\n%s" % (path.encode(), header, body))
        return connection.recv(100) if listen else b""
