"""Opaque page tokens (AIP-158): where a listing goes on, valid with the same request only."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from google.protobuf.message import Message

from rpc.errors import invalid_argument

DEFAULT_SIZE = 50


def page_size(request: Message) -> int:
    """How many rows the caller wants; DEFAULT_SIZE if it does not say."""
    return int(getattr(request, "page_size", 0)) or DEFAULT_SIZE


def page_token(request: Message, key: Sequence[str]) -> str:
    """A token for going on after the row whose sort key is `key`."""
    text = json.dumps([_fingerprint(request), *key])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def page_start(request: Message) -> list[str] | None:
    """The sort key to go on after; None at the start. INVALID_ARGUMENT for a foreign token."""
    token: str = getattr(request, "page_token", "")
    if not token:
        return None
    key: list[str]
    try:
        fingerprint, *key = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError, TypeError):
        fingerprint, key = "", []
    if fingerprint != _fingerprint(request) or not all(isinstance(part, str) for part in key):
        raise invalid_argument(
            "PAGE_TOKEN_INVALID",
            "page_token is not of this listing: repeat the request it came from, or start again",
            [("page_token", "must be the next_page_token of the same request")],
        )
    return key


def _fingerprint(request: Message) -> str:
    body = type(request)()
    body.CopyFrom(request)
    body.ClearField("page_token")
    body.ClearField("page_size")
    return hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest()[:16]
