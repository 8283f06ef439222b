"""Where a message holds personal data: fields marked (bihuan.types.v1.personal), however deep in it.

Worked out once for each type, so that a message that cannot hold any costs a look into a table.
What is packed in an Any, as the feed's events are, is left as it is.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple, TypeAlias, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from bihuan.types.v1 import options_pb2

# No `*.read` holds it: who may read a whole domain need not know persons.
PERMISSION = "personal.data.open"

M = TypeVar("M", bound=Message)
Open: TypeAlias = Callable[[Any], Awaitable[Any]]


class Value(NamedTuple):
    """A personal value in its message; `text` is never empty when found."""

    holder: Message
    field: FieldDescriptor
    subject_field: str

    @property
    def name(self) -> str:
        """The field's full proto name."""
        return str(self.field.full_name)

    @property
    def subject(self) -> str:
        """Whose it is."""
        return str(getattr(self.holder, self.subject_field))

    @property
    def text(self) -> str:
        return str(getattr(self.holder, self.field.name))

    def replace(self, text: str) -> None:
        """Write another text in its place."""
        setattr(self.holder, self.field.name, text)


def values(message: Message) -> Iterator[Value]:
    """Every personal value in the message, and in those within it."""
    for field, subject in marked(message.DESCRIPTOR):
        if getattr(message, field.name):
            yield Value(message, field, subject)
    for field in _leading(message.DESCRIPTOR):
        for part in _parts(message, field):
            yield from values(part)


def holds(message: Message) -> bool:
    """Whether there is any personal value in the message."""
    return reaches(message.DESCRIPTOR) and next(values(message), None) is not None


def replaced(message: M, replace: Callable[[Value], str]) -> M:
    """The message with each personal value replaced; itself, untouched, if it has none."""
    if not holds(message):
        return message
    copy = type(message)()
    copy.CopyFrom(message)
    for value in values(copy):
        value.replace(replace(value))
    return copy


def blanked(message: M) -> M:
    """The message as those see it who may not see personal data."""
    return replaced(message, lambda value: "")


def check(descriptors: Iterable[Descriptor]) -> None:
    """ValueError for a field of these messages, or of one within, that is marked as it cannot be."""
    for descriptor in descriptors:
        for within in _within(descriptor):
            marked(within)


@cache
def reaches(descriptor: Descriptor) -> bool:
    """Whether such a message, or one within it, has fields marked personal. ValueError as `check`."""
    return any(marked(within) for within in _within(descriptor))


@cache
def marked(descriptor: Descriptor) -> tuple[tuple[FieldDescriptor, str], ...]:
    """The message's own personal fields, each with the name of its subject's. ValueError as `check`."""
    return tuple(
        (field, _subject(descriptor, field)) for field in descriptor.fields if _is_marked(field)
    )


def _is_marked(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().HasExtension(options_pb2.personal))


def _subject(descriptor: Descriptor, field: FieldDescriptor) -> str:
    name = str(field.GetOptions().Extensions[options_pb2.personal].subject)
    subject = descriptor.fields_by_name.get(name)
    if not _is_text(field):
        raise ValueError(f"{field.full_name} is personal and not one string")
    if subject is None or not _is_text(subject):
        raise ValueError(f"{field.full_name}: its subject {name!r} is no string beside it")
    if _is_marked(subject):
        raise ValueError(f"{field.full_name}: its subject {name!r} is personal itself")
    return name


def _is_text(field: FieldDescriptor) -> bool:
    return field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated


def _within(descriptor: Descriptor) -> list[Descriptor]:
    """The message type and all within it, each once: types may hold themselves."""
    found = [descriptor]
    for each in found:
        inner = (field.message_type for field in each.fields if field.message_type)
        found += [other for other in dict.fromkeys(inner) if other not in found]
    return found


@cache
def _leading(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    """The fields whose messages may hold personal values."""
    return tuple(
        field for field in descriptor.fields if field.message_type and reaches(field.message_type)
    )


def _parts(message: Message, field: FieldDescriptor) -> Iterable[Message]:
    if not field.is_repeated:
        return [getattr(message, field.name)] if message.HasField(field.name) else []
    parts = getattr(message, field.name)
    entry = field.message_type
    is_map = entry is not None and entry.GetOptions().map_entry
    return list(parts.values()) if is_map else list(parts)
