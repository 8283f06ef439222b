"""Which problems their enterprise knows of.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

from bihuan.rectification.v1 import problem_pb2 as pb
from services.rectification.sight import concerns_enterprise

revision = "0002"
down_revision = "0001"

UNORDERED = (pb.STATE_REPORTED, pb.STATE_UNFOUNDED, pb.STATE_CONFIRMED)


def upgrade() -> None:
    disclosed = sa.Column("disclosed", sa.Boolean, nullable=False, server_default=sa.true())
    op.add_column("problem", disclosed, schema="rectification")
    op.alter_column("problem", "disclosed", server_default=None, schema="rectification")
    names = ("id", "state", "resource", "disclosed")
    problem = sa.table("problem", *map(sa.column, names), schema="rectification")
    connection = op.get_bind()
    unordered = sa.select(problem).where(problem.c.state.in_(UNORDERED))
    for row in connection.execute(unordered).all():
        known = concerns_enterprise(pb.Problem.FromString(row.resource))
        connection.execute(problem.update().where(problem.c.id == row.id).values(disclosed=known))
