"""The home tab: what a person finds there, and what its buttons do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from msgspec import structs

from bot.deploys.model import Deploy, Freezing, Lock
from bot.playground.slack_blocks import check_view
from bot.reader import Overview, Place
from bot.slack.views import home as views
from bot.slack.views import modal
from bot.slack.views.text import Links
from tests.front.chat import calls, cards, newest, writes
from tests.world import START, World

CONFIG = """
admins: [U0CAL]
freezes: [{name: winter, from: "2026-02-01", to: "2026-03-31", timezone: UTC, reason: audit}]
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      production:
        approvals: {approvers: [S0REL]}
        required_contexts: []
        override: [U0ANA, U0BEN]
      staging: {required_contexts: [], override: [U0ANA, U0BEN]}
  api:
    repository: acme/api
    rooms: [C0SEC, C0OPS]
    environments: {production: {required_contexts: [], when_frozen: wait}}
"""


def home(world: World, person: str) -> list[str]:
    """Somebody opens the tab; what they see, line by line."""
    world.slack.open_home(person)
    world.settle()
    return seen(world, person)


def seen(world: World, person: str) -> list[str]:
    view = world.slack.home(person)
    assert view is not None
    return world.slack.text_of(view).splitlines()


def part(lines: list[str], header: str, end: str) -> list[str]:
    """The lines between two headers."""
    return lines[lines.index(header) + 1 : lines.index(end)]


def press(world: World, person: str, action_id: str, value: str) -> list[str]:
    """Somebody presses a button of the tab; what they see then."""
    view = world.slack.home(person)
    assert view is not None
    world.slack.click_view(person, action_id, value, view_id=view["id"])
    world.settle()
    return seen(world, person)


def told(world: World, person: str) -> str:
    """The newest thing the bot said to somebody alone."""
    return newest(world, world.slack.direct_room(person))


def furnished(make_world: Callable[..., World]) -> World:
    """Something live, something that waits for approval, something that waits for a freeze, and a lock."""
    world = make_world(config=CONFIG)
    world.slack.add_usergroup("S0REL", "release", ["U0BEN", "U0ANA"])
    world.slack.add_room("C0SEC", "secret", private=True, members=["U0ANA"])
    world.slack.add_person("U0DEE", "dee")  # in no room
    world.say("U0BEN", "/deploy web to staging because audit")
    world.deliver()
    world.report("success")
    world.say("U0ANA", "/deploy web/topic to production because the login loops")
    world.say("U0ANA", "/deploy api")
    world.say("U0BEN", "/deploy lock web in staging because demo day")
    return world


def test_what_a_person_finds_there(make_world: Callable[..., World]) -> None:
    world = furnished(make_world)
    main, topic, api = (
        world.github.head(repository, ref)[:7]
        for repository, ref in (("acme/web", "main"), ("acme/web", "topic"), ("acme/api", "main"))
    )
    waits = [
        f":large_yellow_circle: *web* to *production* · `topic` at {topic} · #2 for @ana",
        "Waiting for 1 approval · asked 2026-03-02 09:00 UTC",
        "“the login loops”",
    ]
    end = [
        "Locks and freezes",
        ":lock: *web* / *staging* by `ben` for 0 s: “demo day”",
        "[Unlock] [Take over]",
        ":snowflake: everything by the config “winter”: “audit” (until 2026-04-01 00:00 UTC)",
    ]
    live = [
        "*What is live of web*",
        ":white_circle: *production*: nothing yet",
        f"     :large_yellow_circle: on its way: `topic` at {topic} · #2 by `ana`",
        f":large_green_circle: *staging*: `main` at {main} · #1 by `ben`, since 2026-03-02 09:00 UTC",
    ]
    assert home(world, "U0ANA") == [
        "[Deploy…]",
        "Waits for you",
        "Nothing waits for your approval.",  # she is an approver, and asked for it herself
        "Yours",
        *waits,
        "[Cancel]",
        f":large_yellow_circle: *api* to *production* · `main` at {api} · #3 for @ana",
        "Waiting for the freeze to end · asked 2026-03-02 09:00 UTC",
        "[Cancel]",
        "Live",
        *live,
        "*What is live of api*",
        ":white_circle: *production*: nothing yet",
        f"     :large_yellow_circle: on its way: `main` at {api} · #3 by `ana`",
        *end,
    ]
    ben = home(world, "U0BEN")
    assert part(ben, "Waits for you", "Live") == [*waits, "[Approve] [Reject]"]
    # Dee is in none of the rooms of api, and no approver.
    assert home(world, "U0DEE") == [
        "[Deploy…]",
        "Waits for you",
        "Nothing waits for your approval.",
        "Live",
        *live,
        *end,
    ]
    assert calls(world, "users.conversations") == 3
    home(world, "U0DEE")
    assert calls(world, "users.conversations") == 3


def test_what_is_under_way_is_shown_with_its_reason(make_world: Callable[..., World]) -> None:
    world = make_world(config=CONFIG)
    world.say("U0BEN", "/deploy web to staging because audit")
    world.deliver()
    world.report("in_progress")
    assert part(home(world, "U0BEN"), "Yours", "Live") == [
        f":large_blue_circle: *web* to *staging* · `main` at {world.github.head('acme/web', 'main')[:7]} · #1 for @ben",
        "In progress · asked 2026-03-02 09:00 UTC",
        "“audit”",
        "[Cancel]",
    ]
    assert "[Cancel]" not in home(world, "U0ANA")


def test_what_its_buttons_do(make_world: Callable[..., World]) -> None:
    world = furnished(make_world)
    home(world, "U0BEN")
    after = press(world, "U0BEN", "deploy_approve", "2")
    assert part(after, "Waits for you", "Live") == ["Nothing waits for your approval."]
    assert [made["environment"] for made in writes(world)] == ["staging", "production"]
    assert "approved by @ben" in cards(world)[1]

    home(world, "U0ANA")
    after = press(world, "U0ANA", "deploy_cancel", "3")
    assert part(after, "Yours", "Live")[0].startswith(":large_yellow_circle: *web* to *production*")
    assert ":heavy_multiplication_x:" in cards(world)[2]

    # What can't be done is told in the conversation with the bot; the tab is shown as things are.
    world.say("U0BEN", "/deploy unlock web in staging")
    after = press(world, "U0ANA", "lock_release", "L1")
    assert told(world, "U0ANA") == ":no_entry: That lock is gone already. `/deploy locks` lists those that hold."
    assert not any(line.startswith(":lock:") for line in after)

    world.say("U0BEN", "/deploy lock web in staging because demo day")
    home(world, "U0ANA")
    after = press(world, "U0ANA", "lock_steal", "L2")
    assert ":lock: *web* / *staging* by `ana` for 0 s" in after
    assert told(world, "U0BEN") == ":lock: @ana took over your lock on *web* / *staging*"
    after = press(world, "U0ANA", "lock_release", "L3")
    assert not any(line.startswith(":lock:") for line in after)

    # Slack may be silent when the tab is to be shown anew: what was pressed is not done a second time. The lock is
    # of an app that is spoken of in some rooms alone, and one of them hears of it.
    world.say("U0BEN", "/deploy lock api")
    home(world, "U0ANA")
    world.slack.fail("views.publish", status=503, times=5)
    press(world, "U0ANA", "lock_steal", "L4")
    world.advance(minutes=5)
    said = world.room().splitlines()
    assert said.count("shipbot: :lock: @ana took over the lock on all of *api*") == 1
    assert said[-1] == "  [Unlock]"


def test_a_deploy_from_there(make_world: Callable[..., World]) -> None:
    world = make_world(config=CONFIG.replace("freezes: [", "freezes: [] #"))
    secret = world.slack.add_room("C0SEC", "secret", private=True, members=["U0ANA"])

    # An app that names no rooms: the card comes into the conversation with the bot.
    home(world, "U0ANA")
    press(world, "U0ANA", "home_deploy", "form")
    [form] = world.slack.views("U0ANA")
    assert "Room:" not in world.slack.text_of(form)
    world.slack.submit_view("U0ANA", {"environment": "staging"})
    world.settle()
    direct = world.slack.direct_room("U0ANA")
    assert "Its card is in our conversation." in world.slack.text_of(world.slack.views("U0ANA")[0])
    assert len(cards(world, direct)) == 1

    # One that does: a room is chosen among those of its rooms that the person is in.
    press(world, "U0ANA", "home_deploy", "form")
    world.slack.click_view("U0ANA", "app", "api")
    world.settle()
    text = world.slack.text_of(world.slack.views("U0ANA")[0])
    assert "Room: [#secret ▾]" in text
    assert "it would go now" in text
    secret.members.remove("U0ANA")  # who is in a room is looked up when it is sent, whatever the form offered
    world.advance(minutes=2)
    world.slack.submit_view("U0ANA")
    world.settle()
    text = world.slack.text_of(world.slack.views("U0ANA")[0])
    assert ":no_entry: *api* can't be deployed from here. Ask in #secret or #ops." in text
    assert "Room: [#ops ▾]" in text
    world.slack.submit_view("U0ANA")
    world.settle()
    assert cards(world)[0].startswith(":large_yellow_circle: *api* to *production*")

    # Pressed too long ago.
    view = world.slack.home("U0ANA")
    assert view is not None
    world.slack.click_view("U0ANA", "home_deploy", view_id=view["id"])
    world.advance(seconds=4)
    assert told(world, "U0ANA").startswith("Slack did not let me open the form any more.")


def test_however_much_there_is_slack_takes_it() -> None:
    long = "x" * 100
    deploy = Deploy(
        number=1,
        id="",
        origin="slack",
        app=long,
        repository=f"acme/{long}",
        environment=long,
        ref="r" * 255,
        sha="5" * 40,
        task=long,
        state="held",
        asked_at=START,
        reason="z" * 2000,
        user_id="U0ANA",
        user_name="ana",
    )
    deploys = [structs.replace(deploy, number=number) for number in range(1, 31)]
    lock = Lock(1, long, long, "U0ANA", "ana", "y" * 2000, "", START)
    freeze = Freezing(1, long, long, "", "y" * 2000, "U0ANA", "ana", START, None)
    places = [
        Place(f"{number}{long}", f"acme/{long}", f"{place}{long}", deploy, deploys)
        for number in range(20)
        for place in range(3)
    ]
    url = f"https://example.com/{'u' * 900}"
    up = {place.app: [structs.replace(deploy, environment_url=url)] * 30 for place in places}
    view = views.home(
        Overview(places, deploys, deploys, [lock] * 30, [freeze] * 30, up), Links("https://github.com"), START
    )

    assert check_view(view) == []
    counted = [block["elements"][0].get("text", "") for block in view["blocks"] if block["type"] == "context"]
    assert [words for words in counted if words.startswith("and ")] == [
        "and 20 more",
        "and 20 more",
        "and 5 more apps",
        "and 44 more",
    ]

    filled = modal.Filled(long, long, "r" * 75, "C0OPS", long, "z" * 500, force=True)
    names = [long, *(f"{number}{long}"[:100] for number in range(119))]
    rooms = {"C0OPS": "o" * 80, **{f"C{number}": "p" * 80 for number in range(119)}}
    form = modal.form(modal.Form(filled, names, names, rooms, "{}"), modal.looking())
    assert check_view(form) == []
    assert form["blocks"][1]["elements"][0]["text"] == "and 20 more: type `/deploy APP` for those"
    assert check_view(modal.form(modal.Form(replace(filled, ref="r" * 76), names, names), [])) == []
