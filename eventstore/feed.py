"""Reads the log in order of position, a bounded piece of it at a time."""

from typing import Any

from eventstore.errors import PositionBeyondHead
from eventstore.events import Filter, Metadata, Page, RecordedEvent

# A page looks at no more positions than this, however few events the filter lets through.
WINDOW = 50_000
COLUMNS = (
    "e.event_id, e.stream, e.version, e.type, e.data, e.actor, e.correlation_id, e.causation_id,"
    " e.request_id, e.traceparent, e.recorded_at"
)


async def advance(driver: Any) -> int:
    """Deal positions to what was committed, unless somebody else is at it; return the head."""
    head: int = await driver.fetchval("SELECT eventstore.advance()")
    return head


async def read_page(driver: Any, after: int, limit: int, wanted: Filter) -> Page:
    """Deal what is pending, then read up to `limit` events after position `after`.

    All positions up to the head were dealt before, so none can appear behind `next` later.
    """
    head = await advance(driver)
    if after > head:
        raise PositionBeyondHead(after, head)
    # A stream's events are few and indexed, so a filter on streams needs no window.
    upto = head if wanted.streams else min(head, after + WINDOW)
    if upto == after:
        return Page((), after, head)
    rows = await driver.fetch(*_select(wanted, after, upto, limit))
    events = [recorded(row) for row in rows]
    full = len(events) >= limit
    return Page(events, rows[-1]["position"] if full else upto, head)


def _select(wanted: Filter, after: int, upto: int, limit: int) -> tuple[Any, ...]:
    restrictions = {
        "e.stream": wanted.streams,
        "e.category": wanted.categories,
        "e.type": wanted.types,
    }
    given = [(column, list(values)) for column, values in restrictions.items() if values]
    clauses = "".join(f" AND {column} = ANY(${n})" for n, (column, _) in enumerate(given, 4))
    event = f"(SELECT * FROM eventstore.event e WHERE e.id = p.id{clauses} OFFSET 0) e"
    sql = (
        f"SELECT {COLUMNS}, p.position FROM eventstore.position p, LATERAL {event}"
        " WHERE p.position > $1 AND p.position <= $2 ORDER BY p.position LIMIT $3"
    )
    return sql, after, upto, limit, *(values for _, values in given)


def recorded(row: Any) -> RecordedEvent:
    """An event from a row of COLUMNS, and its position where selected."""
    fields: tuple[Any, ...] = (*row[:5], Metadata(*row[5:10]), *row[10:])
    return RecordedEvent(*fields)
