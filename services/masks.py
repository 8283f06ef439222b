"""Read masks (AIP-157): of each resource the fields that a caller wants to see."""

from typing import TypeVar, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from rpc.errors import invalid_argument

Resource = TypeVar("Resource", bound=Message)


def masked(kind: type[Resource], resources: list[Resource], mask: FieldMask) -> list[Resource]:
    """Of each resource the fields that the mask names; all of them if it names none.

    INVALID_ARGUMENT for a field that they do not have.
    """
    if not mask.paths:
        return resources
    if not mask.IsValidForDescriptor(cast(Descriptor, kind.DESCRIPTOR)):
        raise invalid_argument(
            "READ_MASK_INVALID",
            f"read_mask names what is not there: {','.join(mask.paths)}",
            [
                (
                    "read_mask",
                    f"must name fields of {kind.DESCRIPTOR.name}, none within a repeated one",
                )
            ],
        )
    parts = [kind() for _ in resources]
    for resource, part in zip(resources, parts, strict=True):
        mask.MergeMessage(resource, part)
    return parts
