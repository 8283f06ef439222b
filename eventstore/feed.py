"""Reads the log in order of position, a bounded piece of it at a time."""

from typing import Any

from eventstore.errors import PositionBeyondHead
from eventstore.events import EVERYTHING, Filter, Metadata, Page, RecordedEvent

# A page looks at no more positions than this, however few events the filter lets through.
WINDOW = 10_000
COLUMNS = (
    "e.event_id, e.stream, e.version, e.type, e.data, e.actor, e.correlation_id, e.causation_id,"
    " e.request_id, e.traceparent, e.recorded_at"
)
BY_POSITION = "eventstore.position p JOIN eventstore.event e USING (id)"
# OFFSET 0 keeps the planner from walking all positions before the tables were first analysed.
BY_STREAM = (
    "eventstore.event e CROSS JOIN LATERAL"
    " (SELECT position FROM eventstore.position WHERE id = e.id OFFSET 0) p"
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
    upto = min(head, after + _window(limit, wanted, head))
    if upto == after:
        return Page((), after, head)
    rows = await driver.fetch(*_select(wanted, after, upto, limit))
    events = [recorded(row) for row in rows]
    full = len(events) >= limit
    return Page(events, rows[-1]["position"] if full else upto, head)


def _window(limit: int, wanted: Filter, head: int) -> int:
    if wanted.streams:
        return head  # their events are few and indexed
    return limit if wanted == EVERYTHING else max(limit, WINDOW)


def _select(wanted: Filter, after: int, upto: int, limit: int) -> tuple[Any, ...]:
    restrictions = {
        "e.stream": wanted.streams,
        "e.category": wanted.categories,
        "e.type": wanted.types,
    }
    given = [(column, list(values)) for column, values in restrictions.items() if values]
    clauses = "".join(f" AND {column} = ANY(${n})" for n, (column, _) in enumerate(given, 4))
    sql = (
        f"SELECT {COLUMNS}, p.position FROM {BY_STREAM if wanted.streams else BY_POSITION}"
        f" WHERE p.position > $1 AND p.position <= $2{clauses} ORDER BY p.position LIMIT $3"
    )
    return sql, after, upto, limit, *(values for _, values in given)


def recorded(row: Any) -> RecordedEvent:
    """An event from a row of COLUMNS, and its position where selected."""
    fields: tuple[Any, ...] = (*row[:5], Metadata(*row[5:10]), *row[10:])
    return RecordedEvent(*fields)
