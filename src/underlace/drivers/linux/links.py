"""`ip` lines that carry out changes of links, addresses and routes.

Each change becomes stages: what is issued in the underlay's namespace, and what in the namespace of the thing. Every
line may be repeated after a crash that left the thing half made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from underlace.drivers.linux import bonding, names
from underlace.drivers.linux.kernel import ALIAS
from underlace.drivers.linux.native import (
    Address,
    Bond,
    BondMember,
    Bridge,
    Item,
    Pair,
    Placement,
    PortLink,
    Route,
    Settings,
    Vxlan,
)
from underlace.model.change import Change, Verb


class Work(NamedTuple):
    """Lines for one namespace, after settings of one link there (link "" has none)."""

    netns: str
    lines: tuple[str, ...] = ()
    link: str = ""
    settings: Settings = ()

    @property
    def anything(self) -> bool:
        return bool(self.lines or self.settings)


def work(change: Change[Item], main_path: str) -> Iterator[Work]:
    """What to do, in order."""
    before, after = change.before, change.after
    match after if after is not None else before:
        case Bridge() as bridge:
            yield from _bridge(bridge, change.verb)
        case Vxlan() as vxlan:
            yield from _vxlan(vxlan, before if isinstance(before, Vxlan) else None, change.verb)
        case Placement() as placement:
            yield from _placement(placement, change.verb, main_path)
        case Bond(netns=netns) | BondMember(netns=netns):
            yield Work(netns, bonding.lines(change))
        case PortLink() as port:
            yield from _port(port, before if isinstance(before, PortLink) else None, change.verb)
        case Address() as address:
            yield _address(address, change.verb)
        case Pair() as pair:
            yield from _pair(pair, change.verb)
        case Route() as route:
            yield _route(route, change.verb)


def _bridge(bridge: Bridge, verb: Verb) -> Iterator[Work]:
    name = bridge.name
    if verb is Verb.DELETE:
        yield Work(bridge.netns, (f"link del {name}",))
        return
    if verb is Verb.CREATE:
        # In the underlay's namespace, and so those of all VRFs in one go; the link itself is born in its own.
        where = f" netns {bridge.netns}" if bridge.netns else ""
        yield Work(names.MAIN, (f"link add {name}{where} address {bridge.mac} mtu {bridge.mtu} type bridge",))
    else:
        yield Work(bridge.netns, (f"link set {name} address {bridge.mac}", f"link set {name} mtu {bridge.mtu}"))
    yield Work(bridge.netns, (f"link set {name} addrgenmode none", f"link set {name} up"), name, bridge.settings)


def _vxlan(vxlan: Vxlan, before: Vxlan | None, verb: Verb) -> Iterator[Work]:
    name, bridge = vxlan.name, names.bridge(vxlan.vni)
    if verb is Verb.DELETE:
        yield Work(vxlan.netns, (f"link del {name}",))
        return
    anew = before is None or (before.vni, before.local) != (vxlan.vni, vxlan.local)
    if anew and before is not None:
        yield Work(vxlan.netns, (f"link del {name}",))
    if anew:
        # In the underlay's namespace, where the socket stays; the link itself is born in the VRF.
        where = f" netns {vxlan.netns}" if vxlan.netns else ""
        kind = f"type vxlan id {vxlan.vni} local {vxlan.local} dstport {names.VXLAN_PORT} nolearning"
        yield Work(names.MAIN, (f"link add {name}{where} mtu {vxlan.mtu} {kind}",))
    yield Work(
        vxlan.netns,
        (
            *(() if anew else (f"link set {name} mtu {vxlan.mtu}",)),
            f"link set {name} master {bridge} addrgenmode none",
            f"link set {name} type bridge_slave neigh_suppress on learning off",
            f"link set {name} up",
        ),
    )


def rejoin(vxlan: Vxlan) -> Work:
    """Leave the bridge and join it again: zebra takes a new look at an L3VNI that it did not bind."""
    bridge = names.bridge(vxlan.vni)
    lines = (
        f"link set {vxlan.name} nomaster",
        f"link set {vxlan.name} master {bridge}",
        f"link set {vxlan.name} type bridge_slave neigh_suppress on learning off",
    )
    return Work(vxlan.netns, lines)


def _placement(placement: Placement, verb: Verb, main_path: str) -> Iterator[Work]:
    port = placement.port
    if placement.netns == names.MAIN:
        alias = ALIAS if verb is not Verb.DELETE else '""'
        yield Work(names.MAIN, (f"link set {port} alias {alias}",))
    elif verb is Verb.DELETE:
        yield Work(placement.netns, (f"link set {port} nomaster", f"link set {port} down"))
        yield Work(placement.netns, (f'link set {port} alias ""', f"link set {port} netns {main_path}"))
    else:
        yield Work(names.MAIN, (f"link set {port} down", f"link set {port} netns {placement.netns}"))


def _port(port: PortLink, before: PortLink | None, verb: Verb) -> Iterator[Work]:
    name = port.port
    if verb is Verb.DELETE:
        yield Work(port.netns, (f"link set {name} nomaster", f"link set {name} down"))
        return
    if names.TAG_PATTERN.fullmatch(name):
        yield Work(port.netns)  # its port comes first: the MTU of a VLAN is at most that
    # Link-local addresses come and go with the state of the link. One that is new here is down, but perhaps in the
    # underlay's namespace, where it may have been before it was ours.
    reset = port.netns == names.MAIN if before is None else before.settings != port.settings
    yield Work(port.netns, (f"link set {name} down",) if reset else ())
    master = f"link set {name} master {port.bridge}" if port.bridge else f"link set {name} nomaster"
    state = "up" if port.up else "down"
    lines = (f"link set {name} mtu {port.mtu}", master, f"link set {name} {state}")
    yield Work(port.netns, lines, name, port.settings)


def _address(address: Address, verb: Verb) -> Work:
    nodad = " nodad" if ":" in address.address else ""
    replaced = f"addr replace {address.address} dev {address.link}{nodad}"
    if verb is Verb.DELETE:
        # A link that was down meanwhile has lost its IPv6 addresses: so that there is one to delete.
        port = names.PORT_PATTERN.fullmatch(address.link) or names.BOND_PATTERN.fullmatch(address.link)
        before = (replaced,) if nodad and port else ()
        return Work(address.netns, (*before, f"addr del {address.address} dev {address.link}"))
    return Work(address.netns, (replaced,))


def _pair(pair: Pair, verb: Verb) -> Iterator[Work]:
    name, ends = names.pair(pair.number), (pair.one, pair.other)
    if verb is Verb.DELETE:
        yield Work(next(end for end in ends if end != "?"), (f"link del {name}",))
        return
    if verb is Verb.CREATE:
        half = [f"{name} mtu {pair.mtu} netns {end}" for end in ends]
        yield Work(names.MAIN, (f"link add {half[0]} type veth peer name {half[1]}",))
    for side, end in enumerate(ends):
        lines = (
            f"link set {name} addrgenmode none",
            f"link set {name} mtu {pair.mtu}",
            f"addr replace {names.pair_address(pair.number, side)}/64 dev {name} nodad",
            f"link set {name} up",
        )
        yield Work(end, lines)


def _route(route: Route, verb: Verb) -> Work:
    link = names.pair(route.number)
    family = "" if ":" in route.prefix else "inet6 "
    if verb is Verb.DELETE:
        return Work(route.netns, (f"route del {route.prefix} proto {names.ROUTE_PROTOCOL} dev {link}",))
    via = f"via {family}{route.via} dev {link} proto {names.ROUTE_PROTOCOL}"
    return Work(route.netns, (f"route replace {route.prefix} {via}",))
