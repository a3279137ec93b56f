"""Indexes for what is asked of a database that years of work are in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_deploys_live", "deploys")
    op.drop_index("ix_deploys_open", "deploys")
    place = ["app", "environment"]
    newest = [*place, "finished_at", "number"]
    op.create_index("ix_deploys_sha", "deploys", ["app", "sha"])
    op.create_index("ix_deploys_ref", "deploys", ["app", sa.text("substr(ref, 1, 100)"), "number"])
    op.create_index("ix_deploys_place_ref", "deploys", [*place, sa.text("substr(ref, 1, 100)"), "number"])
    _partial("ix_deploys_live", "deploys", newest, "state = 'success' AND inactive_at IS NULL")
    _partial("ix_deploys_whole", "deploys", newest, "state = 'success' AND task = 'deploy' AND hosts = ''")
    _partial("ix_deploys_open", "deploys", [*place, "asked_at"], "finished_at IS NULL")
    _partial("ix_deploys_held_sha", "deploys", ["sha"], "state = 'held'")
    _partial("ix_locks_holding", "locks", ["id"], "scope IS NOT NULL")
    _partial("ix_freezes_holding", "freezes", ["id"], "scope IS NOT NULL")
    op.create_index("ix_facts_at", "facts", ["at"])


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
