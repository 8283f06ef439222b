"""Reads the log in order of position, a bounded piece of it at a time."""

from typing import Any

from eventstore.errors import PositionBeyondHead
from eventstore.events import EVERYTHING, Filter, Page, RecordedEvent

# A page looks at no more positions than this, however few events the filter lets through.
WINDOW = 10_000
COLUMNS = (
    "e.event_id, e.stream, e.version, e.type, e.data, e.actor, e.correlation_id, e.causation_id,"
    " e.request_id, e.traceparent, e.recorded_at"
)
recorded = RecordedEvent._make
"""An event from a row of COLUMNS and its position."""
BY_POSITION = "eventstore.position p JOIN eventstore.event e USING (id)"
# OFFSET 0 keeps the planner from walking all positions before the tables were first analysed.
BY_STREAM = (
    "eventstore.event e CROSS JOIN LATERAL"
    " (SELECT position FROM eventstore.position WHERE id = e.id OFFSET 0) p"
)


STREAMS_OF = """
SELECT stream FROM eventstore.stream WHERE right(stream, length($1) + 1) = '-' || $1
UNION SELECT stream FROM eventstore.event WHERE position(convert_to($1, 'UTF8') IN data) > 0
ORDER BY 1
"""


async def advance(driver: Any, *, wait: bool = False) -> int:
    """Deal positions to what was committed; return the head.

    While somebody else is at it that is the head of before, unless we `wait` our turn.
    """
    head: int = await driver.fetchval("SELECT eventstore.advance($1)", wait)
    return head


async def read_page(
    driver: Any, after: int, limit: int, wanted: Filter, known_head: int = 0
) -> Page:
    """Up to `limit` events after position `after`, as far as the head `known_head` if that lies
    further; otherwise what is committed is dealt first.

    All positions up to the head were dealt before, so none can appear behind `next` later.
    """
    head = known_head if after < known_head else await advance(driver)
    if after > head:
        raise PositionBeyondHead(after, head)
    upto = min(head, after + _window(limit, wanted, head))
    if upto == after:
        return Page((), after, head)
    events = [recorded(row) for row in await driver.fetch(*_select(wanted, after, upto, limit))]
    full = len(events) >= limit
    return Page(events, events[-1].position or upto if full else upto, head)


async def read_tail(driver: Any, limit: int, wanted: Filter) -> list[RecordedEvent]:
    """The last `limit` events that have a position, in order."""
    sql, *parameters = _select(wanted, 0, await advance(driver), limit)
    rows = await driver.fetch(
        sql.replace("ORDER BY p.position", "ORDER BY p.position DESC"), *parameters
    )
    return [recorded(row) for row in reversed(rows)]


async def streams_of(driver: Any, case: str) -> tuple[str, ...]:
    """The streams of a case: named by its UUID, or with an event that mentions `case` as text.

    Reads the whole log: for people, not for programs.
    """
    rows = await driver.fetch(STREAMS_OF, case)
    return tuple(row["stream"] for row in rows)


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
