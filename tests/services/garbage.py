"""Requests at random, as somebody sends who means no good: half right, with values at every edge."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

TEXTS = (
    "",
    "x",
    "\0",
    "a\nb",
    "%_\\",
    "'; DROP TABLE inspection.plan; --",
    "\u202e\u2028\u0085",
    "扬州",
    "𠮷" * 30,
    "x" * 4000,
)
WHOLE = (0, 1, -1, 2, 3, 5, 100, 2026, 2**15, 32_768, 9999, 2**31 - 1, -(2**31))
SECONDS = (
    0,
    -1,
    1_788_743_000,
    -62_135_596_800,
    253_402_300_799,
    253_402_300_800,
    2**63 - 1,
    -(2**63),
)
DATES = (
    (0, 0, 0),
    (2026, 9, 7),
    (2026, 9, 20),
    (1, 1, 1),
    (9999, 12, 31),
    (9999, 12, 30),
    (2026, 2, 30),
    (2026, 0, 0),
    (-1, 5, 5),
    (2**31 - 1, 1, 1),
    (2026, 12, 31),
    (2027, 1, 1),
)
WILDNESS = (0.02, 0.05, 0.3)
NINE = 1_788_742_800  # in the morning of 7 September 2026, Shanghai
SELDOM = frozenset({"etag", "page_token"})
Pool = Mapping[str, Sequence[Any]]
"""Of a field of that name values that are right, or nearly so."""


class Garbage:
    """Makes requests; the same `seed` makes the same ones. `pool` may grow meanwhile."""

    def __init__(self, seed: int, pool: Pool) -> None:
        self._random = random.Random(seed)
        self._wildness = 0.0
        self.pool = pool

    def request(self, kind: type[Message], **fixed: Any) -> Message:
        """A request; `fixed` fields are as given."""
        self._wildness = self._random.choice(WILDNESS)
        message = self._message(kind, 0)
        for name, value in fixed.items():
            setattr(message, name, value)
        return message

    def _message(self, kind: type[Message], depth: int) -> Message:
        descriptor: Descriptor = kind.DESCRIPTOR  # type: ignore[assignment]
        if special := SPECIAL.get(descriptor.full_name):
            return kind(**special(self._random, self._wildness))
        message = kind()
        for field in descriptor.fields:
            if self._random.random() < self._wildness + (field.name in SELDOM):
                continue
            self._fill(message, field, depth)
        return message

    def _fill(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        if field.is_repeated:
            if field.message_type and field.message_type.GetOptions().map_entry:
                return
            values = [
                self._value(field, depth) for _ in range(self._random.choice((0, 1, 1, 2, 3)))
            ]
            if field.message_type:
                getattr(message, field.name).extend(values)
            else:
                getattr(message, field.name)[:] = values
        elif field.message_type:
            getattr(message, field.name).CopyFrom(self._value(field, depth))
        else:
            setattr(message, field.name, self._value(field, depth))

    def _value(self, field: FieldDescriptor, depth: int) -> Any:
        pick = self._random
        known = self.pool.get(f"{field.containing_type.name}.{field.name}") or self.pool.get(
            field.name
        )
        if field.message_type:
            return self._message(GetMessageClass(field.message_type), depth + 1)
        if known and pick.random() > self._wildness:
            return pick.choice(known)
        match field.type:
            case FieldDescriptor.TYPE_STRING:
                if field.name in ("request_id", "id"):
                    return str(UUID(int=pick.getrandbits(128), version=4))
                return "x" if pick.random() > self._wildness else pick.choice(TEXTS)
            case FieldDescriptor.TYPE_BYTES:
                return pick.randbytes(pick.choice((0, 1, 40)))
            case FieldDescriptor.TYPE_BOOL:
                return pick.random() < 0.5
            case FieldDescriptor.TYPE_ENUM:
                values = [each.number for each in field.enum_type.values]
                return pick.choice(values[1:] if pick.random() > self._wildness else [0, 77])
            case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
                return pick.choice((0.0, -1.0, float("nan"), float("inf"), 1e300))
            case FieldDescriptor.TYPE_UINT32 | FieldDescriptor.TYPE_UINT64:
                return pick.choice([each for each in WHOLE if each >= 0])
            case FieldDescriptor.TYPE_INT64:
                return pick.choice((*WHOLE, 2**63 - 1, -(2**63)))
            case _:
                return pick.choice(WHOLE if pick.random() < self._wildness else (1, 2))


def _date(pick: random.Random, wildness: float) -> dict[str, Any]:
    wild = pick.random() < wildness
    year, month, day = pick.choice(DATES) if wild else (2026, 9, pick.randint(7, 12))
    return {"year": year, "month": month, "day": day}


def _instant(pick: random.Random, wildness: float) -> dict[str, Any]:
    if pick.random() > wildness:
        return {"seconds": NINE + pick.randint(0, 200)}
    return {"seconds": pick.choice(SECONDS), "nanos": pick.choice((0, 0, 1, -1, 999_999_999))}


def _mask(pick: random.Random, wildness: float) -> dict[str, Any]:
    paths = (
        "name",
        "etag",
        "",
        "*",
        "nothing",
        "standing.state",
        "name.x",
        "\0",
        "participants.lead",
    )
    return {"paths": pick.sample(paths, pick.choice((1, 2))) if pick.random() < wildness else []}


SPECIAL: dict[str, Callable[[random.Random, float], dict[str, Any]]] = {
    "google.type.Date": _date,
    "google.protobuf.Timestamp": _instant,
    "google.protobuf.FieldMask": _mask,
}
