"""Tables of the same shape beside the live ones, compared with them and taken over into them.

They are temporary: nobody else sees them, nothing of them is left when the connection ends, whatever
ended it, and no right is needed beyond those of the service.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

SCHEMA = "pg_temp"
EXAMPLES = 5

# `unlike` names the columns that are not alike, of rows that both have.
COMPARE = """
CREATE TEMP TABLE {difference} ON COMMIT DROP AS
SELECT {key}, live.{first} IS NULL AS missing, beside.{first} IS NULL AS extra,
  array_remove(ARRAY[{unlike}], NULL) AS unlike
FROM {live} live FULL JOIN {beside} beside USING ({key})
WHERE live.{first} IS NULL OR beside.{first} IS NULL OR ROW({of_live}) IS DISTINCT FROM ROW({of_beside})
"""
UNLIKE = """CASE WHEN live."{0}" IS DISTINCT FROM beside."{0}" THEN '{0}' END"""
COUNT = """
SELECT (SELECT count(*) FROM {beside}), count(*) FILTER (WHERE missing),
  count(*) FILTER (WHERE extra), count(*) FILTER (WHERE NOT missing AND NOT extra)
FROM {difference}
"""
SHOW = """
SELECT concat_ws(' ', {key}) AS row,
  CASE WHEN missing THEN 'missing' WHEN extra THEN 'extra' ELSE array_to_string(unlike, ', ') END
FROM {difference} ORDER BY 1 LIMIT {examples}
"""
# Extra rows first, and different ones made anew: no unique index then sees two of them at once.
TAKE_OVER = (
    "DELETE FROM {live} USING {difference} d WHERE NOT d.missing AND ({live_key}) = ({d_key})",
    "INSERT INTO {live} ({columns}) SELECT {columns} FROM {beside}"
    " JOIN {difference} USING ({key}) WHERE NOT extra",
)


@dataclass(frozen=True)
class Difference:
    """How a live table differed from `rows` rebuilt ones.

    missing: rows it lacked; extra: rows it should not have; different: rows with other content;
    examples: the keys of some of these, and "missing", "extra" or the columns that were different.
    """

    table: str
    rows: int
    missing: int
    extra: int
    different: int
    examples: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.different)

    def __str__(self) -> str:
        counts = f"{self.missing} missing, {self.extra} extra, {self.different} different"
        named = "; ".join(f"{key} ({what})" for key, what in self.examples)
        return f"{self.table}: {counts} of {self.rows} rows" + (f": {named}" if self else "")


async def make(conn: AsyncConnection, tables: Sequence[Table]) -> None:
    """Make empty tables beside `tables`; whatever `conn` writes to those by SQLAlchemy goes there."""
    for table in tables:
        await conn.execute(
            text(f"CREATE TEMP TABLE {table.name} (LIKE {table.fullname} INCLUDING ALL)")
        )
    await conn.execution_options(schema_translate_map={table.schema: SCHEMA for table in tables})


async def analyse(conn: AsyncConnection, tables: Sequence[Table]) -> None:
    """Let the planner know their sizes: nobody else does that for temporary tables."""
    for table in tables:
        await conn.execute(text(f"ANALYZE {SCHEMA}.{table.name}"))


async def compare(conn: AsyncConnection, table: Table) -> Difference:
    """How the live table differs, in the snapshot of the transaction."""
    names = _names(table)
    await conn.execute(text(COMPARE.format(**names)))
    rows, missing, extra, different = (await conn.execute(text(COUNT.format(**names)))).one()
    examples = await conn.execute(text(SHOW.format(**names, examples=EXAMPLES)))
    named = tuple((row[0], row[1]) for row in examples)
    return Difference(table.fullname, rows, missing, extra, different, named)


async def take_over(conn: AsyncConnection, table: Table) -> None:
    """Mend in the live table what `compare` found in this very transaction."""
    for statement in TAKE_OVER:
        await conn.execute(text(statement.format(**_names(table))))


def _names(table: Table) -> dict[str, str]:
    columns = [f'"{column.name}"' for column in table.columns]
    key = [f'"{column.name}"' for column in table.primary_key]
    return {
        "live": table.fullname,
        "beside": f"{SCHEMA}.{table.name}",
        "difference": f"{SCHEMA}.{table.name}_difference",
        "first": key[0],
        "key": ", ".join(key),
        "live_key": ", ".join(f"{table.fullname}.{name}" for name in key),
        "d_key": ", ".join(f"d.{name}" for name in key),
        "columns": ", ".join(columns),
        "of_live": ", ".join(f"live.{name}" for name in columns),
        "of_beside": ", ".join(f"beside.{name}" for name in columns),
        "unlike": ", ".join(UNLIKE.format(column.name) for column in table.columns),
    }
