"""The data keys that personal data is sealed with, one for each subject, wrapped by a master key."""

from alembic import op

from eventstore.roles import create_role

revision = "0004"
down_revision = "0003"

# Nobody but the functions reads or writes it. A key that is destroyed leaves its row, and never
# comes back.
TABLES = """
CREATE TABLE eventstore.data_key (
  id uuid PRIMARY KEY,
  made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  forgotten_at timestamptz,
  forgotten_by text,
  subject_hash bytea NOT NULL,
  wrapped bytea STORAGE PLAIN,
  CHECK ((wrapped IS NULL) = (forgotten_at IS NOT NULL)),
  CHECK ((wrapped IS NULL) = (forgotten_by IS NOT NULL))
) WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0);
CREATE UNIQUE INDEX data_key_of_subject ON eventstore.data_key (subject_hash)
  WHERE wrapped IS NOT NULL;
CREATE TRIGGER keep BEFORE DELETE OR TRUNCATE ON eventstore.data_key
  FOR EACH STATEMENT EXECUTE FUNCTION eventstore.refuse();
ALTER TABLE eventstore.data_key ENABLE ALWAYS TRIGGER keep
"""

# The lock makes `forget_subject` wait for whoever is about to seal.
HOLD = """
CREATE FUNCTION eventstore.hold_data_key(subject_hash bytea)
RETURNS TABLE (id uuid, wrapped bytea)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.id, k.wrapped FROM eventstore.data_key k
    WHERE k.subject_hash = $1 AND k.wrapped IS NOT NULL FOR SHARE
$$
"""

ADD = """
CREATE FUNCTION eventstore.add_data_key(id uuid, subject_hash bytea, wrapped bytea)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO eventstore.data_key (id, subject_hash, wrapped) VALUES ($1, $2, $3)
    ON CONFLICT (subject_hash) WHERE wrapped IS NOT NULL DO NOTHING
$$
"""

FIND = """
CREATE FUNCTION eventstore.data_keys(ids uuid[])
RETURNS TABLE (id uuid, wrapped bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.id, k.wrapped FROM eventstore.data_key k WHERE k.id = ANY ($1)
$$
"""

FORGET = """
CREATE FUNCTION eventstore.forget_subject(subject_hash bytea, forgotten_by text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE eventstore.data_key k
    SET wrapped = NULL, forgotten_at = clock_timestamp(), forgotten_by = $2
    WHERE k.subject_hash = $1 AND k.wrapped IS NOT NULL;
  RETURN FOUND;
END $$
"""

EACH = """
CREATE FUNCTION eventstore.data_keys_after(after uuid, most integer)
RETURNS TABLE (id uuid, wrapped bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.id, k.wrapped FROM eventstore.data_key k
    WHERE k.id > $1 AND k.wrapped IS NOT NULL ORDER BY k.id LIMIT $2
$$
"""

# Nothing happens to a key that was destroyed meanwhile.
REWRAP = """
CREATE FUNCTION eventstore.rewrap_data_key(id uuid, was bytea, wrapped bytea)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE eventstore.data_key k SET wrapped = $3 WHERE k.id = $1 AND k.wrapped = $2
$$
"""

GRANTS = """
REVOKE EXECUTE ON FUNCTION eventstore.hold_data_key, eventstore.add_data_key,
  eventstore.data_keys, eventstore.forget_subject, eventstore.data_keys_after,
  eventstore.rewrap_data_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION eventstore.hold_data_key, eventstore.add_data_key, eventstore.data_keys
  TO bihuan_writer;
GRANT EXECUTE ON FUNCTION eventstore.forget_subject, eventstore.data_keys_after,
  eventstore.rewrap_data_key TO bihuan_privacy;
GRANT MAINTAIN ON eventstore.data_key TO bihuan_privacy
"""


def upgrade() -> None:
    create_role(op, "bihuan_privacy", member_of="bihuan_writer")
    op.execute("SET LOCAL ROLE bihuan_owner")
    _run(TABLES)
    for function in (HOLD, ADD, FIND, FORGET, EACH, REWRAP):
        op.execute(function)
    _run(GRANTS)
    op.execute("RESET ROLE")


def _run(script: str) -> None:
    for statement in script.split(";\n"):
        op.execute(statement)
