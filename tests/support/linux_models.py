"""Models of a leaf by hand, for tests that name what they change."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from underlace.model.device import (
    DEFAULT_VRF,
    AccessPort,
    Bfd,
    BgpNeighbor,
    BgpRouter,
    DeviceObject,
    EvpnPeer,
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

PORTS = tuple(f"swp{n}" for n in range(1, 9))
ASN, LOOPBACK, MAC = 4_200_000_001, "10.255.0.1", "02:00:0a:ff:00:01"

Objects = list[DeviceObject]


def base() -> Objects:
    """A leaf without tenants; swp1 is its uplink."""
    return [
        System("leaf1", loopback=LOOPBACK, mac=MAC, vtep=True, mtu=9216),
        Protection(
            vteps=frozenset({"10.255.0.1", "10.255.0.2"}),
            underlay=frozenset({"10.255.0.0/24", "2001:db8:f::/48"}),
            icmp_rate=100,
        ),
        BgpRouter(
            DEFAULT_VRF,
            asn=ASN,
            router_id=LOOPBACK,
            networks=frozenset({f"{LOOPBACK}/32"}),
            evpn="vtep",
            maximum_paths=16,
            bfd=Bfd(100, 100, 3),
        ),
        Port("swp1", underlay=True, mtu=9216),
        *(Port(port) for port in PORTS[1:]),
        BgpNeighbor(DEFAULT_VRF, "swp1", port="swp1", fabric=True, bfd=True),
    ]


def numbered() -> Objects:
    """The same leaf: a link with addresses, one with those of both families, one without any."""
    links = frozenset({"10.254.0.0/24", "2001:db8:e::/112"})
    ends: dict[str, set[str]] = {
        "swp1": {"10.254.0.1/31"},
        "swp7": {"10.254.0.3/31", "2001:db8:e::1/127"},
        "swp8": set(),
    }
    found = [o for o in base() if not isinstance(o, BgpNeighbor) and o.key not in {("port", p) for p in ends}]
    found = [replace(o, links=links) if isinstance(o, Protection) else o for o in found]
    for port, own in ends.items():
        found.append(Port(port, underlay=True, mtu=9216, addresses=frozenset(own)))
    session = BgpNeighbor(DEFAULT_VRF, "swp8", fabric=True, bfd=True)
    peers = {"swp1": "10.254.0.0", "swp7": "10.254.0.2", "swp8": "swp8"}
    return [*found, *(replace(session, peer=peer, port=port) for port, peer in peers.items())]


def with_route_servers() -> Objects:
    """The same leaf, its EVPN sessions with two route servers."""
    found = [replace(o, evpn=False) if isinstance(o, BgpNeighbor) else o for o in base()]
    return found + [EvpnPeer(peer, LOOPBACK) for peer in ("10.255.0.101", "10.255.0.102")]


def as_route_server() -> Objects:
    """A spine that leaves have their EVPN sessions with."""
    found: Objects = [o for o in base() if not isinstance(o, (System, BgpNeighbor, BgpRouter))]
    router = next(o for o in base() if isinstance(o, BgpRouter))
    return [
        *found,
        System("leaf1", loopback=LOOPBACK, vtep=False, mtu=9216),
        replace(router, evpn="transit"),
        BgpNeighbor(DEFAULT_VRF, "swp1", port="swp1", fabric=True, bfd=True, evpn=False),
        *(EvpnPeer(f"10.255.0.{n}", LOOPBACK) for n in (2, 3)),
    ]


def targets(vni: int) -> frozenset[str]:
    return frozenset({f"65000:{vni}"})


def vpc(name: str, vni: int, rd: int, *aggregates: str) -> Objects:
    """A VPC that routes."""
    return [
        Vrf(name, vni, f"{LOOPBACK}:{rd}", targets(vni), targets(vni)),
        BgpRouter(name, asn=ASN, router_id=LOOPBACK, connected=True, static=True, aggregates=frozenset(aggregates)),
    ]


def vnet(
    vrf: str, vni: int, rd: int, gateways: Iterable[str] = (), ports: Iterable[str] = (), mtu: int = 9000
) -> Objects:
    """A V-Net, with a gateway if it has addresses."""
    found: Objects = [L2Vni(vni, vrf, f"{LOOPBACK}:{rd}", targets(vni), targets(vni), mtu)]
    if gateways:
        found.append(Svi(vni, vrf, frozenset(gateways), "02:00:5e:00:01:01"))
    return found + [AccessPort(port, vni, vrf) for port in ports]


def peering(number: int, one: str, of_one: Iterable[str], other: str, of_other: Iterable[str]) -> Objects:
    return [Leak(one, other, number, 0, frozenset(of_other)), Leak(other, one, number, 1, frozenset(of_one))]


def upstream(vrf: str, port: str) -> Objects:
    """eBGP with an outside router, numbered, v4 and v6."""
    four, six = frozenset({"203.0.113.0/24"}), frozenset({"2001:db8:d::/48"})
    session = BgpNeighbor(vrf, "", port=port, remote_as=64_496, local_as=64_500, bfd=True)
    refused = four | {"10.255.0.0/24"}
    return [
        RoutedPort(port, vrf, frozenset({"192.0.2.0/31", "2001:db8:ffff::/127"})),
        replace(session, peer="192.0.2.1", export=four, refuse=refused, maximum_prefixes=100),
        replace(session, peer="2001:db8:ffff::1", export=six, refuse=six),
    ]


def link(vrf: str, port: str, *addresses: str) -> RoutedPort:
    """A routed link with a host."""
    return RoutedPort(port, vrf, frozenset(addresses), 1_500, hosts=True)


def statics() -> Objects:
    """Routes of red, and that they are told."""
    return [
        StaticRoute("vpc-1", "10.50.0.0/24", "10.1.1.9"),
        StaticRoute("vpc-1", "2001:db8:50::/64", "2001:db8:1:1::9"),
        StaticRoute("vpc-1", "10.60.0.0/24"),
        StaticRoute("vpc-1", "2001:db8:60::/64"),
    ]


def bonded(name: str = "", *members: str, mode: str = "lacp", least: int = 1) -> Objects:
    """The same leaf, with a lag where one is named."""
    return base() + ([Port(name), Lag(name, frozenset(members), mode, least)] if name else [])


def red(ports: Iterable[str] = ("swp2",)) -> Objects:
    return vpc("vpc-1", 50_001, 1) + vnet("vpc-1", 10_101, 2, ("10.1.1.1/24", "2001:db8:1:1::1/64"), ports)


def shared(ports: Iterable[str] = ("swp3",)) -> Objects:
    return vpc("vpc-2", 50_002, 3) + vnet("vpc-2", 10_201, 4, ("10.9.1.1/24", "2001:db8:9:1::1/64"), ports)


def heartbeat() -> Objects:
    """A VPC with one V-Net that has no gateway."""
    return [Vrf("vpc-3"), *vnet("vpc-3", 10_301, 5, (), ("swp4",))]


def border() -> Objects:
    whole = vpc("vpc-9", 50_009, 6, "203.0.113.0/24", "2001:db8:d::/48")
    return whole + upstream("vpc-9", "swp5") + [link("vpc-9", "swp7", "203.0.113.4/31", "2001:db8:d::4/127")]


def red_shared() -> Objects:
    return peering(7, "vpc-1", ("10.1.0.0/16", "2001:db8:1::/48"), "vpc-2", ("10.9.0.0/16", "2001:db8:9::/48"))


def trunk(*members: tuple[str, int, int, str]) -> Objects:
    """VLANs of ports: (port, VLAN, VNI, VRF)."""
    return [TaggedPort(*member) for member in members]


TAGS = trunk(("swp2", 10, 10_201, "vpc-2"), ("swp3", 10, 10_101, "vpc-1"), ("swp6", 20, 10_101, "vpc-1"))
"""Beside `red` and `shared`: a VLAN of another VPC than the port's own, its id on another port in another V-Net, and
one of a port that nobody uses untagged."""


def everything() -> Objects:
    return base() + red() + shared() + heartbeat() + border() + red_shared() + statics() + TAGS
