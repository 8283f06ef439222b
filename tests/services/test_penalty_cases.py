"""The penalty services over real gRPC and a real PostgreSQL."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.rpc import code_pb2
from sqlalchemy import text

from bihuan.penalty.v1 import document_pb2 as doc
from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from eventstore import EventStore
from rules import Clock, as_date, legal_date
from services.penalty.proceeding import day_message
from services.projections import PROJECTIONS
from services.rebuild import rebuild
from tests.bureau import Bureau, bureau
from tests.services import penalties as req
from tests.services.calls import recorded, refused
from tests.services.persons import dump

USCC = req.TRADER.uscc
DAY = timedelta(days=1)
# Who sends what in these tests; the officer sends the rest.
SENDERS = {
    rpc_pb.RecordLegalReviewRequest: "legal_reviewer",
    rpc_pb.RecordDiscussionRequest: "decider",
    rpc_pb.DecideCaseRequest: "decider",
    rpc_pb.SuspendCaseRequest: "decider",
    rpc_pb.WithdrawCaseRequest: "decider",
    pay_pb.RecordPaymentRequest: "bank",
    rpc_pb.ExpireDeadlineRequest: "loop",
}
SERVICES = (
    rpc_pb.DESCRIPTOR.services_by_name["PenaltyCaseService"],
    pay_pb.DESCRIPTOR.services_by_name["PaymentService"],
)
METHODS = {
    method.input_type.full_name: (service.name, method.name)
    for service in SERVICES
    for method in service.methods
}


MONDAY = datetime(2026, 9, 7, 1, tzinfo=UTC)  # 09:00 in Shanghai


def today() -> date:
    return legal_date(MONDAY)


@pytest.fixture
async def open_bureau(database_url: str, tmp_path: Path) -> AsyncIterator[Bureau]:
    """A bureau on that Monday."""
    clock = str(Clock(MONDAY, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as open_:
        yield open_


class Desk:
    """People of the bureau, each with a connection of their own."""

    def __init__(self, open_: Bureau) -> None:
        self._open = open_
        self._clients: dict[str, Any] = {}

    def call(self, request: Message, role: str = "", uscc: str = "") -> Any:
        """Send a request, as whoever sends such ones."""
        role = role or SENDERS.get(cast(Any, type(request)), "officer")
        if (role + uscc) not in self._clients:
            self._clients[role + uscc] = self._open.client(role, enterprise=uscc)
        client = self._clients[role + uscc]
        service, method = METHODS[request.DESCRIPTOR.full_name]
        stub = client.payments if service == "PaymentService" else client.penalties
        return getattr(stub, method)(request)

    async def lead(self, case: pb.PenaltyCase, *requests: Message) -> pb.PenaltyCase:
        """Send requests on a case, one after the other; the case after them."""
        for request in requests:
            case = await self.call(req.of(request, case.name))
        return case

    async def registered(self, **fields: Any) -> pb.PenaltyCase:
        return cast(pb.PenaltyCase, await self.call(req.of(req.clue(today(), **fields), "")))

    async def investigated(self, **fields: Any) -> pb.PenaltyCase:
        """A case whose investigation is concluded."""
        case = await self.registered(**fields)
        file = await self._open.client("officer").upload()
        return await self.lead(case, req.FILE_CASE, req.evidence(file=file), req.conclusion())

    async def served(self, **fields: Any) -> pb.PenaltyCase:
        """A case whose fine is served."""
        case = await self.investigated(**fields)
        return await self.lead(case, *DEFENDED, req.fine(), SERVE)


SERVE = req.served(rpc_pb.ServeDecisionRequest, today())
DEFENDED = [req.notice(today()), req.WAIVE, req.REVIEW, req.discussion(today())]
MINOR = rpc_pb.DecideCaseRequest(
    kind=pb.Decision.KIND_NO_PENALTY,
    ground=pb.Decision.GROUND_MINOR,
    correct_date=day_message(today()),
    reasons="轻微并及时改正",
)
PERSON = pb.Respondent(
    kind=pb.Respondent.KIND_PERSON,
    person=pb.Person(
        id=str(uuid4()),
        display_name="李当事人",
        identity_number="441900199001011234",
        phone="13800138000",
    ),
)


@pytest.fixture
def desk(open_bureau: Bureau) -> Desk:
    return Desk(open_bureau)


async def test_a_case_goes_from_clue_to_closure(open_bureau: Bureau, desk: Desk) -> None:
    case = await desk.served()
    assert case.standing.state == pb.STATE_PAYING
    assert case.account.original_fine_fen == req.FINE
    publish = rpc_pb.PublishDecisionRequest(publish_date=day_message(today()))
    await desk.call(req.of(req.payment(today(), req.FINE), case.name))
    case = await desk.lead(case, publish, req.CLOSE)
    assert case.standing.state == pb.STATE_CLOSED
    assert not case.standing.deadlines
    year = today().year
    assert [each.number for each in case.documents] == [
        f"东环罚告字〔{year}〕1号",
        f"东环罚字〔{year}〕1号",
    ]
    notice, decision = (each.contents for each in case.documents)
    assert all((notice.facts, notice.evidence, notice.law, notice.rights, notice.amount_fen))
    assert all((decision.facts, decision.law, decision.defence, decision.performance))
    assert len(decision.rights) == len(decision.consequences) == 2
    assert decision.respondent == "东莞一号电镀有限公司（统一社会信用代码91130200699229617X）"
    assert decision.bureau == "东莞市生态环境局"
    assert case.documents[1].service.serve_date == case.decision.serve_date
    asked = pay_pb.GetStatementRequest(name=case.name)
    statement = await desk.call(asked, "agency")
    assert (statement.outstanding_fen, statement.paid_fen) == (0, req.FINE)
    assert await recorded(open_bureau) == [
        "ClueRegistered",
        "CaseFiled",
        "EvidenceAdded",
        "InvestigationConcluded",
        "NoticeServed",
        "RightsWaived",
        "LegalReviewRecorded",
        "DiscussionRecorded",
        "CaseDecided",
        "DecisionServed",
        "PaymentRecorded",
        "DecisionPublished",
        "CaseClosed",
    ]
    late = await refused(desk.call(req.of(req.payment(today(), 1, "2"), case.name)))
    assert (late.code, late.reason) == (code_pb2.FAILED_PRECONDITION, "PAYMENT_ON_CLOSED_CASE")


WRONG_ROLES: list[tuple[str, Message]] = [
    ("officer", req.fine()),
    ("officer", req.REVIEW),
    ("officer", req.payment(today(), 1)),
    ("legal_reviewer", req.fine()),
    ("decider", req.REVIEW),
    ("decider", req.notice(today())),
    ("bank", SERVE),
    ("enterprise", req.notice(today())),
    ("enterprise", req.payment(today(), 1)),
    ("enterprise", pay_pb.GrantPlanRequest()),
    ("loop", req.fine()),
    ("agency", req.FILE_CASE),
    ("assessor", req.CLOSE),
]


async def test_a_wrong_role_is_refused_and_nothing_is_recorded(
    open_bureau: Bureau, desk: Desk
) -> None:
    case = await desk.registered()
    for role, request in WRONG_ROLES:
        uscc = USCC if role == "enterprise" else ""
        call = desk.call(req.of(request, case.name), role, uscc)
        assert (await refused(call)).code == code_pb2.PERMISSION_DENIED, (role, request)
    assert await recorded(open_bureau) == ["ClueRegistered"]


async def test_numbers_have_no_gaps_and_no_doubles(open_bureau: Bureau, desk: Desk) -> None:
    cases = await asyncio.gather(*(desk.investigated() for _ in range(50)))
    wrong = rpc_pb.DecideCaseRequest()
    wrong.CopyFrom(MINOR)
    wrong.ClearField("correct_date")
    requests = [
        req.of(wrong if n % 5 == 0 else MINOR, case.name)
        for n, case in enumerate(cases)
        for _ in range(2)
    ]
    answers = await asyncio.gather(*map(desk.call, requests), return_exceptions=True)
    decided = [case for case in answers if isinstance(case, pb.PenaltyCase)]
    assert len(decided) == 40
    year = today().year
    numbers = sorted(int(re.findall(r"〕(\d+)号", case.documents[0].number)[0]) for case in decided)
    assert numbers == list(range(1, 41))
    assert {case.documents[0].number.partition("〕")[0] for case in decided} == {
        f"东环不罚字〔{year}"
    }
    assert (await recorded(open_bureau)).count("CaseDecided") == 40


async def test_the_same_request_twice_gives_one_event_and_one_number(
    open_bureau: Bureau, desk: Desk
) -> None:
    case = await desk.investigated()
    request = req.of(MINOR, case.name)
    answers = await asyncio.gather(*(desk.call(request) for _ in range(10)))
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert (await recorded(open_bureau)).count("CaseDecided") == 1
    other = await desk.lead(await desk.investigated(), MINOR)
    assert other.documents[0].number.endswith("〕2号")


async def test_a_rebuild_gives_identical_tables(
    desk: Desk, store: EventStore, database_url: str
) -> None:
    await desk.served()
    await desk.lead(await desk.investigated(respondent=PERSON), req.notice(today(), 10_000_000))
    await desk.registered()
    tables = PROJECTIONS["penalty"].tables
    before = [await _rows(store, table.fullname) for table in tables]
    assert [len(rows) for rows in before] == [3, 2]
    assert not (await rebuild(store, "penalty", only_check=True)).differs
    async with store.engine.begin() as conn:
        for table in tables:
            await conn.execute(text(f"TRUNCATE {table.fullname}"))
    assert (await rebuild(store, "penalty", only_check=False)).mended
    assert [await _rows(store, table.fullname) for table in tables] == before


async def _rows(store: EventStore, table: str) -> list[Any]:
    async with store.engine.connect() as conn:
        return list(await conn.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")))


async def test_a_party_sees_its_own_case_from_the_notice_on(desk: Desk) -> None:
    case = await desk.investigated()
    get = rpc_pb.GetCaseRequest(name=case.name)
    listing, statement = rpc_pb.ListCasesRequest(), req.of(req.STATE, case.name)
    for call in (get, statement):
        assert (await refused(desk.call(call, "enterprise", USCC))).code == code_pb2.NOT_FOUND
    assert not (await desk.call(listing, "enterprise", USCC)).cases
    await desk.lead(case, req.notice(today()), req.REVIEW, req.discussion(today()))
    stated = await desk.call(statement, "enterprise", USCC)
    seen = await desk.call(get, "enterprise", USCC)
    (listed,) = (await desk.call(listing, "enterprise", USCC)).cases
    assert stated == seen == listed
    assert seen.proposal.chosen_fen == req.FINE
    assert [each.text for each in seen.statements] == [req.STATE.text]
    for internal in ("evidence", "legal_reviews", "discussions"):
        assert not getattr(seen, internal)
        assert getattr(await desk.call(get), internal)
    assert not seen.HasField("investigation")
    assert not seen.officer
    other = "91350100M000100Y43"
    assert (await refused(desk.call(get, "enterprise", other))).code == code_pb2.NOT_FOUND
    assert not (await desk.call(listing, "enterprise", other)).cases
    filtered = rpc_pb.ListCasesRequest(filter=rpc_pb.CaseFilter(uscc=USCC))
    assert (await refused(desk.call(filtered, "enterprise", other))).reason == "OTHER_ENTERPRISE"


async def test_a_party_learns_of_a_decision_when_it_is_served(desk: Desk) -> None:
    fined, spared = await desk.investigated(), await desk.investigated()
    await desk.lead(fined, *DEFENDED, req.fine())
    await desk.lead(spared, MINOR)
    get, get_spared = (rpc_pb.GetCaseRequest(name=each.name) for each in (fined, spared))
    seen = await desk.call(get, "enterprise", USCC)
    assert not seen.HasField("decision")
    assert not seen.standing.unpaid_fine_fen
    assert [each.kind for each in seen.documents] == [doc.DOCUMENT_KIND_NOTICE]
    assert (await refused(desk.call(get_spared, "enterprise", USCC))).code == code_pb2.NOT_FOUND
    await desk.lead(fined, SERVE)
    await desk.lead(spared, SERVE)
    assert (await desk.call(get, "enterprise", USCC)).decision.fine_fen == req.FINE
    told = (await desk.call(get_spared, "enterprise", USCC)).documents[0]
    assert told.kind == doc.DOCUMENT_KIND_NO_PENALTY
    assert not told.contents.defence, "it was never asked to state anything"


async def test_a_party_acts_today_and_an_officer_records_when_it_did(desk: Desk) -> None:
    case = await desk.lead(await desk.investigated(), req.notice(today()))
    early = rpc_pb.SubmitStatementRequest(text="申辩", receive_date=day_message(today() - DAY))
    error = await refused(desk.call(req.of(early, case.name), "enterprise", USCC))
    assert (error.code, error.reason) == (code_pb2.INVALID_ARGUMENT, "NOT_TODAY")
    # Nobody can have answered the notice before it was served.
    assert (await refused(desk.call(req.of(early, case.name)))).reason == "DATE_TOO_EARLY"
    of_today = rpc_pb.SubmitStatementRequest(text="申辩", receive_date=day_message(today()))
    case = await desk.call(req.of(of_today, case.name))
    assert as_date(case.statements[0].receive_date) == today()


async def test_a_person_s_data_is_nowhere_in_clear(store: EventStore, desk: Desk) -> None:
    case = await desk.investigated(respondent=PERSON)
    case = await desk.lead(case, req.notice(today(), 10_000_000))
    get = rpc_pb.GetCaseRequest(name=case.name)
    for role in ("officer", "legal_reviewer", "decider", "supervisor"):
        assert (await desk.call(get, role)).respondent == PERSON
    blank = pb.Respondent(kind=PERSON.kind, person=pb.Person(id=PERSON.person.id))
    for role in ("agency", "loop", "operator"):
        assert (await desk.call(get, role)).respondent == blank
    assert case.documents[0].contents.respondent == ""
    held = await dump(store)
    for value in (PERSON.person.display_name, PERSON.person.identity_number, PERSON.person.phone):
        assert value not in held
        assert value.encode().hex() not in held
    found = rpc_pb.ListCasesRequest(filter=rpc_pb.CaseFilter(uscc=USCC))
    assert not (await desk.call(found)).cases


async def test_a_daily_penalty_follows_from_the_original_case(
    open_bureau: Bureau, desk: Desk
) -> None:
    found_date = today() - 9 * DAY
    original = await desk.investigated(found_date=day_message(found_date))
    order = req.served(rpc_pb.OrderCorrectionRequest, found_date, facts="立即停止超标排放")
    found = rpc_pb.RecordReinspectionRequest(
        inspect_date=day_message(today()), refused=True, findings="仍在排放"
    )
    await desk.lead(original, order, found)
    origin = pb.Origin(kind=pb.Origin.KIND_DAILY_PENALTY, resource=original.name)
    early = req.of(req.clue(today(), origin=origin, round=1), "")
    assert (await refused(desk.call(early))).reason == "ORIGINAL_NOT_SERVED"
    await desk.lead(original, *DEFENDED, req.fine(), SERVE)
    assert (
        await refused(desk.call(req.of(req.clue(today(), origin=origin, round=2), "")))
    ).reason == ("NO_REFUSAL")
    case = await desk.investigated(origin=origin, round=1)
    assert (case.daily_basis.days, case.daily_basis.original_fine_fen) == (9, req.FINE)
    again = req.of(req.clue(today(), origin=origin, round=1), "")
    assert (await refused(desk.call(again))).reason == "ALREADY_REGISTERED"
    notice = req.notice(today(), 0, factors=[], difference_reason="")
    decide = rpc_pb.DecideCaseRequest(kind=pb.Decision.KIND_FINE)
    case = await desk.lead(case, notice, *DEFENDED[1:], decide, SERVE)
    assert case.decision.fine_fen == case.account.fine_fen == 9 * req.FINE
    assert case.documents[-1].kind == doc.DOCUMENT_KIND_DAILY_DECISION
    of_original = rpc_pb.ListCasesRequest(filter=rpc_pb.CaseFilter(origin=original.name))
    assert [each.name for each in (await desk.call(of_original)).cases] == [case.name]
    nowhere = pb.Origin(kind=pb.Origin.KIND_DAILY_PENALTY, resource="problems/1")
    error = await refused(desk.call(req.of(req.clue(today(), origin=nowhere, round=1), "")))
    assert (error.code, error.reason) == (code_pb2.INVALID_ARGUMENT, "NO_ORIGINAL_CASE")


async def test_a_first_time_is_the_first(desk: Desk) -> None:
    first = rpc_pb.DecideCaseRequest()
    first.CopyFrom(MINOR)
    first.ground = pb.Decision.GROUND_FIRST_MINOR
    one, two = await desk.investigated(), await desk.investigated()
    await desk.lead(one, first)
    assert (await refused(desk.call(req.of(first, two.name)))).reason == "NOT_FIRST_TIME"
    await desk.lead(await desk.investigated(respondent=PERSON), first)


async def test_cases_are_listed_by_what_is_wanted(desk: Desk) -> None:
    elsewhere = req.violation(today() - DAY, district="150203")
    here, there = await desk.investigated(), await desk.registered(violation=elsewhere)

    async def names(**wanted: Any) -> list[str]:
        request = rpc_pb.ListCasesRequest(filter=rpc_pb.CaseFilter(**wanted))
        return [case.name for case in (await desk.call(request)).cases]

    assert await names() == [there.name, here.name]
    assert await names(states=[pb.STATE_CLUE]) == [there.name]
    for district, found in {
        "441900": [here.name],
        "440000": [here.name],
        "150200": [there.name],
        "150204": [],
    }.items():
        assert await names(district=district) == found
    assert await names(overdue=True) == []
    assert await names(counted_year=today().year) == [there.name, here.name]
    assert await names(counted_year=today().year - 1) == []
    page = await desk.call(rpc_pb.ListCasesRequest(page_size=1))
    rest = await desk.call(rpc_pb.ListCasesRequest(page_size=1, page_token=page.next_page_token))
    assert [case.name for case in (*page.cases, *rest.cases)] == [there.name, here.name]
    mask = FieldMask(paths=["name", "standing.state"])
    masked = await desk.call(rpc_pb.GetCaseRequest(name=here.name, read_mask=mask))
    assert masked == pb.PenaltyCase(
        name=here.name, standing=pb.Standing(state=pb.STATE_INVESTIGATED)
    )


async def test_the_tables_of_discretion_can_be_asked_without_a_case(
    open_bureau: Bureau, desk: Desk
) -> None:
    request = rpc_pb.AssessPenaltyRequest(violation=req.violation(today()), factors=req.FACTORS)
    found = await desk.call(request, "agency")
    assert (found.floor_fen, found.ceiling_fen) == (10_000_000, 100_000_000)
    assert found.computed_fen == found.floor_fen
    assert await recorded(open_bureau) == []
    missing = rpc_pb.AssessPenaltyRequest(violation=req.violation(today()))
    assert (await refused(desk.call(missing, "agency"))).reason == "INVALID_FACTORS"


async def test_a_fine_is_paid_by_a_plan(open_bureau: Bureau, desk: Desk) -> None:
    case = await desk.served()
    wish = pay_pb.ProposePlanRequest(name=case.name, instalments=4, interval_months=3)
    proposed = await desk.call(wish, "enterprise", USCC)
    assert len(proposed.proposals) == 1
    proof = await open_bureau.enterprise(USCC).upload()
    apply = req.application(evidence=[proof], wish=proposed.proposals[0].terms)
    await desk.call(req.of(apply, case.name), "enterprise", USCC)
    grant = pay_pb.GrantPlanRequest(terms=proposed.proposals[0].terms, reasons="确有困难")
    granted = await desk.call(req.of(grant, case.name), "decider")
    assert granted.documents[-1].number == f"东环缓缴字〔{today().year}〕1号"
    plan = await desk.call(pay_pb.GetPlanRequest(name=case.name), "enterprise", USCC)
    assert plan == granted.plans[0]
    assert sum(each.amount_fen for each in plan.instalments) == req.FINE
    for role, uscc in (("enterprise", "91350100M000100Y43"), ("reporter", "")):
        error = await refused(desk.call(pay_pb.GetPlanRequest(name=case.name), role, uscc))
        assert error.code in (code_pb2.NOT_FOUND, code_pb2.PERMISSION_DENIED)
    no_plan = pay_pb.GetPlanRequest(name=case.name, number=2)
    assert (await refused(desk.call(no_plan))).reason == "PLAN_NOT_FOUND"
    settle = await desk.call(req.of(req.payment(today(), req.FINE), case.name))
    assert settle.standing.state == pb.STATE_PERFORMED
    told = {field.name for field, _ in settle.ListFields()}
    assert told == {"name", "etag", "respondent", "standing", "account", "plans"}, "to a bank"
    assert await desk.call(pay_pb.GetPlanRequest(name=case.name), "bank") == settle.plans[0]


async def test_what_is_reckoned_lies_within_reach(desk: Desk) -> None:
    case = await desk.served()
    for year in (1, 9999):
        day = day_message(date(year, 12, 31))
        for request in (
            pay_pb.GetStatementRequest(name=case.name, as_of=day),
            pay_pb.ProposePlanRequest(name=case.name, start_date=day),
        ):
            error = await refused(desk.call(request))
            assert (error.code, error.reason) == (code_pb2.INVALID_ARGUMENT, "DATE_TOO_FAR")
    error = await refused(desk.call(pay_pb.ProposePlanRequest(fine_fen=100)))
    assert error.reason == "CASE_OR_FINE"
    found = pay_pb.ProposePlanRequest(fine_fen=10_000_000, district="441900")
    assert (await desk.call(found, "agency")).proposals
    clue = await desk.registered()
    error = await refused(desk.call(pay_pb.GetStatementRequest(name=clue.name)))
    assert (error.code, error.reason) == (code_pb2.FAILED_PRECONDITION, "NO_ACCOUNT")


async def test_time_passes_for_a_case_as_the_loop_tells(open_bureau: Bureau, desk: Desk) -> None:
    case = await desk.lead(await desk.investigated(), req.notice(today()))
    before = await recorded(open_bureau)
    early = rpc_pb.ExpireDeadlineRequest(deadline_id=case.standing.deadlines[0].deadline.id)
    told = await desk.call(req.of(early, case.name))
    recount = rpc_pb.RecountDeadlinesRequest(calendar_year=2026)
    assert (await desk.call(req.of(recount, case.name), "loop")) == told == case
    unknown = rpc_pb.RecountDeadlinesRequest(calendar_year=2099)
    error = await refused(desk.call(req.of(unknown, case.name), "loop"))
    assert error.reason == "CALENDAR_UNKNOWN"
    assert await recorded(open_bureau) == before


async def test_evidence_must_be_there(open_bureau: Bureau, desk: Desk) -> None:
    case = await desk.lead(await desk.registered(), req.FILE_CASE)
    error = await refused(desk.call(req.of(req.evidence(), case.name)))
    assert error.reason == "EVIDENCE_NOT_UPLOADED"
    assert await recorded(open_bureau) == ["ClueRegistered", "CaseFiled"]
