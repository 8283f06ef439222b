"""Requests on the roster, each valid, and credit codes for as many bodies as a test needs."""

from datetime import date
from typing import Any

from google.type.date_pb2 import Date

from bihuan.inspection.v1 import roster_pb2 as pb
from bihuan.inspection.v1 import roster_service_pb2 as rpc_pb
from tests.services.calls import rid

CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
ECOLOGY = "11441900MB2C90178X"
DEPARTMENT = f"departments/{ECOLOGY}"


def uscc(number: int) -> str:
    """The credit code of the body of that number: GB 32100 with its check character."""
    first = f"91321000MA{number:07d}"
    weighed = sum(CHARACTERS.index(each) * 3**n for n, each in enumerate(first))
    return first + CHARACTERS[(31 - weighed % 31) % 31]


def day(value: date) -> Date:
    """A date as a message."""
    return Date(year=value.year, month=value.month, day=value.day)


def profile(**fields: Any) -> pb.DepartmentProfile:
    """What is on record of a department that has the power itself."""
    values: dict[str, Any] = {
        "display_name": "扬州市生态环境局",
        "field": "ecology",
        "district": "321000",
        "power": pb.POWER_STATUTORY,
    }
    return pb.DepartmentProfile(**{**values, **fields})


def department(uscc: str = ECOLOGY, **fields: Any) -> rpc_pb.RegisterDepartmentRequest:
    return rpc_pb.RegisterDepartmentRequest(request_id=rid(), uscc=uscc, profile=profile(**fields))


def certificate(
    number: str = "苏1001",
    first: date = date(2025, 1, 1),
    last: date = date(2029, 12, 31),
) -> pb.Certificate:
    return pb.Certificate(
        issuer="江苏省人民政府", number=number, from_date=day(first), to_date=day(last)
    )


def absence(first: date, last: date) -> pb.Absence:
    return pb.Absence(from_date=day(first), to_date=day(last), reason="年休假")


def inspector(
    subject: str, *certificates: pb.Certificate, **fields: Any
) -> rpc_pb.RegisterInspectorRequest:
    """An inspector with the certificates given, or with one that is valid for years."""
    values: dict[str, Any] = {
        "request_id": rid(),
        "subject": subject,
        "display_name": subject,
        "department": DEPARTMENT,
        "certificates": certificates or [certificate()],
    }
    return rpc_pb.RegisterInspectorRequest(**{**values, **fields})
