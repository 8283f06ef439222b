"""Sums of money that grow by law. All in integer fen."""

from datetime import date
from decimal import ROUND_DOWN, Decimal

from rules.book import Rule


def surcharge(rule: Rule, principal: int, due: date, on: date) -> int:
    """Surcharge (加处罚款) in fen on `principal` fen unpaid at the end of the day `on`.

    It runs from the day after `due`, never above the rule's cap; 0 up to the due date. ValueError for
    a rule without a daily rate.
    """
    version = rule.version
    if version.daily_rate is None:
        raise ValueError(f"rule {rule.id} has no daily rate")
    days = max((on - due).days, 0)
    accrued = principal * version.daily_rate * days
    capped = accrued if version.cap_ratio is None else min(accrued, principal * version.cap_ratio)
    return int(Decimal(capped).to_integral_value(ROUND_DOWN))
