"""The key that signs inspection codes, as configured: made once, replaced when an operator wants it."""

from pathlib import Path

from ops.home import make
from ops.settings import Settings, SettingsError


def code_key(settings: Settings) -> Path | None:
    """The key's file; None where none is configured and this home has none of its own.

    Services without one would else make a key each, and none could check the codes of another.
    SettingsError for one that is configured and cannot be used.
    """
    from rpc.errors import StatusError
    from services.inspection.inspections.signing import CodeKeys

    path = _path(settings)
    if settings.code_key is None and not path.exists():
        return None
    try:
        CodeKeys(path).trusted()
    except (StatusError, OSError, ValueError) as error:
        raise SettingsError(f"BIHUAN_CODE_KEY: {path} is no key of inspection codes") from error
    return path


def ensure_code_key(settings: Settings) -> None:
    """Make the home's own key at its first start, unless one is configured."""
    from services.inspection.inspections.signing import CodeKeys

    path = _path(settings)
    if settings.code_key is None and not path.exists():
        make(settings.home, path.parent.name)
        CodeKeys.create(path)


def rotate_code_key(settings: Settings) -> Path:
    """Sign codes by a new key from now on; codes by the old one stay genuine. SettingsError without one."""
    from services.inspection.inspections.signing import CodeKeys

    path = code_key(settings)
    if path is None:
        raise SettingsError("BIHUAN_CODE_KEY: not set, and this home has no key of codes")
    CodeKeys(path).rotate()
    return path


def _path(settings: Settings) -> Path:
    return settings.code_key or settings.home / "keys" / "code.pem"
