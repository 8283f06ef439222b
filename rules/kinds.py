"""The kinds of rule: what a version of one may say, and that it says one thing of them."""

import re
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

NATIONAL = "CN"
PLACE = r"^(CN|[1-9][0-9]{5})$"
WORD = r"^[a-z0-9]+(_[a-z0-9]+)*$"
FEN = 100

Word: TypeAlias = Annotated[str, Field(pattern=WORD)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
# Statutes state sums in whole yuan, and so do our files; whoever reads a rule gets fen.
Yuan: TypeAlias = Annotated[int, Field(ge=0, le=10**10)]
# Whom a sum is for: a natural person, or a legal person or other organisation.
Party: TypeAlias = Literal["person", "entity"]


class Unit(StrEnum):
    """What a period is counted in."""

    WORKING_DAYS = "working_days"
    CALENDAR_DAYS = "calendar_days"
    MONTHS = "months"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rung(_Part):
    """A rung of an escalation ladder: its measure, and the working days since the rung below."""

    measure: str
    after_working_days: int = Field(ge=0)


class Amounts(_Part):
    """A sum in yuan for each kind of party."""

    person: Yuan
    entity: Yuan


class Range(NamedTuple):
    """The least and the most of a sum in yuan."""

    floor: Yuan
    ceiling: Yuan


def _upwards(value: Range) -> Range:
    if value.ceiling < value.floor:
        raise ValueError(f"the ceiling {value.ceiling} lies below the floor {value.floor}")
    return value


Upwards: TypeAlias = Annotated[Range, AfterValidator(_upwards)]


class Ranges(_Part):
    """The range for entities; and for persons, where the law has another for them."""

    entity: Upwards
    person: Upwards | None = None

    def of(self, party: Party) -> Range:
        """The range for that kind of party."""
        return self.person or self.entity if party == "person" else self.entity


class Level(_Part):
    """A level of a factor, and the points of a hundred that it adds; below 0 it lightens."""

    id: Word
    name: Text
    points: int = Field(ge=-100, le=100)


class Factor(_Part):
    """A factor of discretion with its levels."""

    id: Word
    name: Text
    levels: tuple[Level, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> "Factor":
        _refuse_doubles("level", [level.id for level in self.levels])
        return self


class Grade(_Part):
    """A grade of inspection targets: from which score it is given, and what follows from it.

    cap: the most inspections a year by one body that count towards it, none where it has no cap;
    sampling: the share of its targets that is drawn in a year.
    """

    grade: str = Field(pattern=r"^[A-Z]$")
    name: Text
    from_score: int = Field(ge=0, le=100)
    cap: int | None = Field(None, ge=0)
    sampling: Decimal = Field(ge=0, le=1)


class CheckItem(_Part):
    """An item of the published list of inspections, with its standard.

    industries: prefixes of GB/T 4754 codes that it is for, all where there are none; answered_by: data that
    can answer it off site, not older than answer_days calendar days.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")
    name: Text
    industries: tuple[Text, ...] = ()
    answered_by: tuple[Word, ...] = ()
    answer_days: int = Field(0, ge=0)
    standard: Text
    basis: Text

    @property
    def field(self) -> str:
        """Field of enforcement: only departments of it check the item."""
        return self.id.partition(".")[0]

    def concerns(self, industry: str) -> bool:
        """Whether it is for enterprises of that industry, a code of GB/T 4754 such as "C2614"."""
        return not self.industries or industry.startswith(self.industries)


# The field that says what kind a version is, and the fields that go with no other kind.
KINDS = {
    "value": ("unit", "roll", "remind_before"),
    "rungs": (),
    "daily_rate": ("cap_ratio",),
    "ratio": (),
    "number": (),
    "amounts_yuan": (),
    "choice": ("options",),
    "text": (),
    "series": (),
    "range_yuan": (),
    "factors": (),
    "grades": (),
    "items": (),
}


class Version(_Part):
    """One version of a rule: one of the kinds, with what it rests on.

    value with unit: a period; rungs: a ladder; daily_rate with cap_ratio: what grows by the day; ratio: a
    share; number: a count; amounts_yuan: a sum by kind of party; choice: one of options, where the law can
    be read in several ways; text: a name; series: prefix of document numbers by kind of document;
    range_yuan: least and highest fine of an offence; factors: a table of points by factor and level;
    grades: the grades of inspection targets; items: a published list of what is inspected.
    """

    # A code left unquoted in YAML is a number.
    jurisdiction: str = Field(NATIONAL, pattern=PLACE, coerce_numbers_to_str=True)
    valid_from: date
    valid_to: date | None = None
    value: int | None = Field(None, ge=1)
    unit: Unit | None = None
    roll: Literal["none", "next_working_day"] = "none"
    remind_before: tuple[int, ...] = ()
    rungs: tuple[Rung, ...] | None = Field(None, min_length=1)
    daily_rate: Decimal | None = None
    cap_ratio: Decimal | None = None
    ratio: Decimal | None = Field(None, gt=0, le=1)
    number: int | None = Field(None, ge=0)
    amounts_yuan: Amounts | None = None
    choice: Word | None = None
    text: Text | None = None
    options: tuple[Word, ...] = ()
    series: dict[Word, Text] | None = Field(None, min_length=1)
    range_yuan: Ranges | None = None
    factors: tuple[Factor, ...] | None = Field(None, min_length=1)
    grades: tuple[Grade, ...] | None = Field(None, min_length=1)
    items: tuple[CheckItem, ...] | None = Field(None, min_length=1)
    citation: str = Field(min_length=1)
    confidence: Literal["HIGH", "MEDIUM", "LOW"]
    source: str
    note: str = ""

    @property
    def kind(self) -> str:
        """What kind of rule it is: the field that says it."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def says(self) -> Any:
        """What it says, in the shape of its kind."""
        return getattr(self, self.kind)

    @model_validator(mode="after")
    def _one_kind(self) -> "Version":
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"a version is one of: {', '.join(KINDS)}; this has {kinds or 'none'}")
        for kind, fields in KINDS.items():
            for field in self.model_fields_set.intersection(fields) if kind != self.kind else ():
                raise ValueError(f"{field} and {kind} go together")
        if self.value is not None and self.unit is None:
            raise ValueError("value and unit go together")
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError(f"valid_to {self.valid_to} does not lie after {self.valid_from}")
        _refuse_doubles("factor", [factor.id for factor in self.factors or ()])
        _refuse_doubles("item", [item.id for item in self.items or ()])
        _refuse_doubles("grade", [each.grade for each in self.grades or ()])
        scores = [each.from_score for each in self.grades or ()]
        if scores and (scores != sorted(set(scores), reverse=True) or scores[-1] != 0):
            raise ValueError("grades go from the highest score down to 0, each lower than the last")
        return self

    def in_force(self, on: date) -> bool:
        """Whether this version is in force on that day; valid_to is the first day it is not."""
        return self.valid_from <= on and (self.valid_to is None or on < self.valid_to)


def places(jurisdiction: str) -> list[str]:
    """Whose rules apply in a place, nearest first. ValueError unless it is "CN" or a division code
    (GB/T 2260).
    """
    if not re.fullmatch(PLACE, jurisdiction):
        raise ValueError(f"{jurisdiction!r} is neither CN nor a division code of six digits")
    if jurisdiction == NATIONAL:
        return [NATIONAL]
    city, province = jurisdiction[:4] + "00", jurisdiction[:2] + "0000"
    return list(dict.fromkeys([jurisdiction, city, province, NATIONAL]))


def misfit(version: Version, model: Version) -> str:
    """Why a version cannot stand in for another of its rule, whose readers expect one shape; or ""."""
    if version.kind != model.kind:
        return f"{version.kind} where {model.jurisdiction} has {model.kind}"
    if model.options and version.choice not in model.options:
        return f"choice: {version.choice} is none of {', '.join(model.options)}"
    if version.series and model.series and (lacks := model.series.keys() - version.series.keys()):
        return f"series: lacks {', '.join(sorted(lacks))}"
    return ""


def _refuse_doubles(what: str, ids: list[str]) -> None:
    for double in {each for each in ids if ids.count(each) > 1}:
        raise ValueError(f"{what} {double} is given twice")
