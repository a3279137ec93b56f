"""Which messages were being posted to Slack, so that one whose answer is lost is looked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sends",
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("ts", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_sends"),
    )
    op.create_index("ix_sends_at", "sends", ["at"])
    # What was begun before this version and may be at Slack.
    op.execute(
        "INSERT INTO sends (key, at, channel, ts)"
        " SELECT 'shipbot_deploy ' || coalesce(p.key, d.id) || ' ' || c.channel,"
        " coalesce(p.heard_at, d.asked_at), c.channel, '' FROM cards c JOIN deploys d ON d.number = c.deploy"
        " LEFT JOIN previews p ON p.id = c.preview WHERE c.ts = '' AND c.tries > 0"
    )
    op.execute(
        "INSERT INTO sends (key, at, channel, ts)"
        " SELECT 'shipbot_review ' || r.id || ' ' || p.channel, r.at, p.channel, ''"
        " FROM review_posts p JOIN reviews r ON r.id = p.review WHERE p.ts = '' AND p.tries > 0"
    )
    op.drop_column("cards", "tries")
    op.drop_column("review_posts", "tries")
