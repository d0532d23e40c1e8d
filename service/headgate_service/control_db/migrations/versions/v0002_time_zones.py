"""Projects have a time zone."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("projects", sa.Column("time_zone", sa.String(64), server_default="UTC", nullable=False))


def downgrade() -> None:
    op.drop_column("projects", "time_zone")
