"""What the config asks for again and again, read as a chat."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from bot.app import Bot
from bot.deploys.config_file import read_config
from bot.store.schema import jobs
from tests.front.chat import ask, cards, newest, writes
from tests.front.test_restarts import each_job_taken_to_the_grave, one_job_at_a_time
from tests.front.test_schedules import sent, stands
from tests.world import START, World

RECURRING = """
apps:
  web:
    repository: acme/web
    default_ref: main
    announce: [{room: C0REL, environments: [staging], on: [success]}]
    environments:
      staging: {required_contexts: []}
  api:
    repository: acme/api
    rooms: [C0OPS]
    environments:
      production: {required_contexts: []}
schedules:
  - {app: web, environment: staging, cron: "30 9 * * mon-fri", timezone: Europe/London}
  - {app: api, environment: production, cron: "0 6 * * *", timezone: Europe/Berlin, ref: topic, task: seed, grace: 2h}
"""
DAY = timedelta(days=1)


@pytest.fixture
def recurring(make_world: Callable[..., World]) -> World:
    return make_world(config=RECURRING)


def timers(world: World) -> list[dict[str, str]]:
    """What the timers of the schedules hold, the next one first."""
    with world.store.read() as connection:
        ready = (jobs.c.kind == "schedule", jobs.c.state == "ready")
        query = sa.select(jobs.c.payload).where(*ready).order_by(jobs.c.run_at)
        return [json.loads(payload) for payload in connection.execute(query).scalars()]


def go(world: World, until: datetime) -> list[datetime]:
    """Time passes, and what goes out is reported to be live a moment later; returns when anything went out."""
    gone = []
    while (at := min(datetime.fromisoformat(timers(world)[0]["at"]), until)) < until:
        known = len(writes(world))
        world.clock.moment = at
        world.settle()
        if new := writes(world)[known:]:
            gone.append(at)
            world.deliver()
            repository = "acme/api" if new[0]["environment"] == "production" else "acme/web"
            world.report("success", repository=repository)
    world.clock.moment = until
    world.settle()
    return gone


def test_again_and_again(recurring: World) -> None:
    world = recurring
    assert ask(world, "/deploy schedules").splitlines() == [
        ":repeat: 2026-03-02 09:30 UTC: *web* to *staging* · by my config, `30 9 * * mon-fri` (Europe/London)",
        ":repeat: 2026-03-03 05:00 UTC: *api* `topic` `deploy:seed` to *production*"
        " · by my config, `0 6 * * *` (Europe/Berlin)",
    ]
    go(world, START + 2 * DAY)
    asked = [(one["task"], one["payload"]["ref"], one["environment"]) for one in writes(world)]
    assert asked == [("deploy", "main", "staging"), ("deploy:seed", "topic", "production")] * 2
    assert len(cards(world, "C0REL")) == 2
    sha = world.github.head("acme/web", "main")[:7]
    assert cards(world, "C0REL")[0].splitlines()[:3] == [
        f":large_green_circle: *web* to *staging* · `main` at {sha} · #1",
        "Live after 0 s",
        ":robot_face: By rule: on schedule",
    ]
    assert ":alarm_clock: Scheduled for 2026-03-02 09:30 UTC" in cards(world, "C0REL")[0]
    assert "somebody" not in world.room("C0REL")
    assert ask(world, "/deploy unschedule 1").endswith("#1 is live already, so that comes too late.")


def test_whatever_rings_twice_asks_once(recurring: World) -> None:
    world = recurring
    timer = timers(world)[0]
    world.clock.moment = START + timedelta(minutes=30)
    for _ in range(3):  # as several replicas might
        world.bot.service.ring(timer["schedule"], datetime.fromisoformat(timer["at"]))
    world.settle()
    world.restart()
    world.settle()
    assert sent(world) == [("main", "staging")]
    assert world.waiting().count("schedule") == 2


@pytest.mark.parametrize("perish", [one_job_at_a_time, each_job_taken_to_the_grave])
def test_the_bot_dies_at_every_step(recurring: World, perish: Callable[[World], int]) -> None:
    """Neither what is scheduled nor what comes again is lost or done twice, and what comes next is known."""
    world = recurring
    world.say("U0ANA", "/deploy api/topic at 10:30")
    world.clock.moment = START + timedelta(minutes=30)
    assert perish(world) > 3
    assert sorted(sent(world)) == [("main", "staging"), ("topic", "production")]
    assert [timer["at"][:16] for timer in timers(world)] == ["2026-03-03T05:00", "2026-03-03T09:30"]
    assert world.room().count("Skipped") == world.room("C0REL").count("Skipped") == 0


def test_a_schedule_waits_for_a_lock_and_the_newest_goes(recurring: World) -> None:
    world = recurring
    world.say("U0BEN", "/deploy lock web in staging")
    world.advance(minutes=30)
    assert stands(world, 0, "C0REL").startswith("Waiting for @ben to unlock it")
    assert ask(world, "/deploy unschedule 1").startswith(":no_entry: #1 was on schedule by my config")
    world.github.push("acme/web", "main", "Newer")
    world.advance(days=1)
    assert "which #2 deploys" in stands(world, 0, "C0REL")
    world.say("U0BEN", "/deploy unlock web in staging")
    assert [asked["ref"] for asked in writes(world) if asked["environment"] == "staging"] == [
        world.github.head("acme/web", "main")
    ]


def test_a_little_late_it_goes_and_says_so(recurring: World) -> None:
    world = recurring
    world.clock.moment = START + timedelta(minutes=40)
    world.restart()
    world.settle()
    assert sent(world) == [("main", "staging")]
    mark = ":alarm_clock: Scheduled for 2026-03-02 09:30 UTC; 10 min late, since I was not there then"
    assert mark in cards(world, "C0REL")[0]


def test_long_after_it_is_skipped_and_the_room_is_told_once(recurring: World) -> None:
    """Of several that were missed only the last counts."""
    world = recurring
    world.clock.moment = START + 3 * DAY  # Thursday, 09:00
    world.restart()
    world.settle()
    skipped = (
        ":alarm_clock: Skipped *api* to *production*, on schedule for 2026-03-05 05:00 UTC: I was not there then, "
        "and 4 h later nobody expects it any more."
    )
    assert (newest(world), sent(world)) == (skipped, [])
    assert newest(world, "C0REL").startswith(
        ":alarm_clock: Skipped *web* to *staging*, on schedule for 2026-03-04 09:30"
    )
    world.restart()
    world.settle()
    assert world.room().count("Skipped") == world.room("C0REL").count("Skipped") == 1
    go(world, START + 3 * DAY + timedelta(hours=21))
    assert sent(world) == [("main", "staging"), ("topic", "production")]

    world.clock.moment += timedelta(days=1, hours=1, minutes=30)  # within its own grace
    world.restart()
    world.settle()
    assert "; 2 h 30 min late" not in cards(world)[-1]
    assert world.room().count("Skipped") == 2


def test_what_can_not_be_asked_for_is_told(recurring: World) -> None:
    world = recurring
    world.github.delete_branch("acme/api", "topic")
    go(world, START + DAY)
    assert newest(world) == (
        ":no_entry: *api* to *production*, on schedule for 2026-03-03 05:00 UTC, came to nothing. `acme/api` has no "
        "branch, tag or commit `topic`. Has it been pushed?"
    )


def test_github_is_down_for_a_while(recurring: World) -> None:
    """It is asked again, and goes late; past its grace it is skipped."""
    world = recurring
    world.github.fail("GET", "/repos/acme/web/commits/main", status=502, times=2)
    world.advance(minutes=30)
    for _ in range(10):
        world.advance(minutes=1)
    assert sent(world) == [("main", "staging")]
    world.github.fail("GET", "/repos/acme/web/commits/main", status=502, times=100)
    world.advance(days=1, minutes=-10)
    for _ in range(10):
        world.advance(minutes=5)
    assert newest(world, "C0REL").startswith(":alarm_clock: Skipped *web* to *staging*")
    assert world.waiting().count("schedule") == 2


def test_what_is_said_no_more_leaves_no_timer(recurring: World) -> None:
    world = recurring
    before = {timer["schedule"] for timer in timers(world)}
    world.config = RECURRING.replace("30 9 * * mon-fri", "45 9 * * mon-fri")
    world.restart()
    after = {timer["schedule"] for timer in timers(world)}
    assert (len(before & after), len(after)) == (1, 2)
    world.advance(minutes=30)
    assert sent(world) == []
    world.advance(minutes=15)
    assert sent(world) == [("main", "staging")]
    world.config = RECURRING.split("schedules:")[0]
    world.restart()
    assert timers(world) == []


def test_the_clocks_are_changed(make_world: Callable[..., World]) -> None:
    """02:30 comes once a day, also in the night that has none and in the one that has two."""
    config = RECURRING.split("schedules:")[0] + (
        'schedules: [{app: web, environment: staging, cron: "30 2 * * *", timezone: Europe/Berlin}]'
    )
    world = make_world(config=config)
    berlin = ZoneInfo("Europe/Berlin")
    gone = []
    for day in (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)):
        world.clock.moment = day
        world.settle()
        gone += [moment.astimezone(berlin).isoformat() for moment in go(world, day + 2 * DAY)]
    assert gone == [
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:30:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]


def test_a_timer_that_got_lost_is_wound_again(recurring: World) -> None:
    """The sweep sees to it four times a minute; one that is there is left as it is, however long it is due."""
    world = recurring
    whole = timers(world)
    with world.store.write() as connection:
        connection.execute(sa.delete(jobs).where(jobs.c.kind == "schedule", jobs.c.payload.contains(whole[1]["at"])))
    world.clock.moment = START + timedelta(minutes=31)
    assert timers(world) == whole[:1]
    world.bot.service.wind()
    assert timers(world) == whole


def test_a_replica_with_an_older_config_leaves_what_it_does_not_know(recurring: World) -> None:
    """While replicas are replaced one after another, one with the newer config has it."""
    world = recurring
    world.config = RECURRING.split("schedules:")[0]
    older = Bot(world.settings, read_config(world.config), world.store, world.clock)
    world.clock.moment = START + timedelta(minutes=30)
    while older.workers.step():
        pass
    assert sent(world) == []
    assert timers(world)[0]["at"].startswith("2026-03-02T09:30")
    older.close()
    world.advance(minutes=1)
    assert sent(world) == [("main", "staging")]
