"""The years that a problem's open deadlines are counted into, for when a calendar is published again.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # Until its next event a row from before may be counted into any year: counting again is harmless.
    for name, widest in {"counted_from": "0", "counted_to": "9999"}.items():
        column = sa.Column(name, sa.SmallInteger, nullable=False, server_default=widest)
        op.add_column("problem", column, schema="rectification")
    op.create_index(
        "problem_counted",
        "problem",
        ["counted_to", "report_time", "id"],
        schema="rectification",
        postgresql_where=sa.text("counted_to > 0"),
    )
