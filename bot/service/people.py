"""Who somebody is, and whether they are one of those that the config names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import sqlalchemy as sa

from bot.deploys.config import Environment
from bot.deploys.config_parts import USER
from bot.deploys.errors import LookupFailed, PersonError, TryLater, problem_of
from bot.deploys.model import Asker, Deploy, Lock, Person, Vote
from bot.deploys.policy import Answer
from bot.deploys.ports import Directory, GitHub
from bot.service.configured import Configured
from bot.store import gates
from bot.store.engine import Store

LEVELS = ("read", "triage", "write", "maintain", "admin")  # of a person on a repository, the least first

YES = Answer(True)


class People:
    """Asks Slack and GitHub. A question that can't be answered is a no that says so, and never a yes."""

    def __init__(self, store: Store, github: GitHub, directory: Directory, configured: Configured) -> None:
        self._store = store
        self._github = github
        self._directory = directory
        self._configured = configured

    def person(self, asker: Asker) -> Person:
        """The person behind a Slack user: the config says who they are at GitHub, else their own `login` does."""
        with self._store.read() as connection:
            return self.person_in(connection, asker.id, asker.name, asker.login)

    def person_in(self, connection: sa.Connection, user_id: str, user_name: str = "", login: str = "") -> Person:
        """The same, within a transaction. `login` is what is known of somebody whom nobody in Slack is linked to."""
        known = self._configured.config.users.get(user_id) or gates.login_of(connection, user_id)
        return Person(user_id, user_name, known or login)

    def behind(self, connection: sa.Connection, deploy: Deploy) -> Person:
        """Whoever a deploy is for, as they are linked now."""
        return self.person_in(connection, deploy.user_id, deploy.user_name, deploy.login)

    def asker_of(self, login: str) -> Asker:
        """Whoever has that login at GitHub: as Slack knows them where they are linked, else by the login alone."""
        folded = login.casefold()
        listed = (user for user, known in self._configured.config.users.items() if known.casefold() == folded)
        user_id = next(listed, "")
        if not user_id and login:
            with self._store.read() as connection:
                user_id = gates.user_of(connection, login)
        return Asker(user_id, login, login)

    def keys_in(self, connection: sa.Connection, user_ids: Collection[str]) -> dict[str, str]:
        """Person.key of each of those Slack users, as they are linked now."""
        logins = {**gates.logins_of(connection, user_ids), **self._configured.config.users} if user_ids else {}
        return {user_id: Person(user_id, login=logins.get(user_id, "")).key for user_id in user_ids}

    def votes_now(self, connection: sa.Connection, number: int) -> list[Vote]:
        """What was said about a deploy, each voice that of the person as they are linked now."""
        return self.votes_of(connection, [number])[number]

    def votes_of(self, connection: sa.Connection, numbers: Sequence[int]) -> dict[int, list[Vote]]:
        """The same of many deploys."""
        votes = gates.votes_on(connection, numbers)
        keys = self.keys_in(connection, {vote.user_id for said in votes.values() for vote in said})
        return {number: [replace(vote, person=keys[vote.user_id]) for vote in said] for number, said in votes.items()}

    def locks_now(self, connection: sa.Connection, locks: Sequence[Lock]) -> list[Lock]:
        """Locks, each that of the person as they are linked now."""
        keys = self.keys_in(connection, {lock.user_id for lock in locks})
        return [replace(lock, person=keys[lock.user_id]) for lock in locks]

    def admin(self, person: Person) -> bool:
        return person.id in self._configured.config.admins

    def may_deploy(self, person: Person, environment: Environment, repository: str) -> Answer:
        """Whether they are one of `deployers` and GitHub gives them the `permission`. No transaction may be open."""
        listed = self.one_of(person, environment.deployers, repository) if environment.deployers else YES
        if not listed.yes:
            return listed
        wanted = environment.permission
        if wanted is None:
            return Answer(True, "listed" if environment.deployers else "anyone")
        if not person.login:
            return Answer(False, "unlinked", {"permission": wanted})
        try:
            has = self._github.permission(repository, person.login)
        except (PersonError, TryLater) as error:
            return _unknown(f"the permission of {person.login}", error)
        enough = has in LEVELS and LEVELS.index(has) >= LEVELS.index(wanted)
        return Answer(enough, "level", {"wanted": wanted, "has": has, "login": person.login})

    def one_of(self, person: Person, listed: Sequence[str], repository: str) -> Answer:
        """Whether they are one of the Slack users, usergroups and GitHub teams listed."""
        if person.id in listed:
            return YES
        accounts = [who for who in listed if re.match(USER, who)]
        if person.login and accounts:  # another account of the same person counts as well
            with self._store.read() as connection:
                if any(self.person_in(connection, who).key == person.key for who in accounts):
                    return YES
        failed: Answer | None = None
        teams = False
        for who in listed:
            if who in accounts:
                continue
            try:
                if who.startswith("@"):
                    teams = True
                    if person.login and self._github.in_team(repository, who[1:], person.login):
                        return YES
                elif person.id in self._directory.usergroup(who):
                    return YES
            except (PersonError, TryLater) as error:
                failed = _unknown(who, error)
        if failed is not None:
            return failed
        code = "team" if teams and not person.login else "deployers"
        return Answer(False, code, {"listed": list(listed)})


def _unknown(what: str, error: PersonError | TryLater) -> Answer:
    if isinstance(error, LookupFailed):
        return Answer(None, "unknown", {"what": error.what, "reason": error.reason})
    return Answer(None, "unknown", {"what": what, "problem": problem_of(error).as_json()})
