"""Gates: who may deploy, and when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # One by one and not as a batch, for which SQLite would copy the table and lose its partial indexes.
    for column in (
        sa.Column("pinned_at", sa.DateTime()),
        sa.Column("cleared_at", sa.DateTime()),
        sa.Column("sent_at", sa.DateTime()),
        sa.Column("slot", sa.String(511)),
        sa.Column("in_line", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("findings", sa.JSON(none_as_null=True)),
        sa.Column("deadline_at", sa.DateTime()),
        sa.Column("ended_by", sa.String(64), nullable=False, server_default=""),
        sa.Column("is_default", sa.Boolean, nullable=False, server_default=sa.false()),
    ):
        op.add_column("deploys", column)
    op.create_index("uq_deploys_slot", "deploys", ["slot"], unique=True)
    op.create_index(
        "ix_deploys_held",
        "deploys",
        ["app", "environment"],
        sqlite_where=sa.text("state = 'held'"),
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_table(
        "places",
        sa.Column("app", sa.String(255), nullable=False),
        sa.Column("environment", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("app", "environment", name="pk_places"),
    )
    op.create_table(
        "votes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("deploy", sa.BigInteger, nullable=False),
        sa.Column("sha", sa.String(64), nullable=False),
        sa.Column("person", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("approves", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("policy", sa.JSON, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["deploy"], ["deploys.number"], name="fk_votes_deploy"),
        sa.PrimaryKeyConstraint("id", name="pk_votes"),
        sa.UniqueConstraint("deploy", "sha", "person", name="uq_votes_deploy_sha_person"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "locks",
        *_owned(),
        sa.Column("room", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.DateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_locks"),
        sa.UniqueConstraint("source", name="uq_locks_source"),
        sa.UniqueConstraint("scope", name="uq_locks_scope"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "freezes",
        *_owned(),
        sa.Column("until", sa.DateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_freezes"),
        sa.UniqueConstraint("source", name="uq_freezes_source"),
        sa.UniqueConstraint("scope", name="uq_freezes_scope"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "logins",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("login", sa.String(100), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_logins"),
    )


def _owned() -> list[sa.Column[object]]:
    """What locks and freezes have in common."""
    return [
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("scope", sa.String(511)),
        sa.Column("app", sa.String(255)),
        sa.Column("environment", sa.String(255)),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime()),
        sa.Column("ended_by", sa.String(64)),
    ]
