"""Legal time: the system's time, or for a demo a clock that makes a legal day last a second or so."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)


def legal_date(instant: datetime) -> date:
    """The legal date of an instant: the day in Asia/Shanghai."""
    return instant.astimezone(SHANGHAI).date()


@dataclass(frozen=True)
class Clock:
    """Turns real instants into legal ones and back; without a scale they are the same.

    As text: "<legal origin>@<real origin>/<real seconds of a legal day>", ISO 8601 instants, or empty.
    """

    legal_origin: datetime | None = None
    real_origin: datetime | None = None
    day_seconds: float = 86400.0

    @classmethod
    def parse(cls, text: str) -> "Clock":
        """A clock from its text. ValueError says what is wrong with it."""
        if not text:
            return cls()
        try:
            origins, _, seconds = text.partition("/")
            legal, _, real = origins.partition("@")
            clock = cls(datetime.fromisoformat(legal), datetime.fromisoformat(real), float(seconds))
        except ValueError as error:
            raise ValueError(f"clock {text!r} is not <legal>@<real>/<seconds>: {error}") from error
        if not legal_aware(clock) or not 0 < clock.day_seconds < math.inf:
            raise ValueError(
                f"clock {text!r} needs instants with offsets and finite seconds above 0"
            )
        return clock

    def __str__(self) -> str:
        if self.legal_origin is None or self.real_origin is None:
            return ""
        legal, real = self.legal_origin.isoformat(), self.real_origin.isoformat()
        return f"{legal}@{real}/{self.day_seconds!r}"

    def legal(self, real: datetime) -> datetime:
        """The legal instant (UTC) of a real one."""
        if self.legal_origin is None or self.real_origin is None:
            return real
        return (self.legal_origin + (real - self.real_origin) * self._speed()).astimezone(UTC)

    def real(self, legal: datetime) -> datetime:
        """The real instant (UTC) of a legal one."""
        if self.legal_origin is None or self.real_origin is None:
            return legal
        return (self.real_origin + (legal - self.legal_origin) / self._speed()).astimezone(UTC)

    def now(self) -> datetime:
        """The legal instant it is now (UTC)."""
        return self.legal(datetime.now(UTC))

    def _speed(self) -> float:
        return DAY.total_seconds() / self.day_seconds


def legal_aware(clock: Clock) -> bool:
    """Whether both origins say their offset from UTC."""
    return all(
        origin is not None and origin.tzinfo is not None
        for origin in (clock.legal_origin, clock.real_origin)
    )
