"""The flow matrix that intent promises: for each host and each address of the lab, who must answer, or nobody.

Derived from documents alone, by the rules of routing and not by way of the compiler: what the compiler, a driver or a
device gets wrong shows as a difference. A packet is followed as a person would do it:

    source host ── on link? ──► the V-Net's member with that address
                └─ gateway ──► the VPC's table: V-Nets, peered prefixes, what upstream routers announce ──► ...

and the answer must find its way back to the same host, by the same rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network
from typing import NamedTuple

from underlace.lab.intent import Intent
from underlace.lab.topology import End, Nic, Topology, attached, end, topology, vnet_ports
from underlace.model.ids import Ref, within
from underlace.model.net import Interface, Network

Address = IPv4Address | IPv6Address
NOBODY = ""


class Flow(NamedTuple):
    """From a host to an address: who answers (NOBODY for none), the largest packet that passes, the source to use."""

    source: str
    address: str
    answer: str
    size: int = 0
    bind: str = ""


class Matrix(NamedTuple):
    """flows: what must hold. undecided: (source, address) of which intent does not say who answers."""

    flows: tuple[Flow, ...]
    undecided: tuple[tuple[str, str], ...]

    def among(self, nodes: Iterable[str]) -> tuple[Matrix, frozenset[str]]:
        """The flows that these nodes can show, and the names of the hosts that are missing for the others."""
        there = {*nodes, NOBODY}
        shown = tuple(f for f in self.flows if {f.source, f.answer} <= there)
        lost = frozenset(n for f in self.flows for n in (f.source, f.answer)) - there
        return Matrix(shown, self.undecided), lost


@dataclass(frozen=True)
class _VNet:
    vpc: Ref
    gateways: tuple[Interface, ...]
    mtu: int
    routed: bool


class _Exit(NamedTuple):
    """A way out of a VPC to an upstream router: what it announces, and what it is told."""

    router: str
    announced: tuple[Network, ...]
    told: tuple[Network, ...]


class _Member(NamedTuple):
    node: str
    nic: Nic
    vnet: Ref | None


class _Table:
    """All VPCs' tables, as intent describes them."""

    def __init__(self, intent: Intent, lab: Topology) -> None:
        self.vnets = {
            ref: _VNet(
                within("vpc", str(spec.vpc), ref.tenant),
                tuple(ip_interface(str(g)) for g in spec.gateways),
                spec.mtu,
                spec.type == "l3vpn",
            )
            for ref, spec in intent.of("vnet")
        }
        ports = vnet_ports(intent)
        disabled = {end(ref.name) for ref, spec in intent.of("port") if not spec.enabled}
        self.members = [
            _Member(node, nic, None if nic.port in disabled else attached(ports, nic.port, nic.vlan))
            for node, nics in lab.hosts.items()
            for nic in nics
        ]
        self.given = dict(_given(intent))
        self.exits = dict(_exits(intent, lab))
        self.leaks = dict(_leaks(intent))
        self.statics = dict(_statics(intent))
        self.held = {name: _held(lab, name) for name in lab.routers}

    def on(self, vnet: Ref, address: Address) -> frozenset[str]:
        """Hosts that hold the address on a V-Net."""
        found = {m.node for m in self.members if m.vnet == vnet and any(i.ip == address for i in m.nic.interfaces)}
        return frozenset(found or {NOBODY})

    def links(self, vnet: Ref) -> Iterator[tuple[Interface, frozenset[str]]]:
        """Hosts of a V-Net of routed links with their ends. The leaf has the other end if intent gives the port that
        link, or gives it none: then the controller picks one, and the host has to say the same."""
        for member in self.members:
            if member.vnet == vnet and self.vnets[vnet].routed:
                for own in member.nic.interfaces:
                    given = self.given.get((member.nic.port, own.version), own.network)
                    if own.network == given and given.num_addresses == 2:
                        yield own, frozenset({member.node})

    def behind(self, vpc: Ref, next_hop: Address | None, address: Address) -> frozenset[str]:
        """Who takes a packet that a static route sends to a host: that host, if it holds it. None forwards."""
        if next_hop is None:
            return frozenset({NOBODY})
        hosts = self.deliver(vpc, next_hop)
        held = {m.node for m in self.members for i in m.nic.interfaces if i.ip == address}
        return frozenset(host if host in held else NOBODY for host in hosts)

    def deliver(self, vpc: Ref, address: Address, seen: frozenset[Ref] = frozenset()) -> frozenset[str]:
        """Where a VPC's table sends a packet: a node, NOBODY, or several when intent leaves it open."""
        if vpc in seen:
            return frozenset({NOBODY})
        ways: list[tuple[int, int, frozenset[str]]] = []
        for ref, vnet in self.vnets.items():
            if vnet.vpc == vpc:
                near = [g.network.prefixlen for g in vnet.gateways if address in g.network]
                ways += [(length, 2, self.on(ref, address)) for length in near]
                ways += [(own.network.prefixlen, 2, taker) for own, taker in self.links(ref) if address == own.ip]
        for prefix, next_hop in self.statics.get(vpc, ()):
            if address in prefix:
                ways.append((prefix.prefixlen, 2, self.behind(vpc, next_hop, address)))
        for (here, there), prefixes in self.leaks.items():
            if here == vpc:
                onward = self.deliver(there, address, seen | {vpc})
                ways += [(p.prefixlen, 1, onward) for p in prefixes if address in p]
        for way in self.exits.get(vpc, ()):
            taker = frozenset({way.router if address in self.held[way.router] else NOBODY})
            ways += [(p.prefixlen, 0, taker) for p in way.announced if address in p]
        if not ways:
            return frozenset({NOBODY})
        best = max(way[:2] for way in ways)
        return frozenset().union(*(taker for length, rank, taker in ways if (length, rank) == best))


def _statics(intent: Intent) -> Iterator[tuple[Ref, list[tuple[Network, Address | None]]]]:
    """Static routes by VPC: prefix and next hop, None for a blackhole."""
    found: dict[Ref, list[tuple[Network, Address | None]]] = {}
    for ref, spec in intent.of("static-route"):
        next_hop = None if spec.next_hop is None else ip_address(str(spec.next_hop))
        found.setdefault(within("vpc", str(spec.vpc), ref.tenant), []).append(
            (ip_network(str(spec.prefix)), next_hop)
        )
    yield from found.items()


def _given(intent: Intent) -> Iterator[tuple[tuple[End | None, int], Network]]:
    """Networks of routed links that intent gives to ports, by port and family."""
    for _, spec in intent.of("vnet"):
        for member in spec.ports:
            for own in (ip_interface(str(a)) for a in member.addresses):
                yield (end(str(member.port)), own.version), own.network


def _exits(intent: Intent, lab: Topology) -> Iterator[tuple[Ref, list[_Exit]]]:
    at = {nic.port: name for name, nics in lab.routers.items() for nic in nics}
    found: dict[Ref, list[_Exit]] = {}
    for ref, spec in intent.of("bgp-peer"):
        router = at.get(end(str(spec.port)))
        if router is None:
            continue
        vpc = within("vpc", str(spec.vpc), ref.tenant)
        told = spec.announce if spec.announce is not None else _prefixes(intent, vpc)
        announced = tuple(ip_network(p) for p in lab.played[router].announce)
        found.setdefault(vpc, []).append(_Exit(router, announced, tuple(ip_network(str(p)) for p in told)))
    yield from found.items()


def _prefixes(intent: Intent, vpc: Ref) -> tuple[str, ...]:
    """Prefixes of a VPC: its common subnets."""
    return tuple(
        str(spec.prefix)
        for ref, spec in intent.of("subnet")
        if spec.purpose == "common" and within("vpc", str(spec.vpc), ref.tenant) == vpc
    )


def _leaks(intent: Intent) -> Iterator[tuple[tuple[Ref, Ref], tuple[Network, ...]]]:
    """(VPC, peer) -> prefixes of the peer that the VPC may reach."""
    for ref, spec in intent.of("vpc-peering"):
        a, b = (within("vpc", str(side.vpc), ref.tenant) for side in (spec.a, spec.b))
        for here, there, side in ((a, b, spec.b), (b, a, spec.a)):
            prefixes = side.prefixes or _prefixes(intent, there)
            yield (here, there), tuple(ip_network(str(p)) for p in prefixes)


def _held(lab: Topology, router: str) -> frozenset[Address]:
    """Addresses of an upstream router."""
    held = {ip_interface(a).ip for a in lab.played[router].addresses}
    return frozenset(held | {i.ip for nic in lab.routers[router] for i in nic.interfaces})


class _Trip(NamedTuple):
    """One way of a flow: who takes the packet, the source address it carries, the MTU at the source."""

    takers: frozenset[str]
    source: Address | None
    mtu: int


def _from_host(table: _Table, members: list[_Member], address: Address) -> _Trip:
    for member in members:
        for interface in member.nic.interfaces:
            if address in interface.network and member.vnet is not None:
                return _Trip(table.on(member.vnet, address), interface.ip, member.nic.mtu)
            if address in interface.network:
                return _Trip(frozenset({NOBODY}), None, 0)
    for member in members:
        if member.vnet is None:
            continue
        for gateway in member.nic.gateways:
            near = [i for i in member.nic.interfaces if ip_address(gateway) in i.network]
            if near and near[0].version == address.version:
                vpc = table.vnets[member.vnet].vpc
                return _Trip(table.deliver(vpc, address), near[0].ip, member.nic.mtu)
    return _Trip(frozenset({NOBODY}), None, 0)


def _from_router(table: _Table, router: str, lab: Topology, address: Address) -> _Trip:
    """An upstream router knows what it was told and nothing else; it speaks from an address that it announces."""
    own = [ip_interface(a).ip for a in lab.played[router].addresses]
    source = next((a for a in own if a.version == address.version), None)
    for vpc, ways in table.exits.items():
        for way in ways:
            if way.router == router and any(address in p for p in way.told):
                return _Trip(table.deliver(vpc, address), source, min(n.mtu for n in lab.routers[router]))
    return _Trip(frozenset({NOBODY}), source, 0)


class _Walk:
    """Follows packets through one intent."""

    def __init__(self, intent: Intent) -> None:
        self.lab = topology(intent)
        self.table = _Table(intent, self.lab)
        self.members: Mapping[str, list[_Member]] = {
            name: [m for m in self.table.members if m.node == name] for name in self.lab.hosts
        }

    def trip(self, node: str, address: Address) -> _Trip:
        if node in self.lab.routers:
            return _from_router(self.table, node, self.lab, address)
        return _from_host(self.table, self.members[node], address)

    def flow(self, source: str, address: Address) -> Flow | None:
        """What must happen, or None when intent leaves it open."""
        out = self.trip(source, address)
        if len(out.takers) != 1:
            return None
        (taker,) = out.takers
        bind = str(out.source) if source in self.lab.routers and out.source is not None else ""
        if taker == NOBODY or out.source is None:
            return Flow(source, str(address), NOBODY, 0, bind)
        back = self.trip(taker, out.source)
        if len(back.takers) != 1:
            return None
        if back.takers != {source}:
            return Flow(source, str(address), NOBODY, 0, bind)
        return Flow(source, str(address), taker, min(out.mtu, back.mtu), bind)

    def addresses(self) -> set[Address]:
        """Every address that a host or an upstream router holds for others to reach."""
        held = {i.ip for nics in self.lab.hosts.values() for nic in nics if nic.port for i in nic.interfaces}
        return held | {ip_interface(a).ip for played in self.lab.played.values() for a in played.addresses}

    def own(self, node: str) -> set[Address]:
        if node in self.lab.routers:
            return set(self.table.held[node])
        return {i.ip for m in self.members[node] for i in m.nic.interfaces}


def matrix(intent: Intent) -> Matrix:
    """Every host and upstream router against every address that is not its own."""
    walk = _Walk(intent)
    flows: list[Flow] = []
    undecided: list[tuple[str, str]] = []
    for source in sorted({**walk.lab.hosts, **walk.lab.routers}):
        for address in sorted(walk.addresses() - walk.own(source), key=lambda a: (a.version, int(a))):
            flow = walk.flow(source, address)
            if flow is None:
                undecided.append((source, str(address)))
            else:
                flows.append(flow)
    return Matrix(tuple(flows), tuple(undecided))
