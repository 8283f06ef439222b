"""Departments and inspectors: what may happen to them, who is eligible, and what others are told."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args
from uuid import uuid4

import pytest
from google.rpc import code_pb2
from google.type.date_pb2 import Date
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan.inspection.v1 import roster_pb2 as pb
from bihuan.inspection.v1 import roster_service_pb2 as rpc_pb
from eventstore import EventStore
from rpc.errors import StatusError
from services.inspection.roster import eligibility, evolve
from services.inspection.roster.model import (
    ALLOWED,
    Scene,
    decide_department,
    decide_inspector,
)
from services.rebuild import rebuild
from tests.bureau import Bureau, Client
from tests.services import rosters as req
from tests.services.calls import recorded, refused, rid
from tests.services.histories import messages

NOW = datetime(2026, 9, 7, 1, tzinfo=UTC)
TODAY = date(2026, 9, 7)
DAY = timedelta(days=1)
FIRM = "91130200699229617X"
ACTING = Scene("planner", "", NOW)

# Commands on a department and on an inspector: request, and the events in each state.
DEPARTMENTS: list[tuple[Any, dict[str, str]]] = [
    (
        req.department(),
        {"UNREGISTERED": "DepartmentRegistered", "ENDED": "DepartmentRegistered"},
    ),
    (
        rpc_pb.UpdateDepartmentRequest(profile=req.profile(display_name="新名")),
        {"ACTIVE": "DepartmentUpdated"},
    ),
    (rpc_pb.DissolveDepartmentRequest(reason="机构改革"), {"ACTIVE": "DepartmentDissolved"}),
]
INSPECTORS: list[tuple[Any, dict[str, str]]] = [
    (req.inspector("li"), {"UNREGISTERED": "InspectorRegistered"}),
    (rpc_pb.UpdateInspectorRequest(display_name="李静"), {"ACTIVE": "InspectorUpdated"}),
    (
        rpc_pb.RecordCertificateRequest(certificate=req.certificate("苏2")),
        {"ACTIVE": "CertificateRecorded"},
    ),
    (
        rpc_pb.RecordAbsenceRequest(absence=req.absence(TODAY, TODAY + DAY)),
        {"ACTIVE": "AbsenceRecorded"},
    ),
    (
        rpc_pb.CancelAbsenceRequest(from_date=req.day(TODAY), to_date=req.day(TODAY)),
        {"ACTIVE": "AbsenceCancelled"},
    ),
    (
        rpc_pb.RecordRecusalRequest(recusal=pb.Recusal(enterprise=req.uscc(1), reason="持股")),
        {"ACTIVE": "RecusalRecorded"},
    ),
    (
        rpc_pb.LiftRecusalRequest(enterprise=FIRM, reason="离职"),
        {"ACTIVE": "RecusalLifted"},
    ),
    (rpc_pb.RemoveInspectorRequest(reason="调离"), {"ACTIVE": "InspectorRemoved"}),
]
STATES = ("UNREGISTERED", "ACTIVE", "ENDED")


def department(state: str = "ACTIVE", **fields: Any) -> pb.Department:
    found = pb.Department(name=req.DEPARTMENT)
    if state != "UNREGISTERED":
        found.MergeFrom(pb.Department(register_time={"seconds": 1}))
        for each in pb.DepartmentProfile.DESCRIPTOR.fields_by_name:
            setattr(found, each, getattr(req.profile(**fields), each))
    if state == "ENDED":
        found.dissolve_time.FromDatetime(NOW)
    return found


def inspector(state: str = "ACTIVE", **fields: Any) -> pb.Inspector:
    found = pb.Inspector(name=f"inspectors/{uuid4()}", **fields)
    if state == "UNREGISTERED":
        return found
    found.MergeFrom(
        pb.Inspector(
            subject="li",
            department=req.DEPARTMENT,
            absences=[req.absence(TODAY, TODAY)],
            recusals=[pb.Recusal(enterprise=FIRM, reason="近亲属任职")],
        )
    )
    found.register_time.FromDatetime(NOW)
    if state == "ENDED":
        found.leave_time.FromDatetime(NOW)
    return found


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("command", "expected"), DEPARTMENTS + INSPECTORS, ids=lambda each: type(each).__name__
)
def test_a_command_comes_in_the_states_that_allow_it_and_in_no_other(
    command: Any, expected: dict[str, str], state: str
) -> None:
    of_department = "Department" in type(command).__name__
    decide: Callable[..., Any] = decide_department if of_department else decide_inspector
    resource: Any = department(state) if of_department else inspector(state)
    scene = Scene("planner", "", NOW, other=department())
    if state in expected:
        (event,) = decide(resource, command, scene)
        assert event.DESCRIPTOR.name == expected[state]
        return
    with pytest.raises(StatusError) as refusal:
        decide(resource, command, scene)
    assert refusal.value.code == code_pb2.FAILED_PRECONDITION
    assert refusal.value.reason == ALLOWED[type(command)][1]
    assert refusal.value.metadata["state"] == state


def test_every_command_has_its_row() -> None:
    assert {type(command) for command, _ in DEPARTMENTS + INSPECTORS} == set(ALLOWED)


@pytest.mark.parametrize(
    ("other", "entrusted", "reason"),
    [
        (None, 0, "PRINCIPAL_NOT_REGISTERED"),
        (department("ENDED"), 0, "PRINCIPAL_NOT_REGISTERED"),
        (
            department(power=pb.POWER_ENTRUSTED, principal=f"departments/{FIRM}"),
            0,
            "PRINCIPAL_ENTRUSTED",
        ),
        (department(), 1, "ENTRUSTS_OTHERS"),
        (department(), 0, ""),
        (department(power=pb.POWER_AUTHORISED), 0, ""),
    ],
)
def test_who_is_entrusted_inspects_in_the_name_of_one_with_power_of_its_own(
    other: pb.Department | None, entrusted: int, reason: str
) -> None:
    blank = pb.Department(name=f"departments/{FIRM}")
    command = req.department(FIRM, power=pb.POWER_ENTRUSTED, principal=req.DEPARTMENT)
    scene = Scene("planner", "", NOW, other=other, entrusted=entrusted)
    if not reason:
        assert decide_department(blank, command, scene)
        return
    with pytest.raises(StatusError) as refusal:
        decide_department(blank, command, scene)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    "fields", [{"power": pb.POWER_ENTRUSTED}, {"principal": f"departments/{FIRM}"}]
)
def test_a_principal_goes_with_the_entrusted_alone(fields: dict[str, Any]) -> None:
    with pytest.raises(StatusError) as refusal:
        decide_department(pb.Department(name="departments/x"), req.department(**fields), ACTING)
    assert refusal.value.reason == "PRINCIPAL_WRONG"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (
            rpc_pb.RecordAbsenceRequest(absence=req.absence(TODAY, TODAY - DAY)),
            "SPAN_BACKWARDS",
        ),
        (
            rpc_pb.RecordCertificateRequest(
                certificate=pb.Certificate(from_date=Date(year=2026), to_date=req.day(TODAY))
            ),
            "INVALID_DATE",
        ),
        (
            rpc_pb.CancelAbsenceRequest(from_date=req.day(TODAY), to_date=req.day(TODAY + DAY)),
            "NO_SUCH_ABSENCE",
        ),
        (rpc_pb.LiftRecusalRequest(enterprise=req.uscc(7)), "NO_SUCH_RECUSAL"),
    ],
)
def test_what_cannot_be_is_refused_by_name(command: Any, reason: str) -> None:
    with pytest.raises(StatusError) as refusal:
        decide_inspector(inspector(), command, ACTING)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    "command",
    [
        rpc_pb.RecordAbsenceRequest(absence=req.absence(TODAY, TODAY)),
        rpc_pb.RecordRecusalRequest(recusal=pb.Recusal(enterprise=FIRM, reason="再报")),
        rpc_pb.UpdateInspectorRequest(),
    ],
)
def test_what_is_on_record_already_changes_nothing(command: Any) -> None:
    assert decide_inspector(inspector(), command, ACTING) == []


def test_a_certificate_recorded_again_takes_the_place_of_the_one_of_its_number() -> None:
    holder = inspector(certificates=[req.certificate("苏1"), req.certificate("苏2")])
    shorter = req.certificate("苏1", last=TODAY)
    command = rpc_pb.RecordCertificateRequest(certificate=shorter)
    (event,) = decide_inspector(holder, command, ACTING)
    after = evolve.evolve_inspector(holder, event)
    assert sorted(each.number for each in after.certificates) == ["苏1", "苏2"]
    assert shorter in after.certificates


@pytest.mark.parametrize("kind", ["department", "inspector"])
def test_any_history_can_be_folded(kind: str) -> None:
    events: Any = getattr(evolve, f"{kind.title()}Event")
    fold: Any = getattr(evolve, f"evolve_{kind}")
    blank: Any = pb.Department() if kind == "department" else pb.Inspector()

    @settings(max_examples=20)
    @given(st.lists(st.sampled_from(get_args(events)).flatmap(messages), max_size=3))
    def folds(history: list[Any]) -> None:
        state = blank
        for event in history:
            state = fold(state, event)

    folds()


# Eligibility.

DAYS = st.integers(0, 12).map(lambda number: TODAY + number * DAY)
SPANS = st.tuples(DAYS, DAYS).map(lambda pair: (min(pair), max(pair)))
FIRMS = st.sampled_from([req.uscc(number) for number in range(3)])


@st.composite
def people(draw: st.DrawFn) -> pb.Inspector:
    spans = draw(st.lists(SPANS, max_size=3))
    away = draw(st.lists(SPANS, max_size=2))
    return pb.Inspector(
        certificates=[req.certificate(f"苏{n}", *days) for n, days in enumerate(spans)],
        absences=[req.absence(*days) for days in away],
        recusals=[
            pb.Recusal(enterprise=firm) for firm in draw(st.lists(FIRMS, max_size=2, unique=True))
        ],
    )


def days_of(part: Any) -> set[date]:
    first, last = (date(d.year, d.month, d.day) for d in (part.from_date, part.to_date))
    return {first + n * DAY for n in range((last - first).days + 1)}


@given(people(), FIRMS, SPANS)
def test_who_is_eligible_has_a_certificate_each_day_is_never_away_and_need_not_keep_away(
    person: pb.Inspector, firm: str, span: tuple[date, date]
) -> None:
    visit = {span[0] + n * DAY for n in range((span[1] - span[0]).days + 1)}
    held = {day for each in person.certificates for day in days_of(each)}
    away = {day for each in person.absences for day in days_of(each)}
    kept_away = firm in {each.enterprise for each in person.recusals}
    found = eligibility.eligible(person, firm, *span)
    assert bool(found) is not (visit <= held and not kept_away and not visit & away)
    if found == "NO_CERTIFICATE":
        assert not visit <= held
    if found == "RECUSED":
        assert kept_away
    if found == "ABSENT":
        assert visit & away
    for day in visit:
        one = eligibility.certificate_on(person, day)
        assert (one is not None) == (day in held)
        assert one is None or day in days_of(one)
    person.leave_time.FromDatetime(NOW)
    assert eligibility.eligible(person, firm, *span) == "LEFT"


# The service over gRPC and PostgreSQL.


@pytest.fixture
async def planner(open_bureau: Bureau) -> Client:
    """A planner of no agency, with one department registered."""
    client = open_bureau.client("planner")
    await client.roster.RegisterDepartment(req.department())
    return client


async def listed(client: Client, **wanted: Any) -> set[str]:
    request = rpc_pb.ListInspectorsRequest(filter=rpc_pb.InspectorFilter(**wanted))
    found = await client.roster.ListInspectors(request)
    return {each.subject for each in found.inspectors}


async def test_a_subject_is_one_active_inspector_however_many_ask_at_once(
    planner: Client, open_bureau: Bureau
) -> None:
    register = planner.roster.RegisterInspector
    answers = await asyncio.gather(
        *(register(req.inspector("li")) for _ in range(4)), return_exceptions=True
    )
    (first,) = [each for each in answers if isinstance(each, pb.Inspector)]

    async def again(answer: Any) -> None:
        raise answer

    reasons = [await refused(again(each)) for each in answers if each is not first]
    assert {(each.code, each.reason) for each in reasons} == {
        (code_pb2.FAILED_PRECONDITION, "SUBJECT_TAKEN")
    }
    assert await listed(planner) == {"li"}
    leave = rpc_pb.RemoveInspectorRequest(request_id=rid(), name=first.name, reason="调离")
    await planner.roster.RemoveInspector(leave)
    second = await register(req.inspector("li"))
    assert second.name != first.name
    assert (await recorded(open_bureau)).count("InspectorRegistered") == 2


async def test_lists_tell_who_is_certified_available_and_need_not_keep_away(
    planner: Client,
) -> None:
    register = planner.roster.RegisterInspector
    later = req.certificate("苏9", TODAY + 5 * DAY, TODAY + 9 * DAY)
    people = {
        "li": await register(req.inspector("li")),
        "wu": await register(req.inspector("wu", later)),
    }
    name = people["li"].name
    for request in (
        rpc_pb.RecordAbsenceRequest(absence=req.absence(TODAY + 3 * DAY, TODAY + 4 * DAY)),
        rpc_pb.RecordRecusalRequest(recusal=pb.Recusal(enterprise=FIRM, reason="持股")),
    ):
        request.request_id, request.name = rid(), name
        method = type(request).__name__.removesuffix("Request")
        await getattr(planner.roster, method)(request)
    assert await listed(planner, certified_on=req.day(TODAY)) == {"li"}
    assert await listed(planner, certified_on=req.day(TODAY + 9 * DAY)) == {"li", "wu"}
    assert await listed(planner, certified_on=req.day(TODAY + 10 * DAY)) == {"li"}
    for first, last, who in ((0, 2, {"li", "wu"}), (2, 3, {"wu"}), (4, 9, {"wu"}), (5, 5, None)):
        span = {
            "available_from": req.day(TODAY + first * DAY),
            "available_to": req.day(TODAY + last * DAY),
        }
        assert await listed(planner, **span) == (who or {"li", "wu"})
    assert await listed(planner, not_recused_for=FIRM) == {"wu"}
    assert await listed(planner, not_recused_for=req.uscc(1)) == {"li", "wu"}
    assert await listed(planner, department=f"departments/{FIRM}") == set()


async def test_a_department_acts_for_itself_and_not_for_another(open_bureau: Bureau) -> None:
    own = open_bureau.client("planner", subject="own", agency=req.ECOLOGY)
    other = open_bureau.client("planner", subject="other", agency=FIRM)
    registered = await own.roster.RegisterDepartment(req.department())
    li = await own.roster.RegisterInspector(req.inspector("li"))
    requests: list[Awaitable[Any]] = [
        other.roster.RegisterDepartment(req.department(uscc=req.uscc(1))),
        other.roster.UpdateDepartment(
            rpc_pb.UpdateDepartmentRequest(
                request_id=rid(), name=registered.name, profile=req.profile(field="fire")
            )
        ),
        other.roster.RegisterInspector(req.inspector("wu")),
        other.roster.RemoveInspector(
            rpc_pb.RemoveInspectorRequest(request_id=rid(), name=li.name, reason="不")
        ),
    ]
    for request in requests:
        error = await refused(request)
        assert (error.code, error.reason) == (code_pb2.PERMISSION_DENIED, "OTHER_DEPARTMENT")
    enterprise = open_bureau.client("enterprise", subject="ent", enterprise=FIRM)
    error = await refused(enterprise.roster.GetInspector(rpc_pb.GetInspectorRequest(name=li.name)))
    assert error.code == code_pb2.PERMISSION_DENIED
    scoped = open_bureau.client("planner", subject="both", enterprise=FIRM)
    error = await refused(scoped.roster.ListInspectors(rpc_pb.ListInspectorsRequest()))
    assert error.reason == "OTHER_ENTERPRISE"


async def test_a_department_is_registered_once_and_dissolved_when_nobody_is_left(
    planner: Client,
) -> None:
    roster = planner.roster
    assert (await refused(roster.RegisterDepartment(req.department()))).reason == (
        "ALREADY_REGISTERED"
    )
    error = await refused(roster.RegisterDepartment(req.department(FIRM, power=0)))
    assert (error.code, error.reason) == (code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST")
    team = req.department(FIRM, power=pb.POWER_ENTRUSTED, principal=req.DEPARTMENT)
    await roster.RegisterDepartment(team)
    li = await roster.RegisterInspector(req.inspector("li"))
    dissolve = rpc_pb.DissolveDepartmentRequest(name=req.DEPARTMENT, reason="机构改革")

    async def dissolved(name: str = req.DEPARTMENT) -> pb.Department:
        dissolve.request_id, dissolve.name = rid(), name
        return await roster.DissolveDepartment(dissolve)

    assert (await refused(dissolved())).reason == "HAS_INSPECTORS"
    await roster.RemoveInspector(
        rpc_pb.RemoveInspectorRequest(request_id=rid(), name=li.name, reason="调离")
    )
    assert (await refused(dissolved())).reason == "ENTRUSTS_OTHERS"
    await dissolved(f"departments/{FIRM}")
    assert (await dissolved()).HasField("dissolve_time")
    answer = await roster.ListDepartments(rpc_pb.ListDepartmentsRequest())
    assert list(answer.departments) == []
    error = await refused(roster.RegisterInspector(req.inspector("wu")))
    assert error.reason == "DEPARTMENT_NOT_REGISTERED"
    again = await roster.RegisterDepartment(req.department(field="fire"))
    assert (again.field, again.HasField("dissolve_time")) == ("fire", False)


async def test_the_roster_rebuilt_is_the_roster_written(planner: Client, store: EventStore) -> None:
    li = await planner.roster.RegisterInspector(req.inspector("li"))
    await planner.roster.RemoveInspector(
        rpc_pb.RemoveInspectorRequest(request_id=rid(), name=li.name, reason="调离")
    )
    await planner.roster.RegisterInspector(req.inspector("li"))
    found = await rebuild(store, "inspection", only_check=True)
    assert not found.differs
    assert {table.table: table.rows for table in found.tables}["inspection.inspector"] == 2
