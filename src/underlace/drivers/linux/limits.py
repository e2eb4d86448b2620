"""The neighbour tables of the kernel: one for all namespaces of a machine, with room for 1,024 hosts by default.

`gc_thresh3` is where the kernel takes no more, `gc_thresh1` below which it forgets nobody. They belong to the machine
and exist in its first namespace only; where the device is a guest of another machine (a lab), they are not ours.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

ROOM = {"gc_thresh1": 16_384, "gc_thresh2": 65_536, "gc_thresh3": 131_072}
"""Beside the bounds of ports (guards) and gateways (filters), which keep a single VPC far from filling it."""


def make_room(settings: Path = Path("/proc/sys/net")) -> list[str]:
    """Raise what is lower; nothing is lowered. What was raised: a machine may refuse it, and works on as it is."""
    raised = []
    for family in ("ipv4", "ipv6"):
        for name in sorted(ROOM, reverse=True):  # the largest first: each stays below the next
            file = settings / family / "neigh/default" / name
            with suppress(OSError, ValueError):
                if int(file.read_text()) < ROOM[name]:
                    file.write_text(f"{ROOM[name]}\n")
                    raised.append(f"{family}/{name}")
    return raised
