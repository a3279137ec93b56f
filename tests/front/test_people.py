"""Who somebody is, what they may do, and where: logins, deployers, permissions and rooms."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from bot.store.schema import metadata
from tests.front.chat import ask, cards, newest, thread, writes
from tests.github_app import APP, keys
from tests.world import World

CONFIG = """
users: {U0BEN: ben-gh}
apps:
  web:
    repository: acme/web
    default_ref: main
    environments:
      ben: {deployers: [U0BEN], required_contexts: []}
      group: {deployers: [S0REL], required_contexts: []}
      team: {deployers: ["@acme/release"], required_contexts: []}
      any: {deployers: [U0CAL, S0REL, "@acme/release"], required_contexts: []}
      write: {permission: write, required_contexts: []}
      maintain: {permission: maintain, required_contexts: []}
      admin: {permission: admin, required_contexts: []}
      both: {deployers: [U0BEN, U0CAL], permission: write, required_contexts: []}
      three: {approvals: {required: 3}, required_contexts: []}
      slow: {deployers: [S0REL], required_contexts: [ci], approvals: {approvers: [S0REL]}}
  api:
    repository: acme/api
    rooms: [C0OPS]
    environments:
      production: {required_contexts: []}
"""
CODE = re.compile(r"[0-9A-F]{4}-[0-9A-F]{4}")


# What is the same on every database.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Ben and Cal are in @release; Ben is linked by the config, and in GitHub's team; Dee is nobody."""
    return furnished(make_world(config=CONFIG))


@pytest.fixture
def app_world(make_world: Callable[..., World]) -> World:
    """The same with a bot that is a GitHub App, so that people can log in."""
    world = make_world(config=CONFIG, github_token=None, github_app_id=APP, github_app_private_key=keys()[0])
    world.github.app_id, world.github.app_public_key = APP, keys()[1]
    return furnished(world)


def furnished(world: World) -> World:
    world.slack.add_person("U0DEE", "dee")
    world.slack.add_usergroup("S0REL", "release", ["U0BEN", "U0CAL"])
    world.github.add_team("acme/release", ["ben-gh"])
    return world


def told(world: World, person: str) -> str:
    """The newest of what the bot told somebody in their conversation with it."""
    return newest(world, world.slack.direct_room(person))


def alone(world: World, text: str, person: str) -> str:
    """Somebody says something; returns what the bot told them alone, whatever it told the room."""
    world.say(person, text)
    return world.slack.text_of(world.slack.ephemerals(person)[-1])


def begin(world: World, person: str) -> str:
    """Somebody begins a login; returns the code they are to type."""
    found = CODE.search(ask(world, "/deploy login", person))
    assert found
    return found[0]


def log_in(world: World, person: str, login: str) -> None:
    world.github.authorize_device(begin(world, person), login)
    world.advance(seconds=6)


def stored(world: World) -> str:
    """Everything that is in the database."""
    with world.store.read() as connection:
        rows = [list(connection.execute(sa.select(table))) for table in metadata.sorted_tables]
    return str(rows)


def test_a_login(app_world: World) -> None:
    world = app_world
    unknown = "You are @ana, and nobody I know at GitHub; `/deploy login` links you."
    assert ask(world, "/deploy whoami") == unknown
    asked = ask(world, "/deploy login")
    code = CODE.search(asked)
    assert code
    assert asked == (
        f":key: Open {world.github.url}/login/device and type `{code[0]}` there, by 2026-03-02 09:15 UTC. "
        "I only ask GitHub for your login and keep nothing else."
    )
    assert code[0] not in world.room(viewer="U0BEN"), "it is for that person alone"

    world.advance(seconds=6)
    assert world.slack.messages(world.slack.direct_room("U0ANA")) == []
    world.github.authorize_device(code[0], "ana-gh")
    world.advance(seconds=6)
    assert told(world, "U0ANA") == ":key: You are `ana-gh` at GitHub. `/deploy logout` makes me forget it."
    assert ask(world, "/deploy whoami") == "You are @ana, and `ana-gh` at GitHub."
    assert "login" not in world.waiting()
    secrets = [asked.answer for asked in world.github.requests if asked.path.startswith("/login/")]
    for answer in secrets:
        for name in {"device_code", "access_token"} & set(answer):
            assert answer[name] not in stored(world)
    assert any("access_token" in answer for answer in secrets)

    assert ask(world, "/deploy logout") == "I don't know your GitHub login any more."
    assert ask(world, "/deploy logout") == "I did not know your GitHub login."
    assert ask(world, "/deploy whoami") == unknown


@on_sqlite
def test_a_login_that_comes_to_nothing(app_world: World) -> None:
    world = app_world
    world.github.deny_device(begin(world, "U0ANA"))
    forgotten = begin(world, "U0CAL")
    world.advance(seconds=6)
    declined = ":no_entry: The login was declined at GitHub, so nothing was linked. `/deploy login` starts anew."
    assert told(world, "U0ANA") == declined
    world.github.fail("POST", "/login/oauth/access_token", status=502, times=2)
    for _ in range(4):
        world.advance(minutes=4)
    assert forgotten
    assert told(world, "U0CAL") == ":no_entry: That code ran out, so nothing was linked. `/deploy login` starts anew."
    assert "login" not in world.waiting()

    world.github.device_flow = False
    assert ask(world, "/deploy login").startswith(
        ":no_entry: You can't log in to GitHub through me (GitHub says: `Device Flow must be explicitly enabled"
    )
    assert ask(world, "/deploy logout", "U0BEN") == (
        "My config says that you are `ben-gh` at GitHub, and only whoever runs me can change that."
    )


def test_two_accounts_of_one_person(app_world: World) -> None:
    """Whoever shows that they are the same person at GitHub is one person here, also for what they have done."""
    world = app_world
    world.say("U0CAL", "/deploy web/topic to three")
    for person in ("U0ANA", "U0DEE"):
        world.say(person, "/deploy approve 1")
    assert "Approvals: 2 of 3 (@ana and @dee; anyone but the one who asks;" in cards(world)[0]
    log_in(world, "U0ANA", "ana-gh")
    log_in(world, "U0DEE", "Ana-GH")
    assert ask(world, "/deploy approve 1", "U0DEE") == ":no_entry: You have approved #1 already; one voice a person."
    assert alone(world, "/deploy approve 1", "U0BEN") == "You approved #1."
    assert "Approvals: 2 of 3 (@ana and @ben; anyone but the one who asks;" in cards(world)[0]

    log_in(world, "U0DEE", "ben-gh")  # and another time somebody else: the newest login counts
    assert ask(world, "/deploy web to ben", "U0DEE").startswith(":large_yellow_circle: *web* to *ben*")
    world.say("U0BEN", "/deploy web/topic! to three")
    assert ask(world, "/deploy approve 3", "U0DEE") == (
        ":no_entry: You asked for #3 yourself (or another account of yours did), so somebody else has to agree. "
        "`/deploy cancel 3` takes it back."
    )
    assert alone(world, "/deploy cancel 3", "U0DEE") == "You cancelled #3."


LINK = "`/deploy login` links you, or whoever runs me can under `users:` in my config."
REFUSALS = [  # who, where to, and why not ('' where they may)
    ("U0BEN", "ben", ""),
    ("U0CAL", "ben", "Only @ben may."),
    ("U0BEN", "group", ""),
    ("U0CAL", "group", ""),
    ("U0ANA", "group", "Only @release may."),
    ("U0BEN", "team", ""),
    ("U0CAL", "team", f"Only `@acme/release` may, and I don't know your GitHub login. {LINK}"),
    ("U0CAL", "any", ""),
    ("U0BEN", "any", ""),
    (
        "U0DEE",
        "any",
        f"Only @cal, @release or `@acme/release` may, and I don't know your GitHub login. {LINK}",
    ),
    ("U0BEN", "write", ""),
    ("U0ANA", "write", f"It takes `write` on the repository, and I don't know your GitHub login. {LINK}"),
    (
        "U0BEN",
        "maintain",
        "It takes `maintain` on the repository, and GitHub gives `ben-gh` `write`. Its admins can change that.",
    ),
    (
        "U0BEN",
        "admin",
        "It takes `admin` on the repository, and GitHub gives `ben-gh` `write`. Its admins can change that.",
    ),
    ("U0BEN", "both", ""),
    ("U0ANA", "both", "Only @ben or @cal may."),
    ("U0CAL", "both", f"It takes `write` on the repository, and I don't know your GitHub login. {LINK}"),
]


@on_sqlite
def test_who_may_deploy_where(world: World) -> None:
    for person, place, why in REFUSALS:
        if why:
            answer = f":no_entry: You may not deploy *web* / *{place}*. {why}"
            assert (person, ask(world, f"/deploy web to {place}", person)) == (person, answer)
        else:
            assert "it would go now" in ask(world, f"/deploy check web to {place}", person)
    assert writes(world) == []

    world.github.add_team("acme/release", ["cal-gh"])  # what people may is asked for each time
    world.github.set_permission("acme/web", "ben-gh", "maintain")
    assert ask(world, "/deploy web to team", "U0BEN").endswith("Only `@acme/release` may.")
    assert ask(world, "/deploy web to maintain", "U0BEN").startswith(":large_yellow_circle:")
    world.github.set_permission("acme/web", "ben-gh", "read")
    assert "and GitHub gives `ben-gh` `read`." in ask(world, "/deploy web to both", "U0BEN")


def unanswered(what: str, why: str) -> str:
    return (
        f"I could not look up `{what}` ({why}), and what I don't know I can't let through. "
        "Try again in a while, or tell whoever runs me."
    )


@on_sqlite
def test_what_can_not_be_looked_up_is_a_no_that_says_so(world: World) -> None:
    slack, github = world.slack, world.github
    members = "/orgs/acme/teams/.*"
    level = "the permission of ben-gh"
    lacks = "my token or app lacks the permission *Metadata: read*"
    troubles: list[tuple[Callable[[], object], str, str]] = [
        (
            lambda: slack.fail("usergroups.users.list", status=503),
            "group",
            unanswered("S0REL", "Slack is not answering"),
        ),
        (
            lambda: slack.fail("usergroups.users.list", error="no_such_subteam"),
            "group",
            unanswered("S0REL", "`no_such_subteam`"),
        ),
        (
            lambda: slack.fail("usergroups.users.list", error="missing_scope"),
            "group",
            unanswered("S0REL", "`missing_scope`"),
        ),
        (
            lambda: github.fail("GET", members, status=403),
            "team",
            unanswered("acme/release", "`GitHub wants of me the permission Members: read`"),
        ),
        (
            lambda: github.fail("GET", members, status=500, times=2),
            "team",
            unanswered("@acme/release", "GitHub is not answering"),
        ),
        (lambda: github.fail("GET", ".*/permission", status=403), "write", unanswered(level, lacks)),
        (
            lambda: github.fail("GET", ".*/permission", status=500, times=2),
            "write",
            unanswered(level, "GitHub is not answering"),
        ),
    ]
    for trouble, place, words in troubles:
        trouble()
        assert ask(world, f"/deploy web to {place}", "U0BEN") == (
            f":no_entry: You may not deploy *web* / *{place}*. {words}"
        )
    assert writes(world) == []
    slack.fail("usergroups.users.list", status=503)
    assert ask(world, "/deploy web to any", "U0BEN").startswith(":large_yellow_circle: *web* to *any*"), (
        "a team says yes"
    )
    github.teams.clear()
    assert ask(world, "/deploy web to team", "U0BEN").endswith(
        unanswered("acme/release", "`GitHub shows me no such team`")
    )


def test_while_a_deploy_waits_its_asker_may_come_to_have_no_right_any_more(world: World) -> None:
    world.say("U0CAL", "/deploy web/topic to slow")
    world.slack.fail("usergroups.users.list", status=503)
    world.advance(minutes=2)
    assert cards(world)[0].splitlines()[1:3] == [
        "Waiting for an answer about who asked, green checks and 1 approval · asked 2026-03-02 09:00 UTC",
        ":hourglass: I could not look up `S0REL` (Slack is not answering), and what I don't know I can't let through",
    ]
    world.github.set_status("acme/web", "topic", "ci", "success")
    world.deliver()
    assert "Waiting for 1 approval" in cards(world)[0]

    world.slack.add_usergroup("S0REL", "release", ["U0BEN"])
    world.advance(minutes=1)
    assert ask(world, "/deploy approve 1", "U0DEE") == (
        ":no_entry: You may not approve that in *web* / *slow*. Only @release may."
    )
    world.say("U0BEN", "/deploy approve 1")
    assert cards(world)[0].splitlines()[:2] == [
        f":no_entry: *web* to *slow* · `topic` at {world.github.head('acme/web', 'topic')[:7]} · #1 for @cal",
        "Only @release may, and who asked is somebody else. Nothing was deployed.",
    ]
    assert thread(world)[-1].startswith(":no_entry: @cal: *web* to *slow* did not start.")
    assert writes(world) == []


@on_sqlite
def test_rooms_limit_what_is_deployed_and_what_is_told(world: World) -> None:
    world.say("U0ANA", "/deploy api/topic")
    here = ":no_entry: *api* can't be deployed from here. Ask in #ops."
    questions = ("api", "api/nope", "check api", "where api", "status api", "history api", "history #1", "diff api")
    for command in (*questions, "lock api", "freeze api"):
        assert (command, ask(world, f"/deploy {command}", room="C0RAN").splitlines()[0]) == (command, here)
    for command in ("status", "apps"):
        assert "api" not in ask(world, f"/deploy {command}", room="C0RAN")
        assert "api" in ask(world, f"/deploy {command}", room="C0OPS")
    assert len(writes(world)) == 1
