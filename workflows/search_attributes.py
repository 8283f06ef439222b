"""What operators filter loops by in the Temporal Web UI."""

from collections.abc import Mapping, Sequence
from typing import Any

from temporalio.common import SearchAttributeKey

STAGE = SearchAttributeKey.for_keyword("Stage")
WAITING_FOR = SearchAttributeKey.for_keyword("WaitingFor")
ENTERPRISE = SearchAttributeKey.for_keyword("Enterprise")
DISTRICT = SearchAttributeKey.for_keyword("District")
RISK = SearchAttributeKey.for_keyword("Risk")
DUE = SearchAttributeKey.for_datetime("Due")
OVERDUE = SearchAttributeKey.for_bool("Overdue")

KEYS: Sequence[SearchAttributeKey[Any]] = (
    STAGE,
    WAITING_FOR,
    ENTERPRISE,
    DISTRICT,
    RISK,
    DUE,
    OVERDUE,
)
# Name to type, as `temporal operator search-attribute create` takes them.
SEARCH_ATTRIBUTES: Mapping[str, str] = {
    "Stage": "Keyword",
    "WaitingFor": "Keyword",
    "Enterprise": "Keyword",
    "District": "Keyword",
    "Risk": "Keyword",
    "Due": "Datetime",
    "Overdue": "Bool",
}
