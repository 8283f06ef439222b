"""PenaltyCaseService and PaymentService: translate RPCs to commands and queries on penalty cases."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, TypeAlias, get_args
from uuid import NAMESPACE_URL, uuid5

from google.type import date_pb2
from uuid_utils.compat import uuid7

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import discretion_pb2 as amounts
from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import payment_service_pb2_grpc, penalty_case_service_pb2_grpc
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from bihuan.types.v1.evidence_pb2 import Evidence
from eventstore import EventStore
from rpc.errors import StatusError, failed_precondition, invalid_argument, not_found
from rpc.identity import current_identity
from rpc.messages import check
from rules import Clock, Rules, legal_date
from services import paging
from services.aggregate import Aggregate, Commands
from services.calendar.shelf import CalendarShelf
from services.evidence.files import EvidenceFiles
from services.masks import masked
from services.penalty import discretion, numbers, terms, views
from services.penalty.account import statement
from services.penalty.decide import decide
from services.penalty.evolve import Event, evolve
from services.penalty.proceeding import Proceeding, whole_date
from services.penalty.sight import paid, shown
from services.vault import Vault

Context: TypeAlias = Any

CASE = Aggregate(
    category="penalty.case",
    blank=lambda name: pb.PenaltyCase(name=name),
    evolve=evolve,
    events=get_args(Event),
    project=views.project,
    stamp=numbers.stamp,
)
# As far as accounts and proposals are reckoned.
FURTHEST = timedelta(days=3660)
# Days on which a party acted: an officer may record them later, the party itself acts today.
RECEIVED = ("receive_date", "request_date", "apply_date")


class CaseDesk:
    """Carries out commands and queries on penalty cases for both services."""

    def __init__(
        self,
        store: EventStore,
        shelf: CalendarShelf,
        files: EvidenceFiles,
        clock: Clock,
        vault: Vault,
    ) -> None:
        self.shelf = shelf
        self._engine = store.engine
        self._commands = Commands(store, CASE, vault)
        self._files = files
        self._clock = clock

    async def register(self, command: rpc_pb.RegisterClueRequest) -> pb.PenaltyCase:
        """A new case; for a daily penalty the one that its original and round stand for."""
        original, name = None, f"penaltyCases/{uuid7()}"
        if command.origin.kind == pb.Origin.KIND_DAILY_PENALTY:
            original = await self._original(command.origin.resource)
            # A refusal is punished once: the same round is the same case.
            whose = f"bihuan:penalty/{original.name}/daily/{command.round}"
            name = f"penaltyCases/{uuid5(NAMESPACE_URL, whose)}"
        district = command.violation.district
        done = await self._commands.create(
            name,
            command,
            lambda case: decide(self.proceeding(case, original, district=district), command),
        )
        return shown(done)

    async def execute(self, command: Any) -> pb.PenaltyCase:
        """The case after a command on it."""
        # First of all: neither an etag nor a file may tell an enterprise of what it cannot see.
        original, earlier = None, 0
        if current_identity().enterprise:
            await self.get(command.name)
            self._require_today(command)
        if isinstance(command, rpc_pb.ServeNoticeRequest | rpc_pb.DecideCaseRequest):
            original, earlier = await self._others(command.name)
        await self._files.require(_files(getattr(command, "evidence", ())))
        done = await self._commands.execute(
            command.name,
            command,
            lambda case: decide(self.proceeding(case, original, earlier), command),
        )
        return shown(done)

    async def get(self, name: str) -> pb.PenaltyCase:
        """The case as the caller may see it. NOT_FOUND."""
        return shown(await self._found(name))

    async def page(self, request: rpc_pb.ListCasesRequest) -> rpc_pb.ListCasesResponse:
        """A page of cases."""
        own = _own(request.filter.uscc)
        async with self._engine.connect() as conn:
            found, more = await views.page(conn, request.filter, own, paging.span(request))
        token = paging.token(request, views.key(found[-1])) if more else ""
        cases = masked(pb.PenaltyCase, [shown(case) for case in found], request.read_mask)
        return rpc_pb.ListCasesResponse(cases=cases, next_page_token=token)

    def rules(self, district: str) -> Rules:
        """The law of a place."""
        return self.shelf.rules.at(district)

    def today(self) -> date:
        """The legal date."""
        return legal_date(self._clock.now())

    def proceeding(
        self,
        case: pb.PenaltyCase,
        original: pb.PenaltyCase | None = None,
        earlier: int = 0,
        district: str = "",
    ) -> Proceeding:
        """The case at this moment, under the law of its place."""
        actor, now = current_identity().subject, self._clock.now()
        rules = self.rules(district or case.violation.district)
        return Proceeding(case, actor, rules, now, original, earlier)

    async def _others(self, name: str) -> tuple[pb.PenaltyCase | None, int]:
        """The original of a daily penalty, and how many other cases found a violation of the party."""
        async with self._engine.connect() as conn:
            case = await views.get(conn, name)
            if case is None:
                raise not_found("bihuan.dev/PenaltyCase", name)
            earlier = await views.earlier(conn, case)
            if not case.HasField("daily_basis"):
                return None, earlier
            return await views.get(conn, case.daily_basis.original_case), earlier

    async def _original(self, name: str) -> pb.PenaltyCase:
        """The case that a daily penalty goes back to. INVALID_ARGUMENT if that is no case's name."""
        try:
            check(rpc_pb.GetCaseRequest(name=name))
        except StatusError as error:
            raise invalid_argument(
                "NO_ORIGINAL_CASE",
                "a daily penalty names its original case",
                [("origin.resource", "must be the name of a penalty case")],
            ) from error
        return await self._found(name)

    async def _found(self, name: str) -> pb.PenaltyCase:
        async with self._engine.connect() as conn:
            case = await views.get(conn, name)
        if case is None:
            raise not_found("bihuan.dev/PenaltyCase", name)
        return case

    def _require_today(self, command: Any) -> None:
        """A party that acts for itself acts today, and cannot say that it did so in time."""
        for field in RECEIVED:
            if field not in command.DESCRIPTOR.fields_by_name or not command.HasField(field):
                continue
            if whole_date(getattr(command, field), field) != self.today():
                raise invalid_argument(
                    "NOT_TODAY",
                    f"{field} is recorded by an officer; the party itself acts today",
                    [(field, "must be today or absent")],
                )


class PenaltyCaseService(penalty_case_service_pb2_grpc.PenaltyCaseServiceServicer):
    """A party sees its own case only, from the notice on."""

    def __init__(self, desk: CaseDesk) -> None:
        self._desk = desk

    async def RegisterClue(
        self, request: rpc_pb.RegisterClueRequest, context: Context
    ) -> pb.PenaltyCase:
        return await self._desk.register(request)

    async def _command(self, request: Any, context: Context) -> pb.PenaltyCase:
        return await self._desk.execute(request)

    FileCase = DeclineFiling = ExtendLimit = AddEvidence = ConcludeInvestigation = _command
    SuspendCase = ResumeCase = WithdrawCase = RecordLegalReview = RecordDiscussion = _command
    ServeNotice = SubmitStatement = ConsiderStatement = WaiveRights = _command
    RequestHearing = ScheduleHearing = HoldHearing = OfferApology = ReviewApology = _command
    DecideCase = ServeDecision = PublishDecision = WithdrawPublication = _command
    AcceptRemedy = ConcludeRemedy = ServeDemand = ApplyForEnforcement = RecordRuling = _command
    OrderCorrection = RecordReinspection = CloseCase = ExpireDeadline = _command

    async def RecountDeadlines(
        self, request: rpc_pb.RecountDeadlinesRequest, context: Context
    ) -> pb.PenaltyCase:
        if request.calendar_year:
            await self._desk.shelf.require(request.calendar_year)
        return await self._desk.execute(request)

    async def GetCase(self, request: rpc_pb.GetCaseRequest, context: Context) -> pb.PenaltyCase:
        found = [await self._desk.get(request.name)]
        (case,) = masked(pb.PenaltyCase, found, request.read_mask)
        return case

    async def ListCases(
        self, request: rpc_pb.ListCasesRequest, context: Context
    ) -> rpc_pb.ListCasesResponse:
        return await self._desk.page(request)

    async def AssessPenalty(
        self, request: rpc_pb.AssessPenaltyRequest, context: Context
    ) -> amounts.Discretion:
        violation, today = request.violation, self._desk.today()
        party = pb.Respondent(kind=request.respondent_kind or pb.Respondent.KIND_ENTITY)
        return discretion.assess(
            self._desk.rules(violation.district),
            violation,
            request.factors,
            whole_date(violation.conduct_date, "violation.conduct_date"),
            today,
            discretion.party(party),
        )


class PaymentService(payment_service_pb2_grpc.PaymentServiceServicer):
    """Payments and plans of the same cases."""

    def __init__(self, desk: CaseDesk) -> None:
        self._desk = desk

    async def _command(self, request: Any, context: Context) -> pb.PenaltyCase:
        return await self._desk.execute(request)

    async def RecordPayment(
        self, request: pay_pb.RecordPaymentRequest, context: Context
    ) -> pb.PenaltyCase:
        return paid(await self._desk.execute(request))

    RefundOverpayment = ReduceSurcharge = _command
    ApplyForPlan = GrantPlan = RefusePlan = RevokePlan = ExcuseBreach = _command
    RecordVolunteerService = _command

    async def ProposePlan(
        self, request: pay_pb.ProposePlanRequest, context: Context
    ) -> pay_pb.ProposePlanResponse:
        on = self._desk.today()
        if request.HasField("start_date"):
            on = _near(request.start_date, "start_date", on)
        if request.name:
            case = await self._desk.get(request.name)
            require_account(case)
            return terms.propose(terms.bounds_of(self._desk.proceeding(case), on), request)
        if not (request.fine_fen and request.district):
            raise invalid_argument(
                "CASE_OR_FINE",
                "a plan is proposed for a case, or for a fine in a place",
                [("name", "must be given, or fine_fen and district")],
            )
        rules = self._desk.rules(request.district)
        bounds = terms.bounds_without_case(rules, on, request.track, request.fine_fen)
        return terms.propose(bounds, request)

    async def GetPlan(self, request: pay_pb.GetPlanRequest, context: Context) -> money.Plan:
        case = await self._desk.get(request.name)
        number = request.number or len(case.plans)
        if not 1 <= number <= len(case.plans):
            raise not_found("bihuan.dev/Plan", f"{request.name}/plans/{request.number}")
        return case.plans[number - 1]

    async def GetStatement(
        self, request: pay_pb.GetStatementRequest, context: Context
    ) -> money.AccountStatement:
        case = await self._desk.get(request.name)
        require_account(case)
        as_of = self._desk.today()
        if request.HasField("as_of"):
            as_of = _near(request.as_of, "as_of", as_of)
        rules = self._desk.rules(case.violation.district)
        return statement(case.account, rules, as_of)


def require_account(case: pb.PenaltyCase) -> None:
    """FAILED_PRECONDITION unless a fine was served."""
    if not case.HasField("account"):
        raise failed_precondition(
            "NO_ACCOUNT",
            f"no fine of {case.name} is served yet",
            resource=case.name,
            state=pb.State.Name(case.standing.state),
        )


def _near(value: date_pb2.Date, field: str, today: date) -> date:
    """A day to reckon with: within FURTHEST of today. INVALID_ARGUMENT otherwise."""
    day = whole_date(value, field)
    if abs(day - today) > FURTHEST:
        text = f"must lie within {FURTHEST.days} days of today"
        raise invalid_argument("DATE_TOO_FAR", f"{field} {text}", [(field, text)])
    return day


def _files(evidence: Iterable[Any]) -> list[Evidence]:
    return [each.file if isinstance(each, pb.CaseEvidence) else each for each in evidence]


def _own(wanted: str) -> str:
    """The enterprise that the caller is of; INVALID_ARGUMENT if it wants another's cases."""
    own = current_identity().enterprise
    if own and wanted not in ("", own):
        raise invalid_argument(
            "OTHER_ENTERPRISE",
            "an enterprise sees its own cases only",
            [("filter.uscc", f"must be {own} or empty")],
        )
    return own
