"""What is over is kept as long as the config says, and what is live or may be gone back to keeps its story."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa

from bot.deploys.config_file import ConfigError, read_config
from bot.store import jobs, retention
from bot.store.jobs import NewJob
from bot.store.schema import (
    cards,
    deploys,
    freezes,
    locks,
    protections,
    reports,
    review_posts,
    reviews,
    runs,
    timeline,
    votes,
)
from bot.store.schema import jobs as rows
from tests.front.chat import ask
from tests.front.test_protection import CONFIG as PROTECTED
from tests.front.test_protection import as_an_app, run
from tests.providers.places import carry_out
from tests.world import World

KEPT = """
retention: {inbox: 3d, timeline: 60d}
apps:
  web:
    repository: acme/web
    environments:
      production: {approvals: {required: 1, approvers: [U0BEN]}, required_contexts: []}
      staging: {required_contexts: []}
"""


def told(world: World) -> list[int]:
    """The deploys that have a story."""
    with world.store.read() as connection:
        return sorted(connection.execute(sa.select(timeline.c.deploy).distinct()).scalars())


def pass_by(world: World, **length: float) -> None:
    world.advance(**length)
    world.bot._sweep()


def test_the_story_of_old_deploys_goes_and_the_deploys_stay(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STAY", 2)
    world = make_world(config=KEPT)
    for number in range(1, 5):
        world.say("U0ANA", "/deploy web/topic to production")
        world.say("U0BEN", f"/deploy approve {number}")
        world.report("success" if number < 4 else "failure")
    world.say("U0ANA", "/deploy web/topic to production")  # and one that waits
    assert told(world) == [1, 2, 3, 4, 5]
    pass_by(world, days=59)
    assert told(world) == [1, 2, 3, 4, 5]
    pass_by(world, days=2)
    assert told(world) == [2, 3, 5], "the two newest successes, and what ended just now"
    with world.store.read() as connection:
        for table in (votes, cards):
            known = set(connection.execute(sa.select(table.c.deploy)).scalars())
            assert not known & {1, 4}
        assert connection.execute(sa.select(sa.func.count()).select_from(deploys)).scalar_one() == 5
    history = ask(world, "/deploy history web in production")
    assert all(f"#{number}" in history for number in range(1, 6))
    assert "#1" in ask(world, "/deploy history #1")
    world.say("U0ANA", "/deploy rollback web in production to main")
    world.say("U0BEN", "/deploy approve 6")
    world.report("success")


def count(world: World, *tables: sa.Table) -> list[int]:
    """How many rows each table has."""
    with world.store.read() as connection:
        return [connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in tables]


def test_locks_and_freezes_that_ended_go_and_those_that_hold_stay(make_world: Callable[..., World]) -> None:
    world = make_world(config=KEPT)
    for command in ("lock web in staging", "unlock web in staging", "freeze web in staging", "unfreeze web in staging"):
        world.say("U0ANA", f"/deploy {command}")
    for command in ("lock web in production because demo", "freeze web in production because holidays"):
        world.say("U0ANA", f"/deploy {command}")
    pass_by(world, days=59)
    assert count(world, locks, freezes) == [2, 2]
    pass_by(world, days=2)
    assert count(world, locks, freezes) == [1, 1]
    assert "demo" in ask(world, "/deploy locks")
    world.say("U0ANA", "/deploy unlock web in production")
    world.say("U0ANA", "/deploy unfreeze web in production")
    pass_by(world, days=61)
    assert count(world, locks, freezes) == [0, 0]


def test_runs_go_once_their_output_has(make_world: Callable[..., World]) -> None:
    provider = 'provider: {type: command, run: ["/bin/sh", "-c", "echo it broke; false"], checkout: false}'
    config = KEPT.replace("staging: {", f"staging: {{{provider}, ").replace("{inbox", "{logs: 90d, inbox")
    world = make_world(config=config, public_url="https://shipbot.example.com")
    for _ in range(2):
        world.say("U0ANA", "/deploy web/topic to staging")
        carry_out(world)
        pass_by(world, days=40)
    assert count(world, runs, reports) == [2, 8]
    assert told(world) == [2]
    with world.store.read() as connection:
        paths = [f"/logs/{log}.txt" for log in connection.execute(sa.select(runs.c.log).order_by(runs.c.id)).scalars()]
    read = [httpx.get(f"{world.servers.bot_url}{path}", trust_env=False) for path in paths]
    assert [answer.text.splitlines()[0] for answer in read] == ["it broke"] * 2, "as long as the config says"
    pass_by(world, days=20)
    pass_by(world)  # the output went with the last one
    assert count(world, runs, reports) == [1, 4]
    pass_by(world, days=90)
    pass_by(world)
    assert (count(world, runs, reports), told(world)) == ([0, 0], [])
    assert httpx.get(f"{world.servers.bot_url}{paths[0]}", trust_env=False).status_code == 404
    assert "#2" in ask(world, "/deploy history #2")


def test_what_github_asked_goes_too(make_world: Callable[..., World], keys: tuple[str, str]) -> None:
    world = as_an_app(make_world, keys, f"retention: {{timeline: 30d}}\n{PROTECTED}")
    world.github.protect("acme/web", "production", reviewers=("ben-gh",))
    run(world)
    world.say("U0BEN", "/deploy reject 1")
    assert count(world, protections, reviews, review_posts) == [1, 1, 1]
    pass_by(world, days=31)
    assert count(world, protections, reviews, review_posts) == [0, 1, 1], "GitHub waits for a review as long as that"
    pass_by(world, days=30)
    assert count(world, protections, reviews, review_posts) == [0, 0, 0]


def test_what_is_live_keeps_its_story_however_old(make_world: Callable[..., World]) -> None:
    world = make_world(config=KEPT)
    world.say("U0ANA", "/deploy web/topic to staging/fe1")  # not the whole environment, and live all the same
    world.report("success")
    for _ in range(3):
        pass_by(world, days=100)
    assert told(world) == [1]
    world.say("U0ANA", "/deploy web/topic to staging/fe2")
    world.report("success")
    pass_by(world, days=1)
    assert told(world) == [2]


def test_a_status_that_comes_when_the_story_is_gone_does_no_harm(make_world: Callable[..., World]) -> None:
    world = make_world(config=KEPT)
    world.say("U0ANA", "/deploy web/topic to staging")
    world.report("failure")
    pass_by(world, days=61)
    assert told(world) == []
    world.report("success")
    assert "#1" in ask(world, "/deploy history web in staging")


def test_without_a_word_in_the_config_all_is_kept(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    world.report("failure")
    for _ in range(3):
        pass_by(world, days=360)
    assert told(world) == [1]


def test_little_at_a_time_and_all_in_the_end(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "LOOK", 2)
    world = make_world(config=KEPT)
    for _ in range(5):
        world.say("U0ANA", "/deploy web/topic to staging")
        world.report("failure")
    world.advance(days=61)
    left = []
    for _ in range(4):
        world.bot._sweep()
        left.append(len(told(world)))
    assert left == [3, 1, 0, 0]


def test_the_inbox_is_kept_as_long_as_the_config_says(make_world: Callable[..., World]) -> None:
    world = make_world(config=KEPT)
    with world.store.write() as connection:
        connection.execute(sa.delete(rows))
        jobs.add(connection, NewJob("card", '{"deploy": 9, "room": "C0OPS"}', delivery="x"), world.clock.now())
    world.settle()

    def count() -> int:
        with world.store.read() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar_one()

    for length, kept in ((timedelta(days=3), 1), (timedelta(seconds=1), 0)):
        world.clock.moment += length
        world.bot._sweep()
        assert count() == kept


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{inbox: 2d}", "retention.inbox: must be 3d or more: for so long GitHub delivers again, which must be known"),
        ("{timeline: 29d}", "retention.timeline: must be 30d or more: cards and `history #N` show it"),
        ("{timeline: 9999w}", "retention.timeline: “9999w” is not between a second and 20 years"),
        ("{logs: often}", "retention.logs: “often” is no length of time; write it like 30m, 4h or 1h30m"),
        ("{votes: 1d}", "retention.votes: no such key"),
    ],
)
def test_what_the_config_may_not_say(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(f"apps: {{web: {{repository: a/b, environments: {{production: {{}}}}}}}}\nretention: {text}\n")
    assert str(caught.value) == f"line 2: {fault}"


def test_two_years_can_be_written() -> None:
    text = "{apps: {web: {repository: a/b, environments: {production: {}}}}, retention: {timeline: 104w}}"
    assert read_config(text).retention.timeline == timedelta(weeks=104)
