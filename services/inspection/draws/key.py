"""The secrets of draws: made of one key, so that they are kept nowhere and still are the same tomorrow."""

import hashlib
import hmac
from pathlib import Path

from eventstore.envelope import MasterKeyFile, MasterKeyMissing
from rpc.errors import unavailable


class DrawKey:
    """Keys in a file of the form of the master key's: the first is for new draws, each for its own ones.

    Read at each use. Without a path there is none, and nothing can be drawn.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def secrets(self, draw: str) -> list[bytes]:
        """HMAC-SHA256 (RFC 2104) of the draw's resource name by each key, the current one first.

        UNAVAILABLE, DRAW_KEY_UNAVAILABLE, without a key.
        """
        try:
            if self._path is None:
                raise MasterKeyMissing("none is configured: set BIHUAN_DRAW_KEY")
            keys = MasterKeyFile(self._path).keys()
        except MasterKeyMissing as error:
            raise unavailable(
                "DRAW_KEY_UNAVAILABLE", "draws can be neither committed nor made: no draw key"
            ) from error
        return [hmac.new(key, draw.encode(), hashlib.sha256).digest() for key in keys]
