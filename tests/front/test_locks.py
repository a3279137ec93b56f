"""Locks, as people live with them: taken, waited for, taken over, lifted, forgotten and reminded of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from bot.playground.slack import Message
from tests.front.chat import ask, cards, newest, posted, writes
from tests.world import World

CONFIG = """
admins: [U0ADM]
users: {U0ANA: ana-gh, U0BEN: ben-gh}
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      production: {aliases: [prod], deployers: [U0ANA, U0BEN], permission: write}
      staging: {when_locked: wait}
  api:
    repository: acme/api
    environments:
      production: {required_contexts: []}
"""


def furnished(make_world: Callable[..., World], config: str = CONFIG) -> World:
    """With Dee, who lives in Sydney, and an admin; Ben may only read acme/api."""
    world = make_world(config=config)
    world.slack.add_person("U0DEE", "dee", tz="Australia/Sydney")
    world.slack.add_person("U0ADM", "adm")
    for login in ("ana-gh", "ben-gh"):
        world.github.set_permission("acme/web", login, "write")
    return world


def told(world: World, person: str) -> list[str]:
    """What the bot wrote to somebody in the conversation with them."""
    return [world.slack.text_of(message) for message in world.slack.messages(world.slack.direct_room(person))]


def press(world: World, person: str, message: Message, action: str, room: str = "C0OPS") -> str:
    """Somebody presses a button; returns the newest message of the bot in that room."""
    assert world.slack.click(person, room, message.ts, action).ok
    world.settle()
    return newest(world, room)


def card(world: World, number: int = -1) -> Message:
    """A card in #ops, by its place there."""
    return posted(world.slack)[number]


def test_locked_for_two_hours(make_world: Callable[..., World]) -> None:
    world = furnished(make_world)
    assert ask(world, "/deploy lock production on web for 2h: demo day", "U0BEN").splitlines() == [
        ":lock: @ben locked *web* / *production*: “demo day” (until 2026-03-02 11:00 UTC)",
        "[Unlock]",
    ]
    world.advance(minutes=40)

    refused = ask(world, "/deploy web/topic to production").splitlines()
    assert refused == [
        ":lock: *web* / *production* is locked by @ben since 2026-03-02 09:00 UTC: “demo day” (until 2026-03-02 11:00 "
        "UTC). Ask them, wait for it and say `/deploy web/topic to production` again, or take it over: "
        "`/deploy lock web in production because … !`",
        "[Take over the lock]",
    ]
    assert [message.ephemeral_for for message in world.slack.messages("C0OPS")][-1] == "U0ANA"
    assert world.github.deployments("acme/web") == []
    assert cards(world) == []

    ask(world, "/deploy web to production", "U0BEN")  # whoever holds it deploys through it
    assert len(writes(world)) == 1
    ask(world, "/deploy web/topic to staging")  # another environment is none of its business
    assert len(writes(world)) == 2

    world.advance(minutes=79)
    assert told(world, "U0BEN") == []
    world.advance(minutes=1)
    assert told(world, "U0BEN") == [":unlock: Your lock on *web* / *production* has run out, as you wanted"]
    assert ask(world, "/deploy locks") == "Nothing is locked, and nothing is frozen."


def test_what_waits_for_a_lock_goes_on_when_it_ends(make_world: Callable[..., World]) -> None:
    """By itself when it runs out, when it is lifted by another (who tells the owner), and when it is the deployer's."""
    world = furnished(make_world)
    ask(world, "/deploy lock web in staging for 90m because smoke", "U0BEN")
    ask(world, "/deploy web/topic to staging")
    sha = world.github.head("acme/web", "topic")[:7]
    assert cards(world)[0].splitlines() == [
        f":large_yellow_circle: *web* to *staging* · `topic` at {sha} · #1 for @ana",
        "Waiting for @ben to unlock it · asked 2026-03-02 09:00 UTC",
        ":hourglass: Locked by @ben since 2026-03-02 09:00 UTC: “smoke” (until 2026-03-02 10:30 UTC)",
        ":white_check_mark: No checks to wait for",
        ":white_check_mark: Not frozen, nobody ahead",
        "[Take over the lock] [Cancel]",
    ]
    world.advance(minutes=89)
    assert writes(world) == []
    world.advance(minutes=1)
    assert len(writes(world)) == 1
    assert "Handed to GitHub" in cards(world)[0]
    world.report("success")

    ask(world, "/deploy lock web: incident", "U0CAL")
    assert "You may not lock that in *web* / *production*. Only @ana or @ben may." in newest(world)
    ask(world, "/deploy lock web: incident", "U0BEN")
    ask(world, "/deploy web to staging")
    assert ":hourglass: Locked (all of it) by @ben since" in cards(world)[1]
    assert ask(world, "/deploy unlock web").splitlines() == [
        ":unlock: @ana unlocked all of *web*, which @ben had locked",
    ]
    assert len(writes(world)) == 2
    assert told(world, "U0BEN")[-1] == ":unlock: @ana unlocked all of *web*, which you had locked"
    assert (
        ask(world, "/deploy unlock web")
        == ":no_entry: Nobody has locked all of *web*. `/deploy locks` lists what is locked."
    )


def test_taken_over_by_command_and_by_button(make_world: Callable[..., World]) -> None:
    world = furnished(make_world)
    ask(world, "/deploy lock web in staging because smoke", "U0BEN")
    ask(world, "/deploy web/topic to staging")
    held = ask(world, "/deploy lock web in staging because mine")
    assert held.splitlines() == [
        ":lock: It is locked by @ben since 2026-03-02 09:00 UTC: “smoke”. Ask them, or take it over: the same again "
        "with `!` at the end.",
        "[Take over the lock]",
    ]
    assert ask(world, "/deploy lock web in staging because mine !").splitlines() == [
        ":lock: @ana took over the lock on *web* / *staging*: “mine”",
        "It was @ben's, who is told",
        "[Unlock]",
    ]
    assert told(world, "U0BEN") == [":lock: @ana took over your lock on *web* / *staging*: “mine”"]
    assert len(writes(world)) == 1  # what the thief had waiting goes on

    ask(world, "/deploy web to staging", "U0BEN")  # behind #1, and locked out now
    assert "Waiting for @ana to unlock it and its turn" in cards(world)[1]
    taken = press(world, "U0BEN", card(world), "lock_steal")  # by the lock's own id
    assert taken.startswith(":lock: @ben took over the lock on *web* / *staging*\nIt was @ana's, who is told")
    assert told(world, "U0ANA") == [":lock: @ben took over your lock on *web* / *staging*"]
    world.report("success")
    assert len(writes(world)) == 2

    # The lock is Ben's by now, so the button that was to take it from Ana finds nothing to take.
    gone = ":no_entry: That lock is gone already. `/deploy locks` lists those that hold."
    assert press(world, "U0CAL", card(world), "lock_steal") == gone


def test_one_lock_for_everything(make_world: Callable[..., World]) -> None:
    world = furnished(make_world)
    assert "You may not lock that in *web* / *production*" in ask(world, "/deploy lock all", "U0CAL")
    ask(world, "/deploy lock all because incident", "U0ADM")  # who runs the bot may, though no deployer
    assert newest(world).startswith(":lock: @adm locked everything: “incident”")
    ask(world, "/deploy api")
    assert newest(world).startswith(
        ":lock: *api* / *production* is locked (everything) by @adm since 2026-03-02 09:00 UTC: “incident”. Ask them, "
        "wait for it and say `/deploy api/main to production` again, or take it over: "
        "`/deploy lock all because … !`"
    )
    ask(world, "/deploy web/topic to staging")
    assert ":hourglass: Locked (everything) by @adm" in cards(world)[0]
    ask(world, "/deploy lock api because mine too", "U0CAL")
    world.advance(hours=1)

    listed = ask(world, "/deploy locks", "U0CAL")
    assert listed.splitlines() == [
        ":lock: everything by `adm` for 1 h: “incident”",
        "[Unlock] [Take over]",
        ":lock: all of *api* by `cal` for 1 h: “mine too”",
        "[Unlock] [Take over]",
    ]
    assert ask(world, "/deploy unlock all", "U0CAL") == ":unlock: Unlocked all of *api*."  # one's own alone
    assert ask(world, "/deploy unlock all", "U0CAL") == "You hold no lock."
    assert writes(world) == []

    assert ask(world, "/deploy lock all because mine now !") == (
        ":lock: @ana took over the lock on everything: “mine now”\nIt was @adm's, who is told\n[Unlock]"
    )
    assert len(writes(world)) == 1
    said = next(each for each in reversed(world.slack.messages("C0OPS")) if each.text.startswith("<@U0ANA> took over"))
    assert press(world, "U0ADM", said, "lock_release") == ":unlock: @adm unlocked everything, which @ana had locked"


def test_who_may(make_world: Callable[..., World]) -> None:
    """Deployers whom GitHub lets write, and admins; each is asked for when they act."""
    world = furnished(make_world)
    world.github.set_permission("acme/web", "ben-gh", "read")
    assert ask(world, "/deploy lock web in production", "U0BEN") == (
        ":no_entry: You may not lock that in *web* / *production*. It takes `write` on the repository, "
        "and GitHub gives `ben-gh` `read`. Its admins can change that."
    )
    ask(world, "/deploy lock web in production because release")
    for person, why in (("U0BEN", "It takes `write` on the repository"), ("U0CAL", "Only @ana or @ben may.")):
        may_not = f":no_entry: You may not unlock that in *web* / *production*. {why}"
        assert ask(world, "/deploy unlock web in prod", person).startswith(may_not)
        taken = ask(world, "/deploy lock web in prod !", person)
        assert taken.startswith(f":no_entry: You may not lock that in *web* / *production*. {why}")
    world.github.set_permission("acme/web", "ben-gh", "maintain")
    world.advance(minutes=10)
    assert ask(world, "/deploy unlock web in prod", "U0BEN").startswith(":unlock: @ben unlocked")
    assert told(world, "U0ANA") == [":unlock: @ben unlocked *web* / *production*, which you had locked"]


def test_reminders_while_their_owner_is_at_work(make_world: Callable[..., World]) -> None:
    world = furnished(make_world)
    world.clock.moment = datetime(2026, 3, 6, 16, 0, tzinfo=UTC)  # Friday afternoon in Berlin, Saturday in Sydney
    ask(world, "/deploy lock web in production because release", "U0BEN")
    ask(world, "/deploy lock api", "U0DEE")
    heard: dict[str, list[str]] = {"U0BEN": [], "U0DEE": []}
    for _ in range(72):
        world.advance(hours=1)
        for person, times in heard.items():
            times += [f"{world.clock.moment:%a %H:%M}"] * (len(told(world, person)) - len(times))

    assert heard["U0BEN"] == ["Fri 19:00", "Fri 22:00", "Mon 08:00", "Mon 11:00", "Mon 14:00"]  # 9:00 in Berlin
    assert heard["U0DEE"] == ["Sun 22:00", "Mon 01:00", "Mon 04:00", "Mon 07:00", "Mon 10:00", "Mon 13:00", "Mon 16:00"]
    assert told(world, "U0BEN")[-1] == (
        ":alarm_clock: You have locked *web* / *production* since 2026-03-06 16:00 UTC: “release”. Still needed? "
        "Else `/deploy unlock web in production`"
    )
    ask(world, "/deploy unlock web in production", "U0BEN")
    for _ in range(4):
        world.advance(hours=1)
    assert len(told(world, "U0BEN")) == 5


def test_cards_offer_to_lock_a_branch_and_to_unlock_after_the_default_one(make_world: Callable[..., World]) -> None:
    world = furnished(make_world)
    ask(world, "/deploy web/topic to staging")
    assert "Lock" not in cards(world)[0]
    world.report("success")
    assert cards(world)[0].splitlines()[-1].endswith("[Lock staging]")
    locked = press(world, "U0ANA", card(world), "lock_steal")  # by the deploy's number
    assert locked.startswith(":lock: @ana locked *web* / *staging*: “topic is being tried out”")
    assert "[Lock staging]" not in cards(world)[0]  # it is, by now

    ask(world, "/deploy web to staging")
    world.report("success")
    assert cards(world)[1].splitlines()[-1].endswith("[Unlock]")
    released = press(world, "U0BEN", card(world), "lock_release")
    assert released == ":unlock: @ben unlocked *web* / *staging*, which @ana had locked"
    assert told(world, "U0ANA") == [":unlock: @ben unlocked *web* / *staging*, which you had locked"]
    assert "[Unlock]" not in cards(world)[1]

    ask(world, "/deploy lock web in staging for 1h", "U0CAL")
    assert cards(world)[1].splitlines()[-1].endswith("[Unlock]")
    old = card(world, 0)
    taken = press(world, "U0ANA", old, "lock_steal")  # an old button takes it over, and says so
    assert taken.startswith(":lock: @ana took over the lock on *web* / *staging*")
    assert told(world, "U0CAL") == [":lock: @ana took over your lock on *web* / *staging*: “topic is being tried out”"]


def test_a_lock_between_clearing_and_sending_holds_it(make_world: Callable[..., World]) -> None:
    """And what is under way goes on."""
    world = furnished(make_world)
    assert world.slack.say("U0ANA", "C0OPS", "/deploy web/topic to production").ok
    assert world.bot.workers.step()  # it is cleared, and not sent yet
    assert "create" in world.waiting()
    assert writes(world) == []
    assert world.slack.say("U0BEN", "C0OPS", "/deploy lock web in production because wait").ok
    world.settle()
    assert writes(world) == []
    assert "Waiting for @ben to unlock it" in cards(world)[0]
    assert "#1 was already under way and goes on" not in world.room()

    ask(world, "/deploy unlock web in production", "U0BEN")
    assert len(writes(world)) == 1
    assert ask(world, "/deploy lock web in production", "U0BEN").splitlines()[1] == (
        "#1 was already under way and goes on; what comes after waits"
    )
    world.report("success")
    assert cards(world)[0].splitlines()[1].startswith("Live after")


def test_buttons_that_are_older_than_the_config(make_world: Callable[..., World]) -> None:
    """What was taken out of the config can be unlocked, and not be locked any more."""
    world = furnished(make_world)
    ask(world, "/deploy lock api because move", "U0CAL")
    ask(world, "/deploy web/topic to staging")
    world.report("success")
    listing = world.slack.messages("C0OPS")[0]
    world.config = CONFIG.partition("  api:")[0].replace("      staging: {when_locked: wait}\n", "")
    world.restart()
    assert press(world, "U0ANA", card(world), "lock_steal").startswith(":no_entry: *web* has no environment `staging`.")
    assert "all of *api* by `cal`" in ask(world, "/deploy locks")
    shown = world.slack.ephemerals("U0ANA")[-1]
    assert press(world, "U0ANA", shown, "lock_steal").startswith(":no_entry: I know no app `api`.")
    assert press(world, "U0ANA", listing, "lock_release").startswith(":unlock: @ana unlocked all of *api*")


def test_what_is_pressed_in_a_thread_is_answered_there(world: World) -> None:
    world.say("U0BEN", "/deploy lock web in production because demo day")
    world.say("U0ANA", "@shipbot deploy web/topic to production")
    said = next(message for message in world.slack.messages("C0OPS") if message.text.endswith("to production"))
    (refusal,) = [message for message in world.slack.messages("C0OPS") if message.thread_ts == said.ts]
    world.say("U0BEN", "/deploy unlock web in production")
    world.slack.click("U0ANA", "C0OPS", refusal.ts, "lock_steal")
    world.settle()
    assert world.slack.ephemerals("U0ANA")[-1].thread_ts == said.ts
    assert "That lock is gone already" in world.slack.ephemerals("U0ANA")[-1].text
