"""ProblemService: translates RPCs to commands and queries on problems."""

from typing import Any, TypeAlias, get_args
from uuid import NAMESPACE_URL, uuid5

from uuid_utils.compat import uuid7

from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from bihuan.rectification.v1 import problem_service_pb2_grpc
from eventstore import EventStore
from rpc.errors import invalid_argument, not_found, permission_denied
from rpc.identity import current_identity
from rules import Clock
from services import paging
from services.aggregate import Aggregate, Commands
from services.calendar.shelf import CalendarShelf
from services.evidence.files import EvidenceFiles
from services.masks import masked
from services.rectification import model, views
from services.rectification.evolve import Event, evolve
from services.rectification.sight import shown
from services.vault import Vault

Context: TypeAlias = Any

PROBLEM = Aggregate(
    category="rectification.problem",
    blank=lambda name: pb.Problem(name=name),
    evolve=evolve,
    events=get_args(Event),
    project=views.project,
)


class ProblemService(problem_service_pb2_grpc.ProblemServiceServicer):
    """An enterprise's own people see and touch its own problems only, once they concern it."""

    def __init__(
        self,
        store: EventStore,
        shelf: CalendarShelf,
        files: EvidenceFiles,
        clock: Clock,
        vault: Vault,
    ) -> None:
        self._engine = store.engine
        self._commands = Commands(store, PROBLEM, vault)
        self._shelf = shelf
        self._files = files
        self._clock = clock

    async def ReportProblem(
        self, request: rpc_pb.ReportProblemRequest, context: Context
    ) -> pb.Problem:
        _require_own(request.enterprise.uscc)
        _require_self_report(request.source)
        _name_complainant(request)
        reported = await self._commands.create(
            f"problems/{uuid7()}", request, lambda problem: self._decide(problem, request)
        )
        return shown(reported)

    async def VerifyProblem(
        self, request: rpc_pb.VerifyProblemRequest, context: Context
    ) -> pb.Problem:
        return await self._execute(request)

    async def OrderRectification(
        self, request: rpc_pb.OrderRectificationRequest, context: Context
    ) -> pb.Problem:
        return await self._execute(request)

    async def ExtendRectification(
        self, request: rpc_pb.ExtendRectificationRequest, context: Context
    ) -> pb.Problem:
        return await self._execute(request)

    async def SubmitRectification(
        self, request: rpc_pb.SubmitRectificationRequest, context: Context
    ) -> pb.Problem:
        return await self._execute(request)

    async def ReviewRectification(
        self, request: rpc_pb.ReviewRectificationRequest, context: Context
    ) -> pb.Problem:
        return await self._execute(request)

    async def AssessProblem(
        self, request: rpc_pb.AssessProblemRequest, context: Context
    ) -> pb.Problem:
        return await self._execute(request)

    async def ReopenProblem(
        self, request: rpc_pb.ReopenProblemRequest, context: Context
    ) -> pb.Problem:
        return await self._execute(request)

    async def EscalateProblem(
        self, request: rpc_pb.EscalateProblemRequest, context: Context
    ) -> pb.Problem:
        return await self._execute(request)

    async def CloseProblem(
        self, request: rpc_pb.CloseProblemRequest, context: Context
    ) -> pb.Problem:
        return await self._execute(request)

    async def ExpireDeadline(
        self, request: rpc_pb.ExpireDeadlineRequest, context: Context
    ) -> pb.Problem:
        return await self._execute(request)

    async def RecountDeadlines(
        self, request: rpc_pb.RecountDeadlinesRequest, context: Context
    ) -> pb.Problem:
        await self._shelf.require(request.calendar_year)
        return await self._execute(request)

    async def GetProblem(self, request: rpc_pb.GetProblemRequest, context: Context) -> pb.Problem:
        (problem,) = masked(pb.Problem, [await self._get(request.name)], request.read_mask)
        return problem

    async def ListProblems(
        self, request: rpc_pb.ListProblemsRequest, context: Context
    ) -> rpc_pb.ListProblemsResponse:
        own = _own(request.filter.enterprise)
        async with self._engine.connect() as conn:
            found, more = await views.page(conn, request.filter, own, paging.span(request))
        token = paging.token(request, views.key(found[-1])) if more else ""
        problems = masked(pb.Problem, [shown(problem) for problem in found], request.read_mask)
        return rpc_pb.ListProblemsResponse(problems=problems, next_page_token=token)

    async def GetLedger(self, request: rpc_pb.GetLedgerRequest, context: Context) -> rpc_pb.Ledger:
        _require_own(request.enterprise)
        own, wanted = _enterprise(), rpc_pb.ProblemFilter(enterprise=request.enterprise)
        async with self._engine.connect() as conn:
            problems, more = await views.page(conn, wanted, own, paging.span(request))
            every, closed, overdue = await views.totals(conn, request.enterprise, own)
        rows = [_ledger_rows(problem) for problem in problems]
        fits = paging.fitting(sum(row.ByteSize() for row in group) for group in rows)
        more = more or fits < len(problems)
        return rpc_pb.Ledger(
            enterprise=problems[0].enterprise if problems else None,
            rows=[row for group in rows[:fits] for row in group],
            problem_count=every,
            closed_count=closed,
            overdue_count=overdue,
            next_page_token=paging.token(request, views.key(problems[fits - 1])) if more else "",
        )

    async def CountProblems(
        self, request: rpc_pb.CountProblemsRequest, context: Context
    ) -> rpc_pb.CountProblemsResponse:
        own = _own(request.filter.enterprise)
        async with self._engine.connect() as conn:
            return await views.counts(conn, request.filter, own, self._clock.now())

    async def _get(self, name: str) -> pb.Problem:
        async with self._engine.connect() as conn:
            problem = await views.get(conn, name)
        if problem is None:
            raise not_found("bihuan.dev/Problem", name)
        return shown(problem)

    async def _execute(self, command: Any) -> pb.Problem:
        # First of all: neither an etag nor a file may tell an enterprise of what it cannot see. What
        # it can see once, it always can.
        if _enterprise():
            await self._get(command.name)
        await self._files.require(getattr(command, "evidence", ()))
        done = await self._commands.execute(
            command.name, command, lambda problem: self._decide(problem, command)
        )
        return shown(done)

    def _decide(self, problem: pb.Problem, command: Any) -> list[Event]:
        if isinstance(command, rpc_pb.SubmitRectificationRequest):
            _require_enterprise(problem.enterprise.uscc)
        district = problem.location.district or command.location.district
        rules = self._shelf.rules.at(district)
        return model.decide(problem, command, current_identity().subject, rules, self._clock.now())


def _ledger_rows(problem: pb.Problem) -> list[rpc_pb.LedgerRow]:
    return [
        rpc_pb.LedgerRow(
            problem=problem.name,
            title=problem.title,
            problem_state=problem.state,
            item=item,
            round=problem.round,
        )
        for item in problem.items
    ]


def _enterprise() -> str:
    """The enterprise that the caller is of; empty for everybody who may see all of them."""
    return current_identity().enterprise


def _require_own(uscc: str) -> None:
    if _enterprise() not in ("", uscc):
        raise permission_denied(
            "OTHER_ENTERPRISE", "an enterprise may ask about itself only", enterprise=uscc
        )


def _require_self_report(source: pb.Source.ValueType) -> None:
    if _enterprise() and source != pb.SOURCE_SELF_REPORT:
        raise invalid_argument(
            "NOT_A_SELF_REPORT",
            "an enterprise reports its own problems as what they are",
            [("source", "must be SOURCE_SELF_REPORT")],
        )


def _name_complainant(request: rpc_pb.ReportProblemRequest) -> None:
    """Give a complainant without an id one: the same for the same request, so that it can be repeated."""
    if not request.HasField("complainant"):
        return
    if request.source != pb.SOURCE_COMPLAINT:
        raise invalid_argument(
            "NOT_A_COMPLAINT",
            "only a complaint has a complainant",
            [("complainant", "only with SOURCE_COMPLAINT")],
        )
    if not request.complainant.id:
        whose = f"bihuan:complainant/{current_identity().subject}/{request.request_id}"
        request.complainant.id = str(uuid5(NAMESPACE_URL, whose))


def _require_enterprise(uscc: str) -> None:
    if _enterprise() != uscc:
        raise permission_denied(
            "NOT_THE_ENTERPRISE", "only the enterprise itself submits", enterprise=uscc
        )


def _own(wanted: str) -> str:
    """The enterprise that the caller is of; INVALID_ARGUMENT if it wants another's problems."""
    own = _enterprise()
    if own and wanted not in ("", own):
        raise invalid_argument(
            "OTHER_ENTERPRISE",
            "an enterprise sees its own problems only",
            [("filter.enterprise", f"must be {own} or empty")],
        )
    return own
