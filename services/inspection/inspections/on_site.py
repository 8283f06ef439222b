"""What happens on site: the start by a code, and what is noted there. Pure.

Devices are offline more often than not: starts and entries arrive late, again and in any order, so each is
judged by the device's clock and by itself, never by what else has arrived.
"""

from collections.abc import Sequence
from datetime import UTC, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import roster_pb2
from rpc.errors import StatusError, invalid_argument
from rules import SHANGHAI, legal_date
from services.inspection.inspections.evolve import Event
from services.inspection.inspections.participation import require_enough
from services.inspection.inspections.proceeding import Proceeding
from services.inspection.roster.eligibility import eligible

# Networks set the clocks of phones to the second; one that was set by hand may be some minutes ahead.
SKEW = timedelta(minutes=5)
# Given by the service, so no part of what a device says.
GIVEN = ("inspector", "receive_time")


def start(p: Proceeding, command: rpc_pb.StartInspectionRequest) -> list[Event]:
    """The visit begins, by its last code, at its enterprise, by one of its inspectors, in the code's time.

    The same start again is no event; another with the same code is refused: a code opens one visit.
    """
    code = _code(p, command)
    if command.enterprise != p.inspection.enterprise.uscc:
        raise p.refuse(
            "CODE_OF_ANOTHER_ENTERPRISE",
            f"code {code.id} is not for the enterprise that was scanned",
            code=code.id,
        )
    if p.inspection.HasField("start"):
        if _same(p.inspection.start, command):
            return []
        raise _used(p, code)
    department = _department_of(p)
    _require_time(p, code, command.device_time, "device_time")
    _require_able(p, department, command.device_time)
    day = legal_date(command.device_time.ToDatetime(UTC))
    results = [p.open(pb.DUTY_RESULT, each.department, day) for each in p.going]
    occurrence = p.occurrence(pb.STATE_UNDER_WAY, opens=results, closes=p.ids(pb.DUTY_VISIT))
    begun = pb.Start(
        code=code.id,
        inspector=p.actor,
        device_time=command.device_time,
        receive_time=p.time,
        device=command.device,
    )
    return [ev.InspectionStarted(occurrence=occurrence, start=begun)]


def record_entries(p: Proceeding, command: rpc_pb.RecordEntriesRequest) -> list[Event]:
    """Entries of a department's checklist, and the findings that they are; without those that came before.

    An entry is known by its id: with the same content it is no event, with another it is refused. What was
    noted before the department recorded its result is taken afterwards, too; a finding that comes after the
    report still goes to whoever follows it up.
    """
    participant = p.participant(command.department)
    require_going(p, participant)
    fresh = _fresh(p, participant, command.entries)
    for index, entry in fresh:
        _require_valid(p, participant, entry, f"entries[{index}]")
    if not fresh:
        return []
    entries = [_received(p, entry) for _, entry in fresh]
    findings = _findings(p, command.department, entries)
    return [
        ev.EntriesRecorded(
            occurrence=_occurrence(p, findings),
            department=command.department,
            entries=entries,
            findings=findings,
        )
    ]


def to_hand_over(finding: pb.Finding) -> bool:
    """Whether it still has to go to whoever follows it up. One put right on the spot goes nowhere."""
    return finding.outcome != pb.OUTCOME_GUIDED and not finding.handed_over_to


def require_going(p: Proceeding, participant: pb.Participant) -> None:
    """FAILED_PRECONDITION unless the department takes part and has something to look at."""
    if participant not in p.going:
        raise p.refuse(
            "DEPARTMENT_DOES_NOT_GO",
            f"{participant.department} does not take part, or data answered all its items",
            department=participant.department,
        )


def begun(inspection: pb.Inspection) -> bool:
    """Whether something was noted on site, be it that the start itself has not arrived yet."""
    return any(each.entries for each in inspection.participants)


def require_not_begun(p: Proceeding) -> None:
    """FAILED_PRECONDITION if somebody was there: what they found must not go with the code or the visit."""
    if begun(p.inspection):
        text = (
            f"entries of {p.inspection.name} were noted on site: send its start, by the same code"
        )
        raise p.refuse("VISIT_BEGUN", text)


def _code(p: Proceeding, command: rpc_pb.StartInspectionRequest) -> pb.Code:
    """The code that was shown, if it is the one in force."""
    found = next((each for each in p.inspection.codes if each.id == command.code), None)
    if found is None:
        text = f"code {command.code} is not of {p.inspection.name}"
        raise p.refuse("CODE_OF_ANOTHER_INSPECTION", text, code=command.code)
    if found.state == pb.Code.STATE_REVOKED:
        raise _revoked(p, found, command.device_time)
    return found


def _revoked(p: Proceeding, code: pb.Code, device_time: Timestamp) -> StatusError:
    text = f"code {code.id} was revoked on {_local(code.revoke_time)}: {code.revoke_reason}"
    if device_time.ToNanoseconds() < code.revoke_time.ToNanoseconds():
        # A device's clock is no proof of when it was: whoever knew of the revocation could set it back.
        text += (
            f"; the device says that it began before, on {_local(device_time)}, but that came to be known "
            "after the revocation, and no code vouches for it any more: open an inspection on a clue, with "
            "a code on the spot and the reason"
        )
    return p.refuse("CODE_REVOKED", text, code=code.id, revoke_time=_instant(code.revoke_time))


def _same(begun: pb.Start, command: rpc_pb.StartInspectionRequest) -> bool:
    told = (command.code, command.device, command.device_time)
    return (begun.code, begun.device, begun.device_time) == told


def _used(p: Proceeding, code: pb.Code) -> StatusError:
    begun = p.inspection.start
    return p.refuse(
        "CODE_USED",
        f"code {code.id} was used on {_local(begun.device_time)} by device {begun.device}: a code opens one "
        "visit, so another start with it is not that visit",
        code=code.id,
        device=begun.device,
        device_time=_instant(begun.device_time),
    )


def _department_of(p: Proceeding) -> pb.Participant:
    """The part of the department whose inspector acts. FAILED_PRECONDITION if nobody's."""
    for participant in p.going:
        for each in participant.inspectors:
            inspector = p.known.inspectors.get(each.inspector)
            if inspector is not None and inspector.subject == p.actor:
                return participant
    text = f"{p.actor} is none of the inspectors of {p.inspection.name}"
    raise p.refuse("NOT_ITS_INSPECTOR", text, subject=p.actor)


def _require_able(p: Proceeding, participant: pb.Participant, time: Timestamp) -> None:
    """Whoever begins may still inspect, and so many of the department that it is enough: a certificate may
    have been withdrawn since the code was issued, or somebody have left.
    """
    able = 0
    for each in participant.inspectors:
        inspector = p.known.inspectors.get(each.inspector)
        why = "UNKNOWN" if inspector is None else _barred(inspector, p.inspection.enterprise, time)
        able += not why
        if why and inspector is not None and inspector.subject == p.actor:
            text = f"{inspector.display_name} cannot inspect on {_local(time)}: {why}"
            raise p.refuse(f"INSPECTOR_{why}", text, inspector=each.inspector)
    require_enough(p, participant.department, able)


def _barred(inspector: roster_pb2.Inspector, enterprise: pb.Inspected, time: Timestamp) -> str:
    """Why the inspector could not inspect at that time, as `eligible`; who left later, then could."""
    then = roster_pb2.Inspector()
    then.CopyFrom(inspector)
    if then.leave_time.ToNanoseconds() > time.ToNanoseconds():
        then.ClearField("leave_time")
    day = legal_date(time.ToDatetime(UTC))
    return eligible(then, enterprise.uscc, day, day)


def _require_time(p: Proceeding, code: pb.Code, device_time: Timestamp, field: str) -> None:
    """A time of the device within the code's, and not ahead of ours."""
    told = device_time.ToNanoseconds()
    if device_time.ToDatetime(UTC) > p.now + SKEW:
        raise p.refuse(
            "DEVICE_CLOCK_AHEAD",
            f"{field} is {_local(device_time)}, and now it is {p.now.astimezone(SHANGHAI):%Y-%m-%d %H:%M}: "
            "set the device's clock",
            field=field,
        )
    if told < code.from_time.ToNanoseconds():
        text = f"{field} is {_local(device_time)}; code {code.id} is valid from {_local(code.from_time)}"
        raise p.refuse("CODE_NOT_VALID_YET", text, code=code.id, field=field)
    if told >= code.to_time.ToNanoseconds():
        text = f"{field} is {_local(device_time)}; code {code.id} was valid until {_local(code.to_time)}"
        raise p.refuse("CODE_EXPIRED", text, code=code.id, field=field)


def _fresh(
    p: Proceeding, participant: pb.Participant, entries: Sequence[pb.Entry]
) -> list[tuple[int, pb.Entry]]:
    """Entries that did not come before, each with its place in the request."""
    said = {
        entry.id: (each.department, _content(entry))
        for each in p.inspection.participants
        for entry in each.entries
    }
    fresh = []
    for index, entry in enumerate(entries):
        this = (participant.department, _content(entry))
        if said.setdefault(entry.id, this) != this:
            raise p.refuse(
                "ENTRY_DIFFERS",
                f"entry {entry.id} came before with another content: what is put right is a new entry",
                entry=entry.id,
                department=said[entry.id][0],
            )
        if said[entry.id] is this:
            fresh.append((index, entry))
    return fresh


def _require_valid(p: Proceeding, participant: pb.Participant, entry: pb.Entry, field: str) -> None:
    items = {item.id: item for item in participant.items}
    if entry.item not in items:
        text = f"{entry.item} is no item of {participant.department} in {p.inspection.name}"
        raise p.refuse("ITEM_NOT_LISTED", text, item=entry.item, entry=entry.id)
    if answered := items[entry.item].answered_by:
        text = f"data answered {entry.item}, so nobody looks at it: {answered}"
        raise p.refuse("ITEM_ANSWERED_OFF_SITE", text, item=entry.item, entry=entry.id)
    _require_complete(entry, field)
    _require_time(p, p.inspection.codes[-1], entry.device_time, f"{field}.device_time")
    recorded = participant.result_time
    if participant.HasField("result_time") and (
        entry.device_time.ToNanoseconds() >= recorded.ToNanoseconds()
    ):
        raise p.refuse(
            "RESULT_RECORDED",
            f"entry {entry.id} was noted on {_local(entry.device_time)}, after {participant.department} "
            f"recorded its result on {_local(recorded)}",
            entry=entry.id,
            department=participant.department,
        )


def _require_complete(entry: pb.Entry, field: str) -> None:
    """What failed says what was seen, how grave it is and what it leads to; nothing else does."""
    if entry.check != pb.CHECK_FAILED:
        if entry.gravity or entry.outcome:
            wrong = "gravity" if entry.gravity else "outcome"
            raise _incomplete(field, wrong, "must be unset unless the item failed", "NOT_A_FINDING")
        return
    for name in ("note", "gravity", "outcome"):
        if not getattr(entry, name):
            raise _incomplete(field, name, "must be given where the item failed")
    if entry.outcome == pb.OUTCOME_GUIDED and not entry.guidance:
        raise _incomplete(field, "guidance", "must be given where it was put right with guidance")


def _incomplete(
    field: str, name: str, text: str, reason: str = "FINDING_INCOMPLETE"
) -> StatusError:
    return invalid_argument(reason, f"{field}.{name} {text}", [(f"{field}.{name}", text)])


def _received(p: Proceeding, entry: pb.Entry) -> pb.Entry:
    received = pb.Entry()
    received.CopyFrom(entry)
    received.inspector = p.actor
    received.receive_time.CopyFrom(p.time)
    return received


def _findings(p: Proceeding, department: str, entries: Sequence[pb.Entry]) -> list[pb.Finding]:
    failed = [entry for entry in entries if entry.check == pb.CHECK_FAILED]
    return [
        pb.Finding(
            id=str(number),
            department=department,
            entry=entry.id,
            item=entry.item,
            description=entry.note,
            gravity=entry.gravity,
            outcome=entry.outcome,
            offence=entry.offence,
        )
        for number, entry in enumerate(failed, len(p.inspection.findings) + 1)
    ]


def _occurrence(p: Proceeding, findings: Sequence[pb.Finding]) -> ev.Occurrence:
    """After the report a finding that is to be handed over takes the inspection up again."""
    reported = p.inspection.standing.state in (pb.STATE_REPORTED, pb.STATE_CLOSED)
    if not reported or not any(to_hand_over(each) for each in findings):
        return p.occurrence()
    opens = []
    if not p.ids(pb.DUTY_HANDOVER):
        opens = [p.open(pb.DUTY_HANDOVER, p.lead.department, p.today)]
    return p.occurrence(pb.STATE_REPORTED, opens=opens)


def _content(entry: pb.Entry) -> bytes:
    """What the device said."""
    said = pb.Entry()
    said.CopyFrom(entry)
    for field in GIVEN:
        said.ClearField(field)  # type: ignore[arg-type]
    return said.SerializeToString(deterministic=True)


def _local(time: Timestamp) -> str:
    try:
        return f"{time.ToDatetime(UTC).astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"
    except OverflowError:  # in Shanghai the year 10000 has begun
        return _instant(time)


def _instant(time: Timestamp) -> str:
    return time.ToJsonString()
