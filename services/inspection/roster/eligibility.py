"""Whether an inspector may inspect an enterprise, and if not, why. Pure."""

from datetime import date

from bihuan.inspection.v1 import roster_pb2 as pb
from rules import as_date
from rules.clock import DAY

LEFT, NO_CERTIFICATE, RECUSED, ABSENT = "LEFT", "NO_CERTIFICATE", "RECUSED", "ABSENT"
# The same in words.
REASONS = {
    LEFT: "has left the department",
    NO_CERTIFICATE: "has no certificate that is valid on each of these days",
    RECUSED: "must keep away from the enterprise",
    ABSENT: "is away",
}


def certificate_on(inspector: pb.Inspector, day: date) -> pb.Certificate | None:
    """The certificate valid on `day` (Asia/Shanghai), of several the one that is valid longest; else None.

    Both its days count (Administrative Penalty Law art. 42: inspectors hold a certificate).
    """
    valid = [each for each in inspector.certificates if _covers(each, day)]
    return max(valid, key=lambda each: as_date(each.to_date), default=None)


def certified(inspector: pb.Inspector, first: date, last: date) -> bool:
    """Whether on each day from `first` to `last` some certificate is valid."""
    day = first
    while certificate := certificate_on(inspector, day):
        # One without an end is valid to 9999-12-31, which no day follows.
        if last <= (until := as_date(certificate.to_date)):
            return True
        day = until + DAY
    return False


def available(inspector: pb.Inspector, first: date, last: date) -> bool:
    """Whether the inspector is away on no day from `first` to `last` (Asia/Shanghai, both included)."""
    return not any(
        as_date(each.from_date) <= last and first <= as_date(each.to_date)
        for each in inspector.absences
    )


def recused(inspector: pb.Inspector, uscc: str) -> bool:
    """Whether the inspector must keep away from the enterprise (Administrative Penalty Law art. 43)."""
    return any(each.enterprise == uscc for each in inspector.recusals)


def eligible(inspector: pb.Inspector, uscc: str, first: date, last: date) -> str:
    """Empty if the inspector may inspect the enterprise on every day from `first` to `last`; else the stable
    reason: LEFT, NO_CERTIFICATE, RECUSED or ABSENT, the first that holds.
    """
    if inspector.HasField("leave_time"):
        return LEFT
    if not certified(inspector, first, last):
        return NO_CERTIFICATE
    if recused(inspector, uscc):
        return RECUSED
    return "" if available(inspector, first, last) else ABSENT


def _covers(certificate: pb.Certificate, day: date) -> bool:
    return as_date(certificate.from_date) <= day <= as_date(certificate.to_date)
