"""The guard of a port: what stands behind every port that is not underlay, before anything else sees a packet.

Nothing from outside reaches an underlay address (law 11), whatever a host says of itself; a port without a use passes
nothing at all. And what a host can make the device remember or announce is bounded per port, because these tables
are the device's, not the VPC's: the kernel counts the neighbours of all namespaces together (gc_thresh), and each MAC
address and each neighbour becomes a route on every leaf of the V-Net (type-2).

The sets that packets fill themselves are no part of the state that Underlace owns: `rules` reads them as `seen`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal, NamedTuple

from underlace.drivers.linux import names
from underlace.drivers.linux.native import NftTable, passing
from underlace.drivers.linux.normalise import by_family, collapsed

Use = Literal["none", "bridged", "routed", "tagged"]
"""tagged: of a VLAN of a port, which a bridge has."""

Sets = tuple[tuple[str, frozenset[str]], ...]

CLOSED_RULE = "  counter drop"
ICMP_ERRORS = "destination-unreachable, time-exceeded, parameter-problem"

CLAIM_SECONDS = 180
"""How long a claim is remembered after it was last made: the time of RFC 7432 §15.1 for duplicates."""


class Bounds(NamedTuple):
    """What may be behind a port at a time, and what it may send a second.

    macs: MAC addresses. claims: (address, MAC address) pairs that hosts claim, per family. discovery, burst: ARP and
    neighbour discovery; a machine that talks to ten others sends less than one. broadcasts: all of them, 0 for no
    bound of their own: a loop in a network behind a port would fill the fabric.
    """

    macs: int
    claims: int
    discovery: int
    burst: int
    broadcasts: int = 0


SERVER = Bounds(1_024, 2_048, 100, 500)
"""A server, a hypervisor with its machines included."""

NETWORK = Bounds(16_384, 32_768, 1_000, 5_000, 2_000)
"""Another layer-2 network, with its switches."""

_SPANNING_TREE = "  ether daddr { 01:00:0c:cc:cc:cd, 01:80:c2:00:00:00 } counter drop"
"""A server has no say in the tree of a network that is behind a bridge port. Between such ports it passes."""

_LINK_LOCAL = (
    "  ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 ether type { ip, ip6, arp, 8021q, 8021ad } counter drop"
)
"""What is neither LACP nor LLDP nor spanning tree, to an address of theirs."""

_UNNUMBERED = frozenset({"0.0.0.0/32", "::/128", "fe80::/10"})
"""Sources of hosts that have no address yet, and link-local ones."""

_TAGS_SET = " set tags { typeof vlan id; }"
_LET_TAGS = "  vlan id @tags accept"
_MORE_TAGS = "  meta protocol { 8021q, 8021ad } counter drop"
"""Behind two tags no rule would match, and the kernel strips them later."""

_SOLICITS = "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }"


class Behind(NamedTuple):
    """What is behind a port, or behind a VLAN of one.

    subnets: what hosts there may claim; None where no address of the device is a gateway. A neighbour that a gateway
    learns becomes a host route in the whole VPC (type-2). tags: VLANs with a link of their own, and its namespace.
    """

    use: Use = "none"
    subnets: frozenset[str] | None = None
    tags: Mapping[int, str] = {}
    bounds: Bounds = SERVER


def guard(netns: str, port: str, behind: Behind, underlay: frozenset[str], rate: int) -> NftTable:
    """rate: of ICMP to the device."""
    hook = f'  type filter hook ingress device "{port}" priority -500; policy accept;'
    use, subnets, tags, bounds = behind
    families, bridged = underlay_families(underlay), use in ("bridged", "tagged")
    if use == "none":
        rules = [*(_tags(use, tags) if tags else ()), CLOSED_RULE]
        skeleton = (*([_TAGS_SET] if tags else []), " chain ingress {", hook, *rules, " }")
        return NftTable(netns, "netdev", names.guard(port), skeleton, _elements(tags))
    skeleton = (
        *([_TAGS_SET] if tags else []),
        *underlay_sets(families),
        *([_macs_set(bounds)] if bridged else []),
        *(() if subnets is None else _host_sets(bounds)),
        " chain ingress {",
        hook,
        *_tags(use, tags),
        *(_switched(bounds) if bridged else []),
        *(_few_macs() if bridged else []),
        *_rates(rate, bounds),
        *(() if subnets is None else _claims(subnets)),
        *closed(families, f"udp dport {names.VXLAN_PORT} counter drop"),
        *closed(families, "counter drop"),
        " }",
    )
    sets = (*_elements(tags), *underlay_elements(underlay))
    if subnets is not None:
        sets = (*sets, *prefix_sets("hosts", collapsed(subnets | _UNNUMBERED)))
    return NftTable(netns, "netdev", names.guard(port), skeleton, tuple(sorted(sets)))


def member_guard(netns: str, port: str, underlay: frozenset[str]) -> NftTable:
    """Of a member of a lag: a part of what the lag's guard drops, where the kernel lets a frame in beside the lag.

    One for a link-local group address that enters by a member that LACP does not use is the member's own; and between
    its coming up and its joining, so is any.
    """
    hook = f'  type filter hook ingress device "{port}" priority -500; policy accept;'
    families = underlay_families(underlay)
    rules = (_LINK_LOCAL, *closed(families, CLOSED_RULE.strip()))
    skeleton = (*underlay_sets(families), " chain ingress {", hook, *rules, " }")
    return NftTable(netns, "netdev", names.guard(port), skeleton, tuple(sorted(underlay_elements(underlay))))


def _tags(use: Use, tags: Mapping[int, str]) -> list[str]:
    """A tag is for a VLAN of this port that has a link, and one at a time. A priority tag (VLAN 0) is none: its
    packets are the port's own, and the rules below see through it."""
    if use == "tagged":
        return ["  ether type { 8021q, 8021ad } counter drop"]
    passes = [_LET_TAGS] if tags else []
    return [_MORE_TAGS, "  ether type 8021ad counter drop", *passes, "  vlan id != 0 counter drop"]


def _elements(tags: Mapping[int, str]) -> Sets:
    return (("tags", frozenset(passing(vlan, netns) for vlan, netns in tags.items())),) if tags else ()


def _host_sets(bounds: Bounds) -> list[str]:
    claims = (
        f" set claims{v} {{ type ipv{v}_addr . ether_addr; size {bounds.claims}; flags dynamic,timeout; "
        f"timeout {CLAIM_SECONDS}s; }}"
        for v in (4, 6)
    )
    hosts = (f" set hosts{v} {{ type ipv{v}_addr; flags interval; }}" for v in (4, 6))
    return [*hosts, *claims]


def _macs_set(bounds: Bounds) -> str:
    return f" set macs {{ type ether_addr; size {bounds.macs}; flags dynamic,timeout; timeout 300s; }}"


def is_network(table: NftTable) -> bool:
    """Whether a guard is that of a port with another network behind it."""
    return _macs_set(NETWORK) in table.skeleton


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


def _switched(bounds: Bounds) -> list[str]:
    if not bounds.broadcasts:
        return [_SPANNING_TREE]
    rate = f"limit rate over {bounds.broadcasts}/second burst {2 * bounds.broadcasts} packets counter drop"
    return [f"  ether daddr ff:ff:ff:ff:ff:ff {rate}"]


def _few_macs() -> list[str]:
    """A set that is full takes no more, and what is not in it does not pass."""
    return ["  update @macs { ether saddr }", "  ether saddr != @macs counter drop"]


def _rates(rate: int, bounds: Bounds) -> list[str]:
    """Of what the device's own processor has to answer, each port has a share of its own."""
    over = f"limit rate over {bounds.discovery}/second burst {bounds.burst} packets counter drop"
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
