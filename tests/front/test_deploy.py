"""`/deploy` from the command to the end, read as a chat."""

from __future__ import annotations

from tests.world import World


def test_a_deploy_from_command_to_success(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to production because the login loops")
    world.deliver()
    world.report("in_progress", log_url="https://ci.example/7")
    world.advance(minutes=4, seconds=12)
    world.report("success", description="All pods up", environment_url="https://web.example")

    sha = world.github.head("acme/web", "topic")[:7]
    assert world.room() == "\n".join(
        [
            "@ana: /deploy web/topic to production because the login loops",
            f"shipbot: :large_green_circle: *web* to *production* · `topic` at {sha} · #1 for @ana",
            "  Live after 4 min 12 s",
            "  “the login loops”",
            "  All pods up",
            "  [Open] [Logs] [Lock production]",
            "  ↳ shipbot: :large_blue_circle: In progress after 0 s · `deployer` · Logs",
            "  ↳ shipbot: :large_green_circle: Live after 4 min 12 s · `deployer` · @ana · Open",
            "      All pods up",
        ]
    )
