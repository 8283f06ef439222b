"""The views of inspections: lists, codes, and the visits that count.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

SCHEMA = "inspection"


def upgrade() -> None:
    op.create_table(
        "inspection",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("enterprise", sa.Text, nullable=False),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("started", sa.Boolean, nullable=False),
        sa.Column("joint", sa.Boolean, nullable=False),
        sa.Column("overdue", sa.Boolean, nullable=False),
        sa.Column("provisional", sa.Boolean, nullable=False),
        sa.Column("counted_from", sa.SmallInteger, nullable=False),
        sa.Column("counted_to", sa.SmallInteger, nullable=False),
        sa.Column("due_time", sa.DateTime(timezone=True)),
        sa.Column("open_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resource", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    for name, columns, condition in (
        ("inspection_newest", ["open_time", "id"], None),
        ("inspection_of_enterprise", ["enterprise", "open_time", "id"], None),
        ("inspection_in_district", ["district", "open_time", "id"], None),
        ("inspection_in_state", ["state", "open_time", "id"], None),
        ("inspection_due", ["due_time"], "due_time IS NOT NULL"),
        ("inspection_overdue", ["open_time", "id"], "overdue"),
        ("inspection_provisional", ["open_time", "id"], "provisional"),
        ("inspection_counted", ["counted_to", "open_time", "id"], "counted_to > 0"),
    ):
        where = sa.text(condition) if condition else None
        op.create_index(name, "inspection", columns, schema=SCHEMA, postgresql_where=where)
    op.create_table(
        "inspection_department",
        sa.Column("inspection", sa.Uuid, primary_key=True),
        sa.Column("department", sa.Text, primary_key=True),
        schema=SCHEMA,
    )
    op.create_index(
        "inspection_of_department", "inspection_department", ["department"], schema=SCHEMA
    )
    op.create_table(
        "code",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("inspection", sa.Uuid, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "counted_visit",
        sa.Column("inspection", sa.Uuid, primary_key=True),
        sa.Column("department", sa.Text, primary_key=True),
        sa.Column("enterprise", sa.Text, nullable=False),
        sa.Column("year", sa.SmallInteger, nullable=False),
        sa.Column("capped", sa.Boolean, nullable=False),
        schema=SCHEMA,
    )
    op.create_index(
        "counted_visit_of_enterprise",
        "counted_visit",
        ["enterprise", "year", "department"],
        schema=SCHEMA,
    )
