"""Runs a command that dies with its supervisor, even a killed one: `python leash.py SIGNAL PID [USER] -- …`.

It replaces itself by the command, so that the supervisor's child has the command's own pid.
Imports nothing of ours: it runs before every child and as root when the supervisor does.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    split = sys.argv.index("--")
    number, supervisor, *user = sys.argv[1:split]
    command = sys.argv[split + 1 :]
    if user:
        become(user[0])
    # After the change of user, which would clear it. Linux only; elsewhere the next start
    # stops what a killed supervisor left behind.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.Signals[number])
    if os.getppid() != int(supervisor):
        sys.exit("the supervisor is gone")
    os.execv(command[0], command)


def become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    main()
