"""What a demo of problems tells and ends with: ladders climbed, and the enterprises' ledgers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import grpc.aio
from rich.table import Table

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from bihuan.rectification.v1 import problem_service_pb2_grpc
from ops.outcome import Outcome, Report
from ops.persist import persist
from ops.scenario import Scenario
from rules import as_date
from workflows.problem_loop import ENDED
from workflows.problem_state import STAGES


@dataclass(frozen=True)
class LedgerRow:
    """One item of an enterprise's ledger (整改台账); `state` is that of its problem."""

    enterprise: str
    problem: str
    title: str
    item: str
    finding: str
    measure: str
    responsible_unit: str
    due_date: str
    late: bool
    round: int
    state: str


class ProblemPlay:
    """Problems from report to closure."""

    def opened(self, event: Event) -> str:
        """The title of the problem that `event` reports; empty if it reports none."""
        if not event.payload.Is(ev.ProblemReported.DESCRIPTOR):
            return ""
        return ev.ProblemReported.FromString(event.payload.value).title

    def title(self, arguments: dict[str, object]) -> str:
        """The title in a scenario's report."""
        return str(arguments.get("title"))

    def measure(self, event: Event) -> str:
        """The rung of the ladder that `event` climbs; empty if it climbs none."""
        if not event.payload.Is(ev.ProblemEscalated.DESCRIPTOR):
            return ""
        return ev.ProblemEscalated.FromString(event.payload.value).escalation.measure

    async def standing(self, channel: grpc.aio.Channel, name: str) -> tuple[str, bool]:
        """The problem's state, and whether it has ended."""
        stub = problem_service_pb2_grpc.ProblemServiceStub(channel)
        problem = await persist(partial(stub.GetProblem, rpc_pb.GetProblemRequest(name=name)))
        return pb.State.Name(problem.state), problem.state in ENDED

    async def loops(self, channel: grpc.aio.Channel, name: str) -> list[str]:
        """Ids of its workflows."""
        return [f"problem-loop/{name.removeprefix('problems/')}"]

    async def ledger(
        self, channel: grpc.aio.Channel, scenario: Scenario, outcomes: Sequence[Outcome]
    ) -> list[LedgerRow]:
        """The ledgers of all enterprises, one after the other."""
        stub = problem_service_pb2_grpc.ProblemServiceStub(channel)
        rows = []
        for company in scenario.enterprises.values():
            request = rpc_pb.GetLedgerRequest(enterprise=company.uscc, page_size=500)
            answer = await persist(partial(stub.GetLedger, request))
            rows += [_row(company.display_name, row) for row in answer.rows]
        return rows

    def table(self, report: Report) -> Table:
        """The enterprises' rectification ledgers as one table."""
        table = Table(title=f"{report.scenario}  整改台账", show_lines=True)
        for column in ("企业", "问题", "整改措施", "责任单位", "逾期", "轮次", "状态"):
            table.add_column(column, overflow="fold")
        table.add_column("期限", no_wrap=True)
        for row in report.ledger:
            table.add_row(
                row.enterprise,
                row.title,
                row.measure,
                row.responsible_unit,
                "是" if row.late else "",
                str(row.round),
                self.label(row.state),
                row.due_date,
            )
        return table

    def label(self, state: str) -> str:
        """A state as people call it; other programs get its name in the enum."""
        return STAGES[pb.State.Value(state)]


def _row(enterprise: str, row: rpc_pb.LedgerRow) -> LedgerRow:
    return LedgerRow(
        enterprise=enterprise,
        problem=row.problem,
        title=row.title,
        item=row.item.id,
        finding=row.item.finding,
        measure=row.item.measure,
        responsible_unit=row.item.responsible_unit,
        due_date=as_date(row.item.deadline.due_date).isoformat(),
        late=row.item.late,
        round=row.round,
        state=pb.State.Name(row.problem_state),
    )
