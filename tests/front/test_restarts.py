"""The bot dies between any two steps, or in the middle of one, and what was acknowledged is not lost."""

from __future__ import annotations

import textwrap
from datetime import timedelta

from bot.app import Bot
from bot.deploys.config_file import read_config
from bot.service.core import DELIVERIES, LOOK
from bot.store import jobs
from tests.front.chat import cards, thread, writes
from tests.world import World


def die(world: World, *, start: bool = True) -> None:
    """All that is left of the bot is the database; another one starts, which has done nothing yet.

    Without `start` it is one of several, which had started before.
    """
    world.bot.close()
    world.bot = Bot(world.settings, read_config(textwrap.dedent(world.config)), world.store, world.clock)
    world.servers.inside.apps = {"/": world.bot}
    if start:
        world.bot.service.start()


def one_job_at_a_time(world: World) -> int:
    """Does what is due, each job by another bot; returns how many there were."""
    for number in range(100):
        die(world)
        if not world.bot.workers.step():
            return number
    raise AssertionError("the bot does not come to rest")


def each_job_taken_to_the_grave(world: World) -> int:
    """Does what is due, but each job was claimed before by a worker that died with it."""
    for number in range(100):
        with world.store.write() as connection:
            job = jobs.claim(connection, "the late worker", world.clock.now())
            if job is None:
                return number
            if job.kind in (LOOK, DELIVERIES):  # they come last, and each start calls for them anew
                jobs.put_off(connection, job, world.clock.now(), "all else is done")
                return number
        die(world)
        world.clock.moment += jobs.LEASE + timedelta(seconds=1)
        with world.store.write() as connection:
            assert jobs.release_expired(connection, world.clock.now()) == 1
        world.bot.workers.step()
    raise AssertionError("the bot does not come to rest")


def test_a_bot_for_each_job(world: World) -> None:
    assert world.slack.say("U0ANA", "C0OPS", "/deploy web/topic").ok
    assert one_job_at_a_time(world) > 2
    deployment = world.github.deployments("acme/web")[0]["id"]
    for state in ("in_progress", "success"):
        world.github.report("acme/web", deployment, state)
    assert world.github.deliver() == [202, 202, 202]
    assert one_job_at_a_time(world) > 3

    assert len(writes(world)) == len(cards(world)) == 1
    assert cards(world)[0].splitlines()[1] == "Live after 0 s"
    assert [line.partition(" after")[0] for line in thread(world)] == [
        ":large_blue_circle: In progress",
        ":large_green_circle: Live",
    ]


def test_every_worker_dies_once(world: World) -> None:
    assert world.slack.say("U0ANA", "C0OPS", "/deploy web/topic").ok
    assert each_job_taken_to_the_grave(world) > 2
    world.github.report("acme/web", world.github.deployments("acme/web")[0]["id"], "success")
    assert world.github.deliver() == [202, 202]
    assert each_job_taken_to_the_grave(world) > 2

    assert len(writes(world)) == len(cards(world)) == len(thread(world)) == 1
    assert cards(world)[0].startswith(":large_green_circle:")


def test_a_worker_that_comes_back_from_the_dead_changes_nothing(world: World) -> None:
    """Its lease ran out, another one did its job, and then it settles the claim that it no longer has."""
    assert world.slack.say("U0ANA", "C0OPS", "/deploy web/topic").ok
    with world.store.write() as connection:
        late = jobs.claim(connection, "the late worker", world.clock.now())
    assert late is not None
    world.clock.moment += jobs.LEASE + timedelta(seconds=1)
    with world.store.write() as connection:
        jobs.release_expired(connection, world.clock.now())
    world.settle()
    with world.store.write() as connection:
        jobs.put_off(connection, late, world.clock.now(), "too late")
    world.settle()

    assert len(writes(world)) == len(cards(world)) == 1
