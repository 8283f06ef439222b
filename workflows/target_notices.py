"""Whom the loop of an inspection target tells what: whoever plans inspections, of a change of grade.

The text follows from the event alone: told again, by a loop that knows more, it is the same.
"""

from google.protobuf.message import Message

from bihuan.inspection.v1 import target_events_pb2 as ev
from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.notification.v1 import notice_pb2 as nb
from workflows.operator_view import day_text

PLANNER = "desks/planner"
TITLE, BODY = 200, 4000  # characters that a notice holds


def on_event(message: Message) -> list[nb.SendNoticeRequest]:
    """What to send of an event of the loop's target, without request ids. A first grade is no change."""
    if not isinstance(message, ev.TargetGraded):
        return []
    old, new = message.old_grade, message.grading.grade
    if old in ("", new):
        return []
    title = f"检查对象分级由{old}级变为{new}级（{message.display_name}）"
    return [
        nb.SendNoticeRequest(
            recipient=PLANNER,
            kind=nb.NOTICE_KIND_INFORMATION,
            title=title[:TITLE],
            body="\n".join(reasons(message.grading))[:BODY],
            subject=message.name,
        )
    ]


def reasons(grading: pb.Grading) -> list[str]:
    """How the score came about, a line each, and when it is looked at again."""
    lines = [f"{each.explanation}：{each.points:+d}分" for each in grading.reasons]
    lines.append(f"合计{grading.score}分，依据{grading.rule.citation}")
    if grading.HasField("review"):
        lines.append(f"记分有效至{day_text(grading.review.due_date)}，次日复评")
    return lines
