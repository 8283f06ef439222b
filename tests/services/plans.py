"""Requests on plans, each valid at its step, and what the register says in these tests."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import plan_pb2 as pb
from bihuan.inspection.v1 import plan_service_pb2 as rpc_pb
from bihuan.inspection.v1 import roster_pb2, target_pb2
from tests.services import rosters
from tests.services.calls import rid

YEAR = 2026
DISTRICT = "321000"
ECOLOGY = rosters.DEPARTMENT
PERMIT, WASTE = "ecology.permit", "ecology.hazardous_waste"
PUBLISH = rpc_pb.PublishPlanRequest(publication="扬州市政府公报2026年第1号")
APPROVE = rpc_pb.ApprovePlanRequest(opinion="同意")
RETURN = rpc_pb.ReturnPlanRequest(opinion="请压减检查次数")
WITHDRAW = rpc_pb.WithdrawPlanRequest(reason="机构改革")


def department(name: str = ECOLOGY, field: str = "ecology") -> roster_pb2.Department:
    return roster_pb2.Department(name=name, field=field, district=DISTRICT)


def target(uscc: str, grade: str = "B", **fields: Any) -> target_pb2.Target:
    """An enterprise on the register."""
    grading = target_pb2.Grading(grade=grade) if grade else None
    values: dict[str, Any] = {"district": DISTRICT, "industry": "C2614", **fields}
    values["register_time"] = Timestamp(seconds=1_767_000_000)
    return target_pb2.Target(name=f"targets/{uscc}", grading=grading, **values)


def plan(kind: pb.PlanKind.ValueType = pb.PLAN_KIND_YEARLY, **fields: Any) -> Any:
    values: dict[str, Any] = {
        "request_id": rid(),
        "department": ECOLOGY,
        "kind": kind,
        "year": YEAR,
        "title": "扬州市生态环境局2026年度行政检查计划",
        "purpose": "涉重金属企业，三月至五月，共两家",
    }
    return rpc_pb.CreatePlanRequest(**{**values, **fields})


def task(number: int, enterprise: str, **fields: Any) -> pb.Task:
    """A task of March."""
    values: dict[str, Any] = {
        "id": str(number),
        "enterprise": enterprise,
        "items": [PERMIT],
        "from_date": rosters.day(date(YEAR, 3, 1)),
        "to_date": rosters.day(date(YEAR, 3, 31)),
    }
    return pb.Task(**{**values, **fields})


def tasks(usccs: Iterable[str], first: int = 1, **fields: Any) -> list[pb.Task]:
    """A task for each enterprise, numbered on."""
    return [task(number, uscc, **fields) for number, uscc in enumerate(usccs, first)]


def add(tasks: Sequence[pb.Task], name: str = "") -> rpc_pb.AddTasksRequest:
    return rpc_pb.AddTasksRequest(request_id=rid(), name=name, tasks=tasks)
