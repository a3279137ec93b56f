"""`http` through the front door: signed webhooks in, a real receiver behind, and its callbacks."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from bot.playground.stage import free_port
from bot.providers import http
from bot.store import runs, schema
from tests.providers.places import carry_out, in_background, newest_card, output, statuses, until
from tests.providers.receiving import (
    CLIENT,
    SECRET,
    Receiver,
    Slow,
    Step,
    answers,
    call_back,
    drips,
    floods,
    hangs_up,
    raw,
    receiving,
)
from tests.world import Servers, World

pytestmark = pytest.mark.slow

Make = Callable[..., World]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret is there, and what is tried again is tried at once."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setattr(http, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(http, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr(http, "LOOK", 0.01)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(answers(202)) as found:
        yield found


@pytest.fixture
def place(make_place: Make, servers: Servers, receiver: Receiver) -> Callable[..., World]:
    """A world in which `web` goes to production by that receiver, which can call back."""

    def make(*, url: str = "", public_url: str | None = servers.bot_url, **more: object) -> World:
        provider = {"type": "http", "url": url or f"{receiver.url}/deploy?x=1", "secret_env": "HOOK_SECRET"}
        return make_place(json.dumps({**provider, "allow_private": True}), public_url=public_url, **more)

    return make


def deploy(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to production/fe1,fe2")


def waits_for_news(world: World) -> bool:
    with world.store.read() as connection:
        run = runs.of_deploy(connection, 1)
    return run is not None and bool(run.remembered.get("taken"))


def begun(world: World) -> threading.Thread:
    """Deploys, up to where the receiver has taken it and the bot waits for its callback."""
    deploy(world)
    thread_of_it = in_background(world)
    until(lambda: waits_for_news(world))
    return thread_of_it


def ended(world: World, thread_of_it: threading.Thread) -> tuple[str, str]:
    thread_of_it.join(20)
    assert not thread_of_it.is_alive()
    carry_out(world)
    return statuses(world)[-1]


def answered(world: World, receiver: Receiver, *steps: Step) -> tuple[str, str]:
    """How a deploy ends with a receiver that answers so."""
    receiver.steps = [*receiver.steps[: len(receiver.posted)], *steps]
    deploy(world)
    carry_out(world)
    return statuses(world)[-1]


# What is sent


def test_the_deployment_is_posted_and_signed(place: Make, receiver: Receiver, servers: Servers) -> None:
    world = place()
    waiting = begun(world)
    (posted,) = receiver.posted
    assert posted.path == "/deploy?x=1"
    assert posted.is_signed()
    assert not posted.is_signed("another")
    told = posted.json
    deployment = world.github.deployments("acme/web")[0]
    assert told == {
        "event": "deployment",
        "delivery": posted.headers["x-shipbot-delivery"],
        "attempt": 1,
        "sent_at": "2026-03-02T09:00:00+00:00",
        "app": "web",
        "environment": "production",
        "repository": "acme/web",
        "ref": "topic",
        "sha": world.github.head("acme/web", "topic"),
        "task": "deploy",
        "hosts": "fe1,fe2",
        "user": "ana",
        "deployment_id": deployment["id"],
        "number": 1,
        "payload": deployment["payload"],
        "callback": {"url": f"{servers.bot_url}/callbacks/1", "token": told["callback"]["token"]},
    }
    assert posted.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["x-shipbot-event"] == "deployment"
    posted.report(state="success")
    assert ended(world, waiting)[0] == "success"


def test_it_reports_by_the_callback(place: Make, receiver: Receiver) -> None:
    world = place()
    waiting = begun(world)
    (posted,) = receiver.posted
    assert posted.report(state="in_progress", description="Draining <fe1>").status_code == 202
    until(lambda: "in_progress: Draining <fe1>\n" in output(world.store))
    world.advance(seconds=20)
    assert statuses(world)[-1] == ("in_progress", "Draining <fe1>")
    world.deliver()
    assert "Draining &lt;fe1&gt;" in newest_card(world) or "Draining <fe1>" in newest_card(world)
    posted.report(state="in_progress", description="Up", log_url="https://logs.example/7")  # perhaps never seen
    answer = posted.report(state="success", description="12 pods", environment_url="https://web.example/")
    assert (answer.status_code, answer.text) == (202, "")
    assert ended(world, waiting) == ("success", "12 pods")
    newest = world.github.statuses("acme/web", world.github.deployments("acme/web")[0]["id"])[0]
    assert (newest["log_url"], newest["environment_url"]) == ("https://logs.example/7", "https://web.example/")
    assert ":large_green_circle:" in newest_card(world)
    assert "[Open] [Logs]" in newest_card(world)


def test_it_reports_in_its_answer(place: Make, receiver: Receiver) -> None:
    world = place()
    for state in ("failure", "error", "success"):
        told = {"state": state, "description": "as asked", "pods": 3}
        assert answered(world, receiver, answers(200, told)) == (state, "as asked")
    assert len(receiver.posted) == 3


def test_it_reports_in_its_answer_that_it_goes_on(place: Make, receiver: Receiver) -> None:
    receiver.steps = [answers(200, {"state": "in_progress", "description": "queued here"})]
    world = place()
    waiting = begun(world)
    receiver.posted[0].report(state="failure", description="no room")
    assert ended(world, waiting) == ("failure", "no room")
    assert "in_progress: queued here\n" in output(world.store)


def test_without_an_address_of_ours_an_answer_is_the_end(place: Make, receiver: Receiver) -> None:
    world = place(public_url=None)
    took = ("success", f"127.0.0.1:{receiver.port} took it")
    for body in (b"", b"ok", b"{", b"[]", b'{"state": "weird"}', b'{"ok": true}', b"\xff\xfe\x00", b"[" * 60_000):
        assert answered(world, receiver, answers(200, body)) == took
    assert receiver.posted[0].json["callback"] is None
    assert answered(world, receiver, floods) == took
    assert len(output(world.store, 9)) < 3000


# Receivers that do badly


def test_what_passes_is_tried_again_under_the_same_id(place: Make, receiver: Receiver) -> None:
    bad = [
        answers(500, b"<html>oops"),
        answers(503, Retry_After="0"),
        answers(429, Retry_After="Mon, 02 Mar 2026 09:00:00 GMT"),
        answers(408, Retry_After="soon"),
        hangs_up,
        raw(b"\x00\x01 what is this\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut"),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
    ]
    world = place()
    assert answered(world, receiver, *bad, answers(200, {"state": "success"})) == ("success", "")
    assert len(receiver.posted) == 9
    assert all(posted.is_signed() for posted in receiver.posted)
    assert len({posted.headers["x-shipbot-delivery"] for posted in receiver.posted}) == 1
    assert len({posted.json["callback"]["token"] for posted in receiver.posted}) == 1
    assert [posted.json["attempt"] for posted in receiver.posted] == list(range(1, 10))


def test_it_is_left_alone_for_as_long_as_it_asks(place: Make, receiver: Receiver) -> None:
    receiver.steps = [answers(503, Retry_After="1"), answers(200, {"state": "success"})]
    world = place()
    started = time.monotonic()
    deploy(world)
    carry_out(world)
    assert time.monotonic() - started >= 1
    assert statuses(world)[-1][0] == "success"
    assert "answered HTTP 503; next try in 1 s\n" in output(world.store)


def test_what_it_asks_for_may_make_no_sense(place: Make, receiver: Receiver) -> None:
    odd = ["soon", "99999999999999999999 Jan 2020 10:10:10 GMT", "Mon, 01 Jan 2024 00:00:00 +99999999999", "-1"]
    receiver.steps = [*(answers(503, Retry_After=each) for each in odd), answers(200, {"state": "success"})]
    world = place()
    deploy(world)
    carry_out(world)
    assert statuses(world)[-1][0] == "success"


def test_it_is_not_tried_past_the_deadline(place: Make, receiver: Receiver) -> None:
    receiver.steps = [answers(503), answers(503, Retry_After="7200")]
    world = place()
    deploy(world)
    carry_out(world)
    shown = f"127.0.0.1:{receiver.port}"
    assert statuses(world)[-1] == ("error", f"{shown} answered HTTP 503, and the time is up after 2 tries")


def test_a_refusal_is_told_in_its_words(place: Make, receiver: Receiver) -> None:
    world = place()
    refused = f"127.0.0.1:{receiver.port} refused it (HTTP 422)"
    for body, words in [
        (b"", ""),
        (b"No deploys on Fridays\nask Ana", ": No deploys on Fridays"),
        (b"<html><h1>Forbidden</h1>", ""),
        (json.dumps({"error": {"code": 7}}).encode(), ""),
        (b"[" * 60_000, ": " + "[" * 1000),
        (json.dumps({"message": "no <!channel>\u202e\x1b[31m such app"}).encode(), ": no <!channel>[31m such app"),
    ]:
        expected = refused + words
        cut = expected if len(expected) <= 140 else expected[:139] + "…"
        assert answered(world, receiver, answers(422, body)) == ("failure", cut)
    assert len(receiver.posted) == 6
    sent = json.dumps([message.blocks for message in world.slack.messages("C0OPS")])
    assert "no &lt;!channel&gt;" in sent
    formatted = re.sub(r'"plain_text", "text": "[^"]*"', "", sent)  # but for what Slack takes letter by letter
    assert "<!channel>" not in formatted


def test_redirects_are_not_followed(place: Make, receiver: Receiver) -> None:
    world = place()
    with receiving(answers(200)) as other:
        for status in (301, 302, 303, 307, 308, 304):
            state, description = answered(world, receiver, answers(status, Location=f"{other.url}/secret"))
            assert state == "error"
            assert f"redirects (HTTP {status}), which is not followed" in description
        assert other.posted == []
    assert len(receiver.posted) == 6


def test_an_answer_that_drips_is_given_up(place: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_WITHIN", 0.3)
    stop = threading.Event()
    receiver.steps = [drips(stop), answers(200, {"state": "success"})]
    world = place()
    deploy(world)
    carry_out(world)
    stop.set()
    assert statuses(world)[-1][0] == "success"
    assert "no whole answer within 0 s" in output(world.store)


def test_nobody_listens(place: Make, receiver: Receiver) -> None:
    with receiving(answers(200)) as gone:
        url = gone.url
    world = place(url=url)
    deploy(world)
    waiting = in_background(world)
    until(lambda: "try 3\n" in output(world.store))
    assert "can't be connected to; next try in" in output(world.store)
    world.say("U0ANA", "/deploy cancel 1")
    ended(world, waiting)
    assert [state for state, _ in statuses(world)][-1] == "inactive"


def test_secrets_stay_out_of_everything(place: Make, receiver: Receiver) -> None:
    def echoes(posted: object, handler: object) -> None:
        token = posted.json["callback"]["token"]  # type: ignore[attr-defined]
        body = {"state": "failure", "description": f"{SECRET} and {token}"}
        answers(200, body)(posted, handler)  # type: ignore[arg-type]

    receiver.steps = [echoes]
    world = place()
    deploy(world)
    carry_out(world)
    token = receiver.posted[0].json["callback"]["token"]
    assert statuses(world)[-1] == ("failure", "*** and ***")
    everything = output(world.store) + world.room() + json.dumps(world.github.deployments("acme/web"))
    assert SECRET not in everything
    assert token not in everything
    with world.store.read() as connection:
        run = runs.find(connection, 1)
    assert run is not None
    assert token not in repr(run) + json.dumps(dict(run.remembered))
    assert run.callback == runs.hash_of(token)


# Callbacks that are not good ones


def test_callbacks_without_the_right_token(place: Make, receiver: Receiver, servers: Servers) -> None:
    world = place()
    waiting = begun(world)
    (posted,) = receiver.posted
    token = posted.json["callback"]["token"]
    url = f"{servers.bot_url}/callbacks/1"
    done = {"state": "success"}
    for wrong in ("", "x", token[:-1], token + "0", token.upper(), "ü", "0" * 500):
        assert call_back(url, wrong, done).status_code == 401
    assert call_back(f"{servers.bot_url}/callbacks/2", token, done).status_code == 401  # another run, or none
    assert call_back(f"{servers.bot_url}/callbacks/{10**17}", token, done).status_code == 401
    for path in ("", "x", "01", "1/", "-1", "1.0", "9" * 30):
        assert call_back(f"{servers.bot_url}/callbacks/{path}", token, done).status_code == 404
    with world.store.read() as connection:
        run = runs.find(connection, 1)
    assert run is not None
    assert run.told is None
    posted.report(state="success")
    assert ended(world, waiting)[0] == "success"


def test_callbacks_that_say_nothing(place: Make, receiver: Receiver) -> None:
    world = place()
    waiting = begun(world)
    callback = receiver.posted[0].json["callback"]
    for body, status in [
        (b"", 400),
        (b"not json", 400),
        (b"\xff", 400),
        (b"[" * 10_000, 400),
        ([], 400),
        ({}, 400),
        ({"state": "inactive"}, 400),
        ({"state": 7}, 400),
        ({"state": "success", "description": ["x"]}, 400),
        ({"state": "success", "description": "x" * 2001}, 400),
        ({"state": "success", "description": "x" * 20_000}, 413),
    ]:
        answer = call_back(callback["url"], callback["token"], body)
        assert answer.status_code == status
        assert "x" * 30 not in answer.text
    assert CLIENT.get(callback["url"]).status_code == 405
    odd = {"state": "success", "description": "a\x00b", "log_url": "javascript:alert(1)", "environment_url": None}
    assert call_back(callback["url"], callback["token"], odd).status_code == 202
    assert ended(world, waiting) == ("success", "a\ufffdb")
    newest = world.github.statuses("acme/web", world.github.deployments("acme/web")[0]["id"])[0]
    assert newest["environment_url"] == ""
    assert "javascript" not in newest["log_url"]


def test_nothing_is_heard_after_the_end(place: Make, receiver: Receiver) -> None:
    world = place()
    waiting = begun(world)
    (posted,) = receiver.posted
    assert posted.report(state="failure", description="no").status_code == 202
    for again in ({"state": "failure", "description": "no"}, {"state": "success"}, {"state": "in_progress"}):
        answer = posted.report(**again)
        assert (answer.status_code, answer.text) == (410, "this deployment is over: failure")
    assert ended(world, waiting) == ("failure", "no")
    assert posted.report(state="success").status_code == 410
    assert posted.report(token="x", state="success").status_code == 401
    assert [state for state, _ in statuses(world)].count("failure") == 1
    assert statuses(world)[-1] == ("failure", "no")


def test_a_receiver_hears_that_it_was_cancelled(place: Make, receiver: Receiver) -> None:
    world = place()
    waiting = begun(world)
    world.deliver()
    world.say("U0ANA", "/deploy cancel 1")
    answer = receiver.posted[0].report(state="in_progress")
    assert (answer.status_code, answer.text) == (410, "this deployment is over: cancelled")
    assert ended(world, waiting)[0] == "inactive"


def test_its_time_runs_out(place: Make, receiver: Receiver) -> None:
    world = place(timeout="10m")
    waiting = begun(world)
    world.deliver()
    world.advance(minutes=10)
    assert ended(world, waiting) == ("error", "Stopped after 10 min, the time that it has (timeout).")
    assert receiver.posted[0].report(state="success").text == "this deployment is over: error"


def test_too_many_callbacks(place: Make, receiver: Receiver, servers: Servers) -> None:
    world = place()
    waiting = begun(world)
    (posted,) = receiver.posted
    for _ in range(70):
        posted.report(token="wrong", state="success")  # take nothing from those who may
    told = [posted.report(state="in_progress", description=str(number)).status_code for number in range(65)]
    assert told == [202] * 60 + [429] * 5
    world.advance(minutes=1)
    assert posted.report(state="success").status_code == 202
    assert ended(world, waiting)[0] == "success"
    assert len(statuses(world)) < 10


# Restarts and races


def test_the_bot_is_restarted_while_it_waits(place: Make, receiver: Receiver) -> None:
    world = place()
    waiting = begun(world)
    world.bot.runner.stop(5)
    waiting.join(20)
    assert not waiting.is_alive()
    assert receiver.posted[0].report(state="in_progress", description="still at it").status_code == 202
    world.restart()
    waiting = in_background(world)
    until(lambda: "in_progress: still at it\n" in output(world.store))
    assert receiver.posted[0].report(state="success").status_code == 202
    assert ended(world, waiting)[0] == "success"
    assert len(receiver.posted) == 1


def test_it_reports_while_nobody_runs_it(place: Make, receiver: Receiver) -> None:
    world = place()
    waiting = begun(world)
    world.bot.runner.stop(5)
    waiting.join(20)
    assert receiver.posted[0].report(state="success", description="meanwhile").status_code == 202
    world.restart()
    carry_out(world)
    assert statuses(world)[-1] == ("success", "meanwhile")
    assert len(receiver.posted) == 1


def test_what_it_reported_in_time_counts_after_the_deadline(place: Make, receiver: Receiver) -> None:
    world = place(timeout="10m")
    waiting = begun(world)
    world.bot.runner.stop(5)
    waiting.join(20)
    told = {"state": "success", "description": f"out, with {SECRET}", "environment_url": "https://web.example/"}
    assert receiver.posted[0].report(**told).status_code == 202
    world.clock.moment += timedelta(minutes=11)
    world.restart()
    carry_out(world)
    assert statuses(world)[-1] == ("success", "out, with ***")
    newest = world.github.statuses("acme/web", world.github.deployments("acme/web")[0]["id"])[0]
    assert newest["environment_url"] == "https://web.example/"
    assert ":large_green_circle:" in newest_card(world)


def test_the_bot_is_stopped_while_the_receiver_thinks(place: Make, receiver: Receiver) -> None:
    slow = Slow(answers(202))
    receiver.steps = [slow, answers(200, {"state": "success"})]
    world = place()
    deploy(world)
    thread_of_it = in_background(world)
    assert slow.asked.wait(20)
    world.bot.runner.stop(5)
    thread_of_it.join(5)
    assert not thread_of_it.is_alive()  # it does not wait for the answer
    slow.go.set()
    world.restart()
    carry_out(world)
    assert statuses(world)[-1][0] == "success"
    first, second = receiver.posted
    assert first.headers["x-shipbot-delivery"] == second.headers["x-shipbot-delivery"]
    assert first.json["callback"] == second.json["callback"]


def test_a_receiver_that_reports_before_it_answers(place: Make, receiver: Receiver) -> None:
    """And then answers 500: what it said counts."""

    def hasty(posted: object, handler: object) -> None:
        assert posted.report(state="success", description="at once").status_code == 202  # type: ignore[attr-defined]
        answers(500)(posted, handler)  # type: ignore[arg-type]

    receiver.steps = [hasty]
    world = place()
    deploy(world)
    carry_out(world)
    assert statuses(world)[-1] == ("success", "at once")
    assert len(receiver.posted) == 1


def test_another_attempt_that_lost_its_memory_of_the_answer(place: Make, receiver: Receiver) -> None:
    """A process that died between the answer and the note of it: the same delivery comes once more."""
    receiver.steps = [answers(202), answers(200, {"state": "success"})]
    world = place()
    waiting = begun(world)
    world.bot.runner.stop(5)
    waiting.join(20)
    with world.store.write() as connection:
        run = runs.find(connection, 1)
        assert run is not None
        connection.execute(sa.update(schema.runs).values(remembered={"delivery": run.remembered["delivery"]}))
    world.restart()
    carry_out(world)
    assert statuses(world)[-1][0] == "success"
    assert len({posted.json["delivery"] for posted in receiver.posted}) == 1


# The receiver that docs/providers.md shows


def test_the_receiver_of_the_docs(place: Make, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
    shown = next(
        code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "BaseHTTPRequestHandler" in code
    )
    (tmp_path / "receiver.py").write_text(shown)
    port = free_port()
    environment = {"HOOK_SECRET": SECRET, "PORT": str(port), "PATH": os.environ["PATH"]}
    process = subprocess.Popen([sys.executable, str(tmp_path / "receiver.py")], env=environment, stderr=subprocess.PIPE)
    try:
        until(lambda: listens(port))
        assert httpx.post(f"http://127.0.0.1:{port}/", content=b"{}").status_code == 401
        world = place(url=f"http://127.0.0.1:{port}/")
        world.clock.moment = datetime.now(UTC)  # it refuses what was sent long ago
        deploy(world)
        assert ended(world, in_background(world)) == ("success", "web is out")
    finally:
        process.kill()
        process.communicate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
