"""What arises in other domains comes to the register of targets, once, or says why it does not."""

from datetime import UTC, date, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.inspection.v1 import inspection_events_pb2 as inspection_ev
from bihuan.inspection.v1 import inspection_pb2
from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.penalty.v1 import account_pb2, penalty_case_pb2
from bihuan.penalty.v1 import events_pb2 as penalty_ev
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2
from services.inspection.targets.model import UNREGISTERED, state_of
from tests.services import targets as req
from tests.services.rosters import day, uscc
from tests.services.targets import BASE, POINTS
from tests.workflows.target_town import MONDAY, TargetTown
from workflows.target_facts import of_inspection

MOMENT = Timestamp()
MOMENT.FromDatetime(MONDAY)
LATE = Timestamp()  # Tuesday in Shanghai, where it is Monday still in Greenwich
LATE.FromDatetime(datetime(2026, 9, 7, 16, 30, tzinfo=UTC))
SERVED = penalty_ev.DecisionServed(
    occurrence=penalty_ev.Occurrence(occur_time=MOMENT), account=account_pb2.Account()
)
ANNULLED = penalty_ev.CaseWithdrawn(
    occurrence=penalty_ev.Occurrence(occur_time=MOMENT),
    ground=penalty_case_pb2.WITHDRAWAL_GROUND_ANNULLED,
)
CONFIRMED = ev.ProblemVerified(
    verification=problem_pb2.Verification(confirmed=True, verify_time=MOMENT)
)
CLOSED = ev.ProblemClosed(close_time=LATE)
CASE, PROBLEM = "penalty.case", "rectification.problem"


def case(firm: str = req.FIRM) -> penalty_case_pb2.PenaltyCase:
    """A case with a large fine that was decided on the Friday before."""
    found = penalty_case_pb2.PenaltyCase(hearing_due=True)
    found.respondent.uscc = firm
    found.decision.decide_date.CopyFrom(day(date(2026, 9, 4)))
    found.decision.discretion.chosen_fen, found.decision.discretion.ceiling_fen = 1, 2
    return found


def problem(firm: str = req.FIRM) -> problem_pb2.Problem:
    found = problem_pb2.Problem(severity=problem_pb2.SEVERITY_SERIOUS)
    found.enterprise.uscc = firm
    return found


async def test_a_penalty_lowers_the_score_from_the_day_of_its_decision(
    register: TargetTown,
) -> None:
    await register.command(req.register())
    await register.arise(SERVED, CASE, case())
    assert (await register.fact().result()).result == "recorded"
    (known,) = register.target.facts
    assert (known.kind, known.level, known.date) == (
        pb.FACT_KIND_PENALTY,
        "general",
        day(date(2026, 9, 4)),
    )
    assert known.source.startswith("penaltyCases/")
    assert register.target.grading.score == BASE + POINTS["penalty"]["general"]


async def test_a_penalty_that_is_annulled_weighs_no_more(register: TargetTown) -> None:
    await register.command(req.register())
    await register.arise(SERVED, CASE, case())
    await register.fact().result()
    await register.arise(ANNULLED, CASE, case(), register.target.facts[0].source)
    assert (await register.fact().result()).fact.kind == pb.FACT_KIND_REPAIR
    assert register.target.grading.score == BASE


async def test_a_problem_weighs_and_weighs_less_once_it_is_put_right(
    register: TargetTown,
) -> None:
    await register.command(req.register())
    await register.arise(CONFIRMED, PROBLEM, problem())
    await register.fact().result()
    assert register.target.grading.score == BASE + POINTS["problem"]["serious"]
    await register.sleep(1)
    source = register.target.facts[0].source
    await register.arise(CLOSED, PROBLEM, problem(), source)
    await register.fact().result()
    assert (
        register.target.grading.score
        == BASE + POINTS["problem"]["serious"] + POINTS["problem_closed"]["serious"]
    )
    assert [each.date.day for each in register.target.facts] == [7, 8]


async def test_an_inspection_that_finds_nothing_is_a_fact(
    register: TargetTown,
) -> None:
    await register.command(req.register())
    occurrence = inspection_ev.Occurrence(occur_time=MOMENT)
    clean = inspection_ev.InspectionReported(occurrence=occurrence)
    inspected = inspection_pb2.Inspection()
    inspected.enterprise.uscc = req.FIRM
    await register.arise(clean, "inspection.inspection", inspected)
    assert (await register.fact().result()).result == "recorded"
    assert [each.kind for each in register.target.facts] == [pb.FACT_KIND_CLEAN_INSPECTION]
    assert register.target.grading.score == BASE + POINTS["clean_inspection"]["general"]
    clean.finding_count = 1
    assert of_inspection(Event(), [clean], "inspections/1") == []


async def test_what_is_about_nobody_on_the_register_ends_quietly_and_says_so(
    register: TargetTown,
) -> None:
    await register.arise(SERVED, CASE, case(uscc(5)))
    assert (await register.fact().result()).result == "TARGET_NOT_FOUND"
    await register.arise(SERVED, CASE, case(""))
    assert (await register.fact().result()).result == "NO_CREDIT_CODE"
    assert state_of(register.target) == UNREGISTERED


async def test_a_fact_waits_for_services_that_are_away(register: TargetTown) -> None:
    await register.command(req.register())
    register.away = 1
    await register.arise(SERVED, CASE, case())
    assert (await register.fact().result()).result == "recorded"
    assert register.away == 0


async def test_an_order_missed_again_and_again_is_one_fact(register: TargetTown) -> None:
    await register.command(req.register())
    missed = ev.DeadlineMissed(step=problem_pb2.STEP_RECTIFY, detect_time=MOMENT)
    await register.arise(missed, PROBLEM, problem())
    assert (await register.fact().result()).result == "recorded"
    await register.sleep(2)
    source = register.target.facts[0].source
    missed.detect_time.CopyFrom(LATE)
    await register.arise(missed, PROBLEM, problem(), source)
    assert (await register.fact().result()).result == "FACT_DIFFERS"
    assert register.target.grading.score == BASE + POINTS["overdue"]["general"]
