"""Reads recorded events as messages, those of old versions as what they mean today. Pure.

Whoever folds events reads them here and nowhere else: services, rebuilds, loops and the relay.
"""

from collections.abc import Collection
from functools import cache

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from services.upcasts import UPCASTS


class UnknownEvent(Exception):
    """This build is older than the event: to skip it would show what did not happen."""

    def __init__(
        self, type_name: str, stream: str = "", version: int = 0, position: int | None = None
    ) -> None:
        where = f", version {version} of {stream}" if stream else ""
        at = f" at position {position}" if position else ""
        super().__init__(f"this build does not know {type_name}{where}{at}: upgrade it")
        self.type = type_name
        self.stream = stream
        self.version = version
        self.position = position


class EventUnreadable(DecodeError):
    """Its bytes are no message of its type: somebody changed them behind the database's back."""


def read(
    type_name: str,
    data: bytes,
    stream: str,
    version: int,
    position: int | None = None,
    *,
    known: Collection[type[Message]] | None = None,
) -> tuple[Message, ...]:
    """What a recorded event means today: one message, or several if it was split since.

    known: what the caller can fold; None for whatever is defined. Raises UnknownEvent, EventUnreadable.
    """
    try:
        kind = _class_of(type_name)
        if type_name not in UPCASTS and (known is None or kind in known):
            return (kind.FromString(data),)
        messages = _today(kind.FromString(data))
    except UnknownEvent:
        raise UnknownEvent(type_name, stream, version, position) from None
    except DecodeError as error:
        where = f"version {version} of {stream}"
        raise EventUnreadable(f"{where} is no {type_name}: see `bihuan verify`") from error
    for message in messages:
        if known is not None and type(message) not in known:
            raise UnknownEvent(message.DESCRIPTOR.full_name, stream, version, position)
    return messages


def parse(type_name: str, data: bytes) -> Message:
    """An event as it was recorded. UnknownEvent if no module loaded defines `type_name`."""
    return _class_of(type_name).FromString(data)


@cache
def _class_of(type_name: str) -> type[Message]:
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(type_name)
    except KeyError:
        raise UnknownEvent(type_name) from None
    return message_factory.GetMessageClass(descriptor)


def _today(message: Message) -> tuple[Message, ...]:
    upcast = UPCASTS.get(message.DESCRIPTOR.full_name)
    if upcast is None:
        return (message,)
    return tuple(
        last
        for newer in upcast(message)
        # What stays of its type has its last shape; what becomes another may have become old, too.
        for last in ((newer,) if type(newer) is type(message) else _today(newer))
    )
