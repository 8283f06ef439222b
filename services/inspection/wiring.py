"""The services of inspection, as one list for services/app.py."""

from bihuan.inspection.v1 import inspection_service_pb2, inspection_service_pb2_grpc
from eventstore import EventStore
from rpc.server import Service
from rules import Clock
from services.calendar.shelf import CalendarShelf
from services.evidence.files import EvidenceFiles
from services.inspection.inspections.desk import InspectionDesk
from services.inspection.inspections.service import InspectionService


def services(
    store: EventStore, shelf: CalendarShelf, files: EvidenceFiles, clock: Clock
) -> list[Service]:
    """Every service of the domain, on the store of its role."""
    desk = InspectionDesk(store, shelf, files, clock)
    return [
        Service(
            InspectionService(desk),
            inspection_service_pb2_grpc.add_InspectionServiceServicer_to_server,
            inspection_service_pb2.DESCRIPTOR.services_by_name["InspectionService"],
        ),
    ]
