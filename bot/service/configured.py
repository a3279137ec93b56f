"""The config as it holds now: the bot's own, filled in by what repositories say of their apps."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import structlog

from bot.deploys.config import App, Config
from bot.deploys.config_file import ConfigError
from bot.deploys.ports import RepositoryFile
from bot.deploys.repository_file import filled_in, with_apps
from bot.store import repository_configs as rows
from bot.store.engine import Store

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Configured:
    """Holds the newest config of this process; whoever needs it reads `config` each time and keeps none. Thread-safe.

    `own` is the bot's own. Its apps and the environments of each are in `config` for as long as the process lives, so
    that who read a name finds it a line later. Reading `config` asks nobody; `refresh` does, before each job.
    """

    def __init__(self, store: Store, own: Config) -> None:
        self.own = own
        self.config = own
        self._store = store
        self._versions: dict[str, int] = {}
        self._filled: dict[str, tuple[str, App | None]] = {}  # by app: the blob, and what it makes of the app
        self._turn = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Takes in what any worker of any replica has stored since; a small read when that is nothing."""
        files = {name: (app.repository, app.config) for name, app in self.own.apps.items() if app.config is not None}
        if not files:
            return
        with self._turn:  # else the slower of two would put the older one in place
            self._take_in(files)

    def _take_in(self, files: Mapping[str, tuple[str, str]]) -> None:
        with self._store.read() as connection:
            versions = rows.versions(connection)
            if versions == self._versions:
                return
            found = rows.all_of_them(connection)
        apps = {}
        for row in found:
            if row.text is None or files.get(row.app) != (row.repository, row.path):
                continue
            known = self._filled.get(row.app)
            if known is None or known[0] != row.blob:
                known = self._filled[row.app] = (row.blob, self._read(row.app, RepositoryFile(row.blob, row.text)))
            if known[1] is not None:
                apps[row.app] = known[1]
        self.config = with_apps(self.own, apps)
        self._versions = versions

    def _read(self, name: str, file: RepositoryFile) -> App | None:
        try:
            return filled_in(self.own.apps[name], file)
        except ConfigError as error:  # it was good with an older config of the bot's; its next reading tells
            log.warning("repository_config_unusable", app=name, faults=str(error))
            return None
