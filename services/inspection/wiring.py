"""The services of inspection, as one list for services/app.py."""

from bihuan.inspection.v1 import (
    code_service_pb2,
    code_service_pb2_grpc,
    draw_service_pb2,
    draw_service_pb2_grpc,
    inspection_service_pb2,
    inspection_service_pb2_grpc,
    plan_service_pb2,
    plan_service_pb2_grpc,
    roster_service_pb2,
    roster_service_pb2_grpc,
    statistics_service_pb2,
    statistics_service_pb2_grpc,
    target_service_pb2,
    target_service_pb2_grpc,
    visit_service_pb2,
    visit_service_pb2_grpc,
)
from eventstore import EventStore
from rpc.server import Service
from rules import Clock
from services.calendar.shelf import CalendarShelf
from services.evidence.files import EvidenceFiles
from services.inspection.draws.key import DrawKey
from services.inspection.draws.service import DrawService
from services.inspection.inspections.code_service import CodeService
from services.inspection.inspections.desk import InspectionDesk
from services.inspection.inspections.service import InspectionService
from services.inspection.inspections.signing import CodeKeys
from services.inspection.plans.service import PlanService
from services.inspection.roster.service import RosterService
from services.inspection.statistics.service import StatisticsService
from services.inspection.targets.service import TargetService
from services.inspection.visits.service import VisitService


def services(
    store: EventStore,
    shelf: CalendarShelf,
    files: EvidenceFiles,
    clock: Clock,
    draw_key: DrawKey,
    keys: CodeKeys,
) -> list[Service]:
    """Every service of the domain, on the store of its role; `keys` sign inspection codes."""
    desk = InspectionDesk(store, shelf, files, clock, keys)
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
        Service(
            PlanService(store, shelf, clock),
            plan_service_pb2_grpc.add_PlanServiceServicer_to_server,
            plan_service_pb2.DESCRIPTOR.services_by_name["PlanService"],
        ),
        Service(
            DrawService(store, shelf, clock, draw_key),
            draw_service_pb2_grpc.add_DrawServiceServicer_to_server,
            draw_service_pb2.DESCRIPTOR.services_by_name["DrawService"],
        ),
        Service(
            InspectionService(desk),
            inspection_service_pb2_grpc.add_InspectionServiceServicer_to_server,
            inspection_service_pb2.DESCRIPTOR.services_by_name["InspectionService"],
        ),
        Service(
            CodeService(desk),
            code_service_pb2_grpc.add_CodeServiceServicer_to_server,
            code_service_pb2.DESCRIPTOR.services_by_name["CodeService"],
        ),
        Service(
            VisitService(store, clock),
            visit_service_pb2_grpc.add_VisitServiceServicer_to_server,
            visit_service_pb2.DESCRIPTOR.services_by_name["VisitService"],
        ),
        Service(
            StatisticsService(store, shelf, clock),
            statistics_service_pb2_grpc.add_StatisticsServiceServicer_to_server,
            statistics_service_pb2.DESCRIPTOR.services_by_name["StatisticsService"],
        ),
    ]
