"""The views of inspection/visits and of inspection/statistics.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _visit()
    _tally()


def _visit() -> None:
    op.create_table(
        "visit",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("department", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("district", sa.Text, nullable=False),
        sa.Column("purpose", sa.SmallInteger, nullable=False),
        sa.Column("date", sa.Date, nullable=False),
        sa.Column("danger_seen", sa.Boolean, nullable=False),
        sa.Column("make_time", sa.DateTime(timezone=True)),
        sa.Column("register_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resource", sa.LargeBinary, nullable=False),
        schema="inspection",
    )
    for name, columns, condition in (
        ("visit_newest", ["register_time", "id"], None),
        ("visit_by_department", ["department", "register_time", "id"], None),
        ("visit_of_target", ["target", "register_time", "id"], None),
        ("visit_on_day", ["date"], None),
        ("visit_with_danger", ["register_time", "id"], "danger_seen"),
    ):
        where = sa.text(condition) if condition else None
        op.create_index(name, "visit", columns, schema="inspection", postgresql_where=where)
    op.create_table(
        "visit_number",
        sa.Column("department", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("year", sa.SmallInteger, primary_key=True),
        sa.Column("last", sa.Integer, nullable=False),
        schema="inspection",
    )


def _tally() -> None:
    counts = ("capped", "items", "off_site_items", "off_site_visits", "findings", "codes")
    more = ("on_the_spot", "revoked", "late_results")
    op.create_table(
        "tally",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("year", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        # Compared byte by byte: they are sorted and grouped by the hundred thousand.
        sa.Column("enterprise", sa.Text(collation="C"), nullable=False),
        sa.Column("district", sa.Text(collation="C"), nullable=False),
        sa.Column("grade", sa.Text(collation="C"), nullable=False),
        sa.Column("open_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_date", sa.Date),
        sa.Column("busy_from", sa.Date),
        sa.Column("busy_to", sa.Date),
        sa.Column("departments", ARRAY(sa.Text), nullable=False),
        sa.Column("went", ARRAY(sa.Text), nullable=False),
        sa.Column("score", sa.SmallInteger),
        *(sa.Column(name, sa.SmallInteger, nullable=False) for name in (*counts, *more)),
        schema="inspection",
    )
    of_year = ["year", "enterprise", "start_date"]
    op.create_index("tally_of_year", "tally", of_year, schema="inspection")
    op.create_index("tally_of_enterprise", "tally", ["enterprise"], schema="inspection")
