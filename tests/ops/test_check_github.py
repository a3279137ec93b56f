"""`python -m bot check`: what it says of GitHub's repositories, webhooks and Apps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from bot.check.github import NEEDED_EVENTS
from tests.ops.checking import SMALL, Look, fails, hooked, ping, warns
from tests.world import WEBHOOK_SECRET, World


def test_a_token_that_github_refuses_is_said_once(make_world: Callable[..., World], look: Look) -> None:
    world = make_world(github_token="ghp_wrong")
    assert fails(look(world, 1, world.config)) == [
        "GITHUB_TOKEN: GitHub refuses it as wrong, expired or revoked: make a new one, and see that it is of the "
        f"GitHub at {world.github.url}/api/v3"
    ]


@pytest.mark.parametrize(
    ("permission", "named"),
    [
        ("deployments", "Deployments: read"),
        ("contents", "Contents: read"),
        ("statuses", "Commit statuses: read"),
    ],
)
def test_permissions_that_the_token_lacks(small: World, look: Look, permission: str, named: str) -> None:
    del small.github.token_permissions[permission]
    assert fails(look(small, 1)) == [
        "acme/web: GitHub does not allow it (Resource not accessible by personal access token): grant the token or "
        f"App {named} there"
    ]


def test_a_token_that_may_only_read_deployments(small: World, look: Look) -> None:
    small.github.token_permissions["deployments"] = "read"
    assert fails(look(small, 1)) == [
        "acme/web: GitHub does not allow it (Resource not accessible by personal access token): grant the token or "
        "App Deployments: write there"
    ]


def test_check_runs_that_a_fine_grained_token_can_not_see(small: World, look: Look) -> None:
    del small.github.token_permissions["checks"]
    assert fails(look(small, 1)) == [
        "acme/web: GitHub does not allow it (Resource not accessible by personal access token): grant the token or "
        "App Checks: read there (a fine-grained token can't have it: take an App or a classic token, or "
        "required_contexts: [])"
    ]
    config = SMALL.replace("{production: {}}", "{production: {required_contexts: []}}")
    del small.github.token_permissions["statuses"]
    assert fails(look(small, 0, config)) == [], "who asks for no checks needs no sight of them"


def test_more_checks_than_are_read_say_nothing_of_permissions(small: World, look: Look) -> None:
    repository, sha = small.github.repository("acme/web"), small.github.head("acme/web", "main")
    many = {**small.github.records.combined_status(repository, sha, []), "total_count": 2001}
    small.github.fail("GET", "/repos/acme/web/commits/.*/status", status=200, body=many)
    assert fails(look(small, 0)) == []


def test_teams_that_the_config_names(small: World, look: Look) -> None:
    places = """{production: {deployers: [U0ANA, "@acme/release", "@Acme/Release"], override: ["@acme/duty"],
                 approvals: {approvers: ["@acme/leads", S0LEADS]}}}"""
    config = SMALL.replace("{production: {}}", places)
    for team in ("release", "leads", "duty"):
        small.github.add_team(f"acme/{team}", ["ana-gh"])
    assert fails(look(small, 0, config)) == []

    def told(team: str, why: str) -> str:
        return (
            f"acme/web: who is in the team @acme/{team} is hidden from me ({why}): mend its name in the config, or "
            "grant the token or App Members: read of acme (read:org, if it is a classic token)"
        )

    del small.github.teams["acme/leads"]
    assert fails(look(small, 1, config)) == [told("leads", "GitHub shows me no such team")]
    del small.github.token_permissions["members"]
    lacking = "GitHub wants of me the permission Members: read"
    assert fails(look(small, 1, config)) == [told(team, lacking) for team in ("release", "leads", "duty")]
    assert fails(look(small, 0)) == [], "a config without teams needs no sight of them"


def test_roles_that_the_config_asks_for(small: World, look: Look) -> None:
    config = SMALL.replace("{production: {}}", "{production: {permission: maintain}}")
    assert fails(look(small, 0, config)) == []
    refusal = {"message": "Must have push access to view collaborator permission."}
    small.github.fail("GET", "/repos/acme/web/collaborators/.*", status=403, body=refusal)
    assert fails(look(small, 1, config)) == [
        "acme/web: GitHub does not allow it (Must have push access to view collaborator permission.): grant the token "
        "or App Metadata: read there"
    ]


def test_previews_take_sight_of_pull_requests(small: World, look: Look) -> None:
    config = SMALL.replace("{production: {}}", "{production: {}}\n    previews: {}")
    assert fails(look(small, 0, config)) == []
    del small.github.token_permissions["pull_requests"]
    assert fails(look(small, 1, config)) == [
        "acme/web: GitHub does not allow it (Resource not accessible by personal access token): grant the token or "
        "App Pull requests: read there"
    ]


def test_repositories_that_are_not_there(small: World, look: Look) -> None:
    small.github.rename_repository("acme/web", "acme/site")
    assert fails(look(small, 1)) == ["acme/web: it is now called acme/site: write that into the config"]
    assert fails(look(small, 1, SMALL.replace("acme/web", "acme/none"))) == [
        "acme/none: GitHub shows me no such repository: mend the name in the config, or give the token or App access "
        "to it (Metadata: read)"
    ]


def test_a_default_ref_that_is_not_there_and_merging_that_is_not_allowed(small: World, look: Look) -> None:
    config = yaml.safe_load(SMALL)
    config["apps"]["web"] |= {"default_ref": "trunk", "environments": {"production": {"auto_merge": True}}}
    small.github.token_permissions["contents"] = "read"
    lines = look(small, 1, yaml.safe_dump(config))
    assert fails(lines) == ["acme/web: it has no trunk: push it, or mend default_ref in the config"]
    assert warns(lines) == ["acme/web: auto_merge is on, and I may not push there: GitHub will refuse to merge"]


def test_a_branch_of_a_rule_that_is_not_there(small: World, look: Look) -> None:
    rules = [{"on": "push", "branch": branch} for branch in ("main", "stable", "release/*")]
    config = yaml.safe_load(SMALL)
    config["apps"]["web"]["environments"]["production"] = {"auto_deploy": [*rules, {"on": "push", "tag": "v1"}]}
    small.github.rename_branch("acme/web", "main", "trunk")
    assert warns(look(small, 0, yaml.safe_dump(config))) == [
        f"acme/web: it has no branch {branch}, which auto_deploy names: push it, or mend the config"
        for branch in ("main", "stable")
    ]


def test_github_does_not_answer(make_world: Callable[..., World], look: Look) -> None:
    world = make_world()
    world.github.fail("GET", "/repos/acme/web", status=503, times=2)
    lines = look(world, 1, world.config)
    assert fails(lines) == [
        f"acme/web: GitHub does not answer (HTTP 503): see that {world.github.url}/api/v3 can be reached"
    ]
    assert any(line.startswith("ok    acme/api: can be seen") for line in lines)


# Webhooks


def test_webhooks_that_would_not_work(small: World, look: Look) -> None:
    repo = small.github.repository("acme/web")
    (hook,) = repo.hooks.values()
    here = f"{small.servers.bot_url}/github/webhooks"

    def fault() -> str:
        (line,) = fails(look(small, 1))
        return line.removeprefix("acme/web: ")

    hook.active = False
    assert fault() == f"the webhook to {here} is switched off: tick Active under Settings › Webhooks"
    hook.active, hook.events = True, ("push", "deployment")
    lacking = "Check runs, Check suites, Deployment statuses, Pull requests, Statuses and Workflow runs"
    assert fault() == f"the webhook to {here} does not send {lacking}: tick them under Settings › Webhooks"
    hook.events, hook.secret = ("*",), ""
    assert fault() == f"the webhook to {here} has no secret: set it to GITHUB_WEBHOOK_SECRET"
    hook.secret = "something else"
    assert ping(small) == [401]
    assert fault() == f"the webhook to {here} is signed with another secret: set it to GITHUB_WEBHOOK_SECRET"
    hook.secret, hook.target_url = WEBHOOK_SECRET, "http://127.0.0.1:9/github/webhooks"
    assert ping(small) == [502]
    assert fault().startswith("the last delivery to http://127.0.0.1:9/github/webhooks got 502 (failed to connect")
    small.settings = small.settings.model_copy(update={"public_url": small.servers.bot_url})
    assert fault() == (
        "its webhook goes to http://127.0.0.1:9/github/webhooks: add one under Settings › Webhooks to "
        f"{here} with GITHUB_WEBHOOK_SECRET as its secret and the events Check runs, Check suites, "
        "Deployment statuses, Deployments, Pull requests, Pushes, Statuses and Workflow runs"
    )
    repo.hooks.clear()
    assert fault().startswith(f"no webhook leads to me: add one under Settings › Webhooks to {here} with")


def test_a_webhook_that_was_never_used(make_world: Callable[..., World], look: Look) -> None:
    world = make_world(config=SMALL)
    here = f"{world.servers.bot_url}/github/webhooks"
    assert warns(look(world, 0)) == [f"acme/web: the webhook to {here} is set up well; nothing was delivered yet"]


def test_a_webhook_that_was_lost_can_not_be_asked_for(small: World, look: Look) -> None:
    here = f"{small.servers.bot_url}/github/webhooks"
    assert look(small, 0)[-1] == f"ok    acme/web: the webhook to {here} is set up well, and its last delivery arrived"
    assert small.github.pending == [], "nothing is sent for the check"
    small.github.token_permissions["repository_hooks"] = "read"
    assert warns(look(small, 0)) == [
        f"acme/web: the webhook to {here} is set up well; I may not ask for one that was lost: grant the token or App "
        "Webhooks: write of acme/web (admin:repo_hook, if it is a classic token)"
    ]


def test_the_webhook_of_an_organization(small: World, look: Look) -> None:
    hidden = (
        "acme/web: has no webhook of its own; that of acme pinged me on 2026-03-02 at 09:00 UTC; I may not list what "
        "was lost of it: grant the token or App Webhooks: write of acme (admin:org_hook, if it is a classic token)"
    )
    good = "acme/web: has no webhook of its own; that of acme is set up well"
    small.github.repository("acme/web").hooks.clear()
    assert fails(look(small, 1))[0].startswith("acme/web: no webhook leads to me")
    here = f"{small.servers.bot_url}/github/webhooks"
    number = small.github.add_organization_hook("acme", here, secret=WEBHOOK_SECRET)
    assert fails(look(small, 1))[0].startswith("acme/web: no webhook leads to me"), "nobody knows of it yet"
    small.github.token_permissions["organization_hooks"] = "write"
    assert warns(look(small, 0)) == [f"{good}; it has not pinged me yet"]
    assert small.deliver() == [202]
    assert look(small, 0)[-1] == f"ok    {good}, and pinged me on 2026-03-02 at 09:00 UTC"
    small.github.token_permissions["organization_hooks"] = "read"
    assert warns(look(small, 0)) == [
        f"{good}; I may not ask for one that was lost: grant the token or App Webhooks: write of acme (admin:org_hook, "
        "if it is a classic token)"
    ]
    small.github.organization_hooks["acme"][number].active = False
    assert fails(look(small, 1)) == [
        f"acme: the webhook to {here} is switched off: tick Active under Settings › Webhooks"
    ]
    del small.github.token_permissions["organization_hooks"]
    assert warns(look(small, 0)) == [hidden]


def test_webhooks_that_the_token_may_not_list(make_world: Callable[..., World], look: Look) -> None:
    world = make_world(config=SMALL)
    del world.github.token_permissions["repository_hooks"]
    hidden = (
        "acme/web: I may not list its webhooks, nor ask for one that was lost (that takes Webhooks: write, or "
        "admin:repo_hook of a classic token)"
    )
    assert warns(look(world, 0)) == [
        f"{hidden}, and none has pinged me yet: see at GitHub that one leads to https://…/github/webhooks"
    ]
    hooked(world)
    assert look(world, 0)[-1] == f"ok    {hidden}, but one pinged me on 2026-03-02 at 09:00 UTC"


# A GitHub App


def test_a_github_app(make_world: Callable[..., World], look: Look, keys: tuple[str, str]) -> None:
    private, public = keys
    world = make_world(config=SMALL, github_token=None, github_app_id=77, github_app_private_key=private)
    world.github.app_id, world.github.app_public_key = 77, public
    world.github.token_permissions.clear()
    granted = {"checks": "read", "contents": "read", "deployments": "write", "metadata": "read", "statuses": "read"}
    world.github.token_permissions.update(granted)
    lines = look(world, 0)
    assert lines[-2:] == [
        "ok    acme/web: can be seen and deployed, by the App with checks: read, contents: read, "
        "deployments: write, metadata: read, statuses: read",
        "warn  acme/web: the App is subscribed to all I need, and its webhook has not pinged me yet: see in the "
        "App's settings that it leads to https://…/github/webhooks",
    ]
    world.github.token_permissions["deployments"] = "read"
    assert fails(look(world, 1)) == [
        "acme/web: GitHub does not allow it (Resource not accessible by integration): grant the token or App "
        "Deployments: write there"
    ]


def test_a_github_app_that_is_not_told_of_everything(
    make_world: Callable[..., World], look: Look, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.playground.github_bodies.APP_EVENTS", ("deployment", "deployment_status", "status"))
    world = make_world(config=SMALL, github_token=None, github_app_id=77, github_app_private_key=keys[0])
    world.github.app_id, world.github.app_public_key = 77, keys[1]
    assert fails(look(world, 0)) == [], "the repository has a webhook of its own"
    told = (
        "acme/web: the App is not subscribed to Check runs, Check suites, Pull requests, Pushes and Workflow runs: "
        "tick them in the App's settings under Permissions & events (Statuses takes Commit statuses: read, "
        "Check runs and Check suites take "
        "Checks: read, Workflow runs take Actions: read, Pull requests take Pull requests: read)"
    )
    world.github.repository("acme/web").hooks.clear()
    assert fails(look(world, 1)) == [told]
    del world.github.token_permissions["repository_hooks"]
    assert fails(look(world, 1)) == [told]


def test_a_github_app_that_is_asked_before_a_run_goes_on(
    make_world: Callable[..., World], look: Look, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = (*NEEDED_EVENTS, "deployment_protection_rule")
    monkeypatch.setattr("bot.playground.github_bodies.APP_EVENTS", events)
    world = make_world(config=SMALL, github_token=None, github_app_id=77, github_app_private_key=keys[0])
    world.github.app_id, world.github.app_public_key = 77, keys[1]
    assert fails(look(world, 0)) == []
    del world.github.token_permissions["actions"]
    assert fails(look(world, 1)) == [
        "acme/web: the App is subscribed to Deployment protection rule, and may not read what became of an answer: "
        "grant it Actions: read there"
    ]
    monkeypatch.setattr("bot.playground.github_bodies.APP_EVENTS", tuple(NEEDED_EVENTS))
    assert fails(look(world, 0)) == [], "nobody has to let GitHub ask"


def test_a_github_app_that_github_does_not_know(
    make_world: Callable[..., World], look: Look, keys: tuple[str, str]
) -> None:
    world = make_world(config=SMALL, github_token=None, github_app_id=78, github_app_private_key=keys[0])
    (fault,) = fails(look(world, 1))
    assert fault.startswith("GITHUB_APP_ID, GITHUB_APP_PRIVATE_KEY: GitHub refuses it as wrong, expired or revoked")


def test_the_file_of_an_app(small: World, look: Look) -> None:
    """Each fault with its line, whether or not a bot is there that has told it; once, however many apps have it."""
    config = SMALL.replace("    rooms:", "    config: .github/shipbot.yml\n    rooms:")
    end = "(on main; until it is mended its last good state holds)"
    file = "acme/web:.github/shipbot.yml"
    assert fails(look(small, 1, config)) == [
        f"{file}: is not there: add it, or take `config` out of the bot's own config {end}"
    ]
    small.github.add_file("acme/web", ".github/shipbot.yml", "default_ref: main\nrooms: [C0RAN]\nenv: {}")
    two = config + "  web2:" + config.split("  web:")[1]
    assert fails(look(small, 1, two)) == [
        f"{file}: line 2: rooms: only the bot's own config can set that {end}",
        f"{file}: line 3: env: no such key; did you mean environments? {end}",
    ]
    small.github.add_file("acme/web", ".github/shipbot.yml", "default_ref: main")
    assert fails(look(small, 0, config)) == []
