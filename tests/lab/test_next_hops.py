"""FRR 8.4 loses the next hop of a route that flaps (FRR issue 12391); the agent puts it back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from support.fabric import daemons, poll
from underlace.lab.fabric import Fabric
from underlace.lab.namespace import Namespace

LOOKS = 40
WAY = "10.1.1.12/32"
"""Host route of r2, in the tables of other leaves."""


@contextmanager
def busy_zebra(fabric: Fabric, device: str) -> Iterator[None]:
    """zebra finds all that happens meanwhile in one go, as on a device under load."""
    zebra = daemons(fabric, device)["zebra"]
    os.kill(zebra, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(zebra, signal.SIGCONT)


def test_a_route_that_flaps_keeps_its_next_hop(fabric: Fabric) -> None:
    """r2's neighbour entry goes and comes back. Only r2's host route brings leaf1 to leaf2 in that VPC."""
    leaf, other, red = fabric.node("leaf2"), fabric.node("leaf1"), fabric.vrf("acme/red")
    poll("r2 to be known", lambda: " lladdr " in leaf.run(["ip", "neigh", "show", "10.1.1.12"], red))
    words = leaf.run(["ip", "neigh", "show", "10.1.1.12"], red).split()
    gateway, mac = words[words.index("dev") + 1], words[words.index("lladdr") + 1]
    poll("r2's route on leaf1", lambda: _has_route(fabric, red))
    with busy_zebra(fabric, "leaf1"):
        leaf.run(["ip", "neigh", "del", "10.1.1.12", "dev", gateway], red)
        poll("its withdrawal on leaf1", lambda: not _has_route(fabric, red))
        leaf.run(["ip", "neigh", "replace", "10.1.1.12", "lladdr", mac, "dev", gateway, "nud", "reachable"], red)
        poll("its return on leaf1", lambda: _has_route(fabric, red))
    stays = 0

    def settled() -> bool:
        """There, look after look: FRR loses it a moment after it wakes up."""
        nonlocal stays
        stays = stays + 1 if _has_next_hop(other, red) else 0
        return stays >= LOOKS

    poll("the next hop on leaf1 to be there and stay", settled, limit=30.0)


def _has_next_hop(node: Namespace, vrf: str) -> bool:
    """The kernel's own words: how to get to r2, and the entry of the VTEP there."""
    words = node.run(["ip", "route", "get", "10.1.1.12"], vrf).split()
    if "via" not in words:
        return False
    vtep, bridge = words[words.index("via") + 1], words[words.index("dev") + 1]
    return "lladdr" in node.run(["ip", "neigh", "show", vtep, "dev", bridge, "nud", "all"], vrf)


def _has_route(fabric: Fabric, vrf: str) -> bool:
    """What bgpd says: zebra is asleep."""
    argv = ["vtysh", "-d", "bgpd", "-c", f"show bgp vrf {vrf} ipv4 unicast {WAY}"]
    return "10.255" in fabric.node("leaf1").run(argv)
