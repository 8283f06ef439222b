"""What operators see of every loop: how days are written, and what they should look into."""

from collections.abc import Callable
from datetime import UTC
from typing import Protocol

from google.type.date_pb2 import Date

from workflows.alarms import Ringing


class Troubled(Ringing, Protocol):
    """What the state of every loop holds of what went wrong."""

    undelivered_notices: int


def troubles(loop: Troubled, expires: Callable[[str], bool] = bool) -> list[str]:
    """What an operator should look into, in Markdown. `expires`: of which alarms, by key, to tell here."""
    lines = [
        f"- **服务未认可期限届满** `{each.alarm}`：已报 {each.attempts} 次，"
        f"{each.not_before.ToDatetime(UTC):%Y-%m-%d %H:%M:%S} UTC 后再报"
        for each in loop.put_off
        if expires(each.alarm)
    ]
    if loop.undelivered_notices:
        lines.append(f"- **{loop.undelivered_notices} 份通知被拒收**，原因见失败的 send_notice")
    return lines


def day_text(day: Date) -> str:
    """A day as a person writes it."""
    return f"{day.year}年{day.month}月{day.day}日"


def yuan(fen: int) -> str:
    """An amount as a person writes it, in yuan."""
    return f"{fen // 100:,}.{fen % 100:02}"
