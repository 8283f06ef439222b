"""The views of inspection/roster.

Revision ID: 0001
"""

from alembic import op

from eventstore.roles import service_role

revision = "0001"
down_revision = None


def upgrade() -> None:
    service_role(op, "inspection")
