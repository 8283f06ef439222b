"""A token issuer for one machine, where no identity provider is at hand: `bihuan up`, tests."""

import hashlib
import json
import os
import time
import uuid
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import OKPAlgorithm

from rpc.identity import AUDIENCE, Identity


class LocalIssuer:
    """Issues tokens with an Ed25519 key kept in `directory` (made once, mode 0600).

    `jwks` is the file that a TokenVerifier reads, `name` the issuer it must expect.
    """

    def __init__(self, directory: Path, name: str = "bihuan-local") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.jwks = directory / "jwks.json"
        self._key = _load_or_create(directory / "issuer.pem")
        public = OKPAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self._key_id = _thumbprint(public)
        key = public | {"kid": self._key_id, "alg": "EdDSA", "use": "sig"}
        _publish(self.jwks, json.dumps({"keys": [key]}).encode(), 0o644)

    def issue(self, identity: Identity, lifetime: timedelta = timedelta(hours=12)) -> str:
        """A token that proves `identity` from now for `lifetime`."""
        now = int(time.time())
        claims = {
            "sub": identity.subject,
            "name": identity.name,
            "roles": sorted(identity.roles),
            "agency": identity.agency,
            "enterprise": identity.enterprise,
            "iss": self.name,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + int(lifetime.total_seconds()),
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self._key_id})


def _load_or_create(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        fresh = Ed25519PrivateKey.generate()
        pem = fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _publish(path, pem, 0o600, replace=False)
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is not an Ed25519 key")
    return key


def _publish(path: Path, content: bytes, mode: int, *, replace: bool = True) -> None:
    """Writes the file whole or not at all; without `replace` the first of several writers wins."""
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.chmod(file.name, mode)
    if replace:
        os.replace(file.name, path)
        return
    try:
        os.link(file.name, path)
    except FileExistsError:
        pass  # another process made the key meanwhile, and its key is the one to use
    finally:
        os.unlink(file.name)


def _thumbprint(jwk: dict[str, str]) -> str:
    """The key's id, as RFC 7638 and RFC 8037 derive it."""
    members = {name: jwk[name] for name in ("crv", "kty", "x")}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    return hashlib.sha256(canonical).hexdigest()
