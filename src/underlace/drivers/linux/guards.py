"""The guard of a port: what stands behind every port that is not underlay, before anything else sees a packet.

Nothing from outside reaches an underlay address (law 11), whatever a host says of itself; a port without a use passes
nothing at all. And what a host can make the device remember or announce is bounded per port, because these tables
are the device's, not the VPC's: the kernel counts the neighbours of all namespaces together (gc_thresh), and each MAC
address and each neighbour becomes a route on every leaf of the V-Net (type-2).

The sets that packets fill themselves are no part of the state that Underlace owns: `rules` reads them as `seen`.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from underlace.drivers.linux import names
from underlace.drivers.linux.native import NftTable
from underlace.drivers.linux.normalise import by_family, collapsed

Use = Literal["none", "bridged", "routed"]
Sets = tuple[tuple[str, frozenset[str]], ...]

CLOSED_RULE = "  counter drop"
ICMP_ERRORS = "destination-unreachable, time-exceeded, parameter-problem"

MACS_MAX = 1_024
"""MAC addresses behind a port at a time, a hypervisor's with its machines included."""

CLAIMS_MAX = 2_048
"""(address, MAC address) pairs that hosts behind a port claim at a time, per family."""

CLAIM_SECONDS = 180
"""How long a claim is remembered after it was last made: the time of RFC 7432 §15.1 for duplicates."""

DISCOVERY_RATE, DISCOVERY_BURST = 100, 500
"""ARP and neighbour discovery of a port, per second. A machine that talks to ten others sends less than one."""

_UNNUMBERED = frozenset({"0.0.0.0/32", "::/128", "fe80::/10"})
"""Sources of hosts that have no address yet, and link-local ones."""

_HOST_SETS = (
    " set hosts4 { type ipv4_addr; flags interval; }",
    " set hosts6 { type ipv6_addr; flags interval; }",
    *(
        f" set claims{v} {{ type ipv{v}_addr . ether_addr; size {CLAIMS_MAX}; flags dynamic,timeout; "
        f"timeout {CLAIM_SECONDS}s; }}"
        for v in (4, 6)
    ),
)
_MACS_SET = f" set macs {{ type ether_addr; size {MACS_MAX}; flags dynamic,timeout; timeout 300s; }}"
_SOLICITS = "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }"


def guard(
    netns: str, port: str, use: Use, underlay: frozenset[str], subnets: frozenset[str] | None, rate: int
) -> NftTable:
    """subnets: what hosts behind the port may claim; None where no address of the device is a gateway. A neighbour
    that a gateway learns becomes a host route in the whole VPC (type-2). rate: of ICMP to the device.
    """
    hook = f'  type filter hook ingress device "{port}" priority -500; policy accept;'
    if use == "none":
        chain = (" chain ingress {", hook, CLOSED_RULE, " }")
        return NftTable(netns, "netdev", names.guard(port), chain)
    families = underlay_families(underlay)
    skeleton = (
        *underlay_sets(families),
        *([_MACS_SET] if use == "bridged" else []),
        *(() if subnets is None else _HOST_SETS),
        " chain ingress {",
        hook,
        # Behind tags no rule below would match, and the kernel strips them later.
        "  meta protocol { 8021q, 8021ad } counter drop",
        *(_few_macs() if use == "bridged" else []),
        *_rates(rate),
        *(() if subnets is None else _claims(subnets)),
        *closed(families, f"udp dport {names.VXLAN_PORT} counter drop"),
        *closed(families, "counter drop"),
        " }",
    )
    sets = underlay_elements(underlay)
    if subnets is not None:
        sets = tuple(sorted((*sets, *prefix_sets("hosts", collapsed(subnets | _UNNUMBERED)))))
    return NftTable(netns, "netdev", names.guard(port), skeleton, sets)


def limits_claims(table: NftTable) -> bool:
    """Whether a guard says which addresses may be claimed behind its port."""
    return any(name == "hosts4" for name, _ in table.sets)


def underlay_families(underlay: Iterable[str]) -> tuple[int, ...]:
    """IPv4, because VTEPs have IPv4 loopbacks; IPv6 as soon as there is such a prefix. Until then the underlay's only
    IPv6 addresses are link-local ones of its own links, which nothing on another link can name."""
    return (4, 6) if any(":" in prefix for prefix in underlay) else (4,)


def underlay_sets(families: Iterable[int]) -> list[str]:
    return [f" set underlay{v} {{ type ipv{v}_addr; flags interval; }}" for v in families]


def underlay_elements(underlay: Iterable[str]) -> Sets:
    families = {f"underlay{v}" for v in underlay_families(underlay)}
    return tuple(one for one in prefix_sets("underlay", underlay) if one[0] in families)


def closed(families: Iterable[int], what: str) -> list[str]:
    """Rules about packets to underlay addresses."""
    return [f"  {'ip' if v == 4 else 'ip6'} daddr @underlay{v} {what}" for v in families]


def _few_macs() -> list[str]:
    """A set that is full takes no more, and what is not in it does not pass."""
    return ["  update @macs { ether saddr }", "  ether saddr != @macs counter drop"]


def _rates(rate: int) -> list[str]:
    """Of what the device's own processor has to answer, each port has a share of its own."""
    over = f"limit rate over {DISCOVERY_RATE}/second burst {DISCOVERY_BURST} packets counter drop"
    found = [f"  meta protocol arp {over}", f"  {_SOLICITS} {over}"]
    if rate > 0:
        over = f"fib daddr type local limit rate over {rate}/second burst {rate} packets counter drop"
        found += [
            f"  icmp type {{ echo-request, {ICMP_ERRORS} }} {over}",
            f"  icmpv6 type {{ echo-request, packet-too-big, {ICMP_ERRORS} }} {over}",
        ]
    return found


def _claims(subnets: Iterable[str]) -> list[str]:
    """Who says to be whom: ARP, neighbour discovery. And a host is no router."""
    targets = [f"@th,64,{net.prefixlen} != {_leading(net)}" for net in map(ip_network, subnets) if net.version == 6]
    allowed = " ".join(["@th,64,10 != 0x3fa", *sorted(targets)])  # fe80::/10, and the V-Net's own
    four, six = "arp saddr ip != 0.0.0.0", "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 saddr != ::"
    return [
        "  arp saddr ip != @hosts4 counter drop",
        "  icmpv6 type nd-neighbor-solicit ip6 saddr != @hosts6 counter drop",
        f"  icmpv6 type nd-neighbor-advert {allowed} counter drop",
        "  icmpv6 type { nd-router-advert, nd-redirect } counter drop",
        f"  {four} update @claims4 {{ arp saddr ip . arp saddr ether }}",
        f"  {four} arp saddr ip . arp saddr ether != @claims4 counter drop",
        f"  {six} update @claims6 {{ ip6 saddr . ether saddr }}",
        f"  {six} ip6 saddr . ether saddr != @claims6 counter drop",
    ]


def _leading(net: IPv4Network | IPv6Network) -> str:
    """The bits of a prefix as a number: nft 1.0.6 cannot name the target of a neighbour advertisement."""
    return hex(int(net.network_address) >> (net.max_prefixlen - net.prefixlen))


def prefix_sets(name: str, prefixes: Iterable[str]) -> Sets:
    return tuple(
        (f"{name}{version}", frozenset(element(p) for p in members))
        for version, members in by_family(prefixes).items()
    )


def element(prefix: str) -> str:
    """A prefix as nft lists it: that of a single address without its length."""
    address, _, length = prefix.partition("/")
    return address if length == ("128" if ":" in address else "32") else prefix
