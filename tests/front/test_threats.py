"""Who could do what: the lines of docs/security.md that no other test holds already."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from bot.store import logs
from bot.store.schema import metadata
from tests.front.chat import ask, cards, deliver_altered, thread, writes
from tests.world import START, World

GATED = """
admins: [U0BEN]
apps:
  web:
    repository: acme/web
    rooms: [C0OPS]
    environments:
      production:
        deployers: [U0BEN]
        override: [U0BEN]
        approvals: {required: 1, approvers: [U0BEN, U0CAL]}
"""
AUTO = """
apps:
  web:
    repository: acme/web
    rooms: [C0OPS]
    environments:
      staging: {required_contexts: [], auto_deploy: [{on: push, branch: main}, {on: merge, branch: main}]}
"""


def test_a_forged_push_deploys_nothing_but_what_is_at_github(make_world: Callable[..., World]) -> None:
    world = make_world(config=AUTO)
    sha = world.github.push("acme/web", "main", "Fix")
    (told,) = list(world.github.pending)
    world.github.pending.clear()
    evil = "e" * 40
    assert deliver_altered(world, told, lambda payload: payload.update(after=evil)) == [202]
    world.deliver()
    world.advance(minutes=1)
    assert [made["sha"] for made in world.github.deployments("acme/web")] == [sha]
    assert evil not in str(writes(world))


def test_a_forged_success_is_shown_with_its_thread_and_ends_nothing_at_github(world: World) -> None:
    """A status without a record at GitHub changes what the bot says of a deploy, and nothing else."""
    world.say("U0ANA", "/deploy web/topic to production")
    world.report("in_progress")
    told = world.github.deliveries[-1]

    def forge(payload: Any) -> None:
        payload["deployment_status"].update(id=2**40, state="success", creator={"login": "mallory"})

    before = len(world.github.requests)
    assert deliver_altered(world, told, forge) == [202]
    assert "`mallory`" in thread(world)[-1], "whose name it bears is shown"
    assert [one for one in world.github.requests[before:] if one.method == "POST"] == []


def test_a_forged_command_is_seen_by_whoever_it_names(make_world: Callable[..., World]) -> None:
    """With the signing secret somebody can speak for anyone; they can't do it unseen, nor pass for two."""
    world = make_world(config=GATED)
    world.say("U0BEN", "/deploy web/topic to production")
    assert "for @ben" in cards(world)[0]
    assert "You asked for #1 yourself" in ask(world, "/deploy approve 1", "U0BEN")
    assert writes(world) == []
    world.say("U0CAL", "/deploy approve 1")
    world.report("success")
    assert "@cal" in cards(world)[0]
    assert "@ben" in thread(world)[-1], "whoever is named is mentioned at the end"


def test_a_guest_meets_every_gate(make_world: Callable[..., World]) -> None:
    world = make_world(config=GATED)
    world.slack.add_person("U0GUEST", "guest")
    world.slack.add_room("C0GST", "guests", members=["U0GUEST", "U0ANA"])
    for text in ("web to production", "web! to production", "lock web in production", "rollback web in production"):
        assert ask(world, f"/deploy {text}", "U0GUEST").startswith(":no_entry:"), text
    assert ask(world, "/deploy web to production", "U0GUEST", "C0GST").startswith(":no_entry:")
    world.say("U0BEN", "/deploy web/topic to production")
    for text in ("approve 1", "reject 1", "cancel 1"):
        assert ask(world, f"/deploy {text}", "U0GUEST").startswith(":no_entry:"), text
    assert writes(world) == []
    assert "Waiting" in cards(world)[0]


def test_what_happens_in_a_fork_moves_nothing(make_world: Callable[..., World]) -> None:
    world = make_world(config=AUTO)
    world.github.add_repository("mallory/web")
    hook = f"{world.servers.bot_url}/github/webhooks"
    world.github.add_hook("mallory/web", hook, secret="webhook-secret-of-the-tests", events=("*",))
    world.github.push("mallory/web", "main", "Evil")  # as if the fork's hook bore our secret
    number = world.github.create_deployment("mallory/web", "main", environment="staging", payload={"name": "web"})
    world.github.report("mallory/web", number, "success")
    world.deliver()
    world.advance(minutes=1)
    assert [told.event for told in world.github.deliveries] == ["ping", "push", "deployment", "deployment_status"]
    assert world.github.deployments("acme/web") == []
    assert cards(world) == []
    assert world.room("C0OPS") == ""


def test_no_secret_is_in_the_database(make_world: Callable[..., World]) -> None:
    world = make_world(config=AUTO)
    world.say("U0ANA", "/deploy web/topic to staging")
    world.say("U0ANA", "/deploy nonsense")
    world.slack.mention("U0ANA", "C0OPS", "apps")
    world.github.fail("POST", "/repos/acme/web/deployments", status=500)
    world.say("U0ANA", "/deploy web/main to staging")
    world.report("failure")
    with world.store.read() as connection:
        rows = [
            repr(row) for table in metadata.sorted_tables for row in connection.execute(sa.select(table)).mappings()
        ]
    assert len(rows) > 10
    for secret in world.settings.secrets():
        assert not [row for row in rows if secret in row]
    assert not [row for row in rows if "'token'" in row or '"token"' in row], "nor Slack's verification token"


def test_a_logs_id_can_not_be_guessed(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to staging")
    with world.store.write() as connection:
        names = {logs.create(connection, 1, START) for _ in range(200)}
    assert len(names) == 200
    assert all(len(name) >= 32 for name in names), "192 bits"
    assert len({name[:4] for name in names}) > 150, "and no counter"


def test_a_delivery_replayed_when_it_is_forgotten_changes_nothing(world: World) -> None:
    """GitHub signs no time, so what was caught once can be sent again after the bot has forgotten its id."""
    world.say("U0ANA", "/deploy web/topic to staging")
    world.report("in_progress")
    world.report("success")
    caught = list(world.github.deliveries)
    world.clock.moment += timedelta(days=8)
    world.bot._sweep()
    card, told, made = cards(world), thread(world), len(writes(world))
    for delivery in caught:
        world.github.deliver(delivery)
        world.settle()
    assert [line.splitlines()[1] for line in cards(world)] == [line.splitlines()[1] for line in card]
    assert (thread(world), len(writes(world))) == (told, made)
