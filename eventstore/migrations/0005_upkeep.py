"""Request ids are forgotten after a time, and whoever asks how the log is sees what holds it up."""

from alembic import op

revision = "0005"
down_revision = "0004"

# The oldest first, and none that another call is at, so that several may run.
FORGET = """
CREATE FUNCTION eventstore.forget_requests(older_than interval, most integer)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  forgotten integer;
BEGIN
  IF older_than < interval '1 day' THEN
    RAISE 'a request is remembered for a day at least: its caller may still send it again'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  DELETE FROM eventstore.request WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM eventstore.request WHERE recorded_at < clock_timestamp() - older_than
    ORDER BY recorded_at LIMIT most FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS forgotten = ROW_COUNT;
  RETURN forgotten;
END $$
"""

# `writing` keeps ids open, in whatever database it is, prepared transactions too; `reading` keeps
# dead rows of this one from being removed. Without pg_read_all_stats it is not told since when.
HOLDING_UP = """
CREATE FUNCTION eventstore.holding_up(
  OUT writing text, OUT writing_since timestamptz, OUT reading text, OUT reading_since timestamptz
) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH session AS (
    SELECT format('process %s, %s, %s', pid, coalesce(nullif(application_name, ''), 'unnamed'),
        coalesce(state, 'state unknown')) AS who,
      xact_start AS since, datid, backend_xid, backend_xmin
    FROM pg_stat_activity WHERE pid <> pg_backend_pid()
  ), writer AS (
    SELECT who, since, age(backend_xid) AS age FROM session WHERE backend_xid IS NOT NULL
    UNION ALL
    SELECT format('prepared transaction %L', gid), prepared, age(transaction) FROM pg_prepared_xacts
    ORDER BY age DESC LIMIT 1
  ), reader AS (
    SELECT who, since FROM session WHERE backend_xmin IS NOT NULL
      AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY age(backend_xmin) DESC, since LIMIT 1
  )
  SELECT w.who, w.since, r.who, r.since
    FROM (SELECT) one LEFT JOIN writer w ON true LEFT JOIN reader r ON true;
END
"""

# Only a superuser, or who has it with ADMIN OPTION, can grant it.
SEE_SESSIONS = """
DO $$ BEGIN
  IF NOT pg_has_role('bihuan_owner', 'pg_read_all_stats', 'MEMBER') THEN
    GRANT pg_read_all_stats TO bihuan_owner;
  END IF;
EXCEPTION WHEN insufficient_privilege OR internal_error THEN
  NULL; -- the latter: another database's migration was at it
END $$
"""

GRANTS = (
    "REVOKE EXECUTE ON FUNCTION eventstore.forget_requests, eventstore.holding_up FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION eventstore.forget_requests TO bihuan_sealer",
    "GRANT EXECUTE ON FUNCTION eventstore.holding_up TO bihuan_reader",
    "GRANT SELECT (recorded_at) ON eventstore.request TO bihuan_reader",  # not who asked for what
)


def upgrade() -> None:
    op.execute(SEE_SESSIONS)
    op.execute("SET LOCAL ROLE bihuan_owner")
    for statement in (FORGET, HOLDING_UP, *GRANTS):
        op.execute(statement)
    op.execute("RESET ROLE")
