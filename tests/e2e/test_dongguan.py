"""Six fines of Dongguan as an officer sees them played: each figure of each account, counted by hand.

Every decision is served on 2026-09-29 and payable by 2026-10-14, 15 days later (行政处罚法第六十七条).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FEN = 100  # a yuan
# Company, and the lines of its account: day, what, amount and balance in fen.
LEDGERS = {
    # The floor of the range 20,000 to 200,000 at 0 points; deferred, so that no day bears surcharge.
    "东莞市石碣恒明五金加工店": [
        ("2026-09-29", "罚款", 20_000 * FEN, 20_000 * FEN),
        ("2027-03-22", "缴款", -20_000 * FEN, 0),
    ],
    # 20,000 + 180,000 x 12 points = 41,600.00; a sixth is 6,933.33, the last 6,933.35. Three are paid when
    # due, the other three at once: 41,600.00 - 3 x 6,933.33 = 20,800.01.
    "东莞市万江康泰印刷部": [
        ("2026-09-29", "罚款", 4_160_000, 4_160_000),
        ("2026-11-05", "缴款", -693_333, 3_466_667),
        ("2026-12-07", "缴款", -693_333, 2_773_334),
        ("2027-01-05", "缴款", -693_333, 2_080_001),
        ("2027-01-20", "缴款", -2_080_001, 0),
    ],
    # 100,000.00, the floor. Late: surcharge from 10-15 until the day before the consent of 10-22, 7 days x
    # 3% x 100,000.00 = 21,000.00, of which 7,000.00 are given up. Four quarters of 25,000.00.
    "东莞市宏达纸业有限公司": [
        ("2026-09-29", "罚款", 100_000 * FEN, 100_000 * FEN),
        ("2026-10-21", "加处罚款", 21_000 * FEN, 121_000 * FEN),
        ("2027-01-14", "缴款", -25_000 * FEN, 96_000 * FEN),
        ("2027-04-14", "缴款", -25_000 * FEN, 71_000 * FEN),
        ("2027-07-14", "缴款", -25_000 * FEN, 46_000 * FEN),
        ("2027-10-14", "缴款", -25_000 * FEN, 21_000 * FEN),
        ("2027-10-20", "减免加处罚款", -7_000 * FEN, 14_000 * FEN),
        ("2027-10-26", "缴款", -14_000 * FEN, 0),
    ],
    # 100,000 + 900,000 x (20 + 10 + 5) points = 415,000.00; an eighth is 51,875.00.
    "东莞市华茂化工有限公司": [
        ("2026-09-29", "罚款", 415_000 * FEN, 415_000 * FEN),
        ("2027-01-04", "缴款", -51_875 * FEN, 363_125 * FEN),
        ("2027-04-04", "缴款", -51_875 * FEN, 311_250 * FEN),
        ("2027-07-04", "缴款", -51_875 * FEN, 259_375 * FEN),
        ("2027-10-04", "缴款", -51_875 * FEN, 207_500 * FEN),
        ("2028-01-04", "缴款", -51_875 * FEN, 155_625 * FEN),
        ("2028-04-04", "缴款", -51_875 * FEN, 103_750 * FEN),
        ("2028-07-04", "缴款", -51_875 * FEN, 51_875 * FEN),
        ("2028-10-04", "缴款", -51_875 * FEN, 0),
    ],
    # 50,000 + 150,000 x (20 + 10 + 10) points = 110,000.00; a twelfth is 9,166.66. Four are paid, 73,333.36
    # fall due on 2027-04-16, the day of the revocation. Surcharge from 04-17 to 05-20, 14 + 20 = 34 days x 3%
    # x 73,333.36 = 74,800.0272, down to a fen.
    "东莞市立新电镀有限公司": [
        ("2026-09-29", "罚款", 11_000_000, 11_000_000),
        ("2026-11-06", "缴款", -916_666, 10_083_334),
        ("2026-12-08", "缴款", -916_666, 9_166_668),
        ("2027-01-06", "缴款", -916_666, 8_250_002),
        ("2027-02-06", "缴款", -916_666, 7_333_336),
        ("2027-05-20", "加处罚款", 7_480_002, 14_813_338),
        ("2027-05-20", "缴款", -14_813_338, 0),
    ],
    # 100,000 + 900,000 x 10 points = 190,000.00; a third is 63,333.33. The judgment lowers it to 150,000.00,
    # as if decided so: the last instalment is 150,000.00 - 2 x 63,333.33 = 23,333.34.
    "东莞市盛源印染有限公司": [
        ("2026-09-29", "罚款", 190_000 * FEN, 190_000 * FEN),
        ("2026-09-29", "罚款减少", -40_000 * FEN, 150_000 * FEN),
        ("2026-12-04", "缴款", -6_333_333, 8_666_667),
        ("2027-02-03", "缴款", -6_333_333, 2_333_334),
        ("2027-04-02", "缴款", -2_333_334, 0),
    ],
}
DEFAULTED = "东莞市立新电镀有限公司"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `bihuan demo dongguan --json` prints."""
    command = [str(Path(sys.executable).with_name("bihuan")), "demo", "dongguan", "--json"]
    ended = subprocess.run(
        [*command, "--day-seconds", "0.08"],
        env=os.environ | {"BIHUAN_HOME": str(tmp_path_factory.mktemp("dongguan"))},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    print(ended.stderr)
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


@pytest.mark.parametrize("company", LEDGERS)
def test_every_figure_of_an_account_is_the_one_counted_by_hand(
    company: str, played: dict[str, Any]
) -> None:
    rows = [row for row in played["ledger"] if row["enterprise"] == company]
    lines = [(row["date"], row["kind"], row["amount_fen"], row["balance_fen"]) for row in rows]
    assert lines == LEDGERS[company]
    assert sum(amount for _, _, amount, _ in lines) == 0, "it is all paid or waived"


def test_every_case_is_closed_and_every_loop_has_ended(played: dict[str, Any]) -> None:
    assert {case["final_state"] for case in played["cases"]} == {"STATE_CLOSED"}
    assert played["workflows"] == 2 * len(LEDGERS), "of each case, and of its plan"


def test_only_the_one_who_defaulted_missed_a_payment(played: dict[str, Any]) -> None:
    for case in played["cases"]:
        kinds = [stage["event"] for stage in case["stages"]]
        defaulted = case["enterprise"] == DEFAULTED
        assert ("PlanRevoked" in kinds) == defaulted, kinds
        assert "PlanGranted" in kinds
        # The others pay before they are reminded, or as they are.
        assert case["reminders"] or not defaulted
