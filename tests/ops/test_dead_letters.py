"""What died is seen by the admins, by `check` and by `jobs`, and can be tried again beside a running bot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.deploys.clock import SystemClock
from bot.store import jobs
from bot.store.engine import Store
from bot.store.jobs import NewJob
from tests.core.running import Running, launch
from tests.front.chat import cards
from tests.ops.checking import SMALL, Look, warns
from tests.ops.upkeep import ADMINS, Upkeep
from tests.world import Servers, World


@pytest.fixture
def bereft(make_world: Callable[..., World]) -> World:
    """A world with two admins, in which one card could not be posted: Slack said something unheard of five times."""
    world = make_world(config=ADMINS)
    world.expect_dead = True
    world.slack.fail("chat.postMessage", error="invalid_arguments", times=5)
    world.say("U0ANA", "/deploy web/topic to production")
    for _ in range(4):
        world.advance(minutes=1)
    assert [letter.partition(":")[0] for letter in world.dead()] == ["card"]
    return world


def told(world: World, person: str) -> list[str]:
    """What the bot wrote to somebody alone."""
    room = world.slack.direct_room(person)
    return [world.slack.text_of(message) for message in world.slack.messages(room)]


def number(out: str) -> str:
    """The id of the only job of a list."""
    (line,) = out.splitlines()
    return line.split()[0]


def test_every_admin_is_told_once_with_what_to_type(bereft: World, upkeep: Upkeep) -> None:
    _, out, _ = upkeep(bereft.settings.database_url, "jobs", "list")
    reference = number(out)
    for person in ("U0BEN", "U0CAL"):
        (word,) = told(bereft, person)
        assert reference in word
        for command in ("show", "retry"):
            assert f"python -m bot jobs {command} {reference[1:]}" in word
    assert told(bereft, "U0ANA") == []
    bereft.restart()
    bereft.advance(hours=1)
    assert len(told(bereft, "U0BEN")) == 1


def test_a_list_says_what_died_and_holds_nothing_private(bereft: World, upkeep: Upkeep) -> None:
    code, out, err = upkeep(bereft.settings.database_url, "jobs", "list")
    assert (code, err) == (0, "")
    assert out.split()[1:4] == ["dead", "card", "since"]
    assert "5 attempts" in out
    assert "invalid_arguments" in out
    assert "C0OPS" not in out, "payloads may hold private text"


def test_tried_again_it_is_done(bereft: World, upkeep: Upkeep) -> None:
    url = bereft.settings.database_url
    reference = number(upkeep(url, "jobs", "list")[1])
    assert cards(bereft) == []
    code, out, err = upkeep(url, "jobs", "retry", reference)
    assert (code, err) == (0, "")
    assert out.startswith(f"{reference} is ready again")
    # The clock of the world stands in the past of the one that the command reads.
    bereft.clock.moment = SystemClock().now()
    bereft.settle()
    assert len(cards(bereft)) == 1
    assert bereft.dead() == []
    code, out, err = upkeep(url, "jobs", "retry", reference)
    assert (code, out) == (1, "")
    assert err.startswith(f"{reference} is done, and no dead letter")


def test_retry_all(bereft: World, upkeep: Upkeep) -> None:
    url = bereft.settings.database_url
    with bereft.store.write() as connection:
        jobs.add(connection, NewJob("unheard.of"), bereft.clock.now() - jobs.ROLLOUT)
    for _ in range(5):
        bereft.advance(minutes=1)
    assert len(bereft.dead()) == 2
    assert upkeep(url, "jobs", "retry", "--all") == (0, "2 are ready again\n", "")
    assert upkeep(url, "jobs", "retry", "--all") == (0, "nothing is dead\n", "")
    assert upkeep(url, "jobs", "list") == (0, "there are no dead letters\n", "")
    assert len(upkeep(url, "jobs", "list", "--all")[1].splitlines()) >= 2
    bereft.clock.moment = SystemClock().now()
    for _ in range(5):
        bereft.advance(minutes=1)
    assert [letter.partition(":")[0] for letter in bereft.dead()] == ["unheard.of"]
    assert len([word for word in told(bereft, "U0BEN") if "unheard.of" in word]) == 2, "it died twice"


def test_one_that_waits_for_the_same_serves_for_the_dead_one(bereft: World, upkeep: Upkeep) -> None:
    url = bereft.settings.database_url
    with bereft.store.write() as connection:  # a newer refresh of the same card, not due yet
        soon = SystemClock().now() + timedelta(days=300)
        subject = "card:1:C0OPS"
        jobs.add(
            connection,
            NewJob("card", '{"deploy": 1, "room": "C0OPS"}', subject=subject, run_at=soon),
            SystemClock().now(),
        )
    reference = number(upkeep(url, "jobs", "list")[1])
    assert upkeep(url, "jobs", "retry", reference)[0] == 0
    assert bereft.dead() == []
    assert "taken over by a newer one" in upkeep(url, "jobs", "show", reference)[1]


def test_many_at_once_are_told_once(make_world: Callable[..., World]) -> None:
    world = make_world(config=ADMINS)
    world.expect_dead = True
    with world.store.write() as connection:
        for _ in range(30):
            jobs.add(connection, NewJob("unheard.of"), world.clock.now() - jobs.ROLLOUT)
    for _ in range(5):
        world.advance(minutes=1)
    assert len(world.dead()) == 30
    words = told(world, "U0BEN")
    assert len(words) == 11
    assert "11 jobs died within an hour" in words[-1]
    assert "jobs retry --all" in words[-1]


def test_word_of_a_death_that_dies_itself_is_the_last(make_world: Callable[..., World]) -> None:
    world = make_world(config=ADMINS)
    world.expect_dead = True
    world.slack.fail("conversations.open", error="invalid_arguments", times=10)
    with world.store.write() as connection:
        jobs.add(connection, NewJob("unheard.of"), world.clock.now() - jobs.ROLLOUT)
    for _ in range(12):
        world.advance(minutes=1)
    assert sorted(letter.partition(":")[0] for letter in world.dead()) == ["tell", "tell", "unheard.of"]


def test_show_hides_secrets_and_what_a_terminal_would_obey(
    world: World, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_of_the_environment")
    url = world.settings.database_url
    payload = (
        '{"text": "apps \\u001b[31m ghp_of_the_environment", "response_url": "https://hooks.example/secret-9",'
        ' "authorizations": [{"token": "secret-8"}]}'
    )
    with world.store.write() as connection:
        jobs.add(connection, NewJob("unheard.of", payload), world.clock.now() - jobs.ROLLOUT)
    world.expect_dead = True
    for _ in range(5):
        world.advance(minutes=1)
    reference = number(upkeep(url, "jobs", "list")[1])
    code, out, err = upkeep(url, "jobs", "show", reference)
    assert (code, err) == (0, "")
    assert '"text": "apps \\u001b[31m [hidden]"' in out
    for secret in ("ghp_of_the_environment", "secret-9", "secret-8", "\x1b"):
        assert secret not in out


def test_what_is_no_job(world: World, upkeep: Upkeep) -> None:
    url = world.settings.database_url
    assert upkeep(url, "jobs", "show", "J99") == (1, "", "there is no job J99\n")
    assert upkeep(url, "jobs", "show", "all")[2] == "'all' is no job: write its number, such as 12 or J12\n"
    assert upkeep(url, "jobs", "retry", "99")[2].startswith("J99 is not there: `python -m bot jobs list`")


def test_databases_that_can_not_be_used(upkeep: Upkeep, tmp_path: Path) -> None:
    absent = tmp_path / "shipbot.db"
    for arguments in (["jobs", "list"], ["backup", "x"], ["migrate-to", "postgresql://127.0.0.1:1/x"]):
        code, out, err = upkeep(f"sqlite:///{absent}", *arguments)
        assert (code, out) == (2, "")
        assert err == f"DATABASE_URL: there is no {absent}: name the file that `serve` uses\n"
    assert not absent.exists()
    store = Store(f"sqlite:///{absent}")
    with store.read():
        pass
    store.close()
    assert "is at version none, and this program at" in upkeep(f"sqlite:///{absent}", "jobs", "list")[2]
    code, _, err = upkeep("postgresql://ship:pa55word@127.0.0.1:1/ship", "jobs", "list")
    assert (code, err.startswith("DATABASE_URL: the database can't be used (")) == (2, True)
    assert "pa55word" not in err
    assert upkeep("mysql://x", "jobs", "list")[2] == "DATABASE_URL: must start with sqlite:/// or postgresql://\n"


def test_check_warns_of_the_dead(small: World, look: Look) -> None:
    assert warns(look(small, 0)) == []
    small.expect_dead = True
    with small.store.write() as connection:
        for kind in ("unheard.of", "unheard.of", "other"):
            jobs.add(connection, NewJob(kind), small.clock.now() - jobs.ROLLOUT)
    for _ in range(5):
        small.advance(minutes=1)
    assert warns(look(small, 0, SMALL)) == [
        "database: 3 jobs have died (other: 1, unheard.of: 2): `python -m bot jobs list` says what of, and once that "
        "is mended `python -m bot jobs retry --all` tries again"
    ]


@pytest.fixture
def run(servers: Servers, database_url: str, tmp_path: Path) -> Iterator[Callable[[], Running]]:
    """Starts a bot; whatever is left at the end is killed."""
    made: list[Running] = []

    def start() -> Running:
        made.append(Running(servers, database_url, tmp_path))
        made[-1].start()
        return made[-1]

    yield start
    for running in made:
        running.kill()


@pytest.mark.slow
def test_a_running_bot_takes_up_what_a_process_beside_it_revives(run: Callable[[], Running], tmp_path: Path) -> None:
    bot = run()
    store = Store(bot.environment["DATABASE_URL"])
    with store.write() as connection:  # a command that died before it was answered
        said = '{"command": "/deploy", "text": "apps", "user_id": "U0ANA", "channel_id": "C0OPS", "user_name": "ana"}'
        job = NewJob("unheard.of", said, delivery="slack:of-the-test")
        jobs.add(connection, job, SystemClock().now())
        claimed = jobs.claim(connection, "test", SystemClock().now())
        assert claimed is not None
        jobs.bury(connection, claimed, SystemClock().now(), "ValueError: it was broken then")
        connection.exec_driver_sql("UPDATE jobs SET kind = 'slack.command' WHERE kind = 'unheard.of'")
    store.close()
    beside = {"DATABASE_URL": bot.environment["DATABASE_URL"]}
    assert launch(beside, tmp_path, tmp_path / "list", "jobs", "list").wait(30) == 0
    (line,) = (tmp_path / "list").read_text().splitlines()
    assert "ValueError: it was broken then" in line
    assert launch(beside, tmp_path, tmp_path / "retry", "jobs", "retry", line.split()[0]).wait(30) == 0
    # What came without a response_url is answered in the room.
    bot.until(lambda: any("2 apps" in one.text for one in bot.slack.messages("C0OPS")))
    assert bot.stop() == 0
