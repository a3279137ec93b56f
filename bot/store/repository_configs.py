"""What repositories say of their apps, as rows: the last good text of each file, and what is wrong with the newest."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from bot.deploys.model import RepositoryConfig
from bot.store.records import insert
from bot.store.schema import repository_configs


def versions(connection: sa.Connection) -> dict[str, int]:
    """The version of each app's row, which grows with every change."""
    query = sa.select(repository_configs.c.app, repository_configs.c.version)
    return {row.app: row.version for row in connection.execute(query)}


def all_of_them(connection: sa.Connection) -> list[RepositoryConfig]:
    return [_of(row) for row in connection.execute(sa.select(repository_configs))]


def held(connection: sa.Connection, app: str, repository: str, path: str) -> RepositoryConfig:
    """An app's row, held until the transaction ends; an empty one where there is none of just that file."""
    fresh = {"repository": repository, "path": path, "text": None, "sha": "", "blob": "", **MENDED}
    connection.execute(
        insert(connection, repository_configs).values(app=app, version=0, **fresh).on_conflict_do_nothing()
    )
    query = sa.select(repository_configs).where(repository_configs.c.app == app).with_for_update()
    row = _of(connection.execute(query).one())
    if (row.repository, row.path) == (repository, path):
        return row
    update(connection, row, **fresh)  # the bot's own config points to another one now
    return _of(connection.execute(query).one())


def update(connection: sa.Connection, row: RepositoryConfig, **values: Any) -> None:
    """Changes a row that is held, and its version with it."""
    version = repository_configs.c.version + 1
    same = repository_configs.c.app == row.app
    connection.execute(sa.update(repository_configs).where(same).values(version=version, **values))


MENDED: dict[str, Any] = {"broken_sha": "", "broken_blob": None, "faults": []}


def _of(row: sa.Row[Any]) -> RepositoryConfig:
    return RepositoryConfig(**row._mapping)
