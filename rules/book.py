"""The law as effective-dated data: which version of a rule is in force where and when."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from rules.documents import checked, read
from rules.kinds import NATIONAL, Version, misfit, places


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
        files = tuple(sources)
        for file in files:
            for entry in file.entries:
                self._names.setdefault(entry.id, entry.name)
                self._versions[entry.id].extend(entry.versions)
                _refuse_overlap(f"{file.name}: rule {entry.id}", self._versions[entry.id])
        for file in files:
            for entry in file.entries:
                _refuse_misfits(f"{file.name}: rule {entry.id}", entry, self._versions[entry.id])

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
        found = self.find(rule_id, on, jurisdiction)
        if found is None:
            raise UnknownRule(f"no rule {rule_id} in force in {jurisdiction} on {on}")
        return found

    def find(self, rule_id: str, on: date, jurisdiction: str = NATIONAL) -> Rule | None:
        """As `rule`, but None where no version is in force."""
        for place in places(jurisdiction):
            for version in self._versions.get(rule_id, ()):
                if version.jurisdiction == place and version.in_force(on):
                    # It was checked when it was read; to check it again costs more than to find it.
                    name = self._names[rule_id]
                    return Rule.model_construct(id=rule_id, name=name, version=version)
        return None

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


def _refuse_overlap(name: str, versions: Sequence[Version]) -> None:
    ordered = sorted(versions, key=lambda version: (version.jurisdiction, version.valid_from))
    for earlier, later in pairwise(ordered):
        if earlier.jurisdiction == later.jurisdiction and earlier.in_force(later.valid_from):
            raise ValueError(f"{name}: two versions for {later.jurisdiction} on {later.valid_from}")


def _refuse_misfits(name: str, entry: _Entry, all_versions: Sequence[Version]) -> None:
    """The country's first version is the model, whatever file is read first; else the first of all."""
    national = [version for version in all_versions if version.jurisdiction == NATIONAL]
    model = (national or all_versions)[0]
    for number, version in enumerate(entry.versions):
        if why := misfit(version, model):
            raise ValueError(f"{name}: versions.{number}: {why}")


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
