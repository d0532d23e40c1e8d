"""Counters that are copied from Redis, and the names of the data that they were counted in."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "epochs",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("lost_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("shard", name="pk_epochs"),
    )
    op.create_table(
        "counters",
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("trimmed_seq", sa.BigInteger(), nullable=False),
        sa.Column("trimmed_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sinks", sa.JSON(), nullable=False),
        sa.Column("copied_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="pk_counters"),
    )
    op.create_index("ix_counters_shard", "counters", ["shard"])
    op.create_table(
        "months",
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("month", sa.Integer(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "month", name="pk_months"),
    )
    op.create_table(
        "hours",
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "hour", "outcome", name="pk_hours"),
    )


def downgrade() -> None:
    for table in ("hours", "months", "counters", "epochs"):
        op.drop_table(table)
