"""What a code is worth to whoever scans it, and what it then tells. Pure.

Of a code that is forged, or meant for another enterprise than the one that asks, nothing is told but that: a
code that never was issued gets the same answer, so that nobody learns more by guessing.
"""

from datetime import UTC, datetime
from typing import TypeAlias
from unicodedata import normalize

from bihuan.inspection.v1 import code_service_pb2 as code_pb
from bihuan.inspection.v1 import inspection_pb2 as pb
from rules import Rules, legal_date
from services.inspection.inspections.notice import notice_text, source_of
from services.inspection.inspections.proceeding import going
from services.inspection.inspections.signing import VERSION, Keys, genuine

Verdict: TypeAlias = code_pb.Verdict.ValueType
# Letters that are read for digits (Crockford's base 32).
MISREAD = str.maketrans({"I": "1", "L": "1", "O": "0"})
SHOWN_OF_USCC = 4  # characters at each end


def normalised(text: str) -> str:
    """A code as it was issued, from how it was typed: blanks and hyphens left out, small letters, letters
    read for digits and those of full width (as Chinese keyboards write them) put right.
    """
    wide = normalize("NFKC", text).upper()
    return "".join(each for each in wide if not each.isspace() and each != "-").translate(MISREAD)


def verdict(
    inspection: pb.Inspection | None, request: code_pb.VerifyCodeRequest, keys: Keys, now: datetime
) -> Verdict:
    """What the code is worth at `now` (UTC); `inspection` is the one it was issued for, None if none was.

    keys: those whose signatures count. Asked in this order: forged, revoked, for another enterprise, used,
    early, expired.
    """
    code = _code(inspection, request)
    if inspection is None or code is None or not _genuine(inspection, code, request, keys):
        return code_pb.VERDICT_FORGED
    if code.state == pb.Code.STATE_REVOKED:
        return code_pb.VERDICT_REVOKED
    if _of_another(inspection, request):
        return code_pb.VERDICT_OTHER_ENTERPRISE
    if code.state == pb.Code.STATE_USED:
        return code_pb.VERDICT_USED
    if now < code.from_time.ToDatetime(UTC):
        return code_pb.VERDICT_EARLY
    if now >= code.to_time.ToDatetime(UTC):
        return code_pb.VERDICT_EXPIRED
    return code_pb.VERDICT_GENUINE


def verification(
    inspection: pb.Inspection | None,
    request: code_pb.VerifyCodeRequest,
    keys: Keys,
    rules: Rules,
    now: datetime,
) -> code_pb.CodeVerification:
    """The verdict, as of `verdict`, and what whoever asks may know. `rules`: the law of the place.

    Raises UnknownRule where the place has no rule of conduct, no rule of recusal or no list of items.
    """
    found = verdict(inspection, request, keys, now)
    code = _code(inspection, request)
    silent = found in (code_pb.VERDICT_FORGED, code_pb.VERDICT_OTHER_ENTERPRISE)
    # A revoked code says that it is revoked to everybody, and whom it was for to those alone.
    if silent or inspection is None or code is None or _of_another(inspection, request):
        return code_pb.CodeVerification(verdict=found)
    used, rated = found == code_pb.VERDICT_USED, inspection.HasField("rating")
    uscc = inspection.enterprise.uscc
    hidden = "*" * (len(uscc) - 2 * SHOWN_OF_USCC)
    return code_pb.CodeVerification(
        verdict=found,
        code=code.id,
        enterprise_name=inspection.enterprise.display_name,
        enterprise_hint=uscc[:SHOWN_OF_USCC] + hidden + uscc[-SHOWN_OF_USCC:],
        kind=inspection.kind,
        basis=source_of(inspection),
        visitors=[_visitor(each) for each in going(inspection)],
        from_time=code.from_time,
        to_time=code.to_time,
        start_time=inspection.start.device_time if used else None,
        state=inspection.standing.state,
        may_rate=used and not rated,
        rated=rated,
        on_the_spot_reason=code.on_the_spot_reason,
        conduct=rules.text("inspection.conduct", legal_date(now)),
        external_code=code.external_code,
        notice=notice_text(inspection, code, rules),
    )


def _code(inspection: pb.Inspection | None, request: code_pb.VerifyCodeRequest) -> pb.Code | None:
    wanted, codes = normalised(request.code), inspection.codes if inspection else ()
    return next((each for each in codes if each.id == wanted), None)


def _genuine(
    inspection: pb.Inspection, code: pb.Code, request: code_pb.VerifyCodeRequest, keys: Keys
) -> bool:
    """Whether we signed it, for this inspection and enterprise, and it was scanned as we signed it."""
    head = f"{VERSION}\n{code.id}\n{inspection.name}\n{inspection.enterprise.uscc}\n"
    as_scanned = request.signature in ("", code.signature)
    return as_scanned and code.statement.startswith(head) and genuine(code, keys)


def _of_another(inspection: pb.Inspection, request: code_pb.VerifyCodeRequest) -> bool:
    return normalize("NFKC", request.enterprise).strip().upper() not in (
        "",
        inspection.enterprise.uscc,
    )


def _visitor(participant: pb.Participant) -> code_pb.Visitor:
    return code_pb.Visitor(
        department=participant.display_name,
        inspectors=participant.inspectors,
        items=[each.display_name for each in participant.items if not each.answered_by],
        visit_of_year=participant.visit_of_year,
    )
