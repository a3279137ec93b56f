"""Text from outside stays text: nothing is mentioned, linked, formatted or broken by it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.front.chat import ask, cards, deliver_altered, newest, thread
from tests.world import World

MARKUP = (
    "<!channel> <!here> <@U0BEN> <#C0RAN> <!subteam^S1|all> <https://evil.example|Open> *b* _i_ ~s~ `c` ```d``` &lt;"
)
UNSEEN = "\u202edrow\u202c \u2066x\u2069 \u200b\u200f\ufeff\u061c \x07\x1b[31m\x7f\x85"
NUL = "a\x00b"
LONG = "long `<!channel>` & " * 400
HOSTILE = [MARKUP, UNSEEN, NUL, LONG, f"{MARKUP}\n{UNSEEN}\r\n{NUL}"]
NAMES = ["x<!channel>`y`|&", "a\u202eb<@U0BEN>", "é😀<#C0RAN|evil>", "w" * 200]

_REFERENCE = re.compile(r"<([^<>]*)>")
_BAD = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def texts(value: Any) -> Iterator[tuple[str, str]]:
    """Every text object in blocks: its type and its text; addresses of buttons too."""
    if isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["type"], value["text"]
        if "url" in value:
            yield "url", value["url"]
        for item in value.values():
            yield from texts(item)


def hold(world: World) -> None:
    """Holds every message of the bot, as it is and as it was, to what may be in one."""
    seen = 0
    for room in world.slack.rooms:
        for message in world.slack.messages(room.id):
            if message.user != world.slack.bot_user_id:
                continue
            seen += 1
            assert message.text
            hold_texts(world, [("notification", message.text), *texts([message.blocks, message.earlier])])
    assert seen
    assert world.slack.violations == []


def hold_texts(world: World, found: Iterable[tuple[str, str]]) -> None:
    for kind, text in found:
        assert not _BAD.search(text), (kind, text)
        if kind in ("mrkdwn", "notification"):
            hold_references(world, text)
        if kind == "mrkdwn":
            hold_spans(text)
        if kind == "url":
            assert re.fullmatch(r"https?://[^\s<>|\"]+", text)


def hold_references(world: World, text: str) -> None:
    """Only the person who asked, the room it was in, moments, and links to GitHub and to what a deployer named."""
    link = rf"(?:{re.escape(world.github.url)}/|https://ok\.example)[^|<> ]*\|[^|]*"
    allowed = rf"@U0ANA|#C0OPS|!date\^\d+\^[^|]*\|[^|]*|{link}"
    for reference in _REFERENCE.findall(text):
        assert re.fullmatch(allowed, reference), text
    assert "<" not in _REFERENCE.sub("", text), text


def finish(world: World) -> None:
    """Whatever was handed to GitHub is over, so that the next one has its turn."""
    world.deliver()
    for made in world.github.deployments("acme/web"):
        world.github.report("acme/web", made["id"], "error")
    world.deliver()


def hold_spans(text: str) -> None:
    """What is from outside stands in code spans, and every span that is opened is closed."""
    text = _REFERENCE.sub("", re.sub("```.*?```", "", text, flags=re.DOTALL))
    for line in text.splitlines():
        assert line.count("`") % 2 == 0, text
        outside = "".join(line.split("`")[::2])
        assert "evil" not in outside, text


@pytest.mark.parametrize("text", HOSTILE)
def test_in_what_people_type(world: World, text: str) -> None:
    word = "".join(text.split())
    for typed in (
        f"web to staging because {text}",
        f"web to staging/{word}",
        f"web/{word} to staging",
        f"web@{word}",
        f"{word}",
        f"{text}",
        f"web to {word}",
        f"web {word}",
        f"deploy:{word} web",
        f"help {word}",
        f"history web/{word}",
        f"diff web/{word}",
        f"status {word}",
        f"where {word} {word}",
    ):
        before = len(world.github.deployments("acme/web"))
        for room in ("C0OPS", "", "dm"):
            if room:
                world.say("U0ANA", typed if room == "dm" else f"/deploy {typed}", room)
            else:
                world.slack.mention("U0ANA", "C0OPS", typed)
                world.settle()
            if len(world.github.deployments("acme/web")) > before:
                before += 1
                world.report("error")  # and the next one has its turn
    hold(world)


@pytest.mark.parametrize("name", NAMES)
def test_in_names_of_branches_authors_and_people(world: World, name: str) -> None:
    world.say("U0ANA", "/deploy web to staging")
    world.deliver()
    world.report("success")
    world.github.push("acme/web", name, f"{MARKUP}\n\nbody", base="main", author=name)
    world.github.push("acme/web", name, UNSEEN, author=name)
    world.github.push("acme/web", name, LONG, author=name)
    world.github.push("acme/web", name, NUL, author=name)
    world.slack.command("U0ANA", "C0OPS", f"web/{name} to staging", user_name=name)
    world.settle()
    world.say("U0ANA", f"/deploy diff web/{name} in staging")
    world.say("U0ANA", f"/deploy web/{name}x")
    world.deliver()
    world.report("in_progress", creator=name)
    world.report("success", creator=name)
    for text in ("where web", "status web", "history web", f"history web/{name}"):
        world.say("U0ANA", f"/deploy {text}")

    hold(world)
    assert [made["payload"]["ref"] for made in world.github.deployments("acme/web")] == [name, "main"]


ANNOUNCE = """
apps:
  web: {repository: acme/web, announce: [{room: C0OPS}], environments: {production: {}}}
"""


@pytest.mark.parametrize("text", HOSTILE)
def test_in_what_github_tells(make_world: Callable[..., World], text: str) -> None:
    world = make_world(config=ANNOUNCE)
    world.github.create_deployment(
        "acme/web", "topic", environment=text, task=text, description=text, creator=text, payload={"name": text}
    )
    world.deliver()
    world.report(text, description=text, creator=text, log_url=text, environment_url=f"https://ok.example/{text}")
    world.report("success", description=text, creator=text)
    for command in ("where web", "status web", "history web"):
        world.say("U0ANA", f"/deploy {command}")

    hold(world)
    assert cards(world)[0].startswith(":large_green_circle:")
    assert len(thread(world)) == 2


ADDRESSES = [
    "javascript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "//evil.example",
    "https://ok.example/a|b",
    "https://ok.example/>x<https://evil.example",
    "https://ok.example/a b",
    "https://ok.example/\u202egnp",
    "https://ok.example/\n<!channel>",
    'https://ok.example/"x',
    "https://ok.example/" + "a" * 3000,
    "HTTPS",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_in_what_people_say_of_holds_and_votes(make_world: Callable[..., World], text: str) -> None:
    """Reasons of locks, freezes and rejections, in every place where they are told; names of checks too."""
    world = make_world(config=GATED)
    text = text[:1500]  # a command takes no more
    word = "".join(text.split())
    world.github.set_status(
        "acme/web", "topic", text.replace("\0", "")[:200], "failure", target_url="https://ok.example/1"
    )
    for typed in (
        f"web/topic to staging because {text}",
        "web to staging",
        "web to staging/fe1",
        f"reject 2 because {text}",
        f"reject {word}",
        f"cancel {word}",
        f"lock web in staging for 2h because {text}",
        f"lock web in staging because {text} !",
        f"lock {word}",
        f"unlock web in {word}",
        "web/topic to production",
        "check web/topic to production",
        f"freeze web because {text}",
        f"freeze web until {word}",
        "locks",
        "web! to staging",
        "check web to staging",
        "history #1",
        "history #2",
    ):
        world.say("U0ANA", f"/deploy {typed}")
    for told in ("@ana locked *web* / *staging*: ", "@ana froze all of *web* until", "@ana rejected"):
        assert told in world.room()
    hold(world)
    world.slack.open_home("U0ANA")
    world.settle()
    home = world.slack.home("U0ANA")
    assert home is not None
    assert "#1" in world.slack.text_of(home)
    hold_texts(world, texts(home["blocks"]))


GATED = """
apps:
  web:
    repository: acme/web
    environments:
      staging: {approvals: {self_approval: true}}
      production: {when_locked: wait, when_red: refuse}
"""


def test_addresses_that_are_none_become_no_link(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    for address in ADDRESSES:
        world.report("in_progress", log_url=address, environment_url=address)
    hold(world)
    assert "[Open]" not in cards(world)[0]
    assert "Logs" not in "\n".join(thread(world))

    world.report("success", log_url="https://ok.example/?a=1&b=<", environment_url="https://ok.example/?a=1&b=2")
    hold(world)
    assert cards(world)[0].endswith("[Open] [Lock staging]")
    button, _ = world.slack.messages("C0OPS")[0].blocks[-1]["elements"]
    assert button["url"] == "https://ok.example/?a=1&b=2"


def test_a_very_long_address_is_a_button_only(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    world.report("success", log_url="https://ok.example/" + "a" * 2900, description="d" * 3000)

    assert cards(world)[0].endswith("[Logs] [Lock staging]")
    assert thread(world)[0].splitlines()[0] == ":large_green_circle: Live after 0 s · `deployer` · @ana"
    hold(world)


def test_in_githubs_refusals(world: World) -> None:
    path = "/repos/acme/web/deployments"
    contexts = [{"context": f"{MARKUP}{number}", "state": MARKUP} for number in range(40)]
    failed = {"message": "Conflict: Commit status checks failed", "errors": [{"contexts": contexts}]}
    world.github.fail("POST", path, status=409, body=failed)
    for status, body in ((403, MARKUP), (409, LONG), (422, UNSEEN), (404, MARKUP), (401, MARKUP), (418, MARKUP)):
        world.github.fail("POST", path, status=status, body={"message": body})
    world.say("U0ANA", "/deploy web/topic")
    assert "and 32 more" in cards(world)[0]
    world.say("U0ANA", "/deploy cancel 1")
    for _ in range(6):
        world.say("U0ANA", "/deploy web/topic")

    hold(world)
    assert [card.partition(" *web*")[0] for card in cards(world)] == [":heavy_multiplication_x:", *[":no_entry:"] * 6]


def test_answers_of_another_shape(world: World) -> None:
    """What stands between the bot and GitHub answers in HTML, or with JSON that is none of GitHub's."""
    path = "/repos/acme/web/deployments"
    for body in ("<html>Bad gateway</html>", [], "null", {"message": ["x"]}, {"errors": "x"}):
        world.github.fail("POST", path, status=409, body=body)
        world.say("U0ANA", "/deploy web/topic")
        world.advance(seconds=2)
        finish(world)
    for body in ("<html>Welcome</html>", {}, [], {"id": "x"}):
        world.github.fail("POST", path, status=201, body=body)
        world.say("U0ANA", "/deploy web/topic")
        world.advance(seconds=2)
        finish(world)

    hold(world)
    assert len(cards(world)) == 9
    assert len(world.github.deployments("acme/web")) <= 4
    world.github.requests.clear()  # their answers are not GitHub's


def test_webhooks_with_odd_values(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.deliver()
    world.report("in_progress")
    told = world.github.deliveries[-1]

    def change(**status: Any) -> Callable[[Any], None]:
        return lambda payload: payload["deployment_status"].update(status)

    for taken in (
        change(creator=None, id=2**62),
        change(description=None, log_url=None, target_url=None, environment_url=None, id=2**62 + 1),
        lambda payload: payload["deployment"].update(payload=[[[]]], creator=None, description=None),
    ):
        assert deliver_altered(world, told, taken) == [202]
    for odd in (
        change(id="x"),
        change(id=2**70),
        change(state=None),
        change(state=""),
        change(created_at="soon"),
        change(environment_url=7),
        lambda payload: payload.pop("deployment"),
        lambda payload: payload.update(repository=None),
        lambda payload: payload["deployment"].update(description=7),
    ):
        assert deliver_altered(world, told, odd) == [400]
    hold(world)
    assert cards(world)[0].splitlines()[1].startswith("In progress")
    world.report("success")
    assert cards(world)[0].splitlines()[1] == "Live after 0 s"


def test_a_slip_is_quoted_as_it_was_typed(world: World) -> None:
    world.say("U0ANA", "/deploy web <!channel> & `co`")

    assert newest(world).splitlines()[1:3] == [
        "```/deploy web <!channel> & ʼcoʼ",
        "            ^^^^^^^^^^```",
    ]
    assert ask(world, "/deploy <!channel>") == (
        ":no_entry: I know no app `<!channel>`. I know: `web`, `api`. `/deploy apps` lists them all."
    )
