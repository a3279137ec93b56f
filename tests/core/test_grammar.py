"""The language of commands: every spelling means what it should, and no text does harm."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.deploys.config import RESERVED
from bot.deploys.config_file import read_config
from bot.deploys.errors import PersonError
from bot.playground.slack_blocks import check_blocks, check_text
from bot.slack.grammar import BY_NAME, FORMS, LONGEST, Command, ParseError, nearest_form, parse, render
from bot.slack.views import replies
from bot.slack.views.text import Message
from tests.world import CONFIG

DEPLOY = {"name": "deploy", "target": "web"}

SPELLINGS: list[tuple[str, dict[str, object]]] = [
    ("web", {}),
    ("  web  ", {}),
    ("deploy web", {}),
    ("DEPLOY web", {}),
    ("web/topic", {"target": "web/topic"}),
    ("web/feature/login/loop", {"target": "web/feature/login/loop"}),
    ("web@v1.4", {"target": "web@v1.4"}),
    ("acme/web@topic", {"target": "acme/web@topic"}),
    ("web to production", {"environment": "production"}),
    ("web TO production", {"environment": "production"}),
    ("web on production", {"environment": "production"}),
    ("web in production", {"environment": "production"}),
    ("web\tto\nproduction", {"environment": "production"}),
    ("web to prod/fe1", {"environment": "prod", "hosts": "fe1"}),
    ("web to prod/fe1,fe2", {"environment": "prod", "hosts": "fe1,fe2"}),
    ("deploy:migrations web", {"task": "deploy:migrations"}),
    ("deploy:db:seed web", {"task": "deploy:db:seed"}),
    (":migrations web", {"task": "deploy:migrations"}),
    ("deploy! web", {"force": True}),
    ("deploy:migrations! web", {"force": True, "task": "deploy:migrations"}),
    ("! web", {"force": True}),
    ("web!", {"force": True}),
    ("web/topic!", {"target": "web/topic", "force": True}),
    ("web !", {"force": True}),
    ("web to production!", {"environment": "production", "force": True}),
    ("web to production !", {"environment": "production", "force": True}),
    ("web to prod/fe1!", {"environment": "prod", "hosts": "fe1", "force": True}),
    ("web because the login loops", {"reason": "the login loops"}),
    ("web BECAUSE  the   login\nloops", {"reason": "the login loops"}),
    ("web to prod because I want to on in!", {"environment": "prod", "reason": "I want to on in!"}),
    ("web because x to prod", {"reason": "x to prod"}),
    ("deploy help", {"target": "help"}),
    ("help", {"name": "help", "target": ""}),
    ("", {"name": "help", "target": ""}),
    (" \n ", {"name": "help", "target": ""}),
    ("HELP deploy", {"name": "help", "target": "", "topic": "deploy"}),
    ("apps", {"name": "apps", "target": ""}),
    ("where web", {"name": "where"}),
    ("status", {"name": "status", "target": ""}),
    ("status web", {"name": "status"}),
    ("Status web in prod", {"name": "status", "environment": "prod"}),
    ("history web/topic", {"name": "history", "target": "web/topic"}),
    ("history web to prod", {"name": "history", "environment": "prod"}),
    ("diff web on prod", {"name": "diff", "environment": "prod"}),
]


@pytest.mark.parametrize(("text", "meant"), SPELLINGS)
def test_a_spelling(text: str, meant: dict[str, object]) -> None:
    assert parse(text) == Command(**(DEPLOY | meant))  # type: ignore[arg-type]


# The text, what is marked as wrong, and the form that is offered.
SLIPS: list[tuple[str, str, str]] = [
    ("deploy", "", "deploy"),
    ("deploy!", "", "deploy"),
    ("deploy /topic", "/topic", "deploy"),
    ("@topic", "@topic", "deploy"),
    ("! !", "!", "deploy"),
    ("web to", "", "deploy"),
    ("web because", "", "deploy"),
    ("web to prod to staging", "to", "deploy"),
    ("web to prod staging", "staging", "deploy"),
    ("web to /fe1", "/fe1", "deploy"),
    ("web production", "production", "deploy"),
    ("histroy web", "histroy", "history"),
    ("where", "", "where"),
    ("where to prod", "prod", "where"),
    ("where web in prod", "in", "where"),
    ("history", "", "history"),
    ("history in prod", "in", "history"),
    ("status in prod", "in", "status"),
    ("apps all", "all", "apps"),
    ("diff web because x", "because", "diff"),
]


@pytest.mark.parametrize(("text", "wrong", "form"), SLIPS)
def test_a_slip_is_pointed_at(text: str, wrong: str, form: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text)
    error = caught.value
    assert (error.text[error.start : error.end], error.form and error.form.name) == (wrong, form)
    shown = replies.not_understood(error)
    assert wrong in str(shown.blocks)
    assert "`/deploy " in str(shown.blocks[-1])  # the form that works


def test_the_marker_stands_below_what_is_wrong() -> None:
    with pytest.raises(ParseError) as caught:
        parse("web to prod staging <x>")
    code = replies.not_understood(caught.value).blocks[1]["text"]["text"]
    assert code == "```/deploy web to prod staging &lt;x&gt;\n                    ^^^^^^^```"


def test_too_long_is_too_long() -> None:
    assert parse("x" * LONGEST).target == "x" * LONGEST
    with pytest.raises(ParseError, match="at most"):
        parse("x" * (LONGEST + 1))


def test_no_app_can_be_named_like_a_command() -> None:
    assert set(BY_NAME) <= RESERVED
    assert {word for form in FORMS for clause in form.clauses for word in clause.words} <= RESERVED


def test_every_example_of_the_help_is_a_command_of_its_form() -> None:
    for form in FORMS:
        for text in form.examples:
            assert parse(text).name == form.name


def test_the_nearest_form() -> None:
    assert [form and form.name for form in map(nearest_form, ("histroy", "deplyo", "stat", "zzz"))] == [
        "history",
        "deploy",
        "status",
        None,
    ]


# Whatever is typed

NASTY = st.sampled_from(
    "<!channel> <!here> <@U0ANA> <#C0OPS> <https://x|y> & < > ``` ` * _ ~ ! / @ : to on in because deploy help status"
    " history diff where apps web prod \u202e \u2028 \0 \n \t 🚀 ʼ &lt;!channel&gt; @channel deploy:x".split(" ")
)
TEXTS = st.text(max_size=60) | st.lists(NASTY | st.text(max_size=8), max_size=12).map(" ".join)
KNOWN = read_config(CONFIG)


@given(TEXTS)
@example("x" * 3000)
@example("& " * 900)
@example("web to prod " + "`" * 1500)
def test_no_text_does_harm(text: str) -> None:
    """It is a command or it is not; either way the answer keeps Slack's rules and mentions nobody."""
    try:
        command = parse(text)
    except ParseError as error:
        harmless(replies.not_understood(error))
        return
    assert command.name in BY_NAME
    if command.name == "help":
        harmless(replies.help_topic(command.topic))
    if command.target:
        try:
            name, _, _ = KNOWN.target(command.target)
            KNOWN.environment(name, command.environment or None)
        except PersonError as error:
            harmless(replies.problem(error, bare=command.bare))


def harmless(message: Message) -> None:
    assert check_blocks(message.blocks) == []
    assert check_text(message.text, has_blocks=True) == []
    assert message.text
    for block in message.blocks:
        for element in [block.get("text"), *block.get("elements", [])]:
            if element and element["type"] == "mrkdwn":
                assert "<" not in element["text"]
                assert element["text"].count("```") in (0, 2)
    assert "<" not in message.text


WORD = st.text(
    st.characters(codec="utf-8").filter(lambda letter: not letter.isspace() and letter not in "/!@"),
    min_size=1,
    max_size=12,
).filter(lambda word: word.lower() not in RESERVED)
TARGET = st.builds(
    lambda app, mark, ref: app + mark + ref if mark else app, WORD, st.sampled_from(["", "/", "@"]), WORD
)
TASK = st.from_regex(r"[\w.:-]{1,10}", fullmatch=True).map("deploy:{}".format)
OPTIONAL = st.just("") | WORD
DEPLOYS = st.builds(
    lambda target, place, hosts, **rest: Command("deploy", target, place, hosts if place else "", **rest),
    TARGET,
    OPTIONAL,
    OPTIONAL | st.just("fe1,fe2"),
    task=st.just("") | TASK,
    force=st.booleans(),
    reason=st.lists(WORD | st.sampled_from(["to", "in", "!", "because"]), max_size=5).map(" ".join),
)
OTHERS = st.one_of(
    st.builds(Command, st.sampled_from(["history", "diff", "status"]), TARGET, OPTIONAL),
    st.builds(Command, st.just("where"), TARGET),
    st.builds(lambda topic: Command("help", topic=topic), OPTIONAL),
    st.sampled_from([Command("apps"), Command("status")]),
)


@given(DEPLOYS | OTHERS)
def test_what_is_rendered_is_parsed_to_the_same(command: Command) -> None:
    assert parse(render(command)) == command
