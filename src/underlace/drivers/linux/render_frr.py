"""Device objects to FRR's configuration lines.

The default VRF originates its networks and nothing else; what passes a fabric session is limited to single addresses
of the underlay prefixes, in and out, so that the underlay carries loopbacks only (hazards 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from zlib import crc32

from underlace.drivers.linux import frr, names
from underlace.drivers.linux.native import FrrLine
from underlace.drivers.linux.normalise import Objects, by_family, is_address
from underlace.model.device import DEFAULT_VRF, Bfd, BgpNeighbor, BgpRouter, EvpnPeer, Protection, StaticRoute, Vrf

_BITS = {4: 32, 6: 128}
_LIST = {4: "ip", 6: "ipv6"}
_FAMILY = {4: frr.IPV4, 6: frr.IPV6}


COALESCE = "coalesce-time 100"
"""Milliseconds that the first routes wait for further sessions to come up and be served together. FRR's own second is
what a new session, and so a device that starts, would wait for nothing."""


def header(router: BgpRouter) -> str:
    suffix = "" if router.vrf == DEFAULT_VRF else f" vrf {router.vrf}"
    return f"router bgp {router.asn or 0}{suffix}"


def routing(model: Objects) -> Iterator[FrrLine]:
    """Every BGP router of a model with its neighbours, filters and BFD profile."""
    neighbors: dict[str, list[BgpNeighbor]] = {}
    for one in model.of(BgpNeighbor):
        neighbors.setdefault(one.vrf, []).append(one)
    for router in model.of(BgpRouter):
        routes = model.get(Vrf, ("vrf", router.vrf))
        yield from _router(router, bool(routes and routes.l3vni is not None))
        for neighbor in neighbors.get(router.vrf, ()):
            yield from _neighbor(router, neighbor)
        for peer in model.of(EvpnPeer) if router.vrf == DEFAULT_VRF else ():
            yield from _evpn_peer(router, peer)
    for route in model.of(StaticRoute):
        word = "ipv6 route" if ":" in route.prefix else "ip route"
        yield FrrLine((f"vrf {route.vrf}",), f"{word} {route.prefix} {route.next_hop or frr.BLACKHOLE}")
    if model.router(DEFAULT_VRF) is not None:
        protection = model.get(Protection, ("protection",)) or Protection()
        yield from _fabric_list(protection.underlay)


def _router(router: BgpRouter, l3: bool) -> Iterator[FrrLine]:
    top = header(router)
    yield FrrLine((), top)
    if router.router_id:
        yield FrrLine((top,), f"bgp router-id {router.router_id}")
    yield FrrLine((top,), frr.NO_DEFAULT_FAMILY)
    yield FrrLine((top,), "bgp bestpath as-path multipath-relax")
    yield FrrLine((top,), COALESCE)
    networks, aggregates = by_family(router.networks), by_family(router.aggregates)
    for version, family in _FAMILY.items():
        context = (top, family)
        for prefix in networks[version]:
            yield FrrLine(context, f"network {prefix}")
        for prefix in aggregates[version]:
            yield FrrLine(context, f"aggregate-address {prefix}")
        if router.connected:
            yield FrrLine(context, "redistribute connected")
        if router.static:
            yield FrrLine(context, "redistribute static")
        yield FrrLine(context, f"maximum-paths {router.maximum_paths}")
    if router.evpn == "vtep":
        yield FrrLine((top, frr.EVPN), frr.ADVERTISE_ALL)
    if l3:
        for word in ("ipv4", "ipv6"):
            yield FrrLine((top, frr.EVPN), f"advertise {word} unicast")
    yield from _profile(router.vrf, router.bfd or Bfd())


def _profile(vrf: str, bfd: Bfd) -> Iterator[FrrLine]:
    line = f"profile {names.profile(vrf)}"
    yield FrrLine(("bfd",), line)
    timers = {
        "detect-multiplier": bfd.multiplier,
        "transmit-interval": bfd.transmit,
        "receive-interval": bfd.receive,
    }
    for word, value in timers.items():
        if value != frr.BFD_DEFAULTS[word]:
            yield FrrLine(("bfd", line), f"{word} {value}")


def _neighbor(router: BgpRouter, one: BgpNeighbor) -> Iterator[FrrLine]:
    top, peer = header(router), f"neighbor {one.peer}"
    numbered = is_address(one.peer)
    remote = "external" if one.remote_as is None else str(one.remote_as)
    yield FrrLine((top,), f"{peer} {'' if numbered else 'interface '}remote-as {remote}")
    yield FrrLine((top,), f"{peer} timers connect 1")
    yield FrrLine((top,), f"{peer} advertisement-interval 0")
    if one.local_as is not None:
        yield FrrLine((top,), f"{peer} local-as {one.local_as} no-prepend replace-as")
    if one.bfd:
        yield FrrLine((top,), f"{peer} bfd")
        yield FrrLine((top,), f"{peer} bfd profile {names.profile(one.vrf)}")
    if not one.fabric:
        outside = frr.route_map(names.OUTSIDE_MAP)
        yield FrrLine((), outside)
        yield from (FrrLine((outside,), line) for line in frr.CLEANED)
    for version in _versions(one):
        yield from _activation((top, _FAMILY[version]), one)
    if one.evpn:
        yield FrrLine((top, frr.EVPN), f"{peer} activate")
    yield from _lists(one)


def _evpn_peer(router: BgpRouter, one: EvpnPeer) -> Iterator[FrrLine]:
    """No BFD: leaves have several such sessions, and what they lead to is watched on the links below. FRR leaves next
    hops of EVPN as they are, and does not print that."""
    top, peer = header(router), f"neighbor {one.peer}"
    yield FrrLine((top,), f"{peer} remote-as external")
    yield FrrLine((top,), f"{peer} {frr.MULTIHOP}")
    if one.source is not None:
        yield FrrLine((top,), f"{peer} update-source {one.source}")
    yield FrrLine((top,), f"{peer} timers connect 1")
    yield FrrLine((top,), f"{peer} advertisement-interval 0")
    yield FrrLine((top, frr.EVPN), f"{peer} activate")


def _versions(one: BgpNeighbor) -> tuple[int, ...]:
    """Address families of a session: that of the peer's address; unnumbered, both; the fabric, IPv4 (RFC 8950)."""
    if one.fabric:
        return (4,)
    if is_address(one.peer):
        return (6,) if ":" in one.peer else (4,)
    return (4, 6)


def _activation(context: tuple[str, ...], one: BgpNeighbor) -> Iterator[FrrLine]:
    peer = f"neighbor {one.peer}"
    yield FrrLine(context, f"{peer} activate")
    if not one.fabric:
        # The AS numbers of leaves and spines are private, and no business of anyone outside (RFC 6996 §4).
        yield FrrLine(context, f"{peer} remove-private-AS all")
        yield FrrLine(context, f"{peer} route-map {names.OUTSIDE_MAP} in")
    accepted = names.accepted_list(one.vrf, one.peer) if one.refuse else names.FABRIC_LIST if one.fabric else ""
    announced = names.announced_list(one.vrf, one.peer)
    if one.export is None:
        announced = names.FABRIC_LIST if one.fabric else ""
    if accepted:
        yield FrrLine(context, f"{peer} prefix-list {accepted} in")
    if announced:
        yield FrrLine(context, f"{peer} prefix-list {announced} out")
    if one.maximum_prefixes is not None:
        yield FrrLine(context, f"{peer} maximum-prefix {one.maximum_prefixes} warning-only")


def _lists(one: BgpNeighbor) -> Iterator[FrrLine]:
    """Lists of both families, also that which the session does not carry: what was said is kept whole."""
    if one.export is not None:
        name = names.announced_list(one.vrf, one.peer)
        for version, prefixes in by_family(one.export).items():
            yield from _entries(version, name, [f"permit {p}" for p in prefixes], "deny any")
    if one.refuse:
        name = names.accepted_list(one.vrf, one.peer)
        for version, prefixes in by_family(one.refuse).items():
            rules = [f"deny {p}{_inside(p, 'le', version)}" for p in prefixes]
            yield from _entries(version, name, rules, "permit any")


def _fabric_list(underlay: Iterable[str]) -> Iterator[FrrLine]:
    for version, prefixes in by_family(underlay).items():
        rules = [f"permit {p}{_inside(p, 'ge', version)}" for p in prefixes]
        yield from _entries(version, names.FABRIC_LIST, rules, "deny any")


def _inside(prefix: str, word: str, version: int) -> str:
    """Makes a rule mean the addresses in a prefix; FRR refuses the words for a prefix that is an address."""
    bits = _BITS[version]
    return "" if prefix.endswith(f"/{bits}") else f" {word} {bits}"


def _entries(version: int, name: str, rules: Iterable[str], last: str) -> Iterator[FrrLine]:
    """A list whose last entry is always there: FRR lets everything pass a list that has none.

    A sequence number comes from the rule itself, so that a new entry moves no other one.
    """
    start = f"{_LIST[version]} prefix-list {name}"
    taken = {names.LAST_SEQUENCE}
    for rule in sorted(rules):
        number = crc32(rule.encode()) % (names.LAST_SEQUENCE - 1) + 1
        while number in taken:
            number = number % (names.LAST_SEQUENCE - 1) + 1
        taken.add(number)
        yield FrrLine((), f"{start} seq {number} {rule}")
    yield FrrLine((), f"{start} seq {names.LAST_SEQUENCE} {last}")
