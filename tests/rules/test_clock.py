"""That legal time keeps its text, turns back into real time, and is Shanghai's."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import SHANGHAI, Clock, legal_date

REAL = datetime(2026, 9, 1, 1, 30, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
INSTANTS = st.datetimes(
    datetime(2000, 1, 1), datetime(2050, 1, 1), timezones=st.sampled_from([UTC, SHANGHAI])
)
CLOCKS = st.builds(Clock, INSTANTS, INSTANTS, st.floats(0.1, 86400))


@given(CLOCKS | st.just(Clock()))
def test_a_clock_is_its_text(clock: Clock) -> None:
    assert Clock.parse(str(clock)) == clock


@given(CLOCKS | st.just(Clock()), st.timedeltas(timedelta(0), timedelta(hours=1)))
def test_a_real_instant_comes_back_within_a_microsecond(clock: Clock, later: timedelta) -> None:
    real = (clock.real_origin or REAL) + later
    assert abs(clock.real(clock.legal(real)) - real) <= MICROSECOND


def test_a_legal_day_of_the_demo_lasts_as_long_as_it_says() -> None:
    clock = Clock.parse("2026-09-01T09:00:00+08:00@2026-12-24T10:00:00+00:00/1.5")
    start = datetime(2026, 12, 24, 10, tzinfo=UTC)
    for days in (0, 1, 30):
        legal = datetime(2026, 9, 1, 1, tzinfo=UTC) + timedelta(days=days)
        assert clock.legal(start + days * timedelta(seconds=1.5)) == legal
        assert clock.real(legal) == start + days * timedelta(seconds=1.5)


def test_a_clock_without_a_scale_is_real_time() -> None:
    assert Clock.parse("").legal(REAL) == Clock.parse("").real(REAL) == REAL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("now", "is not <legal>@<real>/<seconds>"),
        ("2026-09-01T09:00:00@2026-09-01T09:00:00+08:00/1", "offsets"),
        *(
            (f"2026-09-01T09:00:00Z@2026-09-01T09:00:00Z/{seconds}", "finite seconds above 0")
            for seconds in ("0", "-1", "nan", "inf")
        ),
    ],
)
def test_a_bad_clock_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Clock.parse(text)


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2026, 9, 1, 15, 59, 59, tzinfo=UTC), date(2026, 9, 1)),
        (datetime(2026, 9, 1, 16, 0, tzinfo=UTC), date(2026, 9, 2)),
        (datetime(2026, 9, 1, 23, 59, tzinfo=SHANGHAI), date(2026, 9, 1)),
    ],
)
def test_a_legal_date_is_the_day_in_shanghai(instant: datetime, day: date) -> None:
    assert legal_date(instant) == day
