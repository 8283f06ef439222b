"""Working days: weekends off, holidays off, swapped weekends on, as far as calendars are published."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, model_validator

from rules.documents import checked, read

WEEKEND = "周末"


class YearCalendar(BaseModel):
    """One year's special days: `holidays` are off although they may be weekdays, `working_weekends`
    are worked; each with its occasion. `source` is the notice that says so. Where the notice of a year
    names days of the last December too, publish the year before again with them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    year: int
    holidays: Mapping[date, str]
    working_weekends: Mapping[date, str] = {}
    source: str

    @model_validator(mode="after")
    def _check(self) -> "YearCalendar":
        for day, occasion in (*self.holidays.items(), *self.working_weekends.items()):
            if day.year != self.year:
                raise ValueError(f"{day} is not a day of {self.year}")
            if not occasion:
                raise ValueError(f"{day} has no occasion")
        for day in self.working_weekends:
            if day in self.holidays or day.weekday() < 5:
                raise ValueError(f"{day} cannot be a working weekend: a weekday or a holiday")
        return self


class Day(NamedTuple):
    """Whether a day is worked; why not, or why although; whether its year's calendar is known."""

    working: bool
    reason: str
    known: bool


@dataclass(frozen=True)
class WorkingCalendar:
    """The years known so far. A day of another year is a working day if it is a weekday: provisional."""

    years: Mapping[int, YearCalendar] = field(default_factory=dict)

    @classmethod
    def load(cls) -> "WorkingCalendar":
        """The calendars that come with the package."""
        return _built_in()

    def with_year(self, calendar: YearCalendar) -> "WorkingCalendar":
        """This calendar with one year more, or another version of it."""
        return WorkingCalendar({**self.years, calendar.year: calendar})

    def knows(self, year: int) -> bool:
        """Whether the calendar of `year` is published."""
        return year in self.years

    def day(self, day: date) -> Day:
        """What `day` is."""
        weekend = day.weekday() >= 5
        year = self.years.get(day.year)
        if year is None:
            return Day(not weekend, WEEKEND if weekend else "", known=False)
        if day in year.holidays:
            return Day(False, year.holidays[day], known=True)
        if day in year.working_weekends:
            return Day(True, f"{year.working_weekends[day]}调休", known=True)
        return Day(not weekend, WEEKEND if weekend else "", known=True)

    def on_or_after(self, day: date) -> date:
        """`day` if it is a working day, else the next one."""
        while not self.day(day).working:
            day += timedelta(days=1)
        return day


def parse_calendar(text: str, name: str) -> YearCalendar:
    """A year's calendar from YAML. ValueError names the file `name` and what is wrong in it."""
    return checked(YearCalendar, read(text, name), name)


@cache
def _built_in() -> WorkingCalendar:
    folder = files("rules") / "data" / "calendars"
    calendars = [parse_calendar(file.read_text("utf-8"), file.name) for file in folder.iterdir()]
    return WorkingCalendar({calendar.year: calendar for calendar in calendars})
