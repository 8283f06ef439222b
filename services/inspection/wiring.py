"""The services of inspection, as one list for services/app.py."""

from bihuan.inspection.v1 import (
    roster_service_pb2,
    roster_service_pb2_grpc,
    target_service_pb2,
    target_service_pb2_grpc,
)
from eventstore import EventStore
from rpc.server import Service
from rules import Clock
from services.calendar.shelf import CalendarShelf
from services.evidence.files import EvidenceFiles
from services.inspection.roster.service import RosterService
from services.inspection.targets.service import TargetService


def services(
    store: EventStore, shelf: CalendarShelf, files: EvidenceFiles, clock: Clock
) -> list[Service]:
    """Every service of the domain, on the store of its role."""
    return [
        Service(
            RosterService(store, clock),
            roster_service_pb2_grpc.add_RosterServiceServicer_to_server,
            roster_service_pb2.DESCRIPTOR.services_by_name["RosterService"],
        ),
        Service(
            TargetService(store, shelf, clock),
            target_service_pb2_grpc.add_TargetServiceServicer_to_server,
            target_service_pb2.DESCRIPTOR.services_by_name["TargetService"],
        ),
    ]
