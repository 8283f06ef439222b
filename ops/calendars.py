"""Publishes a year's working days from a file, through the service like anybody else."""

from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from ops.home import addresses
from ops.ports import reachable
from ops.settings import Settings

ROLE = "legal"


class Refused(Exception):
    """The file or the service says no; the message says why."""


async def publish(settings: Settings, file: Path) -> int:
    """Publish the calendar in `file` as role `legal`; returns its year. Raises Refused."""
    import grpc

    from bihuan.calendar.v1 import calendar_service_pb2, calendar_service_pb2_grpc
    from ops.tokens import issue
    from rpc.client import connect, status_of
    from rpc.identity import Identity
    from rules import parse_calendar

    try:
        text = file.read_text()
        calendar = parse_calendar(text, str(file))
    except (OSError, ValueError) as error:
        raise Refused(str(error)) from error
    request = calendar_service_pb2.PublishCalendarRequest(
        # The same file again is the same command, so sending it twice is harmless.
        request_id=str(uuid5(NAMESPACE_URL, text)),
        year=calendar.year,
        source=calendar.source,
    )
    for days, noted in (
        (calendar.holidays, request.holidays),
        (calendar.working_weekends, request.working_weekends),
    ):
        for day, occasion in days.items():
            special = noted.add(occasion=occasion)
            special.date.year, special.date.month, special.date.day = day.year, day.month, day.day
    token = issue(settings, Identity(ROLE, roles=frozenset({ROLE})), hours=1)
    async with connect(_target(settings), token) as channel:
        try:
            await calendar_service_pb2_grpc.CalendarServiceStub(channel).PublishCalendar(request)
        except grpc.aio.AioRpcError as error:
            status = status_of(error)
            raise Refused(f"{status.reason}: {status.message}") from error
    return calendar.year


def _target(settings: Settings) -> str:
    """The services' address: the stack of this home may have had to choose another port."""
    up = None if settings.configured("grpc_address") else addresses(settings.home)
    return reachable(up.grpc_address if up else settings.grpc_address)
