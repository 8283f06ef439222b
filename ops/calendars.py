"""Publishes a year's working days from a file, through the service like anybody else."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from ops.home import addresses
from ops.ports import reachable
from ops.settings import Settings

if TYPE_CHECKING:
    from bihuan.calendar.v1.calendar_service_pb2 import PublishCalendarRequest

ROLE = "legal"


class Refused(Exception):
    """The file or the service says no; the message says why."""


async def publish(settings: Settings, file: Path) -> int:
    """Publish the calendar in `file` as role `legal`; returns its year. Raises Refused."""
    import grpc

    from bihuan.calendar.v1.calendar_service_pb2_grpc import CalendarServiceStub
    from ops.tokens import issue, require_issuer
    from rpc.client import connect, status_of
    from rpc.identity import Identity

    request = _request(file)
    require_issuer(settings)
    token = issue(settings, Identity(ROLE, roles=frozenset({ROLE})), hours=1)
    async with connect(target(settings), token) as channel:
        try:
            await CalendarServiceStub(channel).PublishCalendar(request)
        except grpc.aio.AioRpcError as error:
            status = status_of(error)
            raise Refused(f"{status.reason}: {status.message}") from error
    return request.year


def _request(file: Path) -> "PublishCalendarRequest":
    from google.type.date_pb2 import Date

    from bihuan.calendar.v1.calendar_service_pb2 import PublishCalendarRequest, SpecialDay
    from rules import parse_calendar

    try:
        text = file.read_text()
        calendar = parse_calendar(text, str(file))
    except (OSError, ValueError) as error:
        raise Refused(str(error)) from error

    def special(days: Mapping[date, str]) -> list[SpecialDay]:
        return [
            SpecialDay(date=Date(year=day.year, month=day.month, day=day.day), occasion=occasion)
            for day, occasion in days.items()
        ]

    return PublishCalendarRequest(
        # The same file again is the same command, so sending it twice is harmless.
        request_id=str(uuid5(NAMESPACE_URL, text)),
        year=calendar.year,
        holidays=special(calendar.holidays),
        working_weekends=special(calendar.working_weekends),
        source=calendar.source,
    )


def target(settings: Settings) -> str:
    """The services' address: the stack of this home may have had to choose another port."""
    up = None if settings.configured("grpc_address") else addresses(settings.home)
    return reachable(up.grpc_address if up else settings.grpc_address)
