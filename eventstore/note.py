"""Lets anybody check who vouches for a text: signed notes as in C2SP signed-note, with Ed25519.

A note is a text, a blank line, and a line for each signature. Text and signature have one form:
what could be written otherwise is refused. Signatures by keys that a reader does not know change
nothing for that reader.
"""

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

MAX_SIGNATURES = 64
_ED25519 = b"\x01"
_SIGNATURE = re.compile("— ([^ \n]+) ([^ \n]+)\n")


class NoteInvalid(ValueError):
    """A text is no signed note, or not one that a known key vouches for. The message says why."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a key: its name, and 32 bytes as in RFC 8032. `str` gives its text form,
    `<name>+<id in hex>+<base64 of the type and the bytes>`. Raises ValueError for a name with
    spaces or a plus sign.
    """

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not self.name or any(c.isspace() or c < " " or c == "+" for c in self.name):
            raise ValueError(f"{self.name!r} cannot name a key")
        Ed25519PublicKey.from_public_bytes(self.public)

    @property
    def id(self) -> bytes:
        """4 bytes that tell keys of one name apart; they prove nothing."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{to_base64(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """The key that this is the text form of. Raises ValueError, also for other key types."""
        name, _, rest = text.partition("+")
        content = from_base64(rest.partition("+")[2])
        if content[:1] != _ED25519:
            raise ValueError(f"{name} is no Ed25519 key")
        key = cls(name, content[1:])
        if str(key) != text:
            raise ValueError(f"the id of key {name} does not fit its content")
        return key


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs, and its name."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> "SigningKey":
        """A new key."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """The key that was written to `path`. Raises OSError, or ValueError if it is damaged."""
        verifier = VerifierKey.parse(_public(path).read_text("utf-8").removesuffix("\n"))
        private = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError(f"{path} holds no Ed25519 key")
        key = cls(verifier.name, private)
        if key.verifier != verifier:
            raise ValueError(f"{path} and {_public(path)} are not of one key")
        return key

    def write(self, path: Path) -> None:
        """Write it to a new file that the owner alone may read, as PEM (PKCS 8), and its verifier
        key to `path`.pub. Raises FileExistsError: a key is never overwritten.
        """
        pem = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = f"{self.verifier}\n".encode()
        if _public(path).exists():
            raise FileExistsError(f"{_public(path)} belongs to another key")
        _write_new(path, pem, 0o600)
        _write_new(_public(path), public, 0o644)

    @property
    def verifier(self) -> VerifierKey:
        """The key that verifies what this one signs."""
        return VerifierKey(self.name, self.private.public_key().public_bytes_raw())


def _public(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def sign(text: str, *keys: SigningKey) -> str:
    """The note of a text signed by each key. Raises ValueError for a text that no note can have."""
    _check_text(text)
    if not keys or not text.endswith("\n"):
        raise ValueError("a note has a text that ends its last line, and a signature")
    content = text.encode()
    lines = [
        f"— {key.name} {to_base64(key.verifier.id + key.private.sign(content))}\n" for key in keys
    ]
    return "".join([text, "\n", *lines])


def verify(note: str, keys: Sequence[VerifierKey]) -> str:
    """The text of a note, once every signature by one of `keys` was verified, and there is one.

    Signatures by others are ignored. Raises NoteInvalid. Read notes from files as bytes and decode
    them: reading as text may change the ends of lines.
    """
    text, signatures = split(note)
    known = {(key.name, key.id): key for key in keys}
    verified = set()
    for name, signature in signatures:
        key = known.get((name, signature[:4]))
        if key is None:
            continue
        if key in verified:
            raise NoteInvalid(f"{key.name} signed the note twice")
        _verify(key, signature[4:], text.encode())
        verified.add(key)
    if not verified:
        raise NoteInvalid("no known key signed the note")
    return text


def _verify(key: VerifierKey, signature: bytes, content: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, content)
    except InvalidSignature as error:
        raise NoteInvalid(f"the signature by {key.name} is false") from error


def split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The text of a note, not to be trusted, and its signatures: key name, and key id || signature.

    Raises NoteInvalid for what is no note.
    """
    _check_text(note)
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not re.fullmatch(f"({_SIGNATURE.pattern})+", lines):
        raise NoteInvalid("a note is a text, a blank line and lines with signatures")
    found = _SIGNATURE.findall(lines)
    if len(found) > MAX_SIGNATURES:
        raise NoteInvalid(f"the note has more than {MAX_SIGNATURES} signatures")
    return text + "\n", [(_name(name), _signature(value)) for name, value in found]


def _check_text(text: str) -> None:
    if any(c < " " and c != "\n" for c in text):
        raise NoteInvalid("a note has no control characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NoteInvalid("a note is UTF-8") from error


def _name(name: str) -> str:
    if "+" in name or any(c.isspace() for c in name):
        raise NoteInvalid(f"{name!r} cannot name a key")
    return name


def _signature(value: str) -> bytes:
    try:
        signature = from_base64(value)
    except ValueError as error:
        raise NoteInvalid("a signature is not base64") from error
    if len(signature) < 5:
        raise NoteInvalid("a signature is too short")
    return signature


def to_base64(content: bytes) -> str:
    """Standard base64 with padding, RFC 4648 section 4."""
    return b64encode(content).decode()


def from_base64(text: str) -> bytes:
    """The bytes that `to_base64` makes exactly this text of. Raises ValueError for any other."""
    content = b64decode(text.encode("ascii"))
    if to_base64(content) != text:
        raise ValueError("base64 in a form that is not canonical")
    return content
