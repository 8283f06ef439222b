"""What the loop of an inspection target knows of it, folded from events, and how an operator sees it."""

from collections.abc import Sequence
from datetime import UTC, timedelta

from google.protobuf.message import Message
from temporalio import workflow

from bihuan.inspection.v1 import target_events_pb2 as ev
from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.inspection.v1.target_loop_pb2 import TargetLoop as Loop
from bihuan.inspection.v1.target_loop_pb2 import TargetStanding as Standing
from workflows import search_attributes as sa
from workflows.operator_view import day_text, troubles

SECOND = timedelta(seconds=1)
# Events that change when the grade is looked at again; the others do not come to the loop.
EVENTS: tuple[type[Message], ...] = (ev.TargetGraded, ev.TargetRemoved)
REMOVED, REVIEW, NOBODY = "已出库", "到期复评", "无"


def standing(target: pb.Target) -> Standing:
    """What a loop needs to know of a target."""
    removed = target.HasField("remove_time")
    found = Standing(
        name=target.name,
        version=int(target.etag),
        display_name=target.display_name,
        district=target.district,
        removed=removed,
    )
    _take_grade(found, target.grading)
    if removed:
        found.ClearField("review")
    return found


def fold(loop: Loop, messages: Sequence[Message]) -> None:
    """Take an event into `loop`, in place."""
    known = loop.known
    for message in messages:
        match message:
            case ev.TargetGraded():
                known.name, known.removed = message.name, False
                known.display_name, known.district = message.display_name, message.district
                _take_grade(known, message.grading)
            case ev.TargetRemoved():
                known.name, known.removed = message.name, True
                known.ClearField("review")


def stage(known: Standing) -> str:
    """Where the target stands, in a word."""
    return REMOVED if known.removed else f"{known.grade}级"


def show(loop: Loop) -> None:
    """Put the loop where an operator looks: search attributes and current details."""
    known, waits = loop.known, loop.known.HasField("review")
    workflow.upsert_search_attributes(
        [
            sa.STAGE.value_set(stage(known)),
            sa.WAITING_FOR.value_set(REVIEW if waits else NOBODY),
            sa.ENTERPRISE.value_set(loop.target.removeprefix("targets/")),
            sa.DISTRICT.value_set(known.district),
            # Its last second: the instant itself is the next day's midnight in Shanghai.
            sa.DUE.value_set(known.review.due_time.ToDatetime(UTC) - SECOND)
            if waits
            else sa.DUE.value_unset(),
        ]
    )
    workflow.set_current_details(details(loop))


def details(loop: Loop) -> str:
    """The loop in Markdown."""
    known = loop.known
    uscc = loop.target.removeprefix("targets/")
    lines = [
        f"### {known.display_name}",
        f"`{uscc}` · {known.district}",
        "",
        f"- 分级：**{stage(known)}**，{known.score} 分",
    ]
    if known.HasField("review"):
        last = day_text(known.review.due_date)
        lines.append(f"- 记分有效至 **{last}**，次日复评，{known.review.rule.citation}")
    return "\n".join([*lines, *troubles(loop)])


def _take_grade(known: Standing, grading: pb.Grading) -> None:
    known.grade, known.score = grading.grade, grading.score
    known.ClearField("review")
    if grading.HasField("review"):
        known.review.CopyFrom(grading.review)
        # How it was counted is in the log; the loop only waits for it.
        known.review.ClearField("steps")
