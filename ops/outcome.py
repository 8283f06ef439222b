"""What became of a scenario: each case with its events and reminders, and the ledger at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reminder:
    """Somebody was reminded of a deadline."""

    time: str
    text: str


@dataclass(frozen=True)
class Escalation:
    """A rung of the ladder was climbed."""

    time: str
    measure: str


@dataclass
class Outcome:
    """What became of one case. Times are legal, ISO 8601, Asia/Shanghai; name: its resource name."""

    key: str
    enterprise: str
    name: str = ""
    stages: list[dict[str, str]] = field(default_factory=list)
    reminders: list[Reminder] = field(default_factory=list)
    escalations: list[Escalation] = field(default_factory=list)
    final_state: str = ""


@dataclass(frozen=True)
class Report:
    """What became of a scenario: its cases, its ledger as the domain keeps it, events counted by type,
    and workflows.
    """

    scenario: str
    day_seconds: float
    cases: list[Outcome]
    ledger: Sequence[Any]
    events: Mapping[str, int]
    workflows: int
