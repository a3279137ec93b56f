"""`command` through the front door: signed webhooks in, real processes and a real repository behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bot import reporter
from tests.front.chat import thread
from tests.providers.places import (
    PUBLIC_URL,
    Origin,
    carry_out,
    command,
    in_background,
    local,
    newest_card,
    output,
    program,
    statuses,
)
from tests.world import World

Make = Callable[..., World]


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


BRANCHES = ["a;touch${IFS}mark", "$(touch${IFS}mark)", "ü/🚀", "'quoted'", "--upload-pack=mark"]


def test_nothing_from_outside_reaches_a_shell_or_an_option_parser(
    make_place: Make, origin: Origin, tmp_path: Path
) -> None:
    mark = tmp_path / "touched"
    world = make_place(command(origin, "./dump", "fixed"))
    sha = origin.commit(world.github, {"dump": DUMP}, branch="main")
    texts = [nasty.format(mark=mark) for nasty in NASTY]
    for task, hosts, user in zip(texts[::3], texts[1::3], texts[2::3], strict=True):
        payload = {"hosts": hosts, "user": user}
        world.github.create_deployment("acme/web", sha, environment="production", task=task, payload=payload)
        carry_out(world)
        deploy = len(world.github.deployments("acme/web"))
        assert json.loads(output(world.store, deploy).splitlines()[0]) == [["fixed"], sha, task, hosts, user]
        assert statuses(world)[-1][0] == "success"
    assert not mark.exists()


def test_a_branch_may_have_any_name(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, DUMP)
    for number, branch in enumerate(BRANCHES, 1):
        with world.github.change():
            repo = world.github.repository("acme/web")
            repo.branches[branch] = repo.branches["topic"]
        world.github.create_deployment("acme/web", branch, environment="production")
        carry_out(world)
        assert json.loads(output(world.store, number).splitlines()[0])[1] == branch
        assert statuses(world)[-1][0] == "success"


def test_a_commit_that_is_none_is_not_fetched(make_place: Make, origin: Origin) -> None:
    world = make_place(command(origin))
    number = world.github.create_deployment("acme/web", "topic", environment="production")
    with world.github.change():  # as no GitHub would have it
        world.github.repository("acme/web").deployments[number].sha = "--upload-pack=touch mark"
    carry_out(world)
    assert statuses(world)[-1] == ("error", "“--upload-pack=touch mark” is no commit.")


# How it ends


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        ("#!/bin/sh\necho broken\nexit 3\n", ("failure", "release.sh ended with exit code 3")),
        ("#!/bin/sh\nkill -SEGV $$\n", ("failure", "release.sh was ended by SIGSEGV")),
        ("#!/nowhere/sh\n", ("error", "release.sh can't be started: No such file or directory")),
        ("#!/bin/sh\nexit 255\n", ("failure", "release.sh ended with exit code 255")),
        (
            "#!/bin/sh\necho 'description=Two hosts did not come up' > $SHIPBOT_OUTPUT\nexit 1\n",
            ("failure", "Two hosts did not come up"),
        ),
    ],
)
def test_how_it_ended_is_told(make_place: Make, tmp_path: Path, script: str, ended: tuple[str, str]) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, script)
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    assert statuses(world)[-1] == ended
    assert output(world.store).endswith(f"[{ended[0]}: {ended[1]}]\n")
    last = thread(world)[-1]
    assert ended[1] in last
    assert ("```\nbroken\n```" in last) == ("broken" in script)
    assert "[Retry]" in newest_card(world)


@pytest.mark.parametrize("told", [r"https://a\000b", "https://a b", "https://", "https://[", "x:1", r"https://a\001"])
def test_what_is_no_address_is_left_out(make_place: Make, tmp_path: Path, told: str) -> None:
    world = make_place(local(tmp_path))
    good = "environment_url=https://web.example/ü?x=1#top"
    program(tmp_path, f"#!/bin/sh\nprintf '{good}\\nenvironment_url={told}\\n' >> $SHIPBOT_OUTPUT\n")
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    newest = world.github.statuses("acme/web", world.github.deployments("acme/web")[0]["id"])[0]
    assert (newest["state"], newest["environment_url"]) == ("success", "https://web.example/ü?x=1#top")


def test_a_pipe_in_place_of_the_output_holds_nothing_up(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    script = "echo description=one > $SHIPBOT_OUTPUT; sleep 0.5; rm $SHIPBOT_OUTPUT; mkfifo $SHIPBOT_OUTPUT; sleep 0.5"
    program(tmp_path, f"#!/bin/sh\n{script}\n")
    world.say("U0ANA", "/deploy web/topic to production")
    thread_of_it = in_background(world)
    thread_of_it.join(10)
    assert not thread_of_it.is_alive()
    carry_out(world)
    assert statuses(world)[-1] == ("success", "one")


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


def test_git_takes_the_road_that_the_bot_takes(
    make_place: Make, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").write_text(f"#!/bin/sh\nenv >> {tmp_path}/env\necho could not resolve p4ssw0rd\n")
    (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("HTTPS_PROXY", "http://bot:p4ssw0rd@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("GIT_SSL_CAINFO", "/etc/ssl/ours.pem")
    world = make_place(command(origin, "env"))
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    given = (tmp_path / "env").read_text().splitlines()
    for line in ("HTTPS_PROXY=http://bot:p4ssw0rd@proxy.example:3128", "GIT_SSL_CAINFO=/etc/ssl/ours.pem"):
        assert given.count(line) == 3, "init, fetch and checkout"
    written = output(world.store)
    assert "could not resolve ***" in written
    assert "SHIPBOT_SHA" in written
    assert "PROXY" not in written
    assert "p4ssw0rd" not in written


def test_a_flood_is_bounded(make_place: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "KEPT", 200_000)
    world = make_place(local(tmp_path))
    flood = "#!/bin/sh\necho first\nseq 1000000\necho last\n"
    program(tmp_path, flood)
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    written = output(world.store)
    assert written.startswith("first\n1\n2\n")
    assert written.endswith("1000000\nlast\n[success]\n")
    assert "characters are left out here" in written
    assert len(written) < 200_000 + 64_000 + 200


def test_what_it_printed_can_say_nothing_to_the_room(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    program(
        tmp_path,
        """#!/bin/sh
    printf 'first\\n\\033[31mred\\033[0m <!channel> ``` <@U0BEN> &amp;\\n\\n'
    seq 1 20
    head -c 5000 /dev/zero | tr '\\0' x
    exit 1
    """,
    )
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    line = thread(world)[-1]
    assert "first" not in line
    assert "20\nxxx" in line
    assert len(line) < 3000
    program(tmp_path, "#!/bin/sh\nprintf '\\033[31mred\\033[0m <!channel> ``` <@U0BEN>\\n'\nexit 1\n")
    world.say("U0ANA", "/deploy web/topic to production/fe1")
    carry_out(world)
    sent = [message for message in world.slack.messages("C0OPS") if message.is_reply][-1]
    assert "red &lt;!channel&gt; ʼʼʼ &lt;@U0BEN&gt;" in str(sent.blocks)
    assert "\\x1b" not in str(sent.blocks)
