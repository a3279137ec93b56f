"""What the playground starts with: people, rooms, apps, their commits and checks, and deployments of past days."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from bot.playground.github import SimulatedGitHub
from bot.playground.slack import SimulatedSlack

FIRST_COMMAND = "/deploy web/topic to staging"
REAL_COMMAND = "/deploy docs/typos"  # which a provider of the bot carries out
RELEASE = Path(__file__).with_name("release.py")
OPS, WEB_TEAM, RELEASES = "C0OPS", "C0WEB", "C0REL"

CONFIG: Mapping[str, Any] = {
    "defaults": {"environment": "production"},
    "admins": ["U0CAL"],
    "users": {"U0ANA": "ana-gh", "U0BEN": "ben-gh", "U0CAL": "cal-gh"},
    "apps": {
        "web": {
            "repository": "acme/web",
            "default_ref": "main",
            "rooms": [OPS, WEB_TEAM],
            "announce": [{"room": RELEASES, "environments": ["production"], "on": ["success", "failure"]}],
            "payload": {"dashboard": "https://status.example/web"},
            "environments": {
                "staging": {"aliases": ["stg"]},
                "production": {
                    "aliases": ["prod"],
                    "required_contexts": ["ci/build"],
                    "approvals": {"required": 1, "approvers": ["U0BEN", "U0CAL"], "expires": "4h"},
                    "override": ["U0CAL"],
                },
            },
        },
        "api": {
            "repository": "acme/api",
            "announce": [{"room": RELEASES, "environments": ["production"], "on": ["success", "failure"]}],
            "environments": {
                "staging": {"aliases": ["stg"]},
                "production": {"aliases": ["prod"], "after": ["staging"], "when_locked": "wait"},
            },
        },
        "docs": {
            "repository": "acme/docs",
            "environments": {"production": {"aliases": ["prod"], "required_contexts": []}},
        },
    },
}


@dataclass(frozen=True)
class Person:
    """Somebody to speak as: their Slack id and name, and their login at GitHub."""

    id: str
    name: str
    real_name: str
    login: str


@dataclass(frozen=True)
class Place:
    """A room, its topic, and what its first lines tell a newcomer: `hint` and commands to try."""

    id: str
    name: str
    topic: str
    about: str
    hint: str = ""
    tries: tuple[str, ...] = ()


PEOPLE = (
    Person("U0ANA", "ana", "Ana Costa", "ana-gh"),
    Person("U0BEN", "ben", "Ben Okafor", "ben-gh"),
    Person("U0CAL", "cal", "Cal Lindqvist", "cal-gh"),
)
PLACES = (
    Place(
        OPS,
        "ops",
        "Where we ship from",
        "Deploys are asked for here, and everyone can follow them.",
        "New here? Put a branch on staging. A card appears; then play the deployer on the GitHub side and report "
        "how it goes, and watch the card follow. Production wants an approval: ask, then speak as ben and approve. "
        "Or lock staging and ask as somebody else. The docs need nobody to play: a program deploys them, and "
        "Logs on their card shows what it prints while it runs.",
        (
            FIRST_COMMAND,
            REAL_COMMAND,
            "/deploy web to production",
            "/deploy lock web in staging for 2h because demo day",
            "/deploy where web",
            "/deploy help",
        ),
    ),
    Place(
        WEB_TEAM,
        "web-team",
        "The people who build web",
        "web may be deployed from here too.",
        "What is not out yet, what would stand in the way, what a red check does (turn it green at GitHub, and the "
        "deploy goes by itself), and what a freeze does (cal may deploy through it, with a reason):",
        (
            "/deploy diff web in production",
            "/deploy check web/topic to production",
            "/deploy web/fix/cart-total to staging",
            "/deploy freeze web in production because the shop is full",
            "/deploy history web",
        ),
    ),
    Place(
        RELEASES,
        "releases",
        "What reached production",
        "Deployments to production are announced here, whoever made them.",
    ),
)
DIRECT = Place(
    "",
    "shipbot",
    "Just you and the bot",
    "Here commands need no slash. Only you and shipbot read this.",
    "Try one:",
    ("help", "where web", "status web"),
)


class Clock:
    """The real time, which can be put back while the past is being made."""

    def __init__(self) -> None:
        self._back = timedelta()

    def __call__(self) -> datetime:
        """The time it is here, in UTC."""
        return datetime.now(UTC) - self._back

    def set_back(self, *, days: float = 0, hours: float = 0, minutes: float = 0) -> None:
        """Lets it be so much earlier than now; without arguments, now."""
        self._back = timedelta(days=days, hours=hours, minutes=minutes)


def config_yaml(url: str, pace: float = 1.0) -> str:
    """The shipbot.yml that fits the seed, for a playground at that address. The docs are released by a program that
    really runs; `pace` is how long it takes, as a multiple of about ten seconds."""
    config = copy.deepcopy(dict(CONFIG))
    site = f"{url}/playground/site/acme/docs/at/production"
    config["apps"]["docs"]["environments"]["production"]["provider"] = {
        "type": "command",
        "run": [sys.executable, "-I", str(RELEASE), site, str(pace)],
        "checkout": False,
    }
    return yaml.safe_dump(config, sort_keys=False)


def seed(github: SimulatedGitHub, slack: SimulatedSlack, clock: Clock) -> None:
    """Fills both simulators, which share `clock`. Tells the bot nothing: it need not run yet."""
    for person in PEOPLE:
        github.add_user(person.login, person.real_name)
        slack.add_person(person.id, person.name, person.real_name)
    github.add_user("deployer", "Deployer")
    for place in PLACES:
        slack.add_room(place.id, place.name, members=[person.id for person in PEOPLE])
    for person in PEOPLE:
        slack.direct_room(person.id)
    past = _Past(github, clock)
    past.api_and_docs()
    past.web()
    _talk(slack, clock)
    clock.set_back()


class _Past:
    """The days before: commits, checks, deployments. Only forward in time, as history is."""

    def __init__(self, github: SimulatedGitHub, clock: Clock) -> None:
        self._github = github
        self._clock = clock

    def web(self) -> None:
        repository, main = "acme/web", "main"
        clock = self._clock
        clock.set_back(days=6)
        self._github.add_repository(repository, default_branch=main)
        self._commit(repository, main, "Add a search box to the start page", "ben-gh")
        self._github.tag(repository, "v1.3", self._github.head(repository, main))
        self._deploy(repository, "v1.3", "production", "ben-gh", "success", "Rolled out to 4 hosts")
        clock.set_back(days=3, hours=4)
        self._commit(repository, main, "Trim the logs", "ana-gh")
        self._commit(repository, main, "Keep sessions over a restart", "cal-gh")
        self._deploy(repository, main, "staging", "cal-gh", "success", "Rolled out to staging")
        clock.set_back(days=3, hours=2)
        self._deploy(repository, main, "production", "cal-gh", "failure", "Health check failed on fe2; rolled back")
        clock.set_back(days=2, hours=3)
        self._commit(repository, main, "Wait for the session store at start", "cal-gh")
        self._github.tag(repository, "v1.4", self._github.head(repository, main))
        self._deploy(repository, "v1.4", "production", "cal-gh", "success", "Rolled out to 4 hosts")
        clock.set_back(days=1, hours=1)
        self._commit(repository, main, "Show prices with tax", "ana-gh")
        self._deploy(repository, main, "staging", "ana-gh", "success", "Rolled out to staging")
        clock.set_back(hours=5)
        self._commit(repository, main, "Load the start page twice as fast", "ben-gh")
        clock.set_back(hours=3)
        self._commit(repository, "topic", "Test the login loop", "ben-gh")
        self._commit(repository, "topic", "Fix the login loop", "ben-gh")
        clock.set_back(hours=2)
        self._commit(repository, "fix/cart-total", "Round the cart total once", "cal-gh", red=True)

    def api_and_docs(self) -> None:
        clock = self._clock
        clock.set_back(days=9)
        self._github.add_repository("acme/docs", default_branch="main")
        self._commit("acme/docs", "main", "Write down how we ship", "ana-gh")
        self._deploy("acme/docs", "main", "production", "ana-gh", "success", "Published")
        clock.set_back(days=8)
        self._github.add_repository("acme/api", default_branch="main")
        self._commit("acme/api", "main", "Answer 404 for unknown orders", "cal-gh")
        self._github.tag("acme/api", "v2.0", self._github.head("acme/api", "main"))
        self._deploy("acme/api", "v2.0", "production", "cal-gh", "success", "Rolled out to 2 hosts")
        clock.set_back(days=7)
        self._commit("acme/api", "main", "Log the request id", "ben-gh")
        self._deploy("acme/api", "main", "staging", "ben-gh", "success", "Rolled out to staging")
        self._commit("acme/api", "feature/rate-limit", "Limit requests per key", "ben-gh")
        self._commit("acme/docs", "typos", "Fix typos on the start page", "cal-gh")

    def _commit(self, repository: str, branch: str, message: str, author: str, *, red: bool = False) -> None:
        sha = self._github.push(repository, branch, message, author=author)
        if repository == "acme/docs":
            return
        state, words = ("failure", "1 test failed") if red else ("success", "Built and tested in 3 min")
        self._github.set_status(repository, sha, "ci/build", state, description=words)
        self._github.set_check_run(repository, sha, "lint", conclusion="success")

    def _deploy(self, repository: str, ref: str, environment: str, login: str, state: str, description: str) -> None:
        github = self._github
        number = github.create_deployment(
            repository,
            ref,
            creator=login,
            environment=environment,
            description=f"{ref} to {environment}",
            payload={"user": login},
        )
        github.report(repository, number, "in_progress", description="Rolling out")
        github.report(repository, number, state, description=description)


def _talk(slack: SimulatedSlack, clock: Clock) -> None:
    clock.set_back(hours=2)
    slack.say("U0CAL", WEB_TEAM, "ci/build is red on `fix/cart-total`, I am on it.")
    clock.set_back(minutes=14)
    slack.say("U0BEN", OPS, "The login loop is fixed on `topic`, checks are green.")
    clock.set_back(minutes=11)
    slack.say("U0CAL", OPS, "I can try it as soon as it is on staging.")
    clock.set_back(minutes=3)
    slack.say("U0BEN", OPS, f"Would you ship it there? Type `{FIRST_COMMAND}`")
