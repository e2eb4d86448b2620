"""Room for a large lab in the machine's neighbour tables, which all of its nodes share: 1,024 hosts by default.

Where they are full the kernel forgets hosts as soon as others are heard of: everything works, one flow after the
other. What is raised is the machine's, so it is given back with the lab. An ordinary user cannot raise it.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from math import inf
from pathlib import Path

from underlace.drivers.linux.limits import ROOM
from underlace.lab.intent import Intent
from underlace.lab.state import State
from underlace.lab.topology import vnet_ports

SYSTEM = Path("/proc/sys/net")
FACT = "neighbour_tables"
"""Of the lab's state: what was raised, by family and setting: what it was and what it is now."""

_FAMILIES = ("ipv4", "ipv6")
_FORGETS = "gc_thresh2"
"""Beyond this many the kernel forgets whoever was not spoken to for five seconds."""


def needed(intent: Intent) -> int:
    """Entries of a family when every host has talked to every other of its V-Nets, and each leaf to its own hosts."""
    members = Counter(member.vnet for port in vnet_ports(intent).values() for member in port)
    return sum(hosts * hosts + hosts for hosts in members.values())


def make_room(intent: Intent, state: State, system: Path = SYSTEM) -> str:
    """Raise what is too small for the lab, and note it in its state. Returns what to tell the user, or ""."""
    wanted = needed(intent)
    families = [family for family in _FAMILIES if _holds(system, family) < wanted]
    if not families:
        return ""
    times = -(-wanted // ROOM[_FORGETS])
    # The largest first: each stays below the next.
    rooms = {f"{family}/{name}": times * ROOM[name] for family in families for name in sorted(ROOM, reverse=True)}
    state.note(**{FACT: {name: (_read(system, name), room) for name, room in rooms.items()}})
    try:
        for name, room in rooms.items():
            _write(system, name, room)
    except OSError as error:
        settings = " ".join(f"net.{name.replace('/', '.neigh.default.')}={room}" for name, room in rooms.items())
        return f"this machine has no room for {wanted} neighbours ({error.strerror}); as root: sysctl -w {settings}"
    return f"room for {wanted} neighbours in this machine's tables, until the lab goes"


def give_back(state: State, system: Path = SYSTEM) -> None:
    """Undo `make_room`; what somebody else has changed meanwhile stays."""
    for name, (before, room) in (state.facts().get(FACT) or {}).items():
        with suppress(OSError):
            if name.rpartition("/")[2] in ROOM and _read(system, name) == room:
                _write(system, name, before)


def _holds(system: Path, family: str) -> float:
    """How many a family's table keeps. The setting exists in the machine's first network namespace only."""
    try:
        return _read(system, f"{family}/{_FORGETS}")
    except FileNotFoundError:
        return inf


def _file(system: Path, name: str) -> Path:
    family, _, setting = name.partition("/")
    return system / family / "neigh/default" / setting


def _read(system: Path, name: str) -> int:
    return int(_file(system, name).read_text())


def _write(system: Path, name: str, value: int) -> None:
    _file(system, name).write_text(f"{value}\n")
