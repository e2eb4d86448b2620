"""Network numbers: ranges, fixed-width forms for claims, and the arithmetic that kinds share."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address, ip_interface, ip_network

Network = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface

VNI_RANGE = (1, 16_777_215)
"""RFC 7348: 24 bits. 0 is reserved."""

VNI_AUTO_RANGES = ((10_000, 999_999), (8_388_608, 16_777_215))
"""Where Underlace picks VNIs by itself, from the second when the first is full; clouds that bring their own start at
1,000,000."""

ASN_AUTO_RANGE = (4_200_000_000, 4_209_999_999)
"""Private 4-byte AS numbers (RFC 6996), one per device."""

ASN_RANGE = (1, 4_294_967_294)
VLAN_RANGE = (1, 4_094)

RD_RANGE = (1, 65_535)
"""The assigned number of a type-1 route distinguisher has 16 bits (RFC 4364 §4.2); FRR cuts more in silence."""

FABRIC_AS_RANGE = (64_512, 65_534)
"""A 2-byte private AS (RFC 6996): a route target with a 4-byte AS has no room for a VNI."""

MTU_RANGE = (1_280, 9_216)
VXLAN_OVERHEAD = 50
"""Bytes that VXLAN adds over an IPv4 underlay: outer Ethernet 14, IPv4 20, UDP 8, VXLAN 8."""


MARTIANS = (
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "::1/128", "::ffff:0:0/96", "fe80::/10", "ff00::/8",
)  # fmt: skip
"""Prefixes that no neighbour can route (RFC 6890): never accepted, nor anything inside. A default route is none."""


def wide(number: int) -> str:
    """A number as text of fixed width, so that text order is number order. Holds any IPv6 address."""
    return f"{number:032x}"


@lru_cache(maxsize=65_536)
def network(text: str) -> Network:
    """The network that a valid prefix names; host bits are an error (ValueError)."""
    return ip_network(text)


@lru_cache(maxsize=65_536)
def interface(text: str) -> Interface:
    """An address with its prefix length, e.g. a gateway "10.1.0.1/24" (ValueError)."""
    return ip_interface(text)


def span(prefix: Network) -> tuple[str, str]:
    """First and last address of a prefix in the form that claims compare. The family is the first character."""
    return f"{prefix.version}{wide(int(prefix[0]))}", f"{prefix.version}{wide(int(prefix[-1]))}"


def point(address: str) -> str:
    """An address in the form that claims compare."""
    ip = ip_address(address)
    return f"{ip.version}{wide(int(ip))}"


def router_mac(loopback: str) -> str:
    """One router MAC per device, the same in all its VRFs: locally administered, from the VTEP's address."""
    raw = int(ip_address(loopback)).to_bytes(4, "big")
    return "02:00:" + ":".join(f"{b:02x}" for b in raw)


def route_distinguisher(loopback: str, number: int) -> str:
    """RFC 4364 type 1, `<IPv4>:<16 bits>`. Raises ValueError beyond 16 bits: a device would cut it in silence."""
    if not RD_RANGE[0] <= number <= RD_RANGE[1]:
        raise ValueError(f"RD number {number} does not fit in 16 bits")
    return f"{loopback}:{number}"


def route_target(fabric_as: int, vni: int) -> str:
    """RFC 4360 two-octet AS specific route target, `<fabric AS>:<VNI>`."""
    if not 1 <= fabric_as <= 65_535:
        raise ValueError(f"AS {fabric_as} of a route target must have 2 bytes")
    return f"{fabric_as}:{vni}"
