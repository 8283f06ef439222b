"""Lets PostgreSQL's own user reach its files when we are root, opening no more than it must.

PostgreSQL refuses to run as root, and a checkout or a home may lie under a folder closed to
everybody else, /root for one.
"""

import os
import pwd
import stat
import struct
import subprocess
from functools import reduce
from operator import or_
from pathlib import Path

USER = "embedded_postgres"
_ACL = "system.posix_acl_access"
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NOBODY = 0xFFFFFFFF
_Entry = tuple[int, int, int]  # tag, permission bits, uid or gid


def ensure_user() -> pwd.struct_passwd:
    """The system user that PostgreSQL runs as; made if need be."""
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", USER]
        subprocess.run(command, check=True, capture_output=True)
        return pwd.getpwnam(USER)


def open_path(path: Path, uid: int) -> list[str]:
    """Let `uid` pass through every folder above `path`. Returns a line for each one changed."""
    return [
        f"PostgreSQL refuses to be root: its user {USER} {how} {folder}"
        for folder in reversed(path.resolve().parents)
        if not _passes(folder, uid)
        for how in [_let_pass(folder, uid)]
    ]


def open_tree(root: Path) -> None:
    """Let everybody read the program files under `root`, which a strict umask may have closed."""
    if root.stat().st_mode & stat.S_IROTH:
        return
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            also = 0o055 if mode & stat.S_IXUSR else 0o044
            path.chmod(mode | also)


def _passes(folder: Path, uid: int) -> bool:
    if folder.stat().st_uid == uid:
        return bool(folder.stat().st_mode & stat.S_IXUSR)
    entries = _acl(folder)
    named = [bits for tag, bits, who in entries if (tag, who) == (_USER, uid)]
    others = [bits for tag, bits, _ in entries if tag == _OTHER]
    return bool((named or others)[0] & 1)


def _let_pass(folder: Path, uid: int) -> str:
    entries = [entry for entry in _acl(folder) if entry[::2] != (_USER, uid)] + [(_USER, 1, uid)]
    mask = reduce(or_, (bits for tag, bits, _ in entries if tag not in (_USER_OBJ, _OTHER)))
    try:
        os.setxattr(folder, _ACL, _packed([*entries, (_MASK, mask, _NOBODY)]))
    except (OSError, AttributeError):  # a file system or a platform without access lists
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
        return "needs everybody let through (not to list)"
    return "is let through (not to list)"


def _acl(folder: Path) -> list[_Entry]:
    """Who may do what in the folder, the mask of its access list applied and left out."""
    try:
        raw = os.getxattr(folder, _ACL)
    except (OSError, AttributeError):  # it has none, so its mode says all
        mode = folder.stat().st_mode
        owners = ((_USER_OBJ, mode >> 6 & 7), (_GROUP_OBJ, mode >> 3 & 7), (_OTHER, mode & 7))
        return [(tag, bits, _NOBODY) for tag, bits in owners]
    entries = list(struct.iter_unpack("<HHI", raw[4:]))  # struct posix_acl_xattr, version 2
    mask = next((bits for tag, bits, _ in entries if tag == _MASK), 7)
    return [
        (tag, bits if tag in (_USER_OBJ, _OTHER) else bits & mask, who)
        for tag, bits, who in entries
        if tag != _MASK
    ]


def _packed(entries: list[_Entry]) -> bytes:
    # The kernel wants users in order of tag and id.
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *entry) for entry in sorted(entries, key=lambda e: (e[0], e[2]))
    )
