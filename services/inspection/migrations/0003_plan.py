"""The views of plans and of their tasks, and which inspection has taken a task.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "plan",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("department", sa.Text, nullable=False),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("year", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("overdue", sa.Boolean, nullable=False),
        sa.Column("provisional", sa.Boolean, nullable=False),
        sa.Column("counted_from", sa.SmallInteger, nullable=False),
        sa.Column("counted_to", sa.SmallInteger, nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resource", sa.LargeBinary, nullable=False),
        schema="inspection",
    )
    op.create_table(
        "task",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("plan", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("department", sa.Text, nullable=False),
        sa.Column("enterprise", sa.Text, nullable=False),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("from_date", sa.Date, nullable=False),
        sa.Column("to_date", sa.Date, nullable=False),
        sa.Column("from_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("items", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("statutory", sa.Boolean, nullable=False),
        sa.Column("alone", sa.Boolean, nullable=False),
        sa.Column("draw", sa.Text, nullable=False),
        sa.Column("published", sa.Boolean, nullable=False),
        sa.Column("resource", sa.LargeBinary, nullable=False),
        schema="inspection",
    )
    op.create_table(
        "task_claim",
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("inspection", sa.Text, nullable=False),
        schema="inspection",
    )
    for name, table, columns, condition in (
        ("plan_newest", "plan", ["create_time", "id"], None),
        ("plan_of_department", "plan", ["department", "year", "create_time", "id"], None),
        ("plan_of_year", "plan", ["year", "create_time", "id"], None),
        ("plan_counted", "plan", ["create_time", "id"], "counted_to > 0"),
        ("task_listed", "task", ["from_time", "id"], None),
        ("task_of_plan", "task", ["plan", "from_time", "id"], None),
        ("task_of_department", "task", ["department", "from_time", "id"], None),
        ("task_of_enterprise", "task", ["enterprise", "from_time", "id"], None),
        ("task_of_draw", "task", ["draw", "from_time", "id"], "draw <> ''"),
        ("task_published", "task", ["from_date", "to_date"], "published"),
        ("task_claim_of_inspection", "task_claim", ["inspection"], None),
    ):
        where = sa.text(condition) if condition else None
        op.create_index(name, table, columns, schema="inspection", postgresql_where=where)
