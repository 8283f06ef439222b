"""A service's first revision: its role, then a view table."""

from alembic import op

from eventstore.roles import service_role

revision = "0001"
down_revision = None


def upgrade() -> None:
    service_role(op, "bank")
    op.execute("CREATE TABLE bank.seen (position bigint PRIMARY KEY)")
