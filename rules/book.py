"""The law as effective-dated data: which version of a rule is in force where and when."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rules.documents import checked, read

NATIONAL = "CN"
PLACE = r"^(CN|[1-9][0-9]{5})$"


class Unit(StrEnum):
    """What a period is counted in."""

    WORKING_DAYS = "working_days"
    CALENDAR_DAYS = "calendar_days"
    MONTHS = "months"


class Rung(BaseModel):
    """A rung of an escalation ladder: its measure, and the working days since the rung below."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: str
    after_working_days: int = Field(ge=0)


class Version(BaseModel):
    """One version of a rule: a period, a ladder, or a rate; with what it rests on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # A code left unquoted in YAML is a number.
    jurisdiction: str = Field(NATIONAL, pattern=PLACE, coerce_numbers_to_str=True)
    valid_from: date
    valid_to: date | None = None
    value: int | None = Field(None, ge=1)
    unit: Unit | None = None
    roll: Literal["none", "next_working_day"] = "none"
    remind_before: tuple[int, ...] = ()
    rungs: tuple[Rung, ...] = ()
    daily_rate: Decimal | None = None
    cap_ratio: Decimal | None = None
    citation: str = Field(min_length=1)
    confidence: Literal["HIGH", "MEDIUM", "LOW"]
    source: str
    note: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> "Version":
        kinds = [self.value is not None, bool(self.rungs), self.daily_rate is not None]
        if sum(kinds) != 1:
            raise ValueError("a version is one of: value with unit, rungs, daily_rate")
        if (self.value is None) != (self.unit is None):
            raise ValueError("value and unit go together")
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError(f"valid_to {self.valid_to} does not lie after {self.valid_from}")
        return self

    def in_force(self, on: date) -> bool:
        """Whether this version is in force on that day; valid_to is the first day it is not."""
        return self.valid_from <= on and (self.valid_to is None or on < self.valid_to)


class Rule(BaseModel):
    """A rule in the version that applies."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    version: Version

    @property
    def version_id(self) -> str:
        """Jurisdiction and effective date, for example "CN@2021-07-15"."""
        return f"{self.version.jurisdiction}@{self.version.valid_from}"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[a-z_]+(\.[a-z_]+)+$")
    name: str
    versions: tuple[Version, ...] = Field(min_length=1)


class _File(NamedTuple):
    name: str
    entries: Sequence[_Entry]


class UnknownRule(LookupError):
    """No version of the rule is in force there and then."""


class RuleBook:
    """All versions of all rules."""

    def __init__(self, sources: Iterable[_File]) -> None:
        self._names: dict[str, str] = {}
        self._versions: Mapping[str, list[Version]] = defaultdict(list)
        for file in sources:
            for entry in file.entries:
                self._names.setdefault(entry.id, entry.name)
                self._versions[entry.id].extend(entry.versions)
                _refuse_overlap(f"{file.name}: rule {entry.id}", self._versions[entry.id])

    @classmethod
    def load(cls, extra: Path | None = None) -> "RuleBook":
        """The rules that come with the package, and those in the YAML files of the folder `extra`,
        where a place keeps its own. ValueError if there is no such folder, and else names the file and
        the rule that is wrong.
        """
        if extra is None:
            return cls(_built_in())
        if not extra.is_dir():
            raise ValueError(f"no folder of rules at {extra}")
        own = [_parse(file.read_text("utf-8"), file.name) for file in sorted(extra.glob("*.yaml"))]
        return cls([*_built_in(), *own])

    def rule(self, rule_id: str, on: date, jurisdiction: str = NATIONAL) -> Rule:
        """The version in force on that day: of the place itself, else of its city, its province, the
        country. Raises UnknownRule, and ValueError if `jurisdiction` is not a place.
        """
        for place in places(jurisdiction):
            for version in self._versions.get(rule_id, ()):
                if version.jurisdiction == place and version.in_force(on):
                    return Rule(id=rule_id, name=self._names[rule_id], version=version)
        raise UnknownRule(f"no rule {rule_id} in force in {jurisdiction} on {on}")

    def version(self, rule_id: str, version_id: str) -> Rule:
        """A version by its id, in force or not. Raises UnknownRule."""
        for version in self._versions.get(rule_id, ()):
            rule = Rule(id=rule_id, name=self._names[rule_id], version=version)
            if rule.version_id == version_id:
                return rule
        raise UnknownRule(f"no version {version_id} of rule {rule_id}")

    def every(self) -> Sequence[Rule]:
        """Every version of every rule."""
        return [
            Rule(id=rule_id, name=self._names[rule_id], version=version)
            for rule_id, versions in self._versions.items()
            for version in versions
        ]


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


def _refuse_overlap(name: str, versions: Sequence[Version]) -> None:
    ordered = sorted(versions, key=lambda version: (version.jurisdiction, version.valid_from))
    for earlier, later in pairwise(ordered):
        if earlier.jurisdiction == later.jurisdiction and earlier.in_force(later.valid_from):
            raise ValueError(f"{name}: two versions for {later.jurisdiction} on {later.valid_from}")


def _parse(text: str, name: str) -> _File:
    found = read(text, name)
    if not isinstance(found, list | None):
        raise ValueError(f"{name}: not a list of rules")
    return _File(name, [_entry(value, name) for value in found or ()])


def _entry(value: Any, file: str) -> _Entry:
    rule_id = value.get("id") if isinstance(value, dict) else value
    return checked(_Entry, value, f"{file}: rule {rule_id}")


@cache
def _built_in() -> tuple[_File, ...]:
    folder = files("rules") / "data"
    return tuple(
        _parse(file.read_text("utf-8"), file.name)
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".yaml")
    )
