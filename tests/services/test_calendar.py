"""Calendars over real gRPC: published, read back, and what they do to provisional deadlines."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import code_pb2
from google.type.date_pb2 import Date

from bihuan.calendar.v1 import calendar_service_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from rules import Clock, as_date
from tests.bureau import Bureau, bureau, report
from tests.services.calls import recorded, refused, rid

LATE_2026 = datetime(2026, 12, 28, 1, tzinfo=UTC)


def day(year: int, month: int, day: int, occasion: str = "元旦") -> pb.SpecialDay:
    return pb.SpecialDay(date=Date(year=year, month=month, day=day), occasion=occasion)


NEW_YEAR = [day(2027, 1, 1), day(2027, 1, 2), day(2027, 1, 3)]
SUNDAY = day(2027, 2, 14, "春节")
YEAR_2027: dict[str, Any] = {
    "holidays": NEW_YEAR,
    "working_weekends": [SUNDAY],
    "source": "made up for the test",
}


def publication(**fields: Any) -> pb.PublishCalendarRequest:
    return pb.PublishCalendarRequest(**{"request_id": rid(), "year": 2027, **YEAR_2027, **fields})


@pytest.fixture
async def december(database_url: str, tmp_path: Path) -> AsyncIterator[Bureau]:
    """A bureau at the end of 2026, when 2027's calendar is not known to it."""
    clock = str(Clock(LATE_2026, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as open_:
        yield open_


async def test_a_published_calendar_is_served_as_it_was_published(december: Bureau) -> None:
    legal = december.client("legal")
    get = pb.GetCalendarRequest(name="calendars/2027")
    assert (await refused(legal.calendars.GetCalendar(get))).reason == "CALENDAR_NOT_FOUND"
    answer = await legal.calendars.PublishCalendar(publication())
    assert (answer.name, answer.etag, answer.year) == ("calendars/2027", "1", 2027)
    assert answer.publish_time.ToDatetime(UTC).date() == LATE_2026.date()
    served = await legal.calendars.GetCalendar(get)
    for calendar in (answer, served):
        assert list(calendar.holidays) == NEW_YEAR
        assert list(calendar.working_weekends) == [SUNDAY]
        assert calendar.source == "made up for the test"


async def test_a_calendar_is_recorded_once_until_it_changes(december: Bureau) -> None:
    legal = december.client("legal")
    etags = [
        (await legal.calendars.PublishCalendar(publication(holidays=holidays))).etag
        for holidays in (NEW_YEAR, NEW_YEAR, NEW_YEAR[:1])
    ]
    assert etags == ["1", "1", "2"]
    assert await recorded(december) == ["CalendarPublished"] * 2


async def test_recounting_moves_a_provisional_deadline_once_the_year_is_known(
    december: Bureau,
) -> None:
    loop = december.client("loop")
    problem = await december.client("reporter").problems.ReportProblem(report())
    assert problem.next_step.deadline.provisional
    assert as_date(problem.next_step.deadline.due_date) == date(2027, 1, 4)
    listed = touched(provisional=True)
    for request in (listed, touched(counted_into_year=2027)):
        page = await loop.problems.ListProblems(request)
        assert [each.name for each in page.problems] == [problem.name]

    def recount() -> rpc_pb.RecountDeadlinesRequest:
        return rpc_pb.RecountDeadlinesRequest(
            request_id=rid(), name=problem.name, calendar_year=2027
        )

    early = await refused(loop.problems.RecountDeadlines(recount()))
    assert (early.code, early.reason) == (code_pb2.UNAVAILABLE, "CALENDAR_UNKNOWN")
    await december.client("legal").calendars.PublishCalendar(publication())
    moved = await loop.problems.RecountDeadlines(recount())
    assert as_date(moved.next_step.deadline.due_date) == date(2027, 1, 5)
    assert not moved.next_step.deadline.provisional
    assert await loop.problems.RecountDeadlines(recount()) == moved
    assert list((await loop.problems.ListProblems(listed)).problems) == []
    assert await recorded(december) == [
        "ProblemReported",
        "CalendarPublished",
        "DeadlinesRecounted",
    ]


def touched(**fields: Any) -> rpc_pb.ListProblemsRequest:
    wanted = rpc_pb.ProblemFilter(**fields)
    return rpc_pb.ListProblemsRequest(filter=wanted, read_mask=FieldMask(paths=["name"]))


async def test_a_calendar_published_again_finds_what_it_touches_and_moves_it(
    database_url: str, tmp_path: Path
) -> None:
    clock = str(Clock(datetime(2026, 12, 24, 1, tzinfo=UTC), datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as open_:
        problem = await open_.client("reporter").problems.ReportProblem(report())
        assert as_date(problem.next_step.deadline.due_date) == date(2026, 12, 31)
        problems = open_.client("loop").problems
        for fields, found in (
            ({"counted_into_year": 2026}, [problem.name]),
            ({"counted_into_year": 2025}, []),
            ({"counted_into_year": 2027}, []),
            ({"provisional": True}, []),
        ):
            page = await problems.ListProblems(touched(**fields))
            assert [each.name for each in page.problems] == found, fields
        built_in = pb.GetCalendarRequest(name="calendars/2026")
        known = await open_.client("loop").calendars.GetCalendar(built_in)
        amended = publication(
            year=2026,
            holidays=[*known.holidays, day(2026, 12, 31)],
            working_weekends=known.working_weekends,
        )
        await open_.client("legal").calendars.PublishCalendar(amended)
        request = rpc_pb.RecountDeadlinesRequest(
            request_id=rid(), name=problem.name, calendar_year=2026
        )
        moved = await problems.RecountDeadlines(request)
    assert as_date(moved.next_step.deadline.due_date) == date(2027, 1, 1)


async def test_a_published_calendar_outlives_the_process(database_url: str, tmp_path: Path) -> None:
    async with bureau(database_url, tmp_path) as first:
        await first.client("legal").calendars.PublishCalendar(publication())
    async with bureau(database_url, tmp_path) as second:
        get = pb.GetCalendarRequest(name="calendars/2027")
        served = await second.client("legal").calendars.GetCalendar(get)
    assert list(served.holidays) == NEW_YEAR


async def test_a_built_in_calendar_is_served(open_bureau: Bureau) -> None:
    get = pb.GetCalendarRequest(name="calendars/2026")
    served = await open_bureau.client("loop").calendars.GetCalendar(get)
    assert Date(year=2026, month=10, day=1) in [each.date for each in served.holidays]


@pytest.mark.parametrize(
    ("fields", "reason", "path"),
    [
        ({"holidays": [day(2026, 1, 1)]}, "INVALID_DATE", "holidays[0].date"),
        ({"holidays": [*NEW_YEAR, day(2027, 2, 30)]}, "INVALID_DATE", "holidays[3].date"),
        ({"holidays": [day(2027, 5, 1), day(2027, 5, 1)]}, "INVALID_DATE", "holidays[1].date"),
        ({"holidays": [day(2027, 5, 0)]}, "INVALID_DATE", "holidays[0].date"),
        (
            {"working_weekends": [day(2028, 1, 1)]},
            "INVALID_DATE",
            "working_weekends[0].date",
        ),
        (
            {"working_weekends": [day(2027, 1, 4)]},
            "NOT_A_WORKING_WEEKEND",
            "working_weekends",
        ),
        (
            {"working_weekends": [day(2027, 1, 2)]},
            "NOT_A_WORKING_WEEKEND",
            "working_weekends",
        ),
        ({"holidays": [pb.SpecialDay(occasion="元旦")]}, "", "holidays[0].date"),
        ({"holidays": []}, "", "holidays"),
        ({"year": 27}, "", "year"),
    ],
)
async def test_a_bad_day_is_named_and_nothing_is_recorded(
    open_bureau: Bureau, fields: dict[str, Any], reason: str, path: str
) -> None:
    legal = open_bureau.client("legal")
    refusal = await refused(legal.calendars.PublishCalendar(publication(**fields)))
    assert refusal.code == code_pb2.INVALID_ARGUMENT
    assert refusal.reason == (reason or refusal.reason)
    assert [violation[0] for violation in refusal.violations] == [path]
    assert await recorded(open_bureau) == []


async def test_only_the_legal_desk_publishes(open_bureau: Bureau) -> None:
    refusal = await refused(open_bureau.client("loop").calendars.PublishCalendar(publication()))
    assert refusal.code == code_pb2.PERMISSION_DENIED
