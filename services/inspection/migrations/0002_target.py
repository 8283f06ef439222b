"""The views of inspection/target.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "target",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("grade", sa.Text, nullable=False),
        sa.Column("industry", sa.Text, nullable=False),
        sa.Column("key_unit", sa.Boolean, nullable=False),
        sa.Column("listed", sa.Boolean, nullable=False),
        sa.Column("register_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resource", sa.LargeBinary, nullable=False),
        schema="inspection",
    )
    for name, columns, condition in (
        ("target_newest", ["register_time", "id"], None),
        ("target_in_district", ["district", "register_time", "id"], "listed"),
        ("target_of_grade", ["grade", "register_time", "id"], "listed"),
        ("target_of_industry", ["industry", "register_time", "id"], "listed"),
        ("target_key_unit", ["register_time", "id"], "listed AND key_unit"),
    ):
        where = sa.text(condition) if condition else None
        op.create_index(name, "target", columns, schema="inspection", postgresql_where=where)
