"""What a repository says of its app, read as a chat: pushes go in, cards and commands show what holds."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from bot.app import Bot
from bot.deploys.config_file import read_config
from bot.store.schema import repository_configs
from tests.front.chat import ask, cards, newest
from tests.world import World

PATH = ".github/shipbot.yml"
CONFIG = f"""
admins: [U0CAL]
apps:
  web:
    repository: acme/web
    config: {PATH}
    rooms: [C0OPS, C0REL]
    payload: {{dashboard: "https://grafana.example/web"}}
    environments:
      production: {{aliases: [prod], timeout: 2h}}
      staging: {{}}
  api:
    repository: acme/api
    environments: {{production: {{}}}}
"""


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Without a file; what is told of that is behind it."""
    return make_world(config=CONFIG)


def write(world: World, text: str | bytes, *, branch: str = "main", path: str = PATH) -> str:
    """Somebody pushes the file, and GitHub tells the bot; returns the short SHA."""
    content = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
    sha = world.github.push("acme/web", branch, "Say how it is deployed", files={path: content})
    world.deliver()
    return sha[:7]


def holds(world: World, alias: str, place: str = "staging") -> bool:
    """Whether an environment is known by that alias."""
    return f"({alias})" in ask(world, "/deploy apps").split(f"*{place}*")[1].split(",")[0].split("\n")[0]


def broken(sha: str, *faults: str, good: str) -> str:
    still = f"what it said at `{good}` still holds" if good else "only my own config holds"
    head = f":warning: `acme/web:{PATH}` is broken since `{sha}`. For *web* {still}."
    return "\n".join([head, *(f"• `{fault}`" for fault in faults)])


def test_a_file_that_is_not_there_is_told_once(world: World) -> None:
    head = world.github.head("acme/web", "main")[:7]
    words = broken(head, "is not there: add it, or take ʼconfigʼ out of the bot's own config", good="")
    assert newest(world) == words
    assert newest(world, "C0REL") == words
    world.restart()
    assert world.room().count("is broken") == 1, "a start tells of nothing new"
    assert ask(world, "/deploy apps").startswith(
        "*web* · acme/web · only from #ops, #releases\n     to *production* (prod), *staging*\n"
        f"     :warning: `{PATH}` is broken since {head}:\n"
        "• `is not there: add it, or take ʼconfigʼ out of the bot's own config`\n"
    )
    world.say("U0ANA", "/deploy web to staging")
    assert len(cards(world)) == 1, "the bot's own config holds meanwhile"


def test_it_fills_in_what_the_config_leaves_open(world: World) -> None:
    """The bot's own config wins for what it sets, key by key; what holds is kept through a restart."""
    world.github.push("acme/web", "release", "Cut it")
    sha = write(
        world,
        """
        default_ref: release
        payload: {dashboard: "https://evil.example", team: shop}
        environments:
          production: {aliases: [live], timeout: 5m, when_red: refuse}
          staging: {aliases: [stg], timeout: 5m, required_contexts: []}
        """,
    )
    assert newest(world) == f":white_check_mark: `acme/web:{PATH}` is good again at `{sha}`, and holds for *web*."
    assert newest(world, "C0REL") == newest(world)
    listing = ask(world, "/deploy apps")
    assert listing.split("\n*api*")[0] == (
        "*web* · acme/web · deploys `release` · only from #ops, #releases\n"
        "     to *production* (prod), *staging* (stg)\n"
        f"     with `{PATH}` as it is at {sha}"
    )
    for _ in range(2):
        world.say("U0ANA", "/deploy web to stg")
        (made,) = world.github.deployments("acme/web")[:1]
        assert made["sha"] == world.github.head("acme/web", "release")
        assert made["payload"]["config"] == {"dashboard": "https://grafana.example/web", "team": "shop"}
        world.advance(minutes=6)
        assert "No end" in cards(world)[-1] or "lost" in cards(world)[-1]
        world.restart()
    config = world.bot.service.config.apps["web"].environments
    assert config["production"].timeout.total_seconds() == 7200
    assert config["production"].when_red == "refuse"


def test_only_the_default_branch_counts(world: World) -> None:
    write(world, "environments: {staging: {aliases: [one]}}")
    write(world, "environments: {staging: {aliases: [two]}}", branch="topic")
    assert holds(world, "one")
    told = world.room()
    write(world, "broken", branch="topic")
    assert world.room() == told, "nobody is told of what only a branch says"

    asked = len(world.github.requests)
    world.github.push("acme/web", "main", "Something else", files={"README.md": b"Hello"})
    world.deliver()
    assert len(world.github.requests) == asked, "a push that does not touch it reads nothing"
    write(world, "environments: {staging: {aliases: [three]}}")
    assert holds(world, "three")


def test_the_last_good_one_is_kept_when_it_breaks(world: World) -> None:
    """Told once for each content, in the app's rooms, with path and line, and again when it is mended."""
    good = write(world, "environments: {staging: {aliases: [stg]}}")
    bad = write(
        world,
        """\
        environments:
          staging:
            aliases: [stg]
            timeout: soon
            whenred: wait
        """,
    )
    typo = "line 5: environments.staging.whenred: no such key; did you mean when_red?"
    words = broken(bad, typo, good=good)
    assert newest(world) == words
    assert newest(world, "C0REL") == words
    assert holds(world, "stg")
    assert f":warning: `{PATH}` is broken since {bad}:\n• `{typo}`" in ask(world, "/deploy apps")

    told = world.room().count("is broken")
    world.github.deliver(world.github.deliveries[-1])
    world.settle()
    world.restart()
    world.github.push("acme/web", "main", "Something else")
    world.deliver()
    assert world.room().count("is broken") == told
    assert holds(world, "stg")

    worse = write(world, "environments: {staging: {timeout: soon}}")
    assert newest(world).startswith(f":warning: `acme/web:{PATH}` is broken since `{worse}`.")
    assert "line 1: environments.staging.timeout: " in newest(world)
    mended = write(world, "environments: {staging: {aliases: [stage]}}")
    assert newest(world) == f":white_check_mark: `acme/web:{PATH}` is good again at `{mended}`, and holds for *web*."
    assert holds(world, "stage")
    assert ":warning:" not in ask(world, "/deploy apps")

    again = write(world, "environments: {staging: {timeout: soon}}")
    assert newest(world).startswith(f":warning: `acme/web:{PATH}` is broken since `{again}`.")


POWER = "only the bot's own config can set that"


MISTAKES: list[tuple[str | bytes, str]] = [
    *((f"{key}: x", f"line 1: {key}: {POWER}") for key in ("repository", "rooms", "announce", "config")),
    *(
        (f"environments: {{staging: {{{key}: x}}}}", f"line 1: environments.staging.{key}: {POWER}")
        for key in ("deployers", "permission", "approvals", "override", "auto_merge")
    ),
    (
        "environments:\n  side: {}",
        "line 2: environments.side: the app has no such environment in the bot's own config, and only that can "
        "add one; it has production, staging",
    ),
    ("environments: {staging: {after: [prodction]}}", "did you mean production?"),
    ("environments: {staging: {aliases: [PROD]}}", "line 1: environments.staging: “PROD” already means production"),
    (
        "environments: {staging: {after: [production]}, production: {after: [staging]}}",
        "environments.staging.after: goes in a circle",
    ),
    ("a: &a [x]\nb: *a", "line 2: aliases (ʼ*nameʼ) are not taken here: write it out"),
    ("payload: " + "[" * 5000, "line 1: is nested deeper than 20 levels"),
    ("payload: {x: .inf}", "line 1: “.inf” is no number here"),
    ('payload: {x: "\\ud800"}', "line 1: holds a character that is none"),
    ("payload: {x: !!python/object:os.system {}}", "not YAML: could not determine a constructor"),
    ("payload: [1]", "line 1: payload: must hold keys and values ({} for none)"),
    ("- 1", "line 1: must hold keys and values ({} for none)"),
    ("environments: {staging: }", "line 1: environments.staging: must hold keys and values"),
    ("environments: 7", "line 1: environments: must hold keys and values"),
    ("default_ref: [main]", "line 1: default_ref: must be text"),
    ("default_ref: main\ndefault_ref: topic", "line 2: default_ref: is there twice"),
    ("? " + "x" * 60000 + "\n: 1", "line 1: " + "x" * 250),
    ("1: x", "line 1: 1: no such key"),
    ("{", "line 1: not YAML"),
    (b"\xff\xfe\x00", "is not UTF-8 text"),
    (b"\x00", "not YAML"),
    ("# " + "x" * 65536, "is larger than 64 KB"),
    ("# " + "x" * 2_000_000, "is larger than 64 KB"),
]


def test_hostile_and_mistaken_files(world: World) -> None:
    """A clear fault for each, and nothing lost of what held before."""
    good = write(world, "environments: {staging: {aliases: [stg]}}")
    for text, fault in MISTAKES:
        bad = write(world, text)
        world.advance(seconds=5)
        head, *faults = newest(world).split("\n")
        assert head == broken(bad, good=good), text[:80]
        assert any(fault in line for line in faults), (text[:80], faults)
    assert world.dead() == []
    assert holds(world, "stg")
    world.restart()
    assert holds(world, "stg")


GUARDED = """
admins: [U0CAL]
apps:
  web:
    repository: acme/web
    config: .github/shipbot.yml
    rooms: [C0OPS]
    environments:
      open: {required_contexts: []}
      canary: {}
      production: {deployers: [U0CAL], promote_from: canary}
"""
PAST = "would start deploys to production past its ʼdeployersʼ and ʼpermissionʼ; only the bot's own config can set that"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("environments: {production: {auto_deploy: [{on: push, branch: main}]}}", "production.auto_deploy"),
        ("environments: {canary: {auto_deploy: [{on: push, branch: main}]}}", "canary.auto_deploy"),
        ("environments: {canary: {promote_from: open}}", "canary.promote_from"),
    ],
)
def test_rules_lead_nowhere_that_not_everybody_may_deploy_to(
    make_world: Callable[..., World], text: str, place: str
) -> None:
    """A rule's deploys ask for nobody's permission, so whoever may push could grant themselves what they lack."""
    world = make_world(config=GUARDED)
    write(world, text)
    assert f"line 1: environments.{place}: {PAST}" in newest(world)
    world.github.push("acme/web", "main", "Ship it")
    world.deliver()
    assert world.github.deployments("acme/web") == []


def test_a_rule_of_the_file_where_anybody_may_deploy(make_world: Callable[..., World]) -> None:
    world = make_world(config=GUARDED)
    write(world, "environments: {open: {auto_deploy: [{on: push, branch: main}]}}")
    assert "is good again" in newest(world)
    world.restart()
    sha = world.github.push("acme/web", "main", "Ship it")
    world.deliver()
    world.advance(minutes=1)
    assert [made["sha"] for made in world.github.deployments("acme/web")] == [sha]


def test_a_folder_in_its_place(world: World) -> None:
    write(world, "x", path=f"{PATH}/inner.yml")
    world.restart()
    assert "is no file" in newest(world)


def test_github_that_does_not_answer_is_asked_again(world: World) -> None:
    world.github.fail("GET", "/repos/acme/web/contents/.*", status=502, times=3)
    write(world, "environments: {staging: {aliases: [stg]}}")
    assert not holds(world, "stg")
    world.advance(minutes=2)
    assert holds(world, "stg")


def test_where_there_are_no_rooms_the_admins_are_told(make_world: Callable[..., World]) -> None:
    world = make_world(config=CONFIG.replace("    rooms: [C0OPS, C0REL]\n", ""))
    room = world.slack.direct_room("U0CAL")
    assert "is not there" in newest(world, room)
    write(world, "{}")
    assert "is good again" in newest(world, room)
    assert world.room() == ""


def test_what_waits_is_decided_on_again(world: World) -> None:
    """A check that a file asks for no more holds nothing up."""
    world.github.set_status("acme/web", "main", "ci/slow", "pending")
    world.say("U0ANA", "/deploy web to staging")
    assert world.github.deployments("acme/web") == []
    write(world, "environments: {staging: {required_contexts: []}}")
    assert len(world.github.deployments("acme/web")) == 1


def test_every_process_picks_it_up(world: World) -> None:
    """Another replica has it with its next job, whichever that is; both were there before the push."""
    other = Bot(world.settings, read_config(textwrap.dedent(CONFIG)), world.store, world.clock)
    write(world, "environments: {staging: {aliases: [stg]}}")
    assert other.service.config.apps["web"].environments["staging"].aliases == ()
    world.slack.say("U0ANA", "C0OPS", "/deploy apps")
    while other.workers.step():
        pass
    assert "*staging* (stg)" in newest(world)
    write(world, "broken: [")
    assert other.service.config.apps["web"].environments["staging"].aliases == ("stg",)
    other.close()


def test_the_bots_own_config_changes_beneath_it(world: World) -> None:
    """What was good is not any more: the bot's own holds alone, and that is told; another file is another matter."""
    write(world, "environments: {staging: {aliases: [stg]}}")
    world.config = CONFIG.replace("aliases: [prod]", "aliases: [stg]")
    world.restart()
    assert "“stg” already means production" in newest(world)
    assert "only my own config holds" in newest(world)
    assert "*production* (stg), *staging*\n" in ask(world, "/deploy apps")
    world.config = CONFIG
    world.restart()
    assert "is good again" in newest(world)
    assert holds(world, "stg")

    write(world, "environments: {staging: {aliases: [other]}}", path="deploy.yml")
    world.config = CONFIG.replace(PATH, "deploy.yml")
    world.restart()
    assert holds(world, "other")
    world.config = CONFIG.replace(f"    config: {PATH}\n", "")
    world.restart()
    assert "     to *production* (prod), *staging*\n*api*" in ask(world, "/deploy apps")


def test_a_branch_that_goes_back(world: World) -> None:
    """GitHub names no files then."""
    before = world.github.head("acme/web", "main")
    write(world, "environments: {staging: {aliases: [stg]}}")
    repository = world.github.repository("acme/web")
    with world.github.change():
        world.github.move(repository, "main", before, world.github.person("ana-gh"))
    world.deliver()
    assert "is not there" in newest(world)
    assert holds(world, "stg")


def test_a_commit_that_gives_way_to_another(world: World) -> None:
    """GitHub names the files of the new one, and not those of the one that is gone."""
    before = world.github.head("acme/web", "main")
    write(world, "environments: {staging: {aliases: [stg]}}")
    other = world.github.push("acme/web", "scratch", "Something else", base=before, files={"README": b"Hello"})
    world.github.reset_branch("acme/web", "main", other)
    world.deliver()
    assert "is not there" in newest(world)


def test_no_file_is_stored_that_the_database_would_refuse(world: World) -> None:
    write(world, b'environments: {staging: {aliases: ["a\x00"]}}')
    with world.store.read() as connection:
        (row,) = connection.execute(repository_configs.select()).all()
    assert (row.text, row.app, "\x00" in str(row.faults)) == (None, "web", False)
