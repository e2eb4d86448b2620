"""A model with every default resolved: what a Linux device makes of what was said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_interface, ip_network
from typing import TypeVar

from msgspec.structs import replace

from underlace.drivers.linux import names
from underlace.drivers.linux.capabilities import capabilities
from underlace.model.device import (
    DEFAULT_VRF,
    AccessPort,
    Bfd,
    BgpNeighbor,
    BgpRouter,
    DeviceObject,
    EvpnPeer,
    Key,
    L2Vni,
    Lag,
    Leak,
    Port,
    Protection,
    RoutedPort,
    StaticRoute,
    Svi,
    System,
    TaggedPort,
    Vrf,
)
from underlace.model.net import router_mac

T = TypeVar("T", bound=DeviceObject)

NOT_CARRIED = frozenset(
    {
        # FRR keeps its host name, but `show running-config` prints that of vtysh.
        ("system", "hostname"),
        # It decides how many paths a VRF uses; that is what the device shows.
        ("system", "os_version"),
        # Text of a person never reaches a device.
        ("port", "description"),
        ("bgp-neighbor", "description"),
    }
)


class Objects:
    """The objects of a model by type, and the look-ups that defaults need."""

    def __init__(self, objects: Iterable[DeviceObject]) -> None:
        self.all: dict[Key, DeviceObject] = {one.key: one for one in objects}
        self._lags = {member: lag for lag in self.of(Lag) for member in lag.members}

    def of(self, kind: type[T]) -> list[T]:
        return [one for one in self.all.values() if isinstance(one, kind)]

    def get(self, kind: type[T], key: Key) -> T | None:
        found = self.all.get(key)
        return found if isinstance(found, kind) else None

    @property
    def system(self) -> System:
        return self.get(System, ("system",)) or System("")

    def router(self, vrf: str) -> BgpRouter | None:
        return self.get(BgpRouter, ("bgp-router", vrf))

    def vrf_of_vni(self, vni: int | None) -> str:
        domain = self.get(L2Vni, ("l2vni", str(vni)))
        return (domain.vrf if domain else None) or names.MAIN

    def lag_of(self, port: str) -> Lag | None:
        """The lag that a port is a member of."""
        return self._lags.get(port)

    def routed(self, port: str) -> RoutedPort | None:
        return self.get(RoutedPort, ("routed-port", port))


def normalise(objects: Iterable[DeviceObject]) -> dict[Key, DeviceObject]:
    """Every default resolved, every address in its canonical form, and what this OS does not carry left out."""
    model = Objects(objects)
    resolved = (_resolve(one, model) for one in model.all.values())
    return {one.key: one for one in resolved if one is not None}


def _resolve(one: DeviceObject, model: Objects) -> DeviceObject | None:
    match one:
        case System():
            return _system(one, model)
        case Protection():
            return _protection(one)
        case Port():
            return _port(one, model)
        case Lag():
            return replace(one, mode=one.mode or "lacp", minimum_links=one.minimum_links or 1)
        case BgpRouter():
            return _router(one, model)
        case BgpNeighbor():
            return _neighbor(one, model)
        case Vrf(l3vni=None):
            return Vrf(one.name)
        case L2Vni():
            mtu = names.DEFAULT_VNET_MTU if one.mtu is None else one.mtu
            return replace(one, vrf=one.vrf or names.MAIN, mtu=mtu)
        case Svi():
            vrf = one.vrf or model.vrf_of_vni(one.vni)
            return replace(one, vrf=vrf, mac=one.mac or names.ANYCAST_MAC, addresses=_interfaces(one.addresses))
        case AccessPort() | TaggedPort():
            return replace(one, vrf=one.vrf or model.vrf_of_vni(one.vni), bridge=bool(one.bridge))
        case RoutedPort():
            vrf, mtu = one.vrf or names.MAIN, _link_mtu(one.port, model)
            return replace(one, vrf=vrf, mtu=mtu, addresses=_interfaces(one.addresses), hosts=bool(one.hosts))
        case StaticRoute():
            hop = None if one.next_hop is None else str(ip_address(one.next_hop))
            return replace(one, prefix=str(ip_network(one.prefix)), next_hop=hop)
        case Leak():
            side = (0 if one.vrf < one.peer else 1) if one.side is None else one.side
            return replace(one, number=one.number or 0, side=side, prefixes=_networks(one.prefixes))
        case EvpnPeer():
            source = one.source or model.system.loopback
            return EvpnPeer(str(ip_address(one.peer)), source)
        case _:
            return one


def _system(one: System, model: Objects) -> System:
    """mac and mtu show only where something carries them: a bridge of an L3VNI, or one without a gateway."""
    routed = any(vrf.l3vni is not None for vrf in model.of(Vrf))
    gateways = {svi.vni for svi in model.of(Svi)}
    bridged = any(domain.vni not in gateways for domain in model.of(L2Vni))
    mac = (one.mac or default_mac(one)) if routed or bridged else None
    mtu = (one.mtu or names.DEFAULT_MTU) if routed else None
    return System("", loopback=one.loopback, mac=mac, vtep=bool(one.vtep), mtu=mtu)


def default_mac(system: System) -> str:
    return router_mac(system.loopback) if system.loopback else names.NO_MAC


def _protection(one: Protection) -> Protection:
    rate = names.DEFAULT_ICMP_RATE if one.icmp_rate is None else one.icmp_rate
    underlay = collapsed(one.underlay)
    return Protection(_addresses(one.vteps), underlay, rate, without(one.links, underlay))


def closed(one: Protection) -> frozenset[str]:
    """Everything that ports which are not underlay may not reach."""
    return collapsed(one.underlay | one.links) if one.links else one.underlay


@lru_cache(maxsize=16)
def without(prefixes: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """What of these prefixes is in no other, in the fewest prefixes."""
    left: list[IPv4Network | IPv6Network] = [ip_network(p) for p in prefixes]
    for gone in map(ip_network, sorted(others)):
        left = [part for one in left for part in _cut(one, gone)]
    return collapsed(frozenset(map(str, left)))


def _cut(one: IPv4Network | IPv6Network, gone: IPv4Network | IPv6Network) -> Iterable[IPv4Network | IPv6Network]:
    if isinstance(one, IPv4Network) and isinstance(gone, IPv4Network):
        return () if one.subnet_of(gone) else one.address_exclude(gone) if gone.subnet_of(one) else (one,)
    if isinstance(one, IPv6Network) and isinstance(gone, IPv6Network):
        return () if one.subnet_of(gone) else one.address_exclude(gone) if gone.subnet_of(one) else (one,)
    return (one,)


@lru_cache(maxsize=16)
def _addresses(vteps: frozenset[str]) -> frozenset[str]:
    """Cached: every leaf of a fabric has the same set."""
    return frozenset(str(ip_address(vtep)) for vtep in vteps)


@lru_cache(maxsize=16)
def collapsed(prefixes: frozenset[str]) -> frozenset[str]:
    """The same addresses in the fewest prefixes: an interval set refuses elements that overlap."""
    four: list[IPv4Network] = []
    six: list[IPv6Network] = []
    for text in prefixes:
        prefix = ip_network(text)
        if isinstance(prefix, IPv4Network):
            four.append(prefix)
        else:
            six.append(prefix)
    return frozenset(str(p) for p in (*collapse_addresses(four), *collapse_addresses(six)))


def _port(one: Port, model: Objects) -> Port:
    if (lag := model.lag_of(one.name)) is not None:
        return Port(one.name, underlay=False, enabled=True, mtu=_link_mtu(lag.name, model))
    enabled = True if one.enabled is None else one.enabled
    mtu = _link_mtu(one.name, model)
    addresses = _interfaces(one.addresses) if one.underlay else frozenset()
    return Port(one.name, underlay=bool(one.underlay), enabled=enabled, mtu=mtu, addresses=addresses)


def _link_mtu(port: str, model: Objects) -> int:
    """A link has one MTU: that of the routed port, else of the port, else of the underlay."""
    routed, plain = model.routed(port), model.get(Port, ("port", port))
    for said in (routed, plain):
        if said is not None and said.mtu is not None:
            return said.mtu
    underlay = model.system.mtu if plain is not None and plain.underlay else None
    return names.DEFAULT_MTU if underlay is None else underlay


def _router(one: BgpRouter, model: Objects) -> BgpRouter:
    default = one.vrf == DEFAULT_VRF
    most = names.DEFAULT_PATHS if default else capabilities(model.system.os_version or "").vrf_maximum_paths
    paths = most if one.maximum_paths is None else one.maximum_paths
    return replace(
        one,
        networks=_networks(one.networks),
        aggregates=_networks(one.aggregates),
        connected=bool(one.connected),
        static=bool(one.static),
        evpn=_evpn(one, model) if default else None,
        maximum_paths=paths,
        bfd=one.bfd or Bfd(),
    )


def _evpn(one: BgpRouter, model: Objects) -> str | None:
    """To pass routes on shows by sessions that carry them."""
    if one.evpn == "vtep":
        return one.evpn
    hops = (
        n for n in model.of(BgpNeighbor) if one.evpn and n.fabric and n.evpn is not False and n.vrf == DEFAULT_VRF
    )
    return "transit" if model.of(EvpnPeer) or any(hops) else None


def _neighbor(one: BgpNeighbor, model: Objects) -> BgpNeighbor:
    fabric = bool(one.fabric)
    port = one.port or (_port_beside(one, model) if is_address(one.peer) else one.peer)
    return replace(
        one,
        peer=str(ip_address(one.peer)) if is_address(one.peer) else one.peer,
        port=port,
        fabric=fabric,
        bfd=fabric if one.bfd is None else one.bfd,
        export=None if one.export is None else _networks(one.export),
        refuse=_networks(one.refuse),
        description=None,
        evpn=fabric and one.evpn is not False and _carries_evpn(one, model),
    )


def _carries_evpn(one: BgpNeighbor, model: Objects) -> bool:
    router = model.router(one.vrf)
    return one.vrf == DEFAULT_VRF and router is not None and router.evpn is not None


def _port_beside(one: BgpNeighbor, model: Objects) -> str | None:
    """The port in whose network a neighbour is, if there is one."""
    ports = {port.port: port.addresses for port in model.of(RoutedPort) if port.vrf == one.vrf}
    if one.vrf == DEFAULT_VRF:
        ports |= {port.name: port.addresses for port in model.of(Port)}
    return next((port for port, _ in beside(one.peer, ports)), None)


def beside(peer: str, links: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, list[str]]]:
    """The links that have addresses in the network of a neighbour, with these; in order of name."""
    for link in sorted(links):
        interfaces = [ip_interface(text) for text in sorted(links[link])]
        own = [str(one.ip) for one in interfaces if ip_address(peer) in one.network]
        if own:
            yield link, own


def is_address(peer: str) -> bool:
    """Whether a neighbour is named by its address; else by an interface, and unnumbered."""
    try:
        ip_address(peer)
    except ValueError:
        return False
    return True


def _networks(prefixes: Iterable[str]) -> frozenset[str]:
    return frozenset(str(ip_network(prefix)) for prefix in prefixes)


def _interfaces(addresses: Iterable[str]) -> frozenset[str]:
    return frozenset(str(ip_interface(address)) for address in addresses)


def by_family(prefixes: Iterable[str]) -> Mapping[int, list[str]]:
    """Prefixes or addresses sorted by family: {4: [...], 6: [...]}."""
    found: dict[int, list[str]] = {4: [], 6: []}
    for text in sorted(prefixes):
        found[6 if ":" in text else 4].append(text)
    return found
