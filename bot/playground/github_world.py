"""The simulated GitHub's one state: who and what there is, under one lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from bot.playground.github_records import Records
from bot.playground.github_state import Json, Person, Repository

INSTALLATION_ID = 9_900_001
ROLES = ("none", "read", "triage", "write", "maintain", "admin")

# What the bot's token, or its app, is granted at first, by the names of fine-grained permissions.
FIRST_PERMISSIONS = {
    "metadata": "read",
    "contents": "write",
    "deployments": "write",
    "statuses": "write",
    "checks": "read",
    "pull_requests": "read",
    "repository_hooks": "write",
    "members": "read",
    "actions": "write",
}

# Each kind of thing counts from its own number, so that an id used for the wrong kind is never found.
_FIRST_IDS = {
    "user": 1_001,
    "repository": 70_001,
    "hook": 600_001,
    "deployment": 1_100_001,
    "deployment_status": 2_200_001,
    "check_run": 3_300_001,
    "check_suite": 4_400_001,
    "commit_status": 5_500_001,
    "pull": 6_600_001,
    "delivery": 7_700_001,
    "workflow_run": 8_800_001,
    "job": 9_900_001,
}


class Refused(Exception):
    """An answer of GitHub that is no success: its status, its message and, for some, its `errors`."""

    def __init__(self, status: int, message: str, errors: list[Json] | None = None, doc: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.doc = doc  # path below docs.github.com/rest


class World:
    """People and repositories under one `RLock`.

    `url` is the public root and has to be set by whoever serves the simulator, before anything is written
    down that carries an address. `on_change` are called without arguments, outside the lock, after each
    change.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        app_id: int | None = None,
        app_slug: str = "shipbot",
    ) -> None:
        self.url = "http://127.0.0.1:5000/github"
        self.now = now or (lambda: datetime.now(UTC))
        self.app_id = app_id
        self.app_slug = app_slug
        self.lock = threading.RLock()
        self.on_change: list[Callable[[], None]] = []
        self.people: dict[str, Person] = {}
        self.members: set[str] = set()  # logins that may write to every repository unless said otherwise
        self.teams: dict[str, set[str]] = {}  # "acme/release" to logins
        self.custom_roles: dict[str, str] = {}  # an organization's own: name to the role it is built on
        self.repositories: dict[str, Repository] = {}
        self.renamed: dict[str, Repository] = {}  # former full name, in lower case
        self.archives: dict[str, tuple[str, str, datetime]] = {}  # by their tokens: repository, commit, good until
        self.records = Records(lambda: self.url, self.app_body)
        self.token_permissions = dict(FIRST_PERMISSIONS)
        self._ids = dict(_FIRST_IDS)
        self._depth = 0

    @contextmanager
    def change(self) -> Iterator[None]:
        """Holds the lock; when the outermost change is done, tells `on_change` after letting go of it."""
        with self.lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                outermost = self._depth == 0
        if outermost:
            for tell in list(self.on_change):
                tell()

    def next_id(self, kind: str) -> int:
        with self.lock:
            number = self._ids[kind]
            self._ids[kind] += 1
            return number

    # People

    def person(self, login: str, *, kind: str = "User") -> Person:
        """The person of that login (in any case); made up when there is none yet."""
        with self.lock:
            known = self.find_person(login)
            if known is None:
                known = Person(self.next_id("user"), login, None, kind, self.now())
                self.people[login] = known
            return known

    def find_person(self, login: str) -> Person | None:
        with self.lock:
            return next((p for p in self.people.values() if p.login.lower() == login.lower()), None)

    def add_user(self, login: str, name: str | None = None) -> None:
        """Adds a person who may write to every repository until `set_permission` says otherwise."""
        with self.change():
            known = self.person(login)
            self.people[known.login] = Person(known.id, known.login, name, known.kind, known.created_at)
            self.members.add(known.login)

    def add_team(self, slug: str, members: list[str]) -> None:
        """Adds or replaces a team; `slug` is `organization/team`."""
        with self.change():
            self.person(slug.partition("/")[0], kind="Organization")
            self.teams[slug.lower()] = {self.person(login).login for login in members}

    def set_permission(self, full_name: str, login: str, role: str) -> None:
        """Gives a person a role: none, read, triage, write, maintain, admin, or one of `custom_roles`.

        Raises `ValueError` for another.
        """
        if role not in ROLES and role not in self.custom_roles:
            raise ValueError(f"no such role: {role}")
        with self.change():
            self.repository(full_name).permissions[self.person(login).login] = role

    def role_of(self, repo: Repository, person: Person) -> str:
        """What a person may do with a repository."""
        if person == repo.owner:
            return "admin"
        usual = "write" if person.login in self.members else "none" if repo.private else "read"
        return repo.permissions.get(person.login, usual)

    def app_body(self) -> Json:
        """The bot's app as the API shows it. Raises 404 when there is none."""
        if self.app_id is None:
            raise Refused(404, "Integration not found", doc="apps/apps")
        owner = self.person("acme", kind="Organization")
        return self.records.app(self.app_id, self.app_slug, owner, self.token_permissions)

    # Repositories

    def add_repository(
        self,
        full_name: str,
        *,
        default_branch: str = "main",
        private: bool = True,
        id: int | None = None,
    ) -> None:
        """Adds `owner/name` with one first commit on its default branch.

        An owner that nobody knows yet becomes an organization. Raises `ValueError` for a name that is taken
        or is not of the form `owner/name`.
        """
        owner, _, name = full_name.partition("/")
        if not owner or not name or "/" in name:
            raise ValueError(f"not an owner/name: {full_name}")
        with self.change():
            if self.find_repository(full_name) is not None:
                raise ValueError(f"{full_name} exists already")
            now = self.now()
            repo = Repository(
                id=self.next_id("repository") if id is None else id,
                full_name=full_name,
                owner=self.person(owner, kind="Organization"),
                default_branch=default_branch,
                private=private,
                created_at=now,
                pushed_at=now,
            )
            first = repo.add_commit("Initial commit", repo.owner, now, (), {"README.md": f"# {name}\n".encode()})
            repo.branches[default_branch] = first.sha
            self.repositories[full_name] = repo

    def fork_repository(self, full_name: str, owner: str) -> str:
        """Forks a repository to a person's account and returns its name. As at GitHub both share their commits: what
        is pushed to one can be found by its SHA in the other. Raises `KeyError`, and `ValueError` when it is there.
        """
        with self.change():
            repo = self.repository(full_name)
            name = f"{owner}/{repo.name}"
            if self.find_repository(name) is not None:
                raise ValueError(f"{name} exists already")
            now = self.now()
            self.repositories[name] = Repository(
                id=self.next_id("repository"),
                full_name=name,
                owner=self.person(owner),
                default_branch=repo.default_branch,
                private=repo.private,
                created_at=now,
                pushed_at=now,
                branches={repo.default_branch: repo.branches[repo.default_branch]},
                commits=repo.commits,
                fork=True,
            )
            return name

    def find_repository(self, full_name: str) -> Repository | None:
        """A repository by its present name, in any case."""
        with self.lock:
            wanted = full_name.lower()
            return next((r for name, r in self.repositories.items() if name.lower() == wanted), None)

    def repository(self, full_name: str) -> Repository:
        """A repository by its present name. Raises `KeyError`."""
        found = self.find_repository(full_name)
        if found is None:
            raise KeyError(full_name)
        return found

    def repository_by_id(self, number: int) -> Repository | None:
        with self.lock:
            return next((r for r in self.repositories.values() if r.id == number), None)

    def rename_repository(self, old: str, new: str) -> None:
        """Renames; the old name answers with a redirect from then on. Raises `KeyError` or `ValueError`."""
        with self.change():
            repo = self.repository(old)
            if self.find_repository(new) is not None:
                raise ValueError(f"{new} exists already")
            del self.repositories[repo.full_name]
            self.renamed[repo.full_name.lower()] = repo
            self.renamed.pop(new.lower(), None)
            repo.full_name = new
            repo.owner = self.person(new.partition("/")[0], kind="Organization")
            self.repositories[new] = repo

    def hide_repository(self, full_name: str, hidden: bool = True) -> None:
        """Takes a repository out of the bot's sight (its requests answer 404), or puts it back."""
        with self.change():
            self.repository(full_name).hidden = hidden

    def sha_of(self, repo: Repository, ref: str) -> str:
        """The SHA that `ref` names. Raises `KeyError`."""
        sha = repo.resolve(ref)
        if sha is None:
            raise KeyError(f"{repo.full_name} has no {ref}")
        return sha

    def head(self, full_name: str, branch: str) -> str:
        """The SHA at the head of a branch. Raises `KeyError`."""
        with self.lock:
            return self.repository(full_name).branches[branch]
