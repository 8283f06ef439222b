"""Requests are refused by naming the field at fault."""

import pytest
from echo_service import echo_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from bihuan.inspection.v1 import inspection_service_pb2
from bihuan.inspection.v1.roster_service_pb2 import RegisterDepartmentRequest
from rpc.errors import StatusError
from rpc.messages import find_not_utf8, parse

EchoRequest = echo_pb2.EchoRequest
Item = echo_pb2.Item
MARK = "@@@@"
BAD = b"\xff\xfe\xfd\xfc"

PLACES = {
    "title": EchoRequest(title=MARK),
    "act": EchoRequest(title="x", act=MARK),
    "items[0].title": EchoRequest(items=[Item(title=MARK)]),
    "items[2].title": EchoRequest(title="x", items=[Item(), Item(title="好"), Item(title=MARK)]),
    "items[1].part.part.title": EchoRequest(items=[Item(), Item(part=Item(part=Item(title=MARK)))]),
    "labels[0].key": EchoRequest(labels={MARK: Item()}),
    "labels[0].value.title": EchoRequest(labels={"k": Item(title=MARK)}),
}


def spoilt(message: EchoRequest) -> bytes:
    return message.SerializeToString().replace(MARK.encode(), BAD)


def refusal(data: bytes) -> StatusError:
    with pytest.raises(StatusError) as refused:
        parse(EchoRequest, data)
    return refused.value


@pytest.mark.parametrize("path", PLACES)
def test_text_that_is_not_utf8_is_refused_by_the_name_of_its_field(path):
    error = refusal(spoilt(PLACES[path]))
    assert (error.reason, error.violations) == ("NOT_UTF8", ((path, "must be UTF-8 text"),))


@given(st.lists(st.text(max_size=3)), st.integers(0, 5), st.binary(max_size=8))
def test_the_search_finds_the_bad_text_wherever_it_lies(titles, depth, padding):
    deep = Item(title=MARK)
    for _ in range(depth):
        deep = Item(title="fine", part=deep)
    titles = [title.replace("@", "") for title in titles]
    items = [*(Item(title=title) for title in titles), deep]
    data = spoilt(EchoRequest(title="x", items=items, padding=padding))
    expected = f"items[{len(titles)}]." + "part." * depth + "title"
    assert find_not_utf8(EchoRequest.DESCRIPTOR, data) == expected


def test_an_enum_that_must_be_stated_is_refused_with_the_values_there_are():
    request = RegisterDepartmentRequest(profile={"display_name": "扬州市生态环境局"})
    with pytest.raises(StatusError) as refused:
        parse(RegisterDepartmentRequest, request.SerializeToString())
    told = dict(refused.value.violations)["profile.power"]
    assert told == "must be one of POWER_STATUTORY, POWER_AUTHORISED, POWER_ENTRUSTED"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_valid_request_or_an_invalid_argument(data):
    try:
        parse(EchoRequest, data)
    except StatusError as error:
        assert error.reason in {"MALFORMED_REQUEST", "NOT_UTF8", "INVALID_REQUEST"}  # noqa: PT017


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x0a\x05ab", id="cut short"),
        pytest.param(b"\xff\xff\xff\xff", id="no tag"),
        pytest.param(
            EchoRequest(items=[Item()]).SerializeToString()[:1] + b"\x02\x0a\x09", id="inner"
        ),
        pytest.param(
            spoilt(PLACES["title"]) + b"\x3a\x80\x80\x20" + bytes(1 << 19), id="too large"
        ),
    ],
)
def test_bytes_that_are_not_the_message_are_malformed(data):
    assert refusal(data).reason == "MALFORMED_REQUEST"


def test_nesting_beyond_what_protobuf_reads_is_malformed():
    data = b""
    for _ in range(2000):
        size = len(data)
        length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
        data = b"\x12" + length + data
    with pytest.raises(StatusError) as refused:
        parse(Item, data)
    assert refused.value.reason == "MALFORMED_REQUEST"


@pytest.mark.parametrize(
    ("request_", "paths"),
    [
        (EchoRequest(), ["title"]),
        (EchoRequest(title="x" * 41), ["title"]),
        (EchoRequest(title="x", uscc="91150203MA0N1234X1"), ["uscc"]),
        (EchoRequest(title="x", severity=9), ["severity"]),
        (
            EchoRequest(
                title="x", items=[Item(), Item(title="123456"), Item(part=Item(title="123456"))]
            ),
            ["items[1].title", "items[2].part.title"],
        ),
        (EchoRequest(title="x", labels={"k": Item(title="123456")}), ['labels["k"].title']),
        (EchoRequest(severity=9), ["title", "severity"]),
    ],
)
def test_broken_rules_are_told_by_the_path_of_each_field(request_, paths):
    error = refusal(request_.SerializeToString())
    assert error.reason == "INVALID_REQUEST"
    assert [path for path, _ in error.violations] == paths
    assert all(description for _, description in error.violations)
    assert error.message.startswith(f"{paths[0]}: ")


def test_fields_unknown_here_are_left_out_wherever_they_are():
    unknown = b"\xfa\x01\x05hello"  # field 31
    part = EchoRequest(title="x", items=[Item(part=Item())], labels={"k": Item()})
    for message in (part.items[0].part, part.items[0], part.labels["k"], part):
        message.MergeFromString(unknown)
    data = part.SerializeToString()
    assert data.count(b"hello") == 4
    expected = EchoRequest(title="x", items=[Item(part=Item())], labels={"k": Item()})
    assert parse(EchoRequest, data).SerializeToString() == expected.SerializeToString()


def test_a_credit_code_with_the_right_check_character_is_valid():
    assert parse(EchoRequest, EchoRequest(title="x", uscc="91350100M000100Y43").SerializeToString())


def test_what_the_message_leaves_out_is_counted_in_it():
    items = [Item(title="123456")] * 5
    error = refusal(EchoRequest(title="x", items=items).SerializeToString())
    assert error.message.count("items[") == 3
    assert error.message.endswith("; and 2 more")
    assert len(error.violations) == 5


NUL = "a\0b"
WITH_NUL = {
    "title": EchoRequest(title=NUL),
    "items[1].title": EchoRequest(title="x", items=[Item(title="x"), Item(title=NUL)]),
    "items[0].part.part.title": EchoRequest(
        title="x", items=[Item(title="x", part=Item(title="x", part=Item(title=NUL)))]
    ),
    'labels["k"].title': EchoRequest(title="x", labels={"k": Item(title=NUL)}),
    "labels": EchoRequest(title="x", labels={NUL: Item(title="x")}),
}


@pytest.mark.parametrize("path", WITH_NUL)
def test_text_that_no_database_takes_is_refused_by_the_name_of_its_field(path):
    told = dict(refusal(WITH_NUL[path].SerializeToString()).violations)
    assert told[path] == "must have no NUL in it"


@pytest.mark.parametrize(
    "instant",
    [Timestamp(seconds=253_402_300_800), Timestamp(seconds=-(2**62)), Timestamp(nanos=-1)],
)
def test_an_instant_that_is_none_is_refused_by_the_name_of_its_field(instant):
    request = inspection_service_pb2.ListInspectionsRequest()
    request.filter.due_before.CopyFrom(instant)
    with pytest.raises(StatusError) as refused:
        parse(type(request), request.SerializeToString())
    assert [path for path, _ in refused.value.violations] == ["filter.due_before"]
