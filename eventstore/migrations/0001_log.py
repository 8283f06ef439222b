"""The append-only log, its dense positions, checkpoints, and answered requests."""

from alembic import op

from eventstore.roles import create_role

revision = "0001"
down_revision = None

# Fixed-width columns first, so that no row is padded. What is unique in the log is kept by `stream`
# and, within a partition, by its own indexes (see PARTITION).
TABLES = """
CREATE TABLE eventstore.event (
  id bigint NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  event_id uuid NOT NULL,
  correlation_id uuid NOT NULL,
  causation_id uuid,
  request_id uuid,
  version integer NOT NULL,
  stream text COLLATE "C" NOT NULL,
  category text COLLATE "C" GENERATED ALWAYS AS (split_part(stream, '-', 1)) VIRTUAL,
  type text COLLATE "C" NOT NULL,
  actor text NOT NULL,
  traceparent text NOT NULL,
  data bytea NOT NULL
) PARTITION BY RANGE (id);

CREATE SEQUENCE eventstore.event_id AS bigint;

-- The head of each stream, and between which ids its events lie. Room on the page for new versions.
CREATE TABLE eventstore.stream (
  first_id bigint NOT NULL,
  last_id bigint NOT NULL,
  version integer NOT NULL,
  stream text COLLATE "C" PRIMARY KEY
) WITH (fillfactor = 80);

-- The last row also says which lower ids were open when it was dealt, and the transaction before
-- which those began (see ADVANCE).
CREATE TABLE eventstore.position (
  position bigint PRIMARY KEY,
  id bigint NOT NULL UNIQUE,
  open_ids bigint[],
  open_before xid8[]
);

CREATE TABLE eventstore.partition (
  lower_id bigint PRIMARY KEY,
  upper_id bigint NOT NULL
);

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
CREATE INDEX request_recorded_at ON eventstore.request (recorded_at);
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

# Made beside the log and attached, since CREATE … PARTITION OF would stop all writers meanwhile.
PARTITION = """
CREATE FUNCTION eventstore.add_partition(size bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  lower bigint := (SELECT coalesce(max(upper_id), 1) FROM eventstore.partition);
  name text := 'event_' || lower;
BEGIN
  EXECUTE format('CREATE TABLE eventstore.%I (LIKE eventstore.event INCLUDING ALL,
    PRIMARY KEY (id), UNIQUE (stream, version), UNIQUE (event_id))', name);
  EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventstore.%I
    FOR EACH STATEMENT EXECUTE FUNCTION eventstore.refuse()', name);
  EXECUTE format('ALTER TABLE eventstore.%I ENABLE ALWAYS TRIGGER append_only', name);
  EXECUTE format('ALTER TABLE eventstore.event ATTACH PARTITION eventstore.%I
    FOR VALUES FROM (%s) TO (%s)', name, lower, lower + size);
  INSERT INTO eventstore.partition VALUES (lower, lower + size);
END $$
"""

# Returns the stream's new version, or NULL, and nothing is appended, if it is not at the expected one:
# its row in `stream` makes racing writers wait for each other and lets one through, before any of
# them draws an id that would come to nothing. The transaction has its number before it draws an id:
# ADVANCE relies on that.
APPEND = """
CREATE FUNCTION eventstore.append(
  stream text, expected integer, ids uuid[], types text[], data bytea[], actor text,
  correlation_id uuid, causation_id uuid, request_id uuid, traceparent text
) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  caller text := current_setting('role');
  domain text := substring(append.stream from '^([a-z][a-z_]*)\\.[a-z][a-z_]*-.');
  added CONSTANT integer := cardinality(append.ids);
  drawn bigint[];
BEGIN
  -- Not as constraints of the table, which would be compiled again for every row.
  IF length(stream) > 200 OR length(append.actor) > 500 OR length(append.traceparent) > 100 THEN
    RAISE 'a stream, actor or traceparent is too long: at most 200, 500 and 100 characters'
      USING ERRCODE = 'string_data_right_truncation';
  END IF;
  IF domain IS NULL OR domain IN ('owner', 'reader', 'sealer', 'writer') THEN
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

  PERFORM pg_current_xact_id();
  IF expected = 0 THEN
    PERFORM WHERE NOT EXISTS (SELECT FROM eventstore.stream s WHERE s.stream = append.stream);
  ELSE
    PERFORM FROM eventstore.stream s
      WHERE s.stream = append.stream AND s.version = expected FOR NO KEY UPDATE;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  FOR n IN 1 .. added LOOP
    drawn[n] := nextval('eventstore.event_id');
  END LOOP;
  IF expected = 0 THEN
    INSERT INTO eventstore.stream (stream, version, first_id, last_id)
      VALUES (append.stream, added, drawn[1], drawn[added]) ON CONFLICT DO NOTHING;
  ELSE
    UPDATE eventstore.stream s SET version = expected + added, last_id = drawn[added]
      WHERE s.stream = append.stream;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  FOR n IN 1 .. added LOOP
    INSERT INTO eventstore.event (
        id, stream, version, event_id, type, data, actor,
        correlation_id, causation_id, request_id, traceparent)
      VALUES (drawn[n], append.stream, expected + n, append.ids[n], types[n], append.data[n],
        append.actor, append.correlation_id, append.causation_id, append.request_id,
        append.traceparent);
  END LOOP;
  RETURN expected + added;
END $$
"""

# Many appends, each for itself: what one of them is told is no matter of the others.
APPEND_EACH = """
CREATE FUNCTION eventstore.append_each(
  streams text[], expected integer[], counts integer[], ids uuid[], types text[], data bytea[],
  actors text[], correlation_ids uuid[], causation_ids uuid[], request_ids uuid[],
  traceparents text[]
) RETURNS integer[] LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  versions integer[];
  first integer := 1;
  last integer;
BEGIN
  FOR n IN 1 .. cardinality(streams) LOOP
    last := first + counts[n] - 1;
    versions[n] := eventstore.append(
      streams[n], expected[n], ids[first:last], types[first:last], data[first:last], actors[n],
      correlation_ids[n], causation_ids[n], request_ids[n], traceparents[n]);
    first := last + 1;
  END LOOP;
  RETURN versions;
END $$
"""

# No queue: what is to be dealt is what the log holds beyond the highest id dealt, and those lower
# ids that were open then: drawn by a transaction under way, or by one that came to nothing. Which
# of the two shows once every transaction has ended that began before the id was found open. Such
# a transaction's number is below ours, as it had it before it drew its id, an id below one that we
# see committed; so ours must be taken after we looked. A number that was not given out yet is of
# another cluster, from which this log was dumped: no transaction of that one is left. Nothing is
# ever updated or deleted, so no reader's long snapshot makes this slower. Each statement has a
# snapshot of its own: the one after the lock sees all that was dealt before.
ADVANCE = """
CREATE FUNCTION eventstore.advance(wait boolean DEFAULT false)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off -- new rows are few, whatever statistics say
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_variable
DECLARE
  turn CONSTANT bigint := hashtextextended('eventstore.advance', 0);
  head bigint := 0;
  highest bigint;
  open_ids bigint[];
  open_before xid8[];
  committed bigint[];
  oldest xid8;
  coming xid8;
  last bigint;
BEGIN
  IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
    RAISE 'positions are dealt in a transaction of their own';
  END IF;
  IF wait THEN
    PERFORM pg_advisory_xact_lock(turn);
  ELSIF NOT pg_try_advisory_xact_lock(turn) THEN
    RETURN (SELECT coalesce(max(p.position), 0) FROM eventstore.position p);
  END IF;
  SELECT p.position, p.open_ids, p.open_before INTO head, open_ids, open_before
    FROM eventstore.position p ORDER BY p.position DESC LIMIT 1;
  head := coalesce(head, 0);
  highest := (SELECT coalesce(max(p.id), 0) FROM eventstore.position p);
  SELECT array_agg(e.id ORDER BY e.id),
      pg_snapshot_xmin(pg_current_snapshot()), pg_snapshot_xmax(pg_current_snapshot())
    INTO committed, oldest, coming
    FROM (SELECT id FROM eventstore.event WHERE id = ANY (open_ids)
          UNION ALL SELECT id FROM eventstore.event WHERE id > highest) AS e;
  IF committed IS NULL THEN
    RETURN head;
  END IF;
  last := committed[cardinality(committed)];
  SELECT array_agg(o.id ORDER BY o.id), array_agg(o.before ORDER BY o.id) INTO open_ids, open_before
    FROM (SELECT id, before FROM unnest(open_ids, open_before) AS was(id, before)
            WHERE before > oldest AND before < coming
          UNION ALL
          SELECT id, pg_current_xact_id() FROM generate_series(highest + 1, last) AS drawn(id)
         ) AS o
    WHERE NOT EXISTS (SELECT FROM unnest(committed) AS c(id) WHERE c.id = o.id);
  INSERT INTO eventstore.position (position, id, open_ids, open_before)
    SELECT head + n, id,
      CASE WHEN n = cardinality(committed) THEN open_ids END,
      CASE WHEN n = cardinality(committed) THEN open_before END
    FROM unnest(committed) WITH ORDINALITY AS c(id, n);
  head := head + cardinality(committed);
  PERFORM pg_notify('eventstore', head::text);
  IF last > (SELECT max(lower_id) FROM eventstore.partition) THEN
    PERFORM eventstore.add_partition(5000000);
  END IF;
  RETURN head;
END $$
"""

# By whoever has appended, in its own transaction, so that one commit does for both: only where that
# leaves no id open, so that no transaction's number matters. Anything else is left to `advance`, a
# backlog and the start of a partition too. Others wait for their turn until we have committed:
# call it last, where no client comes in between.
DEAL_OWN = """
CREATE FUNCTION eventstore.deal_own()
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  most CONSTANT integer := 1000;
  head bigint := 0;
  highest bigint;
  open_ids bigint[];
  added bigint;
  last bigint;
BEGIN
  -- Looked at before, too: a transaction that hangs must not make everybody take turns.
  open_ids := (SELECT p.open_ids FROM eventstore.position p ORDER BY p.position DESC LIMIT 1);
  IF open_ids IS NOT NULL
      OR NOT pg_try_advisory_xact_lock(hashtextextended('eventstore.advance', 0)) THEN
    RETURN false;
  END IF;
  SELECT p.position, p.open_ids INTO head, open_ids
    FROM eventstore.position p ORDER BY p.position DESC LIMIT 1;
  head := coalesce(head, 0);
  highest := (SELECT coalesce(max(p.id), 0) FROM eventstore.position p);
  SELECT count(*), max(id) INTO added, last
    FROM (SELECT id FROM eventstore.event WHERE id > highest ORDER BY id LIMIT most) AS e;
  IF open_ids IS NOT NULL OR added IN (0, most) OR last > highest + added
      OR last > (SELECT max(lower_id) FROM eventstore.partition) THEN
    RETURN false;
  END IF;
  INSERT INTO eventstore.position (position, id)
    SELECT head + n, highest + n FROM generate_series(1, added) AS n;
  PERFORM pg_notify('eventstore', (head + added)::text);
  RETURN true;
END $$
"""

CLAIM = """
CREATE FUNCTION eventstore.claim(caller text, request_id uuid, method text, digest bytea)
RETURNS bytea LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  first eventstore.request;
BEGIN
  LOOP
    INSERT INTO eventstore.request (caller, request_id, method, digest)
      VALUES (claim.caller, claim.request_id, claim.method, claim.digest) ON CONFLICT DO NOTHING;
    IF FOUND THEN
      RETURN NULL;
    END IF;
    SELECT * INTO first FROM eventstore.request r
      WHERE r.caller = claim.caller AND r.request_id = claim.request_id;
    EXIT WHEN FOUND; -- or it was forgotten meanwhile, and is ours after all
  END LOOP;
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

# A command that was answered deals its events as it commits: deferred, so with no client between.
DEAL_ANSWERED = """
CREATE FUNCTION eventstore.deal_answered() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM eventstore.deal_own();
  RETURN NULL;
END $$
"""
DEAL_AT_COMMIT = """
CREATE CONSTRAINT TRIGGER deal_answered AFTER UPDATE ON eventstore.request
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION eventstore.deal_answered()
"""

GRANTS = """
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA eventstore FROM PUBLIC;
GRANT USAGE ON SCHEMA eventstore TO bihuan_reader;
GRANT SELECT ON eventstore.event, eventstore.stream, eventstore.position, eventstore.partition
  TO bihuan_reader;
GRANT SELECT, INSERT, UPDATE ON eventstore.checkpoint TO bihuan_reader;
GRANT EXECUTE ON FUNCTION eventstore.advance TO bihuan_reader;
GRANT EXECUTE ON FUNCTION eventstore.append, eventstore.append_each, eventstore.claim,
  eventstore.answer, eventstore.deal_own TO bihuan_writer;
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
    for function in (PARTITION, APPEND, APPEND_EACH, ADVANCE, DEAL_OWN, CLAIM, ANSWER):
        op.execute(function)
    op.execute(DEAL_ANSWERED)
    op.execute(DEAL_AT_COMMIT)
    for _ in range(2):  # one to fill, one ahead
        op.execute("SELECT eventstore.add_partition(5000000)")
    _run(GRANTS)
    op.execute("RESET ROLE")


def _run(script: str) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            op.execute(statement)
