"""How a verdict looks: a tone, a sign of its own beside the colour, and whether more may be told. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import code_service_pb2 as pb
from bihuan.inspection.v1 import inspection_pb2
from page.texts import ENDED, KINDS, VERDICTS, Texts
from rules import SHANGHAI

MOMENT = timedelta(microseconds=1)


class Look(NamedTuple):
    """tone: a class of the style sheet; sign: what the macro of the templates draws."""

    tone: str
    sign: str


LOOKS: Mapping[int, Look] = {
    pb.VERDICT_GENUINE: Look("good", "check"),
    pb.VERDICT_USED: Look("under-way", "play"),
    pb.VERDICT_EARLY: Look("early", "clock"),
    pb.VERDICT_EXPIRED: Look("over", "hourglass"),
    pb.VERDICT_REVOKED: Look("over", "ban"),
    pb.VERDICT_OTHER_ENTERPRISE: Look("bad", "other"),
    pb.VERDICT_FORGED: Look("bad", "cross"),
}
OVER = Look("over", "hourglass")
REPORTED = frozenset({inspection_pb2.STATE_REPORTED, inspection_pb2.STATE_CLOSED})


class Shown(NamedTuple):
    """A verification as the page shows it."""

    found: pb.CodeVerification
    look: Look
    title: str
    text: str
    advice: str
    kind: str
    when: str
    began: str
    conduct: list[str]


def shown(found: pb.CodeVerification, t: Texts, language: str) -> Shown:
    """What is shown of it; a verdict that this page does not know counts as forged."""
    verdict = found.verdict if found.verdict in LOOKS else pb.VERDICT_FORGED
    title, text, advice = VERDICTS[language][verdict]
    look = LOOKS[verdict]
    if verdict == pb.VERDICT_USED and found.state in REPORTED:
        (title, text, advice), look = ENDED[language], OVER
    began = found.HasField("start_time")
    return Shown(
        found,
        look,
        title,
        text,
        advice,
        KINDS[language].get(found.kind, ""),
        span(found.from_time, found.to_time, t["until"]) if found.HasField("to_time") else "",
        moment(found.start_time.ToDatetime(UTC)) if began else "",
        [part for part in found.conduct.split("；") if part],
    )


def moment(instant: datetime) -> str:
    """To the minute, in Shanghai."""
    return f"{instant.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"


def span(first: Timestamp, end: Timestamp, until: str) -> str:
    """From when until when, in Shanghai: by days where it is of whole days, the last one included."""
    start, stop = (each.ToDatetime(UTC).astimezone(SHANGHAI) for each in (first, end))
    if any((each.hour, each.minute, each.second) != (0, 0, 0) for each in (start, stop)):
        return f"{start:%Y-%m-%d %H:%M} {until} {stop:%Y-%m-%d %H:%M}"
    last = stop - MOMENT
    if start.date() == last.date():
        return f"{start:%Y-%m-%d}"
    return f"{start:%Y-%m-%d} {until} {last:%Y-%m-%d}"
