"""From sums over a year to the figures that are published. Pure.

A figure with nothing to divide by is left out: "no figure" is not 0.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bihuan.inspection.v1 import plan_pb2, visit_pb2
from bihuan.inspection.v1 import statistics_service_pb2 as pb
from bihuan.types.v1.deadline_pb2 import RuleReference

SCORES = (1, 2, 3, 4, 5)


class Flag(NamedTuple):
    """How often an enterprise may be inspected within so many days in a row before it is flagged."""

    days: int
    most: int
    rule: RuleReference


class Sums(NamedTuple):
    """What a year adds up to.

    totals: by column, of inspections that took place unless their name says otherwise; kinds and grades:
    rows of kind or grade, inspections and hits; frequencies: inspections of an enterprise and how many
    enterprises had so many; scores: how often each was given; purposes: visits by purpose; flagged: how many
    enterprises each flag met.
    """

    totals: Mapping[str, int]
    kinds: Mapping[int, int]
    grades: Mapping[str, tuple[int, int]]
    frequencies: Mapping[int, int]
    scores: Mapping[int, int]
    purposes: Mapping[int, int]
    flagged: tuple[int, ...]


def figures(sums: Sums, flags: Iterable[Flag]) -> pb.Figures:
    """The figures of a year."""
    totals = sums.totals
    done, alone = totals["inspections"], totals["alone"]
    grades = sorted(sums.grades.items())
    return pb.Figures(
        inspection_count=done,
        kinds=[
            pb.KindCount(kind=plan_pb2.Kind.ValueType(kind), count=count)
            for kind, count in sorted(sums.kinds.items())
        ],
        joint_count=totals["joint"],
        frequency=_frequency(sums.frequencies),
        saving=pb.Saving(
            alone_count=alone, saved_count=alone - done, **_share("rate", alone - done, alone)
        ),
        off_site=pb.OffSite(
            item_count=totals["items"],
            answered_count=totals["off_site_items"],
            visit_count=totals["off_site_visits"],
            inspection_count=totals["off_site"],
            **_share("rate", totals["off_site_items"], totals["items"]),
        ),
        hits=_hits(totals["hits"], done),
        grades=[
            pb.GradeHits(grade=grade, inspection_count=count, hits=_hits(hits, count))
            for grade, (count, hits) in grades
        ],
        ratings=_ratings(sums.scores),
        other_visits=[
            pb.PurposeCount(purpose=visit_pb2.Purpose.ValueType(purpose), count=count)
            for purpose, count in sorted(sums.purposes.items())
        ],
        capped_count=totals["capped"],
        all_count=alone,
        flags=_flags(sums.flagged, flags) if sums.flagged else None,
        codes=pb.Codes(
            issued_count=totals["codes"],
            on_the_spot_count=totals["on_the_spot"],
            revoked_count=totals["revoked"],
        ),
        late_result_count=totals["late_results"],
    )


def statistics(year: int, now: pb.Figures, before: pb.Figures) -> pb.Statistics:
    """The year beside the year before it."""
    fewer = before.inspection_count - now.inspection_count
    return pb.Statistics(
        year=year,
        figures=now,
        before=before,
        **_share("reduction", fewer, before.inspection_count),
    )


def _frequency(of: Mapping[int, int]) -> pb.Frequency:
    enterprises = sum(of.values())
    inspections = sum(times * count for times, count in of.items())
    return pb.Frequency(
        enterprise_count=enterprises,
        once_count=of.get(1, 0),
        twice_count=of.get(2, 0),
        more_count=sum(count for times, count in of.items() if times > 2),
        **_share("mean", inspections, enterprises),
    )


def _ratings(scores: Mapping[int, int]) -> pb.Ratings:
    count = sum(scores.values())
    total = sum(score * given for score, given in scores.items())
    distribution = [scores.get(score, 0) for score in SCORES]
    return pb.Ratings(count=count, distribution=distribution, **_share("mean", total, count))


def _flags(flagged: tuple[int, ...], flags: Iterable[Flag]) -> pb.Flags:
    day, week, month = flagged
    rules = [flag.rule for flag in flags]
    return pb.Flags(day_count=day, week_count=week, month_count=month, rules=rules)


def _hits(hits: int, inspections: int) -> pb.Hits:
    return pb.Hits(hit_count=hits, **_share("rate", hits, inspections))


def _share(name: str, part: int, whole: int) -> dict[str, Any]:
    """The field as an argument, or none where there is nothing to divide by."""
    return {name: part / whole} if whole else {}
