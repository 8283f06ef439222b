"""Schedule and surcharge a second time, day by day and naively, with no code of services or rules."""

import random
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from bihuan.penalty.v1 import account_pb2 as pb
from bihuan.penalty.v1 import payment_service_pb2 as rpc_pb
from services.penalty.account import refilled, statement
from services.penalty.terms import bounds_without_case, propose
from tests.services.fines import DONGGUAN, account, message, planned

CASES = 10_000
DAY = timedelta(days=1)
SHEETS = Path(__file__).parents[2] / "rules" / "data" / "calendars"
OFF: set[date] = set()
ON: set[date] = set()
for sheet in (SHEETS / f"{year}.yaml" for year in (2024, 2025, 2026)):
    told = yaml.safe_load(sheet.read_text("utf-8"))
    OFF |= set(told["holidays"])
    ON |= set(told.get("working_weekends", {}))


def works(day: date) -> bool:
    return day in ON or (day.weekday() < 5 and day not in OFF)


def next_working(day: date) -> date:
    while not works(day):
        day += DAY
    return day


def later(day: date, months: int) -> date:
    """Month by month, then to the same day number, or as near to it as the month has."""
    year, month, number = day.year, day.month, day.day
    for _ in range(months):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    while True:
        try:
            return date(year, month, number)
        except ValueError:
            number -= 1


def last_of_month(day: date) -> date:
    while (day + DAY).month == day.month:
        day += DAY
    return day


@dataclass
class Wish:
    start: date
    fine: int
    short: bool
    count: int
    months: int
    month_end: bool
    first: int

    @classmethod
    def at_random(cls, dice: random.Random) -> "Wish":
        fine = dice.choice([dice.randint(1, 999), dice.randint(1000, 10**7), 10**9 + 1])
        return cls(
            start=date(2025, 10, 1) + dice.randint(0, 800) * DAY,
            fine=fine,
            short=dice.random() < 0.3,
            count=dice.choice([2, 3, 4, 5, 6, 8, 9, 12, 20, 24]),
            months=dice.choice([1, 1, 2, 3, 3, 4]),
            month_end=dice.random() < 0.4,
            first=dice.choice([0, 0, dice.randint(1, fine)]),
        )

    def schedule(self) -> list[tuple[date, int]]:
        """The plan, or none if Dongguan's rules do not allow it."""
        days, before, back = [], self.start, 0
        if self.month_end:
            end = next_working(last_of_month(later(self.start, self.months)))
            back = 1 if end > next_working(later(self.start, 3)) else 0
        for n in range(1, self.count + 1):
            meant = later(self.start, n * self.months - back)
            day = next_working(last_of_month(meant) if self.month_end else meant)
            longest = next_working(later(before, 3))
            if day > longest:
                if (meant.year, meant.month) > (longest.year, longest.month):
                    return []
                day = longest
            days.append(day)
            before = day
        if days[-1] > next_working(later(self.start, 6 if self.short else 24)):
            return []
        amounts, left = [], self.fine
        for n in range(self.count):
            share = self.fine // self.count
            if self.first:
                share = self.first if n == 0 else (self.fine - self.first) // (self.count - 1)
            share = left if n == self.count - 1 else share
            amounts.append(share)
            left -= share
        least = Fraction(30 if self.short else 5, 100) * self.fine
        return list(zip(days, amounts, strict=True)) if min(amounts) >= least else []


def proposed(wish: Wish) -> list[tuple[date, int]]:
    track = pb.TRACK_LITIGATION if wish.short else pb.TRACK_NON_LITIGATION
    found = propose(
        bounds_without_case(DONGGUAN, wish.start, track, wish.fine),
        rpc_pb.ProposePlanRequest(
            kind=pb.PLAN_KIND_INSTALMENTS,
            instalments=wish.count,
            first_fen=wish.first,
            interval_months=wish.months,
            month_end=wish.month_end,
        ),
    )
    assert bool(found.objection) == (not found.proposals)
    return planned(found.proposals[0].terms) if found.proposals else []


@dataclass
class History:
    served: date
    decided: int
    fine: int
    terms: list[tuple[date, date | None]]
    pauses: list[tuple[date, date]]
    payments: list[tuple[date, int]]
    reductions: dict[date, int]
    whole: bool
    as_of: date

    @classmethod
    def at_random(cls, dice: random.Random, wish: Wish) -> "History":
        served, due = wish.start, next_working(wish.start + 15 * DAY)
        changed = dice.random() < 0.3
        found = cls(
            served=served,
            decided=wish.fine,
            fine=dice.randint(0, wish.fine) if changed else wish.fine,
            terms=[(served, due)],
            pauses=[],
            payments=[],
            reductions={},
            whole=dice.random() < 0.2,
            as_of=served + dice.randint(0, 250) * DAY,
        )
        if dice.random() < 0.4:  # a plan; perhaps revoked
            begin = min(due + DAY, served + dice.randint(0, 60) * DAY)
            found.terms.append((begin, None))
            if dice.random() < 0.5:
                end = begin + dice.randint(1, 150) * DAY
                found.terms.append((end + DAY, end))
        if dice.random() < 0.3:
            begin = served + dice.randint(0, 120) * DAY
            found.pauses.append((begin, begin + dice.randint(0, 120) * DAY))
        for _ in range(dice.choice([0, 1, 1, 2, 3, 6])):
            day = served + dice.randint(-3, 200) * DAY
            most = max(wish.fine // dice.choice([1, 3, 10]), 1)
            found.payments.append((day, dice.randint(1, most)))
        if dice.random() < 0.2:
            day = served + dice.randint(20, 200) * DAY
            found.reductions[day] = dice.randint(1, wish.fine)
        return found

    def account(self) -> pb.Account:
        found = account(self.decided, self.served)
        found.fine_fen = self.fine
        found.surcharge_base = pb.SURCHARGE_BASE_FINE if self.whole else pb.SURCHARGE_BASE_UNPAID
        for begin, due in self.terms[1:]:
            found.terms.add(from_date=message(begin), due_date=message(due) if due else None)
        for first, last in self.pauses:
            found.pauses.add(from_date=message(first), to_date=message(last))
        for day, fen in self.payments:
            found.payments.add(amount_fen=fen, pay_date=message(day))
        for day, fen in self.reductions.items():
            found.reductions.add(amount_fen=fen, reduce_date=message(day))
        return found

    def by_day(self) -> tuple[int, int, int, int, int]:
        """Due, surcharge, paid, waived, outstanding at the end of the last day."""
        received: dict[date, int] = {}
        for day, fen in self.payments:
            received[day] = received.get(day, 0) + fen
        paid = hundredths = reduced = 0
        day = min([self.served, *received])
        while day <= self.as_of:
            unpaid = self.fine - paid
            in_force = [due for begin, due in self.terms if begin <= day]
            due = in_force[-1] if in_force else None
            paused = any(first <= day <= last for first, last in self.pauses)
            if due and day > due and unpaid > 0 and not paused:
                hundredths += 3 * (self.fine if self.whole else unpaid)
            surcharge = min(hundredths // 100, self.fine)
            if day in self.reductions:
                reduced += min(self.reductions[day], surcharge - reduced)
            paid += received.get(day, 0)
            day += DAY
        surcharge = min(hundredths // 100, self.fine)
        owed = self.fine + surcharge - reduced
        waived = self.decided - self.fine + reduced
        return (
            self.decided + surcharge,
            surcharge,
            min(paid, owed),
            waived,
            max(owed - paid, 0),
        )


def stated(found: pb.Account, as_of: date) -> tuple[int, int, int, int, int]:
    told = statement(found, DONGGUAN, as_of)
    assert told.paid_fen + told.outstanding_fen + told.waived_fen == told.due_fen
    return (
        told.due_fen,
        told.surcharge_fen,
        told.paid_fen,
        told.waived_fen,
        told.outstanding_fen,
    )


def filled(schedule: list[tuple[date, int]], history: History) -> list[tuple[int, Any]]:
    """Fen in each instalment and the day it was full, as money comes in, day by day."""
    full: list[tuple[int, Any]] = []
    coins = sorted(history.payments)
    money, number = 0, 0
    days: list[Any] = [None] * len(schedule)
    for day, fen in coins:
        money += fen
        while number < len(schedule) and money >= sum(fen for _, fen in schedule[: number + 1]):
            days[number] = message(day)
            number += 1
    for n, (_, fen) in enumerate(schedule):
        into = min(max(money - sum(fen for _, fen in schedule[:n]), 0), fen)
        full.append((into, days[n]))
    return full


def in_plan(schedule: list[tuple[date, int]], found: pb.Account) -> list[tuple[int, Any]]:
    plan = pb.Plan(state=pb.Plan.STATE_ACTIVE)
    for number, (_, fen) in enumerate(schedule, 1):
        plan.instalments.add(number=number, amount_fen=fen, state=pb.Instalment.STATE_DUE)
    after = refilled(plan, found.payments)
    return [
        (each.paid_fen, each.pay_date if each.HasField("pay_date") else None)
        for each in after.instalments
    ]


def test_the_service_agrees_with_a_simulation_day_by_day_on_ten_thousand_random_cases() -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice, allowed = random.Random(seed), 0
    for _ in range(CASES):
        wish = Wish.at_random(dice)
        schedule = wish.schedule()
        assert proposed(wish) == schedule, wish
        history = History.at_random(dice, wish)
        found = history.account()
        assert stated(found, history.as_of) == history.by_day(), history
        if schedule:
            allowed += 1
            assert in_plan(schedule, found) == filled(schedule, history), (schedule, history)
    assert allowed > CASES / 10
