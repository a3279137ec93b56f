"""How a run is claimed, stopped, taken over and reported, with `command` as its provider."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot import reporter
from bot.store import logs, runs
from tests.front.chat import deliver_altered
from tests.front.chat import thread as thread_lines
from tests.providers.places import (
    alive,
    carry_out,
    in_background,
    local,
    newest_card,
    output,
    program,
    statuses,
    until,
)
from tests.world import World

Make = Callable[..., World]


# How it is stopped

STUBBORN = """#!/usr/bin/env python3
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("I heard TERM", flush=True))
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
children = [subprocess.Popen([sys.executable, "-c", child], start_new_session=new) for new in (False, True)]
print("pids", os.getpid(), *(child.pid for child in children), flush=True)
while True:
    time.sleep(600)
"""


def running(world: World) -> list[int]:
    """Waits until the stubborn program runs; the processes of it."""
    until(lambda: "pids" in output(world.store), "it does not start")
    found = re.search(r"pids (\d+) (\d+) (\d+)\n", output(world.store))
    assert found is not None
    return [int(pid) for pid in found.groups()]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What must end has half a second for it."""
    monkeypatch.setattr(reporter, "GRACE", 0.5)
    monkeypatch.setattr(reporter, "HASTE", 0.5)


def test_cancelling_ends_the_work_and_all_that_it_started(make_place: Make, tmp_path: Path, hurried: None) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, STUBBORN)
    world.say("U0ANA", "/deploy web/topic to production")
    thread_of_it = in_background(world)
    pids = running(world)
    world.deliver()
    world.say("U0ANA", "/deploy cancel 1")
    thread_of_it.join(20)
    assert not thread_of_it.is_alive()
    assert [pid for pid in pids if alive(pid)] == []
    carry_out(world)
    assert [state for state, _ in statuses(world)] == ["queued", "in_progress", "inactive"]
    assert output(world.store).endswith("I heard TERM\n[stopped: it was cancelled]\n")
    assert "ancelled" in newest_card(world)


def test_it_is_cancelled_before_it_begins(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    world.say("U0ANA", "/deploy web/topic to production")
    world.say("U0ANA", "/deploy cancel 1")
    carry_out(world)
    assert [state for state, _ in statuses(world)] == ["queued", "inactive"]
    assert output(world.store) == ""


def test_its_time_runs_out(make_place: Make, tmp_path: Path, hurried: None) -> None:
    world = make_place(local(tmp_path), timeout="10m")
    program(tmp_path, STUBBORN)
    world.say("U0ANA", "/deploy web/topic to production")
    thread_of_it = in_background(world)
    pids = running(world)
    world.deliver()
    world.advance(minutes=10)  # the deploy is not lost: it is being stopped
    thread_of_it.join(20)
    assert [pid for pid in pids if alive(pid)] == []
    carry_out(world)
    assert statuses(world)[-1] == ("error", "Stopped after 10 min, the time that it has (timeout).")
    assert "Stopped after 10 min" in newest_card(world)
    assert "lost" not in "\n".join(thread_lines(world))


def test_the_bot_stops_in_the_middle(make_place: Make, tmp_path: Path, hurried: None) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, STUBBORN)
    world.say("U0ANA", "/deploy web/topic to production")
    thread_of_it = in_background(world)
    pids = running(world)
    world.bot.runner.stop(5)
    thread_of_it.join(20)
    assert [pid for pid in pids if alive(pid)] == []
    world.restart()
    carry_out(world)
    assert statuses(world)[-1] == ("error", "The bot was stopped while it ran. How far it got is not known.")


def test_what_may_run_again_does(make_place: Make, tmp_path: Path, hurried: None) -> None:
    world = make_place(local(tmp_path, rerun=True))
    mark = tmp_path / "second"
    program(tmp_path, f"#!/bin/sh\n[ -e {mark} ] && exit 0\necho on\nexec sleep 600\n")
    world.say("U0ANA", "/deploy web/topic to production")
    thread_of_it = in_background(world)
    until(lambda: "on\n" in output(world.store))
    world.bot.runner.stop(5)
    thread_of_it.join(20)
    mark.touch()
    world.restart()
    carry_out(world)
    assert statuses(world)[-1][0] == "success"
    assert "[the bot was stopped; another goes on with it]" in output(world.store)


@pytest.mark.parametrize("rerun", [False, True])
def test_a_replica_that_is_gone(make_place: Make, tmp_path: Path, rerun: bool) -> None:
    world = make_place(local(tmp_path, rerun=rerun))
    program(tmp_path, "#!/bin/sh\necho ran\n")
    world.say("U0ANA", "/deploy web/topic to production")
    with world.store.write() as connection:
        claimed = runs.claim(connection, "another", world.clock.now())
        assert claimed is not None
        assert runs.update(connection, claimed, begun=True)
    world.advance(seconds=59)
    world.bot._sweep()
    carry_out(world)
    assert output(world.store) == ""
    world.advance(seconds=2)
    world.bot._sweep()
    carry_out(world)
    if rerun:
        assert statuses(world)[-1][0] == "success"
        assert output(world.store) == "ran\n[success]\n"
    else:
        assert statuses(world)[-1] == ("error", "The bot that ran it went away. How far it got is not known.")
        assert "ran\n" not in output(world.store)
    with world.store.write() as connection:  # whoever had it before can't settle it any more
        assert not runs.finish(connection, claimed, "success", world.clock.now())


def test_what_it_leaves_running_is_ended(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    daemon = "#!/bin/sh\nsetsid sleep 600 &\necho pid $!\nnohup sleep 600 > /dev/null 2>&1 &\necho pid $!\n"
    program(tmp_path, daemon)
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    pids = [int(pid) for pid in re.findall(r"pid (\d+)", output(world.store))]
    assert len(pids) == 2
    assert [pid for pid in pids if alive(pid)] == []
    assert statuses(world)[-1][0] == "success"


def test_a_replica_that_went_before_it_had_begun(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, "#!/bin/sh\necho ran\n")
    world.say("U0ANA", "/deploy web/topic to production")
    with world.store.write() as connection:
        assert runs.claim(connection, "another", world.clock.now()) is not None
    world.advance(seconds=61)
    world.bot._sweep()
    carry_out(world)
    assert output(world.store) == "ran\n[success]\n"


def test_the_bot_stops_before_it_has_begun(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, "#!/bin/sh\necho ran\n")
    world.say("U0ANA", "/deploy web/topic to production")
    claim = world.bot.runner._claim()
    assert claim is not None
    world.bot.runner.stop(1)
    world.bot.runner._do(claim)
    assert not world.bot.runner.step()
    world.restart()
    carry_out(world)
    assert output(world.store) == "ran\n[success]\n"


# One at a time, and once


def test_a_deployment_is_carried_out_once(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, "#!/bin/sh\necho ran\n")
    world.say("U0ANA", "/deploy web/topic to production")
    told = next(one for one in world.github.pending if one.event == "deployment")
    carry_out(world)
    deliver_altered(world, told, lambda payload: None)  # the same, as another delivery
    world.github.deliver(told)
    carry_out(world)
    assert output(world.store).count("ran\n") == 1
    assert [state for state, _ in statuses(world)] == ["queued", "in_progress", "success"]


def test_in_one_environment_one_at_a_time(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, "#!/bin/sh\necho ran\n")
    for _ in range(2):
        world.github.create_deployment("acme/web", "topic", environment="production")
    world.deliver()
    with world.store.write() as connection:
        first = runs.claim(connection, "one", world.clock.now())
        assert first is not None
        assert runs.claim(connection, "two", world.clock.now()) is None
        runs.put_back(connection, first, world.clock.now())
    carry_out(world)
    assert [statuses(world, number)[-1][0] for number in (0, 1)] == ["success", "success"]


def test_many_who_claim_at_once(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    for _ in range(3):
        world.github.create_deployment("acme/web", "topic", environment="production")
    world.deliver()
    won: list[runs.Run] = []
    together = threading.Barrier(4)

    def claim(name: str) -> None:
        together.wait(10)
        with contextlib.suppress(sa.exc.IntegrityError), world.store.write() as connection:
            if (run := runs.claim(connection, name, world.clock.now())) is not None:
                won.append(run)

    for expected in (1, 2, 3):
        threads = [threading.Thread(target=claim, args=(f"replica {number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len({run.id for run in won}) == len(won) == expected
        with world.store.write() as connection:
            assert runs.finish(connection, won[-1], runs.HANDED_OVER, world.clock.now())


def test_nothing_is_run_for_what_is_not_asked_of_us(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    world.github.create_deployment("acme/web", "topic", environment="staging")
    world.github.create_deployment("acme/web", "topic", environment="elsewhere")
    world.github.create_deployment("acme/api", "topic", environment="production")
    carry_out(world)
    assert statuses(world, 0) == statuses(world, 1) == []


def test_a_deployment_that_comes_too_late_is_not_run(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    world.github.create_deployment("acme/web", "topic", environment="production")
    world.clock.moment = world.clock.moment.replace(hour=12)
    carry_out(world)
    assert statuses(world)[-1] == ("error", "It was not begun within the time that it has (timeout).")


# What is told to GitHub


def test_a_status_whose_answer_is_lost_is_not_written_twice(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, "#!/bin/sh\n")
    world.github.fail("POST", ".*/statuses", drop="after", times=1)
    world.say("U0ANA", "/deploy web/topic to production")
    world.github.fail("POST", ".*/statuses", drop="before", times=1)
    world.advance(seconds=5)
    world.advance(seconds=5)
    carry_out(world)
    for _ in range(5):
        world.advance(seconds=30)
        carry_out(world)
    assert [state for state, _ in statuses(world)] == ["queued", "in_progress", "success"]


def test_github_is_away_for_the_whole_run(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, "#!/bin/sh\n")
    world.github.fail("POST", ".*/statuses", status=503, times=4)
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    for _ in range(10):
        world.advance(seconds=30)
        carry_out(world)
    assert [state for state, _ in statuses(world)][-1] == "success"
    assert ":large_green_circle:" in newest_card(world)


def test_the_database_is_away_for_a_while(make_place: Make, tmp_path: Path) -> None:
    """What goes on goes on, and says what it has to say once the database is back."""
    world = make_place(local(tmp_path))
    program(
        tmp_path,
        f"#!/bin/sh\necho begun\nuntil [ -e {tmp_path}/go ]; do sleep 0.02; done\n"
        "echo environment_url=https://web.example >> $SHIPBOT_OUTPUT\nsleep 0.3\n",
    )
    world.say("U0ANA", "/deploy web/topic to production")
    thread_of_it = in_background(world)
    until(lambda: "begun" in output(world.store))
    world.deliver()
    refused = []

    def refuse(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "runs" in statement and threading.current_thread() is thread_of_it:
            refused.append(statement)
            raise sa.exc.OperationalError("the server closed the connection", None, Exception())

    sa.event.listen(world.bot.store.engine, "before_cursor_execute", refuse)
    (tmp_path / "go").touch()
    until(lambda: any(statement.startswith("UPDATE runs") for statement in refused))
    sa.event.remove(world.bot.store.engine, "before_cursor_execute", refuse)
    thread_of_it.join(20)
    assert not thread_of_it.is_alive()
    carry_out(world)
    assert statuses(world)[-1] == ("success", "")
    newest = world.github.statuses("acme/web", world.github.deployments("acme/web")[0]["id"])[0]
    assert newest["environment_url"] == "https://web.example"


def test_github_refuses_statuses(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path), timeout="4h")
    program(tmp_path, "#!/bin/sh\n")
    world.github.fail("POST", ".*/statuses", status=403, times=1000)
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    for _ in range(70):
        world.advance(minutes=1)
    assert "GitHub does not let me write the status `success`" in "\n".join(thread_lines(world))


def test_a_variable_is_missing(make_place: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEPLOY_KEY", raising=False)
    world = make_place(local(tmp_path, env=["DEPLOY_KEY"]))
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    assert statuses(world)[-1] == ("error", "The bot's environment lacks DEPLOY_KEY.")


def test_the_provider_is_taken_out_of_the_config(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    world.say("U0ANA", "/deploy web/topic to production")
    world.config = "apps: {web: {repository: acme/web, environments: {production: {}}}}"
    world.restart()
    carry_out(world)
    assert statuses(world)[-1] == ("error", "The config has no provider for web in production any more.")


# Logs


def test_a_log_is_kept_for_as_long_as_the_config_says(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, "#!/bin/sh\necho ran\n")
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    with world.store.read() as connection:
        run = runs.of_deploy(connection, 1)
        assert run is not None
        assert logs.tail(connection, run.log, 2) == "ran\n[success]"
        [first, second] = logs.read(connection, run.log)
        assert logs.read(connection, run.log, after=first.seq) == [second]
        found = logs.find(connection, run.log)
        assert found is not None
        assert (found.deploy, found.chunks, found.size) == (1, 2, len("ran\n[success]\n"))
        assert found.ended_at == run.finished_at
    for days, kept in ((29, True), (2, False)):
        world.clock.moment += timedelta(days=days)
        world.bot._sweep()
        with world.store.read() as connection:
            assert (logs.find(connection, run.log) is not None) == kept
            assert bool(logs.read(connection, run.log)) == kept
