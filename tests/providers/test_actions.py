"""`actions` through the front door: workflows of the simulated GitHub, and its webhooks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from bot import reporter
from bot.playground.github_state import Repository, WorkflowRun
from bot.providers import actions, base, following
from bot.providers.actions import Settings
from tests.front.chat import ask, cards, writes
from tests.providers.places import carry_out, in_background, newest_card, output, statuses, until
from tests.world import World

pytestmark = pytest.mark.slow

Make = Callable[..., World]

DEPLOY = """
name: Deploy
on:
  workflow_dispatch:
    inputs:
      target: {required: true}
      what: {}
jobs: {}
"""
MARKED = DEPLOY.replace("what: {}", "what: {}\n      shipbot: {}")
SHOWN = "run-name: Deploy ${{ inputs.target }} (${{ inputs.shipbot }})\n" + MARKED
ON_DEPLOYMENT = "name: Release\non: [deployment]\njobs: {}\n"
PROVIDER = {"type": "actions", "workflow": "deploy.yml", "inputs": {"target": "production"}}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs appear within moments or never; what is followed is looked at when a webhook comes."""
    monkeypatch.setattr(actions, "POLL", 0.02)
    monkeypatch.setattr(actions, "LOST", 0.2)
    monkeypatch.setattr(actions, "APPEARS", 0.4)
    monkeypatch.setattr(following, "POLL", 60.0)
    monkeypatch.setattr(following, "PAUSE", 0.0)


@pytest.fixture
def place(make_place: Make) -> Make:
    """A world in which `web` goes to production by a workflow, whose file it is given."""

    def make(text: str = DEPLOY, *, name: str = "deploy.yml", provider: object = PROVIDER, **more: Any) -> World:
        world = make_place(json.dumps(provider), **more)
        add_workflow(world, text, name)
        return world

    return make


def add_workflow(world: World, text: str, name: str = "deploy.yml") -> None:
    for branch in ("main", "topic"):
        world.github.add_file("acme/web", f".github/workflows/{name}", text, branch=branch)


def runs_of(world: World) -> list[WorkflowRun]:
    return world.github.runs_of("acme/web")


def dispatches(world: World) -> list[Any]:
    return writes(world, "/dispatches")


def begun(world: World, text: str = "/deploy web/topic to production") -> tuple[threading.Thread, WorkflowRun]:
    """Deploys, up to where the bot follows a run."""
    before = len(runs_of(world))
    world.say("U0ANA", text)
    thread_of_it = in_background(world)
    until(lambda: len(runs_of(world)) > before)
    until(lambda: "queued\n" in output(world.store, len(world.github.deployments("acme/web"))))
    return thread_of_it, runs_of(world)[0]


def ended(world: World, thread_of_it: threading.Thread) -> tuple[str, str]:
    """What GitHub has to tell is told until the run is over; how it ended."""

    def told() -> bool:
        world.deliver()
        return not thread_of_it.is_alive()

    until(told)
    carry_out(world)
    return statuses(world)[-1]


def settled(world: World, text: str = "/deploy web/topic to production") -> tuple[str, str]:
    """How a deploy ends that GitHub runs nothing for."""
    world.say("U0ANA", text)
    carry_out(world)
    return statuses(world)[-1]


# A run, from its dispatch to its end


def test_a_workflow_is_run_and_followed_job_by_job(place: Make) -> None:
    inputs = {
        "target": "{environment}",
        "what": "{app} {ref} {sha} {task} {number} {deployment_id} {hosts} {user} {no brace} {}",
    }
    world = place(provider=PROVIDER | {"inputs": inputs})
    thread_of_it, run = begun(world, "/deploy web/topic to production/fe1")
    sha, number = world.github.head("acme/web", "topic"), world.github.deployments("acme/web")[0]["id"]
    told = f"web topic {sha} deploy 1 {number} fe1 ana {{no brace}} {{}}"
    assert run.inputs == {"target": "production", "what": told}
    assert dispatches(world) == [{"ref": "topic", "inputs": run.inputs, "return_run_details": True}]
    world.github.set_job("acme/web", run.id, "build", "in_progress")
    world.github.set_job("acme/web", run.id, "deploy", "queued")
    world.deliver()
    until(lambda: "build running, deploy queued\n" in output(world.store))
    world.advance(seconds=20)
    assert statuses(world)[-1] == ("in_progress", "build running, deploy queued")
    world.github.set_job("acme/web", run.id, "build")
    world.github.set_job("acme/web", run.id, "deploy", "in_progress")
    world.deliver()
    until(lambda: "build ✓, deploy running\n" in output(world.store))
    world.advance(seconds=20)
    world.deliver()
    assert "build ✓, deploy running" in newest_card(world)
    world.github.set_job("acme/web", run.id, "deploy")
    world.github.finish_run("acme/web", run.id)
    assert ended(world, thread_of_it) == ("success", "build ✓, deploy ✓")
    newest = world.github.statuses("acme/web", number)[0]
    assert newest["log_url"] == f"{world.github.url}/acme/web/actions/runs/{run.id}"
    assert ":large_green_circle:" in newest_card(world)
    assert len(runs_of(world)) == 1


@pytest.mark.parametrize(
    ("conclusion", "expected"),
    [
        ("failure", ("failure", "the workflow failed")),
        ("timed_out", ("failure", "the workflow timed out")),
        ("cancelled", ("error", "The workflow was cancelled at GitHub")),
        ("action_required", ("error", "The workflow needs somebody's consent at GitHub before it runs")),
        ("skipped", ("error", "The workflow skipped all its jobs: nothing was deployed")),
        ("stale", ("error", "The workflow ended as “stale” at GitHub")),
        ("startup_failure", ("failure", "GitHub could not start the workflow: look at its file")),
        ("neutral", ("success", "")),
        ("success", ("success", "")),
    ],
)
def test_what_the_end_of_a_run_means(conclusion: str, expected: tuple[str, str]) -> None:
    ended = following._outcome([{"conclusion": conclusion}], [])
    assert (ended.state, ended.description) == expected


def test_somebody_cancels_the_run_at_github(place: Make) -> None:
    world = place()
    thread_of_it, run = begun(world)
    world.github.finish_run("acme/web", run.id, "cancelled")
    assert ended(world, thread_of_it) == ("error", "The workflow was cancelled at GitHub")
    assert ":red_circle:" in newest_card(world)


def test_the_jobs_that_failed_are_named(place: Make) -> None:
    world = place()
    thread_of_it, run = begun(world)
    world.github.set_job("acme/web", run.id, "build")
    world.github.set_job("acme/web", run.id, "migrate <!here>", conclusion="failure")
    world.github.set_job("acme/web", run.id, "deploy", conclusion="skipped")
    world.github.finish_run("acme/web", run.id, "failure")
    assert ended(world, thread_of_it) == ("failure", "migrate <!here> failed")
    assert "build ✓, migrate <!here> ✗, deploy –\n" in output(world.store)


def test_jobs_that_are_too_many_are_counted(place: Make) -> None:
    world = place()
    thread_of_it, run = begun(world)
    for number in range(30):
        world.github.set_job("acme/web", run.id, f"test on machine {number}")
    world.github.set_job("acme/web", run.id, "deploy", "waiting")
    world.deliver()
    world.advance(seconds=20)
    until(lambda: "waits for an approval" in output(world.store))
    world.advance(seconds=20)
    assert statuses(world)[-1] == ("in_progress", "30 of 31 jobs done, deploy waits for an approval at GitHub")
    world.github.finish_run("acme/web", run.id)
    assert ended(world, thread_of_it) == ("success", "31 of 31 jobs done")


# At which ref


def test_a_tag_is_run_at(place: Make) -> None:
    world = place()
    world.github.tag("acme/web", "v1.4", "topic")
    thread_of_it, run = begun(world, "/deploy web/v1.4 to production")
    assert dispatches(world)[0]["ref"] == "v1.4"
    world.github.finish_run("acme/web", run.id)
    assert ended(world, thread_of_it)[0] == "success"


def test_a_tag_with_the_name_of_a_branch_is_run_at(place: Make) -> None:
    world = place()
    world.github.tag("acme/web", "stable", "topic")
    with world.github.change():
        repo = world.github.repository("acme/web")
        repo.branches["stable"] = repo.branches["main"]
    world.github.create_deployment("acme/web", "refs/tags/stable", environment="production")
    world.deliver()
    thread_of_it = in_background(world)
    until(lambda: runs_of(world))
    assert dispatches(world)[0]["ref"] == "refs/tags/stable"
    world.github.finish_run("acme/web", runs_of(world)[0].id)
    assert ended(world, thread_of_it)[0] == "success"


def test_a_branch_with_any_name_is_run_at(place: Make) -> None:
    world = place()
    for branch in ("a/b#c?d=1&e", "ü/🚀", "x%2Fy", "-x"):
        with world.github.change():
            repo = world.github.repository("acme/web")
            repo.branches[branch] = repo.branches["topic"]
        world.github.create_deployment("acme/web", branch, environment="production")
        world.deliver()
        thread_of_it = in_background(world)
        until(lambda branch=branch: any(run.branch == branch for run in runs_of(world)))
        world.github.finish_run("acme/web", runs_of(world)[0].id)
        assert ended(world, thread_of_it)[0] == "success", branch


def test_what_is_no_head_is_not_run(place: Make) -> None:
    world = place()
    sha = world.github.head("acme/web", "topic")
    told = settled(world, f"/deploy web/{sha[:8]} to production")
    assert told == ("error", f"{sha[:8]} is no branch or tag, and GitHub runs a workflow only at the head of one")
    world.say("U0ANA", "/deploy web/topic to production")
    moved = world.github.push("acme/web", "topic", "Later")
    carry_out(world)
    expected = f"topic is at {moved[:7]} now, not at {sha[:7]}, and GitHub runs a workflow only at the head of a"
    assert statuses(world)[-1] == ("error", f"{expected} branch or tag")
    assert runs_of(world) == []


@pytest.mark.parametrize("older", [False, True])
def test_a_branch_that_moves_in_that_very_moment(place: Make, monkeypatch: pytest.MonkeyPatch, older: bool) -> None:
    world = place(SHOWN)
    world.github.older = older
    really, heads = world.github.dispatch, []

    def dispatch(repo: Repository, *rest: Any) -> WorkflowRun:
        heads.append(world.github.push("acme/web", "topic", "Just now"))
        return really(repo, *rest)

    monkeypatch.setattr(world.github, "dispatch", dispatch)
    state, description = settled(world)
    assert (state, description) == ("error", f"topic moved to {heads[0][:7]} just then; the run there was cancelled")
    assert [run.conclusion for run in runs_of(world)] == ["cancelled"]


# Which run it made


def test_a_server_that_does_not_tell_which_run_it_made(place: Make) -> None:
    world = place()
    world.github.older = True
    world.github.dispatch(*as_somebody(world, {"target": "before"}))
    thread_of_it, run = begun(world)
    assert run.inputs["target"] == "production"
    assert dispatches(world)[-1] == {"ref": "topic", "inputs": {"target": "production"}}
    world.github.finish_run("acme/web", run.id)
    assert ended(world, thread_of_it)[0] == "success"
    assert len(runs_of(world)) == 2


def as_somebody(world: World, inputs: dict[str, str]) -> tuple[Any, ...]:
    repo = world.github.repository("acme/web")
    return repo, world.github.person("ben-gh"), ".github/workflows/deploy.yml", "topic", inputs


def test_a_run_that_appears_late_or_never(place: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "APPEARS", 20.0)
    world = place()
    world.github.older = True
    world.github.slow_runs = 1
    world.say("U0ANA", "/deploy web/topic to production")
    thread_of_it = in_background(world)
    until(lambda: len(dispatches(world)) == 2)
    world.github.let_runs_appear("acme/web")
    until(lambda: "queued\n" in output(world.store))
    world.github.finish_run("acme/web", runs_of(world)[0].id)
    assert ended(world, thread_of_it)[0] == "success"
    monkeypatch.setattr(actions, "APPEARS", 0.1)
    world.github.slow_runs = 1
    assert settled(world) == ("error", "GitHub took deploy.yml on, but no run of it appeared within 0 s")


def test_a_run_that_is_not_seen_at_once(place: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub tells its number, and not every part of it knows that yet."""
    monkeypatch.setattr(following, "POLL", 0.05)
    world = place()
    world.github.slow_runs = 1
    world.say("U0ANA", "/deploy web/topic to production")
    thread_of_it = in_background(world)
    until(lambda: "not seen everywhere yet" in output(world.store))
    world.github.let_runs_appear("acme/web")
    until(lambda: "queued\n" in output(world.store))
    world.github.finish_run("acme/web", runs_of(world)[0].id)
    assert ended(world, thread_of_it)[0] == "success"
    monkeypatch.setattr(following, "SEEN", 0.1)
    world.github.slow_runs = 1
    state, description = settled(world)
    assert (state, "GitHub refuses: not found" in description) == ("error", True)


def test_runs_of_others_at_the_same_commit(place: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world = place()
    world.github.older = True
    really = world.github.dispatch

    def and_somebody(repo: Repository, *rest: Any) -> WorkflowRun:
        ours = really(repo, *rest)
        really(*as_somebody(world, {"target": "staging"}))
        return ours

    monkeypatch.setattr(world.github, "dispatch", and_somebody)
    for text in (DEPLOY, MARKED):
        add_workflow(world, text)
        state, description = settled(world)
        assert state == "error"
        assert "which run is ours can't be told" in description
    add_workflow(world, SHOWN)
    world.say("U0ANA", "/deploy web/topic to production")
    thread_of_it = in_background(world)
    until(lambda: "queued\n" in output(world.store, 3))
    ours = runs_of(world)[1]
    assert ours.inputs["shipbot"] == f"shipbot-{world.github.deployments('acme/web')[0]['id']}"
    world.github.finish_run("acme/web", ours.id)
    assert ended(world, thread_of_it)[0] == "success"


def test_a_dispatch_whose_answer_was_lost_is_looked_for(place: Make) -> None:
    world = place()
    world.github.fail("POST", ".*/dispatches", drop="after")
    world.say("U0ANA", "/deploy web/topic to production")
    world.deliver()
    assert world.bot.runner.step()
    assert len(runs_of(world)) == 1
    world.advance(seconds=10)
    thread_of_it = in_background(world)
    until(lambda: "queued\n" in output(world.store))
    world.github.finish_run("acme/web", runs_of(world)[0].id)
    assert ended(world, thread_of_it)[0] == "success"
    assert len(dispatches(world)) == len(runs_of(world)) == 1


def test_a_dispatch_that_never_arrived_is_made_again(place: Make) -> None:
    world = place()
    for fault in ({"drop": "before"}, {"status": 502}):
        world.github.fail("POST", ".*/dispatches", **fault)
    world.say("U0ANA", "/deploy web/topic to production")
    for _ in range(2):
        world.deliver()
        assert world.bot.runner.step()
        world.advance(seconds=10)
    thread_of_it = in_background(world)
    until(lambda: "queued\n" in output(world.store))
    world.github.finish_run("acme/web", runs_of(world)[0].id)
    assert ended(world, thread_of_it)[0] == "success"
    assert (len(dispatches(world)), len(runs_of(world))) == (3, 1)


# Stops and restarts


def test_the_bot_is_restarted_in_the_middle_twice(place: Make) -> None:
    world = place()
    thread_of_it, run = begun(world)
    for _ in range(2):
        world.bot.runner.stop(5)
        thread_of_it.join(20)
        assert not thread_of_it.is_alive()
        world.restart()
        assert run.conclusion is None  # it is another attempt's now
        before = output(world.store).count("queued\n")
        thread_of_it = in_background(world)
        until(lambda before=before: output(world.store).count("queued\n") > before)
    world.github.finish_run("acme/web", run.id)
    assert ended(world, thread_of_it)[0] == "success"
    assert len(dispatches(world)) == len(runs_of(world)) == 1


def test_cancelling_cancels_the_run(place: Make) -> None:
    world = place()
    thread_of_it, run = begun(world)
    world.deliver()
    world.say("U0ANA", "/deploy cancel 1")
    assert ended(world, thread_of_it)[0] == "inactive"
    assert run.conclusion == "cancelled"
    assert f"Run {run.id} is cancelled\n" in output(world.store)


@pytest.mark.parametrize("trouble", [{"status": 502}, {"drop": "before"}, {"drop": "after"}])
def test_cancelling_is_told_until_it_is_heard(
    place: Make, monkeypatch: pytest.MonkeyPatch, trouble: dict[str, Any]
) -> None:
    monkeypatch.setattr(following, "FIRST_PAUSE", 0.02)
    world = place()
    thread_of_it, run = begun(world)
    world.deliver()
    world.github.fail("POST", ".*/cancel", times=2, **trouble)
    world.say("U0ANA", "/deploy cancel 1")
    assert ended(world, thread_of_it)[0] == "inactive"
    assert run.conclusion == "cancelled"
    monkeypatch.setattr(following, "INSIST", 0.1)
    thread_of_it, run = begun(world)
    world.deliver()
    world.github.fail("POST", ".*/cancel", times=1000, **trouble)
    world.say("U0ANA", "/deploy cancel 2")
    assert ended(world, thread_of_it)[0] == "inactive"
    assert "could not be cancelled" in output(world.store, 2)


def cancelled_between_two_attempts(world: World) -> WorkflowRun:
    """A run that goes on at GitHub when its deploy is cancelled, and that nobody here follows."""
    thread_of_it, run = begun(world)
    world.deliver()
    world.bot.runner.stop(5)
    thread_of_it.join(20)
    world.restart()
    world.say("U0ANA", "/deploy cancel 1")
    return run


def test_cancelling_between_two_attempts_cancels_the_run(place: Make) -> None:
    world = place()
    run = cancelled_between_two_attempts(world)
    world.github.fail("POST", f".*/actions/runs/{run.id}/cancel", status=502)
    assert world.bot.runner.step()
    assert run.conclusion is None  # GitHub did not answer, so it is told once more
    world.advance(seconds=5)
    carry_out(world)
    assert run.conclusion == "cancelled"
    assert output(world.store).endswith(f"Run {run.id} is cancelled\n[stopped: it was cancelled]\n")
    assert statuses(world)[-1][0] == "inactive"
    assert len(dispatches(world)) == 1


def test_cancelling_twice_because_an_answer_was_lost_is_cancelling_once(place: Make) -> None:
    world = place()
    run = cancelled_between_two_attempts(world)
    world.github.fail("POST", f".*/actions/runs/{run.id}/cancel", drop="after")
    for _ in range(4):
        carry_out(world)
        world.advance(seconds=30)
    assert run.conclusion == "cancelled"
    assert [state for state, _ in statuses(world)][-1] == "inactive"
    assert len(runs_of(world)) == len(dispatches(world)) == 1


def test_cancelling_between_two_attempts_finds_a_run_that_nobody_heard_of(place: Make) -> None:
    world = place()
    world.github.fail("POST", ".*/dispatches", drop="after")
    world.say("U0ANA", "/deploy web/topic to production")
    world.deliver()
    world.bot.runner.step()
    (run,) = runs_of(world)
    assert run.conclusion is None
    world.say("U0ANA", "/deploy cancel 1")
    carry_out(world)
    assert run.conclusion == "cancelled"
    assert len(dispatches(world)) == 1


def test_its_time_runs_out(place: Make) -> None:
    world = place(timeout="10m")
    thread_of_it, run = begun(world)
    world.deliver()
    world.advance(minutes=10)
    assert ended(world, thread_of_it) == ("error", "Stopped after 10 min, the time that it has (timeout).")
    assert run.conclusion == "cancelled"


def test_a_run_that_is_over_can_not_be_cancelled(place: Make) -> None:
    world = place()
    thread_of_it, run = begun(world)
    world.deliver()
    world.github.finish_run("acme/web", run.id, "failure")
    world.say("U0ANA", "/deploy cancel 1")
    ended(world, thread_of_it)
    assert run.conclusion == "failure"
    assert statuses(world)[-1][0] in ("inactive", "failure")


def test_github_is_away_while_it_runs(place: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL", 0.05)
    world = place()
    thread_of_it, run = begun(world)
    world.github.fail("GET", f".*/actions/runs/{run.id}", status=502, times=4)
    until(lambda: "GitHub does not answer" in output(world.store))
    world.github.finish_run("acme/web", run.id)
    assert ended(world, thread_of_it)[0] == "success"


def test_the_reasons_after_which_nobody_goes_on() -> None:
    assert base.Stopped(reporter.CANCELLED).for_good
    assert base.Stopped(reporter.TIMED_OUT).for_good
    assert not base.Stopped(reporter.STOPPING).for_good
    assert not base.Stopped(reporter.TAKEN).for_good


# What GitHub refuses


def test_what_github_refuses(place: Make) -> None:
    world = place(provider=PROVIDER | {"workflow": "other.yml", "inputs": {"what": "x", "more": 1}})
    assert settled(world) == (
        "error",
        "GitHub has no workflow other.yml on the default branch of acme/web, or shows none",
    )
    add_workflow(world, DEPLOY.replace("workflow_dispatch", "workflow_call"), "other.yml")
    won_t = "GitHub won't run other.yml at topic: "
    assert settled(world) == ("error", f"{won_t}Workflow does not have 'workflow_dispatch' trigger")
    add_workflow(world, DEPLOY, "other.yml")
    assert settled(world) == ("error", f"{won_t}Unexpected inputs provided: ['more']")
    add_workflow(world, DEPLOY.replace("what:", "more: {}\n      what:"), "other.yml")
    assert settled(world) == ("error", f"{won_t}Required input 'target' not provided")
    add_workflow(world, "on: {workflow_dispatch: [", "other.yml")
    assert settled(world) == ("error", f"{won_t}Workflow does not have 'workflow_dispatch' trigger")
    world.github.token_permissions["actions"] = "read"
    assert settled(world) == ("error", "GitHub lets me run no workflows in acme/web: that needs Actions: write")
    assert runs_of(world) == []


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"workflow": "../deploy.yml"}, "must be the name of a file"),
        ({"workflow": ".github/workflows/deploy.yml"}, "must be the name of a file"),
        ({"workflow": "deploy.yml?x"}, "must be the name of a file"),
        ({"workflow": "deploy"}, "must be the name of a file"),
        ({"inputs": {"a": "b"}}, "inputs are for a workflow that is run"),
        ({"workflow": "a.yml", "inputs": {"a": "{branch}"}}, r"there is no \{branch\}; there are \{sha\}, "),
        ({"workflow": "a.yml", "inputs": {"a": ["b"]}}, "must be a text, a number, true or false"),
        ({"workflow": "a.yml", "inputs": {str(number): "" for number in range(26)}}, "at most 25"),
        ({"workflow": "a.yml", "ref": "main"}, "Extra inputs"),
    ],
)
def test_configs_that_are_refused(given: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        Settings(type="actions", **given)


def test_inputs_become_texts() -> None:
    given = {"a": True, "b": 7, "c": '{"x": {"y": 1}}', "d": "{sha}"}
    read = Settings(type="actions", workflow="123456", inputs=given)
    assert read.inputs == {"a": "true", "b": "7", "c": '{"x": {"y": 1}}', "d": "{sha}"}


# on: deployment


WATCHING = {"type": "actions"}
BOTH = """
apps:
  web:
    repository: acme/web
    environments:
      production: {required_contexts: [], provider: {type: actions}}
      staging: {required_contexts: [], provider: {type: actions}}
"""


def test_workflows_that_run_on_deployment_are_followed(place: Make) -> None:
    world = place(ON_DEPLOYMENT, name="release.yml", provider=WATCHING)
    world.github.run_workflow("acme/web", "topic")  # of a push
    thread_of_it, run = begun(world)
    assert run.event == "deployment"
    world.github.set_job("acme/web", run.id, "ship", "in_progress")
    world.deliver()
    until(lambda: "ship running\n" in output(world.store))
    world.github.set_job("acme/web", run.id, "ship")
    world.github.finish_run("acme/web", run.id)
    assert ended(world, thread_of_it) == ("success", "ship ✓")
    assert dispatches(world) == []


def test_a_workflow_that_reports_by_itself_has_the_last_word(place: Make) -> None:
    world = place(ON_DEPLOYMENT, name="release.yml", provider=WATCHING)
    thread_of_it, run = begun(world)
    number = world.github.deployments("acme/web")[0]["id"]
    world.github.set_job("acme/web", run.id, "ship", "in_progress")
    world.deliver()
    until(lambda: "ship running\n" in output(world.store))
    world.github.report("acme/web", number, "success", description="by the workflow")
    world.github.set_job("acme/web", run.id, "ship")
    world.github.set_job("acme/web", run.id, "tidy up", "in_progress")
    assert ended(world, thread_of_it) == ("success", "by the workflow")
    world.advance(minutes=1)
    assert [state for state, _ in statuses(world)].count("success") == 1
    assert statuses(world)[-1] == ("success", "by the workflow")
    assert output(world.store).endswith("[handed over]\n")


def test_several_workflows_amount_to_the_worst_of_them(place: Make) -> None:
    world = place(ON_DEPLOYMENT, name="release.yml", provider=WATCHING)
    add_workflow(world, ON_DEPLOYMENT, "tell.yml")
    add_workflow(world, ON_DEPLOYMENT, "other.yml")
    thread_of_it, _ = begun(world)
    release, tell, other = (run.id for run in reversed(runs_of(world)))
    world.github.finish_run("acme/web", release, "skipped")
    world.github.finish_run("acme/web", tell, "success")
    world.deliver()
    assert thread_of_it.is_alive()
    world.github.finish_run("acme/web", other, "failure")
    assert ended(world, thread_of_it) == ("failure", "the workflow failed")


def test_nothing_runs_on_deployment(place: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PICKED_UP", 0.1)
    monkeypatch.setattr(following, "POLL", 0.05)
    world = place(provider=WATCHING)
    assert settled(world) == ("error", "No workflow with `on: deployment` began, and nobody else reported")


def test_two_environments_at_one_commit_have_a_run_each(make_world: Make) -> None:
    """Made in the same second, and their runs as well."""
    world = make_world(config=BOTH)
    add_workflow(world, ON_DEPLOYMENT, "release.yml")
    world.github.create_deployment("acme/web", "topic", environment="elsewhere")
    world.clock.moment = world.clock.moment.replace(minute=10)
    threads = []
    for number, environment in enumerate(("production", "staging"), start=1):
        world.say("U0ANA", f"/deploy web/topic to {environment}")
        threads.append(in_background(world))
        until(lambda number=number: "queued\n" in output(world.store, number))
    staging, production, _ = (run.id for run in runs_of(world))
    world.github.finish_run("acme/web", production, "failure")
    world.github.finish_run("acme/web", staging, "success")
    ended(world, threads[0])
    ended(world, threads[1])
    assert statuses(world, 0)[-1][0] == "success"
    assert statuses(world, 1)[-1] == ("failure", "the workflow failed")


def test_cancelling_cancels_what_runs_on_deployment(place: Make) -> None:
    world = place(ON_DEPLOYMENT, name="release.yml", provider=WATCHING)
    thread_of_it, run = begun(world)
    world.deliver()
    world.say("U0ANA", "/deploy cancel 1")
    assert ended(world, thread_of_it)[0] == "inactive"
    assert run.conclusion == "cancelled"


# Deployments that GitHub makes for a job's `environment`


def job_into(world: World, event: str, environment: str = "production", ref: str = "topic") -> int:
    """A workflow's job goes into an environment; returns GitHub's id of the deployment that it makes for it."""
    world.github.start_run("acme/web", ref, environment, event=event)
    world.deliver()
    return int(world.github.deployments("acme/web")[0]["id"])


def test_what_the_job_of_the_run_makes_is_the_same_deploy(place: Make) -> None:
    world = place()
    thread_of_it, run = begun(world)
    number = job_into(world, "workflow_dispatch")
    world.github.report("acme/web", number, "success")
    world.github.finish_run("acme/web", run.id)
    world.advance(seconds=20)
    until(lambda: world.deliver() is not None and not thread_of_it.is_alive())
    carry_out(world)
    world.github.report("acme/web", number, "success", description="told late")
    carry_out(world)
    assert statuses(world, 1)[-1][0] == "success"
    assert len(runs_of(world)) == len(dispatches(world)) == 1, "it runs no workflow itself"
    assert len(cards(world)) == 1
    assert "#2" not in ask(world, "/deploy history web")


def test_what_the_job_of_a_watched_run_makes_is_the_same_deploy(place: Make) -> None:
    world = place(ON_DEPLOYMENT, name="release.yml", provider=WATCHING)
    thread_of_it, run = begun(world)
    world.github.report("acme/web", job_into(world, "deployment"), "success")
    world.github.finish_run("acme/web", run.id)
    world.advance(seconds=20)
    until(lambda: world.deliver() is not None and not thread_of_it.is_alive())
    carry_out(world)
    assert len(runs_of(world)) == 1
    assert "#2" not in ask(world, "/deploy history web")


def test_what_jobs_of_other_runs_make_is_told_and_not_carried_out(place: Make) -> None:
    world = place()
    number = job_into(world, "push")
    job_into(world, "workflow_dispatch")  # by hand
    carry_out(world)
    assert runs_of(world) == []
    world.github.report("acme/web", number, "success")
    carry_out(world)
    told = ask(world, "/deploy history web")
    assert ("#1" in told, "#2" in told) == (True, True)
    assert [state for state, _ in statuses(world, 1)] == ["queued", "success"], "nothing of ours"


def test_a_workflow_file_that_is_a_trap_is_not_read(place: Make) -> None:
    """Whether it takes the mark is then not known, and it is given none; GitHub judges the file."""
    deep = "jobs: " + "[" * 60_000
    aliases = "a: &a [x, x]\n" + "".join(f"{two}: &{two} [*{one}, *{one}]\n" for one, two in ["ab", "bc", "cd"])
    assert not actions._is_plain(deep)
    assert not actions._is_plain(SHOWN + aliases)
    assert not actions._is_plain(SHOWN + "#" * 70_000)
    assert actions._is_plain(SHOWN)
    world = place(SHOWN + aliases)
    thread_of_it, run = begun(world)
    assert run.inputs["shipbot"] == ""
    world.github.finish_run("acme/web", run.id)
    assert ended(world, thread_of_it)[0] == "success"
