"""What the loop of a plan of inspections knows of it, folded from events, and how an operator sees it."""

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import get_args

from google.protobuf.message import Message
from temporalio import workflow

from bihuan.inspection.v1 import plan_events_pb2 as ev
from bihuan.inspection.v1 import plan_pb2 as pb
from bihuan.inspection.v1.plan_loop_pb2 import PlanKnown as Known
from bihuan.inspection.v1.plan_loop_pb2 import PlanLoop as Loop
from rules.clock import legal_date
from services.inspection.plans.evolve import Event
from workflows import search_attributes as sa
from workflows.alarms import REMIND, Alarm, date_text, of_deadline
from workflows.operator_view import day_text, troubles

EVENTS: tuple[type[Message], ...] = get_args(Event)
SECOND = timedelta(seconds=1)
ENDED = frozenset({pb.PLAN_STATE_PUBLISHED, pb.PLAN_STATE_WITHDRAWN})
STAGES = {
    pb.PLAN_STATE_UNSPECIFIED: "未知",
    pb.PLAN_STATE_DRAFT: "计划编制",
    pb.PLAN_STATE_SUBMITTED: "计划待审批",
    pb.PLAN_STATE_RETURNED: "计划已退回",
    pb.PLAN_STATE_APPROVED: "计划待公布",
    pb.PLAN_STATE_PUBLISHED: "计划已公布",
    pb.PLAN_STATE_WITHDRAWN: "计划已撤销",
}
NOBODY, PLANNER, DECIDER = "无", "计划部门", "审批人"
WAITS_FOR = {
    pb.PLAN_STATE_DRAFT: PLANNER,
    pb.PLAN_STATE_SUBMITTED: DECIDER,
    pb.PLAN_STATE_RETURNED: PLANNER,
    pb.PLAN_STATE_APPROVED: PLANNER,
}
DUTIES = {
    pb.PLAN_STATE_SUBMITTED: "审批检查计划",
    pb.PLAN_STATE_APPROVED: "公布检查计划",
}


def known_of(plan: pb.Plan) -> Known:
    """What the loop needs to know of a plan."""
    known = Known(
        name=plan.name,
        version=int(plan.etag),
        title=plan.title,
        department=plan.department,
        district=plan.district,
        kind=plan.kind,
        year=plan.year,
    )
    standing = ev.PlanStanding(state=plan.state, overdue=plan.overdue)
    if plan.HasField("deadline"):
        standing.deadline.CopyFrom(plan.deadline)
    _take(known, standing)
    return known


def fold(loop: Loop, messages: Sequence[Message]) -> None:
    """Take an event into `loop`, in place."""
    known = loop.known
    for message in messages:
        if isinstance(message, ev.PlanCreated):
            known.name, known.title = message.name, message.title
            known.department, known.district = message.department, message.district
            known.kind, known.year = message.kind, message.year
        _take(known, occurrence(message).standing)


def occurrence(message: Message) -> ev.PlanOccurrence:
    """What every event says."""
    found: ev.PlanOccurrence = message.occurrence  # type: ignore[attr-defined]
    return found


def alarms(known: Known) -> list[Alarm]:
    """Of the deadline that runs its reminders and its end; nothing once it was missed."""
    standing = known.standing
    if standing.overdue or not standing.HasField("deadline"):
        return []
    deadline = standing.deadline
    day = f"{deadline.id}/{date_text(deadline.due_date)}"
    return list(of_deadline(deadline, deadline.id, day))


def alarm_summary(loop: Loop, alarm: Alarm) -> str:
    """What a timer waits for, in a line."""
    what = "提醒" if alarm.kind == REMIND else "到期"
    again = "再报" if any(each.alarm == alarm.key for each in loop.put_off) else ""
    return f"{again}{what} {DUTIES[loop.known.standing.state]} {legal_date(alarm.at)}"


def show(loop: Loop) -> None:
    """Put the loop where an operator looks: search attributes and current details."""
    known, standing = loop.known, loop.known.standing
    runs = bool(alarms(known))
    workflow.upsert_search_attributes(
        [
            sa.STAGE.value_set(STAGES[standing.state]),
            sa.WAITING_FOR.value_set(WAITS_FOR.get(standing.state, NOBODY)),
            sa.DISTRICT.value_set(known.district),
            sa.OVERDUE.value_set(standing.overdue),
            # Its last second: the instant itself is the next day's midnight in Shanghai.
            sa.DUE.value_set(standing.deadline.due_time.ToDatetime(UTC) - SECOND)
            if runs
            else sa.DUE.value_unset(),
        ]
    )
    workflow.set_current_details(details(loop))


def details(loop: Loop) -> str:
    """The loop in Markdown."""
    known, standing = loop.known, loop.known.standing
    lines = [
        f"### {known.title}",
        f"{known.year}年 · {known.district} · `{known.department}` · `{loop.plan}`",
        "",
        f"- 阶段：**{STAGES[standing.state]}**",
        f"- 等待：**{WAITS_FOR.get(standing.state, NOBODY)}**",
    ]
    if standing.HasField("deadline"):
        due = standing.deadline
        provisional = "（暂定，待次年节假日安排）" if due.provisional else ""
        late = "**已逾期**，" if standing.overdue else ""
        day = day_text(due.due_date)
        what = DUTIES[standing.state]
        lines.append(f"- {what}：{late}**{day}**{provisional}，{due.rule.citation}")
    lines.append(f"- 提醒 {loop.reminder_count} 次")
    return "\n".join([*lines, *troubles(loop)])


def _take(known: Known, standing: ev.PlanStanding) -> None:
    known.standing.CopyFrom(standing)
    # How it was counted is in the log; the loop only waits for it.
    if standing.HasField("deadline"):
        known.standing.deadline.ClearField("steps")
