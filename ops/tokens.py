"""Signs tokens with the home's own issuer, for people at a laptop and for our own workers and page."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from ops.home import make
from ops.settings import Settings, SettingsError, masked
from rpc.identity import Identity
from rpc.issuer import LocalIssuer

WORKER = Identity(subject="worker", name="闭环", roles=frozenset({"loop"}))
PAGE = Identity(subject="page", name="扫码页", roles=frozenset({"scan_page"}))
TOKEN_SECONDS = 3600.0
RENEW_SECONDS = 600.0  # before it expires, so that no call under way is refused


def local_issuer(settings: Settings) -> LocalIssuer:
    """The issuer of this home. SettingsError when the services trust somebody else's keys, or the home
    cannot hold ours.
    """
    if settings.jwks is not None:
        raise SettingsError(
            f"BIHUAN_JWKS: the services trust the keys of {masked(settings.jwks)}, so a token of the "
            "local issuer would be refused; ask that issuer for one (a worker's goes into "
            "BIHUAN_TOKEN_FILE, the page's into BIHUAN_PAGE_TOKEN_FILE)"
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
    return _token(settings, WORKER, "BIHUAN_TOKEN_FILE", settings.token_file)


def page_token(settings: Settings) -> Callable[[], str]:
    """Gives the token that the public page calls with; as `worker_token`, from BIHUAN_PAGE_TOKEN_FILE."""
    return _token(settings, PAGE, "BIHUAN_PAGE_TOKEN_FILE", settings.page_token_file)


def _token(
    settings: Settings, identity: Identity, variable: str, file: Path | None
) -> Callable[[], str]:
    if file is None:
        return LocalToken(settings, identity)
    if not file.is_file():
        raise SettingsError(f"{variable}: there is no file {file}")
    return lambda: file.read_text("utf-8").strip()


class LocalToken:
    """A token of the local issuer for one of our parts, renewed by itself."""

    def __init__(self, settings: Settings, identity: Identity) -> None:
        self._issuer = local_issuer(settings)
        self._identity = identity
        self._token = ""
        self._renew_at = 0.0

    def __call__(self) -> str:
        if time.time() >= self._renew_at:
            self._token = self._issuer.issue(self._identity, timedelta(seconds=TOKEN_SECONDS))
            self._renew_at = time.time() + TOKEN_SECONDS - RENEW_SECONDS
        return self._token
