"""The views of inspection/plan.

Revision ID: 0003
"""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    pass
