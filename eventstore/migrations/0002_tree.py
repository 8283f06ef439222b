"""The Merkle tree over the log, as tiles, and the checkpoints signed of it."""

from alembic import op

from eventstore.roles import create_role

revision = "0002"
down_revision = "0001"

# A tile at the right edge is written again as it gets wider. Hashes do not compress.
TABLES = """
CREATE TABLE eventstore.tile (
  level smallint NOT NULL,
  index bigint NOT NULL,
  content bytea STORAGE EXTERNAL NOT NULL,
  PRIMARY KEY (level, index)
);
CREATE TABLE eventstore.signed_checkpoint (
  size bigint PRIMARY KEY,
  signed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  note text NOT NULL
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventstore.signed_checkpoint
  FOR EACH STATEMENT EXECUTE FUNCTION eventstore.refuse();
ALTER TABLE eventstore.signed_checkpoint ENABLE ALWAYS TRIGGER append_only;
GRANT SELECT ON eventstore.tile, eventstore.signed_checkpoint TO bihuan_reader;
GRANT INSERT, UPDATE ON eventstore.tile TO bihuan_sealer;
GRANT INSERT ON eventstore.signed_checkpoint TO bihuan_sealer
"""


def upgrade() -> None:
    create_role(op, "bihuan_sealer", member_of="bihuan_reader")
    op.execute("SET LOCAL ROLE bihuan_owner")
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    op.execute("RESET ROLE")
