"""The commands that only tell: help, apps, where, status, history, diff."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from bot.slack.grammar import FORMS
from tests.front.chat import ask, cards, posted
from tests.world import CONFIG, START, World


def shipped(world: World, text: str, state: str = "success", **details: str) -> str:
    """One deploy from command to its end, a minute after the last; returns its short SHA."""
    world.advance(minutes=1)
    world.say("U0ANA", f"/deploy {text}")
    world.deliver()
    if state:
        world.report(state, **details)
    return str(world.github.deployments("acme/web")[0]["sha"])[:7]


def test_help_has_every_form(world: World) -> None:
    overview = ask(world, "/deploy help").splitlines()

    assert (
        overview[0]
        == "*What I can do.* It works after `/deploy`, after `@shipbot` (in threads, too) and in a message to me."
    )
    assert overview[1:-1:2] == [f"`/deploy {form.usage}`" for form in FORMS]
    assert overview[2:-1:2] == [form.summary for form in FORMS]
    assert ask(world, "/deploy HELP") == "\n".join(overview)
    assert ask(world, "@shipbot") == ask(world, "help", room="dm") == "\n".join(overview)


def test_help_on_one_form(world: World) -> None:
    history = ask(world, "/deploy help history")

    assert history == "\n".join(
        [
            "*List past deploys of an app, of one ref or in one environment*",
            "`/deploy history APP[/REF] [in ENV]`",
            "• `/deploy history web`",
            "• `/deploy history web/topic in staging`",
            "`history #42` tells all that happened to one deploy: who asked, who agreed, what was reported.",
        ]
    )
    assert ask(world, "/deploy help hist") == ask(world, "/deploy help HISTORY") == history
    unknown = ask(world, "/deploy help <!channel>").splitlines()
    assert unknown[0] == "I know no command `<!channel>`."
    assert unknown[1].startswith("*What I can do.*")


WITH_APPROVALS = CONFIG.replace("staging: {aliases: [stg]}", "staging: {aliases: [stg]}\n      gated: {approvals: {}}")


def test_the_examples_of_help_work(make_world: Callable[..., World]) -> None:
    world = make_world(config=WITH_APPROVALS)
    world.github.tag("acme/web", "v1.4", "main")
    world.github.tag("acme/web", "v1.3", world.github.push("acme/web", "older", "Long ago"))
    shipped(world, "web/topic")
    shipped(world, "web")
    world.github.push("acme/web", "next", "Coming up")
    shipped(world, "web/next to staging")

    for example in [example for form in FORMS for example in form.examples]:
        if example.startswith("freeze"):  # each from a thaw
            world.say("U0ANA", "/deploy unfreeze")
        if "42" in example:  # a deploy of its own, which waits to be approved
            later = " in 1h" if example.startswith("unschedule") else ""
            waiting = ask(world, f"/deploy web to gated/{len(cards(world))}{later}", "U0BEN")
            number = re.findall(r"#(\d+)", waiting)[0]
            if example.startswith("retry"):
                world.say("U0BEN", f"/deploy cancel {number}")
            world.say("U0ANA", f"/deploy {example.replace('42', number)}")
            mine = world.slack.ephemerals("U0ANA")
            answer = cards(world)[-1] if example.startswith("retry") else world.slack.text_of(mine[-1])
            assert f"#{number}" in answer
        else:
            answer = ask(world, f"/deploy {example}")
        assert ":thinking_face:" not in answer, example
        assert ":no_entry:" not in answer, example


def test_apps(world: World) -> None:
    assert ask(world, "/deploy apps") == "\n".join(
        [
            "*web* · acme/web · deploys `main`",
            "     to *production* (prod), *staging* (stg)",
            "*api* · acme/api · only from #ops",
            "     to *production*, *canary*",
        ]
    )


def test_where(world: World) -> None:
    nothing = "*What is live of web*\n:white_circle: *production*: nothing yet\n:white_circle: *staging*: nothing yet"
    assert ask(world, "/deploy where web") == nothing

    first = shipped(world, "web to staging", environment_url="https://staging.example")
    second = shipped(world, "web/topic to staging", state="in_progress")
    assert ask(world, "/deploy where acme/web") == "\n".join(
        [
            "*What is live of web*",
            ":white_circle: *production*: nothing yet",
            f":large_green_circle: *staging*: `main` at {first} · #1 by `ana`, since 2026-03-02 09:01 UTC · Open",
            f"     :large_blue_circle: on its way: `topic` at {second} · #2 by `ana`",
        ]
    )
    world.report("failure")
    assert "on its way" not in ask(world, "/deploy where web")
    assert f"`main` at {first}" in ask(world, "/deploy where web")


def test_status(world: World) -> None:
    shipped(world, "web to staging")
    shipped(world, "web/topic to staging", state="failure")
    shipped(world, "web/topic to staging", state="in_progress")
    message = {"message": "Validation Failed", "documentation_url": "https://docs.github.com/rest"}
    world.github.fail("POST", "/repos/acme/web/deployments", status=422, body=message)
    shipped(world, "web", state="")
    world.github.set_status("acme/web", "topic", "ci/build", "failure")
    shipped(world, "web/topic", state="")
    world.advance(minutes=2)
    main, topic = (world.github.head("acme/web", branch)[:7] for branch in ("main", "topic"))

    assert ask(world, "/deploy status web in stg") == "\n".join(
        [
            "*web* in *staging*",
            f"     :large_blue_circle: in progress for 4 min: `topic` at {topic} · #3 by `ana`",
            f"     :red_circle: failed 5 min ago: `topic` at {topic} · #2 by `ana`",
            f"     :large_green_circle: went live 6 min ago: `main` at {main} · #1 by `ana`",
        ]
    )
    assert ask(world, "/deploy status") == "\n".join(
        [
            "*web* in *production*",
            f"     :large_yellow_circle: waiting for 2 min: `topic` at {topic} · #5 by `ana`",
            "*web* in *staging*",
            f"     :large_blue_circle: in progress for 4 min: `topic` at {topic} · #3 by `ana`",
            "*api* in *production*",
            "     nothing yet",
            "*api* in *canary*",
            "     nothing yet",
        ]
    )
    assert ask(world, "/deploy status web in prod").splitlines()[2] == (
        f"     :no_entry: refused 3 min ago: `main` at {main} · #4 by `ana`"
    )
    assert "did you mean" in ask(world, "/deploy status web in stagging").lower()


def test_status_while_github_does_not_answer(world: World) -> None:
    world.github.fail("POST", "/repos/acme/web/deployments", status=502)
    world.say("U0ANA", "/deploy web")

    assert ":hourglass_flowing_sand: on its way to GitHub for 0 s: `main`" in ask(world, "/deploy status web")


def test_history_is_paged_with_a_button(world: World) -> None:
    for number in range(12):
        shipped(world, "web to staging" if number % 2 else "web/topic to staging")
    main, topic = (world.github.head("acme/web", branch)[:7] for branch in ("main", "topic"))

    def line(number: int) -> str:
        which = f"`main` at {main}" if number % 2 == 0 else f"`topic` at {topic}"
        ago = f"{12 - number} min" if number < 12 else "0 s"
        return f":large_green_circle: {which} to *staging* · #{number} by `ana`, went live {ago} ago"

    expected = [line(number) for number in range(12, 0, -1)]
    world.say("U0BEN", "/deploy history web")
    [page] = world.slack.ephemerals("U0BEN")
    assert world.slack.text_of(page).splitlines() == ["Deploys of *web*, newest first", *expected[:10], "[Older]"]

    assert world.slack.click("U0BEN", "C0OPS", page.ts, "history_page").ok
    world.settle()
    [page] = world.slack.ephemerals("U0BEN")  # in the place of the first
    assert world.slack.text_of(page).splitlines() == ["Deploys of *web*, newest first", *expected[10:]]


def test_history_by_ref_and_environment(world: World) -> None:
    main = shipped(world, "web to staging")
    topic = shipped(world, "web/topic to staging", state="failure")
    shipped(world, "web/topic to prod!", state="in_progress")

    assert ask(world, "/deploy history web/topic") == "\n".join(
        [
            "Deploys of *web* at `topic`, newest first",
            f":large_blue_circle: `topic` at {topic} to *production* · #3 by `ana` · forced, in progress",
            f":red_circle: `topic` at {topic} to *staging* · #2 by `ana`, failed 1 min ago",
        ]
    )
    assert ask(world, "/deploy history acme/web@topic in stg") == "\n".join(
        [
            "Deploys of *web* at `topic` in *staging*, newest first",
            f":red_circle: `topic` at {topic} to *staging* · #2 by `ana`, failed 1 min ago",
        ]
    )
    assert f"`main` at {main}" in ask(world, f"/deploy history web/{main}")
    assert ask(world, "/deploy history web/nope") == "No deploys of *web* at `nope` that I know of."
    assert ask(world, "/deploy history api") == "No deploys of *api* that I know of."


def test_the_older_button_keeps_the_filters(world: World) -> None:
    for _ in range(11):
        world.github.create_deployment("acme/web", "topic", environment="staging")
        world.github.create_deployment("acme/web", "main", environment="staging")
    world.deliver()
    world.say("U0ANA", "/deploy history web/topic in staging")
    page = world.slack.ephemerals("U0ANA")[-1]

    world.slack.click("U0ANA", "C0OPS", page.ts, "history_page")
    world.settle()
    last = world.slack.text_of(world.slack.ephemerals("U0ANA")[-1]).splitlines()
    assert last[0] == "Deploys of *web* at `topic` in *staging*, newest first"
    assert [text.partition("#")[2].partition(" ")[0] for text in last[1:]] == ["1"]


def test_a_page_of_history_in_a_thread_can_be_turned_too(world: World) -> None:
    for _ in range(11):
        world.github.create_deployment("acme/web", "main", environment="staging")
    world.deliver()
    world.say("U0BEN", "@shipbot history web")
    page = world.slack.messages("C0OPS")[-1]
    assert page.is_reply

    world.slack.click("U0BEN", "C0OPS", page.ts, "history_page")
    world.settle()
    assert "#1 by `someone`" in world.room(viewer="U0BEN")


def test_diff(world: World) -> None:
    base = shipped(world, "web to staging")
    world.github.push("acme/web", "main", "Bump httpx", author="ben-gh")
    head = world.github.push("acme/web", "main", "Trim logs\n\nThey were long.", author="cal-gh")

    answer = ask(world, "/deploy diff web in staging").splitlines()
    assert answer[0] == (
        f"2 commits of `main` are not out yet: *web* in *staging* runs {base} since 2026-03-02 09:01 UTC."
    )
    assert answer[1] == f"{head[:7]} `Trim logs`"
    assert answer[2].endswith(" `Bump httpx`")
    assert answer[3:] == ["By ben-gh, cal-gh", "`/deploy web/main to staging` brings it out"]
    blocks = str(world.slack.ephemerals("U0ANA")[-1].blocks)
    assert f"{world.github.url}/acme/web/compare/" in blocks
    assert f"<{world.github.url}/acme/web/commit/{head}|{head[:7]}>" in blocks


def test_diff_of_a_branch_of_everything_and_of_nothing(world: World) -> None:
    base = shipped(world, "web to staging")
    world.github.push("acme/web", "main", "Newer")
    shipped(world, "web to staging")
    head = world.github.head("acme/web", "main")[:7]

    assert ask(world, "/deploy diff web in stg") == (
        f":white_check_mark: Everything of `main` is out: *web* in *staging* runs {head}."
    )
    assert ask(world, "/deploy diff web/topic in stg").splitlines()[0] == (
        f"1 commit of `topic` is not out yet: *web* in *staging* runs {head} since 2026-03-02 09:02 UTC. "
        "It lacks 1 commit of what is live."
    )
    assert f"runs {head}. It lacks 1 commit of what is live." in ask(world, f"/deploy diff web/{base} in stg")
    assert ask(world, "/deploy diff web") == (
        ":no_entry: Nothing of *web* is live in *production* yet. `/deploy web to production` would be the first."
    )
    assert ask(world, "/deploy diff web/topci in stg") == (
        ":no_entry: `acme/web` has no branch, tag or commit `topci`. Did you mean `topic`?"
    )


def test_diff_of_very_many_commits_shows_the_newest(world: World) -> None:
    shipped(world, "web to staging")
    world.github.push("acme/web", "main", "Many", author="ben-gh", count=130)
    head = world.github.push("acme/web", "main", "Last", author="cal-gh")

    answer = ask(world, "/deploy diff web in staging").splitlines()
    assert answer[0].startswith("131 commits of `main` are not out yet")
    assert answer[1] == f"{head[:7]} `Last`"
    assert answer[-3:] == [
        "and 111 older, see the comparison",
        "By ben-gh, cal-gh",
        "`/deploy web/main to staging` brings it out",
    ]


def test_the_card_says_what_it_brings(world: World) -> None:
    base = shipped(world, "web to staging")
    world.github.push("acme/web", "main", "Bump httpx")
    head = world.github.push("acme/web", "main", "Trim logs")
    world.clock.moment = START + timedelta(hours=1)

    world.say("U0ANA", "/deploy web to staging")
    assert world.room().splitlines()[-5:] == [
        f"shipbot: :large_yellow_circle: *web* to *staging* · `main` at {head[:7]} · #2 for @ana",
        "  Handed to GitHub, waiting for a deployer to pick it up · asked 2026-03-02 10:00 UTC",
        f"  Brings 2 commits since {base}, live since 2026-03-02 09:01 UTC",
        "  Bump httpx · Trim logs",
        "  [Cancel]",
    ]
    world.report("success")
    assert f"The same commit as is live, {head[:7]}, live since" in ask(world, "/deploy web to staging")
    world.report("success")
    assert f":rewind: Goes back 2 commits from {head[:7]}, live since" in ask(world, f"/deploy web/{base} to staging")


def test_reading_waits_for_github_too(world: World) -> None:
    shipped(world, "web to staging")
    world.github.push("acme/web", "main", "Bump httpx")
    world.github.fail("GET", "/repos/acme/web/compare/.*", status=503, times=4)

    assert ask(world, "/deploy diff web in staging").startswith(":hourglass: GitHub is not answering (HTTP 503).")
    world.advance(seconds=1)
    world.advance(seconds=2)
    assert "1 commit of `main` is not out yet" in world.room()


def test_screen_readers_hear_what_is_shown(make_world: Callable[..., World]) -> None:
    """They read a message's text and nothing of its blocks, and so do notifications on phones."""
    world = make_world(config=WITH_APPROVALS)
    shipped(world, "web")
    sha = world.github.head("acme/web", "topic")[:7]
    world.say("U0BEN", "/deploy web/topic to gated because it can't wait")
    card = posted(world.slack)[-1].text.splitlines()
    assert card[0] == f"web to gated · topic at {sha} · #2 for <@U0BEN>"
    assert card[1].startswith("Waiting for 1 approval · asked 2026-03-02")
    assert card[2] == "“it can't wait”"
    assert any(line.startswith("Approvals: 0 of 1") for line in card)
    world.say("U0BEN", "/deploy lock api because demo day")
    for words, told in {
        "status web in gated": ["1 deploy under way", "web in gated", f"waiting for 0 s: topic at {sha} · #2 by ben"],
        "where web": ["What is live of web", "production: main at", "staging: nothing yet", "on its way: topic at"],
        "history web": ["Deploys of web, newest first", f"topic at {sha} to gated · #2 by ben, waiting", "went live"],
        "locks": ["1 lock, 0 freezes", "all of api by ben for 0 s: “demo day”"],
        "diff web/topic": ["not out yet", f"{sha} Fix the login loop", "brings it out"],
        "apps": ["2 apps", "to production (prod), staging (stg), gated"],
        "check web to gated": ["It would wait for", "No checks to wait for"],
        "help lock": ["Keep others from deploying an app", "lock all because incident"],
    }.items():
        world.say("U0ANA", f"/deploy {words}")
        text = world.slack.ephemerals("U0ANA")[-1].text
        assert [part for part in told if part not in text] == [], (words, text)
