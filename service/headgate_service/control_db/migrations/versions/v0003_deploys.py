"""Projects have versions of a config, one of which may be active."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("projects", sa.Column("deploy_version", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "deploys",
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("changed", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(320), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "version", name="pk_deploys"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_deploys_project_id_projects"),
    )


def downgrade() -> None:
    op.drop_table("deploys")
    op.drop_column("projects", "deploy_version")
