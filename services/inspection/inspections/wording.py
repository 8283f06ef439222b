"""What people wrote, as papers take it: no text of theirs can be read as a line of the paper itself. Pure.

Papers are lines of text, and names, reasons and notes are put into them. With a line break of its own such a
text could add inspectors to a notice, or another department's conclusion to a report.
"""

from typing import Any

from google.protobuf.message import Message

from bihuan.inspection.v1 import inspection_pb2 as pb

INSET = "　　"
# Whole papers, and what was signed as it is.
AS_IT_IS = frozenset({"report", "statement"})
# Well under what an event may have (services/aggregate.py), whatever is added.
MOST_BYTES = 200 << 10
CUTS = (4000, 500, 100, 20)


def laid_out(inspection: pb.Inspection) -> pb.Inspection:
    """The inspection, every text of several lines with those after the first one set in."""
    copy = pb.Inspection()
    copy.CopyFrom(inspection)
    _lay_out(copy)
    return copy


def inset(text: str) -> str:
    """The text, each line after its first one set in. Of one that was, the same."""
    first, *others = text.splitlines() or [""]
    return "\n".join([first, *(f"{INSET}{line.removeprefix(INSET)}" for line in others)])


def cut(inspection: pb.Inspection, most: int) -> pb.Inspection:
    """The inspection, of what inspectors wrote at most so many characters each."""
    copy = pb.Inspection()
    copy.CopyFrom(inspection)
    for finding in copy.findings:
        finding.description = _first(finding.description, most)
    for participant in copy.participants:
        participant.conclusion = _first(participant.conclusion, most)
        participant.unchecked_reason = _first(participant.unchecked_reason, most)
        for entry in participant.entries:
            entry.note = _first(entry.note, most)
            entry.guidance = _first(entry.guidance, most)
    return copy


def _first(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…（详见检查记录）"


def _lay_out(message: Message) -> None:
    for field, value in message.ListFields():
        if field.message_type:
            parts: Any = value if field.is_repeated else [value]
            for part in parts:
                _lay_out(part)
        elif isinstance(value, str) and field.name not in AS_IT_IS:
            setattr(message, field.name, inset(value))
