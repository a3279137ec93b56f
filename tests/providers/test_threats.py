"""What a stolen webhook secret is not enough for: to have something run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from bot.store.schema import runs
from tests.front.chat import cards, deliver_altered
from tests.providers.places import carry_out, local, output, program, statuses
from tests.world import World

Make = Callable[..., World]


def run_count(world: World) -> int:
    with world.store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(runs)).scalar_one()


def test_a_forged_deployment_runs_nothing(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, "#!/bin/sh\ntouch ran\n")
    world.github.create_deployment("acme/web", "topic", environment="production")
    told = world.github.pending.pop()
    with world.github.change():
        world.github.repository("acme/web").deployments.clear()
    assert deliver_altered(world, told, lambda payload: payload["deployment"].update(id=4242)) == [202]
    for _ in range(3):  # GitHub may only be late
        world.advance(minutes=1)
        carry_out(world)
    assert world.waiting() == []
    assert run_count(world) == 0
    assert cards(world) == []


def test_what_a_forged_webhook_says_of_a_real_deployment_is_not_believed(make_place: Make, tmp_path: Path) -> None:
    world = make_place(local(tmp_path))
    program(tmp_path, '#!/bin/sh\necho "$SHIPBOT_SHA $SHIPBOT_HOSTS"\n')
    world.github.create_deployment("acme/web", "topic", environment="production")
    told = world.github.pending.pop()
    other = world.github.head("acme/web", "main")
    change = {"sha": other, "ref": "main", "payload": {"hosts": "evil"}, "task": "deploy:evil"}
    assert deliver_altered(world, told, lambda payload: payload["deployment"].update(change)) == [202]
    carry_out(world)
    assert statuses(world)[-1][0] == "success"
    assert output(world.store).splitlines()[0] == world.github.head("acme/web", "topic") + " "
