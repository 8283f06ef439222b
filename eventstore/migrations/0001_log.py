"""The append-only log, its dense positions, checkpoints, and answered requests."""

from alembic import op

from eventstore.roles import create_role

revision = "0001"
down_revision = None

# Fixed-width columns first, so that no row is padded.
TABLES = """
CREATE TABLE eventstore.event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  event_id uuid NOT NULL UNIQUE,
  correlation_id uuid NOT NULL,
  causation_id uuid,
  request_id uuid,
  version integer NOT NULL CHECK (version > 0),
  stream text COLLATE "C" NOT NULL CHECK (length(stream) <= 200),
  category text COLLATE "C" GENERATED ALWAYS AS (split_part(stream, '-', 1)) VIRTUAL,
  type text COLLATE "C" NOT NULL CHECK (length(type) BETWEEN 1 AND 200),
  actor text NOT NULL CHECK (length(actor) <= 500),
  traceparent text NOT NULL CHECK (length(traceparent) <= 100),
  data bytea NOT NULL CHECK (octet_length(data) <= 1048576),
  UNIQUE (stream, version)
);

CREATE TABLE eventstore.position (
  position bigint PRIMARY KEY,
  id bigint NOT NULL UNIQUE
);

-- A queue: rows live from append to the next advance, so vacuum it by count, not by share.
CREATE TABLE eventstore.pending (
  id bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE eventstore.checkpoint (
  name text PRIMARY KEY,
  position bigint NOT NULL CHECK (position >= 0),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE eventstore.request (
  caller text NOT NULL,
  request_id uuid NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  method text NOT NULL,
  digest bytea NOT NULL,
  response bytea,
  PRIMARY KEY (caller, request_id)
);
"""

REFUSE = """
CREATE FUNCTION eventstore.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% on %.%: the log is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$
"""

# Statement triggers refuse even what would touch no row; ALWAYS holds for replication roles too.
APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventstore.{table}
  FOR EACH STATEMENT EXECUTE FUNCTION eventstore.refuse();
ALTER TABLE eventstore.{table} ENABLE ALWAYS TRIGGER append_only;
"""

# ON CONFLICT waits for a racing writer of the same version and needs no subtransaction.
APPEND = """
CREATE FUNCTION eventstore.append(
  stream text, expected integer, ids uuid[], types text[], data bytea[], actor text,
  correlation_id uuid, causation_id uuid, request_id uuid, traceparent text
) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  caller text := current_setting('role');
  domain text := substring(append.stream from '^([a-z][a-z_]*)\\.[a-z][a-z_]*-.');
  added integer;
BEGIN
  IF domain IS NULL OR domain IN ('owner', 'reader', 'writer') THEN
    RAISE 'stream "%" is not named <domain>.<aggregate>-<id>', append.stream
      USING ERRCODE = 'invalid_name';
  END IF;
  IF caller = 'none' THEN
    caller := session_user;
  END IF;
  IF pg_has_role(caller, to_regrole('bihuan_' || domain), 'MEMBER') IS NOT TRUE THEN
    RAISE 'role % may not append to %: only bihuan_% may', caller, append.stream, domain
      USING ERRCODE = 'insufficient_privilege';
  END IF;

  IF expected = coalesce(
    (SELECT max(e.version) FROM eventstore.event e WHERE e.stream = append.stream), 0
  ) THEN
    WITH fact AS (
      INSERT INTO eventstore.event (
        stream, version, event_id, type, data, actor,
        correlation_id, causation_id, request_id, traceparent)
      SELECT append.stream, expected + n, fact_id, fact_type, fact_data, append.actor,
        append.correlation_id, append.causation_id, append.request_id, append.traceparent
      FROM unnest(ids, types, append.data)
        WITH ORDINALITY AS fact(fact_id, fact_type, fact_data, n)
      ORDER BY n
      ON CONFLICT (stream, version) DO NOTHING
      RETURNING id)
    INSERT INTO eventstore.pending SELECT id FROM fact;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added = cardinality(ids) THEN
      RETURN expected + added;
    END IF;
  END IF;
  -- Of several events, those beyond a racing writer's may have gone in: they do not count.
  RAISE 'stream % is not at version %', append.stream, expected USING ERRCODE = 'BH001', DETAIL =
    (SELECT coalesce(max(e.version), 0) FROM eventstore.event e
      WHERE e.stream = append.stream AND e.event_id <> ALL (ids));
END $$
"""

# Each statement has a snapshot of its own: the one after the lock sees all that was dealt before.
ADVANCE = """
CREATE FUNCTION eventstore.advance(wait boolean DEFAULT false)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  turn CONSTANT bigint := hashtextextended('eventstore.advance', 0);
  head bigint;
  dealt bigint;
BEGIN
  IF wait THEN
    PERFORM pg_advisory_xact_lock(turn);
  ELSIF NOT pg_try_advisory_xact_lock(turn) THEN
    RETURN (SELECT coalesce(max(position), 0) FROM eventstore.position);
  END IF;
  SELECT coalesce(max(position), 0) INTO head FROM eventstore.position;
  WITH committed AS (DELETE FROM eventstore.pending RETURNING id)
  INSERT INTO eventstore.position
    SELECT head + row_number() OVER (ORDER BY id), id FROM committed;
  GET DIAGNOSTICS dealt = ROW_COUNT;
  IF dealt > 0 THEN
    PERFORM pg_notify('eventstore', (head + dealt)::text);
  END IF;
  RETURN head + dealt;
END $$
"""

# The insert waits for a twin in flight: it sees the twin's answer, or takes over if it rolled back.
CLAIM = """
CREATE FUNCTION eventstore.claim(caller text, request_id uuid, method text, digest bytea)
RETURNS bytea LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  first eventstore.request;
BEGIN
  INSERT INTO eventstore.request (caller, request_id, method, digest)
    VALUES (claim.caller, claim.request_id, claim.method, claim.digest) ON CONFLICT DO NOTHING;
  IF FOUND THEN
    RETURN NULL;
  END IF;
  SELECT * INTO first FROM eventstore.request r
    WHERE r.caller = claim.caller AND r.request_id = claim.request_id;
  IF (first.method, first.digest) IS DISTINCT FROM (claim.method, claim.digest) THEN
    RAISE 'request id % was used for another request', claim.request_id USING ERRCODE = 'BH002';
  END IF;
  IF first.response IS NULL THEN
    RAISE 'request % was committed without an answer', claim.request_id;
  END IF;
  RETURN first.response;
END $$
"""

ANSWER = """
CREATE FUNCTION eventstore.answer(caller text, request_id uuid, response bytea)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE eventstore.request r SET response = answer.response
    WHERE r.caller = answer.caller AND r.request_id = answer.request_id AND r.response IS NULL;
  IF NOT FOUND THEN
    RAISE 'request % of % is not claimed, or answered already', answer.request_id, answer.caller;
  END IF;
END $$
"""

GRANTS = """
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA eventstore FROM PUBLIC;
GRANT USAGE ON SCHEMA eventstore TO bihuan_reader;
GRANT SELECT ON eventstore.event, eventstore.position, eventstore.pending TO bihuan_reader;
GRANT SELECT, INSERT, UPDATE ON eventstore.checkpoint TO bihuan_reader;
GRANT EXECUTE ON FUNCTION eventstore.advance TO bihuan_reader;
GRANT EXECUTE ON FUNCTION eventstore.append, eventstore.claim, eventstore.answer TO bihuan_writer;
"""


OWN = """
DO $$ BEGIN
  IF NOT pg_has_role(current_user, 'bihuan_owner', 'SET') THEN
    EXECUTE format('GRANT bihuan_owner TO %I', current_user);
  END IF;
  EXECUTE format('GRANT CREATE ON DATABASE %I TO bihuan_owner', current_database());
  ALTER SCHEMA eventstore OWNER TO bihuan_owner;
END $$
"""


def upgrade() -> None:
    create_role(op, "bihuan_owner")
    create_role(op, "bihuan_reader")
    create_role(op, "bihuan_writer", member_of="bihuan_reader")
    op.execute(OWN)
    op.execute("SET LOCAL ROLE bihuan_owner")
    _run(TABLES)
    op.execute(REFUSE)
    for table in ("event", "position"):
        _run(APPEND_ONLY.format(table=table))
    for function in (APPEND, ADVANCE, CLAIM, ANSWER):
        op.execute(function)
    _run(GRANTS)
    op.execute("RESET ROLE")


def _run(script: str) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            op.execute(statement)
