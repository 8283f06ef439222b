"""Which services have views, and what they are made of: a new domain adds its line."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from services.aggregate import Aggregate
from services.inspection.draws import service as draws
from services.inspection.draws import views as draw_views
from services.inspection.inspections import desk as inspections
from services.inspection.inspections import views as inspection_views
from services.inspection.plans import service as plans
from services.inspection.plans import views as plan_views
from services.inspection.roster import service as roster
from services.inspection.roster import views as roster_views
from services.inspection.statistics import tally
from services.inspection.targets import service as targets
from services.inspection.targets import views as target_views
from services.inspection.visits import numbers as visit_numbers
from services.inspection.visits import service as visits
from services.inspection.visits import views as visit_views
from services.notification import service as notification
from services.notification import views as notification_views
from services.penalty import numbers as penalty_numbers
from services.penalty import service as penalty
from services.penalty import views as penalty_views
from services.rectification import service as rectification
from services.rectification import views as rectification_views


@dataclass(frozen=True)
class Projection:
    """What `aggregates` write with their `project`, and they alone: `tables`, in a schema of theirs."""

    aggregates: tuple[Aggregate[Any], ...]
    tables: tuple[Table, ...]


PROJECTIONS = {
    "inspection": Projection(
        (
            roster.DEPARTMENT,
            roster.INSPECTOR,
            targets.TARGET,
            plans.PLAN,
            draws.DRAW,
            inspections.INSPECTION,
            visits.VISIT,
        ),
        (
            roster_views.DEPARTMENT,
            roster_views.INSPECTOR,
            target_views.TARGET,
            plan_views.PLAN,
            plan_views.TASK,
            plan_views.TASK_CLAIM,
            draw_views.DRAW,
            draw_views.LOT,
            *inspection_views.TABLES,
            tally.TALLY,
            visit_views.VISIT,
            visit_numbers.VISIT_NUMBER,
        ),
    ),
    "notification": Projection((notification.NOTICE,), (notification_views.NOTICE,)),
    "penalty": Projection((penalty.CASE,), (penalty_views.CASE, penalty_numbers.DOCUMENT_NUMBER)),
    "rectification": Projection((rectification.PROBLEM,), (rectification_views.PROBLEM,)),
}
