"""Names and constants of what Underlace owns on a Linux device. Everything it makes can be told by its name."""

from __future__ import annotations

import re

MAIN = ""
"""The network namespace of the underlay, as items name it."""

LOOPBACK = "lo"

VRF_PATTERN = re.compile(r"vpc-[0-9]+")
"""Namespaces that are VRFs of ours; any other one is left alone."""

PORT_PATTERN = re.compile(r"swp[0-9]+(?:s[0-9]+)?")
"""Front-panel ports; any other physical link is left alone."""

BOND_PATTERN = re.compile(r"bond[1-9][0-9]*")
"""Lags; the kernel's own first bond, bond0, is none."""

TAG_PATTERN = re.compile(r"(swp[0-9]+(?:s[0-9]+)?|bond[1-9][0-9]*)\.([0-9]+)")
"""A VLAN of a port or of a lag, as a link of its own."""

BRIDGE_PATTERN = re.compile(r"br([0-9]+)")
VXLAN_PATTERN = re.compile(r"vni([0-9]+)")
PAIR_PATTERN = re.compile(r"pr([0-9]+)")

TABLE = "underlace"
GUARD_PREFIX = "underlace_"

BFD_PROFILE = "underlace-"
FABRIC_LIST = "underlace-fabric"
OUTSIDE_MAP = "underlace-outside"
"""The route map through which everything passes that outside neighbours announce."""

LIST_PREFIX = "underlace-"
LAST_SEQUENCE = 4_294_967_295

ROUTE_PROTOCOL = "73"
"""Marks our routes; FRR takes unknown protocols for kernel routes and neither redistributes nor sweeps them."""

SVI_LINK_LOCAL = "fe80::1/64"
"""Without a link-local address the kernel sends no neighbour solicitation for packets that it forwards."""

VXLAN_PORT = 4789
VXLAN_OVERHEAD = 50
ANYCAST_MAC = "02:00:5e:00:01:01"
NO_MAC = "02:00:00:00:00:00"
DEFAULT_MTU = 9_216
DEFAULT_VNET_MTU = 9_000
DEFAULT_ICMP_RATE = 100
DEFAULT_PATHS = 16


def bridge(vni: int) -> str:
    return f"br{vni}"


def vxlan(vni: int) -> str:
    return f"vni{vni}"


def tag(port: str, vlan: int) -> str:
    """The link of a VLAN of a port, in the namespace of the V-Net."""
    return f"{port}.{vlan}"


def tag_end(link: str) -> str:
    """The other end of such a link where programs sort the frames, in the namespace of the port."""
    return link.replace(".", "_")


def untag(link: str) -> tuple[str, int]:
    """Port and VLAN of such a link."""
    port, _, vlan = link.rpartition(".")
    return port, int(vlan)


def pair(number: int) -> str:
    return f"pr{number}"


def pair_address(number: int, side: int) -> str:
    """Link-local address of one end of a peering's pair. Peerings need no other next hop, for IPv4 either."""
    return f"fe80::1:{number:x}:{side}"


def guard(port: str) -> str:
    """Name of the table that guards a port."""
    return f"{GUARD_PREFIX}{port}"


def announced_list(vrf: str, peer: str) -> str:
    return f"{LIST_PREFIX}{vrf}-{peer}-out"


def accepted_list(vrf: str, peer: str) -> str:
    return f"{LIST_PREFIX}{vrf}-{peer}-in"


def profile(vrf: str) -> str:
    return f"{BFD_PROFILE}{vrf}"
