"""The views of draws and of what they chose.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "draw",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("department", sa.Text, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("commit_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resource", sa.LargeBinary, nullable=False),
        schema="inspection",
    )
    op.create_index("draw_newest", "draw", ["commit_time", "id"], schema="inspection")
    columns = ["department", "commit_time", "id"]
    op.create_index("draw_of_department", "draw", columns, schema="inspection")
    op.create_table(
        "lot",
        sa.Column("draw", sa.Uuid, primary_key=True),
        sa.Column("enterprise", sa.Text, primary_key=True),
        sa.Column("inspectors", sa.ARRAY(sa.Text), nullable=False),
        schema="inspection",
    )
