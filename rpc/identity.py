"""Who is calling: the identity in a signed token, and the identity of the call being handled."""

import asyncio
import logging
import math
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt

from rpc.errors import permission_denied, unauthenticated, unavailable

AUDIENCE = "bihuan"
ALGORITHMS = frozenset({"EdDSA", "RS256"})
LEEWAY_SECONDS = 10
FETCH_SECONDS = 5.0
MOST_KEY_BYTES = 1 << 20
ENTERPRISE_ROLE = "enterprise"
MOST_CHARACTERS = 500  # as the log takes of an actor
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# Besides what PyJWT says itself: other claims than agreed, numbers and nesting beyond all bounds.
MALFORMED = (
    jwt.InvalidTokenError,
    LookupError,
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
)

log = logging.getLogger(__name__)


class Unscoped(ValueError):
    """Role `enterprise` without saying whose people they are: it would see everybody's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller. Roles name entries of rpc/roles.yaml.

    agency and enterprise are unified social credit codes (USCC): an enterprise's own people carry
    the one, officers the other, citizens and machines neither. Whoever carries `enterprise` is held
    to that enterprise, whatever the roles. `expires_at`, in Unix seconds, ends long calls.
    Unscoped, or ValueError for texts that the log could not hold: no such identity can be.
    """

    subject: str
    name: str = ""
    roles: frozenset[str] = frozenset()
    agency: str = ""
    enterprise: str = ""
    expires_at: float = field(default=math.inf, compare=False)

    def __post_init__(self) -> None:
        if not self.subject:
            raise ValueError("the subject is empty")
        for text in (self.subject, self.name, self.agency, self.enterprise, *self.roles):
            if len(text) > MOST_CHARACTERS or CONTROL.search(text):
                raise ValueError(
                    f"{text[:40]!r} is over {MOST_CHARACTERS} characters or has control characters"
                )
        if ENTERPRISE_ROLE in self.roles and not self.enterprise:
            raise Unscoped("role enterprise needs the credit code of the caller's own enterprise")


_current: ContextVar[Identity] = ContextVar("identity")


def current_identity() -> Identity:
    """The identity of the call being handled; LookupError outside a call."""
    return _current.get()


def identify(identity: Identity) -> None:
    """Makes `identity` the current one of this task: the server does so for each call."""
    _current.set(identity)


@contextmanager
def acting_as(identity: Identity) -> Iterator[None]:
    """Makes `identity` the current one within the block: for handlers called without a server."""
    token = _current.set(identity)
    try:
        yield
    finally:
        _current.reset(token)


def require_unscoped() -> None:
    """PERMISSION_DENIED for an enterprise's people, where answers cannot be held to its own."""
    own = current_identity().enterprise
    if own:
        raise permission_denied(
            "OTHER_ENTERPRISE",
            "this tells of every enterprise, the caller is of one",
            enterprise=own,
        )


class TokenVerifier:
    """Verifies bearer tokens: JWT signed with EdDSA or RS256 by a key of the issuer's JWKS.

    jwks: a file path or an http(s) URL. It is read again when a token names an unknown key, at
    most once every `refresh_seconds` whatever is thrown at it, and every `max_age_seconds` so that
    a key taken out stops being trusted.
    """

    def __init__(
        self,
        jwks: str | Path,
        issuer: str,
        *,
        refresh_seconds: float = 5.0,
        max_age_seconds: float = 300.0,
    ) -> None:
        self._keys = _KeySet(str(jwks), refresh_seconds, max_age_seconds)
        self._issuer = issuer

    async def verify(self, token: str) -> Identity:
        """The identity that `token` proves.

        UNAUTHENTICATED TOKEN_INVALID or TOKEN_EXPIRED, without saying which check failed, and
        ENTERPRISE_MISSING for role enterprise without the claim that says which one;
        UNAVAILABLE KEYS_UNAVAILABLE while the issuer's keys have never been read.
        """
        try:
            key_id = jwt.get_unverified_header(token).get("kid", "")
            key = await self._keys.get(key_id)
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
            return _identity(claims)
        except jwt.ExpiredSignatureError:
            raise unauthenticated("TOKEN_EXPIRED", "the token has expired") from None
        except Unscoped as error:
            raise unauthenticated("ENTERPRISE_MISSING", f"{error}, in claim `enterprise`") from None
        except MALFORMED as error:
            log.info("token refused: %s", error)
            raise unauthenticated("TOKEN_INVALID", "the token is not valid") from None


def bearer_token(metadata: Mapping[str, str]) -> str:
    """The token in a call's `authorization` metadata; UNAUTHENTICATED TOKEN_MISSING without."""
    scheme, _, token = metadata.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise unauthenticated(
            "TOKEN_MISSING", "the call carries no token: send metadata `authorization: Bearer …`"
        )
    return token


def _identity(claims: Mapping[str, Any]) -> Identity:
    """The identity in verified claims; TypeError or ValueError when they are not as agreed."""
    roles = claims.get("roles", [])
    texts = {name: claims.get(name, "") for name in ("sub", "name", "agency", "enterprise")}
    if not isinstance(roles, list):
        raise TypeError("roles is not a list")
    if not all(isinstance(value, str) for value in (*roles, *texts.values())):
        raise TypeError("claims of an unexpected type")
    return Identity(
        texts["sub"],
        texts["name"],
        frozenset(roles),
        texts["agency"],
        texts["enterprise"],
        float(claims["exp"]) + LEEWAY_SECONDS,
    )


class _KeySet:
    """The issuer's public keys, by key id."""

    def __init__(self, source: str, refresh_seconds: float, max_age_seconds: float) -> None:
        self._source = source
        self._public = re.sub(r"(?<=://)[^/]*@|[?#].*", "", source)  # a URL may hold secrets
        self._refresh_seconds = refresh_seconds
        self._max_age_seconds = max_age_seconds
        self._keys: dict[str, jwt.PyJWK] | None = None
        self._tried = float("-inf")
        self._lock = asyncio.Lock()

    async def get(self, key_id: str) -> jwt.PyJWK:
        """The key, or KeyError."""
        if self._stale(key_id):
            async with self._lock:
                if self._stale(key_id):
                    await self._refresh()
        if self._keys is None:
            raise unavailable("KEYS_UNAVAILABLE", "the keys that verify tokens cannot be read now")
        return self._keys[key_id]

    def _stale(self, key_id: str) -> bool:
        age = time.monotonic() - self._tried
        unknown = self._keys is None or key_id not in self._keys
        return age >= (self._refresh_seconds if unknown else self._max_age_seconds)

    async def _refresh(self) -> None:
        """Reads the keys again; those known stay when that fails, which is logged."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                document = await asyncio.to_thread(_read, self._source)
            self._keys = _signing_keys(document)
        except Exception as error:  # whatever a stranger's server may answer
            why = error if isinstance(error, OSError | ValueError) else ""  # others quote the URL
            kind = type(error).__name__
            log.warning("cannot read the token keys from %s: %s %s", self._public, kind, why)
        finally:
            self._tried = time.monotonic()


def _signing_keys(document: str) -> dict[str, jwt.PyJWK]:
    return {
        key.key_id: key
        for key in jwt.PyJWKSet.from_json(document).keys
        if key.key_id and key.algorithm_name in ALGORITHMS and key.public_key_use != "enc"
    }


def _read(source: str) -> str:
    if not source.startswith(("http://", "https://")):
        return Path(source).read_text()
    with urllib.request.urlopen(source, timeout=FETCH_SECONDS) as response:
        document: bytes = response.read(MOST_KEY_BYTES + 1)
    if len(document) > MOST_KEY_BYTES:
        raise ValueError(f"over {MOST_KEY_BYTES} bytes")
    return str(document, "utf-8")
