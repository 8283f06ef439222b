"""Sums of money that grow by law. All in integer fen."""

from rules.book import Rule


def surcharge(rule: Rule, fen_days: int, fine: int) -> int:
    """Surcharge (加处罚款) in fen: the rule's rate on `fen_days`, rounded down once, never above its cap.

    fen_days: sum over the days on which it ran of the fen that it was counted on; fine: what the cap is a
    share of, in fen. ValueError for a rule without a daily rate.
    """
    rate, cap = rule.version.daily_rate, rule.version.cap_ratio
    if rate is None:
        raise ValueError(f"rule {rule.id} has no daily rate")
    part, whole = rate.as_integer_ratio()
    accrued = fen_days * part // whole
    if cap is None:
        return accrued
    part, whole = cap.as_integer_ratio()
    return min(accrued, fine * part // whole)
