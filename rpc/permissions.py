"""What a caller may do: permissions that methods declare in proto, held by roles listed as data."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import yaml
from google.protobuf.descriptor import MethodDescriptor

from bihuan.types.v1 import options_pb2

ROLES_FILE = Path(__file__).with_name("roles.yaml")
PATTERN = re.compile(r"[a-z0-9_*]+(\.[a-z0-9_*]+)*")


class Permissions:
    """The permissions of each role; a role that is not listed has none."""

    def __init__(self, roles: Mapping[str, Iterable[str]]) -> None:
        self._patterns = {role: tuple(patterns) for role, patterns in roles.items()}
        self.roles = frozenset(self._patterns)
        self.allows = lru_cache(maxsize=4096)(self._allows)

    @classmethod
    def load(cls, path: Path = ROLES_FILE) -> "Permissions":
        """Reads a YAML mapping of role to permission patterns; ValueError names what is wrong."""
        try:
            roles = yaml.safe_load(path.read_text("utf-8"))
        except OSError as error:
            raise ValueError(f"cannot read {path}: {error.strerror}") from error
        except (yaml.YAMLError, RecursionError) as error:
            raise ValueError(f"{path}: not YAML: {error}") from error
        if not isinstance(roles, dict):
            raise ValueError(f"{path}: expected a mapping of role to permissions")
        for role, patterns in roles.items():
            if not (isinstance(role, str) and isinstance(patterns, list)):
                raise ValueError(f"{path}: role {role} needs a list of permissions")
            for pattern in patterns:
                if not (isinstance(pattern, str) and PATTERN.fullmatch(pattern)):
                    raise ValueError(f"{path}: role {role}: {pattern!r} is not a permission")
        return cls(roles)

    def holders(self, permission: str) -> list[str]:
        """Roles that hold the permission, by name."""
        return sorted(role for role in self.roles if self.allows(frozenset({role}), permission))

    def _allows(self, roles: frozenset[str], permission: str) -> bool:
        """Whether one of the roles holds the permission."""
        return any(
            fnmatchcase(permission, pattern)
            for role in roles
            for pattern in self._patterns.get(role, ())
        )


def required_permission(method: MethodDescriptor) -> str:
    """The permission the method's proto option declares; ValueError names a method without one."""
    permission = method.GetOptions().Extensions[options_pb2.permission]
    if not permission:
        raise ValueError(f"method {method.full_name} declares no (bihuan.types.v1.permission)")
    return permission
