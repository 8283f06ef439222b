"""What a demo of penalty cases ends with: the payment account of each case."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import grpc.aio
from rich.table import Table

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import payment_service_pb2_grpc, penalty_case_service_pb2_grpc
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from ops.outcome import Outcome, Report
from ops.persist import persist
from ops.scenario import Scenario
from rules import as_date
from workflows.penalty_state import ENDED, STAGES

KINDS = {
    money.StatementLine.KIND_FINE: "罚款",
    money.StatementLine.KIND_FINE_LOWERED: "罚款减少",
    money.StatementLine.KIND_SURCHARGE: "加处罚款",
    money.StatementLine.KIND_SURCHARGE_REDUCED: "减免加处罚款",
    money.StatementLine.KIND_PAYMENT: "缴款",
    money.StatementLine.KIND_REFUND: "退还",
}


@dataclass(frozen=True)
class StatementRow:
    """One line of a case's account; amounts in fen, `balance_fen` is owed after it."""

    enterprise: str
    case: str
    date: str
    kind: str
    amount_fen: int
    balance_fen: int
    note: str


class PenaltyPlay:
    """Penalty cases from clue to closure."""

    def opened(self, event: Event) -> str:
        """The summary of the violation that `event` registers; empty if it registers none."""
        if not event.payload.Is(ev.ClueRegistered.DESCRIPTOR):
            return ""
        return ev.ClueRegistered.FromString(event.payload.value).violation.summary

    def title(self, arguments: dict[str, object]) -> str:
        """The summary in a scenario's clue."""
        violation = arguments.get("violation")
        return str(violation.get("summary")) if isinstance(violation, dict) else ""

    def measure(self, event: Event) -> str:
        """Penalty cases have no ladder."""
        return ""

    async def standing(self, channel: grpc.aio.Channel, name: str) -> tuple[str, bool]:
        """The case's state, and whether it has ended."""
        state = (await _case(channel, name)).standing.state
        return pb.State.Name(state), state in ENDED

    async def loops(self, channel: grpc.aio.Channel, name: str) -> list[str]:
        """Ids of its workflows: of the case, and of each of its plans."""
        case, key = await _case(channel, name), name.removeprefix("penaltyCases/")
        plans = [f"payment-plan/{key}/{plan.number}" for plan in case.plans]
        return [f"penalty-case/{key}", *plans]

    async def ledger(
        self, channel: grpc.aio.Channel, scenario: Scenario, outcomes: Sequence[Outcome]
    ) -> list[StatementRow]:
        """The account of each case, line by line."""
        stub = payment_service_pb2_grpc.PaymentServiceStub(channel)
        rows = []
        for outcome in outcomes:
            request = pay_pb.GetStatementRequest(name=outcome.name)
            statement = await persist(partial(stub.GetStatement, request))
            rows += [_row(outcome, line) for line in statement.lines]
        return rows

    def table(self, report: Report) -> Table:
        """Every account, one under the other."""
        table = Table(title=f"{report.scenario}  缴款台账（元）")
        for column in ("企业", "日期", "事项"):
            table.add_column(column, no_wrap=column != "企业", overflow="fold")
        for column in ("金额", "余额"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("备注", overflow="fold")
        before = ""
        for row in report.ledger:
            if row.enterprise != before:
                table.add_section()
            company = row.enterprise if row.enterprise != before else ""
            before = row.enterprise
            amounts = yuan(row.amount_fen), yuan(row.balance_fen)
            table.add_row(company, row.date, row.kind, *amounts, row.note)
        return table

    def label(self, state: str) -> str:
        """A state as people call it; other programs get its name in the enum."""
        return STAGES[pb.State.Value(state)]


def yuan(fen: int) -> str:
    """Fen as yuan, for example "-1,200.05"."""
    sign, fen = ("-" if fen < 0 else ""), abs(fen)
    return f"{sign}{fen // 100:,}.{fen % 100:02}"


async def _case(channel: grpc.aio.Channel, name: str) -> pb.PenaltyCase:
    stub = penalty_case_service_pb2_grpc.PenaltyCaseServiceStub(channel)
    case: pb.PenaltyCase = await persist(partial(stub.GetCase, rpc_pb.GetCaseRequest(name=name)))
    return case


def _row(outcome: Outcome, line: money.StatementLine) -> StatementRow:
    return StatementRow(
        enterprise=outcome.enterprise,
        case=outcome.name,
        date=as_date(line.date).isoformat(),
        kind=KINDS[line.kind],
        amount_fen=line.amount_fen,
        balance_fen=line.balance_fen,
        note=line.note,
    )
