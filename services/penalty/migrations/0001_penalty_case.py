"""The view that lists penalty cases, and the serials of documents.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from eventstore.roles import service_role

revision = "0001"
down_revision = None


def upgrade() -> None:
    service_role(op, "penalty")
    op.create_table(
        "penalty_case",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("uscc", sa.Text, nullable=False),
        sa.Column("party", sa.Text, nullable=False),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("notified", sa.Boolean, nullable=False),
        sa.Column("violated", sa.Boolean, nullable=False),
        sa.Column("overdue", sa.Boolean, nullable=False),
        sa.Column("provisional", sa.Boolean, nullable=False),
        sa.Column("counted_from", sa.SmallInteger, nullable=False),
        sa.Column("counted_to", sa.SmallInteger, nullable=False),
        sa.Column("due_time", sa.DateTime(timezone=True)),
        sa.Column("register_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resource", sa.LargeBinary, nullable=False),
        schema="penalty",
    )
    for name, columns, condition in (
        ("penalty_case_newest", ["register_time", "id"], None),
        ("penalty_case_of_enterprise", ["uscc", "register_time", "id"], None),
        ("penalty_case_in_district", ["district", "register_time", "id"], None),
        ("penalty_case_in_state", ["state", "register_time", "id"], None),
        ("penalty_case_of_origin", ["origin"], "origin <> ''"),
        ("penalty_case_of_violator", ["party"], "violated"),
        ("penalty_case_overdue", ["register_time", "id"], "overdue"),
        ("penalty_case_provisional", ["register_time", "id"], "provisional"),
        ("penalty_case_counted", ["counted_to", "register_time", "id"], "counted_to > 0"),
    ):
        where = sa.text(condition) if condition else None
        op.create_index(name, "penalty_case", columns, schema="penalty", postgresql_where=where)
    op.create_table(
        "document_number",
        sa.Column("series", sa.Text, primary_key=True),
        sa.Column("year", sa.SmallInteger, primary_key=True),
        sa.Column("last", sa.Integer, nullable=False),
        schema="penalty",
    )
