"""The services of inspection, as one list for services/app.py."""

from eventstore import EventStore
from rpc.server import Service
from rules import Clock
from services.calendar.shelf import CalendarShelf
from services.evidence.files import EvidenceFiles


def services(
    store: EventStore, shelf: CalendarShelf, files: EvidenceFiles, clock: Clock
) -> list[Service]:
    """Every service of the domain, on the store of its role."""
    return []
