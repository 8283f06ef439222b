"""What activities hand to loops, of a problem or a case many times as large."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import penalty_case_pb2
from bihuan.penalty.v1 import penalty_case_service_pb2 as penalty_pb
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from rpc.client import connect
from rpc.identity import Identity
from rules import Clock
from tests.bureau import Bureau, bureau, report
from tests.services import penalties
from tests.services.test_penalty_cases import MONDAY, Desk
from workflows.activities import Activities

# Temporal takes 2 MiB at most, and keeps every bit of it in the history of the loop.
SMALL_BYTES = 8 * 1024
DRAFT = rpc_pb.ItemDraft(
    finding="缺" * 100, measure="补" * 100, responsible_unit="环保部", limit=pb.Limit(days=1000)
)


def step(problem: pb.Problem) -> dict[str, str]:
    return {"request_id": str(uuid4()), "name": problem.name}


async def large(open_: Bureau) -> pb.Problem:
    officer, enterprise = open_.client("officer"), open_.enterprise()
    problem = await open_.client("reporter").problems.ReportProblem(report(description="问" * 4000))
    verified = rpc_pb.VerifyProblemRequest.RESULT_CONFIRMED
    await officer.problems.VerifyProblem(
        rpc_pb.VerifyProblemRequest(result=verified, reasons="属实", **step(problem))
    )
    order = rpc_pb.OrderRectificationRequest(items=[DRAFT] * 100, legal_basis="法", **step(problem))
    await officer.problems.OrderRectification(order)
    evidence = [await enterprise.upload()]
    submit = rpc_pb.SubmitRectificationRequest(statement="改", evidence=evidence, **step(problem))
    await enterprise.problems.SubmitRectification(submit)
    returned = rpc_pb.ReviewRectificationRequest.RESULT_RETURNED
    review = rpc_pb.ReviewRectificationRequest(
        result=returned, reasons="退", limit=pb.Limit(days=100), **step(problem)
    )
    return await officer.problems.ReviewRectification(review)


async def test_what_a_loop_learns_is_small_whatever_the_problem_has_come_to(
    database_url: str, tmp_path: Path
) -> None:
    async with bureau(database_url, tmp_path) as open_:
        problem = await large(open_)
        assert problem.ByteSize() > 20 * SMALL_BYTES
        token = open_.issuer.issue(Identity(subject="loop", roles=frozenset({"loop"})))
        async with connect(open_.target, token) as channel:
            does = Activities(channel)
            expire = rpc_pb.ExpireDeadlineRequest(deadline_id="rectify-1.1", **step(problem))
            recount = rpc_pb.RecountDeadlinesRequest(calendar_year=2026, **step(problem))
            due = problem.next_step.deadline.due_date.year
            wanted = rpc_pb.ListProblemsRequest(filter=rpc_pb.ProblemFilter(counted_into_year=due))
            standing = await does.get_problem(rpc_pb.GetProblemRequest(name=problem.name))
            page = await does.list_counted(wanted)
            answers = [
                standing,
                await does.expire_deadline(expire, ""),
                await does.recount(recount, ""),
                page,
            ]
    assert [answer.ByteSize() < SMALL_BYTES for answer in answers] == [True] * len(answers)
    assert list(page.problems) == [problem.name]
    assert (standing.state, standing.version) == (pb.STATE_RECTIFYING, 5)
    assert standing.next_step.open_deadlines == problem.next_step.open_deadlines


async def planned(open_: Bureau) -> penalty_case_pb2.PenaltyCase:
    """A case with a plan in as many instalments as there can be."""
    desk = Desk(open_)
    case, file = await desk.served(), await open_.client("officer").upload()
    await desk.call(penalties.of(penalties.application(evidence=[file]), case.name))
    wanted = pay_pb.ProposePlanRequest(name=case.name, interval_months=1)
    proposed = await desk.call(wanted)
    largest = max(proposed.proposals, key=lambda each: len(each.terms.payments))
    grant = pay_pb.GrantPlanRequest(terms=largest.terms, reasons="确有经济困难")
    return await desk.call(penalties.of(grant, case.name), "decider")


async def test_what_a_loop_learns_is_small_whatever_the_case_has_come_to(
    database_url: str, tmp_path: Path
) -> None:
    clock = str(Clock(MONDAY, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as open_:
        case = await planned(open_)
        assert len(case.plans[0].instalments) >= 20
        token = open_.issuer.issue(Identity(subject="loop", roles=frozenset({"loop"})))
        async with connect(open_.target, token) as channel:
            does = Activities(channel)
            wanted = penalty_pb.GetCaseRequest(name=case.name)
            of_case, of_plan = [await does.get_penalty_case(wanted, plan) for plan in (0, 1)]
            (instalment,) = of_plan.standing.deadlines
            expire = penalty_pb.ExpireDeadlineRequest(deadline_id=instalment.deadline.id)
            expired = penalties.of(expire, case.name)
            recount = penalties.of(penalty_pb.RecountDeadlinesRequest(), case.name)
            year = instalment.deadline.due_date.year
            counted = penalty_pb.CaseFilter(counted_year=year)
            page = await does.list_counted_penalty_cases(
                penalty_pb.ListCasesRequest(filter=counted)
            )
            answers = [
                of_case,
                of_plan,
                await does.expire_penalty_deadline(expired, 1, ""),
                await does.recount_penalty_case(recount, ""),
            ]
    assert [answer.ByteSize() < SMALL_BYTES for answer in answers] == [True] * len(answers)
    assert list(page.penalty_cases) == [case.name]
    assert of_plan == answers[2]
    assert [each.number for each in of_plan.plan.instalments][-1] == len(case.plans[0].instalments)
    assert instalment.duty == penalty_case_pb2.DUTY_INSTALMENT
    assert not of_case.HasField("plan")
    assert {each.duty for each in of_case.standing.deadlines} == {
        penalty_case_pb2.DUTY_PUBLICATION,
        penalty_case_pb2.DUTY_RECONSIDERATION,
        penalty_case_pb2.DUTY_SUIT,
    }
