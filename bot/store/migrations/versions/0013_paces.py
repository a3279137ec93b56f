"""How fast Slack is written to, shared by all replicas; and what a card says whose thread is told later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "paces",
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("free_at", sa.DateTime(), nullable=False),
        sa.Column("first_at", sa.DateTime(), nullable=False),
        sa.Column("rest_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_paces"),
    )
    op.create_index("ix_paces_free_at", "paces", ["free_at"])
    op.add_column("cards", sa.Column("shown", sa.String(64), nullable=False, server_default=""))
