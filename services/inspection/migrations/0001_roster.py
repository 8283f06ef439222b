"""The views of inspection/roster.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from eventstore.roles import service_role

revision = "0001"
down_revision = None


def upgrade() -> None:
    service_role(op, "inspection")
    op.create_table(
        "department",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("register_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resource", sa.LargeBinary, nullable=False),
        schema="inspection",
    )
    op.create_table(
        "inspector",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("department", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("certified", pg.DATEMULTIRANGE, nullable=False),
        sa.Column("absent", pg.DATEMULTIRANGE, nullable=False),
        sa.Column("recused", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("register_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resource", sa.LargeBinary, nullable=False),
        schema="inspection",
    )
    for name, table, columns in (
        ("department_newest", "department", ["register_time", "id"]),
        ("department_of_principal", "department", ["principal"]),
        ("inspector_newest", "inspector", ["register_time", "id"]),
        ("inspector_of_department", "inspector", ["department", "register_time", "id"]),
    ):
        op.create_index(name, table, columns, schema="inspection")
    # Whoever calls is one inspector, of one department.
    op.create_index(
        "inspector_of_subject",
        "inspector",
        ["subject"],
        unique=True,
        schema="inspection",
        postgresql_where=sa.text("active"),
    )
