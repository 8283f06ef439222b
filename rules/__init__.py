"""The law as effective-dated data with citations, and the working days it counts by. Pure."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, cast

from bihuan.types.v1.deadline_pb2 import Deadline, Period, RuleReference
from rules import deadline as deadlines
from rules.book import Rule, RuleBook, UnknownRule
from rules.calendar import WorkingCalendar, YearCalendar, parse_calendar
from rules.clock import SHANGHAI, Clock, legal_date
from rules.deadline import as_date, explain, months_after
from rules.kinds import (
    FEN,
    NATIONAL,
    Amounts,
    CheckItem,
    Factor,
    Grade,
    Level,
    Party,
    Unit,
    places,
)
from rules.lighter import Law, Offence, applying
from rules.money import surcharge

__all__ = [
    "GRADES",
    "ITEMS",
    "SHANGHAI",
    "CheckItem",
    "Clock",
    "Factor",
    "Grade",
    "Law",
    "Level",
    "Offence",
    "Party",
    "Rule",
    "RuleBook",
    "Rules",
    "Rung",
    "Unit",
    "UnknownRule",
    "WorkingCalendar",
    "YearCalendar",
    "as_date",
    "explain",
    "legal_date",
    "months_after",
    "parse_calendar",
    "surcharge",
]
LADDER = "rectification.escalation"
SERIES = "document.series"
GRADES = "inspection.grades"
ITEMS = "inspection.items"


class Rung(NamedTuple):
    """A rung of the ladder for overdue rectification (逾期处置阶梯), from 1."""

    level: int
    measure: str
    after_working_days: int


@dataclass(frozen=True)
class Rules:
    """The law of one place by the calendars known now. ValueError if `jurisdiction` is not a place."""

    book: RuleBook
    calendar: WorkingCalendar
    jurisdiction: str = NATIONAL

    def __post_init__(self) -> None:
        places(self.jurisdiction)

    def at(self, jurisdiction: str) -> "Rules":
        """The law of another place: a division code (GB/T 2260), or "CN". ValueError for others."""
        return replace(self, jurisdiction=jurisdiction)

    def rule(self, rule_id: str, on: date) -> Rule:
        """The version in force here on that day. Raises UnknownRule."""
        return self.book.rule(rule_id, on, self.jurisdiction)

    def reference(self, rule_id: str, on: date) -> RuleReference:
        """What a fact keeps of the version in force here on that day. Raises UnknownRule."""
        return deadlines.reference(self.rule(rule_id, on))

    def ratio(self, rule_id: str, on: date) -> Decimal:
        """A share, above 0 and at most 1. Raises UnknownRule, and ValueError if the rule is none."""
        return cast(Decimal, self._says(rule_id, on, "ratio"))

    def number(self, rule_id: str, on: date) -> int:
        """A count in the unit that the rule's name says. Raises as `ratio`."""
        return cast(int, self._says(rule_id, on, "number"))

    def amount(self, rule_id: str, party: Party, on: date) -> int:
        """A sum in fen for that kind of party. Raises as `ratio`."""
        amounts = cast(Amounts, self._says(rule_id, on, "amounts_yuan"))
        return (amounts.person if party == "person" else amounts.entity) * FEN

    def choice(self, rule_id: str, on: date) -> str:
        """How the law is read here, one of the rule's options. Raises as `ratio`."""
        return cast(str, self._says(rule_id, on, "choice"))

    def text(self, rule_id: str, on: date) -> str:
        """A name, for example that of the bureau. Raises as `ratio`."""
        return cast(str, self._says(rule_id, on, "text"))

    def series(self, kind: str, on: date) -> str:
        """Prefix of the numbers of documents of that kind, for example "东环罚字" for "decision". Numbers
        run by prefix: places and kinds may share one. UnknownRule if the rule has no such kind.
        """
        prefixes = cast(dict[str, str], self._says(SERIES, on, "series"))
        if kind not in prefixes:
            raise UnknownRule(f"rule {SERIES} has no kind {kind} in {self.jurisdiction} on {on}")
        return prefixes[kind]

    def factors(self, rule_id: str, on: date) -> tuple[Factor, ...]:
        """A table of discretion. Raises as `ratio`."""
        return cast(tuple[Factor, ...], self._says(rule_id, on, "factors"))

    def grades(self, on: date) -> tuple[Grade, ...]:
        """The grades of inspection targets, from the highest score down. Raises as `ratio`."""
        return cast(tuple[Grade, ...], self._says(GRADES, on, "grades"))

    def items(self, on: date) -> dict[str, CheckItem]:
        """The published list of what is inspected, by id. Raises as `ratio`."""
        return {item.id: item for item in cast(Any, self._says(ITEMS, on, "items"))}

    def offence(
        self, rule_id: str, conduct: date, decision: date, party: Party = "entity"
    ) -> Offence:
        """The range of the fine by the law of the day of the conduct, or by that of the day of the
        decision if it is lighter for that kind of party. UnknownRule if the conduct was, or by the day of
        the decision is, no offence; ValueError if the rule is none.
        """
        return applying(self.rule(rule_id, conduct), self.rule(rule_id, decision), party)

    def offences(self, on: date) -> tuple[Rule, ...]:
        """Every offence in force here on that day, by id."""
        ids = sorted({rule.id for rule in self.book.every() if rule.version.kind == "range_yuan"})
        found = (self.book.find(rule_id, on, self.jurisdiction) for rule_id in ids)
        return tuple(rule for rule in found if rule is not None)

    def deadline(
        self,
        rule_id: str,
        origin: date,
        deadline_id: str,
        *,
        days: int | None = None,
        due: date | None = None,
    ) -> Deadline:
        """The deadline that the rule sets from `origin`, or `days` of the rule's unit after it, or on
        `due`, moved to the next working day if that is none. Raises UnknownRule, and ValueError if
        `due` does not lie after `origin`, `days` is not at least 1, or the rule is not a period.
        """
        rule = self.rule(rule_id, origin)
        unit, length = rule.version.unit, rule.version.value if days is None else days
        if unit is None or length is None:
            raise ValueError(f"rule {rule_id} is not a period")
        if length < 1:
            raise ValueError(f"rule {rule_id}: a period of {length} {unit} is shorter than 1")
        if due is None:
            period = Period(length=length, unit=deadlines.UNITS[unit])
            return deadlines.count(rule, period, origin, deadline_id, self.calendar)
        if due <= origin:
            raise ValueError(f"due date {due} does not lie after {origin}")
        blank = Deadline(id=deadline_id, origin_date=deadlines.as_message(origin))
        return deadlines.set_on(rule, due, blank, self.calendar)

    def extended(self, deadline: Deadline, due: date) -> Deadline:
        """`deadline` moved to `due`, or the next working day: its id, its rule and its steps so far
        stay. ValueError if `due` is not later than it is due already.
        """
        if due <= (already := as_date(deadline.due_date)):
            raise ValueError(f"due date {due} of an extension does not lie after {already}")
        return deadlines.set_on(self._rule_of(deadline), due, deadline, self.calendar)

    def recount(self, deadline: Deadline) -> Deadline:
        """`deadline` counted again by the calendars known now, by the version of its rule."""
        return deadlines.recount(self._rule_of(deadline), deadline, self.calendar)

    def until(self, rule: Rule, origin: date) -> date:
        """The last day of the rule's period from `origin`. ValueError if the rule is not a period."""
        if rule.version.unit is None or rule.version.value is None:
            raise ValueError(f"rule {rule.id} is not a period")
        period = Period(length=rule.version.value, unit=deadlines.UNITS[rule.version.unit])
        return deadlines.last_day(rule, period, origin, self.calendar)

    def ladder(self, on: date) -> RuleReference:
        """The ladder in force on that day; a case that has begun to climb it keeps it."""
        return deadlines.reference(self.rule(LADDER, on))

    def rung(self, level: int, on: date, ladder: RuleReference | None = None) -> Rung | None:
        """The rung `level` of `ladder`, or of the one in force on that day; None above the top."""
        rungs = self._ladder(on, ladder).version.rungs or ()
        if not 1 <= level <= len(rungs):
            return None
        rung = rungs[level - 1]
        return Rung(level, rung.measure, rung.after_working_days)

    def rung_deadline(
        self, level: int, origin: date, deadline_id: str, ladder: RuleReference | None = None
    ) -> Deadline:
        """When the rung `level` follows, the one below having been reached on `origin`. ValueError if
        the ladder has no such rung.
        """
        rung = self.rung(level, origin, ladder)
        if rung is None:
            raise ValueError(f"rule {LADDER} has no rung {level} on {origin}")
        period = Period(length=rung.after_working_days, unit=Period.UNIT_WORKING_DAYS)
        rule = self._ladder(origin, ladder)
        return deadlines.count(rule, period, origin, deadline_id, self.calendar)

    def _says(self, rule_id: str, on: date, kind: str) -> Any:
        version = self.rule(rule_id, on).version
        if version.kind != kind:
            raise ValueError(f"rule {rule_id} is a {version.kind}, not a {kind}")
        return version.says

    def _ladder(self, on: date, kept: RuleReference | None) -> Rule:
        return self.book.version(kept.id, kept.version) if kept else self.rule(LADDER, on)

    def _rule_of(self, deadline: Deadline) -> Rule:
        return self.book.version(deadline.rule.id, deadline.rule.version)
