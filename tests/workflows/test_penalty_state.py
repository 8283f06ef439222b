"""Whose move an operator sees that it is, wherever a case stands."""

import pytest

from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop, PenaltyStanding
from services.penalty.proceeding import PARTIES
from workflows.penalty_state import waits_for


@pytest.mark.parametrize(
    ("state", "deadlines", "overdue", "who"),
    [
        (pb.STATE_CLUE, [], [pb.DUTY_FILING], "承办人员"),
        (pb.STATE_NOTIFIED, [pb.DUTY_STATEMENT, pb.DUTY_DECISION], [], "当事人"),
        (pb.STATE_NOTIFIED, [pb.DUTY_STATEMENT], [pb.DUTY_DECISION], "承办人员"),
        (pb.STATE_HEARING, [], [], "承办人员"),
        (pb.STATE_PAYING, [pb.DUTY_PAYMENT, pb.DUTY_SUIT], [], "当事人"),
        (pb.STATE_PAYING, [pb.DUTY_SUIT], [pb.DUTY_PAYMENT], "承办人员"),
        (pb.STATE_PAYING, [pb.DUTY_SUIT, pb.DUTY_DEMAND], [pb.DUTY_PAYMENT], "当事人"),
        (pb.STATE_ENFORCING, [], [pb.DUTY_PAYMENT], "法院"),
        (pb.STATE_PERFORMED, [pb.DUTY_RECONSIDERATION, pb.DUTY_SUIT], [], "承办人员"),
        (pb.STATE_CLOSED, [], [], "无"),
    ],
)
def test_a_case_waits_for_whoever_can_move_it(
    state: pb.State.ValueType,
    deadlines: list[pb.Duty.ValueType],
    overdue: list[pb.Duty.ValueType],
    who: str,
) -> None:
    open_ = [pb.OpenDeadline(duty=duty, party=PARTIES[duty]) for duty in deadlines]
    standing = pb.Standing(state=state, deadlines=open_, overdue=overdue)
    assert waits_for(PenaltyLoop(known=PenaltyStanding(standing=standing))) == who
