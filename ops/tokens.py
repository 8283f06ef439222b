"""Signs tokens with the home's own issuer, for people at a laptop and for our own workers."""

import time
from datetime import timedelta

from ops.settings import Settings, SettingsError
from rpc.identity import Identity
from rpc.issuer import LocalIssuer

WORKER = Identity(subject="worker", name="闭环", roles=frozenset({"loop"}))
WORKER_SECONDS = 3600.0
RENEW_SECONDS = 600.0  # before it expires, so that no call under way is refused


def local_issuer(settings: Settings) -> LocalIssuer:
    """The issuer of this home. SettingsError when the services trust somebody else's keys."""
    if settings.jwks is not None:
        raise SettingsError(
            f"BIHUAN_JWKS: the services trust the keys of {settings.jwks}, so a token of the local "
            "issuer would be refused; ask that issuer for one"
        )
    return LocalIssuer(settings.home / "issuer", settings.issuer)


def trusted_keys(settings: Settings) -> str:
    """File or URL of the keys that tokens are verified with."""
    return settings.jwks or str(local_issuer(settings).jwks)


def issue(settings: Settings, identity: Identity, hours: float) -> str:
    """A token that proves `identity` for so many hours."""
    return local_issuer(settings).issue(identity, timedelta(hours=hours))


class WorkerToken:
    """The token our workers call with, renewed by itself: call it to get one that is valid."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = local_issuer(settings)
        self._token = ""
        self._renew_at = 0.0

    def __call__(self) -> str:
        if time.time() >= self._renew_at:
            self._token = self._issuer.issue(WORKER, timedelta(seconds=WORKER_SECONDS))
            self._renew_at = time.time() + WORKER_SECONDS - RENEW_SECONDS
        return self._token
