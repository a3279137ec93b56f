"""The config file: every fault is named with its place, and names mean what people mean by them."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bot.deploys.config import Announcement, Config
from bot.deploys.config_file import ConfigError, load_config, read_config
from bot.deploys.config_parts import RESERVED
from bot.deploys.errors import NoDefaultEnvironment, UnknownApp, UnknownEnvironment, WrongRoom
from bot.deploys.nearest import nearest
from bot.deploys.refs import possible_ref

BASE = """\
apps:
  web:
    repository: acme/web
    environments:
      production: {}
"""
FULL = """
defaults: {environment: production}
apps:
  web:
    repository: acme/web
    default_ref: main
    rooms: [C0OPS]
    announce: [{room: C0REL, environments: [production], on: [success, failure]}]
    payload: {dashboard: "https://grafana.example/web", more: [on, off, 2026-03-02, 7]}
    environments:
      staging: {aliases: [stg], auto_merge: true}
      production:
        aliases: [prod]
        required_contexts: [ci/build]
        production_environment: true
      "pr-{number}": {required_contexts: [], transient_environment: true}
  api:
    repository: Acme/API
    environments:
      canary: {}
  both:
    repository: acme/web
    environments: {left: {}, right: {}}
"""
KEYS = "must hold keys and values ({} for none)"
RESERVED_WORD = "is a word of the command language; choose another name"


def base(old: str = "", new: str = "", *, more: str = "") -> str:
    assert old in BASE
    return BASE.replace(old, new, 1) + more


FAULTS: list[tuple[str, list[str]]] = [
    ("", ["apps: must be given"]),
    ("text", [KEYS]),
    ("[]", [KEYS]),
    ("apps:", [f"line 1: apps: {KEYS}"]),
    ("apps: {}", ["line 1: apps: must not be empty"]),
    ("apps: {web: null}", [f"line 1: apps.web: {KEYS}"]),
    (base(more="nope: 1\n"), ["line 6: nope: no such key"]),
    (
        base(more="slack: {updates: many, posts_per_room: 1.5, burst: 3}\n"),
        [
            "line 6: slack.updates: must be a whole number",
            "line 6: slack.posts_per_room: must be a whole number",
            "line 6: slack.burst: no such key",
        ],
    ),
    (
        base(more="    nope: 1\n    rooms: C0OPS\n"),
        [
            "line 6: apps.web.nope: no such key",
            "line 7: apps.web.rooms: must be a list",
        ],
    ),
    (
        base(
            more="""\
    announce: [{room: C0REL, environments: [production]}]
  api: {repository: acme/api, environments: {lab: {}}}
schedules:
  - {app: web, environment: production, cron: "0 9 * * 1-5", timezone: europe/berlin}
  - {app: wbe, environment: production, cron: "0 9 * * 1-5", timezone: UTC}
  - app: web
    environment: prodution
    cron: "0 9 * * 1-5"
    timezone: UTC
  - {app: api, environment: lab, cron: "0 9 * * 1-5", timezone: UTC}
  - {app: web, environment: production, cron: "0  9 * * 1-5", timezone: Europe/Berlin, grace: 1h}
"""
        ),
        [
            "line 10: schedules.1.app: there is no app “wbe”; did you mean web?",
            "line 12: schedules.2.environment: the app has no environment “prodution”; did you mean production?",
            "line 15: schedules.3: nobody would see it: give api `rooms`, or `announce` lab somewhere",
            "line 16: schedules.4: is the same as schedules.0",
        ],
    ),
    (
        base(
            more="""\
schedules:
  - app: web
    environment: production
    cron: "0 9 * * L"
    timezone: Europe/Berln
    task: a b
  - {app: web, cron: "@daily", at: noon}
"""
        ),
        [
            "line 9: schedules.0.cron: “l” is no day of the week; it is from 0 to 7, or like sun",
            "line 10: schedules.0.timezone: “Europe/Berln” is no time zone; the nearest is Europe/Berlin or"
            " Europe/Dublin or Europe/Belfast",
            "line 11: schedules.0.task: must be one word of letters, digits and . : _ -, such as migrations",
            "line 12: schedules.1.environment: must be given",
            "line 12: schedules.1.cron: “@daily” has 1 of five fields; write it like 0 9 * * mon-fri: minute, hour, day"
            " of the month, month, day of the week",
            "line 12: schedules.1.timezone: must be given",
            "line 12: schedules.1.at: no such key",
        ],
    ),
    (base("acme/web", "web"), ["line 3: apps.web.repository: must be a repository, such as acme/web"]),
    (
        base("acme/web", "https://github.com/acme/web"),
        ["line 3: apps.web.repository: must be a repository, such as acme/web"],
    ),
    (base("production: {}", "production:"), [f"line 5: apps.web.environments.production: {KEYS}"]),
    (
        base("production: {}", "production: {auto_merge: yes}"),
        ["line 5: apps.web.environments.production.auto_merge: must be true or false"],
    ),
    (
        base("production: {}", "production: {aliases: [to]}"),
        [f"line 5: apps.web.environments.production.aliases.0: “to” {RESERVED_WORD}"],
    ),
    (
        base("production: {}", "production: {aliases: [prod]}\n      staging: {aliases: [PROD]}"),
        ["line 6: apps.web.environments.staging: “PROD” already means production"],
    ),
    (
        base("production: {}", 'production: {required_contexts: [""]}'),
        ["line 5: apps.web.environments.production.required_contexts.0: must not be empty"],
    ),
    (
        base(more="  Web:\n    repository: acme/x\n    environments: {a: {}}\n"),
        ["line 6: apps.Web: differs from web only in case"],
    ),
    (base(more="  web:\n    repository: acme/x\n    environments: {a: {}}\n"), ["line 6: apps.web: is there twice"]),
    (
        base(more="    announce:\n      - {on: [success]}\n      - {room: ops}\n"),
        [
            "line 7: apps.web.announce.0.room: must be given",
            "line 8: apps.web.announce.1.room: must be the id of a Slack conversation, such as C0123ABCD "
            "(at the bottom of its details in Slack)",
        ],
    ),
    (
        base("  web:", "  status:") + "defaults: {environment: 5}\n",
        [
            f"line 2: apps.status: “status” {RESERVED_WORD}",
            "line 6: defaults.environment: must be text",
        ],
    ),
    (
        base("  web:", "  my app:"),
        ["line 2: apps.my app: must be a name of letters, digits and ._{}- that starts with a letter or digit"],
    ),
    (
        base("production: {}", "pr-7: {}").replace("    environments", "    previews: {}\n    environments"),
        [
            "line 4: apps.web.previews.environment: “pr-7” would be the preview of pull request 7, and is an "
            "environment of its own",
            "line 4: apps.web.previews: are shown nowhere: name a room under rooms or announce",
        ],
    ),
    (
        base(more="    previews: {environment: preview}\n"),
        ["line 6: apps.web.previews.environment: must be a name with {number} in it, such as pr-{number}"],
    ),
    ("a: [1\n", ["line 2: not YAML: expected ',' or ']', but got '<stream end>'"]),
    (
        "a: !!python/name:os.system\n",
        ["line 1: not YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:os.system'"],
    ),
    ("? [a]\n: 1\n", ["line 1: not YAML: found unhashable key"]),
    ("a: !!timestamp 2026-13-45\n", ["not YAML: month must be in 1..12"]),
    ("a: &x [*x]\n", ["something in it holds itself, or is nested without end"]),
    ("[" * 5000, ["something in it holds itself, or is nested without end"]),
]


@pytest.mark.parametrize(("text", "faults"), FAULTS)
def test_every_fault_is_named_with_its_place(text: str, faults: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(text)
    assert [str(fault) for fault in caught.value.faults] == faults
    assert str(caught.value) == "\n".join(faults)


LINES = st.sampled_from([*BASE.splitlines(), "- a", "a: *b", "&b", "{", "? x"])


@given(st.text(max_size=80) | st.lists(LINES).map("\n".join))
def test_no_text_makes_it_raise_anything_else(text: str) -> None:
    with contextlib.suppress(ConfigError):
        read_config(text)


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_words_of_the_language_name_nothing(word: str) -> None:
    for text in (base("  web:", f"  {word}:"), base("production:", f"{word.upper()}:")):
        with pytest.raises(ConfigError, match="is a word of the command language"):
            read_config(text)


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yml").write_bytes(b"apps: {\xe4: 1}")
    for name, fault in (("none.yml", "No such file"), ("", "Is a directory"), ("latin.yml", "is not UTF-8 text")):
        with pytest.raises(ConfigError, match=fault):
            load_config(tmp_path / name)
    (tmp_path / "good.yml").write_text(BASE)
    assert list(load_config(tmp_path / "good.yml").apps) == ["web"]


def test_on_is_a_word_and_only_true_is_true() -> None:
    config = read_config(FULL)
    assert config.apps["web"].announce[0].on == ("success", "failure")
    assert config.apps["web"].payload["more"] == ["on", "off", "2026-03-02", 7]
    assert config.apps["web"].environments["staging"].auto_merge is True


def test_the_schema_accepts_what_is_read_and_refuses_what_is_not() -> None:
    schema = Config.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    full = FULL.replace("2026-03-02", "later")
    assert list(validator.iter_errors(yaml.safe_load(full.replace("on: [succ", '"on": [succ')))) == []
    defaults = {
        name: node["default"]
        for model in ("Environment", "Approvals", "Reminders")
        for name, node in schema["$defs"][model]["properties"].items()
        if "1h30m" in node.get("examples", ())
    }
    assert defaults == {"timeout": "1h", "max_wait": "3d", "expires": "4h", "every": "3h"}
    for text in ("{}", "apps: {}", base(more="nope: 1\n"), base("acme/web", "web"), base("{}", "{auto_merge: 1}")):
        assert list(validator.iter_errors(yaml.safe_load(text))) != []


TARGETS: list[tuple[str, str, str]] = [
    ("web", "web", ""),
    ("WEB", "web", ""),
    ("web/topic", "web", "topic"),
    ("web@topic", "web", "topic"),
    ("web/feature/a@b", "web", "feature/a@b"),
    ("web@feature/a", "web", "feature/a"),
    ("web/", "web", ""),
    ("acme/web", "web", ""),
    ("acme/web/topic", "web", "topic"),
    ("acme/web@topic", "web", "topic"),
    ("ACME/web/feature/a", "web", "feature/a"),
    ("acme/api@v1", "api", "v1"),
    ("both/left", "both", "left"),
]


@pytest.mark.parametrize(("target", "app", "ref"), TARGETS)
def test_a_target_is_an_app_and_a_ref(target: str, app: str, ref: str) -> None:
    config = read_config(FULL)
    assert config.target(target) == (app, config.apps[app], ref)


@pytest.mark.parametrize(
    ("target", "named", "near"),
    [
        ("wbe", "wbe", ["web"]),
        ("wbe/topic", "wbe", ["web"]),
        ("acme/wbe", "acme/wbe", ["acme/web"]),
        ("acme/wbe/topic", "acme/wbe", ["acme/web"]),
        ("zzz", "zzz", []),
        ("zzz/yyy/xxx", "zzz", []),
        ("@x", "", []),
    ],
)
def test_an_unknown_app_is_answered_with_what_is_alike(target: str, named: str, near: list[str]) -> None:
    with pytest.raises(UnknownApp) as caught:
        read_config(FULL).target(target)
    assert (caught.value.name, list(caught.value.near)[: len(near) or None]) == (named, near)
    assert list(caught.value.known) == ["web", "api", "both"]


def test_environments_by_name_alias_and_default() -> None:
    config = read_config(FULL)
    for name in ("production", "prod", "PROD", None):
        assert config.environment("web", name)[0] == "production"
    assert config.environment("api", None)[0] == "canary"  # its only one
    with pytest.raises(NoDefaultEnvironment) as caught:
        config.environment("both", None)
    assert (caught.value.default, list(caught.value.known)) == ("production", ["left", "right"])
    with pytest.raises(UnknownEnvironment) as unknown:
        config.environment("web", "prodution")
    assert unknown.value.near[0] == "production"


def test_rooms() -> None:
    config = read_config(FULL)
    config.check_room("web", "C0OPS")
    config.check_room("api", "C0RAN")
    with pytest.raises(WrongRoom):
        config.check_room("web", "C0RAN")


def test_the_app_of_a_deployment_made_elsewhere() -> None:
    config = read_config(FULL)
    assert config.apps_for("ACME/web", "production") == "web"
    assert config.apps_for("acme/web", "left") == "both"
    assert config.apps_for("acme/web", "production", "both") == "both"
    assert config.apps_for("acme/web", "unheard of", "api") == "web"
    assert config.apps_for("acme/other", "production") is None


def test_announcements() -> None:
    [announcement] = read_config(FULL).apps["web"].announce
    assert announcement.wants("production", "success")
    assert not announcement.wants("staging", "success")
    assert not announcement.wants("production", "queued")


def test_what_git_allows() -> None:
    for ref in ("main feature/login-loop v1.4 a@b @@ ünï heads/x x- a.locker 1 {} !".split(), ["a" * 255]):
        assert all(possible_ref(each) for each in ref), ref


def test_what_git_does_not_allow() -> None:
    for ref in "@ /a a/ a//b .a a/.b -a a. a..b a.lock a.lock/b a~1 a^ a:b a?b a* a[b a\\b a@{1} ../../x".split():
        assert not possible_ref(ref), ref
    for ref in ("", "a b", "a\0", "a\n", "a\x7f", "a" * 256):
        assert not possible_ref(ref), ref


@pytest.mark.parametrize(
    ("typed", "known", "meant"),
    [
        ("tpoic", ["main", "topic"], ["topic"]),
        ("TOPIC", ["main", "topic"], ["topic"]),
        ("login", ["fix/login-loop", "main"], ["fix/login-loop"]),
        ("login-loop-2", ["login-loop", "main"], ["login-loop"]),
        ("xy", ["xyz-and-more-of-it"], []),
        ("", ["main"], []),
        ("main", [], []),
        ("branch", [f"branch-{number}" for number in range(9)], ["branch-0", "branch-1", "branch-2"]),
    ],
)
def test_the_nearest_names(typed: str, known: list[str], meant: list[str]) -> None:
    assert sorted(nearest(typed, known)) == meant if len(known) < 9 else len(nearest(typed, known)) == 3


PREVIEWS = """
apps:
  web:
    repository: acme/web
    rooms: [C0OPS]
    previews: {environment: "pr-{number}.web", label: preview, timeout: 2h}
    environments: {production: {}}
  api:
    repository: acme/web
    environments: {production: {}}
"""


def test_previews_are_known_by_their_pattern() -> None:
    config = read_config(PREVIEWS)
    name, place = config.environment("web", "PR-12.Web")
    assert name == "pr-12.web"
    assert (place.transient_environment, place.production_environment, place.required_contexts) == (True, False, ())
    assert place.timeout == timedelta(hours=2)
    web = config.apps["web"]
    assert web.place(name) == place
    assert [web.pull(text) for text in (name, "production", "pr-0.web", "pr-x.web", "pr-12xweb")] == [12] + [None] * 4
    for app, text in (("web", "pr-.web"), ("web", "pr-012.web"), ("api", "pr-12.web")):
        with pytest.raises(UnknownEnvironment):
            config.environment(app, text)
    assert config.apps_for("acme/web", "pr-12.web") == "web"
    assert Announcement(room="C0OPS", environments=("pr-{number}.web",)).covers("pr-7.web")
    assert not Announcement(room="C0OPS", environments=("pr-{number}.web", "staging")).covers("production")
    assert config.places("web") == [("web", "production")]
    assert config.places(None, "pr-12.web") == [("web", "pr-12.web")]


def test_aliases_of_aliases_without_end() -> None:
    """A dozen lines that would come to billions are refused before anything is written out."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(ConfigError) as caught:
        read_config("\n".join(lines))
    assert str(caught.value) == "holds more than 1,000,000 entries once its aliases are written out"
