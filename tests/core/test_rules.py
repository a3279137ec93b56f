"""What the config's rules make of branches, tags and words in commits."""

from __future__ import annotations

import pytest

from bot.deploys.config_file import ConfigError, read_config
from bot.deploys.rules import Intent, of_branch, of_tag, skips

CONFIG = read_config(
    """
apps:
  web:
    repository: acme/web
    rooms: [C0OPS]
    environments:
      staging: {auto_deploy: [{on: push, branch: main}, {on: merge, branch: "*"}]}
      qa: {auto_deploy: [{on: green, branch: "release/?.*"}, {on: merge, branch: main}]}
      production: {auto_deploy: [{on: push, tag: "v[0-9]*"}]}
      by-hand: {}
      trial: {auto_deploy: [{on: push, branch: "gh-readonly-queue/next/*"}]}
  api:
    repository: Acme/Web
    announce: [{room: C0REL}]
    environments: {canary: {auto_deploy: [{on: green, branch: main}]}}
  other:
    repository: acme/other
    rooms: [C0OPS]
    environments: {canary: {auto_deploy: [{on: push, branch: "*"}]}}
"""
)
BRANCHES = [
    ("main", [("web", "staging", "push"), ("web", "qa", "merge"), ("api", "canary", "green")]),
    ("topic", [("web", "staging", "merge")]),
    ("release/2.1", [("web", "staging", "merge"), ("web", "qa", "green")]),
    ("release/2.1/fix", [("web", "staging", "merge"), ("web", "qa", "green")]),
    ("Main", [("web", "staging", "merge")]),
    ("gh-readonly-queue/main/pr-7-8f1c0de", []),
    ("gh-readonly-queue/next/pr-7-8f1c0de", [("web", "trial", "push")]),
]


@pytest.mark.parametrize(("branch", "expected"), BRANCHES)
def test_branches(branch: str, expected: list[tuple[str, str, str]]) -> None:
    for repository in ("acme/web", "ACME/web"):
        assert of_branch(CONFIG, repository, branch) == [Intent(*item) for item in expected]


def test_tags_are_no_branches() -> None:
    assert of_tag(CONFIG, "acme/web", "v1.2") == [Intent("web", "production", "push")]
    assert of_tag(CONFIG, "acme/web", "main") == of_tag(CONFIG, "acme/web", "version") == []
    assert of_branch(CONFIG, "acme/nowhere", "main") == []


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Fix it [skip deploy]", True),
        ("Fix it\n\nLong story.\n[Deploy Skip]", True),
        ("Fix it", False),
        ("Say what skip deploy does", False),
        ("[skip ci]", False),
    ],
)
def test_words_that_skip(message: str, expected: bool) -> None:
    assert skips(message) is expected


NOWHERE = "nobody would see what it starts: give the app rooms, or announce the environment"
FAULTS = [
    ("{on: push, branch: main}", "", "", f"line 4: apps.web.environments.staging.auto_deploy: {NOWHERE}"),
    (
        "{on: push, branch: main}",
        "",
        "announce: [{room: C0REL, environments: [production]}]",
        f"line 5: apps.web.environments.staging.auto_deploy: {NOWHERE}",
    ),
    (
        "{on: green, branch: main}",
        "required_contexts: [], ",
        "rooms: [C0OPS]",
        "line 5: apps.web.environments.staging.auto_deploy: `green` waits for checks, and required_contexts is []: "
        "there are none to wait for",
    ),
    (
        "{on: push}",
        "",
        "rooms: [C0OPS]",
        "line 5: apps.web.environments.staging.auto_deploy.0: must name a branch or a tag",
    ),
    (
        "{on: push, branch: main, tag: v1}",
        "",
        "rooms: [C0OPS]",
        "line 5: apps.web.environments.staging.auto_deploy.0: must name a branch or a tag",
    ),
    (
        "{on: merge, tag: v1}",
        "",
        "rooms: [C0OPS]",
        "line 5: apps.web.environments.staging.auto_deploy.0: pull requests are merged into branches, not into tags",
    ),
]


@pytest.mark.parametrize(("rule", "more", "of_app", "fault"), FAULTS)
def test_faults(rule: str, more: str, of_app: str, fault: str) -> None:
    head = ["apps:", "  web:", "    repository: acme/web", *([f"    {of_app}"] if of_app else [])]
    text = "\n".join([*head, f"    environments: {{staging: {{{more}auto_deploy: [{rule}]}}}}"])
    with pytest.raises(ConfigError) as caught:
        read_config(text)
    assert [str(item) for item in caught.value.faults] == [fault]
