"""StatisticsService: the figures of a year, over gRPC."""

from datetime import date
from typing import Any, TypeAlias

from sqlalchemy import text

from bihuan.inspection.v1 import statistics_service_pb2 as pb
from bihuan.inspection.v1 import statistics_service_pb2_grpc
from eventstore import EventStore
from rpc.identity import require_unscoped
from rules import Clock, Rules, UnknownRule, legal_date
from services.calendar.shelf import CalendarShelf
from services.inspection.statistics import views
from services.inspection.statistics.figures import Flag, figures, statistics

Context: TypeAlias = Any
LEAST_RATINGS = 5  # of which the scores are told
# Days in a row, and the rule that says how many inspections within them are not flagged yet.
FLAGS = ((1, "inspection.flag_day"), (7, "inspection.flag_week"), (30, "inspection.flag_month"))


class StatisticsService(statistics_service_pb2_grpc.StatisticsServiceServicer):
    """Reads views alone; all figures of an answer are of one moment."""

    def __init__(self, store: EventStore, shelf: CalendarShelf, clock: Clock) -> None:
        self._engine = store.engine
        self._shelf = shelf
        self._clock = clock

    async def GetStatistics(
        self, request: pb.GetStatisticsRequest, context: Context
    ) -> pb.Statistics:
        require_unscoped()
        today = legal_date(self._clock.now())
        year = request.year or today.year
        flags = _flags(self._rules(request.district), today)
        async with self._engine.connect() as conn:
            await conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            now, before = [
                figures(
                    await views.sums(
                        conn, views.Scope(each, request.district, request.department), flags
                    ),
                    flags,
                )
                for each in (year, year - 1)
            ]
        answer = statistics(year, _discreet(now), _discreet(before))
        answer.district, answer.department = request.district, request.department
        return answer

    def _rules(self, district: str) -> Rules:
        return self._shelf.rules.at(district) if district else self._shelf.rules


def _discreet(figures: pb.Figures) -> pb.Figures:
    """The figures without what few enterprises thought: a department that asks for its own would read in them
    who gave which score, and it was promised that it does not.
    """
    if figures.ratings.count < LEAST_RATINGS:
        figures.ratings.ClearField("mean")
        figures.ratings.ClearField("distribution")
    return figures


def _flags(rules: Rules, on: date) -> list[Flag]:
    """The flags by the rules of that day, one measure for whatever years; none where a place has no rules."""
    try:
        return [
            Flag(days, rules.number(rule, on), rules.reference(rule, on)) for days, rule in FLAGS
        ]
    except UnknownRule:
        return []
