"""Deploys that another one leads to: trying again, going back, carrying on."""

from __future__ import annotations

from itertools import dropwhile

import sqlalchemy as sa

from bot.deploys import states
from bot.deploys.errors import NothingBefore, NothingLive, NotLive, NotRetriable
from bot.deploys.model import HUMAN, PROMOTION, RETRY, ROLLBACK, RULE, TEARDOWN, Asker, Deploy, Wanted
from bot.service.asking import Asking
from bot.store import gates, records

FAR_BACK = 200  # successes in which one to go back to is looked for


class Again(Asking):
    """The verbs `retry`, `rollback`, `roll_back_from` and `promote`. Each asks for a deploy by the same door as a
    person does, with the same gates, and raises what `request` raises."""

    def retry(self, number: int, asker: Asker, *, room: str, source: str) -> Deploy:
        """The same once more: commit, place, task and hosts. Raises UnknownDeploy and NotRetriable."""
        if (known := self._asked_before(source)) is not None:
            return known
        deploy = self._known(number)
        # What GitHub Actions ran is run again there.
        if deploy.protected or deploy.state == states.SUCCESS or not (deploy.final or deploy.state == states.LOST):
            raise NotRetriable(number, deploy.state)
        # What takes one back again takes back the same, and what takes a preview down still does.
        kept = deploy.cause in (ROLLBACK, TEARDOWN)
        wanted = Wanted(
            target=f"{deploy.app}/{deploy.ref}",
            environment=deploy.environment,
            hosts=deploy.hosts,
            task=deploy.task,
            force=deploy.forced,
            reason=deploy.reason,
            sha=deploy.sha,
            cause=deploy.cause if kept else RETRY,
            of=deploy.of if kept else number,
            pull=deploy.pull,
            author=deploy.author,
        )
        return self.request(wanted, asker, room=self._from(deploy, deploy.room, room), source=source)

    def rollback(
        self, target: str, environment: str | None, to: str, asker: Asker, *, room: str, source: str, reason: str = ""
    ) -> Deploy:
        """Goes back to what succeeded there before what is live, or to the ref that is named.

        Failed and forced deploys, and those that were taken back themselves, are passed over. Raises NothingLive
        and NothingBefore.
        """
        if (known := self._asked_before(source)) is not None:
            return known
        name, app = self.config.app(target)
        place, _ = self.config.environment(name, environment)
        live = self._live(name, place)
        if to:
            sha = self._commit(app.repository, to).sha  # pinned, since what goes back is never merged into
            wanted = Wanted(f"{name}/{to}", place, reason=reason, sha=sha, cause=ROLLBACK, of=live.number)
        else:
            wanted = _back_to(self._good_before(live), live, reason)
        return self.request(wanted, asker, room=room, source=source)

    def roll_back_from(self, number: int, asker: Asker, *, room: str, source: str) -> Deploy:
        """Undoes one deploy: a live one by what was there before, a failed one by what is live once more.

        Raises UnknownDeploy, NotRetriable for one that is neither, NothingLive and NothingBefore.
        """
        if (known := self._asked_before(source)) is not None:
            return known
        deploy = self._known(number)
        live = self._live(deploy.app, deploy.environment)
        if live.number != number and deploy.state not in (states.FAILURE, states.ERROR, states.LOST):
            raise NotRetriable(number, deploy.state)
        back = self._good_before(live) if live.number == number else live
        return self.request(
            _back_to(back, deploy, ""), asker, room=self._from(deploy, deploy.room, room), source=source
        )

    def promote(self, target: str, here: str, there: str, asker: Asker, *, room: str, source: str) -> Deploy:
        """Asks for what is live in one environment to go to another: that very commit. Raises NothingLive."""
        if (known := self._asked_before(source)) is not None:
            return known
        name, _ = self.config.app(target)
        source_place, _ = self.config.environment(name, here)
        place, _ = self.config.environment(name, there)
        live = self._live(name, source_place)
        wanted = _carried(live, place)
        return self.request(wanted, asker, room=room, source=source)

    def promote_on(self, number: int, environment: str, asker: Asker, *, room: str, source: str) -> Deploy:
        """Asks for the very commit of a deploy that is live to go to a further environment as well.

        Raises UnknownDeploy, UnknownEnvironment, NothingLive, and NotLive when something else is by now.
        """
        if (known := self._asked_before(source)) is not None:
            return known
        deploy = self._known(number)
        self.config.app(deploy.app)  # it may have left the config
        place, _ = self.config.environment(deploy.app, environment)
        live = self._live(deploy.app, deploy.environment)
        if live.number != number:
            raise NotLive(number, live.number)
        wanted = _carried(deploy, place)
        return self.request(wanted, asker, room=self._from(deploy, room, deploy.room), source=source)

    def onward(self, connection: sa.Connection, deploy: Deploy) -> list[str]:
        """Where a deploy that is live may go next: what is promoted from its environment or comes after it, and
        neither runs its commit nor is about to."""
        app = self.config.apps.get(deploy.app)
        if app is None or not deploy.whole:
            return []
        return [
            name
            for name, environment in app.environments.items()
            if (environment.promote_from == deploy.environment or deploy.environment in environment.after)
            and not self._coming(connection, deploy, name)
            and ((live := records.live(connection, deploy.app, name, whole=True)) is None or live.sha != deploy.sha)
        ]

    def carry_on(self, number: int, environment: str) -> Deploy | None:
        """Promotes one success to an environment, as its `promote_from` says; None when that says so no more, and where
        that very commit is live already.

        It is for whoever asked for the first, in the room where they did, else in the app's own. Raises TryLater.
        """
        deploy = self.deploy(number)
        app = self.config.apps.get(deploy.app) if deploy is not None else None
        if deploy is None or app is None or environment not in app.environments:
            return None
        if app.environments[environment].promote_from != deploy.environment:
            return None
        with self._store.read() as connection:
            live = records.live(connection, deploy.app, environment, whole=True)
            running = gates.running(connection, deploy.app, environment)
        if live is not None and live.sha == deploy.sha and running is None:
            return None
        asker = Asker(deploy.user_id, deploy.user_name, deploy.login)
        # What a rule began it carries on; what a person began is theirs, and they must be allowed to.
        wish = _carried(deploy, environment, origin=RULE if deploy.automatic else HUMAN)
        source = f"promotion:{number}:{environment}"
        return self._by_rule(environment, wish, asker, source=source, room=deploy.room)

    def _from(self, deploy: Deploy, *rooms: str) -> str:
        """The first of those rooms that its app may be deployed from, else the first that it may be: the card that was
        clicked is one that was announced, and the only one of what a rule asked for."""
        app = self.config.apps.get(deploy.app)
        may = app.rooms if app is not None else ()
        return next((room for room in (*rooms, *may) if room and (not may or room in may)), "")

    def _live(self, app: str, environment: str) -> Deploy:
        """What is live there. Raises NothingLive."""
        with self._store.read() as connection:
            live = records.live(connection, app, environment, whole=True)
        if live is None:
            raise NothingLive(app, environment)
        return live

    def _good_before(self, live: Deploy) -> Deploy:
        """What was live before, and was good. Raises NothingBefore."""
        with self._store.read() as connection:
            past = records.successes(connection, live.app, live.environment, limit=FAR_BACK)
        bad = {live.sha}  # however often it had gone out before
        for deploy in dropwhile(lambda deploy: deploy.number != live.number, past):
            if deploy.undone_by is not None:
                bad.add(deploy.sha)
            elif deploy.sha not in bad and not deploy.forced:
                return deploy
        raise NothingBefore(live.app, live.environment, live.number)


def _carried(deploy: Deploy, environment: str, *, origin: str = HUMAN) -> Wanted:
    return Wanted(
        f"{deploy.app}/{deploy.ref}",
        environment,
        sha=deploy.sha,
        cause=PROMOTION,
        of=deploy.number,
        origin=origin,
        pull=deploy.pull,
        author=deploy.author,
    )


def _back_to(before: Deploy, bad: Deploy, reason: str) -> Wanted:
    return Wanted(
        target=f"{bad.app}/{before.ref}",
        environment=bad.environment,
        reason=reason,
        sha=before.sha,
        cause=ROLLBACK,
        of=bad.number,
    )
