"""What starts by itself: from what GitHub tells and the config to what is to be asked for.

Nothing here asks anybody anything. What comes out enters by the same door as a person's wish, with the same gates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bot.deploys.config import AutoDeploy, Config
from bot.deploys.model import BY_BRANCH

# GitHub's own branches, on which a merge queue tries out what it is to merge.
# https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue
_QUEUE = "gh-readonly-queue/"
_SKIPS = re.compile(r"\[(?:skip deploy|deploy skip)\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Intent:
    """An environment that a rule puts something into. `cause` is PUSH, GREEN or MERGE."""

    app: str
    environment: str
    cause: str


def skips(message: str) -> bool:
    """Whether a commit's message says that nothing is to be deployed for it."""
    return _SKIPS.search(message) is not None


def of_branch(config: Config, repository: str, branch: str) -> list[Intent]:
    """What follows from a branch's head, and from merges into it, one for each environment: of several rules the one
    that lets most through, since an environment that takes every push takes the merges among them."""
    return list(_intents(config, repository, branch=branch))


def of_tag(config: Config, repository: str, tag: str) -> list[Intent]:
    """What follows from a tag."""
    return list(_intents(config, repository, tag=tag))


def _intents(config: Config, repository: str, *, branch: str = "", tag: str = "") -> Iterator[Intent]:
    folded = repository.casefold()
    for name, app in config.apps.items():
        if app.repository.casefold() != folded:
            continue
        for place, environment in app.environments.items():
            asked = {rule.on for rule in environment.auto_deploy if _matches(rule, branch, tag)}
            cause = next((cause for cause in BY_BRANCH if cause in asked), None)
            if cause is not None:
                yield Intent(name, place, cause)


def _matches(rule: AutoDeploy, branch: str, tag: str) -> bool:
    if branch:
        if rule.branch is None or (branch.startswith(_QUEUE) and not rule.branch.startswith(_QUEUE)):
            return False
        return fnmatchcase(branch, rule.branch)
    return rule.tag is not None and fnmatchcase(tag, rule.tag)
