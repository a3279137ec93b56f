"""GitHub's own gates: runs that wait for this bot's word, and reviews that are shown in rooms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "protections",
        sa.Column("deploy", sa.BigInteger, nullable=False),
        sa.Column("run", sa.BigInteger, nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("reports", sa.Integer, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("tried_at", sa.DateTime()),
        sa.Column("answered_at", sa.DateTime()),
        sa.ForeignKeyConstraint(["deploy"], ["deploys.number"], name="fk_protections_deploy"),
        sa.PrimaryKeyConstraint("deploy", name="pk_protections"),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("app", sa.String(255), nullable=False),
        sa.Column("repository", sa.String(255), nullable=False),
        sa.Column("run", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("environment", sa.String(255), nullable=False),
        sa.Column("asked", sa.JSON),
        sa.Column("answered", sa.JSON),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.UniqueConstraint(
            "repository", "run", "attempt", "environment", name="uq_reviews_repository_run_attempt_environment"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "review_posts",
        sa.Column("review", sa.BigInteger, nullable=False),
        sa.Column("room", sa.String(64), nullable=False),
        sa.Column("ts", sa.String(32), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["review"], ["reviews.id"], name="fk_review_posts_review"),
        sa.PrimaryKeyConstraint("review", "room", name="pk_review_posts"),
    )
