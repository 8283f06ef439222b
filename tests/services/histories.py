"""Random histories: any events in any order, since folding never fails."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

MOST_DEPTH = 3
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_STRING: st.text("许abc", max_size=4),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_INT32: st.integers(0, 5),
    FieldDescriptor.CPPTYPE_INT64: st.integers(0, 5),
    FieldDescriptor.CPPTYPE_ENUM: st.integers(0, 3),
    FieldDescriptor.CPPTYPE_DOUBLE: st.sampled_from((0.0, 0.5)),
}


@st.composite
def messages(draw: st.DrawFn, kind: type[Message], depth: int = MOST_DEPTH) -> Message:
    """A message of `kind` with some of its fields set."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_BYTES or not draw(st.booleans()):
            continue
        for _ in range(draw(st.integers(1, 2)) if field.is_repeated else 1):
            if field.message_type is None:
                value = draw(SCALARS[field.cpp_type])
            elif not depth:
                break
            else:
                value = draw(messages(field.message_type._concrete_class, depth - 1))
            _put(message, field, value)
    return message


def _put(message: Message, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        getattr(message, field.name).append(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)
