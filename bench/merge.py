"""Merging and distributing yearly plans of cities of three sizes: time and memory grow no worse than n log n.

The floor is what nobody can merge without: sorting the same tasks, as plain tuples. Each line is measured
ROUNDS times without the memory being traced, and once with. `make bench`; BENCH_ENTERPRISES, numbers of
enterprises with commas between, the smallest first, makes it shorter.
"""

import gc
import os
import statistics
import sys
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from math import log
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from ops import garbage
from ops.city import assumptions as given
from ops.city.generator import populate
from ops.city.plans import past_plan
from rules import RuleBook, Rules, WorkingCalendar
from services.inspection.inspections.merging import PlannedVisit, Visit, lead, merge

ROUNDS = 3
SIZES = tuple(
    int(each) for each in os.environ.get("BENCH_ENTERPRISES", "3392,30000,300000").split(",")
)
NEW_YEAR = date(given.YEAR, 1, 1)
ALLOWED_SECONDS = 10.0
# What the time of a task may grow by beyond n log n, and beyond the floor, from the smallest city to another:
# more memory is slower memory.
GROWTH, AGAINST_FLOOR, MEMORY = 1.5, 1.5, 1.1
MIB = 1 << 20

out = Console()
say = Console(stderr=True, highlight=False)


class Measured(NamedTuple):
    """seconds, floor: medians; peak: bytes that merging takes beyond the plans themselves."""

    enterprises: int
    tasks: int
    visits: int
    peak: int
    seconds: float
    floor: float

    @property
    def n_log_n(self) -> float:
        """Seconds by unit of n log n."""
        return self.seconds / (self.tasks * log(self.tasks))

    @property
    def bytes_each(self) -> float:
        """Bytes by task."""
        return self.peak / self.tasks


def distribute(tasks: Sequence[PlannedVisit], merge_days: int) -> dict[str, list[Visit]]:
    """The visits of a year by the department that leads each."""
    led: defaultdict[str, list[Visit]] = defaultdict(list)
    for visit in merge(tasks, merge_days, NEW_YEAR):
        led[lead(visit.tasks)].append(visit)
    return led


def measure(rules: Rules, enterprises: int) -> Measured:
    """A city of that size."""
    say.print(f"{enterprises:,} enterprises …")
    tasks = past_plan(populate(1, rules, enterprises), given.YEAR)
    days = rules.number("inspection.merge_days", NEW_YEAR)
    plain = [(task.enterprise, task.last, task.first, task.name) for task in tasks]
    seconds, floor = [], []
    for _ in range(ROUNDS):
        floor.append(_timed(lambda: sorted(plain)))
        seconds.append(_timed(lambda: distribute(tasks, days)))
    middle = statistics.median(seconds), statistics.median(floor)
    return Measured(enterprises, len(tasks), *_traced(tasks, days), *middle)


def _traced(tasks: Sequence[PlannedVisit], days: int) -> tuple[int, int]:
    """How many visits the tasks become, and the peak of memory on the way."""
    gc.collect()
    tracemalloc.start()
    visits = sum(map(len, distribute(tasks, days).values()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return visits, peak


def _timed(work: Callable[[], object]) -> float:
    gc.collect()
    began = time.perf_counter()
    done = work()
    took = time.perf_counter() - began
    del done
    return took


class Report:
    """The table of the results, and what missed its mark."""

    def __init__(self) -> None:
        self.table = Table(title=f"merging, medians of {ROUNDS}")
        for column in ("measure", "ours", "against", "theirs", "ratio", "wanted"):
            self.table.add_column(column, overflow="fold")
        self.missed: list[str] = []

    def row(
        self, measure: str, ours: str, against: str, theirs: str, ratio: float, most: float | None
    ) -> None:
        """A line where less is better; `most` None only informs."""
        if most is not None and ratio > most:
            self.missed.append(f"{measure} against {against}: {ratio:.2f}, over {most:g}")
        wanted = "" if most is None else f"at most {most:g}"
        self.table.add_row(measure, ours, against, theirs, f"{ratio:.2f}", wanted)


def compare(report: Report, found: Sequence[Measured]) -> None:
    """Each city by itself and against the smallest."""
    small = found[0]
    for each in found:
        name = f"{each.tasks:,} tasks of {each.enterprises:,} enterprises to {each.visits:,} visits"
        took, floor = f"{each.seconds:,.2f} s", f"{each.floor:,.2f} s"
        report.row(name, took, "sorting them", floor, each.seconds / each.floor, None)
        if each is small:
            most = each.seconds / ALLOWED_SECONDS
            report.row("the plans of the city", took, "what is allowed", "10 s", most, 1)
            continue
        growth = each.n_log_n / small.n_log_n
        expected = each.seconds / growth
        against = f"{small.enterprises:,} grown by n log n"
        report.row("time", took, against, f"{expected:,.2f} s", growth, GROWTH)
        growth = (each.seconds / each.floor) / (small.seconds / small.floor)
        expected = each.seconds / growth
        against = f"{small.enterprises:,} grown as sorting"
        report.row("time", took, against, f"{expected:,.2f} s", growth, AGAINST_FLOOR)
        growth = each.bytes_each / small.bytes_each
        peak, expected = f"{each.peak / MIB:,.0f} MiB", each.peak / growth / MIB
        against = f"{small.enterprises:,} grown by n"
        report.row("peak memory", peak, against, f"{expected:,.0f} MiB", growth, MEMORY)


def main() -> None:
    garbage.settle()
    rules = Rules(RuleBook.load(), WorkingCalendar.load(), given.CITY)
    report = Report()
    compare(report, [measure(rules, size) for size in SIZES])
    out.print(report.table)
    for line in report.missed:
        out.print(f"missed: {line}", highlight=False)
    sys.exit(bool(report.missed))


if __name__ == "__main__":
    main()
