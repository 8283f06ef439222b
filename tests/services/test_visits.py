"""Visits that are no inspections: registered beforehand, numbered, and no way to inspect in disguise."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.rpc import code_pb2

from bihuan.inspection.v1 import inspection_pb2, plan_pb2, target_pb2
from bihuan.inspection.v1 import visit_events_pb2 as ev
from bihuan.inspection.v1 import visit_pb2 as pb
from bihuan.inspection.v1 import visit_service_pb2 as rpc_pb
from eventstore import EventStore
from rpc.errors import StatusError
from rules.deadline import as_message
from services import paging
from services.inspection.statistics import tally
from services.inspection.visits import numbers, views
from services.inspection.visits.model import ALLOWED, Visiting, decide, evolve

BUREAU, ENTERPRISE = "departments/11321000014026811X", "targets/91130200699229617X"
MONDAY = date(2026, 9, 7)
DAY = timedelta(days=1)
TARGET = target_pb2.Target(name=ENTERPRISE, display_name="扬州一号化工有限公司", district="321002")


def register(day: date = MONDAY, **fields: Any) -> rpc_pb.RegisterVisitRequest:
    values: dict[str, Any] = {
        "department": BUREAU,
        "target": ENTERPRISE,
        "purpose": pb.PURPOSE_TRAINING,
        "subject": "危险废物管理培训",
        "date": as_message(day),
        "visitors": 3,
    }
    return rpc_pb.RegisterVisitRequest(**{**values, **fields})


MAKE = rpc_pb.MakeVisitRequest(summary="培训二十人")
CANCEL = rpc_pb.CancelVisitRequest(reason="企业停产检修")


def do(
    visit: pb.Visit | None,
    command: Any,
    on: date = MONDAY,
    target: target_pb2.Target | None = TARGET,
    inspected: bool = False,
) -> pb.Visit:
    """The visit after a command at nine in the morning in Shanghai."""
    visit = visit or pb.Visit(name=f"visits/{uuid4()}")
    now = datetime(on.year, on.month, on.day, 1, tzinfo=UTC)
    before = visit.SerializeToString(deterministic=True)
    for event in decide(Visiting(visit, "lijing", now, target, inspected), command):
        visit = evolve(visit, event)
    assert visit.SerializeToString(deterministic=True) != before
    return visit


def refusal(*given: Any, **options: Any) -> StatusError:
    with pytest.raises(StatusError) as refused:
        do(*given, **options)
    return refused.value


def test_a_visit_says_who_comes_for_what_and_what_it_came_to() -> None:
    visit = do(None, register(MONDAY + DAY, requested=True))
    assert visit.state == pb.VISIT_STATE_REGISTERED
    assert (visit.target_display_name, visit.district) == ("扬州一号化工有限公司", "321002")
    assert (visit.department, visit.visitors, visit.requested) == (BUREAU, 3, True)
    assert (visit.registrar, visit.visit_of_year) == ("lijing", 0)
    made = do(visit, rpc_pb.MakeVisitRequest(summary="现场培训", danger_seen=True), MONDAY + DAY)
    assert (made.state, made.summary, made.danger_seen) == (
        pb.VISIT_STATE_MADE,
        "现场培训",
        True,
    )
    assert made.HasField("make_time")


STATES = {
    "UNSPECIFIED": None,
    "REGISTERED": lambda: do(None, register()),
    "MADE": lambda: do(do(None, register()), MAKE),
    "CANCELLED": lambda: do(do(None, register()), CANCEL),
}
TABLE = [
    # state, command, what comes of it: a state, or the reason of the refusal
    ("UNSPECIFIED", register(), pb.VISIT_STATE_REGISTERED),
    ("UNSPECIFIED", MAKE, "NOT_REGISTERED"),
    ("UNSPECIFIED", CANCEL, "NOT_REGISTERED"),
    ("REGISTERED", register(), "ALREADY_REGISTERED"),
    ("REGISTERED", MAKE, pb.VISIT_STATE_MADE),
    ("REGISTERED", CANCEL, pb.VISIT_STATE_CANCELLED),
    ("MADE", register(), "ALREADY_REGISTERED"),
    ("MADE", MAKE, "NOT_REGISTERED"),
    ("MADE", CANCEL, "NOT_REGISTERED"),
    ("CANCELLED", register(), "ALREADY_REGISTERED"),
    ("CANCELLED", MAKE, "NOT_REGISTERED"),
    ("CANCELLED", CANCEL, "NOT_REGISTERED"),
]


def test_the_table_has_every_state_and_command() -> None:
    rows = {(state, type(command)) for state, command, _ in TABLE}
    assert len(TABLE) == len(rows) == len(pb.VisitState.values()) * len(ALLOWED)
    assert len(ALLOWED) + 2 == len(
        rpc_pb.DESCRIPTOR.services_by_name["VisitService"].methods
    )  # and two queries


@pytest.mark.parametrize(("state", "command", "outcome"), TABLE)
def test_every_command_in_every_state(state: str, command: Any, outcome: Any) -> None:
    make = STATES[state]
    visit = make() if make else None
    if isinstance(outcome, str):
        refused = refusal(visit, command)
        assert (refused.code, refused.reason) == (code_pb2.FAILED_PRECONDITION, outcome)
        assert refused.metadata["state"] == f"VISIT_STATE_{state}"
    else:
        assert do(visit, command).state == outcome


@pytest.mark.parametrize(
    ("command", "options", "reason"),
    [
        (register(MONDAY - DAY), {}, "VISIT_IN_THE_PAST"),
        (register(date=as_message(MONDAY), target=ENTERPRISE), {"target": None}, "NOT_ON_REGISTER"),
        (register(), {"inspected": True}, "VISIT_ON_INSPECTION_DAY"),
    ],
)
def test_what_would_hide_an_inspection_is_not_registered(
    command: Any, options: dict[str, Any], reason: str
) -> None:
    assert refusal(None, command, **options).reason == reason


def test_an_enterprise_taken_off_the_register_is_not_visited() -> None:
    gone = target_pb2.Target()
    gone.CopyFrom(TARGET)
    gone.remove_time.GetCurrentTime()
    assert refusal(None, register(), target=gone).reason == "NOT_ON_REGISTER"


def test_a_day_that_is_none_is_named() -> None:
    broken = register()
    broken.date.day = 31
    assert refusal(None, broken).violations[0][0] == "date"


def test_a_visit_is_not_made_before_its_day() -> None:
    visit = do(None, register(MONDAY + DAY))
    assert refusal(visit, MAKE, MONDAY).reason == "VISIT_STILL_TO_COME"
    assert do(visit, MAKE, MONDAY + 5 * DAY).state == pb.VISIT_STATE_MADE


def test_no_command_on_a_visit_takes_a_finding() -> None:
    """A visit that recorded findings would be an inspection without a code (国办发〔2024〕54号)."""
    for command in ALLOWED:
        fields = command.DESCRIPTOR.fields
        messages = {field.message_type.full_name for field in fields if field.message_type}
        assert messages <= {"google.type.Date"}
        assert not any("finding" in field.name for field in fields)


async def put(store: EventStore, *visits: pb.Visit) -> None:
    async with store.engine.begin() as conn:
        for visit in visits:
            await views.project(conn, visit)


async def listed(store: EventStore, **filter_: Any) -> list[str]:
    async with store.engine.connect() as conn:
        wanted = rpc_pb.VisitFilter(**filter_)
        found, _ = await views.page(conn, wanted, paging.Span(50, None))
    return [visit.subject for visit in found]


async def test_visits_are_found_by_department_target_purpose_state_and_days(
    store: EventStore,
) -> None:
    other = "departments/11321000014026812X"
    first = do(None, register(subject="1"), MONDAY)
    second = do(
        None, register(MONDAY + 9 * DAY, subject="2", purpose=pb.PURPOSE_SERVICE), MONDAY + DAY
    )
    third = do(None, register(MONDAY + 2 * DAY, subject="3", department=other), MONDAY + 2 * DAY)
    await put(store, do(first, MAKE), second, third)
    assert await listed(store) == ["3", "2", "1"]
    assert await listed(store, department=other) == ["3"]
    assert await listed(store, target="targets/9") == []
    assert await listed(store, purposes=[pb.PURPOSE_SERVICE]) == ["2"]
    assert await listed(store, states=[pb.VISIT_STATE_MADE]) == ["1"]
    assert await listed(store, from_date=as_message(MONDAY + DAY)) == ["3", "2"]
    assert await listed(store, to_date=as_message(MONDAY + 2 * DAY)) == ["3", "1"]


async def test_danger_stays_on_the_list_until_an_inspection_on_a_clue_is_opened(
    store: EventStore,
) -> None:
    seen = do(do(None, register()), rpc_pb.MakeVisitRequest(summary="x", danger_seen=True))
    calm = do(do(None, register(subject="calm")), MAKE)
    await put(store, seen, calm)
    assert await listed(store, danger_unfollowed=True) == ["危险废物管理培训"]

    async def opened(hour: int, **fields: Any) -> None:
        inspection = inspection_pb2.Inspection(
            name=f"inspections/{uuid4()}",
            kind=plan_pb2.KIND_CASE,
            enterprise=inspection_pb2.Inspected(uscc=ENTERPRISE.removeprefix("targets/")),
            from_date=as_message(MONDAY),
            to_date=as_message(MONDAY),
        )
        inspection.MergeFrom(inspection_pb2.Inspection(**fields))
        inspection.open_time.FromDatetime(datetime(2026, 9, 7, hour, tzinfo=UTC))
        async with store.engine.begin() as conn:
            await tally.write(conn, [inspection])

    cancelled = inspection_pb2.Standing(state=inspection_pb2.STATE_CANCELLED)
    await opened(0)  # before the visit
    await opened(2, kind=plan_pb2.KIND_DAILY)
    await opened(2, standing=cancelled)
    await opened(2, enterprise=inspection_pb2.Inspected(uscc="91320400MA1X000000"))
    assert await listed(store, danger_unfollowed=True)
    await opened(2)
    assert not await listed(store, danger_unfollowed=True)


async def test_an_inspection_by_the_same_department_takes_up_the_days_of_its_code(
    store: EventStore,
) -> None:
    inspection = inspection_pb2.Inspection(
        name=f"inspections/{uuid4()}",
        enterprise=inspection_pb2.Inspected(uscc=ENTERPRISE.removeprefix("targets/")),
        from_date=as_message(MONDAY),
        to_date=as_message(MONDAY + 30 * DAY),
        participants=[
            inspection_pb2.Participant(department=BUREAU, answer=inspection_pb2.ANSWER_ACCEPTED)
        ],
        codes=[inspection_pb2.Code(state=inspection_pb2.Code.STATE_ISSUED)],
    )
    inspection.codes[0].from_time.FromDatetime(datetime(2026, 9, 7, 16, tzinfo=UTC))  # the 8th
    inspection.codes[0].to_time.FromDatetime(datetime(2026, 9, 9, 16, tzinfo=UTC))  # the 9th, whole
    async with store.engine.begin() as conn:
        await tally.write(conn, [inspection])
        days = [
            day
            for day in (MONDAY + n * DAY for n in range(5))
            if await tally.inspects(conn, BUREAU, ENTERPRISE, day)
        ]
        assert days == [MONDAY + DAY, MONDAY + 2 * DAY]
        assert not await tally.inspects(conn, "departments/2", ENTERPRISE, days[0])
        assert not await tally.inspects(conn, BUREAU, "targets/2", days[0])


async def test_visits_that_took_place_are_numbered_without_gaps_and_the_numbers_can_be_made_again(
    store: EventStore,
) -> None:
    async def made(year: int = 2026, department: str = BUREAU) -> int:
        visit = pb.Visit(department=department, target=ENTERPRISE)
        visit.date.year = year
        event = ev.VisitMade(year=year)
        async with store.engine.begin() as conn:
            await numbers.stamp(conn, visit, [event])
        return event.visit_of_year

    assert [await made() for _ in range(3)] == [1, 2, 3]
    assert await made(2027) == await made(department="departments/2") == 1
    visit = do(do(None, register()), MAKE)
    visit.visit_of_year = 7
    await put(store, visit)
    assert await made() == 8
    visit.visit_of_year = 2
    await put(store, visit)
    assert await made() == 9
