"""Figures of inspections: what counts, what is no figure, and the same as counted one by one."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import plan_pb2
from bihuan.inspection.v1 import statistics_service_pb2 as rpc_pb
from eventstore import EventStore
from rules import RuleBook, Rules, WorkingCalendar
from rules.deadline import as_message
from services.inspection.inspections.evolve import evolve
from services.inspection.statistics import tally, views
from services.inspection.statistics.figures import Flag, figures, statistics
from services.inspection.statistics.service import _flags

DEPARTMENTS = [f"departments/11321000MB00{n:06}" for n in range(4)]
YEAR = 2026
MONDAY = date(2026, 3, 2)
DAY = timedelta(days=1)
FLAGS = _flags(Rules(RuleBook.load(), WorkingCalendar.load(), "321000"), date(2026, 6, 1))


def at(day: date, hour: int = 9) -> datetime:
    """That hour in Shanghai, as UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour - 8)


def inspection(
    day: date = MONDAY,
    departments: Sequence[str] = DEPARTMENTS[:1],
    *,
    began: bool = True,
    answered: int = 0,
    findings: int = 0,
    score: int = 0,
    enterprise: str = "91320400MA1X000000",
    grade: str = "A",
    kind: plan_pb2.Kind.ValueType = plan_pb2.KIND_DAILY,
) -> pb.Inspection:
    """An inspection on that day; data answer `answered` of each department's two items."""
    items = [pb.Item(id=f"i{n}", answered_by="数据" if n < answered else "") for n in range(2)]
    made = pb.Inspection(
        name=f"inspections/{uuid4()}",
        kind=kind,
        standing=pb.Standing(state=pb.STATE_UNDER_WAY if began else pb.STATE_ARRANGED),
        enterprise=pb.Inspected(uscc=enterprise, district="321002", grade=grade),
        from_date=as_message(day),
        to_date=as_message(day),
        participants=[
            pb.Participant(department=each, answer=pb.ANSWER_ACCEPTED, items=items)
            for each in departments
        ],
        findings=[pb.Finding(id=str(n + 1)) for n in range(findings)],
    )
    made.open_time.FromDatetime(at(day - 10 * DAY))
    if began:
        made.start.device_time.FromDatetime(at(day))
    if score:
        made.rating.score = score
    return made


def code(day: date, days: int = 1, **fields: object) -> pb.Code:
    made = pb.Code(id="1", state=pb.Code.STATE_ISSUED, **fields)  # type: ignore[arg-type]
    made.from_time.FromDatetime(at(day, 0))
    made.to_time.FromDatetime(at(day + days * DAY, 0))
    return made


async def counted(
    store: EventStore, *inspections: pb.Inspection, year: int = YEAR, **scope: str
) -> rpc_pb.Figures:
    async with store.engine.begin() as conn:
        if inspections:
            await tally.write(conn, inspections)
        return figures(await views.sums(conn, views.Scope(year, **scope), FLAGS), FLAGS)


async def test_a_year_without_inspections_has_no_rates_but_counts_of_zero(
    store: EventStore,
) -> None:
    found = await counted(store)
    assert found.inspection_count == found.off_site.item_count == found.ratings.count == 0
    for part, field in (
        (found.frequency, "mean"),
        (found.saving, "rate"),
        (found.off_site, "rate"),
        (found.hits, "rate"),
        (found.ratings, "mean"),
    ):
        assert not part.HasField(field)  # type: ignore[arg-type]
    assert not statistics(YEAR, found, found).HasField("reduction")


async def test_merged_departments_count_one_visit_and_what_merging_saved(store: EventStore) -> None:
    joint = inspection(departments=DEPARTMENTS[:3], findings=2, score=5)
    joint.participants[1].capped_visit_of_year = 1
    joint.participants.add(department=DEPARTMENTS[3], answer=pb.ANSWER_DECLINED)
    found = await counted(store, joint, inspection(enterprise="2", kind=plan_pb2.KIND_CASE))
    assert (found.inspection_count, found.joint_count) == (2, 1)
    assert {each.kind: each.count for each in found.kinds} == {1: 1, 2: 1}
    assert (found.saving.alone_count, found.saving.saved_count, found.saving.rate) == (4, 2, 0.5)
    assert (found.capped_count, found.all_count) == (1, 4)
    assert (found.hits.hit_count, found.hits.rate) == (1, 0.5)
    assert (found.ratings.count, found.ratings.mean) == (1, 5)
    assert list(found.ratings.distribution) == [0, 0, 0, 0, 1]
    only = await counted(store, department=DEPARTMENTS[2])
    assert (only.inspection_count, only.saving.alone_count) == (1, 3)
    assert (await counted(store, department=DEPARTMENTS[3])).inspection_count == 0


async def test_what_data_answered_is_no_visit_and_saves_one(store: EventStore) -> None:
    partly = inspection(departments=DEPARTMENTS[:2], answered=1)
    partly.participants[1].items[1].answered_by = "数据"
    nobody = inspection(began=False, answered=2)
    nobody.standing.state = pb.STATE_OFF_SITE
    waiting = inspection(began=False, answered=1)
    found = await counted(store, partly, nobody, waiting)
    assert found.inspection_count == 1
    assert found.joint_count == 0
    assert found.saving.alone_count == 1
    off_site = found.off_site
    assert (off_site.item_count, off_site.answered_count) == (6, 5)
    assert (off_site.visit_count, off_site.inspection_count) == (2, 1)


async def test_an_inspection_counts_in_the_year_and_place_in_which_it_began(
    store: EventStore,
) -> None:
    late = inspection(date(2025, 12, 31))
    late.start.device_time.FromDatetime(
        at(date(2026, 1, 1), 0)
    )  # midnight in Shanghai, 2025 in UTC
    assert (await counted(store, late)).inspection_count == 1
    for place, there in (("321000", 1), ("321002", 1), ("321003", 0), ("320000", 1), ("310000", 0)):
        assert (await counted(store, district=place)).inspection_count == there, place
    assert (await counted(store, year=2025)).inspection_count == 0


@pytest.mark.parametrize(
    ("days", "flagged"),
    [
        ((0, 0), (1, 0, 0)),
        ((0, 1), (0, 0, 0)),
        ((0, 3, 6), (0, 1, 0)),
        ((0, 3, 7), (0, 0, 0)),
        ((0, 10, 20, 29), (0, 0, 1)),
        ((0, 10, 20, 30), (0, 0, 0)),
    ],
)
async def test_enterprises_inspected_often_within_days_are_flagged(
    store: EventStore, days: tuple[int, ...], flagged: tuple[int, int, int]
) -> None:
    """成都市涉企行政检查平台: more than 1 a day, 2 a week, 3 a month."""
    found = await counted(store, *(inspection(MONDAY + day * DAY) for day in days))
    flags = found.flags
    assert (flags.day_count, flags.week_count, flags.month_count) == flagged
    assert [rule.id for rule in flags.rules] == [
        "inspection.flag_day",
        "inspection.flag_week",
        "inspection.flag_month",
    ]


async def test_codes_count_whether_the_inspection_began_or_not(store: EventStore) -> None:
    issued = inspection(began=False)
    issued.codes.extend([code(MONDAY), code(MONDAY, on_the_spot_reason="险情")])
    issued.codes[0].state = pb.Code.STATE_REVOKED
    found = (await counted(store, issued)).codes
    assert (found.issued_count, found.on_the_spot_count, found.revoked_count) == (2, 1, 1)


async def test_a_result_that_was_late_stays_counted_when_it_has_come(store: EventStore) -> None:
    late = inspection()
    event = pb.Standing(state=pb.STATE_UNDER_WAY, overdue=["result-1@20260302", "visit-1@20260302"])
    from bihuan.inspection.v1 import inspection_events_pb2 as ev

    missed = ev.DeadlinePassed(occurrence=ev.Occurrence(standing=event), missed=True)
    recorded = ev.ResultRecorded(
        occurrence=ev.Occurrence(standing=pb.Standing(state=pb.STATE_RECORDED))
    )
    late = evolve(evolve(evolve(late, missed), missed), recorded)
    assert not late.standing.overdue
    assert (await counted(store, late)).late_result_count == 1


async def test_one_row_an_inspection_however_often_it_changes(store: EventStore) -> None:
    first = inspection(began=False)
    assert (await counted(store, first)).inspection_count == 0
    first.start.device_time.FromDatetime(at(MONDAY))
    assert (await counted(store, first)).inspection_count == 1
    async with store.engine.connect() as conn:
        assert await conn.scalar(text("SELECT count(*) FROM inspection.tally")) == 1


def test_the_reduction_is_measured_by_the_year_before() -> None:
    now, before = rpc_pb.Figures(inspection_count=55), rpc_pb.Figures(inspection_count=100)
    assert statistics(YEAR, now, before).reduction == pytest.approx(0.45)
    assert statistics(YEAR, before, now).reduction == pytest.approx(-45 / 55)
    assert not statistics(YEAR, now, rpc_pb.Figures()).HasField("reduction")


def test_an_inspection_takes_up_the_days_of_its_code_and_then_those_from_start_to_result() -> None:
    visit = inspection(began=False)
    assert tally.busy(visit) is None
    visit.codes.append(code(MONDAY, days=3))
    assert tally.busy(visit) == (MONDAY, MONDAY + 2 * DAY)
    visit.start.device_time.FromDatetime(at(MONDAY + DAY))
    assert tally.busy(visit) == (MONDAY + DAY, MONDAY + 2 * DAY)
    visit.participants[0].result_time.FromDatetime(at(MONDAY + DAY, 18))
    assert tally.busy(visit) == (MONDAY + DAY, MONDAY + DAY)
    visit.codes[0].state = pb.Code.STATE_REVOKED
    assert tally.busy(visit) is None


@given(st.lists(st.integers(1, 5)), st.dictionaries(st.integers(1, 9), st.integers(1, 50)))
def test_figures_add_up(scores: list[int], frequencies: dict[int, int]) -> None:
    sums = views.Sums(Counter(), {}, {}, frequencies, Counter(scores), {}, (0, 0, 0))
    found = figures(sums, FLAGS)
    assert sum(found.ratings.distribution) == found.ratings.count == len(scores)
    frequency = found.frequency
    of_each = frequency.once_count + frequency.twice_count + frequency.more_count
    assert of_each == frequency.enterprise_count
    assert not frequencies or frequency.mean >= 1
    assert not scores or 1 <= found.ratings.mean <= 5


async def test_what_the_tables_say_is_what_counting_one_by_one_gives(store: EventStore) -> None:
    chance = random.Random(7)
    city = [
        inspection(
            date(chance.choice((2025, 2026)), 1, 1) + chance.randrange(360) * DAY,
            chance.sample(DEPARTMENTS, chance.randint(1, 4)),
            began=chance.random() < 0.8,
            answered=chance.randint(0, 1),
            findings=chance.choice((0, 0, 1, 3)),
            score=chance.choice((0, 0, 3, 4, 5)),
            enterprise=f"e{chance.randrange(60)}",
            grade=chance.choice(("A", "B", "")),
        )
        for _ in range(300)
    ]
    found = await counted(store, *city)
    here = [each for each in city if each.HasField("start") and each.from_date.year == YEAR]
    hits = [each for each in here if each.findings]
    by_enterprise = Counter(each.enterprise.uscc for each in here)
    assert found.inspection_count == len(here)
    assert found.saving.alone_count == sum(len(each.participants) for each in here)
    assert found.joint_count == sum(len(each.participants) > 1 for each in here)
    assert found.hits.rate == len(hits) / len(here)
    assert found.frequency.enterprise_count == len(by_enterprise)
    assert found.frequency.twice_count == sum(n == 2 for n in by_enterprise.values())
    assert found.frequency.mean == len(here) / len(by_enterprise)
    assert {each.grade: each.inspection_count for each in found.grades} == Counter(
        each.enterprise.grade for each in here
    )
    assert {each.grade: each.hits.hit_count for each in found.grades} == Counter(
        each.enterprise.grade for each in hits
    )


def test_no_flag_is_counted_where_no_rule_says_what_is_often() -> None:
    nowhere = Rules(RuleBook.load(), WorkingCalendar.load(), "321000")
    assert _flags(nowhere, date(2020, 1, 1)) == []
    found = figures(views.Sums(Counter(), {}, {}, {}, {}, {}, ()), [])
    assert not found.HasField("flags")
    assert isinstance(FLAGS[0], Flag)
