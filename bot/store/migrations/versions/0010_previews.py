"""Previews of pull requests, and the cards that their deploys share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("deploys", sa.Column("preview", sa.BigInteger()))
    of_preview = sa.text("preview IS NOT NULL")
    op.create_index(
        "ix_deploys_preview",
        "deploys",
        ["preview", "number"],
        sqlite_where=of_preview,
        postgresql_where=of_preview,
    )
    op.add_column("cards", sa.Column("preview", sa.BigInteger()))
    op.create_index("uq_cards_preview", "cards", ["preview", "room"], unique=True)
    op.create_table(
        "previews",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("key", sa.String(36), nullable=False),
        sa.Column("app", sa.String(255), nullable=False),
        sa.Column("pull", sa.BigInteger(), nullable=False),
        sa.Column("environment", sa.String(255), nullable=False),
        sa.Column("repository", sa.String(255), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("head", sa.Text(), nullable=False),
        sa.Column("sha", sa.String(64), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("heard_at", sa.DateTime(), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("due", sa.Boolean(), nullable=False),
        sa.Column("asked_sha", sa.String(64), nullable=False),
        sa.Column("asks", sa.Integer(), nullable=False),
        sa.Column("doubts", sa.Integer(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_previews"),
        sa.UniqueConstraint("app", "pull", name="uq_previews_app_pull"),
        sqlite_autoincrement=True,
    )
    unsettled, there = sa.text("due OR doubts > 0"), sa.text("NOT gone")
    op.create_index("ix_previews_unsettled", "previews", ["id"], sqlite_where=unsettled, postgresql_where=unsettled)
    op.create_index("ix_previews_there", "previews", ["app"], sqlite_where=there, postgresql_where=there)
