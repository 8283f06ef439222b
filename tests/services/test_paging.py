"""Pages hold so many rows and so many bytes, cover a listing once, and begin where their token says."""

import base64
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan.notification.v1 import notice_pb2 as notice_pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from rpc.errors import StatusError
from services import paging
from tests.bureau import ENTERPRISE, Bureau, item, report
from tests.services.calls import refused, rid
from tests.services.cases import rectifying

INBOX = f"enterprises/{ENTERPRISE.uscc}"
KEY = paging.Key(datetime(2026, 3, 2, 1, 2, 3, 456789, UTC), uuid4())
REQUEST = rpc_pb.ListProblemsRequest()
TOKEN = paging.token(REQUEST, KEY)


def start(text: str) -> paging.Key | None:
    return paging.span(rpc_pb.ListProblemsRequest(page_token=text)).after


def forged(head: bytes, tail: bytes) -> str:
    """A token with the right fingerprint and another place."""
    return base64.urlsafe_b64encode(head + tail).decode()


RIGHT = base64.urlsafe_b64decode(TOKEN)[:16]


def test_a_token_leads_back_to_the_row_it_was_made_of() -> None:
    assert start(TOKEN) == KEY
    assert start("") is None


@given(
    st.one_of(
        st.text(min_size=1, max_size=500).filter(lambda text: "\0" not in text),
        st.binary(max_size=60).map(lambda tail: forged(RIGHT, tail)),
        st.integers(0, len(TOKEN) - 1).map(lambda cut: TOKEN[:cut] + "é" + TOKEN[cut:]),
    )
)
def test_any_text_is_a_place_in_the_listing_or_no_token(text: str) -> None:
    try:
        place = start(text)
    except StatusError as error:
        assert str(error).startswith("INVALID_ARGUMENT PAGE_TOKEN_INVALID")  # noqa: PT017
    else:
        assert place is not None
        assert place.time.tzinfo is UTC


@pytest.mark.parametrize(
    "micros", [0, -1, -62135596800 * 10**6, 253402300799999999], ids=["0", "-1", "year 1", "9999"]
)
async def test_a_made_up_place_is_a_place_for_the_database_too(
    open_bureau: Bureau, micros: int
) -> None:
    await open_bureau.client("reporter").problems.ReportProblem(report())
    token = forged(RIGHT, micros.to_bytes(8, "big", signed=True) + bytes(16))
    listed = await open_bureau.client("officer").problems.ListProblems(
        rpc_pb.ListProblemsRequest(page_token=token)
    )
    assert len(listed.problems) == (micros > 10**17)


@pytest.mark.parametrize(
    "key", [[], ["x", "y"], ["2026-01-01", "0"], ["0001-01-01T00:00:00+23:00"]]
)
async def test_a_token_that_is_none_is_the_callers_mistake(
    open_bureau: Bureau, key: list[str]
) -> None:
    token = base64.urlsafe_b64encode(repr(key).encode()).decode()
    officer, enterprise = open_bureau.client("officer"), open_bureau.enterprise()
    for call in (
        officer.problems.ListProblems(rpc_pb.ListProblemsRequest(page_token=token)),
        officer.problems.GetLedger(
            rpc_pb.GetLedgerRequest(enterprise=ENTERPRISE.uscc, page_token=token)
        ),
        enterprise.notices.ListNotices(
            notice_pb.ListNoticesRequest(recipient=INBOX, page_token=token)
        ),
    ):
        assert (await refused(call)).reason == "PAGE_TOKEN_INVALID"


async def pages(call: Any, request: Any, rows: str, name: str) -> list[list[str]]:
    """The names on every page of a listing, each page small enough for anybody."""
    found: list[list[str]] = []
    while not found or request.page_token:
        page = await call(request)
        assert page.ByteSize() < 4 << 20
        found.append([getattr(row, name) for row in getattr(page, rows)])
        request.page_token = page.next_page_token
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of some kilobytes, that fill sooner."""
    monkeypatch.setattr(paging, "MOST_BYTES", 30_000)


@pytest.mark.usefixtures("small")
async def test_a_page_ends_before_it_grows_too_large_and_the_next_goes_on(
    open_bureau: Bureau,
) -> None:
    reporter = open_bureau.client("reporter")
    texts = ["长" * 4000] * 5 + [""]  # 12 KB, or hardly anything
    names = [
        (await reporter.problems.ReportProblem(report(description=text))).name for text in texts
    ]
    request = rpc_pb.ListProblemsRequest(page_size=5)
    found = await pages(reporter.problems.ListProblems, request, "problems", "name")
    assert list(chain.from_iterable(found)) == names[::-1]
    assert [len(page) for page in found] == [3, 2, 1]


@pytest.mark.usefixtures("small")
async def test_an_inbox_is_cut_into_pages_by_bytes_too(open_bureau: Bureau) -> None:
    loop, enterprise = open_bureau.client("loop"), open_bureau.enterprise()
    names = []
    for _ in range(5):
        request = notice_pb.SendNoticeRequest(
            request_id=rid(),
            recipient=INBOX,
            kind=notice_pb.NOTICE_KIND_TASK,
            title="请整改",
            body="长" * 4000,
        )
        names.append((await loop.notices.SendNotice(request)).name)
    inbox = notice_pb.ListNoticesRequest(recipient=INBOX)
    found = await pages(enterprise.notices.ListNotices, inbox, "notices", "name")
    assert list(chain.from_iterable(found)) == names[::-1]
    assert [len(page) for page in found] == [2, 2, 1]


@pytest.mark.usefixtures("small")
async def test_a_ledger_is_cut_into_pages_by_the_bytes_of_its_rows(open_bureau: Bureau) -> None:
    # Each row repeats its problem's title, so a ledger is larger than its problems.
    titles = [f"{number}{'长' * 199}" for number in range(4)]
    for title in titles:
        await rectifying(open_bureau, *(item() for _ in range(10)), title=title)
    request = rpc_pb.GetLedgerRequest(enterprise=ENTERPRISE.uscc)
    found = await pages(open_bureau.client("officer").problems.GetLedger, request, "rows", "title")
    assert list(chain.from_iterable(found)) == [title for title in titles[::-1] for _ in range(10)]
    assert len(found) > 1


async def test_a_row_too_large_for_a_page_is_a_page_of_its_own(
    open_bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MOST_BYTES", 10)
    reporter = open_bureau.client("reporter")
    names = [(await reporter.problems.ReportProblem(report())).name for _ in range(3)]
    request = rpc_pb.ListProblemsRequest()
    found = await pages(reporter.problems.ListProblems, request, "problems", "name")
    assert found == [[name] for name in reversed(names)]
