"""The config file: which apps there are, where they live and where they may go.

Unknown keys are refused and every fault is named at once, with its path and line, because a deploy bot that
guesses what its config meant is not to be trusted with production.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StringConstraints,
    model_validator,
)

from bot.deploys.config_parts import (
    PREVIEW,
    Crontab,
    Duration,
    Login,
    Name,
    Path,
    Provider,
    Repository,
    Room,
    Strict,
    Task,
    Text,
    User,
    Who,
    Zone,
    lasting,
)
from bot.deploys.cron import Cron, parse_cron
from bot.deploys.errors import NoDefaultEnvironment, UnknownApp, UnknownEnvironment, WrongRoom
from bot.deploys.nearest import nearest
from bot.deploys.times import parse_duration
from bot.deploys.windows import Window, parse_window


class Announcement(Strict):
    """A room that hears of an app's deploys wherever they were asked for, also from outside this bot."""

    room: Room
    environments: tuple[Text, ...] = Field(
        (), description="only these, previews by their pattern; none: every environment"
    )
    on: tuple[Text, ...] = Field((), description="states that start a card there; none: every state")

    def wants(self, environment: str, state: str) -> bool:
        """Whether a deploy to `environment` that has reached `state` is announced."""
        return self.covers(environment) and (not self.on or state in self.on)

    def covers(self, environment: str) -> bool:
        """Whether the room hears of that environment at all."""
        named = environment in self.environments
        return not self.environments or named or any(_number(each, environment) for each in self.environments)


class Freeze(Strict):
    """A time in which nothing is deployed: each week, each day, or from one date to another."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: Text | None = Field(None, description="what people call it")
    from_: Text = Field(alias="from", description="`Fri 16:00`, `18:00`, `2026-12-24` or `2026-12-24 18:00`")
    to: Text = Field(description="of the same kind as `from`; a date alone includes that day")
    timezone: Text = Field(description="the zone that both are in, such as `Europe/Berlin`")
    reason: Text | None = Field(None, description="told to whoever it holds up")

    @model_validator(mode="after")
    def _understood(self) -> Freeze:
        _ = self.window
        return self

    @cached_property
    def window(self) -> Window:
        return parse_window(self.from_, self.to, self.timezone)


class Approvals(Strict):
    """How many people must agree, and who they may be."""

    required: int = Field(1, ge=1, le=20, strict=True, description="how many must approve")
    approvers: tuple[Who, ...] = Field(
        (), description="who may: Slack users, usergroups, GitHub teams; none: anyone but the one who asks"
    )
    self_approval: StrictBool = Field(False, description="whether the one who asks counts too")
    rollback: int | None = Field(
        None, ge=0, le=20, strict=True, description="how many a rollback takes; none given: as many; 0: nobody is asked"
    )
    expires: Duration = lasting("4h", "after which an unanswered request ends")


class AutoDeploy(Strict):
    """What makes a deploy start by itself: a branch that moves, or a tag."""

    on: Literal["push", "green", "merge"] = Field(
        description="each push; each push once its checks are green, and there is one; each merged pull request"
    )
    branch: Text | None = Field(None, description="its name; `*` stands for anything, `?` for one character")
    tag: Text | None = Field(None, description="instead of a branch: tags of that name, such as `v*`")

    @model_validator(mode="after")
    def _one_of_them(self) -> AutoDeploy:
        if (self.branch is None) == (self.tag is None):
            raise ValueError("must name a branch or a tag")
        if self.tag is not None and self.on == "merge":
            raise ValueError("pull requests are merged into branches, not into tags")
        return self


class Environment(Strict):
    """Somewhere an app can be deployed to."""

    aliases: tuple[Name, ...] = Field((), description="other names that people type")
    deployers: tuple[Who, ...] = Field(
        (), description="who may deploy: Slack users, usergroups, GitHub teams; none: anyone in its rooms"
    )
    permission: Literal["write", "maintain", "admin"] | None = Field(
        None, description="what GitHub must say of the person on the repository, at least"
    )
    approvals: Approvals | None = Field(None, description="who must agree first; none: nobody")
    override: tuple[Who, ...] = Field((), description="who may deploy through a freeze, with a reason")
    freezes: tuple[Freeze, ...] = Field((), description="when nothing is deployed there")
    after: tuple[Name, ...] = Field((), description="environments where that very commit must be live first")
    promote_from: Name | None = Field(None, description="an environment whose successes ask for this one")
    when_red: Literal["wait", "refuse"] = Field("wait", description="what a deploy does while checks are not green")
    when_busy: Literal["queue", "refuse"] = Field("queue", description="what it does while another is under way")
    when_locked: Literal["wait", "refuse"] = Field("refuse", description="what it does while somebody holds a lock")
    when_frozen: Literal["wait", "refuse"] = Field("refuse", description="what it does during a freeze")
    auto_deploy: tuple[AutoDeploy, ...] = Field((), description="what makes a deploy start by itself")
    timeout: Duration = lasting("1h", "after which a deploy without an end counts as lost, and a `provider` is stopped")
    max_wait: Duration = lasting("3d", "after which a deploy that still waits is given up")
    required_contexts: tuple[Text, ...] | None = Field(
        None, description="checks that must be green; none given: all that ever reported; []: none"
    )
    auto_merge: StrictBool = Field(False, description="let GitHub merge the default branch into the branch first")
    production_environment: StrictBool | None = Field(
        None, description="end users work with it; none given: true for the one named production"
    )
    transient_environment: StrictBool = Field(False, description="it will be gone some day")
    provider: Provider | None = Field(None, description="what carries deployments out; none: somebody else does")


class Previews(Strict):
    """Environments that come and go with the pull requests of an app's repository."""

    environment: Annotated[str, StringConstraints(pattern=PREVIEW)] = Field(
        "pr-{number}", description="what they are called; `{number}` is the pull request's"
    )
    label: Text | None = Field(None, description="only pull requests with this label; none: every one")
    teardown_task: Text | None = Field(
        None, description="the task of the deployment that tells deployers to take one down; none: they are not told"
    )
    required_contexts: tuple[Text, ...] | None = Field(
        (), description="checks that must be green; []: none; null: all that ever reported"
    )
    when_red: Literal["wait", "refuse"] = Field("wait", description="what a deploy does while checks are not green")
    timeout: Duration = lasting("1h", "after which a deploy without an end counts as lost, and a `provider` is stopped")
    max_wait: Duration = lasting("3d", "after which a deploy that still waits is given up")
    provider: Provider | None = Field(None, description="what carries deployments out; none: somebody else does")

    def name(self, pull: int) -> str:
        """The environment of a pull request."""
        return self.environment.replace("{number}", str(pull))

    def pull(self, environment: str) -> int | None:
        """The pull request whose environment that is (in any case); None when it is none of these."""
        return _number(self.environment, environment)

    @cached_property
    def place(self) -> Environment:
        """What each of them is."""
        return Environment(
            required_contexts=self.required_contexts,
            when_red=self.when_red,
            timeout=self.timeout,
            max_wait=self.max_wait,
            provider=self.provider,
            transient_environment=True,
            production_environment=False,
        )


class App(Strict):
    """A name for one repository and its environments."""

    repository: Repository
    default_ref: Text | None = Field(None, description="none: the repository's default branch")
    rooms: tuple[Room, ...] = Field((), description="where it may be deployed from; none: anywhere")
    announce: tuple[Announcement, ...] = ()
    config: Path | None = Field(
        None, description="a file in the repository, such as .github/shipbot.yml, that fills in what is not set here"
    )
    payload: dict[str, JsonValue] = Field({}, description="handed to deployers under payload.config")
    previews: Previews | None = Field(None, description="environments for pull requests; none given: none")
    environments: dict[Name, Environment] = Field(min_length=1)

    def pull(self, environment: str) -> int | None:
        """The pull request that an environment is the preview of; None for one of `environments` and for no such."""
        return self.previews.pull(environment) if self.previews and environment not in self.environments else None

    def place(self, environment: str) -> Environment | None:
        """The environment of just that name, previews among them."""
        if (found := self.environments.get(environment)) is not None:
            return found
        return self.previews.place if self.previews and self.previews.pull(environment) is not None else None

    def shown_in(self, environment: str) -> list[str]:
        """Where what nobody asked for in a room is shown: where the environment is announced, else the first room."""
        announced = [item.room for item in self.announce if item.covers(environment)]
        return announced or list(self.rooms[:1])


class Schedule(Strict):
    """A deploy that is asked for again and again, at times of a calendar."""

    app: Name = Field(description="what is deployed: a name under `apps`")
    environment: Name = Field(description="one of the app's own")
    cron: Crontab = Field(description="when, as a crontab has it: `0 9 * * mon-fri`")
    timezone: Zone = Field(description="the zone that it is in, such as `Europe/Berlin`")
    ref: Text | None = Field(None, description="what goes, as it is at that time; none: the app's default")
    task: Task | None = Field(None, description="another task than to deploy it")
    grace: Duration | None = Field(None, description="how late it may still go; none given: as in `defaults`")

    @cached_property
    def times(self) -> Cron:
        return parse_cron(self.cron, ZoneInfo(self.timezone))

    @cached_property
    def key(self) -> str:
        """What it is known by, for as long as it asks for the same at the same times."""
        said = [self.app, self.environment, self.cron, self.timezone, self.ref, self.task]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:20]

    @property
    def whole_task(self) -> str:
        """The task as deployments have it."""
        task = (self.task or "").removeprefix("deploy:")
        return "deploy" if task in ("", "deploy") else f"deploy:{task}"


class Defaults(Strict):
    environment: Name = Field("production", description="where a deploy goes that names no environment")
    grace: Duration = lasting("15m", "how late what was to go at some time may still go")


class Reminders(Strict):
    """How owners of old locks are reminded."""

    every: Duration = lasting("3h", "between two reminders of one lock")
    days: Literal["working", "all"] = Field("working", description="`working`: Monday to Friday, where the owner is")


def _at_least(text: str, why: str) -> AfterValidator:
    least = parse_duration(text)

    def long_enough(value: timedelta | None) -> timedelta | None:
        if value is not None and value < least:
            raise ValueError(f"must be {text} or more: {why}")
        return value

    return AfterValidator(long_enough)


def _age(value: Any) -> Any:
    return value if value is None or isinstance(value, timedelta) else parse_duration(str(value), years=20)


class Retention(Strict):
    """How long what is over is kept."""

    inbox: Annotated[Duration, _at_least("3d", "for so long GitHub delivers again, which must be known")] = lasting(
        "7d", "what was received, sent and timed, after it was done; what died is kept"
    )
    logs: Duration = lasting("30d", "the output of providers")
    timeline: Annotated[Duration | None, BeforeValidator(_age), _at_least("30d", "cards and `history #N` show it")] = (
        Field(None, description="the story, votes and cards of deploys that have ended; none: for ever")
    )


class SlackLimits(Strict):
    """How fast Slack is written to. What it grants by default: https://docs.slack.dev/apis/web-api/rate-limits"""

    updates: int = Field(50, ge=1, strict=True, description="edits of messages a minute, in all rooms together")
    posts: int = Field(300, ge=1, strict=True, description="new messages a minute, in all rooms together")
    posts_per_room: int = Field(60, ge=1, strict=True, description="new messages a minute in one room")


class Config(Strict):
    """The whole file."""

    defaults: Defaults = Defaults()
    admins: tuple[User, ...] = Field((), description="told of what needs a hand; may lift any freeze or lock")
    users: dict[User, Login] = Field({}, description="Slack id to GitHub login, where people don't use `login`")
    freezes: tuple[Freeze, ...] = Field((), description="when nothing is deployed anywhere")
    lock_reminders: Reminders = Reminders()
    schedules: tuple[Schedule, ...] = Field((), description="what is deployed again and again, at some times")
    retention: Retention = Retention()
    slack: SlackLimits = SlackLimits()
    apps: dict[Name, App] = Field(min_length=1)

    def app(self, name: str) -> tuple[str, App]:
        """The app of that name (in any case) or full `owner/repo`; raises UnknownApp with what is alike."""
        folded = name.casefold()
        for key, app in self.apps.items():
            if key.casefold() == folded:
                return key, app
        for key, app in self.apps.items():
            if app.repository.casefold() == folded:
                return key, app
        names = [*self.apps, *(app.repository for app in self.apps.values())]
        raise UnknownApp(name, nearest(name, names), list(self.apps))

    def target(self, target: str) -> tuple[str, App, str]:
        """`APP`, `APP/REF`, `APP@REF` and the same with `owner/repo`: the app's name, the app, the ref or ''.

        Raises UnknownApp.
        """
        for separators in (1, 2):  # an app is known by one word, a repository by two
            name, ref = _split_target(target, separators)
            try:
                key, app = self.app(name)
            except UnknownApp as error:
                unknown = error
                continue
            return key, app, ref
        if unknown.name.count("/") and not unknown.near:  # `wbe/topic` is an app with a slip, not owner/repo
            name, _ = _split_target(target, 1)
            self.app(name)
        raise unknown

    def environment(self, app_name: str, name: str | None) -> tuple[str, Environment]:
        """The app's environment of that name or alias (in any case); the default one for None.

        Raises UnknownEnvironment, or NoDefaultEnvironment when none was named.
        """
        environments = self.apps[app_name].environments
        wanted = self.defaults.environment if name is None else name
        folded = wanted.casefold()
        for key, environment in environments.items():
            if folded in (key.casefold(), *(alias.casefold() for alias in environment.aliases)):
                return key, environment
        if name is None:
            if len(environments) == 1:
                return next(iter(environments.items()))
            raise NoDefaultEnvironment(app_name, wanted, list(environments))
        previews = self.apps[app_name].previews
        if previews is not None and (pull := previews.pull(name)) is not None:
            return previews.name(pull), previews.place
        names = [alias for key, item in environments.items() for alias in (key, *item.aliases)]
        raise UnknownEnvironment(app_name, name, nearest(name, names), list(environments))

    def names(self, user: str) -> bool:
        """Whether a Slack user is named anywhere in it."""
        places = [place for app in self.apps.values() for place in app.environments.values()]
        places += [app.previews.place for app in self.apps.values() if app.previews is not None]
        listed = [
            (*each.deployers, *each.override, *(each.approvals.approvers if each.approvals else ())) for each in places
        ]
        return user in self.admins or user in self.users or any(user in each for each in listed)

    def check_room(self, app_name: str, room: str) -> None:
        """Raises WrongRoom where the app names its rooms and this is none of them."""
        rooms = self.apps[app_name].rooms
        if rooms and room not in rooms:
            raise WrongRoom(app_name, rooms)

    def places(self, app: str | None = None, environment: str | None = None) -> list[tuple[str, str]]:
        """The (app, environment) pairs that a lock or freeze covers, sorted; None stands for every one.

        Of previews only one that is named; which others there are is not in the config.
        """
        return sorted(
            (name, place)
            for name, found in self.apps.items()
            if app in (None, name)
            for place in (found.environments if environment is None else [environment])
            if found.place(place) is not None
        )

    def apps_for(self, repository: str, environment: str, name: str = "") -> str | None:
        """The app that a deployment made elsewhere belongs to.

        A repository may hold several apps: the one its payload names comes first, then the first that has
        the environment, then the first of that repository; None when no app is of that repository.
        """
        folded = repository.casefold()
        here = [key for key, app in self.apps.items() if app.repository.casefold() == folded]
        if name in here:
            return name
        having = [key for key in here if self.apps[key].place(environment) is not None]
        return next(iter(having or here), None)


def _number(pattern: str, name: str) -> int | None:
    """The number in a name that is made by a pattern with `{number}` in it."""
    before, number, after = pattern.partition("{number}")
    found = re.fullmatch(rf"{re.escape(before)}([1-9][0-9]{{0,17}}){re.escape(after)}", name, re.IGNORECASE)
    return int(found[1]) if found and number else None


def _split_target(target: str, words: int) -> tuple[str, str]:
    """Cuts the first `words` words off a target: `acme/web@x`, 2 -> (`acme/web`, `x`)."""
    end = 0
    for _ in range(words):
        start = end + 1 if end else 0
        cuts = [place for mark in "/@" if (place := target.find(mark, start)) >= 0]
        if not cuts:
            return target, ""
        end = min(cuts)
        if target[end] == "@":
            break
    return target[:end], target[end + 1 :]
