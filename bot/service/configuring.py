"""What repositories say of their apps: when it is read, what is kept of it, and who is told that it broke."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
import structlog

from bot.deploys.config import App
from bot.deploys.config_file import ConfigError
from bot.deploys.errors import PersonError
from bot.deploys.events import Pushed
from bot.deploys.model import RepositoryConfig
from bot.deploys.ports import RepositoryFile
from bot.deploys.repository_file import filled_in
from bot.service.core import FILE, Core
from bot.store import jobs
from bot.store import repository_configs as rows

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

MOST_FAULTS = 20  # of one file that are kept
LONGEST = 300  # characters of each; a key may be as long as the file


class Configuring(Core):
    """The verb `read_file`, and what calls for it: a start, and a push."""

    def read_file(self, name: str) -> None:
        """Reads the file of an app from the newest commit of the repository's default branch.

        A good one holds from now on, in every process, and what waits is decided on again. One that is broken changes
        nothing but what the app's rooms are told, once for each content. Raises TryLater.
        """
        app = self._configured.own.apps.get(name)
        if app is None or app.config is None:
            return
        try:
            branch = self._github.default_branch(app.repository)
            head = self._github.branch_head(app.repository, branch)
            file = self._github.read_file(app.repository, app.config, head.sha) if head is not None else None
        except PersonError as error:  # of the bot's token or config: `check` says what it lacks
            log.warning("repository_config_unread", app=name, reason=repr(error))
            return
        faults: list[dict[str, Any]] = []
        try:
            filled_in(app, file)
        except ConfigError as error:
            faults = [
                {"path": fault.path[:LONGEST], "message": fault.message[:LONGEST], "line": fault.line}
                for fault in error.faults[:MOST_FAULTS]
            ]
        with self._store.write() as connection:
            row = rows.held(connection, name, app.repository, app.config)
            sha = head.sha if head is not None else ""
            if faults:
                self._broken(connection, app, row, file, sha, faults)
            else:
                assert file is not None
                self._good(connection, app, row, file, sha)
        self._configured.refresh()

    def _broken(
        self,
        connection: sa.Connection,
        app: App,
        row: RepositoryConfig,
        file: RepositoryFile | None,
        sha: str,
        faults: list[dict[str, Any]],
    ) -> None:
        blob = (file.sha or file.lack) if file is not None else ""
        good = _is_good(app, row)
        lost = {} if good else {"text": None, "blob": "", "sha": ""}  # by another config of the bot's
        if row.broken_blob == blob:  # it was told, and so was the commit that did it
            if row.text is not None and not good:
                rows.update(connection, row, **lost)
            return
        rows.update(connection, row, broken_blob=blob, broken_sha=sha, faults=faults, **lost)
        told = {"sha": sha, "faults": faults, "good": row.sha if good else ""}
        self._tell_of(connection, app, row, "config_broken", told)

    def _good(self, connection: sa.Connection, app: App, row: RepositoryConfig, file: RepositoryFile, sha: str) -> None:
        if row.broken_blob is None and row.blob == file.sha and row.text is not None:
            return
        rows.update(connection, row, text=file.text, blob=file.sha, sha=sha, **rows.MENDED)
        if row.broken_blob is not None:
            self._tell_of(connection, app, row, "config_mended", {"sha": sha})
        self._decide_places(connection, self.config.places(row.app))

    def _tell_of(
        self, connection: sa.Connection, app: App, row: RepositoryConfig, what: str, told: dict[str, Any]
    ) -> None:
        """In the app's rooms; where it has none, where it is announced; else to the admins."""
        facts = {"app": row.app, "repository": row.repository, "path": row.path, **told}
        key = f"file:{row.app}:{row.version + 1}"
        rooms = app.rooms or dict.fromkeys(announcement.room for announcement in app.announce)
        for room in rooms:
            self._tell_room(connection, room, what, facts, f"{key}:{room}")
        for user_id in () if rooms else self.config.admins:
            self._tell(connection, user_id, what, facts, f"{key}:{user_id}")

    def _file_pushed(self, event: Pushed) -> None:
        """A push to whichever branch that touches an app's file; which branch counts is GitHub's to say when it is
        read. One without paths may have: GitHub does not name what a branch loses when it goes back."""
        touched = [
            name
            for name, app in self._configured.own.apps.items()
            if app.config is not None
            and app.repository.casefold() == event.repository.casefold()
            and event.branch
            and (app.config in event.paths or not event.paths)
        ]
        if touched:
            with self._store.write() as connection:
                self._read_files(connection, touched)

    def _read_files(self, connection: sa.Connection, names: list[str]) -> None:
        for name in names:
            jobs.add(connection, jobs.new_job(FILE, {"app": name}, subject=f"file:{name}"), self._clock.now())


def _is_good(app: App, row: RepositoryConfig) -> bool:
    """Whether the last good one still is."""
    try:
        return row.text is not None and filled_in(app, RepositoryFile(row.blob, row.text)) is not None
    except ConfigError:
        return False
