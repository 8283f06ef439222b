"""The views of inspection/visit.

Revision ID: 0006
"""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    pass
