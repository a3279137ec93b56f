"""Previews: an environment for each pull request, for as long as it is open."""

from __future__ import annotations

import uuid
from dataclasses import replace

import sqlalchemy as sa

from bot.deploys import previews, states
from bot.deploys.config import Previews
from bot.deploys.errors import PersonError, PullNotOpen, problem_of
from bot.deploys.events import Event, PullRequest, PullRequestChanged
from bot.deploys.model import PREVIEW, RULE, TEARDOWN, Deploy, Problem, Wanted
from bot.deploys.previews import Preview, Step
from bot.service import core
from bot.service.hearing import Hearing
from bot.store import gates, jobs, records
from bot.store import previews as rows


class Previewing(Hearing):
    """The verbs `bring_about` and `put_away`, and what deploys to previews mean beside what all deploys do.

    An event only says how a pull request is now; one job for each preview, of which no two run at a time, brings
    about what that calls for. So it does not matter how often events come, nor in which order.
    """

    def on_event(self, event: Event) -> Deploy | None:
        """Hears of pull requests as well."""
        if isinstance(event, PullRequestChanged):
            for name, app in self.config.apps.items():
                if app.previews is not None and app.repository.casefold() == event.pull.repository.casefold():
                    pull = replace(event.pull, repository=app.repository)
                    self._heard_pull(name, app.previews, pull)
        return super().on_event(event)

    def start(self) -> None:
        """Goes on with what was left undone, too."""
        super().start()
        with self._store.write() as connection:
            for number in rows.unsettled(connection):
                self._preview_soon(connection, number)

    def bring_about(self, number: int) -> None:
        """Brings a preview to where it should be: asks for a deploy, or takes down what is there.

        Raises TryLater while GitHub can't be asked.
        """
        with self._store.read() as connection:
            preview = rows.get(connection, number)
        if preview is None or (config := self._config_of(preview)) is None:
            return
        if preview.doubts:
            self._make_sure(preview, config)
        with self._store.write() as connection:
            gates.claim(connection, [(preview.app, preview.environment)])
            now = rows.get(connection, number, lock=True)
            assert now is not None, "previews are never deleted"
            preview = now
            there = rows.deploys_at(connection, preview.app, preview.environment)
            step = previews.next_step(preview, config.teardown_task, there)
            self._take(connection, preview, step)
        if step.ask:
            self._ask_for_step(preview, config, step)

    def put_away(self, number: int) -> None:
        """Marks the deployment of a preview that is gone as inactive, which GitHub tells nobody.

        Raises TryLater while GitHub can't be asked; that GitHub refuses is said in the thread.
        """
        deploy = self.deploy(number)
        if deploy is None or deploy.deployment_id is None or not previews.is_active(deploy):
            return
        now = self._clock.now()
        try:
            self._mark_inactive(deploy, "The preview is gone")
        except PersonError:
            with self._store.write() as connection:
                deploy = self._locked(connection, number)
                records.add_step(connection, number, "problem", "not stopped", now, state="not_stopped")
                self._refresh(connection, deploy)
            return
        with self._store.write() as connection:
            deploy = self._held_in_place(connection, deploy)
            if not previews.is_active(deploy):
                return
            if deploy.final:
                records.update_deploy(connection, number, inactive_at=now)
            else:
                ended = {"finished_at": now, "inactive_at": now, "in_line": False}
                records.update_deploy(connection, number, state=states.INACTIVE, **ended)
                self._free(connection, deploy)
                self._reached(deploy.app, deploy.environment, states.INACTIVE)
            records.add_step(connection, number, "gone", "gone", now, state=states.INACTIVE)
            self._refresh(connection, deploy)

    def decide(self, number: int) -> None:
        """Ends what waits for a preview in vain before anything else is asked."""
        deploy = self.deploy(number)
        if deploy is not None and deploy.preview is not None and deploy.state == states.HELD:
            with self._store.write() as connection:
                deploy = self._held_in_place(connection, deploy)
                preview = rows.get(connection, deploy.preview or 0)
                if preview is None or deploy.state != states.HELD:
                    return
                if why := previews.over(preview, deploy):
                    self._withdraw(connection, preview, number, why)
                    return
        super().decide(number)

    # hearing

    def _heard_pull(self, app: str, config: Previews, pull: PullRequest) -> None:
        now = self._clock.now()
        with self._store.write() as connection:
            known = rows.of_pull(connection, app, pull.number, lock=True)
            if known is None:
                key, environment = str(uuid.uuid4()), config.name(pull.number)
                first = previews.first_heard(app, environment, key, pull, config.label, now)
                added = rows.add(connection, first)
                if added is not None:
                    self._preview_soon(connection, added.id)
                    return
                known = rows.of_pull(connection, app, pull.number, lock=True)  # another worker was quicker
                assert known is not None
            new = previews.heard(known, pull, config.label)
            if new.gone or not new.asks:  # nothing is where the config called it so far
                new = replace(new, environment=config.name(new.pull))
            self._keep(connection, known, new)

    def _keep(self, connection: sa.Connection, known: Preview, new: Preview) -> None:
        """Stores what is new of a preview, which is held, and leaves what follows from it to the job."""
        if new == known:
            return
        rows.store(connection, new)
        self._preview_soon(connection, new.id)
        if (new.title, new.author) != (known.title, known.author):
            self._show_preview(connection, new.id)

    def _make_sure(self, preview: Preview, config: Previews) -> None:
        """Two events of one second told different things: GitHub knows which is true."""
        try:
            pull = self._github.pull_request(preview.repository, preview.pull)
        except PersonError as error:  # the next event may tell, or the next start
            self._tell_author(preview, error, f"doubt:{preview.updated_at.isoformat()}")
            pull = None
        with self._store.write() as connection:
            known = rows.get(connection, preview.id, lock=True)
            assert known is not None
            if pull is not None:
                # What came in while GitHub was asked may raise a doubt of its own.
                sure = replace(known, doubts=max(0, known.doubts - preview.doubts))
                self._keep(connection, known, previews.heard(sure, pull, config.label, sure=True))

    # doing

    def _take(self, connection: sa.Connection, preview: Preview, step: Step) -> None:
        """Does of a step what needs nobody outside. The place and the preview are held."""
        if step.settled:
            rows.update(connection, preview.id, due=False, gone=True)
        if step.asked:
            rows.update(connection, preview.id, asked_sha=preview.sha)
        for number, why in step.withdraw:
            self._withdraw(connection, preview, number, why)
        for number in step.put_away:
            self._put_away_soon(connection, number)
        if step.settled:
            self._show_preview(connection, preview.id)

    def _ask_for_step(self, preview: Preview, config: Previews, step: Step) -> None:
        """Asks for the deploy that a step calls for, as anybody would."""
        room = next(iter(self._rooms(self.config.apps[preview.app], preview.environment)), "")
        if not room:
            return
        wanted = Wanted(
            target=f"{preview.app}/{step.ref}",
            environment=preview.environment,
            task="deploy" if step.ask == PREVIEW else config.teardown_task or "",
            sha=step.sha,
            cause=step.ask,
            origin=RULE,
            pull=preview.pull,
            author=preview.author,
        )
        asker = self.people.asker_of(preview.author)
        source = f"preview:{preview.id}:{preview.asks + 1}"
        try:
            self.request(wanted, asker, room=room, source=source, fresh=False)
            with self._store.write() as connection:
                now = rows.get(connection, preview.id, lock=True)
                if now is not None and now.asks == preview.asks:  # somebody was quicker, and it is theirs
                    done = {"asked_sha": step.sha} if step.ask == PREVIEW else {"due": False}
                    rows.update(connection, preview.id, **done)
        except PullNotOpen:
            pass  # it was closed meanwhile, and the job for that waits
        except PersonError as error:
            self._tell_author(preview, error, source)

    def _withdraw(self, connection: sa.Connection, preview: Preview, number: int, why: str) -> None:
        problem = Problem("PullOver", {"pull": preview.pull, "why": why})
        self._end(connection, self._locked(connection, number), states.CANCELLED, problem)
        if why != previews.WANTED:
            return
        # What was to be taken down stays, and is what the card shows again.
        there = rows.deploys_at(connection, preview.app, preview.environment)
        stays = previews.last_up(preview, there)
        if stays is not None and records.hand_over_cards(connection, preview.id, stays.number):
            records.add_step(connection, stays.number, "kept", str(number), self._clock.now())
            self._refresh(connection, stays)

    def _tell_author(self, preview: Preview, error: PersonError, key: str) -> None:
        """What can't be done for a preview is told to whoever wrote the pull request, else to the admins."""
        author = self.people.asker_of(preview.author).id
        with self._store.write() as connection:
            for user_id in [author] if author else self.config.admins:
                facts = problem_of(error).as_json()
                self._tell(connection, user_id, "problem", facts, f"preview:{preview.id}:{key}:{user_id}")

    def _config_of(self, preview: Preview) -> Previews | None:
        app = self.config.apps.get(preview.app)
        return app.previews if app is not None and app.repository == preview.repository else None

    def _preview_soon(self, connection: sa.Connection, number: int) -> None:
        job = jobs.new_job(core.PREVIEW, {"preview": number}, subject=f"preview:{number}")
        jobs.add(connection, job, self._clock.now())

    def _put_away_soon(self, connection: sa.Connection, number: int) -> None:
        jobs.add(connection, jobs.new_job(core.GONE, {"deploy": number}, subject=f"gone:{number}"), self._clock.now())

    def _show_preview(self, connection: sa.Connection, number: int) -> None:
        newest = rows.newest(connection, number)
        if newest is not None:
            self._refresh(connection, newest)

    # what deploys mean for their preview

    def _joins(self, connection: sa.Connection, deploy: Deploy) -> None:
        """The card of the preview shows the newest of its deploys, and what a rule asked for is remembered."""
        super()._joins(connection, deploy)
        preview = rows.get(connection, deploy.preview, lock=True) if deploy.preview is not None else None
        if preview is None:
            return
        if records.hand_over_cards(connection, preview.id, deploy.number):
            records.add_step(connection, deploy.number, "asked", "asked", self._clock.now(), actor=deploy.user_id)
        asks = preview.asks + 1 if deploy.automatic else preview.asks
        if deploy.cause == TEARDOWN:
            rows.update(connection, preview.id, asks=asks, due=False)
            return
        asked = deploy.sha if deploy.cause == PREVIEW else preview.asked_sha
        rows.update(connection, preview.id, asks=asks, asked_sha=asked, gone=False)
        if not preview.open:  # it was closed in this very moment
            rows.update(connection, preview.id, due=True)
            self._preview_soon(connection, preview.id)

    def _free(self, connection: sa.Connection, deploy: Deploy) -> None:
        super()._free(connection, deploy)
        preview = rows.get(connection, deploy.preview) if deploy.preview is not None else None
        if preview is not None and preview.due:  # it may have waited for just this one to end
            self._preview_soon(connection, preview.id)

    def _ended(self, connection: sa.Connection, deploy: Deploy, state: str) -> None:
        super()._ended(connection, deploy, state)
        if state == states.SUCCESS and deploy.cause == TEARDOWN and deploy.preview is not None:
            there = rows.deploys_at(connection, deploy.app, deploy.environment)
            for other in there:
                if other.number <= deploy.number and previews.is_active(other):
                    self._put_away_soon(connection, other.number)
            comes = any(other.number > deploy.number and previews.comes_up(other) for other in there)
            rows.update(connection, deploy.preview, gone=not comes)
