"""What activities hand to loops, of a problem many times as large."""

from pathlib import Path
from uuid import uuid4

from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from rpc.client import connect
from rpc.identity import Identity
from tests.bureau import Bureau, bureau, report
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
