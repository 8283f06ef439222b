"""What the tests of the whole share with those of the stack, and ports that no other run wants."""

from ops.ports import any_free
from tests.ops.conftest import home, no_settings

__all__ = ["home", "no_settings", "own_ports"]


def own_ports() -> dict[str, str]:
    """Settings with ports of this test's own: stacks started at once all want the default ones."""
    host = "127.0.0.1"
    return {
        "BIHUAN_TEMPORAL_PORT": str(any_free(host)),
        "BIHUAN_UI_PORT": str(any_free(host)),
        "BIHUAN_GRPC_ADDRESS": f"{host}:{any_free(host)}",
    }
