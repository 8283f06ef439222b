"""Envelope encryption: values sealed with their subject's data key, that key wrapped by a master key.

A sealed value is a text, so that it fits where the value was, and is bound to its subject and its
field: moved to another it does not open. AES-256-GCM throughout, each time with a fresh nonce.
"""

import hashlib
import hmac
import os
import re
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID_BYTES = 8
TOKEN = re.compile(r"sealed\.v1\.([0-9a-f]{32})\.([A-Za-z0-9_-]{38,}={0,2})")


class NotWhole(ValueError):
    """It was not sealed, or wrapped, as it is now: changed, moved, or cut off."""


class MasterKeyMissing(Exception):
    """The key-encryption key is not to be had, so nothing can be sealed or opened."""


class KeyService(Protocol):
    """What holds the key-encryption key: a file, or a KMS in another process that never gives it out."""

    async def wrap(self, key: bytes) -> bytes:
        """The key as only this service can read it. Raises MasterKeyMissing."""
        ...

    async def unwrap(self, wrapped: bytes) -> bytes:
        """The key that `wrap` was given. Raises NotWhole, and MasterKeyMissing."""
        ...


class DataKey(NamedTuple):
    """The key of one subject."""

    id: UUID
    secret: bytes


def seal(key: DataKey, subject: str, field: str, text: str) -> str:
    """`text` as a token that opens for this subject and this field only."""
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + AESGCM(key.secret).encrypt(nonce, text.encode(), _bound(subject, field))
    return f"sealed.v1.{key.id.hex}.{urlsafe_b64encode(sealed).decode()}"


def key_id(token: str) -> UUID | None:
    """Which data key sealed it; None if it is no token."""
    match = TOKEN.fullmatch(token)
    return UUID(match[1]) if match else None


def unseal(key: DataKey, subject: str, field: str, token: str) -> str:
    """What was sealed. Raises NotWhole for anything but a token of this key, subject and field."""
    match = TOKEN.fullmatch(token)
    if match is None or match[1] != key.id.hex:
        raise NotWhole("not a token of this key")
    try:
        sealed = urlsafe_b64decode(match[2])
        if urlsafe_b64encode(sealed).decode() != match[2]:
            raise NotWhole("a token in a form that is not canonical")
        nonce, content = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        return AESGCM(key.secret).decrypt(nonce, content, _bound(subject, field)).decode()
    except (InvalidTag, ValueError) as error:
        raise NotWhole(f"a token of {field} does not open") from error


def fingerprint(key: DataKey, subject: str, field: str, text: str) -> str:
    """The same for the same text, and tells nothing of it to whoever does not have the key.

    A bare hash would: all telephone numbers there are can be tried on it.
    """
    secret = HKDFExpand(SHA256(), KEY_BYTES, b"bihuan fingerprint v1").derive(key.secret)
    content = _bound(subject, field) + b"\0" + text.encode()
    return hmac.new(secret, content, hashlib.sha256).hexdigest()


def _bound(subject: str, field: str) -> bytes:
    # A field's name has no NUL in it, and the subject has its length before it.
    name = subject.encode()
    return b"bihuan personal v1\0%s\0%d\0%s" % (field.encode(), len(name), name)


class MasterKeyFile:
    """Key-encryption keys in a file, one a line in base64: the first wraps, each unwraps its own.

    Read at each use, so that a rotation needs no restart; without a path there is no master key.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @classmethod
    def create(cls, path: Path) -> "MasterKeyFile":
        """A new key in a new file that its owner alone may read. Raises FileExistsError."""
        _write(path, [os.urandom(KEY_BYTES)])
        return cls(path)

    def rotate(self) -> None:
        """Put a new key before the others: it wraps from now on. Raises MasterKeyMissing, OSError."""
        self._replace([os.urandom(KEY_BYTES), *self.keys()])

    def retire(self) -> None:
        """Drop every key but the first; what they wrapped is lost. As `rotate`."""
        self._replace(self.keys()[:1])

    def is_current(self, wrapped: bytes) -> bool:
        """Whether the first key wrapped it."""
        return wrapped[1 : 1 + KEY_ID_BYTES] == master_id(self.keys()[0])

    def _replace(self, keys: list[bytes]) -> None:
        if self._path is None:
            raise MasterKeyMissing("no master key is configured")
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.unlink(missing_ok=True)  # left by one that was killed
        _write(fresh, keys)
        fresh.replace(self._path)

    async def wrap(self, key: bytes) -> bytes:
        """Version, id of the master key, nonce, ciphertext."""
        master = self.keys()[0]
        head, nonce = b"\x01" + master_id(master), os.urandom(NONCE_BYTES)
        return head + nonce + AESGCM(master).encrypt(nonce, key, head)

    async def unwrap(self, wrapped: bytes) -> bytes:
        """As KeyService says."""
        head, rest = wrapped[: 1 + KEY_ID_BYTES], wrapped[1 + KEY_ID_BYTES :]
        masters = {b"\x01" + master_id(key): key for key in self.keys()}
        if head not in masters:
            raise MasterKeyMissing(f"{self._path} does not hold master key {head[1:].hex()}")
        try:
            return AESGCM(masters[head]).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], head)
        except (InvalidTag, ValueError) as error:
            raise NotWhole("a wrapped key does not open") from error

    def keys(self) -> list[bytes]:
        """The keys, the current one first. Raises MasterKeyMissing."""
        if self._path is None:
            raise MasterKeyMissing("no master key is configured: set BIHUAN_MASTER_KEY")
        try:
            keys = [b64decode(line, validate=True) for line in self._path.read_text().split()]
        except (OSError, ValueError) as error:
            raise MasterKeyMissing(f"cannot use the key file: {error}") from error
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise MasterKeyMissing(
                f"{self._path} does not hold keys of {KEY_BYTES} bytes in base64"
            )
        return keys


def master_id(key: bytes) -> bytes:
    """What a master key is called in what it wraps."""
    return hashlib.sha256(b"bihuan master key\0" + key).digest()[:KEY_ID_BYTES]


def _write(path: Path, keys: list[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.writelines(f"{b64encode(key).decode()}\n" for key in keys)
        file.flush()
        os.fsync(descriptor)
