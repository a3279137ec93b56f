"""Freezes, of the config and of people: what they hold up, who goes through them, and what goes when they end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.front.chat import ask, cards, newest, thread, writes
from tests.world import World

CONFIG = """
admins: [U0ADM]
freezes:
  - {name: weekend, from: "Fri 16:00", to: "Mon 07:00", timezone: Europe/Berlin}
  - {name: holidays, from: "2026-12-24", to: "2026-12-26", timezone: UTC, reason: "quiet & slow"}
apps:
  web:
    repository: acme/web
    default_ref: main
    announce: [{room: C0REL, environments: [production], on: [success]}]
    environments:
      production:
        deployers: [U0ANA, U0BEN]
        override: [U0ANA]
        freezes: [{from: "18:00", to: "22:00", timezone: America/New_York, reason: audit}]
      staging: {when_frozen: wait, approvals: {required: 1}}
      canary: {when_frozen: wait}
  api:
    repository: acme/api
    environments: {production: {}}
"""


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """With an admin, and Dee in Sydney."""
    world = make_world(config=CONFIG)
    world.slack.add_person("U0ADM", "adm")
    world.slack.add_person("U0DEE", "dee", tz="Australia/Sydney")
    return world


def at(world: World, *when: int) -> None:
    """It is that time, in UTC; what has become due is done."""
    world.clock.moment = datetime(*when, tzinfo=UTC)
    world.settle()


def test_the_windows_of_the_config(world: World) -> None:
    """Weekly and dated ones everywhere, a daily one of one environment, each by the clocks of its own zone."""
    ask_again = "Ask again then."
    frozen = ":snowflake: *api* / *production* is frozen: "
    for when, why in (
        ((2026, 3, 6, 14, 59), ""),
        ((2026, 3, 6, 15, 0), f"{frozen}weekend, until 2026-03-09 06:00 UTC. {ask_again}"),
        ((2026, 3, 9, 5, 59), f"{frozen}weekend, until 2026-03-09 06:00 UTC. {ask_again}"),
        ((2026, 3, 9, 6, 0), ""),
        ((2026, 3, 27, 16, 0), f"{frozen}weekend, until 2026-03-30 05:00 UTC. {ask_again}"),  # the clocks change
        (
            (2026, 12, 26, 12, 0),
            f"{frozen}weekend, until 2026-12-28 06:00 UTC and holidays, “quiet & slow”, until 2026-12-27 00:00 UTC. "
            f"{ask_again}",
        ),
        ((2026, 12, 29, 12, 0), ""),
    ):
        at(world, *when)
        said = ask(world, "/deploy api")
        assert said == why or (not why and "*api* to *production*" in said), when
        if not why:
            world.report("success", repository="acme/api")
    assert len(writes(world)) == 3

    at(world, 2026, 3, 10, 22, 30)  # half past six in New York, where the clocks have changed already
    assert ask(world, "/deploy web to production", "U0BEN") == (
        ":snowflake: *web* / *production* is frozen: by the config, “audit”, until 2026-03-11 02:00 UTC. "
        "Ask again then."
    )
    assert ask(world, "/deploy unfreeze web in production", "U0BEN") == (
        ":no_entry: *web* / *production* is frozen by my config, which only whoever runs me can change. Who is named "
        "under `override:` may deploy through it with `because …`."
    )
    assert ask(world, "/deploy locks") == (
        ":snowflake: *web* / *production* by the config: “audit” (until 2026-03-11 02:00 UTC)"
    )
    at(world, 2026, 3, 11, 2, 0)
    ask(world, "/deploy web to production", "U0BEN")
    assert len(writes(world)) == 4


def test_people_freeze_and_unfreeze(world: World) -> None:
    assert ask(world, "/deploy freeze because incident", "U0CAL") == (
        ":no_entry: You may not freeze that in *web* / *production*. Only @ana or @ben may."
    )
    assert ask(world, "/deploy freeze web in production until 16:00 because audit", "U0BEN") == (
        ":snowflake: @ben froze *web* / *production* (until 2026-03-02 15:00 UTC): “audit”"  # four in Berlin
    )
    assert ask(world, "/deploy freeze web in production", "U0ANA") == (
        ":no_entry: *web* / *production* is frozen already by @ben. `/deploy unfreeze …` ends it; then freeze it anew."
    )
    assert ask(world, "/deploy unfreeze web in production", "U0CAL") == (
        ":no_entry: You may not unfreeze that in *web* / *production*. Only @ana or @ben may."
    )
    assert ask(world, "/deploy freeze web in canary until 23:30", "U0DEE") == (
        ":snowflake: @dee froze *web* / *canary* (until 2026-03-02 12:30 UTC)"  # half past eleven in Sydney
    )
    assert ask(world, "/deploy freeze web in canary until soon").startswith(":no_entry: “soon” is no time: ")
    assert ask(world, "/deploy freeze until 2026-03-01").startswith(":no_entry: “2026-03-01” has passed; ")
    assert ask(world, "/deploy freeze api", "U0ADM") == (
        ":snowflake: @adm froze all of *api* until somebody unfreezes it"
    )
    assert ask(world, "/deploy freeze in staging because move", "U0CAL") == (
        ":snowflake: @cal froze *staging* of every app until somebody unfreezes it: “move”"
    )
    assert ask(world, "/deploy locks").splitlines() == [
        ":snowflake: *web* / *production* by `ben`: “audit” (until 2026-03-02 15:00 UTC)",
        ":snowflake: *web* / *canary* by `dee` (until 2026-03-02 12:30 UTC)",
        ":snowflake: all of *api* by `adm` until somebody unfreezes it",
        ":snowflake: *staging* of every app by `cal`: “move” until somebody unfreezes it",
    ]

    ask(world, "/deploy web to canary")
    assert "Waiting for the freeze to end" in cards(world)[0]
    assert ask(world, "/deploy unfreeze web in canary", "U0BEN") == ":sunny: @ben unfroze *web* / *canary*"
    assert len(writes(world)) == 1
    assert ask(world, "/deploy unfreeze web in canary").startswith(":no_entry: Nobody has frozen *web* / *canary*.")
    at(world, 2026, 3, 2, 15, 0)
    ask(world, "/deploy web to production", "U0BEN")  # that one has ended by itself
    assert len(writes(world)) == 2
    assert ask(world, "/deploy api").endswith("is frozen: by @adm, until somebody unfreezes it. Ask again then.")
    ask(world, "/deploy unfreeze api", "U0ADM")
    ask(world, "/deploy api")
    assert len(writes(world)) == 3


def test_what_waits_goes_by_itself_when_the_freeze_ends(world: World) -> None:
    """Also one that froze while approvers were asked: their approval stays."""
    at(world, 2026, 3, 6, 14, 55)  # five minutes before the weekend
    ask(world, "/deploy web/topic to staging")
    at(world, 2026, 3, 6, 16, 0)
    ask(world, "/deploy approve 1", "U0BEN")
    ask(world, "/deploy web to canary")
    sha = world.github.head("acme/web", "topic")[:7]
    assert cards(world)[0].splitlines() == [
        f":large_yellow_circle: *web* to *staging* · `topic` at {sha} · #1 for @ana",
        "Waiting for the freeze to end · asked 2026-03-06 14:55 UTC",
        ":hourglass: Frozen: weekend, until 2026-03-09 06:00 UTC",
        ":white_check_mark: No checks to wait for",
        ":white_check_mark: Approvals: 1 of 1 (@ben)",
        ":white_check_mark: Not locked, nobody ahead",
        "[Cancel]",
    ]
    at(world, 2026, 3, 9, 5, 59)
    assert writes(world) == []
    at(world, 2026, 3, 9, 6, 0)
    sent = {asked["environment"]: asked["payload"]["shipbot"]["approved_by"] for asked in writes(world)}
    assert sent == {"staging": ["U0BEN"], "canary": []}


def test_an_emergency_goes_through_with_a_reason(world: World) -> None:
    at(world, 2026, 3, 7, 12, 0)
    frozen = ":snowflake: *web* / *production* is frozen: weekend, until 2026-03-09 06:00 UTC. "
    how = "You may deploy through it, if you say why: `/deploy web/topic to production because …`"
    assert ask(world, "/deploy web/topic to production") == frozen + how
    assert ask(world, "/deploy web/topic! to production").startswith(frozen)  # force skips checks, no freeze
    assert ask(world, "/deploy web/topic to production because hotfix", "U0BEN") == f"{frozen}Ask again then."
    assert writes(world) == []
    assert world.slack.messages("C0REL") == []

    ask(world, "/deploy web/topic to production because hotfix")
    assert len(writes(world)) == 1
    for room in ("C0OPS", "C0REL"):  # where only successes are told of
        assert cards(world, room)[0].splitlines()[2:4] == ["“hotfix”", ":rotating_light: Went through a freeze"]
        assert thread(world, room) == [":rotating_light: @ana deploys through the freeze: “hotfix”"]
    assert "@ana went through a freeze" in ask(world, "/deploy history #1")
    world.report("success")
    assert ":rotating_light: Went through a freeze" in cards(world, "C0REL")[0]
    assert newest(world, "C0REL").startswith(":large_green_circle: Live after")
