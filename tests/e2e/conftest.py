"""What the tests of the whole share with those of the stack."""

from tests.ops.conftest import home, no_settings

__all__ = ["home", "no_settings"]
