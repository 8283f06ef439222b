"""Who may do what in the database: one owner, readers, and one writing role for each domain.

| role              | may                                                                      |
|-------------------|--------------------------------------------------------------------------|
| `bihuan_owner`    | own the schema `eventstore`; not even it may change the log              |
| `bihuan_reader`   | read events and positions, deal positions, keep checkpoints              |
| `bihuan_sealer`   | as the reader, keep the Merkle tree and its signed checkpoints, and forget   |
|                   | requests answered long ago                                               |
| `bihuan_writer`   | as the reader, and call `append` and what goes with it; make and read data keys |
| `bihuan_<domain>` | as the writer, for streams `<domain>.…` alone; all in its own view schema |
| `bihuan_privacy`  | as a domain, and destroy data keys or wrap them anew                     |

All are NOLOGIN: grant one to the login of a deployment, and connect with `engine_for(url, role)`.
"""

import re
from types import ModuleType

from sqlalchemy import text

RESERVED = ("owner", "reader", "sealer", "writer")


def create_role(op: ModuleType, name: str, member_of: str | None = None) -> None:
    """Make a NOLOGIN role unless it exists; roles are the cluster's, so other databases race."""
    group = f"IN ROLE {member_of}" if member_of else ""
    op.execute(
        text(f"""
        DO $$ BEGIN
          IF to_regrole('{name}') IS NULL THEN CREATE ROLE {name} NOLOGIN {group}; END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
          NULL; -- another database's migration made it meanwhile
        END $$
        """)
    )


def service_role(op: ModuleType, domain: str, schema: str | None = None) -> str:
    """Make the role `bihuan_<domain>` and give it the tables that this migration role makes in
    `schema` (default: the domain's name) from now on. Call it first in a service's first revision.
    """
    if not re.fullmatch("[a-z][a-z_]*", domain) or domain in RESERVED:
        raise ValueError(f"{domain!r} cannot name a domain")
    role, schema = f"bihuan_{domain}", schema or domain
    create_role(op, role, member_of="bihuan_writer")
    op.execute(f"GRANT ALL ON SCHEMA {schema} TO {role}")
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        op.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT ALL ON {kind} TO {role}")
    return role
