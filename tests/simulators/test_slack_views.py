"""People fill in modals and open the home tab; a real Bolt app behind a real server hears of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.simulators.bolt import actions, button, form, open_form


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
    assert "errors" not in told
    assert "errors" not in slack.views("ana")[0]
    bot.say = None
    slack.submit_view("ana")
    assert bot.told[-1]["view"]["state"]["values"]["reason"]["why"]["value"] == "because"
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


def entry(action_id: str, element: dict, **more) -> dict:
    label = {"type": "plain_text", "text": action_id}
    return {
        "type": "input",
        "block_id": action_id,
        "label": label,
        "element": {**element, "action_id": action_id},
        **more,
    }


def test_a_form_holds_what_was_filled_in(slack, bot, client):
    options = [{"text": {"type": "plain_text", "text": each}, "value": each} for each in ("staging", "production")]
    where = {"type": "static_select", "options": options}
    text = {"type": "plain_text_input"}
    ref = {"type": "external_select", "min_query_length": 0}
    force = {"type": "checkboxes", "options": options[:1]}
    blocks = [
        entry("where", where, dispatch_action=True),
        entry("pick", ref),
        entry("why", text),
        entry("force", force, optional=True),
    ]
    slack.command("ana", "ops", "")
    view = client.views_open(trigger_id=bot.told[-1]["trigger_id"], view=form(blocks=blocks))["view"]
    heard = len(bot.told)

    slack.submit_view("ana", {"where": "staging"})
    assert slack.views("ana")[0]["errors"] == dict.fromkeys(["pick", "why"], "Please complete this required field.")
    assert (
        slack.click_view("ana", "pick", {"text": {"type": "plain_text", "text": "main"}, "value": "main"}).status == 0
    )
    slack.fill_view("ana", {"why": "demo"})
    assert len(bot.told) == heard, "the bot hears nothing of what is typed"

    slack.click_view("ana", "where", "production", values={"why": "a demo", "force": ["staging"]})
    values = bot.told[-1]["view"]["state"]["values"]
    assert values["why"]["why"]["value"] == "a demo"
    assert values["pick"]["pick"]["selected_option"]["value"] == "main"
    assert [each["value"] for each in values["force"]["force"]["selected_options"]] == ["staging"]
    assert slack.block_suggestion("ana", "pick", "").ok
    assert bot.told[-1]["view"]["state"] == {"values": {}}, "Slack does not tell it there"

    client.views_update(view_id=view["id"], view=form(blocks=[*blocks[:2], entry("why2", text)]))
    with pytest.raises(LookupError, match="'why'"):
        slack.fill_view("ana", {"why": "x"})
    with pytest.raises(LookupError, match="moon"):
        slack.fill_view("ana", {"where": "moon"})
    slack.submit_view("ana", {"why2": "new"})
    values = bot.told[-1]["view"]["state"]["values"]
    assert values["where"]["where"]["selected_option"]["value"] == "production"
    assert values["pick"]["pick"]["selected_option"]["value"] == "main"
    assert (values["why2"]["why2"]["value"], "why" in values) == ("new", False)


def test_a_form_is_emptied(slack, bot, client):
    open_form(slack, bot, client)
    slack.submit_view("ana", {"why": ""})
    assert slack.views("ana")[0]["errors"] == {"reason": "Please complete this required field."}
    assert "errors" not in bot.told[-1]


def test_nobody_acts_in_the_view_of_another(slack, bot, client):
    view = open_form(slack, bot, client)
    for act in (slack.submit_view, slack.close_view):
        with pytest.raises(LookupError, match="@ben has no view"):
            act("ben", view_id=view["id"])
    with pytest.raises(LookupError):
        slack.click_view("ben", "where", "staging", view_id=view["id"])


def test_a_stack_of_modals_closes_one_by_one_or_whole(slack, bot, client):
    open_form(slack, bot, client)
    slack.click_view("ana", "where", "staging")
    client.views_push(trigger_id=bot.told[-1]["trigger_id"], view=form(clear_on_close=True))
    slack.close_view("ana")
    assert slack.views("ana") == []
    assert bot.told[-1]["is_cleared"] is True


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        ({"response_action": "errors", "errors": {"nowhere": "x"}}, "errors name no input block of the view"),
        ({"response_action": "errors", "errors": {"reason": 1}}, "an error must be a text"),
        ({"response_action": "update", "view": {"type": "modal"}}, "missing required field: title"),
        ({"response_action": "explode"}, "unknown response_action 'explode'"),
        ("fine", "the Content-Type is text/plain"),
    ],
)
def test_a_wrong_answer_to_a_submission_is_noted(slack, bot, client, answer, note):
    open_form(slack, bot, client)
    bot.say = answer
    slack.submit_view("ana")
    assert any(note in violation for violation in slack.violations)
