"""Bars for figures, drawn by the server: no script, nothing from outside. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bihuan.inspection.v1 import statistics_service_pb2 as pb
from page.texts import KINDS, PURPOSES, Texts


class Bar(NamedTuple):
    """A row of a chart; `width` is its share of the longest one, in percent."""

    label: str
    value: str
    width: float


class Chart(NamedTuple):
    """Bars under a title."""

    title: str
    bars: Sequence[Bar]


class Tile(NamedTuple):
    """A figure that stands by itself: what it is, the figure, and what it rests on."""

    label: str
    value: str
    note: str


def tiles(found: pb.Statistics, t: Texts) -> list[Tile]:
    """The figures that people ask for first."""
    now, before = found.figures, found.before
    saving, off_site, hits = now.saving, now.off_site, now.hits
    return [
        Tile(t["inspections"], number(now.inspection_count), _reduction(found, t)),
        Tile(
            t["saving"],
            percent(saving, "rate", t),
            t["saving_note"].format(
                alone=number(saving.alone_count), saved=number(saving.saved_count)
            ),
        ),
        Tile(
            t["mean"],
            mean(now.frequency, t),
            _enterprises(now.frequency, before.frequency, t),
        ),
        Tile(
            t["off_site"],
            percent(off_site, "rate", t),
            t["off_site_note"].format(
                answered=number(off_site.answered_count),
                items=number(off_site.item_count),
                n=number(off_site.inspection_count),
            ),
        ),
        Tile(
            t["hit"],
            percent(hits, "rate", t),
            t["hit_note"].format(hits=number(hits.hit_count), n=number(now.inspection_count)),
        ),
        Tile(
            t["rating"], mean(now.ratings, t), t["rating_note"].format(n=number(now.ratings.count))
        ),
    ]


def _enterprises(now: pb.Frequency, before: pb.Frequency, t: Texts) -> str:
    n = number(now.enterprise_count)
    if not before.HasField("mean"):
        return t["enterprises_alone"].format(n=n)
    return t["enterprises"].format(n=n, before=mean(before, t))


def charts(found: pb.Statistics, t: Texts, language: str) -> list[Chart]:
    """All that is better seen than read."""
    now, frequency = found.figures, found.figures.frequency
    visits = {
        t["bar_alone"]: now.saving.alone_count,
        t["bar_now"]: now.inspection_count,
        t["bar_before"]: found.before.inspection_count,
    }
    often = {
        t["bar_once"]: frequency.once_count,
        t["bar_twice"]: frequency.twice_count,
        t["bar_more"]: frequency.more_count,
    }
    scores = enumerate(now.ratings.distribution, 1)
    return [
        Chart(t["chart_visits"], counts(visits)),
        Chart(t["chart_frequency"], counts(often)),
        Chart(
            t["chart_kinds"],
            counts({KINDS[language].get(each.kind, ""): each.count for each in now.kinds}),
        ),
        Chart(t["chart_grades"], [_grade(each, t) for each in now.grades]),
        Chart(
            t["chart_ratings"],
            counts({f"{score} · {t[f'score_{score}']}": n for score, n in scores}),
        ),
        Chart(
            t["chart_others"],
            counts(
                {PURPOSES[language].get(each.purpose, ""): each.count for each in now.other_visits}
            ),
        ),
    ]


def counters(now: pb.Figures, t: Texts) -> list[tuple[str, str]]:
    """What is read rather than seen."""
    flags = ("flag_day", "flag_week", "flag_month") if now.HasField("flags") else ()
    of_flag = (now.flags.day_count, now.flags.week_count, now.flags.month_count)
    rows = [
        ("joint", now.joint_count),
        ("all_count", now.all_count),
        ("capped_count", now.capped_count),
        ("codes_issued", now.codes.issued_count),
        ("codes_spot", now.codes.on_the_spot_count),
        ("codes_revoked", now.codes.revoked_count),
        ("late", now.late_result_count),
        *zip(flags, of_flag, strict=False),
    ]
    return [(t[name], number(count)) for name, count in rows]


def counts(of: Mapping[str, int]) -> list[Bar]:
    """A bar for each count, the longest for the greatest."""
    most = max(of.values(), default=0)
    return [
        Bar(label, number(count), 100 * count / most if most else 0) for label, count in of.items()
    ]


def number(count: int) -> str:
    """A count with its thousands set off."""
    return f"{count:,}"


def percent(message: pb.Saving | pb.OffSite | pb.Hits, field: str, t: Texts) -> str:
    """A share in percent, or that there is no figure."""
    return f"{getattr(message, field):.1%}" if message.HasField(field) else t["no_figure"]  # type: ignore[arg-type]


def mean(message: pb.Frequency | pb.Ratings, t: Texts) -> str:
    """An average, or that there is no figure."""
    return f"{message.mean:.2f}" if message.HasField("mean") else t["no_figure"]


def _grade(each: pb.GradeHits, t: Texts) -> Bar:
    label = t["grade"].format(grade=each.grade) if each.grade else t["no_grade"]
    return Bar(label, percent(each.hits, "rate", t), 100 * each.hits.rate)


def _reduction(found: pb.Statistics, t: Texts) -> str:
    word = "no_before"
    if found.HasField("reduction"):
        word = "reduction" if found.reduction >= 0 else "increase"
    before = number(found.before.inspection_count)
    return t[word].format(share=f"{abs(found.reduction):.1%}", before=before)
