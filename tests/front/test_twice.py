"""A request is done once and comes to one thing, though its job runs again: the answer did not go out, or the bot died
between the doing and the telling."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from bot.store.jobs import outcome
from bot.store.schema import jobs
from tests.front.chat import ask, cards, writes
from tests.world import World

CONFIG = """
admins: [U0BEN]
apps:
  web:
    repository: acme/web
    default_ref: main
    rooms: [C0OPS]
    environments:
      production: {approvals: {approvers: [U0BEN, U0CAL]}}
      staging: {}
      checked: {required_contexts: [ci], when_red: wait}
"""


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world(config=CONFIG)


def told(world: World, person: str) -> list[str]:
    """What the bot told somebody alone, where they typed."""
    mine = [message for message in world.slack.ephemerals(person) if message.user == world.slack.bot_user_id]
    return [world.slack.text_of(message) for message in mine]


def aloud(world: World) -> list[str]:
    """What the bot said to the room besides its cards."""
    said = [message for message in world.slack.messages("C0OPS") if message.user == world.slack.bot_user_id]
    loose = [message for message in said if not (message.ephemeral_for or message.is_reply)]
    lines = [world.slack.text_of(message).splitlines()[0] for message in loose]
    return [line for line in lines if line not in {card.splitlines()[0] for card in cards(world)}]


def once_more(world: World) -> None:
    """The last request's job runs again, as one whose worker died before it could say that it was through."""
    with world.store.write() as connection:
        newest = sa.select(sa.func.max(jobs.c.id)).where(jobs.c.kind.startswith("slack."))
        again = sa.update(jobs).where(jobs.c.id == newest.scalar_subquery())
        connection.execute(again.values(state="ready", finished_at=None))
    world.settle()


def silent(world: World, person: str, text: str) -> None:
    """Somebody types, and Slack takes no answer for a while; meanwhile nothing is tried again."""
    for method in ("response_url", "chat.postMessage"):
        world.slack.fail(method, error="ratelimited", retry_after=30)
    world.say(person, text)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("approve 1", "You approved #1."),
        ("reject 1 because no", "You rejected #1."),
        ("cancel 1", "You cancelled #1."),
    ],
)
def test_a_vote_that_could_not_be_answered(world: World, typed: str, answer: str) -> None:
    ask(world, "/deploy web/topic to production")
    world.slack.fail("response_url", status=503)
    world.say("U0BEN", f"/deploy {typed}")
    world.advance(seconds=5)
    assert told(world, "U0BEN")[-1] == answer
    once_more(world)
    assert set(told(world, "U0BEN")) == {answer}
    assert len(writes(world)) == (typed == "approve 1")


@pytest.mark.parametrize(
    ("action", "place"),
    [
        ("deploy_approve", "production"),
        ("deploy_reject", "production"),
        ("deploy_cancel", "production"),
        ("deploy_force", "checked"),
    ],
)
def test_a_click_is_counted_once(world: World, action: str, place: str) -> None:
    world.github.set_status("acme/web", world.github.head("acme/web", "topic"), "ci", "failure")
    ask(world, f"/deploy web/topic to {place}")
    card = world.slack.messages("C0OPS")[0]
    assert world.slack.click("U0BEN", "C0OPS", card.ts, action).ok
    world.settle()
    shown = cards(world)[0]
    once_more(world)
    assert told(world, "U0BEN") == []
    assert cards(world)[0] == shown


def test_unlocking_ends_no_lock_that_came_after_it(world: World) -> None:
    ask(world, "/deploy lock web in staging", "U0ANA")
    silent(world, "U0ANA", "/deploy unlock web in staging")
    with world.store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM locks WHERE scope IS NOT NULL").scalar_one() == 0
    world.advance(seconds=10)
    world.say("U0BEN", "/deploy lock web in staging because demo")
    world.advance(seconds=60)

    assert sorted(aloud(world)) == [
        ":lock: @ana locked *web* / *staging*",
        ":lock: @ben locked *web* / *staging*: “demo”",
        ":unlock: @ana unlocked *web* / *staging*",
    ]
    assert "by `ben`" in ask(world, "/deploy locks")


def test_unlocking_all_of_mine_and_unfreezing_and_unsubscribing(world: World) -> None:
    ask(world, "/deploy lock web in staging")
    ask(world, "/deploy lock web")
    assert ask(world, "/deploy unlock all") == ":unlock: Unlocked *web* / *staging* and all of *web*."
    once_more(world)
    assert told(world, "U0ANA")[-2:] == [":unlock: Unlocked *web* / *staging* and all of *web*."] * 2

    ask(world, "/deploy freeze web in staging", "U0BEN")
    silent(world, "U0BEN", "/deploy unfreeze web in staging")
    world.advance(seconds=10)
    world.say("U0BEN", "/deploy freeze web in staging")
    world.advance(seconds=60)
    assert ":sunny: @ben unfroze *web* / *staging*" in aloud(world)
    assert "frozen" in ask(world, "/deploy web to staging")

    ask(world, "/deploy subscribe web")
    silent(world, "U0ANA", "/deploy unsubscribe web")
    world.advance(seconds=60)
    assert aloud(world)[-1].startswith(":no_bell: @ana unsubscribed")


def test_what_was_refused_stays_refused(world: World) -> None:
    """They may have been told, and have turned to something else."""
    ask(world, "/deploy lock web in staging", "U0BEN")
    refused = ask(world, "/deploy web/topic to staging")
    assert "is locked by @ben" in refused
    with world.store.read() as connection:
        commands = sa.select(jobs.c.id, jobs.c.delivery).where(jobs.c.kind == "slack.command")
        number, delivery = connection.execute(commands.order_by(jobs.c.id.desc())).first() or (0, "")
        assert outcome(connection, delivery)["refused"]["code"] == "NotAllowed"
    ask(world, "/deploy unlock web in staging", "U0BEN")
    with world.store.write() as connection:
        connection.exec_driver_sql(f"UPDATE jobs SET state = 'ready', finished_at = NULL WHERE id = {number}")
    world.settle()

    assert told(world, "U0ANA") == [refused, refused]
    assert cards(world) == []


def test_what_came_too_late_is_not_done_after_all(world: World) -> None:
    assert world.slack.say("U0ANA", "C0OPS", "/deploy web/topic to staging").ok
    world.advance(minutes=20)
    [late] = told(world, "U0ANA")
    once_more(world)
    assert told(world, "U0ANA") == [late, late]
    assert cards(world) == []
