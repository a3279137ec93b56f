"""Deploys that a rule asked for, on behalf of somebody at GitHub."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deploys", sa.Column("login", sa.String(100), nullable=False, server_default=""))
    op.add_column("deploys", sa.Column("pull", sa.BigInteger()))
    op.add_column("deploys", sa.Column("author", sa.String(100), nullable=False, server_default=""))
