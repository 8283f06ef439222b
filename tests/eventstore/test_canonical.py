"""The bytes that stand for an event in the Merkle tree: one form for each event, for ever."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import RecordedEvent
from eventstore.canonical import encode, parse

UUIDS = st.uuids()
EVENTS = st.builds(
    RecordedEvent,
    id=UUIDS,
    stream=st.text(),
    version=st.integers(1, 2**31 - 1),
    type=st.text(),
    data=st.binary(),
    actor=st.text(),
    correlation_id=UUIDS,
    causation_id=st.none() | UUIDS,
    request_id=st.none() | UUIDS,
    traceparent=st.text(max_size=60),
    recorded_at=st.datetimes(timezones=st.just(UTC)),
    position=st.none(),
)
EVENT = RecordedEvent(
    id=UUID("01999999-0000-7000-8000-000000000001"),
    stream="shop.order-1",
    version=258,
    type="shop.v1.Placed",
    data=b"\x08\x01",
    actor="王",
    correlation_id=UUID(int=1),
    causation_id=None,
    request_id=UUID(int=3),
    traceparent="00-trace-span-01",
    recorded_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    position=9,
)
RECORDED = (
    b"bihuan.event.v1\n"
    b"\0\0\0\x10\x01\x99\x99\x99\0\0\x70\0\x80\0\0\0\0\0\0\x01"
    b"\0\0\0\x0cshop.order-1"
    b"\0\0\0\x04\0\0\x01\x02"
    b"\0\0\0\x0eshop.v1.Placed"
    b"\0\0\0\x08\0\x06\x47\x5e\xf6\x57\x4f\x35"
    b"\0\0\0\x03\xe7\x8e\x8b"
    b"\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
    b"\0\0\0\0"
    b"\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03"
    b"\0\0\0\x1000-trace-span-01"
    b"\0\0\0\x02\x08\x01"
)


def test_the_form_is_the_one_that_was_published() -> None:
    assert encode(EVENT) == RECORDED


@given(EVENTS)
def test_an_event_comes_back_from_its_bytes(event: RecordedEvent) -> None:
    assert parse(encode(event)) == event


def test_text_cannot_move_from_one_field_into_its_neighbour() -> None:
    moved = EVENT._replace(stream=EVENT.stream[:-1], type=EVENT.stream[-1] + EVENT.type)
    assert encode(moved) != encode(EVENT)


def test_the_position_and_the_time_zone_do_not_change_the_bytes() -> None:
    shanghai = EVENT.recorded_at.astimezone(timezone(timedelta(hours=8)))
    assert encode(EVENT._replace(position=None, recorded_at=shanghai)) == RECORDED


def test_an_instant_before_1970_comes_back() -> None:
    event = EVENT._replace(recorded_at=datetime(1969, 12, 31, 23, 59, 59, 999999, UTC))
    assert parse(encode(event)).recorded_at == event.recorded_at


def test_an_instant_without_time_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        encode(EVENT._replace(recorded_at=datetime(2026, 1, 2)))


@given(EVENTS, st.data())
def test_bytes_that_are_changed_are_refused_or_another_event(
    event: RecordedEvent, data: st.DataObject
) -> None:
    content = bytearray(encode(event))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        changed = parse(bytes(content))
    except ValueError:
        return
    assert changed != event
    assert encode(changed) == content


@pytest.mark.parametrize("cut", range(len(RECORDED)))
def test_a_beginning_alone_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match=r"begin|ends within"):
        parse(RECORDED[:cut])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not begin"),
        (RECORDED.replace(b".v1\n", b".v2\n"), "does not begin"),
        (RECORDED + b"\0", "1 bytes follow"),
        (RECORDED.replace(b"\0\0\0\x0cshop", b"\xff\xff\xff\xffshop"), "ends within stream"),
        (RECORDED.replace(b"\0\0\0\x04\0\0\x01", b"\0\0\0\x03\0\x01"), "version has 3 bytes"),
        (RECORDED.replace(b"\0\0\0\0\0\0\0\x10", b"\0\0\0\x01\0\0\0\0\x10"), "causation_id has 1"),
        (RECORDED.replace(b"\xe7\x8e\x8b", b"\xe7\x8e\x41"), "utf-8"),
        (RECORDED.replace(b"\0\x06\x47", b"\x7f\x06\x47"), "is no date"),
    ],
)
def test_what_no_event_encodes_to_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(content)
