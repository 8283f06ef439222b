"""Addresses of the Temporal Web UI's lists that an operator opens first."""

from collections.abc import Mapping
from urllib.parse import quote

from bihuan.penalty.v1 import penalty_case_pb2 as penalty_pb
from bihuan.rectification.v1 import problem_pb2 as pb
from workflows import penalty_state
from workflows.problem_state import PARTIES, STAGES

_RECTIFYING, _CLOSED = STAGES[pb.STATE_RECTIFYING], STAGES[pb.STATE_CLOSED]
_OFFICER = PARTIES[pb.PARTY_OFFICER]
_RESPONDENT = penalty_state.PARTIES[penalty_pb.PARTY_RESPONDENT]
# What each list is called, and the query for it in the UI's own language.
QUERIES: Mapping[str, str] = {
    "all loops": "",
    "overdue 逾期": "Overdue=true",
    f"stage {_RECTIFYING}": f'Stage="{_RECTIFYING}"',
    f"stage {_CLOSED}": f'Stage="{_CLOSED}"',
    f"waiting for {_OFFICER}": f'WaitingFor="{_OFFICER}"',
    f"waiting for {_RESPONDENT}": f'WaitingFor="{_RESPONDENT}"',
    "penalty cases 处罚案件": 'WorkflowType="PenaltyCaseLoop"',
    "payment plans 缴款方案": 'WorkflowType="InstalmentPlanLoop"',
    "inspections 检查": 'WorkflowType="InspectionLoop"',
}


def address(ui_url: str, namespace: str, query: str = "") -> str:
    """Of the list of the loops that `query` finds, to be opened in a browser."""
    loops = f"{ui_url}/namespaces/{quote(namespace, safe='')}/workflows"
    return f"{loops}?query={quote(query, safe='=')}" if query else loops


def links(ui_url: str, namespace: str) -> list[str]:
    """A line for each list, with its name."""
    return [f"{name}: {address(ui_url, namespace, query)}" for name, query in QUERIES.items()]
