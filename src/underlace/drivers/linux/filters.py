"""The nftables tables of a device: the closed underlay (law 11), and what protects the device itself.

    port, ingress   underlace_<port>   first of all hooks: `guards`
    main netns      underlace          BGP and BFD from link-local, VXLAN from known VTEPs, both on underlay ports;
                                       forwarded is only what goes from an underlay port to an underlay port
    VRF netns       underlace          declared BGP neighbours, on their link and to its address; ND, some ICMP;
                                       peerings pass their prefixes only; gateways look for so many new hosts a second

There is no connection tracking: a spine would track every tunnel that it forwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from underlace.drivers.linux import names
from underlace.drivers.linux.guards import (
    ICMP_ERRORS,
    Sets,
    closed,
    element,
    underlay_elements,
    underlay_families,
    underlay_sets,
)
from underlace.drivers.linux.native import NftTable
from underlace.drivers.linux.normalise import beside, by_family, collapsed, is_address
from underlace.drivers.linux.normalise import closed as everything_closed
from underlace.model.device import BgpNeighbor, Leak, Protection

_ND = "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }"
_VTEP_RULE = "  iifname @underlay_ports ip saddr @vteps udp dport 4789 accept"
VRF_SHARES = 16
"""The ICMP limit of a VRF in limits of a port: no single port can use up what the gateways answer."""

GLEAN_RATE, GLEAN_BURST = 300, 1_000
"""Hosts a second, of all gateways of a VRF, for which packets may make the device ask. Asking takes a place in the
neighbour table of the whole device for some 20 seconds, so a VRF can take a few thousand places at most."""

SOUGHT_MAX, SOUGHT_SECONDS = 16_384, 60
"""Destinations that are talked to; packets to these are not counted again."""

_GLEAN = f"limit rate {GLEAN_RATE}/second burst {GLEAN_BURST} packets"


def _icmp(rate: int) -> list[str]:
    discovery = [f"  {_ND} ip6 hoplimit 255 accept"]
    if rate <= 0:
        return discovery
    limit = f"limit rate {rate}/second burst {rate} packets accept"
    return [
        *discovery,
        f"  icmpv6 type {{ echo-request, packet-too-big, {ICMP_ERRORS} }} {limit}",
        f"  icmp type {{ echo-request, {ICMP_ERRORS} }} {limit}",
    ]


def _sessions(source: str) -> list[str]:
    """Both directions of BGP, without tracking: replies to our own connections, and BFD (RFC 5881: TTL 255)."""
    hops = "ip6 hoplimit" if "ip6 saddr" in source else "ip ttl"
    return [
        f"  {source} tcp dport 179 accept",
        f"  {source} tcp sport 179 tcp flags & (syn | ack) != syn accept",
        f"  {source} udp dport {{ 3784, 3785, 4784 }} {hops} 255 accept",
    ]


class Speakers(NamedTuple):
    """Who talks BGP to the underlay's namespace by its address. own: the loopback. peers: loopbacks of EVPN peers.
    neighbors: at the other ends of links that have addresses."""

    own: str = ""
    peers: frozenset[str] = frozenset()
    neighbors: tuple[BgpNeighbor, ...] = ()


def _peer_rules(own: str) -> list[str]:
    """BGP between loopbacks. These sessions have no BFD; TTL says nothing over an unknown number of hops. Guards of
    ports see to it that nobody speaks in a peer's name: from outside, nothing reaches a loopback."""
    source = f"iifname @underlay_ports ip saddr @evpn_peers ip daddr {own}"
    return _sessions(source)[:2]


_NOBODY = Speakers()


def _numbered_sets() -> list[str]:
    return [f" set {name}{v} {{ type ifname . ipv{v}_addr; }}" for name in ("neighbors", "own") for v in (4, 6)]


def _numbered_rules() -> list[str]:
    return [
        *_sessions("iifname . ip saddr @neighbors4 iifname . ip daddr @own4"),
        *_sessions("iifname . ip6 saddr @neighbors6 iifname . ip6 daddr @own6"),
    ]


def main_table(
    protection: Protection, vtep: bool, ports: Mapping[str, frozenset[str]], speakers: Speakers = _NOBODY
) -> NftTable:
    """Input and forwarding of the underlay's namespace. ports: of the underlay, with their addresses."""
    fabric = "iifname @underlay_ports ip6 saddr fe80::/10 ip6 daddr fe80::/10"
    underlay = everything_closed(protection)
    peers = speakers.peers if speakers.own else frozenset()
    numbered = _neighbor_sets(speakers.neighbors, ports) if speakers.neighbors else {}
    families = underlay_families(underlay)
    skeleton = (
        " set underlay_ports { type ifname; }",
        " set vteps { type ipv4_addr; }",
        *([" set evpn_peers { type ipv4_addr; }"] if peers else []),
        *(_numbered_sets() if numbered else []),
        *underlay_sets(families),
        " chain input {",
        "  type filter hook input priority filter; policy drop;",
        '  iifname "lo" accept',
        *_sessions(fabric),
        *(_peer_rules(speakers.own) if peers else []),
        *(_numbered_rules() if numbered else []),
        *([_VTEP_RULE] if vtep else []),
        *_icmp(protection.icmp_rate or 0),
        "  counter drop",
        " }",
        " chain forward {",
        "  type filter hook forward priority filter; policy drop;",
        "  iifname @underlay_ports oifname @underlay_ports accept",
        *closed(families, "counter drop"),
        "  counter drop",
        " }",
    )
    sets: Sets = (
        ("underlay_ports", frozenset(f'"{port}"' for port in ports)),
        ("vteps", protection.vteps),
        *([("evpn_peers", peers)] if peers else []),
        *((name, found) for name, found in numbered.items() if name != "unnumbered"),
        *underlay_elements(underlay),
    )
    return NftTable(names.MAIN, "inet", names.TABLE, skeleton, tuple(sorted(sets)))


def vrf_table(
    vrf: str,
    rate: int,
    neighbors: Iterable[BgpNeighbor],
    links: Mapping[str, frozenset[str]],
    leaks: Iterable[tuple[Leak, Leak]],
) -> NftTable:
    """Input of a VRF's namespace, and what may cross its peerings: (ours to them, theirs to us).

    links: addresses of the VRF, with prefix length, by the link that has them.
    """
    skeleton = (
        *(f" set {name}{v} {{ type ifname . ipv{v}_addr; }}" for name in ("neighbors", "own") for v in (4, 6)),
        " set unnumbered { type ifname; }",
        *(
            f" set {side}{v} {{ type ifname . ipv{v}_addr; flags interval; }}"
            for side in ("local", "remote")
            for v in (4, 6)
        ),
        " set gateways { type ifname; }",
        *(
            f" set sought{v} {{ type ifname . ipv{v}_addr; size {SOUGHT_MAX}; flags dynamic,timeout; "
            f"timeout {SOUGHT_SECONDS}s; }}"
            for v in (4, 6)
        ),
        " chain input {",
        "  type filter hook input priority filter; policy drop;",
        '  iifname "lo" accept',
        *_icmp(rate * VRF_SHARES),
        *_sessions("iifname . ip saddr @neighbors4 iifname . ip daddr @own4"),
        *_sessions("iifname . ip6 saddr @neighbors6 iifname . ip6 daddr @own6"),
        *_sessions("iifname @unnumbered ip6 saddr fe80::/10 ip6 daddr fe80::/10"),
        "  counter drop",
        " }",
        " chain forward {",
        "  type filter hook forward priority filter; policy accept;",
        '  iifname "pr*" jump arriving',
        '  oifname "pr*" jump leaving',
        "  oifname @gateways jump delivering",
        " }",
        " chain delivering {",
        *(
            f"  oifname . {daddr} @sought{v} update @sought{v} {{ oifname . {daddr} }} accept"
            for daddr, v in (("ip daddr", 4), ("ip6 daddr", 6))
        ),
        *(
            f"  meta nfproto ipv{v} {_GLEAN} update @sought{v} {{ oifname . {daddr} }} accept"
            for daddr, v in (("ip daddr", 4), ("ip6 daddr", 6))
        ),
        "  counter drop",
        " }",
        " chain arriving {",
        "  iifname . ip saddr @remote4 iifname . ip daddr @local4 return",
        "  iifname . ip6 saddr @remote6 iifname . ip6 daddr @local6 return",
        "  counter drop",
        " }",
        " chain leaving {",
        "  oifname . ip daddr @remote4 oifname . ip saddr @local4 return",
        "  oifname . ip6 daddr @remote6 oifname . ip6 saddr @local6 return",
        "  counter drop",
        " }",
    )
    gateways = frozenset(f'"{link}"' for link in links if names.BRIDGE_PATTERN.fullmatch(link))
    sets = dict(_neighbor_sets(neighbors, links)) | dict(_leak_sets(leaks)) | {"gateways": gateways}
    return NftTable(vrf, "inet", names.TABLE, skeleton, tuple(sorted(sets.items())))


def _neighbor_sets(
    neighbors: Iterable[BgpNeighbor], links: Mapping[str, frozenset[str]]
) -> Mapping[str, frozenset[str]]:
    """Who may talk BGP: a neighbour on its link, to the address that this link has in the neighbour's network.

    One that is in no network of the VRF cannot be reached, and nobody is let in under its name.
    """
    found: dict[str, set[str]] = {name: set() for name in ("neighbors4", "neighbors6", "own4", "own6", "unnumbered")}
    for one in neighbors:
        if not is_address(one.peer):
            found["unnumbered"].add(f'"{one.peer}"')
            continue
        own = dict(beside(one.peer, links))
        family = 6 if ":" in one.peer else 4
        link = one.port or next(iter(own), None)
        if link is not None:
            found[f"neighbors{family}"].add(f'"{link}" . {one.peer}')
            found[f"own{family}"] |= {f'"{link}" . {address}' for address in own.get(link, ())}
    return {name: frozenset(elements) for name, elements in found.items()}


def _leak_sets(leaks: Iterable[tuple[Leak, Leak]]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {f"{side}{v}": set() for side in ("local", "remote") for v in (4, 6)}
    for ours, theirs in leaks:
        link = names.pair(ours.number or 0)
        for side, prefixes in (("remote", ours.prefixes), ("local", theirs.prefixes)):
            for version, members in by_family(collapsed(prefixes)).items():
                found[f"{side}{version}"] |= {f'"{link}" . {element(prefix)}' for prefix in members}
    return {name: frozenset(elements) for name, elements in found.items()}


def takes_vxlan(table: NftTable) -> bool:
    """Whether a main table lets tunnels in: the device is a VTEP."""
    return _VTEP_RULE in table.skeleton


def icmp_rate(table: NftTable) -> int:
    """The ICMP limit in a table of the input policy, 0 when it has none."""
    for line in table.skeleton:
        before, limit, rest = line.partition(" limit rate ")
        if limit and "icmp type" in before:
            return int(rest.partition("/")[0])
    return 0
