"""The view that lists problems.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from eventstore.roles import service_role

revision = "0001"
down_revision = None


def upgrade() -> None:
    service_role(op, "rectification")
    op.create_table(
        "problem",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("enterprise", sa.Text, nullable=False),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("overdue", sa.Boolean, nullable=False),
        sa.Column("provisional", sa.Boolean, nullable=False),
        sa.Column("due_time", sa.DateTime(timezone=True)),
        sa.Column("report_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resource", sa.LargeBinary, nullable=False),
        schema="rectification",
    )
    for name, columns in {
        "problem_newest": ["report_time", "id"],
        "problem_of_enterprise": ["enterprise", "report_time", "id"],
        "problem_in_district": ["district", "report_time", "id"],
        "problem_in_state": ["state", "report_time", "id"],
    }.items():
        op.create_index(name, "problem", columns, schema="rectification")
    op.create_index(
        "problem_due",
        "problem",
        ["due_time"],
        schema="rectification",
        postgresql_where=sa.text("due_time IS NOT NULL"),
    )
    op.create_index(
        "problem_provisional",
        "problem",
        ["report_time"],
        schema="rectification",
        postgresql_where=sa.text("provisional"),
    )
