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
    expired = sa.text("state = 'expired'")
    op.create_index("ix_deploys_expired", "deploys", ["sha"], sqlite_where=expired, postgresql_where=expired)
    op.add_column("deploys", sa.Column("rank", sa.Float()))
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "branches",
        sa.Column("id", serial, nullable=False),
        sa.Column("repository", sa.String(255), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("heard_sha", sa.String(64), nullable=False),
        sa.Column("heard_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_branches"),
        sa.UniqueConstraint("repository", "name", name="uq_branches_repository_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "moves",
        sa.Column("id", serial, nullable=False),
        sa.Column("branch", sa.BigInteger(), nullable=False),
        sa.Column("sha", sa.String(64), nullable=False),
        sa.Column("merged", sa.Boolean(), nullable=False),
        sa.Column("login", sa.String(100), nullable=False),
        sa.Column("pull", sa.BigInteger()),
        sa.Column("author", sa.String(100), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_moves"),
        sa.ForeignKeyConstraint(["branch"], ["branches.id"], name="fk_moves_branch_branches"),
        sa.UniqueConstraint("branch", "sha", "merged", name="uq_moves_branch_sha_merged"),
        sqlite_autoincrement=True,
    )
