"""How others report on a run: the hash of their token, and what they said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("callback", sa.String(64)))
    op.add_column("runs", sa.Column("told", sa.JSON()))
