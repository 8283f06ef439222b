"""The state of long streams as it was once folded, so that not all of them is folded again."""

from alembic import op

revision = "0003"
down_revision = "0002"

# No fact: whatever is in it can be deleted at any time. `fingerprint` says by which code it was folded.
TABLE = """
CREATE TABLE eventstore.snapshot (
  version integer NOT NULL,
  stream text COLLATE "C" PRIMARY KEY,
  fingerprint bytea NOT NULL,
  state bytea NOT NULL
)
"""

# As in `append`: a service writes those of its own domain alone, and none that is ahead of its stream.
KEEP = """
CREATE FUNCTION eventstore.keep_snapshot(
  stream text, version integer, fingerprint bytea, state bytea
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  caller text := current_setting('role');
  domain text := split_part(keep_snapshot.stream, '.', 1);
BEGIN
  IF caller = 'none' THEN
    caller := session_user;
  END IF;
  IF pg_has_role(caller, to_regrole('bihuan_' || domain), 'MEMBER') IS NOT TRUE THEN
    RAISE 'role % may not keep a snapshot of %: only bihuan_% may',
      caller, keep_snapshot.stream, domain USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF NOT EXISTS (SELECT FROM eventstore.stream s
      WHERE s.stream = keep_snapshot.stream AND s.version >= keep_snapshot.version) THEN
    RAISE 'stream % has no version %', keep_snapshot.stream, keep_snapshot.version;
  END IF;
  INSERT INTO eventstore.snapshot AS kept (stream, version, fingerprint, state)
    VALUES (keep_snapshot.stream, keep_snapshot.version, keep_snapshot.fingerprint,
      keep_snapshot.state)
    ON CONFLICT (stream) DO UPDATE SET (version, fingerprint, state) =
      (excluded.version, excluded.fingerprint, excluded.state);
END $$
"""

GRANTS = (
    "REVOKE EXECUTE ON FUNCTION eventstore.keep_snapshot FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION eventstore.keep_snapshot TO bihuan_writer",
    "GRANT SELECT ON eventstore.snapshot TO bihuan_reader",
)


def upgrade() -> None:
    op.execute("SET LOCAL ROLE bihuan_owner")
    for statement in (TABLE, KEEP, *GRANTS):
        op.execute(statement)
    op.execute("RESET ROLE")
