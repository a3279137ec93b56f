"""`command` through the front door: signed webhooks in, real processes and a real repository behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bot import reporter
from bot.store import runs
from tests.front.chat import cards, newest, thread
from tests.providers.places import PUBLIC_URL, Origin, alive, carry_out, in_background, output, statuses, until
from tests.world import World

Make = Callable[..., World]


def command(origin: Origin, *run: str, **more: object) -> str:
    """The config of a provider that runs a program of that repository."""
    return json.dumps({"type": "command", "run": run or ("./release.sh",), "checkout": origin.url} | more)


def test_a_deploy_that_really_runs(make_place: Make, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_KEY", "k3y-of-the-deploys")
    monkeypatch.setenv("OTHER_KEY", "not-for-this-one")
    world = make_place(command(origin, "./release.sh", "--to", "$HOME", env=["DEPLOY_KEY"]))
    script = """#!/bin/sh
    echo "arguments: $@"
    echo "key: $DEPLOY_KEY" >&2
    env | cut -d= -f1 | sort | tr '\\n' ' '
    echo "environment_url=https://web.example/$SHIPBOT_REF" >> "$SHIPBOT_OUTPUT"
    echo "description=Put $SHIPBOT_APP on $SHIPBOT_HOSTS" >> "$SHIPBOT_OUTPUT"
    """
    sha = origin.commit(world.github, {"release.sh": script})
    world.say("U0ANA", "/deploy web/topic to production/fe1,fe2")
    carry_out(world)
    written = output(world.store)
    assert "arguments: --to $HOME\n" in written
    assert "key: ***\n" in written
    names = set(re.findall(r"\b[A-Z_]{3,}\b", written.splitlines()[2]))
    ours = "APP DEPLOYMENT_ID ENVIRONMENT HOSTS OUTPUT REF SHA TASK USER"
    assert names - {"PWD", "OLDPWD", "LANG", "_", "SHLVL"} == {
        "DEPLOY_KEY",
        "HOME",
        "PATH",
        *(f"SHIPBOT_{name}" for name in ours.split()),
    }
    assert written.endswith("[success: Put web on fe1,fe2]\n")
    assert statuses(world) == [("queued", ""), ("in_progress", "Running release.sh"), ("success", "Put web on fe1,fe2")]
    newest_status = world.github.statuses("acme/web", world.github.deployments("acme/web")[0]["id"])[0]
    assert newest_status["environment_url"] == "https://web.example/topic"
    assert re.fullmatch(re.escape(PUBLIC_URL) + r"/logs/[\w-]{32}", newest_status["log_url"])
    assert ":large_green_circle: *web* to *production*" in newest_card(world)
    assert "[Open] [Logs]" in newest_card(world)
    assert sha[:7] in newest_card(world)
    assert thread(world)[-1].startswith(":large_green_circle: Live after")


def newest_card(world: World) -> str:
    return cards(world)[-1]


# What comes from outside


NASTY = [
    "; touch {mark}",
    "$(touch {mark})",
    "`touch {mark}`",
    "| touch {mark} #",
    "--upload-pack=touch {mark}",
    "-x",
    "line\nbreak; touch {mark}\n",
    "ümläut 🚀 \u202e",
    "'\"\\ * ? ~ ${{HOME}} %s {{}}",
]
DUMP = """#!/usr/bin/env python3
import json, os, sys
names = ("REF", "TASK", "HOSTS", "USER")
print(json.dumps([sys.argv[1:], *(os.environ["SHIPBOT_" + name] for name in names)]))
"""


@pytest.mark.parametrize("nasty", NASTY)
def test_nothing_from_outside_reaches_a_shell_or_an_option_parser(
    make_place: Make, origin: Origin, tmp_path: Path, nasty: str
) -> None:
    mark = tmp_path / "touched"
    text = nasty.format(mark=mark)
    world = make_place(command(origin, "./dump", "fixed"))
    sha = origin.commit(world.github, {"dump": DUMP}, branch="main")
    world.github.create_deployment(
        "acme/web", sha, environment="production", task=text, payload={"hosts": text, "user": text}
    )
    delivery = world.github.pending[-1]
    assert delivery.event == "deployment"
    carry_out(world)
    line = next(line for line in output(world.store).splitlines() if line.startswith("["))
    assert json.loads(line) == [["fixed"], sha, text, text, text]
    assert not mark.exists()
    assert statuses(world)[-1][0] == "success"


@pytest.mark.parametrize(
    "branch", ["a;touch${IFS}mark", "$(touch${IFS}mark)", "ü/🚀", "'quoted'", "--upload-pack=mark"]
)
def test_a_branch_may_have_any_name(make_place: Make, origin: Origin, branch: str) -> None:
    world = make_place(command(origin, "./dump"))
    sha = origin.commit(world.github, {"dump": DUMP}, branch="main")
    with world.github.change():
        world.github.repository("acme/web").branches[branch] = sha
    world.github.create_deployment("acme/web", branch, environment="production")
    carry_out(world)
    assert json.loads(output(world.store).splitlines()[0])[1] == branch
    assert statuses(world)[-1][0] == "success"


def test_a_commit_that_is_none_is_not_fetched(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    world.github.create_deployment("acme/web", "topic", environment="production")
    delivery = world.github.pending[-1]
    delivery.payload["deployment"]["sha"] = "--upload-pack=touch mark"
    from tests.front.chat import deliver_altered

    world.github.pending.clear()
    deliver_altered(world, delivery, lambda payload: None)
    carry_out(world)
    assert statuses(world)[-1] == ("error", "“--upload-pack=touch mark” is no commit.")


# How it ends


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        ("#!/bin/sh\necho broken\nexit 3\n", ("failure", "release.sh ended with exit code 3")),
        ("#!/bin/sh\nkill -SEGV $$\n", ("failure", "release.sh was ended by SIGSEGV")),
        ("#!/nowhere/sh\n", ("error", "./release.sh can't be started: No such file or directory")),
        ("#!/bin/sh\nexit 255\n", ("failure", "release.sh ended with exit code 255")),
        (
            "#!/bin/sh\necho 'description=Two hosts did not come up' > $SHIPBOT_OUTPUT\nexit 1\n",
            ("failure", "Two hosts did not come up"),
        ),
    ],
)
def test_how_it_ended_is_told(make_place: Make, origin: Origin, script: str, ended: tuple[str, str]) -> None:
    world = make_place(command(origin))
    origin.commit(world.github, {"release.sh": script})
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    assert statuses(world)[-1] == ended
    assert output(world.store).endswith(f"[{ended[0]}: {ended[1]}]\n")
    assert ended[1] in thread(world)[-1]
    assert "[Retry]" in newest_card(world)


def test_a_commit_that_is_not_there_is_told(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    origin.commit(world.github, {"release.sh": "#!/bin/sh\n"})
    world.say("U0ANA", "/deploy web/main to production")  # GitHub knows that commit, the repository does not
    carry_out(world)
    assert statuses(world)[-1] == ("error", "The commit can't be checked out: git fetch ended with exit code 128")
    assert "fatal:" in output(world.store)


def test_without_a_checkout(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin, "sh", "-c", "pwd; ls -A; echo $SHIPBOT_SHA", checkout=False))
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    place, sha, *_ = output(world.store).splitlines()
    assert not Path(place).exists()
    assert sha == world.github.deployments("acme/web")[0]["sha"]


def test_the_token_reaches_git_alone(
    make_place: Make, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`checkout: true` fetches from GitHub; a git of ours writes down what it is given instead."""
    tools = tmp_path / "tools"
    tools.mkdir()
    git = tools / "git"
    git.write_text(
        f'#!/bin/sh\nenv >> {tmp_path}/env\necho "$@" >> {tmp_path}/argv\nenv | grep GIT_CONFIG_VALUE\nexit 0\n'
    )
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    world = make_place(command(origin, "env", checkout=True))
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    asked, given = (tmp_path / "argv").read_text(), (tmp_path / "env").read_text()
    sha = world.github.deployments("acme/web")[0]["sha"]
    assert (
        f"fetch --quiet --depth=1 --no-tags --no-recurse-submodules -- {world.github.url}/acme/web.git {sha}" in asked
    )
    assert given.count("Authorization: Basic") == 1
    assert "playground" not in asked
    written = output(world.store)
    assert "GIT_CONFIG_VALUE_0=Authorization: Basic ***" in written
    assert "ghp_playground" not in written
    assert statuses(world)[-1][0] == "success"


def test_a_flood_is_bounded(make_place: Make, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "KEPT", 200_000)
    world = make_place(command(origin))
    flood = "#!/bin/sh\necho first\nseq 1000000\necho last\n"
    origin.commit(world.github, {"release.sh": flood})
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    written = output(world.store)
    assert written.startswith("first\n1\n2\n")
    assert written.endswith("1000000\nlast\n[success]\n")
    assert "characters are left out here" in written
    assert len(written) < 200_000 + 64_000 + 200


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


def test_cancelling_ends_the_work_and_all_that_it_started(make_place: Make, origin: Origin, hurried: None) -> None:
    world = make_place(command(origin))
    origin.commit(world.github, {"release.sh": STUBBORN})
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
    assert "Cancelled" in newest_card(world) or "took it back" in newest_card(world)


def test_it_is_cancelled_before_it_begins(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    world.say("U0ANA", "/deploy web/topic to production")
    world.say("U0ANA", "/deploy cancel 1")
    carry_out(world)
    assert [state for state, _ in statuses(world)] == ["queued", "inactive"]
    assert output(world.store) == ""


def test_its_time_runs_out(make_place: Make, origin: Origin, hurried: None) -> None:
    world = make_place(command(origin), timeout="10m")
    origin.commit(world.github, {"release.sh": STUBBORN})
    world.say("U0ANA", "/deploy web/topic to production")
    thread_of_it = in_background(world)
    pids = running(world)
    world.deliver()
    world.advance(minutes=10)  # the deploy is not lost: it is being stopped
    thread_of_it.join(20)
    assert [pid for pid in pids if alive(pid)] == []
    carry_out(world)
    assert statuses(world)[-1] == ("error", "Stopped after 10 min, the time that it has (timeout).")
    assert ":red_circle:" in newest_card(world) or "rror" in newest_card(world)
    assert "lost" not in "\n".join(thread(world))


def test_the_bot_stops_in_the_middle(make_place: Make, origin: Origin, hurried: None) -> None:
    world = make_place(command(origin))
    origin.commit(world.github, {"release.sh": STUBBORN})
    world.say("U0ANA", "/deploy web/topic to production")
    thread_of_it = in_background(world)
    pids = running(world)
    world.bot.runner.stop(5)
    thread_of_it.join(20)
    assert [pid for pid in pids if alive(pid)] == []
    world.restart()
    carry_out(world)
    assert statuses(world)[-1] == ("error", "The bot was stopped while it ran. How far it got is not known.")


def test_what_may_run_again_does(make_place: Make, origin: Origin, hurried: None, tmp_path: Path) -> None:
    world = make_place(command(origin, rerun=True))
    mark = tmp_path / "second"
    origin.commit(world.github, {"release.sh": f"#!/bin/sh\n[ -e {mark} ] && exit 0\necho on\nexec sleep 600\n"})
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
def test_a_replica_that_is_gone(make_place: Make, origin: Origin, rerun: bool) -> None:
    world = make_place(command(origin, rerun=rerun))
    origin.commit(world.github, {"release.sh": "#!/bin/sh\necho ran\n"})
    world.say("U0ANA", "/deploy web/topic to production")
    with world.store.write() as connection:
        claimed = runs.claim(connection, "another", world.clock.now())
    assert claimed is not None
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


def test_what_it_leaves_running_is_ended(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    daemon = "#!/bin/sh\nsetsid sleep 600 &\necho pid $!\nnohup sleep 600 > /dev/null 2>&1 &\necho pid $!\n"
    origin.commit(world.github, {"release.sh": daemon})
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    pids = [int(pid) for pid in re.findall(r"pid (\d+)", output(world.store))]
    assert len(pids) == 2
    assert [pid for pid in pids if alive(pid)] == []
    assert statuses(world)[-1][0] == "success"


# One at a time, and once


def test_a_deployment_is_carried_out_once(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    origin.commit(world.github, {"release.sh": "#!/bin/sh\necho ran\n"})
    world.say("U0ANA", "/deploy web/topic to production")
    told = next(one for one in world.github.pending if one.event == "deployment")
    carry_out(world)
    from tests.front.chat import deliver_altered

    deliver_altered(world, told, lambda payload: None)  # the same, as another delivery
    world.github.deliver(told)
    carry_out(world)
    assert output(world.store).count("ran\n") == 1
    assert [state for state, _ in statuses(world)] == ["queued", "in_progress", "success"]


def test_in_one_environment_one_at_a_time(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    sha = origin.commit(world.github, {"release.sh": "#!/bin/sh\necho ran\n"})
    for _ in range(2):
        world.github.create_deployment("acme/web", sha, environment="production")
    world.deliver()
    with world.store.write() as connection:
        first = runs.claim(connection, "one", world.clock.now())
        assert first is not None
        assert runs.claim(connection, "two", world.clock.now()) is None
        runs.put_back(connection, first, world.clock.now())
    carry_out(world)
    assert [statuses(world, number)[-1][0] for number in (0, 1)] == ["success", "inactive" if False else "success"]


def test_nothing_is_run_for_what_is_not_asked_of_us(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    world.github.create_deployment("acme/web", "topic", environment="staging")
    world.github.create_deployment("acme/web", "topic", environment="elsewhere")
    world.github.create_deployment("acme/api", "topic", environment="production")
    carry_out(world)
    assert statuses(world, 0) == statuses(world, 1) == []


def test_a_deployment_that_comes_too_late_is_not_run(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    world.github.create_deployment("acme/web", "topic", environment="production")
    world.clock.moment = world.clock.moment.replace(hour=12)
    carry_out(world)
    assert statuses(world)[-1] == ("error", "It was not begun within the time that it has (timeout).")


# What is told to GitHub


def test_a_status_whose_answer_is_lost_is_not_written_twice(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    origin.commit(world.github, {"release.sh": "#!/bin/sh\n"})
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


def test_github_is_away_for_the_whole_run(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    origin.commit(world.github, {"release.sh": "#!/bin/sh\n"})
    world.github.fail("POST", ".*/statuses", status=503, times=4)
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    for _ in range(10):
        world.advance(seconds=30)
        carry_out(world)
    assert [state for state, _ in statuses(world)][-1] == "success"
    assert ":large_green_circle:" in newest_card(world)


def test_github_refuses_statuses(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin), timeout="4h")
    origin.commit(world.github, {"release.sh": "#!/bin/sh\n"})
    world.github.fail("POST", ".*/statuses", status=403, times=1000)
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    for _ in range(70):
        world.advance(minutes=1)
    assert "GitHub does not let me write the status `success`" in "\n".join(thread(world))


def test_a_variable_is_missing(make_place: Make, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEPLOY_KEY", raising=False)
    world = make_place(command(origin, env=["DEPLOY_KEY"]))
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    assert statuses(world)[-1] == ("error", "The bot's environment lacks DEPLOY_KEY.")


def test_the_provider_is_taken_out_of_the_config(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    world.say("U0ANA", "/deploy web/topic to production")
    world.config = "apps: {web: {repository: acme/web, environments: {production: {}}}}"
    world.restart()
    carry_out(world)
    assert statuses(world)[-1] == ("error", "The config has no provider for web in production any more.")
    assert newest(world)
