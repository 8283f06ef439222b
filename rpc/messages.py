"""From bytes to a request that keeps its schema's rules, or to an error that names the field."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet
from protovalidate import FieldPathElementPb, FieldPathPb, ViolationPb, collect_violations

from rpc.errors import StatusError, invalid_argument

LENGTH_DELIMITED = 2
MAX_DEPTH = 100  # as protobuf's own parser
TOLD = 3  # violations in the message itself; the details name all
MAX_SEARCHED_BYTES = 1 << 18  # a search makes an object of every field

M = TypeVar("M", bound=Message)


def parse(kind: type[M], data: bytes) -> M:
    """The valid request in `data`. What a newer caller says in fields unknown here is left out.

    INVALID_ARGUMENT with the dotted paths of the fields at fault: INVALID_REQUEST when rules of
    protovalidate are broken, NOT_UTF8 for text in another encoding, MALFORMED_REQUEST otherwise.
    """
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise _unreadable(cast(Descriptor, kind.DESCRIPTOR), data) from None
    message.DiscardUnknownFields()  # in all its parts; stored, they could mean anything later
    check(message)
    return message


def check(message: Message) -> None:
    """INVALID_ARGUMENT INVALID_REQUEST unless the message keeps its protovalidate rules, its instants are
    some and no text has a NUL in it, which PostgreSQL takes in none.
    """
    violations = [
        (
            dotted(violation.proto.field),
            _told(cast(Descriptor, message.DESCRIPTOR), violation.proto),
        )
        for violation in collect_violations(message)
    ]
    violations += _impossible(message)
    if violations:
        told = "; ".join(f"{path}: {text}" if path else text for path, text in violations[:TOLD])
        more = len(violations) - TOLD
        raise invalid_argument(
            "INVALID_REQUEST", f"{told}; and {more} more" if more > 0 else told, violations
        )


def _impossible(message: Message, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Fields that hold what is no text or no instant to anybody, whatever their rules."""
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if not field.is_repeated:
            yield from _impossible_value(path, value)
        elif field.message_type and field.message_type.GetOptions().map_entry:
            for key, each in value.items():
                quoted = f'{path}["{key}"]' if isinstance(key, str) else f"{path}[{key}]"
                yield from _impossible_value(path, key)
                yield from _impossible_value(quoted, each)
        else:
            for index, each in enumerate(value):
                yield from _impossible_value(f"{path}[{index}]", each)


def _impossible_value(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Timestamp):
        try:
            value.ToDatetime()
        except (ValueError, OverflowError):
            yield path, "must be an instant of the years 1 to 9999"
    elif isinstance(value, Message):
        yield from _impossible(value, f"{path}.")
    elif isinstance(value, str) and "\0" in value:
        yield path, "must have no NUL in it"


def compile_rules(descriptor: Descriptor, compiled: set[str]) -> None:
    """Compiles the rules of a message and of those in it, but for names in `compiled`.

    protovalidate's CompilationError or EvaluationError for a rule that cannot work, be it on an
    empty message only: any caller can send one.
    """
    if descriptor.full_name in compiled:
        return
    compiled.add(descriptor.full_name)
    collect_violations(GetMessageClass(descriptor)())
    for field in descriptor.fields:
        if field.message_type:
            compile_rules(field.message_type, compiled)


def dotted(path: FieldPathPb | None) -> str:
    """A path as `items[2].title` or `labels["k"].value`; empty for a rule on the whole message."""
    return ".".join(_step(element) for element in path.elements) if path else ""


def _told(descriptor: Descriptor, violation: ViolationPb) -> str:
    """What is wrong, in words; of an enum that must be stated, which values there are."""
    text = violation.message or violation.rule_id
    if violation.rule_id != "enum.not_in" or violation.field is None:
        return text
    field: FieldDescriptor | None = None
    for element in violation.field.elements:
        field = descriptor.fields_by_name.get(element.field_name)
        if field is None:  # within a map
            return text
        descriptor = field.message_type or descriptor
    if field is None or not field.enum_type:
        return text
    return f"must be one of {', '.join(v.name for v in field.enum_type.values if v.number)}"


def _step(element: FieldPathElementPb) -> str:
    if element.subscript is None:
        return element.field_name
    key = element.subscript.value
    quoted = f'"{key}"' if isinstance(key, str) else str(key)
    return f"{element.field_name}[{quoted}]"


def _unreadable(descriptor: Descriptor, data: bytes) -> StatusError:
    path = find_not_utf8(descriptor, data)
    if path is None:
        return invalid_argument(
            "MALFORMED_REQUEST", f"the request is not a {descriptor.full_name} in protobuf encoding"
        )
    return invalid_argument(
        "NOT_UTF8", f"{path}: must be UTF-8 text", [(path, "must be UTF-8 text")]
    )


def find_not_utf8(descriptor: Descriptor, data: bytes, depth: int = MAX_DEPTH) -> str | None:
    """The dotted path of the first string field whose bytes are not UTF-8, None if there is none.

    Bytes that are not protobuf, or too many or too deep to search, have none. Entries of a map are
    numbered as they come: `labels[0].key`.
    """
    if depth == 0 or len(data) > MAX_SEARCHED_BYTES:
        return None
    try:
        fields = UnknownFieldSet(Empty.FromString(data))  # to Empty every field is unknown
    except DecodeError:
        return None
    seen: Counter[str] = Counter()
    for found in map(fields.__getitem__, range(len(fields))):
        field = descriptor.fields_by_number.get(found.field_number)
        if field is None or found.wire_type != LENGTH_DELIMITED:
            continue
        path = f"{field.name}[{seen[field.name]}]" if field.is_repeated else field.name
        seen[field.name] += 1
        if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(found.data):
            return path
        if field.message_type:
            inner = find_not_utf8(field.message_type, found.data, depth - 1)
            if inner:
                return f"{path}.{inner}"
    return None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
