"""Retries, rollbacks and promotions: deploys that another one led to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deploys", sa.Column("cause", sa.String(16), nullable=False, server_default=""))
    op.add_column("deploys", sa.Column("of", sa.BigInteger()))
    op.add_column("deploys", sa.Column("undone_by", sa.BigInteger()))
