"""Which services have views, and what they are made of: a new domain adds its line."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from services.aggregate import Aggregate
from services.notification import service as notification
from services.notification import views as notification_views
from services.rectification import service as rectification
from services.rectification import views as rectification_views


@dataclass(frozen=True)
class Projection:
    """What `aggregates` write with their `project`, and they alone: `tables`, in a schema of theirs."""

    aggregates: tuple[Aggregate[Any], ...]
    tables: tuple[Table, ...]


PROJECTIONS = {
    "notification": Projection((notification.NOTICE,), (notification_views.NOTICE,)),
    "rectification": Projection((rectification.PROBLEM,), (rectification_views.PROBLEM,)),
}
