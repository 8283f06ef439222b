"""Which finding of an inspection a problem came from.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    column = sa.Column("origin", sa.Text, nullable=False, server_default="")
    op.add_column("problem", column, schema="rectification")
    op.create_index(
        "problem_of_finding",
        "problem",
        ["origin", "report_time", "id"],
        schema="rectification",
        postgresql_where=sa.text("origin <> ''"),
    )
