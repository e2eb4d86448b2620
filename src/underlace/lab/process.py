"""Starting the processes of a lab: what they are told, and how they outlive whoever starts them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from underlace.lab.state import MARK

FRR = "LAB_FRR"
"""The variable that names a directory with another FRR than the system's: daemons and `vtysh`. It is no setting."""

SYSTEM_PROGRAMS = ("/usr/sbin", "/sbin")
"""Where `nft` is, and where the shell of an ordinary user does not look."""


def search_path(given: Mapping[str, str]) -> str:
    """Where the programs are looked for that a lab runs: where whoever starts it looks, then among root's."""
    known = given.get("PATH", os.defpath).split(os.pathsep)
    if (frr := given.get(FRR)) and frr not in known:
        known.insert(0, frr)
    return os.pathsep.join([*known, *(place for place in SYSTEM_PROGRAMS if place not in known)])


VTYSH_HISTORY = {"VTYSH_HISTFILE": "/run/frr/history"}
"""It goes with the device; vtysh would write every command of a lab, and of its agents, into its user's home."""


def environment(identity: str, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What every process of a lab is told. identity: of the lab."""
    return {**given, **VTYSH_HISTORY, "PATH": search_path(given), MARK: identity}


def spawn(argv: list[str], environment: Mapping[str, str], log: Path) -> int:
    """Start a program in a session of its own, its output appended to a file. Returns its pid.

    `subprocess.Popen` would complain when its object goes before its process.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawnp(argv[0], argv, environment, file_actions=actions, setsid=True)
