"""Signs tokens with the home's own issuer, for people at a laptop and for our own workers."""

import time
from collections.abc import Callable
from datetime import timedelta

from ops.home import make
from ops.settings import Settings, SettingsError, masked
from rpc.identity import Identity
from rpc.issuer import LocalIssuer

WORKER = Identity(subject="worker", name="闭环", roles=frozenset({"loop"}))
WORKER_SECONDS = 3600.0
RENEW_SECONDS = 600.0  # before it expires, so that no call under way is refused


def local_issuer(settings: Settings) -> LocalIssuer:
    """The issuer of this home. SettingsError when the services trust somebody else's keys, or the home
    cannot hold ours.
    """
    if settings.jwks is not None:
        raise SettingsError(
            f"BIHUAN_JWKS: the services trust the keys of {masked(settings.jwks)}, so a token of the "
            "local issuer would be refused; ask that issuer for one (a worker's goes into "
            "BIHUAN_TOKEN_FILE)"
        )
    make(settings.home, "issuer")
    try:
        return LocalIssuer(settings.home / "issuer", settings.issuer)
    except (OSError, ValueError) as error:
        raise SettingsError(f"BIHUAN_HOME: cannot use the issuer's key: {error}") from error


def trusted_keys(settings: Settings) -> str:
    """File or URL of the keys that tokens are verified with."""
    return settings.jwks or str(local_issuer(settings).jwks)


def issue(settings: Settings, identity: Identity, hours: float) -> str:
    """A token that proves `identity` for so many hours."""
    return local_issuer(settings).issue(identity, timedelta(hours=hours))


def require_issuer(settings: Settings) -> None:
    """SettingsError where no services ever made an issuer: nobody would trust a token made here."""
    home = settings.home
    unusable = home.exists() and not home.is_dir()  # which is said where it is used
    if settings.jwks is None and not unusable and not (home / "issuer").exists():
        raise SettingsError(
            f"BIHUAN_HOME: no stack was ever up in {home}, so none would trust a token made"
            " there; name the folder of yours, or start one with `bihuan up`"
        )


def worker_token(settings: Settings) -> Callable[[], str]:
    """Gives the token that our workers call with, each time one that is valid by then.

    From BIHUAN_TOKEN_FILE, which somebody else renews, or of the local issuer. SettingsError where
    there is neither.
    """
    file = settings.token_file
    if file is None:
        return LocalToken(settings)
    if not file.is_file():
        raise SettingsError(f"BIHUAN_TOKEN_FILE: there is no file {file}")
    return lambda: file.read_text("utf-8").strip()


class LocalToken:
    """A token of the local issuer for our workers, renewed by itself."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = local_issuer(settings)
        self._token = ""
        self._renew_at = 0.0

    def __call__(self) -> str:
        if time.time() >= self._renew_at:
            self._token = self._issuer.issue(WORKER, timedelta(seconds=WORKER_SECONDS))
            self._renew_at = time.time() + WORKER_SECONDS - RENEW_SECONDS
        return self._token
