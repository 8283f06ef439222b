"""The log's own key and where its checkpoints are published, as configured."""

from pathlib import Path

from eventstore.note import SigningKey, VerifierKey
from eventstore.publication import Publication
from ops.settings import Settings, SettingsError


def signing_key(settings: Settings) -> SigningKey:
    """The key that seals; made at the first call where none is configured. SettingsError."""
    path = _path(settings)
    if not path.exists() and settings.seal_key is None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        SigningKey.generate(settings.log_origin).write(path)
    try:
        return SigningKey.read(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"BIHUAN_SEAL_KEY: {error}") from error


def verifier_key(settings: Settings) -> VerifierKey:
    """The public half, which is enough to verify. SettingsError."""
    path = _path(settings)
    try:
        return read_verifier(path.with_name(path.name + ".pub"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"BIHUAN_SEAL_KEY: {error}; is the log sealed yet?") from error


def read_verifier(path: Path) -> VerifierKey:
    """A verifier key in a file. OSError or ValueError."""
    try:
        return VerifierKey.parse(path.read_text("utf-8").strip())
    except ValueError:  # whose message quotes the file, which may be the private key
        raise ValueError(f"{path} is no public key of a log, as log.pem.pub is") from None


def publication(settings: Settings) -> Publication:
    """Where checkpoints go."""
    return Publication(settings.checkpoints_url or (settings.home / "checkpoints").as_uri())


def _path(settings: Settings) -> Path:
    return settings.seal_key or settings.home / "seal" / "log.pem"
