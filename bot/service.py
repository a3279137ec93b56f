"""The verbs. Each reads what it needs from GitHub first, then decides and commits in one transaction.

Nothing here is Slack's or a webhook's: doors call the verbs, workers call them again for what is still to be
done, and every verb may be called twice for the same thing without doing it twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from bot.deploys import states
from bot.deploys.clock import Clock
from bot.deploys.config import Config, Environment
from bot.deploys.errors import (
    BranchMoved,
    NotConfigured,
    PersonError,
    TryLater,
    Unavailable,
    UnknownRef,
    problem_of,
)
from bot.deploys.events import Deployment, DeploymentCreated, Event, Pinged, Status, StatusReported
from bot.deploys.model import ELSEWHERE, HUMAN, Asker, Change, Commit, Deploy, Problem, Wanted, short
from bot.deploys.nearest import nearest
from bot.deploys.ports import GitHub, Merged, NewDeployment
from bot.store import jobs, records
from bot.store.engine import Store

# Kinds of jobs that the verbs leave behind; `bot/app.py` says who does them.
CARD, CREATE, CHANGE, PAST = "card", "create", "change", "past"

# After an hour without GitHub nobody expects a deploy to start by itself any more.
GIVE_UP = timedelta(hours=1)
PAST_DEPLOYMENTS = 50  # of each repository, read once so that a new bot knows what is live
MERGES = 3  # auto-merges in a row for one deploy; a busy default branch needs two at most
SUBJECTS = 3  # commit subjects kept for the card
DESCRIPTION = 140  # characters; GitHub's limit for statuses, kept for deployments too


class Service:
    """What can be done with deploys. Thread-safe; `github` is too.

    `reached` is told of each state that a deploy comes to: the app, the environment, the state.
    """

    def __init__(
        self,
        store: Store,
        github: GitHub,
        config: Config,
        clock: Clock,
        reached: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self._reached = reached or (lambda app, environment, state: None)
        self._store = store
        self._github = github
        self.config = config
        self._clock = clock

    def request(
        self,
        wanted: Wanted,
        asker: Asker,
        *,
        room: str,
        source: str,
        message_id: str = "",
        thread_id: str = "",
    ) -> Deploy:
        """Takes in a person's wish and returns the deploy it became.

        `source` is the delivery it came with: asking again with the same one returns the same deploy.
        Raises the person's errors for what can't be deployed, and TryLater while GitHub can't be asked.
        """
        with self._store.read() as connection:
            known = records.deploy_by_source(connection, source)
        if known is not None:
            return known
        name, app, ref = self.config.target(wanted.target)
        environment_name, environment = self.config.environment(name, wanted.environment)
        self.config.check_room(name, room)
        ref = ref or app.default_ref or self._github.default_branch(app.repository)
        commit = self._commit(app.repository, ref)
        # Only a branch can be merged into; of a tag or commit the config's wish means nothing.
        merge = environment.auto_merge and self._github.branch_head(app.repository, ref) is not None
        now = self._clock.now()
        with self._store.write() as connection:
            deploy = records.add_deploy(
                connection,
                source,
                {
                    "id": str(uuid.uuid4()),
                    "origin": HUMAN,
                    "app": name,
                    "repository": app.repository,
                    "environment": environment_name,
                    "ref": ref,
                    "sha": commit.sha,
                    "task": wanted.task,
                    "hosts": wanted.hosts,
                    "forced": wanted.force,
                    "auto_merge": merge,
                    "reason": wanted.reason,
                    "subject": commit.subject,
                    "user_id": asker.id,
                    "user_name": asker.name,
                    "room": room,
                    "message_id": message_id,
                    "thread_id": thread_id,
                    "state": states.ASKED,
                    "asked_at": now,
                },
            )
            if deploy is None:  # another worker took the same command in while GitHub was asked
                deploy = records.deploy_by_source(connection, source)
                assert deploy is not None
                return deploy
            records.add_card(connection, deploy.number, room)
            self._refresh(connection, deploy)
            data = {"deploy": deploy.number}
            jobs.add(connection, jobs.new_job(CREATE, data, subject=f"create:{deploy.number}"), now)
            jobs.add(connection, jobs.new_job(CHANGE, data, subject=f"change:{deploy.number}"), now)
        return deploy

    def create(self, number: int, attempt: int) -> None:
        """Creates the deployment of a deploy at GitHub, unless that is done.

        `attempt` counts from 1. From the second on, GitHub is searched for what an earlier one may have
        written before it writes again. Raises TryLater while GitHub can't be asked; the card says so.
        """
        with self._store.read() as connection:
            deploy = records.deploy(connection, number)
        if deploy is None or deploy.state != states.ASKED:
            return
        try:
            created = self._create(deploy, look_first=attempt > 1)
        except UnknownRef:
            unknown = self._unknown_ref(deploy.repository, deploy.ref)
            self._end(number, states.REFUSED, problem_of(unknown))
            return
        except TryLater as error:
            if self._clock.now() - deploy.asked_at >= GIVE_UP:
                self._end(number, states.LOST, problem_of(error))
                return
            self._note(number, problem_of(error))
            raise
        except PersonError as error:
            self._end(number, states.REFUSED, problem_of(error))
            return
        with self._store.write() as connection:
            current = self._locked(connection, number)
            # A branch that moved in the very moment went out as it was then: GitHub's record is the truth.
            values: dict[str, Any] = {"deployment_id": created.id, "sha": created.sha, "problem": None}
            if current.created_at is None:
                values["created_at"] = created.created_at
            if current.state in (states.ASKED, states.LOST):  # else a webhook was quicker than the answer
                values |= {"state": states.CREATED, "finished_at": None}
            records.update_deploy(connection, number, **values)
            self._show(connection, number)

    def lose(self, number: int) -> Deploy:
        """Something of ours broke while the deployment was created: whether GitHub has it is not known."""
        self._end(number, states.LOST, None)
        with self._store.read() as connection:
            deploy = records.deploy(connection, number)
        assert deploy is not None
        return deploy

    def describe_change(self, number: int) -> None:
        """Finds out what a deploy brings compared with what is live, for its card."""
        with self._store.read() as connection:
            deploy = records.deploy(connection, number)
            assert deploy is not None
            before = records.live(connection, deploy.app, deploy.environment)
        if before is None or before.number >= number:
            return
        try:
            compared = self._github.compare(deploy.repository, before.sha, deploy.sha)
        except PersonError:
            return  # the card says what GitHub refuses where it matters; this line it can do without
        except TryLater:
            if self._clock.now() - deploy.asked_at >= GIVE_UP:
                return  # some comparisons GitHub never comes to the end of
            raise
        if compared is None:
            return
        change = Change(
            base=before.sha,
            count=compared.ahead,
            url=compared.url,
            subjects=tuple(commit.subject for commit in compared.commits[-SUBJECTS:]),
            behind=compared.behind,
            live_since=before.finished_at,
        )
        with self._store.write() as connection:
            self._locked(connection, number)
            records.update_deploy(connection, number, change=change)
            self._show(connection, number)

    def on_event(self, event: Event) -> Deploy | None:
        """Takes in what GitHub tells; returns the deploy it is about, None when it is about none of ours."""
        match event:
            case Pinged():
                with self._store.write() as connection:
                    records.remember(connection, f"ping:{event.hooked}", event.zen, self._clock.now())
                return None
            case DeploymentCreated(deployment):
                return self._take_in(deployment, (), announce=True)
            case StatusReported(deployment, status):
                return self._take_in(deployment, (status,), announce=True)

    def read_past(self, repository: str) -> None:
        """Reads what was deployed before this bot came, once for each repository, without telling rooms.

        A repository that GitHub does not let us read is left for the next start; `check` says what it lacks.
        """
        fact = f"past:{repository}"
        with self._store.read() as connection:
            if records.fact(connection, fact) is not None:
                return
        try:
            past = list(self._github.past_deployments(repository, PAST_DEPLOYMENTS))
        except PersonError:
            return
        for deployment, statuses in reversed(past):
            self._take_in(deployment, sorted(statuses, key=lambda status: status.id), announce=False)
        with self._store.write() as connection:
            records.remember(connection, fact, len(past), self._clock.now())

    def start(self) -> None:
        """Leaves the jobs that a start calls for."""
        now = self._clock.now()
        with self._store.write() as connection:
            for repository in {app.repository for app in self.config.apps.values()}:
                if records.fact(connection, f"past:{repository}") is None:
                    job = jobs.new_job(
                        PAST,
                        {"repository": repository},
                        subject=f"past:{repository}",
                        priority=jobs.BACKGROUND,
                    )
                    jobs.add(connection, job, now)

    def _commit(self, repository: str, ref: str) -> Commit:
        commit = self._github.commit(repository, ref)
        if commit is None:
            raise self._unknown_ref(repository, ref)
        return commit

    def _unknown_ref(self, repository: str, ref: str) -> UnknownRef:
        try:
            names = self._github.refs(repository)
        except (PersonError, TryLater):
            names = []  # the near names are a help, and no reason to say something else
        return UnknownRef(repository, ref, nearest(ref, [name for name in names if name != ref]))

    # creating

    def _create(self, deploy: Deploy, *, look_first: bool) -> Deployment:
        environment = self._environment(deploy)
        for _ in range(MERGES):
            if look_first:
                found = self._github.find_deployment(deploy.repository, deploy.environment, deploy.task, deploy.id)
                if found is not None:
                    return found
            if deploy.auto_merge:
                head = self._github.branch_head(deploy.repository, deploy.ref)
                if head is not None and look_first and self._is_merge(deploy, head):
                    deploy = self._merged(deploy, head)  # the answer that told of the merge was lost
                elif head is None or head.sha != deploy.sha:
                    raise BranchMoved(deploy.ref, deploy.sha, head.sha if head else "")
            created = self._github.create_deployment(self._new_deployment(deploy, environment))
            if not isinstance(created, Merged):
                return created
            head = self._github.branch_head(deploy.repository, deploy.ref)
            if head is None or not self._is_merge(deploy, head):
                raise BranchMoved(deploy.ref, deploy.sha, head.sha if head else "")
            deploy = self._merged(deploy, head)
        raise Unavailable("GitHub", "the default branch moves faster than it can be merged")

    def _new_deployment(self, deploy: Deploy, environment: Environment) -> NewDeployment:
        production = environment.production_environment
        required: Sequence[str] | None = [] if deploy.forced else environment.required_contexts
        return NewDeployment(
            repository=deploy.repository,
            ref=deploy.ref if deploy.auto_merge else deploy.sha,
            task=deploy.task,
            environment=deploy.environment,
            auto_merge=deploy.auto_merge,
            required_contexts=required,
            production_environment=deploy.environment == "production" if production is None else production,
            transient_environment=environment.transient_environment,
            description=_description(deploy),
            payload={
                "user": deploy.user_name,
                "room_id": deploy.room,
                "name": deploy.app,
                "hosts": deploy.hosts,
                "ref": deploy.ref,
                "notify": {
                    "adapter": "slack",
                    "room": deploy.room,
                    "user": deploy.user_id,
                    "user_name": deploy.user_name,
                    "message_id": deploy.message_id,
                    "thread_id": deploy.thread_id,
                },
                "shipbot": {
                    "id": deploy.id,
                    "number": deploy.number,
                    "forced": deploy.forced,
                    "approved_by": [],
                },
                "config": self.config.apps[deploy.app].payload,
            },
        )

    def _environment(self, deploy: Deploy) -> Environment:
        app = self.config.apps.get(deploy.app)
        environment = app.environments.get(deploy.environment) if app else None
        if environment is None:
            raise NotConfigured(deploy.app, deploy.environment)
        return environment

    def _is_merge(self, deploy: Deploy, head: Commit) -> bool:
        """Whether `head` is the commit that was asked for with the default branch merged in, and nothing else.

        A commit that somebody pushed on top has that commit for a parent too, and nobody asked for it.
        """
        if len(head.parents) != 2 or head.parents[0] != deploy.sha:
            return False
        default = self._github.default_branch(deploy.repository)
        compared = self._github.compare(deploy.repository, default, head.parents[1])
        return compared is not None and compared.ahead == 0

    def _merged(self, deploy: Deploy, head: Commit) -> Deploy:
        """GitHub merged the default branch into the ref: the merge commit is what goes out now."""
        with self._store.write() as connection:
            self._locked(connection, deploy.number)
            records.update_deploy(connection, deploy.number, sha=head.sha)
            records.add_step(
                connection,
                deploy.number,
                "merged",
                head.sha,
                self._clock.now(),
                description=head.subject,
                actor=short(head.sha),
            )
            return self._show(connection, deploy.number)

    def _note(self, number: int, problem: Problem) -> None:
        """The deploy stands still for now; its card says why."""
        with self._store.write() as connection:
            if self._locked(connection, number).state != states.ASKED:
                return  # a webhook was quicker: GitHub has it after all
            records.update_deploy(connection, number, problem=problem)
            self._show(connection, number)

    def _end(self, number: int, state: str, problem: Problem | None) -> None:
        """The deploy ends without GitHub's record of it."""
        now = self._clock.now()
        with self._store.write() as connection:
            if self._locked(connection, number).state != states.ASKED:
                return  # a webhook was quicker: GitHub has it after all
            records.update_deploy(connection, number, state=state, problem=problem, finished_at=now)
            records.add_step(connection, number, "problem", state, now, state=state)
            deploy = self._show(connection, number)
        self._reached(deploy.app, deploy.environment, state)

    # what GitHub tells

    def _take_in(self, told: Deployment, statuses: Iterable[Status], *, announce: bool) -> Deploy | None:
        app = self.config.apps_for(told.repository, told.environment, str(told.payload.get("name", "")))
        with self._store.write() as connection:
            deploy = self._find(connection, told)
            if deploy is None:
                if app is None:
                    return None
                deploy = self._adopt(connection, told, app)
            if deploy.deployment_id is None:
                records.update_deploy(
                    connection, deploy.number, deployment_id=told.id, sha=told.sha, created_at=told.created_at
                )
                if deploy.state in (states.ASKED, states.LOST):
                    records.update_deploy(
                        connection, deploy.number, state=states.CREATED, problem=None, finished_at=None
                    )
                deploy = self._locked(connection, deploy.number)
            for status in statuses:
                deploy = self._report(connection, deploy, status)
            if announce:
                self._announce(connection, deploy)
                self._refresh(connection, deploy)
            return deploy

    def _find(self, connection: sa.Connection, told: Deployment) -> Deploy | None:
        repository = self._spelling(told.repository)
        deploy = records.deploy_by_deployment(connection, repository, told.id)
        if deploy is not None or not told.our_id:
            return deploy
        # Whoever may write to the repository can copy an id into a payload: it counts only for the deploy
        # that asked for just this, and only until GitHub's own id is known.
        deploy = records.deploy_by_id(connection, told.our_id)
        if (
            deploy is not None
            and deploy.deployment_id is None
            and deploy.repository == repository
            and deploy.environment == told.environment
            and deploy.task == told.task
            and (deploy.auto_merge or deploy.sha == told.sha)
        ):
            return deploy
        return None

    def _adopt(self, connection: sa.Connection, told: Deployment, app: str) -> Deploy:
        """A deployment that somebody made without this bot gets a number and a timeline too."""
        repository = self._spelling(told.repository)
        source = f"github:{repository}:{told.id}"
        deploy = records.add_deploy(
            connection,
            source,
            {
                "id": str(uuid.uuid4()),
                "origin": ELSEWHERE,
                "app": app,
                "repository": repository,
                "environment": told.environment,
                "ref": told.ref,
                "sha": told.sha,
                "task": told.task,
                "reason": told.description,
                "user_name": told.creator,
                "state": states.CREATED,
                "asked_at": told.created_at,
                "created_at": told.created_at,
                "deployment_id": told.id,
            },
        )
        # Another worker's: held like every deploy that is found, since its state may be changed next.
        deploy = deploy or records.deploy_by_source(connection, source, lock=True)
        assert deploy is not None
        return deploy

    def _report(self, connection: sa.Connection, deploy: Deploy, status: Status) -> Deploy:
        newer = status.id > deploy.last_status_id
        fresh = records.add_step(
            connection,
            deploy.number,
            "status",
            str(status.id),
            status.created_at,
            state=status.state,
            actor=status.creator,
            description=status.description,
            log_url=status.log_url,
            environment_url=status.environment_url,
            late=deploy.final or not (newer or states.is_final(status.state)),
        )
        if not fresh:
            return deploy
        state = states.advance(deploy.state, status.state, newer=newer)
        values: dict[str, Any] = {"last_status_id": max(status.id, deploy.last_status_id)}
        if state != deploy.state:
            ended = status.created_at if states.is_final(state) else None
            values |= {"state": state, "problem": None, "finished_at": ended}
            self._reached(deploy.app, deploy.environment, state)
        if deploy.final and newer and status.state == states.INACTIVE:
            values["inactive_at"] = status.created_at
        if not deploy.final and (newer or states.is_final(state)):
            values["description"] = status.description
        for name in ("log_url", "environment_url"):
            value = getattr(status, name)
            if value and (newer or not getattr(deploy, name)):
                values[name] = value
        records.update_deploy(connection, deploy.number, **values)
        return self._locked(connection, deploy.number)

    def _announce(self, connection: sa.Connection, deploy: Deploy) -> None:
        """Gives the deploy a card in the rooms that want to hear of it."""
        app = self.config.apps.get(deploy.app)
        for announcement in app.announce if app else ():
            if announcement.wants(deploy.environment, deploy.state):
                records.add_card(connection, deploy.number, announcement.room)

    def _spelling(self, repository: str) -> str:
        """The repository as the config spells it; GitHub doesn't mind the case."""
        folded = repository.casefold()
        names = (app.repository for app in self.config.apps.values())
        return next((name for name in names if name.casefold() == folded), repository)

    # cards

    def _locked(self, connection: sa.Connection, number: int) -> Deploy:
        deploy = records.deploy(connection, number, lock=True)
        assert deploy is not None
        return deploy

    def _show(self, connection: sa.Connection, number: int) -> Deploy:
        deploy = self._locked(connection, number)
        self._announce(connection, deploy)
        self._refresh(connection, deploy)
        return deploy

    def _refresh(self, connection: sa.Connection, deploy: Deploy) -> None:
        """Asks the outbox to bring the deploy's cards up to date; what is final goes first."""
        priority = jobs.FIRST if deploy.final or deploy.state == states.ASKED else jobs.NORMAL
        for room in records.card_rooms(connection, deploy.number):
            job = jobs.new_job(
                CARD,
                {"deploy": deploy.number, "room": room},
                subject=f"card:{deploy.number}:{room}",
                priority=priority,
            )
            jobs.add(connection, job, self._clock.now())


def _description(deploy: Deploy) -> str:
    by = f" by {deploy.user_name}" if deploy.user_name else ""
    because = f": {deploy.reason}" if deploy.reason else ""
    text = f"{deploy.app} {deploy.ref} to {deploy.environment}{by}{because}"
    return text if len(text) <= DESCRIPTION else text[: DESCRIPTION - 1] + "…"
