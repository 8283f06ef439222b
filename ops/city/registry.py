"""Unified social credit codes and names for enterprises and departments that do not exist."""

from random import Random

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
ENTERPRISE, AUTHORITY = "91", "11"

FIRST = "华恒江维宝邗润金瑞新长宏天海润德盛远明锦"
SECOND = "扬泰源达兴丰通宇凯诚力美康林泽川科安和鑫"
SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰涛明超霞平刚桂"


def social_credit_code(rng: Random, kind: str, division: str) -> str:
    """A code by GB 32100: kind of body, division by GB/T 2260, organisation code by GB 11714, check digit."""
    body = "".join(rng.choice(ALPHABET) for _ in ORGANISATION_WEIGHTS)
    code = kind + division + body + _organisation_check(body)
    total = sum(ALPHABET.index(char) * weight for char, weight in zip(code, WEIGHTS, strict=True))
    return code + ALPHABET[(31 - total % 31) % 31]


def enterprise_name(rng: Random, district: str, trade: str, taken: set[str]) -> str:
    """A registered name that is not in `taken`, and is then."""
    while True:
        brand = rng.choice(FIRST) + rng.choice(SECOND)
        if rng.random() < 0.5:
            brand += rng.choice(SECOND)
        name = f"扬州{district}{brand}{trade}有限公司"
        if name not in taken:
            taken.add(name)
            return name


def person_name(rng: Random) -> str:
    """A name of two or three characters."""
    return rng.choice(SURNAMES) + "".join(rng.choice(GIVEN) for _ in range(rng.randint(1, 2)))


def _organisation_check(body: str) -> str:
    values = ("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(char) for char in body)
    check = 11 - sum(v * w for v, w in zip(values, ORGANISATION_WEIGHTS, strict=True)) % 11
    return {10: "X", 11: "0"}.get(check, str(check))
