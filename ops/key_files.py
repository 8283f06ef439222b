"""Files of secret keys: where each is, and how a stack of its own makes it once."""

from dataclasses import dataclass
from pathlib import Path

from ops.home import make
from ops.settings import Settings, SettingsError

FOLDER = "keys"


@dataclass(frozen=True)
class KeyFile:
    """A file of keys as of MasterKeyFile: configured as `variable`, or `name` in the home."""

    variable: str
    field: str
    name: str

    def path(self, settings: Settings) -> Path:
        """Where it is, or would be made."""
        configured: Path | None = getattr(settings, self.field)
        return configured or settings.home / FOLDER / self.name

    def found(self, settings: Settings) -> Path | None:
        """The file; None where none is configured and this home has none of its own.

        Services without one would else make a key each, and lose it with their home. SettingsError for
        one that is configured and cannot be used.
        """
        from eventstore.envelope import MasterKeyFile, MasterKeyMissing

        path = self.path(settings)
        if not self._configured(settings) and not path.exists():
            return None
        try:
            MasterKeyFile(path).keys()
        except MasterKeyMissing as error:
            raise SettingsError(f"{self.variable}: {error}") from error
        return path

    def ensure(self, settings: Settings) -> None:
        """Make the home's own key at its first start, unless one is configured."""
        from eventstore.envelope import MasterKeyFile

        path = self.path(settings)
        if not self._configured(settings) and not path.exists():
            make(settings.home, FOLDER)
            MasterKeyFile.create(path)

    def _configured(self, settings: Settings) -> bool:
        return getattr(settings, self.field) is not None


MASTER = KeyFile("BIHUAN_MASTER_KEY", "master_key", "master.key")
DRAW = KeyFile("BIHUAN_DRAW_KEY", "draw_key", "draw.key")
