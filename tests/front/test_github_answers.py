"""Every answer that GitHub can give to a deploy: its words on the card, and what happens next."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.front.chat import ask, cards, newest, thread, writes
from tests.world import CONFIG, START, World

WEB, API = "/repos/acme/web/deployments", "/repos/acme/api/deployments"
WAITING = "Handed to GitHub, waiting for a deployer to pick it up · asked 2026-03-02 09:00 UTC"
MERGES = ":twisted_rightwards_arrows: Merges the default branch in first"


def shas(world: World, repository: str = "acme/web", branch: str = "topic") -> str:
    return world.github.head(repository, branch)[:7]


def test_201(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic")

    head = f":large_yellow_circle: *web* to *production* · `topic` at {shas(world)} · #1 for @ana"
    assert cards(world) == [f"{head}\n{WAITING}\n[Cancel]"]
    assert len(world.github.deployments("acme/web")) == 1


# 202: the default branch was merged in


def test_202_goes_on_with_the_merge_commit(world: World) -> None:
    world.github.push("acme/api", "main", "Newer")
    world.say("U0ANA", "/deploy api/topic to canary")

    merged = shas(world, "acme/api")
    head = f":large_yellow_circle: *api* to *canary* · `topic` at {merged} · #1 for @ana"
    assert cards(world) == [f"{head}\n{WAITING}\n{MERGES}\n[Cancel]"]
    assert thread(world) == [
        f":twisted_rightwards_arrows: GitHub merged the default branch into `topic`; going on with `{merged}`"
    ]
    assert [made["sha"][:7] for made in world.github.deployments("acme/api")] == [merged]


@pytest.mark.parametrize("restarted", [False, True])
def test_202_whose_answer_was_lost(world: World, restarted: bool) -> None:
    world.github.push("acme/api", "main", "Newer")
    world.github.fail("POST", API, drop="after")
    world.say("U0ANA", "/deploy api/topic to canary")
    assert cards(world)[0].splitlines()[1] == (
        "GitHub is not answering (the connection broke). I keep trying; there is nothing you need to do."
    )
    if restarted:
        world.restart()
    world.advance(seconds=1)

    merged = shas(world, "acme/api")
    assert [made["sha"][:7] for made in world.github.deployments("acme/api")] == [merged]
    assert thread(world)[0].endswith(f"going on with `{merged}`")


def test_what_somebody_pushed_on_top_meanwhile_does_not_go_out(world: World) -> None:
    asked = shas(world, "acme/api")
    world.github.fail("POST", API, status=503)
    world.say("U0ANA", "/deploy api/topic to canary")
    world.github.push("acme/api", "topic", "Not looked at by anybody")
    world.advance(seconds=1)

    words = (
        f"`topic` has moved on from `{asked}` to `{shas(world, 'acme/api')}` since it was asked for. "
        "Nothing was deployed; ask again to deploy what is there now."
    )
    assert cards(world)[0].splitlines()[1] == words
    assert thread(world) == [f":no_entry: @ana: *api* to *canary* did not start. {words}"]
    assert world.github.deployments("acme/api") == []


def test_a_branch_merged_in_by_somebody_meanwhile_does_not_go_out(world: World) -> None:
    world.github.push("acme/api", "risky", "Never reviewed")
    world.github.fail("POST", API, status=503)
    world.say("U0ANA", "/deploy api/topic to canary")
    repository = world.github.repository("acme/api")
    world.github.merge(repository, "topic", "risky", world.github.person("ben-gh"), "Merge risky into topic")
    world.advance(seconds=1)

    assert "has moved on from" in cards(world)[0]
    assert world.github.deployments("acme/api") == []


def test_pushed_after_the_merge_whose_answer_was_lost(world: World) -> None:
    world.github.push("acme/api", "main", "Newer")
    world.github.fail("POST", API, drop="after")
    world.say("U0ANA", "/deploy api/topic to canary")
    world.github.push("acme/api", "topic", "On top of the merge")
    world.advance(seconds=1)

    assert "has moved on from" in cards(world)[0]
    assert world.github.deployments("acme/api") == []


def test_a_branch_that_is_gone(world: World) -> None:
    world.github.fail("POST", API, status=503)
    world.say("U0ANA", "/deploy api/topic to canary")
    world.github.delete_branch("acme/api", "topic")
    world.advance(seconds=1)

    assert cards(world)[0].splitlines()[1] == "The branch `topic` is gone. Nothing was deployed."


# Refusals


def test_409_conflict(world: World) -> None:
    world.github.push("acme/api", "main", "Newer")
    world.github.make_conflict("acme/api", "topic")
    world.say("U0ANA", "/deploy api/topic to canary")

    words = (
        "GitHub could not merge the default branch into this one, since they conflict. Nothing was deployed. "
        "Merge it by hand, push, and ask again."
    )
    head = f":no_entry: *api* to *canary* · `topic` at {shas(world, 'acme/api')} · #1 for @ana"
    assert cards(world) == [f"{head}\n{words}\n{MERGES}\n[Retry]"]
    assert thread(world) == [f":no_entry: @ana: *api* to *canary* did not start. {words}"]
    assert world.github.deployments("acme/api") == []


def test_checks_that_are_not_green_keep_it_from_being_sent(world: World) -> None:
    world.github.set_status("acme/web", "topic", "ci/build", "pending")
    world.github.set_status("acme/web", "topic", "ci/docs", "success")
    world.github.set_check_run("acme/web", "topic", "lint", conclusion="failure")
    world.github.set_check_run("acme/web", "topic", "e2e", conclusion="timed_out")
    world.say("U0ANA", "/deploy web/topic")

    assert cards(world)[0].splitlines()[1:] == [
        "Waiting for green checks · asked 2026-03-02 09:00 UTC",
        ":hourglass: Checks: `ci/build` is still running, e2e is `timed_out` and lint is red (green: `ci/docs`)",
        ":white_check_mark: Not locked, not frozen, nobody ahead",
        "[Force] [Cancel]",
    ]
    assert writes(world) == []  # GitHub would say no, and is not even asked

    world.say("U0ANA", "/deploy web/topic!")
    assert cards(world)[1].splitlines()[2] == ":fast_forward: Forced: checks and order were skipped"
    assert world.github.deployments("acme/web")[0]["payload"]["shipbot"]["forced"] is True


# What GitHub answers when it knows of a check that was not there yet when the bot looked.
NOT_GREEN = {
    "message": "Conflict: Commit status checks failed for topic.",
    "errors": [
        {
            "contexts": [
                {"context": "ci/build", "state": "pending"},
                {"context": "ci/docs", "state": "success"},
                {"context": "lint", "state": "failure"},
            ],
            "resource": "Deployment",
            "field": "required_contexts",
            "code": "invalid",
        }
    ],
    "documentation_url": "https://docs.github.com/rest",
}
SAID = "`ci/build` is still running and `lint` is red (green: `ci/docs`)"


def test_409_checks_is_waited_for_and_tried_again(world: World) -> None:
    world.github.fail("POST", WEB, status=409, body=NOT_GREEN)
    world.say("U0ANA", "/deploy web/topic")
    waiting = [
        "Waiting for green checks · asked 2026-03-02 09:00 UTC",
        f":hourglass: Checks: {SAID}",
        ":white_check_mark: Not locked, not frozen, nobody ahead",
        "[Force] [Cancel]",
    ]
    assert cards(world)[0].splitlines()[1:] == waiting
    world.say("U0BEN", "/deploy web to production")
    assert len(world.github.deployments("acme/web")) == 1  # it keeps nobody from going meanwhile
    world.report("success")

    world.github.fail("POST", WEB, status=409, body=NOT_GREEN)
    world.advance(minutes=5)
    assert len(writes(world)) == 3
    assert cards(world)[0].splitlines()[1:] == waiting
    world.advance(minutes=5)
    assert [made["sha"][:7] for made in world.github.deployments("acme/web")] == [
        shas(world),
        shas(world, branch="main"),
    ]
    assert cards(world)[0].splitlines()[1] == WAITING
    assert len(writes(world)) == 4
    assert [line for line in thread(world) if "did not start" in line] == []


def test_409_checks_is_a_refusal_where_the_config_says_so(make_world: Callable[..., World]) -> None:
    refuse = CONFIG.replace("production: {aliases: [prod]}", "production: {when_red: refuse}")
    world = make_world(config=refuse)
    world.github.fail("POST", WEB, status=409, body=NOT_GREEN)
    world.say("U0ANA", "/deploy web/topic")

    assert cards(world)[0].splitlines()[1:] == [
        f"GitHub wants green checks first: {SAID}. Nothing was deployed. Ask again when they are green, or force it "
        "with `!` behind the app.",
        "[Retry]",
    ]
    world.github.set_status("acme/web", "topic", "ci/build", "failure")
    assert ask(world, "/deploy web/topic") == (
        ":no_entry: Checks: `ci/build` is red. Ask again when they are green, or force it with `!` behind the app."
    )
    assert len(cards(world)) == len(writes(world)) == 1


def test_422_no_such_ref(world: World) -> None:
    world.github.push("acme/web", "topic-2", "Another")
    message = {"message": "No ref found for: topic", "documentation_url": "https://docs.github.com/rest"}
    world.github.fail("POST", WEB, status=422, body=message)
    world.say("U0ANA", "/deploy web/topic")

    words = "`acme/web` has no branch, tag or commit `topic`. Did you mean `topic-2`?"
    assert cards(world)[0].splitlines()[1] == words
    assert thread(world) == [f":no_entry: @ana: *web* to *production* did not start. {words}"]


def test_422_of_another_kind_is_told_in_githubs_own_words(world: World) -> None:
    message = {"message": "Validation <!channel> Failed", "documentation_url": "https://docs.github.com/rest"}
    world.github.fail("POST", WEB, status=422, body=message)
    world.say("U0ANA", "/deploy web/topic")

    assert cards(world)[0].splitlines()[1] == (
        "GitHub refused this (HTTP 422): `Validation <!channel> Failed`. Nothing was deployed."
    )


def test_403_names_the_permission(world: World) -> None:
    world.github.token_permissions["deployments"] = "read"
    world.say("U0ANA", "/deploy web/topic")

    assert cards(world)[0].splitlines()[1] == (
        "GitHub does not let me do that in `acme/web` (it says: `Resource not accessible by personal access token`). "
        "My token or app needs the permission *Deployments: write* there; whoever runs me can grant it, then ask again."
    )
    del world.github.token_permissions["contents"]
    assert "needs the permission *Contents: read*" in ask(world, "/deploy web/topic")


def test_404(world: World) -> None:
    words = (
        "GitHub shows me no repository `acme/web`. Either the name in the config is wrong, or my token or app has no "
        "access to it; it must be granted with the permission *{}*."
    )
    world.github.fail("POST", WEB, status=404, body={"message": "Not Found"})
    world.say("U0ANA", "/deploy web/topic")
    assert cards(world)[0].splitlines()[1] == words.format("Deployments: write")

    world.github.hide_repository("acme/web")
    assert ask(world, "/deploy web/topic") == ":no_entry: " + words.format("Contents: read")
    world.restart()  # and what it reads of the past at the start does not break on it
    assert world.waiting() == []


def test_401(world: World) -> None:
    words = (
        "GitHub refuses my token: it is wrong, expired or revoked. Nothing was deployed. "
        "Whoever runs me must set a new one; `python -m bot check` tells more."
    )
    world.say("U0ANA", "/deploy web to staging")
    world.deliver()
    world.report("success")
    for method, path in (("POST", WEB), ("GET", "/repos/acme/web/compare/.*")):
        world.github.fail(method, path, status=401, body={"message": "Bad credentials"})
    world.say("U0ANA", "/deploy web/topic to staging")
    assert cards(world)[1].splitlines()[1:] == [words, "[Retry]"]

    world.github.token = "another"
    assert ask(world, "/deploy web/topic") == f":no_entry: {words}"


def test_a_renamed_repository(world: World) -> None:
    words = "Its new name must be set in my config, then ask again. Nothing was deployed."
    body = {"message": "Temporary Redirect", "url": "https://api.github.com/repositories/1/deployments"}
    world.github.fail("POST", WEB, status=307, body=body)
    world.say("U0ANA", "/deploy web/topic")
    assert cards(world)[0].splitlines()[1] == f"The repository `acme/web` was renamed or moved. {words}"

    world.github.rename_repository("acme/web", "acme/site")
    assert ask(world, "/deploy web/topic") == (
        f":no_entry: The repository `acme/web` was renamed or moved to `acme/site`. {words}"
    )


def test_what_was_taken_out_of_the_config_meanwhile(world: World) -> None:
    world.github.fail("POST", WEB, status=503)
    world.say("U0ANA", "/deploy web to staging")
    world.config = world.config.replace("staging: {aliases: [stg]}", "lab: {}")
    world.restart()
    world.advance(seconds=1)

    assert cards(world)[0].splitlines()[1] == (
        "*web* or its environment *staging* was taken out of the config before this could go. Nothing was deployed."
    )


# Later


@pytest.mark.parametrize("kind", ["primary", "secondary", "unsaid"])
def test_a_rate_limit_says_when_it_goes_on_and_goes_on(world: World, kind: str) -> None:
    reset = str(int(START.timestamp()) + 600)
    headers, minutes = {
        "primary": ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}, 10),
        "secondary": ({"Retry-After": "120"}, 2),
        "unsaid": ({}, 1),
    }[kind]
    message = {"message": "You have exceeded a secondary rate limit."}
    world.github.fail("POST", WEB, status=429 if kind == "unsaid" else 403, body=message, headers=headers)
    world.say("U0ANA", "/deploy web/topic")
    assert cards(world)[0].splitlines()[1] == (
        f"GitHub lets me ask no more until 2026-03-02 09:{minutes:02} UTC. It goes on by itself then."
    )

    world.advance(minutes=minutes, seconds=-1)
    assert len(writes(world)) == 1
    world.advance(seconds=1)
    assert len(world.github.deployments("acme/web")) == 1
    assert cards(world)[0].splitlines()[1] == WAITING


def test_a_rate_limit_while_the_ref_is_resolved(world: World) -> None:
    world.github.exhaust_rate_limit(1200)
    assert ask(world, "/deploy web/topic") == (
        ":hourglass: GitHub lets me ask no more until 2026-03-02 09:20 UTC. It goes on by itself then."
    )
    world.advance(minutes=20)
    assert len(world.github.deployments("acme/web")) == 1
    assert len(world.slack.ephemerals("U0ANA")) == 1


@pytest.mark.parametrize("trouble", ["500", "502", "before", "after"])
@pytest.mark.parametrize("restarted", [False, True])
def test_an_answer_that_does_not_come_never_makes_two(world: World, trouble: str, restarted: bool) -> None:
    if trouble.isdigit():
        world.github.fail("POST", WEB, status=int(trouble))
    else:
        world.github.fail("POST", WEB, drop="before" if trouble == "before" else "after")
    world.say("U0ANA", "/deploy web/topic")
    why = f"HTTP {trouble}" if trouble.isdigit() else "the connection broke"
    assert cards(world)[0].splitlines()[:2] == [
        f":hourglass_flowing_sand: *web* to *production* · `topic` at {shas(world)} · #1 for @ana",
        f"GitHub is not answering ({why}). I keep trying; there is nothing you need to do.",
    ]

    if restarted:
        world.restart()
    world.github.fail("GET", WEB, status=502, times=4)  # nor does the look for what was written
    world.advance(seconds=1)
    assert len(writes(world)) == 1
    for _ in range(5):
        world.advance(minutes=1)
    assert len(world.github.deployments("acme/web")) == 1
    assert len(writes(world)) == (1 if trouble == "after" else 2)
    assert cards(world)[0].splitlines()[1].startswith(":warning: No deployer has picked it up since 2026-03-02 09:0")
    world.report("success")
    assert cards(world)[0].startswith(":large_green_circle:")


def test_a_copied_payload_is_not_taken_for_the_answer_that_was_lost(world: World) -> None:
    world.github.fail("POST", WEB, drop="after")
    world.say("U0ANA", "/deploy web/topic")
    first = world.github.deployments("acme/web")[0]
    world.github.create_deployment("acme/web", "topic", creator="mallory", payload=first["payload"])
    world.advance(seconds=1)
    world.github.report("acme/web", first["id"], "success")
    world.deliver()

    assert cards(world)[0].startswith(":large_green_circle:")


def test_after_an_hour_it_is_lost_and_a_status_still_wins(world: World) -> None:
    world.github.fail("POST", WEB, drop="after")
    world.github.fail("GET", WEB, status=502, times=200)
    world.say("U0ANA", "/deploy web/topic")
    for _ in range(59):
        world.advance(minutes=1)
    assert cards(world)[0].splitlines()[1].startswith("GitHub is not answering (HTTP 502). I keep trying")
    for _ in range(2):
        world.advance(minutes=1)

    words = (
        "I tried for an hour and stopped. GitHub is not answering (HTTP 502). Whether GitHub made the deployment is "
        "not known: look there before you ask again. A status that still comes will be shown here."
    )
    assert cards(world)[0].splitlines() == [
        f":warning: *web* to *production* · `topic` at {shas(world)} · #1 for @ana",
        words,
        "[Cancel] [Retry]",
    ]
    assert thread(world) == [f":warning: @ana: *web* to *production* is lost from sight. {words}"]
    assert world.waiting() == []
    assert ":warning: lost from sight" in ask(world, "/deploy status web in prod")

    world.report("success")
    assert cards(world)[0].splitlines()[1] == "Live after 1 h 1 min"
    assert thread(world)[1].startswith(":large_green_circle: Live after 1 h 1 min")
    assert len(world.github.deployments("acme/web")) == 1


def test_github_down_while_the_ref_is_resolved(world: World) -> None:
    world.github.fail("GET", "/repos/acme/web/commits/topic", status=502, times=6)  # each read is tried twice
    told = ":hourglass: GitHub is not answering (HTTP 502). I keep trying; there is nothing you need to do."
    assert ask(world, "/deploy web/topic") == told
    world.restart()
    for _ in range(3):
        world.advance(minutes=1)

    assert len(world.slack.ephemerals("U0ANA")) == 1
    assert len(world.github.deployments("acme/web")) == 1
    assert cards(world)[0].splitlines()[1].endswith("asked 2026-03-02 09:03 UTC")


def test_github_down_for_too_long_while_the_ref_is_resolved(world: World) -> None:
    world.github.fail("GET", "/repos/acme/web/commits/topic", status=502, times=100)
    world.say("U0ANA", "/deploy web/topic")
    for _ in range(16):
        world.advance(minutes=1)

    assert newest(world) == (
        ":warning: I tried for 15 min and got no further, so I dropped your command. Nothing was deployed; "
        "please ask again.\nGitHub is not answering (HTTP 502)."
    )
    assert len(world.slack.ephemerals("U0ANA")) == 2
    assert world.waiting() == []
    assert cards(world) == []


def test_near_names_that_can_not_be_read_are_left_out(world: World) -> None:
    world.github.fail("GET", "/repos/acme/web/branches", status=403, body={"message": "Forbidden"})
    assert ask(world, "/deploy web/topci") == (
        ":no_entry: `acme/web` has no branch, tag or commit `topci`. Has it been pushed?"
    )
