"""What people ask to be told. Reads only; what GitHub must be asked is asked, the rest is the store's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.deploys import policy, states
from bot.deploys.clock import Clock
from bot.deploys.config import App, Config, Schedule
from bot.deploys.errors import NothingLive, UnknownDeploy, UnknownRef
from bot.deploys.model import (
    Comparison,
    Deploy,
    Freezing,
    Listed,
    Lock,
    Person,
    RepositoryConfig,
    Step,
    Subscription,
    Vote,
)
from bot.deploys.nearest import nearest
from bot.deploys.ports import GitHub
from bot.deploys.stats import Figures, figures
from bot.service.configured import Configured
from bot.service.facts import all_freezes
from bot.service.people import People
from bot.store import gates, listings, records, repository_configs, subscriptions
from bot.store.engine import Store

PAGE = 10  # deploys on one page of history
UNDER_WAY = timedelta(days=1)  # what has not ended for longer has been forgotten by whoever ran it
STATS_DAYS = 30
COUNTED = 1000  # deploys that figures are made of
RECENT = 3  # finished deploys that status shows for each environment


@dataclass(frozen=True, slots=True)
class Place:
    """One environment of an app: what is on its way there, and what is live and how the last ones went where asked."""

    app: str
    repository: str
    environment: str
    live: Listed | None
    under_way: Sequence[Listed]
    recent: Sequence[Listed] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A page of history, newest first. `older` is the number to go on before, None at the end."""

    app: str
    environment: str | None
    ref: str | None
    deploys: Sequence[Listed]
    older: int | None
    votes: Mapping[int, Sequence[Vote]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Audit:
    """One deploy with all that happened to it, in the order in which it did."""

    deploy: Deploy
    steps: Sequence[Step]
    votes: Sequence[Vote]


@dataclass(frozen=True, slots=True)
class Difference:
    """What `head_ref` has that is not live in an environment."""

    app: str
    environment: str
    live: Deploy
    head_ref: str
    compared: Comparison


@dataclass(frozen=True, slots=True)
class Upcoming:
    """What the config asks for again and again, and when it is next."""

    schedule: Schedule
    at: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """What one person finds on the home tab, all of it of the apps that they may see.

    `to_approve` waits for their approval, oldest first; `mine` are their own deploys that are not over; `previews` are
    those that are up, by app.
    """

    places: Sequence[Place]
    to_approve: Sequence[Deploy]
    mine: Sequence[Deploy]
    locks: Sequence[Lock]
    freezes: Sequence[Freezing]
    previews: Mapping[str, Sequence[Listed]] = field(default_factory=dict)


class Reader:
    """Answers the reading commands. Thread-safe."""

    def __init__(self, store: Store, github: GitHub, configured: Configured, clock: Clock) -> None:
        self._store = store
        self._github = github
        self._configured = configured
        self._clock = clock

    @property
    def config(self) -> Config:
        """The config as it holds now."""
        return self._configured.config

    def apps(self, room: str) -> dict[str, App]:
        """The apps that may be spoken of in a room."""
        return {name: app for name, app in self.config.apps.items() if not app.rooms or room in app.rooms}

    def subscriptions(self, room: str) -> list[Subscription]:
        """What a room is subscribed to."""
        with self._store.read() as connection:
            return subscriptions.of_room(connection, room)

    def repository_configs(self) -> dict[str, RepositoryConfig]:
        """How the files of the apps stand, by app."""
        with self._store.read() as connection:
            return {row.app: row for row in repository_configs.all_of_them(connection)}

    def where(self, target: str, room: str) -> list[Place]:
        """Each environment of an app in the config's order; raises UnknownApp and WrongRoom."""
        name, app = self.config.app(target)
        self.config.check_room(name, room)
        return self._places({name: app}, live=True)

    def previews(self, target: str) -> Sequence[Listed]:
        """What is live in the previews of an app, by pull request; raises UnknownApp."""
        name, _ = self.config.app(target)
        with self._store.read() as connection:
            return listings.previews_up(connection, [name]).get(name, ())

    def status(self, target: str, environment: str | None, room: str) -> list[Place]:
        """What is under way and how the last deploys went: of one app, or of all of this room when `target` is ''."""
        if not target:
            return self._places(self.apps(room), live=False, recent=1)
        name, app = self.config.app(target)
        self.config.check_room(name, room)
        only = self.config.environment(name, environment)[0] if environment else None
        return self._places({name: app}, only, live=False, recent=RECENT)

    def history(self, target: str, environment: str | None, room: str, before: int | None = None) -> Page:
        """Past deploys; `target` may carry a ref; `before` is the number a further page starts below."""
        name, _, ref = self.config.target(target)
        self.config.check_room(name, room)
        only = self.config.environment(name, environment)[0] if environment else None
        with self._store.read() as connection:
            found = listings.history(connection, name, environment=only, ref=ref or None, before=before, limit=PAGE + 1)
            votes = gates.votes_on(connection, [deploy.number for deploy in found[:PAGE]])
        older = found[PAGE - 1].number if len(found) > PAGE else None
        return Page(name, only, ref or None, found[:PAGE], older, votes)

    def stats(self, target: str, room: str) -> list[Figures]:
        """How the deploys of the last STATS_DAYS went, at most COUNTED of each app: of one app, or of all of this room
        when `target` is ''. Raises UnknownApp and WrongRoom."""
        if target:
            name, app = self.config.app(target)
            self.config.check_room(name, room)
            apps = {name: app}
        else:
            apps = self.apps(room)
        since = self._clock.now() - timedelta(days=STATS_DAYS)
        found = []
        for name, app in apps.items():
            with self._store.read() as connection:
                past = listings.history(connection, name, limit=COUNTED)
            recent = [deploy for deploy in past if deploy.asked_at >= since]
            places = [*app.environments, *sorted({item.environment for item in recent} - set(app.environments))]
            found += [
                figures(name, place, [deploy for deploy in recent if deploy.environment == place]) for place in places
            ]
        return found

    def audit(self, number: int, room: str) -> Audit:
        """All that happened to one deploy: who asked, who agreed to what and under which rules, what was reported.

        Raises UnknownDeploy and WrongRoom.
        """
        with self._store.read() as connection:
            deploy = records.deploy(connection, number)
            if deploy is None:
                raise UnknownDeploy(number)
            if deploy.app in self.config.apps:
                self.config.check_room(deploy.app, room)
            votes = gates.votes_on(connection, [number])[number]
            return Audit(deploy, records.steps(connection, number), votes)

    def locks(self) -> list[Lock]:
        """The locks that hold, oldest first."""
        with self._store.read() as connection:
            return gates.all_locks(connection, self._clock.now())

    def freezes(self) -> list[Freezing]:
        """The freezes that hold, those of the config first."""
        with self._store.read() as connection:
            return all_freezes(connection, self.config, self._clock.now())

    def schedules(self, room: str) -> tuple[list[Deploy], list[Upcoming]]:
        """What is to go later of the apps that may be spoken of in a room: once, and again and again; soonest first."""
        apps = self.apps(room)
        now = self._clock.now()
        with self._store.read() as connection:
            once = [deploy for deploy in gates.held(connection, scheduled=True) if deploy.app in apps]
        again = [Upcoming(item, item.times.after(now)) for item in self.config.schedules if item.app in apps]
        once.sort(key=lambda deploy: (deploy.due_at or now, deploy.number))
        return once, sorted(again, key=lambda item: item.at)

    def seen_by(self, rooms: Collection[str]) -> dict[str, App]:
        """The apps that somebody may see who is in those rooms."""
        return {
            name: app
            for name, app in self.config.apps.items()
            if not app.rooms or any(room in rooms for room in app.rooms)
        }

    def overview(self, person: Person, rooms: Collection[str], people: People) -> Overview:
        """What concerns a person who is in those rooms. Whom the config lets approve, `people` is asked."""
        apps = self.seen_by(rooms)
        places = self._places(apps, live=True)
        started = [deploy for place in places for deploy in place.under_way if deploy.state != states.HELD]
        with self._store.read() as connection:
            held = [deploy for deploy in gates.held(connection) if deploy.app in apps]
            votes = people.votes_of(connection, [deploy.number for deploy in held])
            ours = [deploy for deploy in [*held, *started] if deploy.ours]
            keys = people.keys_in(connection, {deploy.user_id for deploy in ours if deploy.user_id})
            own = {
                deploy.number
                for deploy in ours  # of whom a rule asked for only the login may be known
                if (keys.get(deploy.user_id) or Person("", login=deploy.login).key) == person.key
            }
            mine = records.deploys_by_number(connection, own)
            up = listings.previews_up(connection, apps)
        return Overview(
            places=places,
            to_approve=[
                deploy
                for deploy in held
                if self._waits_for(person, deploy, votes[deploy.number], people, own=deploy.number in own)
            ],
            mine=mine,
            locks=[lock for lock in self.locks() if lock.app is None or lock.app in apps],
            freezes=[freeze for freeze in self.freezes() if freeze.app is None or freeze.app in apps],
            previews=up,
        )

    def _waits_for(self, person: Person, deploy: Deploy, votes: Sequence[Vote], people: People, *, own: bool) -> bool:
        """Whether a deploy waits for approval, and this person may give theirs and has not."""
        environment = self.config.apps[deploy.app].environments.get(deploy.environment)
        approvals = environment.approvals if environment else None
        if approvals is None or not any(
            item["gate"] == policy.APPROVALS and item["verdict"] == policy.WAITING for item in deploy.findings
        ):
            return False
        if own and not approvals.self_approval:
            return False
        if any(vote.person == person.key and vote.sha == deploy.sha for vote in votes):
            return False
        if not approvals.approvers:
            return True
        return bool(people.one_of(person, approvals.approvers, deploy.repository).yes)

    def diff(self, target: str, environment: str | None, room: str) -> Difference:
        """What is not out yet. Raises the person's errors, NothingLive among them, and TryLater."""
        name, app, ref = self.config.target(target)
        self.config.check_room(name, room)
        place, _ = self.config.environment(name, environment)
        with self._store.read() as connection:
            live = records.live(connection, name, place)
        if live is None:
            raise NothingLive(name, place)
        ref = ref or app.default_ref or self._github.default_branch(app.repository)
        compared = self._github.compare(app.repository, live.sha, ref)
        if compared is None:
            raise UnknownRef(app.repository, ref, nearest(ref, self._github.refs(app.repository)))
        return Difference(name, place, live, ref, compared)

    def _places(self, apps: Mapping[str, App], only: str | None = None, *, live: bool, recent: int = 0) -> list[Place]:
        """The environments of those apps in the config's order, or just the one that is named."""
        wanted = [(name, place) for name, app in apps.items() for place in ([only] if only else app.environments)]
        since = self._clock.now() - UNDER_WAY
        with self._store.read() as connection:
            found = listings.standings(connection, wanted, since=since, live=live, recent=recent)
        return [
            Place(
                app=name,
                repository=apps[name].repository,
                environment=environment,
                live=found[name, environment].live,
                under_way=found[name, environment].under_way,
                recent=found[name, environment].recent,
            )
            for name, environment in wanted
        ]
