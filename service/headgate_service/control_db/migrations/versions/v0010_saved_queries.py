"""Queries that people saved."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "saved_queries",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("user_id", sa.String(32), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_saved_queries"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_saved_queries_project_id_projects"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_saved_queries_user_id_users"),
    )
    op.create_index("ix_saved_queries_project_id", "saved_queries", ["project_id"])


def downgrade() -> None:
    op.drop_table("saved_queries")
