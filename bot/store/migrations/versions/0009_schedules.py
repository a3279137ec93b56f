"""Deploys that are to go at some time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deploys", sa.Column("due_at", sa.DateTime()))
    op.add_column("deploys", sa.Column("judged_at", sa.DateTime()))
