"""The view that lists inboxes.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from eventstore.roles import service_role

revision = "0001"
down_revision = None


def upgrade() -> None:
    service_role(op, "notification")
    op.create_table(
        "notice",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("unread", sa.Boolean, nullable=False),
        sa.Column("send_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resource", sa.LargeBinary, nullable=False),
        schema="notification",
    )
    op.create_index(
        "notice_inbox", "notice", ["recipient", "send_time", "id"], schema="notification"
    )
