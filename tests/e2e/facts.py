"""What a scenario implies, and whether a log holds each fact of it once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.notification.v1 import notice_pb2
from bihuan.penalty.v1 import events_pb2 as penalty
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop
from ops.scenario import ACKNOWLEDGE, Case, Step
from workflows import problem_notices, problem_state
from workflows.case_loop import payloads

EVENTS = {
    "ReportProblem": "ProblemReported",
    "VerifyProblem": "ProblemVerified",
    "OrderRectification": "RectificationOrdered",
    "ExtendRectification": "RectificationExtended",
    "SubmitRectification": "RectificationSubmitted",
    "AssessProblem": "ProblemAssessed",
    "ReopenProblem": "ProblemReopened",
    "CloseProblem": "ProblemClosed",
}
REVIEWS = {"RESULT_ACCEPTED": "RectificationAccepted", "RESULT_RETURNED": "RectificationReturned"}
# What time does, rather than a person.
TIME = frozenset({"DeadlineMissed", "ProblemEscalated"})


def implied(case: Case) -> list[str]:
    """The events of the people's steps, in order."""
    return [_event(step) for step in case.steps if step.call != ACKNOWLEDGE]


def final_state(case: Case) -> str:
    return "STATE_UNFOUNDED" if len(implied(case)) == 2 else "STATE_CLOSED"


def kind(event: Event) -> str:
    """For example ProblemReported."""
    return event.payload.TypeName().rpartition(".")[2]


def check_log(events: Sequence[Event], cases: Sequence[Case]) -> None:
    """Each fact once: the whole log, from position 1."""
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    assert len({event.id for event in events}) == len(events)
    streams = _by_stream(events)
    for stream, recorded in streams.items():
        assert [event.version for event in recorded] == list(range(1, len(recorded) + 1)), stream
    problems = [of for stream, of in streams.items() if "problem-" in stream]
    assert len(problems) == len(cases)
    by_title = {case.steps[0].arguments["title"]: case for case in cases}
    for recorded in problems:
        reported = ev.ProblemReported.FromString(recorded[0].payload.value)
        kinds = [kind(event) for event in recorded]
        assert [each for each in kinds if each not in TIME] == implied(by_title[reported.title])
    for stream, recorded in streams.items():
        if "notice-" in stream:
            assert len({kind(event) for event in recorded}) == len(recorded), stream
    _check_notices([event for event in events if kind(event) == "NoticeSent"], problems)


def _check_notices(sent: Sequence[Event], problems: Sequence[Sequence[Event]]) -> None:
    """What the events call for was sent, once for each event and recipient, and nothing else."""
    wanted: Counter[tuple[object, ...]] = Counter()
    remind_times: dict[str, int] = {}
    for recorded in problems:
        loop = ProblemLoop(problem=f"problems/{recorded[0].correlation_id}")
        rungs: Counter[tuple[int, int]] = Counter()
        for event in recorded:
            [message] = payloads(event, problem_state.EVENTS)
            if isinstance(message, ev.DeadlineMissed):
                open_ = {id_ for day in loop.next_step.open_deadlines for id_ in day.deadline_ids}
                assert set(message.deadline_ids) <= open_, f"missed twice: {event}"
            problem_state.fold(loop, [message])
            if isinstance(message, ev.ProblemEscalated):
                rungs[loop.round, message.escalation.level] += 1
            drafts = problem_notices.on_event(loop, message)
            wanted.update(_key(event.id, draft) for draft in drafts)
            days = loop.next_step.open_deadlines
            remind_times[event.id] = sum(len(day.remind_times) for day in days)
        assert all(count == 1 for count in rungs.values()), rungs
    messages = [
        (event.causation_id, notice_pb2.NoticeSent.FromString(event.payload.value))
        for event in sent
    ]
    told = Counter(_key(cause, notice) for cause, notice in messages if not _reminds(notice))
    assert told == wanted
    reminders = Counter(cause for cause, notice in messages if _reminds(notice))
    for cause, count in reminders.items():
        assert count <= remind_times[cause], f"{count} reminders after event {cause}"


def _event(step: Step) -> str:
    if step.call == "ReviewRectification":
        return REVIEWS[step.arguments["result"]]
    return EVENTS[step.call]


def _by_stream(events: Iterable[Event]) -> dict[str, list[Event]]:
    streams = defaultdict(list)
    for event in events:
        streams[event.stream].append(event)
    return streams


def _key(
    cause: str, notice: notice_pb2.SendNoticeRequest | notice_pb2.NoticeSent
) -> tuple[object, ...]:
    return cause, notice.recipient, notice.kind, notice.subject, notice.title, notice.body


def _reminds(notice: notice_pb2.NoticeSent) -> bool:
    return notice.kind == notice_pb2.NOTICE_KIND_REMINDER


# What a penalty case records for each call, where it is not the same word in the past tense.
FINES = {
    "RegisterClue": "ClueRegistered",
    "FileCase": "CaseFiled",
    "AddEvidence": "EvidenceAdded",
    "ConcludeInvestigation": "InvestigationConcluded",
    "ServeNotice": "NoticeServed",
    "WaiveRights": "RightsWaived",
    "DecideCase": "CaseDecided",
    "ServeDecision": "DecisionServed",
    "PublishDecision": "DecisionPublished",
    "ApplyForPlan": "PlanApplied",
    "GrantPlan": "PlanGranted",
    "RecordPayment": "PaymentRecorded",
    "ReduceSurcharge": "SurchargeReduced",
    "CloseCase": "CaseClosed",
}


def check_fines(events: Sequence[Event], cases: Sequence[Case]) -> None:
    """Each fact of penalty cases once: what people did, each deadline that passed, each notice."""
    streams = {of: found for of, found in _by_stream(events).items() if "penalty.case-" in of}
    assert len(streams) == len(cases)
    wanted = Counter(tuple(FINES[step.call] for step in case.steps) for case in cases)
    by_people = [[kind(event) for event in recorded] for recorded in streams.values()]
    assert wanted == Counter(
        tuple(each for each in kinds if each != "DeadlinePassed") for kinds in by_people
    )
    for recorded in streams.values():
        passed = [
            penalty.DeadlinePassed.FromString(event.payload.value).deadline.deadline.id
            for event in recorded
            if kind(event) == "DeadlinePassed"
        ]
        assert len(set(passed)) == len(passed), "recorded twice"
    notices = [
        (event.causation_id, notice_pb2.NoticeSent.FromString(event.payload.value))
        for event in events
        if kind(event) == "NoticeSent"
    ]
    # Of one deadline several days are reminded of in the same words, but none twice.
    told = Counter(
        (*_key(cause, notice), _reminds(notice) and notice.send_time.ToJsonString()[:10])
        for cause, notice in notices
    )
    assert set(told.values()) == {1}, [key for key, count in told.items() if count > 1]
