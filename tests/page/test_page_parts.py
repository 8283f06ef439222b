"""What the page reckons by itself: addresses, credit codes, words, spans of time."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from bihuan.inspection.v1 import code_service_pb2 as code_pb
from bihuan.inspection.v1 import inspection_pb2
from bihuan.inspection.v1 import statistics_service_pb2 as statistics_pb
from page import addresses, codes
from page.charts import counts, tiles
from page.texts import CHINESE, ENGLISH
from page.verdicts import shown, span

TRUSTED = addresses.networks("10.0.0.0/8, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # nobody we trust said so
        ("10.1.1.1", "198.51.100.1", "198.51.100.1"),
        ("10.1.1.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # what came before is made up
        ("10.1.1.1", "198.51.100.1, 10.2.2.2", "198.51.100.1"),
        ("10.1.1.1", "198.51.100.1, nonsense", "10.1.1.1"),
        ("10.1.1.1", "10.3.3.3, 10.2.2.2", "10.1.1.1"),
        ("10.1.1.1", "", "10.1.1.1"),
        ("2001:db8:1:2:3::4", "", "2001:db8:1:2::/64"),
        ("fd00::1", "2001:db8:1:2:9::9", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "", "203.0.113.9"),
        ("", "", ""),
        ("unix", "1.1.1.1", "unix"),
    ],
)
def test_whose_request_it_is(peer: str, forwarded: str, counted: str) -> None:
    assert addresses.client(peer, forwarded, TRUSTED) == counted


def test_a_network_that_is_none_is_named() -> None:
    assert addresses.networks("") == ()
    with pytest.raises(ValueError, match="nonsense"):
        addresses.networks("10.0.0.0/8,nonsense")


@pytest.mark.parametrize("code", ["91130200699229617X", "11441900MB2C90178X", "91350100M000100Y43"])
def test_a_credit_code_is_known_by_its_check_character(code: str) -> None:
    assert codes.credit_code(f" {code[:4].lower()} {code[4:]}") == code
    for at in range(18):
        wrong = code[:at] + ("A" if code[at] != "A" else "B") + code[at + 1 :]
        with pytest.raises(ValueError, match=r"credit code|check character"):
            codes.credit_code(wrong)


@given(st.text(max_size=300))
def test_whatever_is_typed_becomes_a_code_that_fits_or_nothing(text: str) -> None:
    code, _ = codes.code(text)
    assert len(code) <= codes.MOST_CHARACTERS
    assert code == "" or (code.isascii() and code.isalnum())


@given(st.dictionaries(st.text(), st.integers(0, 10**9)))
def test_bars_are_as_long_as_their_counts(of: dict[str, int]) -> None:
    bars = counts(of)
    assert all(0 <= bar.width <= 100 for bar in bars)
    assert not any(of.values()) or max(bar.width for bar in bars) == 100


@pytest.mark.parametrize(
    ("state", "title"),
    [
        (inspection_pb2.STATE_UNDER_WAY, "Genuine, inspection under way"),
        (inspection_pb2.STATE_RECORDED, "Genuine, inspection under way"),
        (inspection_pb2.STATE_REPORTED, "Genuine, inspection over"),
        (inspection_pb2.STATE_CLOSED, "Genuine, inspection over"),
    ],
)
def test_a_code_shown_after_its_inspection_is_over_says_so(
    state: inspection_pb2.State.ValueType, title: str
) -> None:
    found = code_pb.CodeVerification(verdict=code_pb.VERDICT_USED, state=state)
    assert shown(found, ENGLISH, "en").title == title


def test_without_a_year_before_no_figure_of_it_is_told() -> None:
    found = statistics_pb.Statistics()
    found.figures.frequency.enterprise_count = 2
    assert tiles(found, CHINESE)[2].note == "2 家企业被检查；上年无数据"
    found.before.frequency.mean = 1.5
    assert tiles(found, CHINESE)[2].note == "2 家企业被检查；上年平均 1.50 次"


def test_both_languages_say_everything() -> None:
    assert set(CHINESE) == set(ENGLISH)
    for key, text in CHINESE.items():
        names = {part.partition("}")[0] for part in text.split("{")[1:]}
        assert names == {part.partition("}")[0] for part in ENGLISH[key].split("{")[1:]}, key


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        ((0, 72), "2026-09-07 至 2026-09-09"),
        ((0, 24), "2026-09-07"),
        ((9, 12), "2026-09-07 09:00 至 2026-09-07 12:00"),
    ],
)
def test_whole_days_are_told_as_days_the_last_included(hours: tuple[int, int], text: str) -> None:
    times = []
    for hour in hours:
        instant = Timestamp()
        instant.FromDatetime(datetime(2026, 9, 6, 16, tzinfo=UTC) + timedelta(hours=hour))
        times.append(instant)
    assert span(*times, "至") == text
