"""Rooms as plain text."""

from __future__ import annotations

from typing import Any

import pytest

from bot.playground.slack import SimulatedSlack


@pytest.fixture
def slack() -> SimulatedSlack:
    simulated = SimulatedSlack()
    simulated.add_person("U0ANA", "ana")
    simulated.add_person("U0BEN", "ben")
    simulated.add_room("C0OPS", "ops")
    simulated.add_usergroup("S0REL", "release", ["U0ANA"])
    return simulated


def post(slack: SimulatedSlack, text: str = "", **more: Any) -> str:
    workspace = slack._workspace
    with workspace.change():
        return workspace.post(workspace.room("ops"), slack.bot_user_id, text, **more).ts


@pytest.mark.parametrize(
    ("mrkdwn", "shown"),
    [
        ("*web* to `main`, :tada: _now_", "*web* to `main`, :tada: _now_"),
        ("<https://x.y/z|4c7b474>", "4c7b474"),
        ("<https://x.y/z>", "https://x.y/z"),
        ("<mailto:a@x.y>", "a@x.y"),
        ("<@U0ANA> and <@U0BEN|b> and <@U0NO>", "@ana and @ben and @U0NO"),
        ("<#C0OPS>, <#C0OPS|old-name>, <#C0NO|else>", "#ops, #ops, #else"),
        ("<!subteam^S0REL> <!here> <!channel>", "@release @here @channel"),
        ("<!date^1392734382^{date}|Feb 18>", "Feb 18"),
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
    ],
)
def test_references_in_mrkdwn(slack, mrkdwn, shown):
    post(slack, mrkdwn)
    assert slack.transcript("ops") == f"shipbot: {shown}"


def test_a_card_its_thread_and_what_one_person_sees(slack):
    def mrkdwn(text: str) -> dict:
        return {"type": "mrkdwn", "text": text}

    def button(text: str) -> dict:
        return {"type": "button", "text": {"type": "plain_text", "text": text}, "action_id": text}

    ts = post(
        slack,
        "fallback",
        blocks=[
            {"type": "header", "text": {"type": "plain_text", "text": "Deploy"}},
            {"type": "section", "text": mrkdwn("*web* at <https://x.y|4c7b474>\nWaiting")},
            {"type": "section", "fields": [mrkdwn(":hourglass: Approvals"), mrkdwn("Not locked")]},
            {"type": "divider"},
            {"type": "context", "elements": [mrkdwn("3 commits"), {"type": "plain_text", "text": "soon"}]},
            {"type": "actions", "elements": [button("Approve"), button("Reject")]},
        ],
    )
    post(slack, "in front")
    post(slack, "queued\nsince 9:00", thread_ts=ts)
    post(slack, "only you", ephemeral_for="U0ANA")
    everybody = """\
shipbot: Deploy
  *web* at 4c7b474
  Waiting
  :hourglass: Approvals
  Not locked
  ---
  3 commits
  soon
  [Approve] [Reject]
  ↳ shipbot: queued
      since 9:00
shipbot: in front
"""
    assert slack.transcript("ops") == everybody + "shipbot (only @ana sees): only you"
    assert slack.transcript("ops", viewer="ben") + "\n" == everybody


def test_an_edited_message_stands_once_and_a_deleted_one_not_at_all(slack):
    ts, gone = post(slack, "one"), post(slack, "two")
    workspace = slack._workspace
    workspace.edit(workspace.message("ops", ts), "final", [], None, [])
    slack.delete_message("ops", gone)
    assert slack.transcript("ops") == "shipbot: final"


def test_a_deleted_parent_leaves_its_place(slack):
    ts = post(slack, "one")
    post(slack, "below", thread_ts=ts)
    slack.delete_message("ops", ts)
    assert slack.transcript("ops") == "shipbot: This message was deleted.\n  ↳ shipbot: below"


def test_menus_inputs_rich_text_and_tables(slack):
    plain = {"type": "plain_text", "text": "Staging"}
    option = {"text": plain, "value": "a"}
    other = {"text": {"type": "plain_text", "text": "Production"}, "value": "b"}
    words = {
        "type": "rich_text_section",
        "elements": [{"type": "text", "text": "hi "}, {"type": "user", "user_id": "U0ANA"}],
    }
    post(
        slack,
        blocks=[
            {
                "type": "section",
                "text": plain,
                "accessory": {
                    "type": "static_select",
                    "action_id": "s",
                    "options": [option],
                    "initial_option": option,
                },
            },
            {
                "type": "actions",
                "elements": [
                    {"type": "overflow", "action_id": "o", "options": [option, other]},
                    {
                        "type": "radio_buttons",
                        "action_id": "r",
                        "options": [option, other],
                        "initial_option": other,
                    },
                    {
                        "type": "checkboxes",
                        "action_id": "c",
                        "options": [option],
                        "initial_options": [option],
                    },
                    {"type": "datepicker", "action_id": "d", "initial_date": "2030-01-31"},
                    {"type": "users_select", "action_id": "u"},
                ],
            },
            {"type": "input", "label": plain, "element": {"type": "plain_text_input", "action_id": "p"}},
            {
                "type": "rich_text",
                "elements": [words, {"type": "rich_text_list", "style": "ordered", "elements": [words]}],
            },
            {
                "type": "table",
                "rows": [[{"type": "raw_text", "text": "a"}, {"type": "raw_text", "text": "b"}]],
            },
            {"type": "image", "image_url": "https://x.y", "alt_text": "a graph"},
        ],
    )
    assert (
        slack.transcript("ops")
        == """\
shipbot: Staging
  [Staging ▾]
  [… Staging | Production] ( ) Staging (o) Production [x] Staging [2030-01-31] [users_select]
  Staging: [plain_text_input]
  hi @ana
  1. hi @ana
  a | b
  (a graph)"""
    )
