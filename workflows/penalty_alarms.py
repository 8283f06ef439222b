"""When the loops of a penalty case act by themselves: before and at each open deadline that is theirs."""

from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop as Loop
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyStanding as Known
from rules.clock import legal_date
from workflows.alarms import REMIND, Alarm, date_text, of_deadline
from workflows.penalty_state import DUTIES, PARTIES


def alarms(known: Known) -> list[Alarm]:
    """Of every open deadline its reminders and its end."""
    found: list[Alarm] = []
    for each in known.standing.deadlines:
        day = f"{each.deadline.id}/{date_text(each.deadline.due_date)}"
        found += of_deadline(each.deadline, each.deadline.id, day)
    return found


def deadline_of(known: Known, alarm: Alarm) -> pb.OpenDeadline:
    """The deadline that an alarm is about."""
    found = (each for each in known.standing.deadlines if each.deadline.id == alarm.deadline_id)
    return next(found)


def summary(loop: Loop, alarm: Alarm) -> str:
    """What a timer waits for, in a line."""
    what = "提醒" if alarm.kind == REMIND else "到期"
    again = "再报" if any(each.alarm == alarm.key for each in loop.put_off) else ""
    due = deadline_of(loop.known, alarm)
    numbered = f"第{due.instalment}期" if due.instalment else ""
    return (
        f"{again}{what} {DUTIES[due.duty]}{numbered}（{PARTIES[due.party]}）{legal_date(alarm.at)}"
    )
