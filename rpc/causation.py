"""Which event made a caller call: carried as W3C baggage, so that events know their cause."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from opentelemetry import baggage, context

_KEY = "bihuan.causation-id"


@contextmanager
def caused_by(event_id: UUID) -> Iterator[None]:
    """Within the block, calls tell that the event `event_id` made them."""
    token = context.attach(baggage.set_baggage(_KEY, str(event_id)))
    try:
        yield
    finally:
        context.detach(token)


def current_causation() -> UUID | None:
    """The event that made the caller call; None if a person did, or the caller does not tell."""
    value = baggage.get_baggage(_KEY)
    try:
        return UUID(str(value)) if value else None
    except ValueError:
        return None
