"""What the synthetic city assumes. docs/yangzhou.md says of each number why it was chosen.

They were written down before the regimes were first compared, and none is there to reach a figure.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

CITY = "321000"
YEAR = 2026
ENTERPRISES = 3392

# District, GB/T 2260, with its short name and share of the enterprises.
DISTRICTS = {
    "321002": ("广陵", 0.16),
    "321003": ("邗江", 0.24),
    "321012": ("江都", 0.22),
    "321023": ("宝应", 0.10),
    "321081": ("仪征", 0.16),
    "321084": ("高邮", 0.12),
}

# Class of GB/T 4754 with the word for it in a name, and share of the enterprises.
INDUSTRIES = {
    "A0313": ("牧业", 0.01),
    "A0141": ("农业发展", 0.01),
    "B1019": ("矿业", 0.01),
    "C1310": ("粮油食品", 0.06),
    "C1713": ("纺织印染", 0.06),
    "C2221": ("纸业", 0.02),
    "C2511": ("石油化工", 0.01),
    "C2614": ("化工", 0.08),
    "C2710": ("制药", 0.03),
    "C3021": ("建材", 0.05),
    "C3311": ("金属制品", 0.10),
    "C3411": ("机械", 0.09),
    "C3670": ("汽车零部件", 0.06),
    "C3824": ("电气", 0.08),
    "C3982": ("电子", 0.05),
    "D4411": ("热电", 0.02),
    "D4620": ("水务", 0.01),
    "E4710": ("建设工程", 0.07),
    "F5191": ("商贸", 0.07),
    "F5211": ("百货", 0.05),
    "G5432": ("物流运输", 0.04),
    "G5942": ("危化品仓储", 0.02),
}


class Office(NamedTuple):
    """A department: its name, and the share of the enterprises that have what it supervises."""

    name: str
    share: float


# By field of enforcement. An enterprise is in a department's register with this chance, if the published list
# has an item of the field that concerns its industry.
OFFICES = {
    "ecology": Office("扬州市生态环境局", 0.6),
    "emergency": Office("扬州市应急管理局", 0.7),
    "fire": Office("扬州市消防救援支队", 0.7),
    "market": Office("扬州市市场监督管理局", 0.9),
    "transport": Office("扬州市交通运输局", 0.3),
    "water": Office("扬州市水利局", 0.25),
    "health": Office("扬州市卫生健康委员会", 0.5),
    "labour": Office("扬州市人力资源和社会保障局", 0.8),
    "housing": Office("扬州市住房和城乡建设局", 0.4),
    "urban": Office("扬州市城市管理局", 0.4),
    "agriculture": Office("扬州市农业农村局", 0.15),
    "resources": Office("扬州市自然资源和规划局", 0.2),
}
TARGETS_OF_INSPECTOR = 10

# Plans as they were made in the past.
PAST_ONCE = 0.5
PAST_TWICE = 0.2
PUNISHED_TIMES = 1
KEY_SHARE = 0.1
FIRE_KEY_SHARE = 0.1
HAZARDOUS = ("C25", "C26", "G59")
STATUTORY_TIMES = 1
ALONE_SHARE = 0.03

# Hidden truth.
VIOLATIONS_A_YEAR = 0.1
PROPENSITY_SIGMA = 1.0
FIELD_SIGMA = 0.5
DURATION_DAYS = 180
GRAVITY = {"minor": 0.35, "general": 0.5, "serious": 0.15}
RUN_UP = date(2024, 7, 1)

# What looking sees.
SEEN_ON_SITE = 0.8
SEEN_IN_DATA = 0.7
FALSE_ALARM = 0.02

# What became known in the year before.
PENALISED = {"minor": 0.0, "general": 0.2, "serious": 0.8}
CLOSED_SHARE = 0.9
CLOSED_DAYS = 60
COMPLAINT_SHARE = 0.05
ALERT_SHARE = 0.3
HONOUR_SHARE = 0.03

# Data: share of the enterprises in the register that have them, by who holds them, and who holds which.
HELD_BY_THE_STATE = 0.9
UPLOADED = 0.6
SENSORS = 0.4
DATA = {
    "permit_report": "HELD_BY_THE_STATE",
    "equipment_register": "HELD_BY_THE_STATE",
    "annual_report": "HELD_BY_THE_STATE",
    "satellite_image": "HELD_BY_THE_STATE",
    "wage_data": "HELD_BY_THE_STATE",
    "waste_manifest": "UPLOADED",
    "safety_report": "UPLOADED",
    "health_report": "UPLOADED",
    "waste_contract": "UPLOADED",
    "sales_ledger": "UPLOADED",
    "self_monitoring": "SENSORS",
    "fire_sensors": "SENSORS",
    "weighing_data": "SENSORS",
    "water_meter": "SENSORS",
    "drain_sensors": "SENSORS",
}
ARRIVES = 0.9

# How grades steer, where rules/ leave it open.
TIMES_WITHOUT_CAP = 4
HIGH_RISK_FROM = 0.5
# Within how many days somebody goes where a report shows something amiss.
CLUE_DAYS = 30


def share_of(word: str) -> float:
    """Share of the enterprises that have that kind of data."""
    return float(globals()[DATA[word]])


@contextmanager
def assuming(others: Mapping[str, float]) -> Iterator[None]:
    """Other numbers while the block runs, by name, to see how much hangs on one. ValueError names what is no
    number of these assumptions.
    """
    before = {}
    for name, value in others.items():
        kind = type(globals().get(name))
        if kind not in (int, float) or (kind is int and value != int(value)):
            raise ValueError(f"{name}={value:g} is no assumption that another number fits")
        before[name] = (globals()[name], kind(value))
    globals().update({name: new for name, (_, new) in before.items()})
    try:
        yield
    finally:
        globals().update({name: old for name, (old, _) in before.items()})
