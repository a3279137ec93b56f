"""A release goes to another machine by ssh, as with Capistrano or Fabric: here to a real sshd on this one."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.playground.stage import free_port
from tests.providers.places import Origin, alive, carry_out, command, in_background, output, statuses, until
from tests.world import World

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        SSHD is None and not os.environ.get("CI"), reason="sshd is not installed (apt-get install openssh-server)"
    ),
]

# The release folder is named by the commit, and goes live when the link is turned to it.
RELEASE = """#!/bin/sh
set -eu
umask 077
printf '%s\\n' "$DEPLOY_KEY" > ../key
for host in $(printf %s "$SHIPBOT_HOSTS" | tr , ' '); do
    on_it() {{
        ssh -F none -i ../key -p {port} -o BatchMode=yes -o IdentitiesOnly=yes -o UserKnownHostsFile={known} \\
            -- "{user}@$host" "$@"
    }}
    echo "Delivering to $host"
    tar -c -- index.html | on_it "mkdir -p {target}/$SHIPBOT_SHA && tar -x -C {target}/$SHIPBOT_SHA"
    on_it "ln -sfn {target}/$SHIPBOT_SHA {target}/current && cat {target}/current/index.html"
done
"""


@dataclass(frozen=True)
class Target:
    """The machine that is delivered to."""

    port: int
    folder: Path
    key: Path
    known: Path


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """An sshd that lets in one key."""
    assert SSHD is not None
    place = tmp_path / "target"
    place.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(place / name)], check=True)
    port = free_port()
    (place / "authorized").write_text((place / "user.pub").read_text())
    (place / "known").write_text(f"[127.0.0.1]:{port} {(place / 'host.pub').read_text()}")
    (place / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in; the package's service makes it, too
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(place / "config")], stderr=subprocess.PIPE)
    until(lambda: listens(port), "sshd does not start")
    yield Target(port, place / "releases", place / "user", place / "known")
    process.terminate()
    process.communicate(timeout=10)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_release_is_delivered(
    make_place: Callable[..., World], origin: Origin, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_KEY", target.key.read_text().strip())
    world = make_place(command(origin, env=["DEPLOY_KEY"]))
    script = RELEASE.format(port=target.port, known=target.known, user=getpass.getuser(), target=target.folder)
    first = origin.commit(world.github, {"release.sh": script, "index.html": "one\n"})
    world.say("U0ANA", "/deploy web/topic to production/127.0.0.1")
    carry_out(world)
    assert statuses(world)[-1] == ("success", ""), output(world.store)
    assert output(world.store) == "Delivering to 127.0.0.1\none\n[success]\n"
    assert (target.folder / "current").resolve().name == first

    second = origin.commit(world.github, {"release.sh": f"{script}tac ../key\n", "index.html": "two\n"})
    world.say("U0ANA", "/deploy web/topic to production/127.0.0.1")
    carry_out(world)
    assert (target.folder / "current").resolve().name == second
    printed = output(world.store, 2)
    assert printed.startswith("Delivering to 127.0.0.1\ntwo\n***\n***\n")  # line by line, last line first
    secret = [line for line in target.key.read_text().splitlines() if "-----" not in line]
    assert not [line for line in secret if line in printed]

    # A host that is none, and one that ssh would take for an option.
    world.say("U0ANA", "/deploy web/topic to production/-oProxyCommand=touch")
    carry_out(world)
    state, description = statuses(world)[-1]
    assert (state, description) == ("failure", "release.sh ended with exit code 255")
    assert (target.folder / "current").resolve().name == second


def test_who_is_not_let_in_is_told(
    make_place: Callable[..., World], origin: Origin, target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    monkeypatch.setenv("DEPLOY_KEY", (tmp_path / "other").read_text().strip())
    world = make_place(command(origin, env=["DEPLOY_KEY"]))
    script = RELEASE.format(port=target.port, known=target.known, user=getpass.getuser(), target=target.folder)
    origin.commit(world.github, {"release.sh": script, "index.html": "one\n"})
    world.say("U0ANA", "/deploy web/topic to production/127.0.0.1")
    carry_out(world)
    assert statuses(world)[-1] == ("failure", "release.sh ended with exit code 255")
    assert "Permission denied" in output(world.store)
    assert "Permission denied" in world.slack.transcript("C0OPS", viewer="U0ANA")
    assert not target.folder.exists()


REMOTE = """#!/bin/sh
umask 077
printf '%s\\n' "$DEPLOY_KEY" > ../key
exec ssh -tt -F none -i ../key -p {port} -o BatchMode=yes -o IdentitiesOnly=yes -o UserKnownHostsFile={known} \\
    -- {user}@127.0.0.1 'echo "pid $$."; exec sleep 600'
"""


def remote(make_place: Callable[..., World], origin: Origin, target: Target, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose deploys run a program on the other machine that does not end by itself."""
    monkeypatch.setenv("DEPLOY_KEY", target.key.read_text().strip())
    world = make_place(command(origin, env=["DEPLOY_KEY"]))
    script = REMOTE.format(port=target.port, known=target.known, user=getpass.getuser())
    origin.commit(world.github, {"release.sh": script})
    world.say("U0ANA", "/deploy web/topic to production")
    return world


def test_cancelling_reaches_the_other_machine(
    make_place: Callable[..., World], origin: Origin, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = remote(make_place, origin, target, monkeypatch)
    thread_of_it = in_background(world)
    until(lambda: re.search(r"pid \d+\.", output(world.store)), "it does not begin")
    pid = int(output(world.store).partition("pid ")[2].partition(".")[0])
    assert alive(pid)
    world.deliver()
    world.say("U0ANA", "/deploy cancel 1")
    thread_of_it.join(20)
    assert not thread_of_it.is_alive()
    until(lambda: not alive(pid), "it goes on over there")
    carry_out(world)
    assert statuses(world)[-1][0] == "inactive"


def test_another_machine_in_its_place_is_told(
    make_place: Callable[..., World], origin: Origin, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = f"[127.0.0.1]:{target.port}"
    target.known.write_text(f"{host} {target.key.with_suffix('.pub').read_text()}")
    world = remote(make_place, origin, target, monkeypatch)
    carry_out(world)
    assert statuses(world)[-1] == ("failure", "release.sh ended with exit code 255")
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in output(world.store)
    assert "Host key verification failed" in world.slack.transcript("C0OPS", viewer="U0ANA")
