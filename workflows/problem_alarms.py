"""When the loop of a problem acts by itself: before and at each open deadline, and on the ladder."""

from datetime import UTC

from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from bihuan.rectification.v1.problem_loop_pb2 import ProblemStanding as Standing
from rules.clock import legal_date
from workflows.alarms import DUE, REMIND, Alarm, date_text, of_deadline
from workflows.problem_state import PARTIES

ESCALATE = "escalate"


def alarms(case: Loop | Standing) -> list[Alarm]:
    """Of every open deadline its reminders and its end, and the next rung once one was missed."""
    found: list[Alarm] = []
    for each in case.next_step.open_deadlines:
        # Not by the deadline's id: of several due on a day some may be handed in.
        day = f"{_step(case)}-{case.round}@{date_text(each.due_date)}"
        found += of_deadline(each, each.deadline_ids[0], day)
    if case.overdue and case.escalation.HasField("next_deadline"):
        rung = case.escalation.next_deadline
        day, at = f"{rung.id}@{date_text(rung.due_date)}", rung.due_time.ToDatetime(UTC)
        found.append(Alarm(at, ESCALATE, day, f"{day}/{ESCALATE}", rung.id, rung.due_date))
    return found


def summary(loop: Loop, alarm: Alarm) -> str:
    """What a timer waits for, in a line."""
    what = {REMIND: "提醒", DUE: "到期", ESCALATE: "升级"}[alarm.kind]
    again = "再报" if any(each.alarm == alarm.key for each in loop.put_off) else ""
    party = PARTIES[loop.next_step.party]
    return f"{again}{what} {_step(loop)}（{party}）{legal_date(alarm.at)}"


def _step(case: Loop | Standing) -> str:
    return pb.Step.Name(case.next_step.step).removeprefix("STEP_").lower()
