"""When the loop of an inspection acts by itself: at deadlines, and as soon as there is something to do."""

from collections.abc import Iterator
from datetime import UTC

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1.inspection_loop_pb2 import InspectionLoop as Loop
from rules.clock import legal_date
from workflows.alarms import REMIND, Alarm, armed, date_text, of_deadline
from workflows.inspection_state import FOLLOWED_UP, name_of
from workflows.inspection_words import DUTIES

# Not at a time, but once it is so: a department is asked through Nexus; its answer is wanted no more; a
# finding goes to whoever follows it up.
ASK, WITHDRAW, HAND_OVER = "ask", "withdraw", "hand-over"


def alarms(loop: Loop) -> list[Alarm]:
    """Of every open deadline its reminders and its end, and whatever is to be done at once."""
    inspection = loop.known.inspection
    found: list[Alarm] = []
    for each in inspection.standing.deadlines:
        day = f"{each.deadline.id}/{date_text(each.deadline.due_date)}"
        found += of_deadline(each.deadline, each.deadline.id, day)
    return [*found, *_invitations(loop), *_findings(inspection)]


def to_do(loop: Loop) -> bool:
    """Whether something is left that the loop does even where the inspection has ended."""
    return any(each.kind in (WITHDRAW, HAND_OVER) for each in armed(loop, alarms(loop)))


def subject_of(alarm: Alarm) -> str:
    """The department or the finding that a step of the loop is about."""
    return alarm.deadline_id


def deadline_of(inspection: pb.Inspection, alarm: Alarm) -> pb.OpenDeadline:
    """The deadline that an alarm is about."""
    found = (
        each for each in inspection.standing.deadlines if each.deadline.id == alarm.deadline_id
    )
    return next(found)


def summary(loop: Loop, alarm: Alarm) -> str:
    """What a timer waits for, in a line."""
    again = "再报" if any(each.alarm == alarm.key for each in loop.put_off) else ""
    if alarm.kind == HAND_OVER:
        return f"{again}移交发现{subject_of(alarm)}"
    if alarm.kind in (ASK, WITHDRAW):
        return f"{again}Nexus 征询"
    due = deadline_of(loop.known.inspection, alarm)
    what = "提醒" if alarm.kind == REMIND else "到期"
    whose = name_of(loop.known.inspection, due.department)
    return f"{again}{what} {DUTIES[due.duty]}（{whose}）{legal_date(alarm.at)}"[:190]


def _invitations(loop: Loop) -> Iterator[Alarm]:
    inspection = loop.known.inspection
    inviting = inspection.standing.state == pb.STATE_INVITING
    for each in inspection.participants:
        if not each.nexus_endpoint or each.lead:
            continue
        # Whoever need not answer hears it, too, where a loop that was ended since had asked.
        kind = ASK if inviting and each.answer == pb.ANSWER_PENDING else WITHDRAW
        yield _at_once(inspection.open_time, kind, f"{kind}-{each.department}", each.department)


def _findings(inspection: pb.Inspection) -> Iterator[Alarm]:
    if not inspection.HasField("report_time"):
        return
    for each in inspection.findings:
        if each.outcome in FOLLOWED_UP and not each.handed_over_to:
            key = f"{HAND_OVER}-{each.id}"
            yield _at_once(inspection.report_time, HAND_OVER, key, each.id)


def _at_once(since: Timestamp, kind: str, key: str, about: str) -> Alarm:
    return Alarm(since.ToDatetime(UTC), kind, key, key, about, Date())
