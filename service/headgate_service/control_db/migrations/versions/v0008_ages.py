"""Rows of the ledger and of the audit log are found by their age, to be deleted."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_hours_hour", "hours", ["hour"])


def downgrade() -> None:
    op.drop_index("ix_hours_hour", "hours")
    op.drop_index("ix_audit_at", "audit")
