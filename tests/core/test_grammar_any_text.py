"""The language of commands: no text does harm, and every command can be written and read again."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.deploys.config_file import read_config
from bot.deploys.config_parts import RESERVED
from bot.deploys.errors import PersonError
from bot.deploys.times import parse_duration
from bot.playground.slack_blocks import check_blocks, check_text
from bot.slack.grammar import BY_NAME, FORMS, Command, ParseError, parse, render
from bot.slack.views import replies
from bot.slack.views.text import Message
from tests.world import CONFIG

KEYWORDS = {word for form in FORMS for clause in form.clauses for word in clause.words}
NASTY = st.sampled_from(
    (
        "<!channel> <!here> <@U0ANA> <#C0OPS> <https://x|y> & < > ``` ` * _ ~ ! / @ : to on in because until for"
        " deploy help status history diff where apps lock unlock locks approve reject cancel check freeze"
        " unfreeze retry rollback promote from"
        " login logout whoami web prod all 2h 5\u017f #42 42 0 web! web: because: lock! Fri"
        " \u202e \u2028 \0 \n \t 🚀 ʼ &lt;!channel&gt; @channel deploy:x"
    ).split(" ")
)
TEXTS = st.text(max_size=60) | st.lists(NASTY | st.text(max_size=8), max_size=12).map(" ".join)
KNOWN = read_config(CONFIG)
# A text that gets further into its form than one that begins with anything.
STARTED = st.builds("{} {}".format, st.sampled_from([form.name for form in FORMS]), TEXTS)


@given(TEXTS | STARTED)
@example("x" * 3000)
@example("& " * 900)
@example("web to prod " + "`" * 1500)
@example("lock web for " + "99999w" * 300)
def test_no_text_does_harm(text: str) -> None:
    """It is a command or it is not; either way the answer keeps Slack's rules and mentions nobody."""
    try:
        command = parse(text)
    except ParseError as error:
        harmless(replies.not_understood(error, next(iter(error.nearest), "")))
        return
    assert command.name in BY_NAME
    assert 0 <= command.number < 10**18
    if command.duration:
        parse_duration(command.duration)
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
    st.characters(codec="utf-8").filter(lambda letter: not letter.isspace() and letter not in "/!@`*\"'\u201c\u2018"),
    min_size=1,
    max_size=12,
).filter(
    lambda word: (
        word.lower() not in RESERVED | KEYWORDS and not word.endswith(":") and re.search(r"\w", word) is not None
    )
)
TARGET = st.builds(
    lambda app, mark, ref: app + mark + ref if mark else app, WORD, st.sampled_from(["", "/", "@"]), WORD
)
TASK = st.from_regex(r"[\w.:-]{0,9}[\w.-]", fullmatch=True).map("deploy:{}".format)
OPTIONAL = st.just("") | WORD
REASON = st.lists(WORD | st.sampled_from(["to", "in", "!", "because", ":", "x:"]), max_size=5).map(" ".join)
DURATION = st.sampled_from(["", "90s", "30m", "30min", "1h30M", "2d", "1w"])
NUMBER = st.integers(1, 10**18 - 1)
DEPLOYS = st.builds(
    lambda name, target, place, hosts, force, **rest: Command(
        name, target, place, hosts if place else "", force=force, **(rest if name == "deploy" else {})
    ),
    st.sampled_from(["deploy", "check"]),
    TARGET,
    OPTIONAL,
    OPTIONAL | st.just("fe1,fe2"),
    force=st.booleans(),
    task=st.just("") | TASK,
    reason=REASON,
)
LOCKING = st.builds(
    lambda target, place, **rest: Command("lock", target, place if target else "", everything=not target, **rest),
    TARGET | st.just(""),
    OPTIONAL,
    duration=DURATION,
    reason=REASON.map(lambda reason: reason.rstrip(" !")),  # the last `!` is none of the reason
    force=st.booleans(),
)
FREEZES = st.builds(
    Command,
    st.just("freeze"),
    TARGET | st.just(""),
    OPTIONAL,
    until=st.lists(WORD, max_size=3).map(" ".join),
    reason=REASON,
)
OTHERS = st.one_of(
    st.builds(Command, st.sampled_from(["history", "diff", "status", "unlock", "unfreeze"]), TARGET, OPTIONAL),
    st.builds(Command, st.just("where"), TARGET),
    st.builds(lambda topic: Command("help", topic=topic), OPTIONAL),
    st.builds(Command, st.sampled_from(["approve", "reject", "cancel", "retry"]), number=NUMBER),
    st.builds(Command, st.just("reject"), number=NUMBER, reason=REASON),
    st.builds(Command, st.just("unfreeze"), environment=OPTIONAL),
    st.builds(Command, st.just("promote"), TARGET, WORD, origin=WORD),
    st.builds(Command, st.just("rollback"), TARGET, OPTIONAL, ref=OPTIONAL, reason=REASON),
    st.builds(Command, st.just("subscribe"), TARGET, OPTIONAL, states=st.lists(WORD, max_size=3).map(" ".join)),
    st.builds(Command, st.just("unsubscribe"), TARGET, OPTIONAL),
    st.sampled_from([Command(name) for name in ("apps", "status", "locks", "login", "logout", "whoami")]),
    st.just(Command("unlock", everything=True)),
)


@given(DEPLOYS | LOCKING | FREEZES | OTHERS)
@settings(max_examples=300)  # there are many forms
@example(Command("lock", "web", "prod", force=True, duration="2h", reason="it is: mine"))
def test_what_is_rendered_is_parsed_to_the_same(command: Command) -> None:
    assert parse(render(command)) == command


@given(TEXTS | STARTED)
def test_what_is_parsed_is_rendered_to_the_same(text: str) -> None:
    try:
        command = parse(text)
    except ParseError:
        return
    assert parse(render(command)) == command
