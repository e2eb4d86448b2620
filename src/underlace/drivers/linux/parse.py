"""Native items back to device objects: what a device amounts to, in the vendor-neutral words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from underlace.drivers.linux import bonds, filters, guards, names, parse_frr, render
from underlace.drivers.linux.native import (
    Address,
    Bond,
    BondMember,
    Bridge,
    EvpnVni,
    EvpnVrf,
    FrrLine,
    Item,
    Netns,
    NftTable,
    Pair,
    PortLink,
    Route,
    Vxlan,
)
from underlace.drivers.linux.normalise import without
from underlace.model.change import Key
from underlace.model.device import (
    AccessPort,
    DeviceObject,
    L2Vni,
    Leak,
    Port,
    Protection,
    RoutedPort,
    Svi,
    System,
    TaggedPort,
    Vrf,
)

I = TypeVar("I", bound=Item)  # noqa: E741 - an item


class Native:
    """Items by type and by key."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.all = {item.key: item for item in items}

    def of(self, kind: type[I]) -> list[I]:
        return [item for item in self.all.values() if isinstance(item, kind)]

    def get(self, kind: type[I], key: Key) -> I | None:
        found = self.all.get(key)
        return found if isinstance(found, kind) else None

    def addresses(self, netns: str, link: str) -> frozenset[str]:
        found = (a.address for a in self.of(Address) if (a.netns, a.link) == (netns, link))
        return frozenset(a for a in found if a != names.SVI_LINK_LOCAL)


def model(items: Iterable[Item]) -> dict[Key, DeviceObject]:
    """The device objects that items amount to. Incomplete state yields what can be told from it."""
    native = Native(items)
    lines = parse_frr.Configuration(native.of(FrrLine))
    parts: tuple[Iterable[DeviceObject], ...] = (
        _base(native, lines),
        _ports(native),
        _vrfs(native),
        _domains(native),
        _leaks(native),
        parse_frr.routers(lines),
        parse_frr.routes(lines),
        parse_frr.neighbors(lines, native.of(NftTable)),
        parse_frr.evpn_peers(lines),
    )
    return {one.key: one for part in parts for one in part}


def _base(native: Native, lines: parse_frr.Configuration) -> Iterator[DeviceObject]:
    table = native.get(NftTable, ("nft", names.MAIN, "inet", names.TABLE))
    if native.get(Netns, ("netns", names.MAIN)) is not None:
        loopbacks = sorted(native.addresses(names.MAIN, names.LOOPBACK))
        yield System(
            "",
            loopback=loopbacks[0].partition("/")[0] if loopbacks else None,
            mac=_router_mac(native),
            vtep=table is not None and filters.takes_vxlan(table),
            mtu=_underlay_mtu(native),
        )
    if table is not None:
        sets = dict(table.sets)
        found = frozenset(_prefix(one) for name in ("underlay4", "underlay6") for one in sets.get(name, frozenset()))
        # What fabric sessions carry are the loopbacks; the rest of what is closed are links.
        carried = frozenset(lines.lists.get(names.FABRIC_LIST, found))
        links = without(found, carried)
        yield Protection(sets.get("vteps", frozenset()), without(found, links), filters.icmp_rate(table), links)


def _prefix(element: str) -> str:
    """A set's element as a prefix."""
    return element if "/" in element else f"{element}/{'128' if ':' in element else '32'}"


def _router_mac(native: Native) -> str | None:
    own = (bridge.mac for bridge in native.of(Bridge) if not render.is_gateway(bridge.settings))
    return min(own, default=None)


def _underlay_mtu(native: Native) -> int | None:
    for binding in native.of(EvpnVrf):
        tunnel = native.get(Vxlan, ("vxlan", binding.vrf, names.vxlan(binding.vni)))
        if tunnel is not None:
            return tunnel.mtu + names.VXLAN_OVERHEAD
    return None


def _ports(native: Native) -> Iterator[DeviceObject]:
    for link in native.of(PortLink):
        domain = names.BRIDGE_PATTERN.fullmatch(link.bridge)
        guard = native.get(NftTable, ("nft", link.netns, "netdev", names.guard(link.port)))
        network = guard is not None and guards.is_network(guard)
        if names.TAG_PATTERN.fullmatch(link.port):
            if domain is not None:
                yield TaggedPort(*names.untag(link.port), int(domain[1]), link.netns, network)
            continue
        own = native.addresses(link.netns, link.port) if guard is None else frozenset()
        yield Port(link.port, underlay=guard is None, enabled=link.up, mtu=link.mtu, addresses=own)
        if (bond := native.get(Bond, ("bond", link.netns, link.port))) is not None:
            yield from bonds.objects(bond, native.of(BondMember), link.mtu)
        if domain is not None:
            yield AccessPort(link.port, int(domain[1]), link.netns, network)
        elif link.netns != names.MAIN:
            hosts = guard is not None and guards.limits_claims(guard)
            yield RoutedPort(link.port, link.netns, native.addresses(link.netns, link.port), link.mtu, hosts)


def _vrfs(native: Native) -> Iterator[DeviceObject]:
    for netns in native.of(Netns):
        if netns.name == names.MAIN:
            continue
        bound = [one for one in native.of(EvpnVrf) if one.vrf == netns.name]
        if not bound:
            yield Vrf(netns.name)
        for one in bound:
            yield Vrf(one.vrf, one.vni, one.rd, one.import_targets, one.export_targets)


def _domains(native: Native) -> Iterator[DeviceObject]:
    for tunnel in native.of(Vxlan):
        evpn = next((one for one in native.of(EvpnVni) if one.vni == tunnel.vni), None)
        if evpn is None:
            continue
        yield L2Vni(
            tunnel.vni,
            vrf=tunnel.netns,
            rd=evpn.rd,
            import_targets=evpn.import_targets,
            export_targets=evpn.export_targets,
            mtu=tunnel.mtu,
        )
        bridge = native.get(Bridge, ("bridge", tunnel.netns, names.bridge(tunnel.vni)))
        if bridge is not None and render.is_gateway(bridge.settings):
            yield Svi(tunnel.vni, tunnel.netns, native.addresses(tunnel.netns, bridge.name), bridge.mac)


def _leaks(native: Native) -> Iterator[DeviceObject]:
    routes = native.of(Route)
    for pair in native.of(Pair):
        for side, (vrf, peer) in enumerate(((pair.one, pair.other), (pair.other, pair.one))):
            prefixes = (r.prefix for r in routes if (r.netns, r.number) == (vrf, pair.number))
            yield Leak(vrf, peer, pair.number, side, frozenset(prefixes))
