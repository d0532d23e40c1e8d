"""Projects' own sinks have secrets, which are kept encrypted."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tenant_secrets",
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("hash", sa.String(32), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "hash", name="pk_tenant_secrets"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_tenant_secrets_project_id_projects"),
    )


def downgrade() -> None:
    op.drop_table("tenant_secrets")
