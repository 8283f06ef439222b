"""Which law punishes where it changed between the conduct and the decision: the old, or a lighter new one."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bihuan.types.v1.deadline_pb2 import RuleReference
from rules.book import Rule
from rules.deadline import reference
from rules.kinds import FEN, Party

# It did not change; the law of the conduct; the law of the decision, which is lighter.
Law: TypeAlias = Literal["unchanged", "conduct", "decision"]


@dataclass(frozen=True)
class Offence:
    """An offence by the version of its rule that applies, with the range of the fine in fen."""

    rule: Rule
    law: Law
    floor_fen: int
    ceiling_fen: int

    @property
    def reference(self) -> RuleReference:
        """What a fact keeps of the rule."""
        return reference(self.rule)


def applying(conduct: Rule, decision: Rule, party: Party) -> Offence:
    """The offence by the version of the day of the conduct, or of the day of the decision if its range is
    lighter for that kind of party: a lower ceiling, or the same and a lower floor (行政处罚法第三十七条).
    """
    if conduct.version_id == decision.version_id:
        return _offence(conduct, "unchanged", party)
    old, new = _offence(conduct, "conduct", party), _offence(decision, "decision", party)
    lighter = (new.ceiling_fen, new.floor_fen) < (old.ceiling_fen, old.floor_fen)
    return new if lighter else old


def _offence(rule: Rule, law: Law, party: Party) -> Offence:
    ranges = rule.version.range_yuan
    if ranges is None:
        raise ValueError(f"rule {rule.id} is not a range_yuan")
    found = ranges.of(party)
    return Offence(rule, law, found.floor * FEN, found.ceiling * FEN)
