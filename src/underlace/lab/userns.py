"""A lab without root: a user namespace in which an ordinary user is root, and nobody else exists.

    python -m underlace.lab.userns      tries whether this machine allows it; what it says otherwise is why not

One id is mapped, so no helper and no line in /etc/subuid is needed. FRR wants a user and groups of its own: inside,
they are other names of root. Only the standard library: the holder imports this.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from underlace.syscall import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    mount,
    unshare,
)

ACCOUNTS = {"passwd": ("frr:x:0:0:FRR:/nonexistent:/usr/sbin/nologin",), "group": ("frr:x:0:", "frrvty:x:0:root,frr")}
"""Lines of /etc/NAME inside: an id that is not mapped can own no file, and FRR refuses to start without these."""


def needed() -> bool:
    """Whether whoever runs this needs a user namespace for a lab."""
    return os.geteuid() != 0


def entering(pid: int) -> list[str]:
    """Options of nsenter that make the lab's user root in it; none for root, who may enter as it is."""
    return [f"--user=/proc/{pid}/ns/user", "--preserve-credentials"] if needed() else []


def become_root() -> None:
    """Make this process root in a user namespace of its own. It must have one thread. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        _map(Path("/proc/self", name), text)


def _map(file: Path, text: str) -> None:
    """AppArmor forbids this and not the namespace: whoever reads why has to see where it happened."""
    try:
        file.write_text(text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error


def own_mounts() -> None:
    """Move this process into a mount namespace of its own: what is mounted here, its children see and nobody else."""
    unshare(CLONE_NEWNS)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def with_accounts(text: str, own: Sequence[str]) -> str:
    """A file of accounts in which these lines stand instead of those of the same names."""
    taken = {line.partition(":")[0] for line in own}
    kept = [line for line in text.splitlines() if line.partition(":")[0] not in taken]
    return "\n".join([*kept, *own]) + "\n"


def give_accounts(directory: Path) -> None:
    """Give FRR's user and groups the one id that is mapped. directory: keeps the files that are seen in /etc."""
    directory.mkdir()
    for name, own in ACCOUNTS.items():
        seen = Path("/etc", name)
        file = directory / name
        file.write_text(with_accounts(seen.read_text(), own))
        mount(str(file), str(seen), flags=MS_BIND)


def trial() -> None:
    """Do once what a device of a lab needs. Raises OSError."""
    become_root()
    own_mounts()
    unshare(CLONE_NEWNET | CLONE_NEWUTS)
    mount("sysfs", "/sys", "sysfs")
    mount("tmpfs", "/run", "tmpfs")


if __name__ == "__main__":
    try:
        trial()
    except OSError as error:
        sys.exit(str(error))
