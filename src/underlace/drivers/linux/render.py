"""Device objects to native items. Pure; expects nothing but objects, and resolves their defaults first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_interface

from underlace.drivers.linux import bonds, filters, guards, names, render_frr
from underlace.drivers.linux.native import (
    Address,
    AnyItem,
    Bridge,
    EvpnVni,
    EvpnVrf,
    Netns,
    NftTable,
    Pair,
    Placement,
    PortLink,
    Route,
    Settings,
    Tag,
    Vxlan,
)
from underlace.drivers.linux.normalise import Objects, closed, default_mac, is_address, normalise
from underlace.model.change import Key
from underlace.model.device import (
    DEFAULT_VRF,
    AccessPort,
    BgpNeighbor,
    DeviceObject,
    EvpnPeer,
    L2Vni,
    Lag,
    Leak,
    Port,
    Protection,
    RoutedPort,
    Svi,
    System,
    TaggedPort,
    Vrf,
)

_EVERYWHERE = {
    # Unnumbered sessions need link-local addresses at once; duplicate detection would hold them for two seconds.
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    # The way back may be another one.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    # A tenant's router advertisement must not give the device an address, nor a redirect a route.
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv4/conf/all/accept_redirects": "0",
    "ipv4/conf/default/accept_redirects": "0",
    "ipv6/conf/all/accept_redirects": "0",
    "ipv6/conf/default/accept_redirects": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    # Answer for an address only on the link that has it: a V-Net without a gateway must not find that of another.
    "ipv4/conf/all/arp_ignore": "1",
    # All paths of a fabric are used: the port numbers count.
    "ipv4/fib_multipath_hash_policy": "1",
    "ipv6/fib_multipath_hash_policy": "1",
}
FORWARDING = ("ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding")
NETNS_SETTINGS = tuple(sorted((*_EVERYWHERE, *FORWARDING)))

_GATEWAY: Settings = (
    # A leaf that eats the answer to another leaf's question learns the neighbour from it (hazards 8).
    ("ipv4/arp_accept", "1"),
    ("ipv4/forwarding", "1"),
    ("ipv6/accept_untracked_na", "1"),
    ("ipv6/disable_ipv6", "0"),
)
_ROUTED: Settings = (
    ("ipv4/arp_accept", "0"),
    ("ipv4/forwarding", "1"),
    ("ipv6/accept_untracked_na", "0"),
    ("ipv6/disable_ipv6", "0"),
)
_BRIDGED: Settings = (
    # No gateway: the device itself takes no part in the V-Net.
    ("ipv4/arp_accept", "0"),
    ("ipv4/forwarding", "0"),
    ("ipv6/accept_untracked_na", "0"),
    ("ipv6/disable_ipv6", "1"),
)
BRIDGE_SETTINGS = tuple(path for path, _ in _GATEWAY)
PORT_SETTINGS = ("ipv4/rp_filter", "ipv6/accept_dad", "ipv6/addr_gen_mode")


def items(objects: Iterable[DeviceObject]) -> dict[Key, AnyItem]:
    """Native items of a model."""
    model = Objects(normalise(objects).values())
    parts = (
        _base(model),
        _ports(model),
        _vrfs(model),
        _domains(model),
        _peerings(model),
        render_frr.routing(model),
    )
    return {item.key: item for part in parts for item in part}


def namespace(name: str, forwarding: bool) -> Netns:
    settings = _EVERYWHERE | dict.fromkeys(FORWARDING, "1" if forwarding else "0")
    return Netns(name, tuple(sorted(settings.items())))


def port_settings(link_local: bool) -> Settings:
    return (("ipv4/rp_filter", "0"), ("ipv6/accept_dad", "0"), ("ipv6/addr_gen_mode", "0" if link_local else "1"))


def _protection(model: Objects) -> Protection:
    found = model.get(Protection, ("protection",))
    return found or Protection(icmp_rate=names.DEFAULT_ICMP_RATE)


def _base(model: Objects) -> Iterator[AnyItem]:
    system = model.get(System, ("system",))
    if system is not None:
        yield namespace(names.MAIN, forwarding=True)
        if system.loopback:
            yield Address(names.MAIN, names.LOOPBACK, f"{system.loopback}/32")
    if system is not None or model.of(Protection):
        underlay = {port.name: port.addresses for port in model.of(Port) if port.underlay}
        speakers = filters.Speakers(
            model.system.loopback or "",
            frozenset(one.peer for one in model.of(EvpnPeer)),
            tuple(one for one in model.of(BgpNeighbor) if one.vrf == DEFAULT_VRF and is_address(one.peer)),
        )
        yield filters.main_table(_protection(model), bool(model.system.vtep), underlay, speakers)


def _ports(model: Objects) -> Iterator[AnyItem]:
    bridged = {member.port: member for member in model.of(AccessPort)}
    tagged: dict[str, list[TaggedPort]] = {}
    for tag in model.of(TaggedPort):
        tagged.setdefault(tag.port, []).append(tag)
    ports = _Ports(model)
    for port in model.of(Port):
        if model.lag_of(port.name) is not None:
            continue  # it comes with its lag, and has nothing of its own
        yield from ports.port(port, bridged.get(port.name), tagged.get(port.name, ()))
    for routed in model.of(RoutedPort):
        for address in routed.addresses:
            yield Address(routed.vrf or names.MAIN, routed.port, address)


class _Ports:
    """Ports and their VLANs, each behind a guard."""

    def __init__(self, model: Objects) -> None:
        self._model = model
        self._gateways = {svi.vni: svi for svi in model.of(Svi)}
        self._protection = _protection(model)
        self._closed = closed(self._protection)

    def port(self, port: Port, member: AccessPort | None, tags: Iterable[TaggedPort]) -> Iterator[AnyItem]:
        name, routed = port.name, self._model.routed(port.name)
        netns, bridge = names.MAIN, ""
        if member is not None and member.vni is not None:
            netns, bridge = member.vrf or names.MAIN, names.bridge(member.vni)
        elif routed is not None:
            netns = routed.vrf or names.MAIN
        lag = self._model.get(Lag, ("lag", name))
        yield from (Placement(netns, one) for one in ((name,) if lag is None else sorted(lag.members)))
        if lag is not None:
            yield from bonds.items(lag, netns)
            yield from (guards.member_guard(netns, one, self._closed) for one in sorted(lag.members))
        link_local = bool(port.underlay) or routed is not None
        yield PortLink(netns, name, bool(port.enabled), _mtu(port), bridge, port_settings(link_local))
        of_tags = {tag.vlan: tag.vrf or names.MAIN for tag in tags}
        if not port.underlay:
            use: guards.Use = "bridged" if bridge else "none" if routed is None else "routed"
            subnets = self._subnets(member, routed)
            yield self._guard(netns, name, guards.Behind(use, subnets, of_tags, _bounds(member)))
        for address in port.addresses:
            yield Address(names.MAIN, name, address)
        for tag in tags:
            yield from self._tag(port, tag, netns)

    def _tag(self, port: Port, tag: TaggedPort, trunk: str) -> Iterator[AnyItem]:
        netns, link = tag.vrf or names.MAIN, names.tag(port.name, tag.vlan)
        yield Tag(netns, link, trunk)
        bridge = names.bridge(tag.vni or 0)
        yield PortLink(netns, link, bool(port.enabled), _mtu(port), bridge, port_settings(False))
        yield self._guard(netns, link, guards.Behind("tagged", self._subnets(tag, None), {}, _bounds(tag)))

    def _guard(self, netns: str, link: str, behind: guards.Behind) -> NftTable:
        return guards.guard(netns, link, behind, self._closed, self._protection.icmp_rate or 0)

    def _subnets(self, member: AccessPort | TaggedPort | None, routed: RoutedPort | None) -> frozenset[str] | None:
        """What hosts may claim: the subnets of the gateways there, or of a routed link."""
        if routed is not None and routed.hosts:
            return networks(routed.addresses)
        svi = None if member is None or member.vni is None else self._gateways.get(member.vni)
        return None if svi is None else networks(svi.addresses)


def _bounds(member: AccessPort | TaggedPort | None) -> guards.Bounds:
    return guards.NETWORK if member is not None and member.bridge else guards.SERVER


def _mtu(port: Port) -> int:
    return port.mtu or names.DEFAULT_MTU


def networks(addresses: Iterable[str]) -> frozenset[str]:
    """The subnets that addresses with a prefix length are in."""
    return frozenset(str(ip_interface(address).network) for address in addresses)


def _vrfs(model: Objects) -> Iterator[AnyItem]:
    leaks = model.of(Leak)
    neighbors = model.of(BgpNeighbor)
    rate = _protection(model).icmp_rate or 0
    system = model.system
    for vrf in model.of(Vrf):
        name = vrf.name
        yield namespace(name, forwarding=vrf.l3vni is not None)
        ours = [(leak, _opposite(leak, leaks)) for leak in leaks if leak.vrf == name]
        yield filters.vrf_table(name, rate, [n for n in neighbors if n.vrf == name], _links(model, name), ours)
        if vrf.l3vni is None:
            continue
        mtu = _tunnel_mtu(system)
        mac = system.mac or default_mac(system)
        router = model.router(name)
        yield Bridge(name, names.bridge(vrf.l3vni), mac, mtu, _ROUTED)
        yield Vxlan(name, names.vxlan(vrf.l3vni), vrf.l3vni, system.loopback or "", mtu)
        asn = (router.asn if router else None) or 0
        yield EvpnVrf(name, vrf.l3vni, asn, vrf.rd, vrf.import_targets, vrf.export_targets)


def _links(model: Objects, vrf: str) -> dict[str, frozenset[str]]:
    """Addresses of a VRF by the link that has them."""
    found = {port.port: port.addresses for port in model.of(RoutedPort) if port.vrf == vrf}
    return found | {names.bridge(svi.vni): svi.addresses for svi in model.of(Svi) if svi.vrf == vrf}


def _tunnel_mtu(system: System) -> int:
    """MTU inside tunnels that carry routed packets."""
    return (system.mtu or names.DEFAULT_MTU) - names.VXLAN_OVERHEAD


def _domains(model: Objects) -> Iterator[AnyItem]:
    gateways = {svi.vni: svi for svi in model.of(Svi)}
    router = model.router(DEFAULT_VRF)
    system = model.system
    for domain in model.of(L2Vni):
        netns, mtu = domain.vrf or names.MAIN, domain.mtu or names.DEFAULT_VNET_MTU
        svi = gateways.get(domain.vni)
        own = system.mac or default_mac(system)
        mac = own if svi is None else svi.mac or names.ANYCAST_MAC
        yield Bridge(netns, names.bridge(domain.vni), mac, mtu, _BRIDGED if svi is None else _GATEWAY)
        yield Vxlan(netns, names.vxlan(domain.vni), domain.vni, system.loopback or "", mtu)
        asn = (router.asn if router else None) or 0
        yield EvpnVni(domain.vni, asn, domain.rd, domain.import_targets, domain.export_targets)
    for svi in gateways.values():
        for address in (*svi.addresses, names.SVI_LINK_LOCAL):
            yield Address(svi.vrf or names.MAIN, names.bridge(svi.vni), address)


def is_gateway(settings: Settings) -> bool:
    """Whether a bridge with these settings is an anycast gateway."""
    return ("ipv4/arp_accept", "1") in settings


def _opposite(leak: Leak, leaks: Iterable[Leak]) -> Leak:
    """The other direction of a peering; an empty one when nothing is said about it."""
    found = (one for one in leaks if (one.vrf, one.peer) == (leak.peer, leak.vrf))
    return next(found, Leak(leak.peer, leak.vrf, leak.number, 1 - (leak.side or 0)))


def _peerings(model: Objects) -> Iterator[AnyItem]:
    mtu = _tunnel_mtu(model.system)
    for leak in model.of(Leak):
        number, side = leak.number or 0, leak.side or 0
        ends = (leak.vrf, leak.peer) if side == 0 else (leak.peer, leak.vrf)
        yield Pair(number, *ends, mtu)
        via = names.pair_address(number, 1 - side)
        for prefix in leak.prefixes:
            yield Route(leak.vrf, prefix, leak.peer, number, side, via)
