"""Requests on inspection targets, each valid, and the law that the tests grade by."""

from datetime import date
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.inspection.v1 import target_service_pb2 as rpc_pb
from rules import RuleBook, Rules, WorkingCalendar
from tests.services.calls import rid
from tests.services.rosters import day

FIRM = "91130200699229617X"
TARGET = f"targets/{FIRM}"
YANGZHOU = "321000"
RULES = Rules(RuleBook.load(), WorkingCalendar.load())

TODAY = date(2026, 9, 7)
# What the table of the place gives for a factor and a level, and what it begins with.
POINTS = {
    factor.id: {level.id: level.points for level in factor.levels}
    for factor in RULES.at(YANGZHOU).factors("inspection.grade_points", TODAY)
}
BASE = RULES.at(YANGZHOU).number("inspection.grade_base", TODAY)


def profile(**fields: Any) -> pb.TargetProfile:
    values: dict[str, Any] = {
        "display_name": "扬州一号化工有限公司",
        "district": YANGZHOU,
        "address": "邗江区一路1号",
        "industry": "C2614",
    }
    return pb.TargetProfile(**{**values, **fields})


def register(uscc: str = FIRM, **fields: Any) -> rpc_pb.RegisterTargetRequest:
    return rpc_pb.RegisterTargetRequest(request_id=rid(), uscc=uscc, profile=profile(**fields))


def fact(
    kind: str, on: date, level: str = "general", source: str = "", name: str = "", **fields: Any
) -> pb.Fact:
    """A fact of FACT_KIND_`kind`; its id follows from what it is, or from `name`."""
    source = source or f"sources/{kind.lower()}"
    said = f"{kind} {on} {level} {source} {name}"
    return pb.Fact(
        id=str(uuid5(NAMESPACE_URL, said)),
        kind=pb.FactKind.Value(f"FACT_KIND_{kind}"),
        level=level,
        source=source,
        date=day(on),
        compliant=True,
        **fields,
    )


def record(fact: pb.Fact, name: str = TARGET) -> rpc_pb.RecordFactRequest:
    return rpc_pb.RecordFactRequest(request_id=rid(), name=name, fact=fact)
