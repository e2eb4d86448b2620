"""What a lab consists of, from intent alone: devices, hosts, upstream routers, cables, out-of-band ports. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any, NamedTuple

from underlace.kinds.nic_labels import nic_labels
from underlace.lab.intent import Intent, PlayedRouter
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.ids import Ref, fabric, within
from underlace.model.net import Interface

HOST_MTU = 1_500
"""Of a host's interface that belongs to no V-Net."""

UNDERLAY_MTU = 9_216


class End(NamedTuple):
    """One end of a cable."""

    node: str
    port: str

    def __str__(self) -> str:
        return f"{self.port}@{self.node}"


class Cable(NamedTuple):
    a: End
    b: End


class Nic(NamedTuple):
    """An interface of a host or of an upstream router, and the switch port at the other end of its cable.

    vlan: it is what is behind a tag of that cable's interface, as its name says ("eth1.100").
    """

    name: str
    interfaces: tuple[Interface, ...]
    port: End | None
    mtu: int
    gateways: tuple[str, ...] = ()
    vlan: int | None = None

    @property
    def plug(self) -> str:
        """The interface that the cable is in."""
        return self.name if self.vlan is None else self.name.rpartition(".")[0]


class Session(NamedTuple):
    """An upstream router's side of a bgp-peer."""

    local_as: int
    remote_as: int | None
    neighbours: tuple[str, ...]
    bfd: bool


@dataclass(frozen=True)
class Topology:
    """switches: name -> number of front-panel ports; bfd: milliseconds between BFD packets."""

    switches: Mapping[str, int]
    hosts: Mapping[str, tuple[Nic, ...]]
    routers: Mapping[str, tuple[Nic, ...]]
    cables: tuple[Cable, ...]
    sessions: Mapping[str, tuple[Session, ...]]
    played: Mapping[str, PlayedRouter]
    bfd: int

    @property
    def nodes(self) -> tuple[str, ...]:
        return (*self.switches, *self.routers, *self.hosts)


def bfd_interval(devices: int) -> int:
    """Milliseconds between BFD packets: sessions of a large lab flap at the speed of a small one (hazards 13)."""
    return 100 if devices <= 10 else 300 if devices <= 30 else 1_000


def end(text: str) -> End:
    """A port as intent writes it, `swp1@leaf1`."""
    port, _, node = text.partition("@")
    return End(node, port)


class VNetPort(NamedTuple):
    vnet: Ref
    vlan: int | None


def vnet_ports(intent: Intent) -> dict[End, list[VNetPort]]:
    """The V-Nets of each switch port."""
    members: dict[End, list[VNetPort]] = {}
    for ref, spec in intent.of("vnet"):
        for member in spec.ports:
            members.setdefault(end(str(member.port)), []).append(VNetPort(ref, member.vlan))
    for port, tenant, label in _labelled(intent):
        for ref, spec in intent.of("vnet"):
            for one in spec.port_labels if ref.tenant == tenant else ():
                if one.label == label and all(m.vnet != ref for m in members.get(port, ())):
                    members.setdefault(port, []).append(VNetPort(ref, one.vlan))
    return members


def _labelled(intent: Intent) -> Iterator[tuple[End, str, str]]:
    """(port, tenant, label) of what labels of servers select."""
    fabric_ends = {e for _, spec in intent.of("link") if spec.underlay for e in (end(str(spec.a)), end(str(spec.b)))}
    others = _other_ends(intent)
    for ref, spec in intent.of("server"):
        for one in nic_labels(intent.labels.get(ref, {}), spec.tenant):
            port = others.get(End(ref.name, one.nic))
            if port is not None and port not in fabric_ends:
                yield port, one.tenant, one.name


def attached(members: Mapping[End, list[VNetPort]], port: End | None, vlan: int | None = None) -> Ref | None:
    """The V-Net that a host on this port is in with a tag, or without one, if any."""
    found = [m.vnet for m in members.get(port, []) if m.vlan == vlan] if port is not None else []
    return found[0] if found else None


_TAGGED = re.compile(r"(.+)\.([1-9][0-9]{0,3})")


def _split(server: str, name: str, others: Mapping[End, End]) -> tuple[str, int | None]:
    """The interface with the cable, and the tag: of one whose name says so and that has no cable of its own."""
    match = _TAGGED.fullmatch(name)
    if match is None or End(server, name) in others:
        return name, None
    return match[1], int(match[2])


def _peers(intent: Intent) -> Iterator[tuple[Ref, End]]:
    for ref, spec in intent.of("link"):
        yield ref, end(str(spec.a))
        yield ref, end(str(spec.b))


def _other_ends(intent: Intent) -> dict[End, End]:
    others: dict[End, End] = {}
    for _, spec in intent.of("link"):
        a, b = end(str(spec.a)), end(str(spec.b))
        others[a], others[b] = b, a
    return others


def _gateways(intent: Intent, vnet: Ref | None, interfaces: tuple[Interface, ...]) -> tuple[str, ...]:
    """Default gateways of a host: the V-Net's gateway in the network of one of its addresses, one per family; on a
    routed link the other address of it."""
    chosen: dict[int, str] = {}
    if vnet is not None and intent.specs[vnet].type == "l3vpn":
        for own in interfaces:
            if own.network.max_prefixlen - own.network.prefixlen == 1:
                chosen.setdefault(own.version, str(next(a for a in own.network if a != own.ip)))
    elif vnet is not None:
        for text in intent.specs[vnet].gateways:
            gateway = ip_interface(str(text))
            if any(i.ip in gateway.network for i in interfaces):
                chosen.setdefault(gateway.version, str(gateway.ip))
    return tuple(chosen.values())


def _nics(intent: Intent, server: str, spec: Any, others: Mapping[End, End]) -> tuple[Nic, ...]:
    members = vnet_ports(intent)
    nics, routed = [], set()
    for nic in spec.nics:
        plug, vlan = _split(server, nic.name, others)
        port = others.get(End(server, plug))
        interfaces = tuple(ip_interface(str(a)) for a in nic.addresses)
        if spec.role == "router":
            nics.append(Nic(nic.name, interfaces, port, UNDERLAY_MTU))
            continue
        vnet = attached(members, port, vlan)
        mtu = intent.specs[vnet].mtu if vnet is not None else HOST_MTU
        gateways = tuple(g for g in _gateways(intent, vnet, interfaces) if (":" in g) not in routed)
        routed |= {":" in g for g in gateways}
        nics.append(Nic(nic.name, interfaces, port, mtu, gateways, vlan))
    return tuple(nics)


def _sessions(intent: Intent, nics: tuple[Nic, ...]) -> tuple[Session, ...]:
    """What an upstream router needs to say to the leaf, from the bgp-peer on the leaf's port."""
    found = []
    for ref, spec in intent.of("bgp-peer"):
        port = end(str(spec.port))
        if not any(nic.port == port for nic in nics):
            continue
        vpc = within("vpc", str(spec.vpc), ref.tenant)
        found.append(
            Session(
                spec.remote_asn,
                shown_as(intent, port.node, vpc),
                tuple(str(ip_interface(str(a)).ip) for a in spec.local_addresses),
                spec.bfd,
            )
        )
    return tuple(found)


def shown_as(intent: Intent, device: str, vpc: Ref) -> int | None:
    """The AS that the fabric shows to an outside router: the site's public one; None when it is allocated."""
    switch = intent.specs.get(fabric("switch", device))
    site = intent.specs.get(fabric("site", str(switch.site))) if switch is not None else None
    return site.public_asn if site is not None else None


def unplayed(intent: Intent) -> list[Diagnostic]:
    """What of an intent no lab has: its hosts have single cables, so nobody would answer a lag."""
    return [
        Diagnostic(
            Where(str(ref)),
            "lab-has-no-lags",
            "A lab has no lags",
            f"Lag {ref.name} is to be made of {', '.join(spec.members)}; the hosts of a lab have no bonds.",
            "Build the lab from a copy without the lag, in which V-Nets name a single port instead.",
        )
        for ref, spec in intent.of("lag")
    ]


def _no_switch(intent: Intent) -> Diagnostic:
    return Diagnostic(
        Where(file=str(intent.directory)),
        "lab-empty",
        "Intent declares nothing to build",
        f"{intent.directory} declares no switch.",
        "Declare switches, servers and links: docs/tutorial has an example.",
    )


def topology(intent: Intent) -> Topology:
    """The lab of an intent. Raises Refused when there is no switch.

    A cable to a node that intent does not have is left out: the controller refuses it, with all else that is wrong.
    """
    switches = {ref.name: spec for ref, spec in intent.of("switch")}
    servers = {ref.name: spec for ref, spec in intent.of("server")}
    devices = {name: spec.ports for name, spec in switches.items() if spec.role != "oob"}
    if not devices:
        raise Refused([_no_switch(intent)])
    oob = switches.keys() - devices.keys()
    cables = []
    for _, spec in intent.of("link"):
        a, b = end(str(spec.a)), end(str(spec.b))
        nodes = {a.node, b.node}
        if nodes <= switches.keys() | servers.keys() and not nodes & oob:
            cables.append(Cable(a, b))
    others = _other_ends(intent)
    nics = {name: _nics(intent, name, spec, others) for name, spec in servers.items()}
    routers = {name: nics[name] for name, spec in servers.items() if spec.role == "router"}
    return Topology(
        switches=devices,
        hosts={name: found for name, found in nics.items() if name not in routers},
        routers=routers,
        cables=tuple(cables),
        sessions={name: _sessions(intent, found) for name, found in routers.items()},
        played={name: intent.routers.get(name, PlayedRouter()) for name in routers},
        bfd=bfd_interval(len(devices)),
    )
