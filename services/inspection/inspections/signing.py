"""Inspection codes (行政检查码) that nobody can make up: what is signed, and by which key.

docs/inspection-code.md says the same for whoever checks a code without us.
"""

import os
import secrets
import time
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bihuan.inspection.v1 import inspection_pb2 as pb
from rpc.errors import StatusError, unavailable

VERSION = "bihuan-code/1"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
RANDOM_BITS, LENGTH = 80, 26
Keys = Mapping[str, bytes]
"""Public keys, 32 bytes each as in RFC 8032, by their ids."""


class Validity(NamedTuple):
    """From when a code is valid, and until when, exclusive; whole seconds, UTC."""

    from_time: datetime
    to_time: datetime


def code_id(milliseconds: int | None = None) -> str:
    """A new ULID: 48 bits of Unix time (now, unless given), 80 that nobody can guess, 26 characters."""
    millis = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    number = (millis % (1 << 48)) << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5))


def said(inspection: pb.Inspection, valid: Validity, going: Iterable[pb.Participant]) -> str:
    """What a code's statement says after the code's id, a line each: the inspection, whose enterprise, from
    when, until when; of each department that goes its name, and of its inspectors their certificates.
    """
    lines = [inspection.name, inspection.enterprise.uscc, *map(_rfc3339, valid)]
    for participant in going:
        lines.append(participant.department)
        # Whatever a certificate is called, it is one line and begins like no other.
        lines += [f"- {' '.join(each.certificate.split())}" for each in participant.inspectors]
    return "\n".join(lines)


def statement(code: str, rest: str) -> str:
    """The canonical text that is signed: version, the code's id, and `rest` as of `said`; LF, UTF-8."""
    return f"{VERSION}\n{code}\n{rest}\n"


def genuine(code: pb.Code, keys: Keys) -> bool:
    """Whether one of `keys` signed the code's statement, and the statement is of this code, to be used then.

    A signature written in another way than we write it is none.
    """
    head = f"{VERSION}\n{code.id}\n"
    times = f"\n{_rfc3339(code.from_time.ToDatetime())}\n{_rfc3339(code.to_time.ToDatetime())}\n"
    public = keys.get(code.key)
    if public is None or not code.statement.startswith(head) or times not in code.statement:
        return False
    try:
        signature = from_text(code.signature)
        Ed25519PublicKey.from_public_bytes(public).verify(signature, code.statement.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def as_text(signature: bytes) -> str:
    """base64url without padding, RFC 4648 section 5."""
    return urlsafe_b64encode(signature).decode().rstrip("=")


def from_text(text: str) -> bytes:
    """The bytes that `as_text` makes exactly this text of. Raises ValueError for any other."""
    signature = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if as_text(signature) != text:
        raise ValueError("base64url in a form that is not canonical")
    return signature


def key_id(public: bytes) -> str:
    """What a key is called in codes: 16 hexadecimal digits of SHA-256 of its bytes. It proves nothing."""
    return sha256(public).hexdigest()[:16]


@dataclass(frozen=True)
class CodeKeys:
    """The key that signs codes, in a file of its own, and beside it in `<file>.old` those before it.

    path: PEM (PKCS 8) of an Ed25519 key; None where none is configured: no code can be issued then. The
    public halves of older keys, a line of base64 each, stay trusted. Files are read at each use, so that a
    key that was replaced is used by nobody.
    """

    path: Path | None = None

    @staticmethod
    def create(path: Path) -> "CodeKeys":
        """A new key in a new file that the owner alone may read. FileExistsError if there is one."""
        _write_new(path, Ed25519PrivateKey.generate())
        return CodeKeys(path)

    def rotate(self) -> None:
        """Sign by a new key from now on; what the old one signed stays genuine. Raises StatusError."""
        old, path = self._private(), self._path()
        with open(_old(path), "ab") as file:
            file.write(_to_line(old.public_key().public_bytes_raw()))
            file.flush()
            os.fsync(file.fileno())
        fresh = path.with_name(f"{path.name}.new")
        fresh.unlink(missing_ok=True)  # left by one that was killed
        _write_new(fresh, Ed25519PrivateKey.generate())
        fresh.replace(path)

    def mint(self, rest: str) -> pb.Code:
        """A new code whose statement ends with `rest`. UNAVAILABLE CODE_KEY_UNAVAILABLE without a key."""
        private = self._private()
        code = code_id()
        text = statement(code, rest)
        return pb.Code(
            id=code,
            signature=as_text(private.sign(text.encode())),
            key=key_id(private.public_key().public_bytes_raw()),
            statement=text,
        )

    def trusted(self) -> dict[str, bytes]:
        """Every public key that signed codes, by its id, the current one first. Raises StatusError."""
        publics = [self._private().public_key().public_bytes_raw()]
        try:
            lines = _old(self._path()).read_bytes().split()
        except FileNotFoundError:
            lines = []
        try:
            publics += [b64decode(line, validate=True) for line in lines]
        except ValueError as error:
            raise _missing("a line of the older keys is no base64") from error
        return {key_id(public): public for public in publics}

    def _path(self) -> Path:
        if self.path is None:
            raise _missing("none is configured: set BIHUAN_CODE_KEY")
        return self.path

    def _private(self) -> Ed25519PrivateKey:
        try:
            private = load_pem_private_key(self._path().read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise _missing("it cannot be read") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise _missing("it is no Ed25519 key")
        return private


def _missing(why: str) -> StatusError:
    text = f"no code can be issued or checked: the key that signs codes is not to be had: {why}"
    return unavailable("CODE_KEY_UNAVAILABLE", text)


def _old(path: Path) -> Path:
    return path.with_name(f"{path.name}.old")


def _write_new(path: Path, private: Ed25519PrivateKey) -> None:
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(descriptor)


def _to_line(public: bytes) -> bytes:
    return b64encode(public) + b"\n"


def _rfc3339(instant: datetime) -> str:
    utc = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%SZ}"
