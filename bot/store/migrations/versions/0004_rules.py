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
    op.create_index("ix_deploys_sha", "deploys", ["sha"])
    op.create_table(
        "branches",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("repository", sa.String(255), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("heard_at", sa.DateTime(), nullable=False),
        sa.Column("heard_sha", sa.String(64), nullable=False, server_default=""),
        sa.Column("pushed_sha", sa.String(64), nullable=False, server_default=""),
        sa.Column("pushed_by", sa.String(100), nullable=False, server_default=""),
        sa.Column("merged_sha", sa.String(64), nullable=False, server_default=""),
        sa.Column("merged_by", sa.String(100), nullable=False, server_default=""),
        sa.Column("merged_at", sa.DateTime()),
        sa.Column("pull", sa.BigInteger()),
        sa.Column("author", sa.String(100), nullable=False, server_default=""),
        sa.UniqueConstraint("repository", "name"),
        sqlite_autoincrement=True,
    )
