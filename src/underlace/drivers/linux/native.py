"""Native state of a Linux device as typed items: what the engine compares, orders and hands to the door.

    netns ◄── bridge ◄── vxlan ──► frr vni block        a VRF is a namespace; `netns ""` is the underlay
      ▲         ▲          │
      │         │          └─────► frr vrf binding ──► frr router
      │         └── port ──► guard ──► placement ◄── tag ◄── guard, port of a VLAN
      └── pair ◄── route              address ──► bridge | port | netns

An arrow is a reference: its target exists first and goes last.
"""

from __future__ import annotations

from underlace.drivers.linux import frr, names
from underlace.drivers.linux.bond import Bond, BondMember
from underlace.drivers.linux.item import Item, netns_key
from underlace.model.change import Key

Settings = tuple[tuple[str, str], ...]
"""Kernel settings below /proc/sys/net, for a link without the part that names it: (path, value), sorted."""


class Netns(Item, frozen=True, tag="netns"):
    """A namespace with its loopback link. The main one counts as ours while it forwards."""

    name: str
    settings: Settings = ()
    loopback_up: bool = True

    @property
    def key(self) -> Key:
        return netns_key(self.name)

    @property
    def claims(self) -> frozenset[str]:
        return frozenset({f"vrf {self.name}"})


class Bridge(Item, frozen=True, tag="bridge"):
    """A bridge domain, or the bridge that carries a VRF's L3VNI."""

    netns: str
    name: str
    mac: str
    mtu: int
    settings: Settings = ()
    up: bool = True

    @property
    def key(self) -> Key:
        return ("bridge", self.netns, self.name)

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset({netns_key(self.netns)})


class Vxlan(Item, frozen=True, tag="vxlan"):
    """A VXLAN link, born in its VRF's namespace while its socket stays in the underlay.

    ready: up, enslaved to its bridge, no learning, neighbours suppressed.
    """

    netns: str
    name: str
    vni: int
    local: str
    mtu: int
    ready: bool = True

    @property
    def key(self) -> Key:
        return ("vxlan", self.netns, self.name)

    @property
    def refs(self) -> frozenset[Key]:
        # The RD and RT of an L2VNI are in place before bgpd hears of it, and an L3VNI is bound to its VRF: until then
        # FRR takes it for an L2VNI and announces it with an automatic RD, which may be one that another VNI of this
        # device was given (hazards 1). When it sees its mistake, it withdraws every route under that RD.
        configured = {frr.vni_key(self.vni), frr.vrf_key(self.netns)}
        return frozenset({("bridge", self.netns, names.bridge(self.vni)), filters_key(self.netns)} | configured)

    @property
    def claims(self) -> frozenset[str]:
        return frozenset({f"vni:{self.vni}"})


class Placement(Item, frozen=True, tag="placement"):
    """Where a physical port lives. Letting go of a VRF gives it back to the underlay's namespace."""

    netns: str
    port: str

    @property
    def key(self) -> Key:
        return ("placement", self.netns, self.port)

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset({netns_key(self.netns)})

    @property
    def claims(self) -> frozenset[str]:
        return frozenset({f"port:{self.port}"})


class Tag(Item, frozen=True, tag="tag"):
    """A VLAN of a port, as a link in the namespace of its V-Net. trunk: namespace of the port. ready: frames pass."""

    netns: str
    link: str
    trunk: str
    ready: bool = True

    @property
    def key(self) -> Key:
        return tag_key(self.netns, self.link)

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset({netns_key(self.netns), _made_by(self.trunk, names.untag(self.link)[0])})

    @property
    def claims(self) -> frozenset[str]:
        return frozenset({f"port:{self.link}"})


def tag_key(netns: str, link: str) -> Key:
    return ("tag", netns, link)


def on_tag(netns: str, link: str) -> tuple[Key, Key]:
    """What stands on the link of a VLAN: its state and its guard."""
    return ("port", netns, link), ("nft", netns, "netdev", names.guard(link))


def _made_by(netns: str, port: str) -> Key:
    """What puts a port, a lag, or a VLAN of one, where it is."""
    if names.BOND_PATTERN.fullmatch(port):
        return ("bond", netns, port)
    return tag_key(netns, port) if names.TAG_PATTERN.fullmatch(port) else ("placement", netns, port)


class PortLink(Item, frozen=True, tag="port"):
    """The state of a port, or of a VLAN of one, where it lives; `bridge` is what it is enslaved to. Comes up only
    behind its guard and the filters of its namespace."""

    netns: str
    port: str
    up: bool
    mtu: int
    bridge: str = ""
    settings: Settings = ()

    @property
    def key(self) -> Key:
        return ("port", self.netns, self.port)

    @property
    def refs(self) -> frozenset[Key]:
        needed: set[Key] = {
            _made_by(self.netns, self.port),
            ("nft", self.netns, "netdev", names.guard(self.port)),
            filters_key(self.netns),
        }
        if self.bridge:
            needed.add(("bridge", self.netns, self.bridge))
        return frozenset(needed)

    @property
    def claims(self) -> frozenset[str]:
        return frozenset({f"link:{self.port}"})


class Address(Item, frozen=True, tag="address"):
    """An address with its prefix length on a link of ours."""

    netns: str
    link: str
    address: str

    @property
    def key(self) -> Key:
        return ("address", self.netns, self.link, self.address)

    @property
    def refs(self) -> frozenset[Key]:
        if self.link == names.LOOPBACK:
            return frozenset({netns_key(self.netns)})
        # FRR 8.4.4 may lose a connected route that is there before bgpd asks for such routes.
        return frozenset({(kind, self.netns, self.link) for kind in ("bridge", "port")} | {frr.vrf_key(self.netns)})


class Pair(Item, frozen=True, tag="pair"):
    """The veth pair of a peering, both ends of it. `one` is side 0. ready: both up, with their addresses."""

    number: int
    one: str
    other: str
    mtu: int
    ready: bool = True

    @property
    def key(self) -> Key:
        return pair_key(self.number, self.one, self.other)

    @property
    def refs(self) -> frozenset[Key]:
        # Packets may pass only once the filters of both ends stand.
        return frozenset(key for end in (self.one, self.other) for key in (netns_key(end), filters_key(end)))

    @property
    def claims(self) -> frozenset[str]:
        return frozenset({f"link:{end}:{names.pair(self.number)}" for end in (self.one, self.other)})


def pair_key(number: int, one: str, other: str) -> Key:
    return ("pair", str(number), one, other)


class Route(Item, frozen=True, tag="route"):
    """A prefix of a peering: looked up in the namespace of `peer`, over the pair, from its end `side`."""

    netns: str
    prefix: str
    peer: str
    number: int
    side: int
    via: str

    @property
    def key(self) -> Key:
        return ("route", self.netns, self.prefix)

    @property
    def refs(self) -> frozenset[Key]:
        ends = (self.netns, self.peer) if self.side == 0 else (self.peer, self.netns)
        return frozenset({pair_key(self.number, *ends)})


class NftTable(Item, frozen=True, tag="nft"):
    """A table of ours: `skeleton` is its body as loaded, without elements; `sets` are edited element by element.

    The guard of a port lets a VLAN through only while its link stands: without it, the kernel would take the frames
    for the port's own.
    """

    netns: str
    family: str
    name: str
    skeleton: tuple[str, ...]
    sets: tuple[tuple[str, frozenset[str]], ...] = ()

    @property
    def key(self) -> Key:
        return ("nft", self.netns, self.family, self.name)

    @property
    def refs(self) -> frozenset[Key]:
        if self.name.startswith(names.GUARD_PREFIX):
            port = self.name.removeprefix(names.GUARD_PREFIX)
            tags = (element for name, elements in self.sets if name == "tags" for element in elements)
            links = {tag_key(netns, names.tag(port, vlan)) for vlan, netns in map(passed, tags)}
            return frozenset({_made_by(self.netns, port)} | links)
        return frozenset({netns_key(self.netns)})


def filters_key(netns: str) -> Key:
    """The table that protects what a namespace forwards and answers."""
    return ("nft", netns, "inet", names.TABLE)


def passing(vlan: int, netns: str) -> str:
    """The element of a guard's set that lets a VLAN through to its link, as nft lists it."""
    return f'{vlan} comment "{netns or "-"}"'


def passed(element: str) -> tuple[int, str]:
    """VLAN and namespace of such an element; one that somebody else put there leads nowhere."""
    vlan, _, netns = element.partition(' comment "')
    return int(vlan) if vlan.isdigit() else 0, netns.rstrip('"').removeprefix("-")


class FrrLine(Item, frozen=True, tag="frr-line"):
    """A line of FRR's configuration exactly as `show running-config` prints it, below the headers of `context`."""

    context: tuple[str, ...]
    line: str

    @property
    def key(self) -> Key:
        return frr.key(self.context, self.line)

    @property
    def refs(self) -> frozenset[Key]:
        return frr.refs(self.context, self.line)

    @property
    def claims(self) -> frozenset[str]:
        return frr.claims(self.context, self.line)


class EvpnVni(Item, frozen=True, tag="frr-vni"):
    """RD and RT of an L2VNI. One item: bgpd must never see the VNI with a part of them."""

    vni: int
    asn: int
    rd: str | None
    import_targets: frozenset[str]
    export_targets: frozenset[str]

    @property
    def key(self) -> Key:
        return frr.vni_key(self.vni)

    @property
    def refs(self) -> frozenset[Key]:
        router = f"router bgp {self.asn}"
        return frozenset({frr.key((), router), frr.key((router, frr.EVPN), frr.ADVERTISE_ALL)})

    @property
    def claims(self) -> frozenset[str]:
        return frozenset({f"rd:{self.rd}"} if self.rd else ())


class EvpnVrf(Item, frozen=True, tag="frr-vrf"):
    """The L3VNI of a VRF with its RD and RT. Bound after the router is complete and released before it: FRR insists.

    The VXLAN link comes later: it refers to this, and says why.
    """

    vrf: str
    vni: int
    asn: int
    rd: str | None
    import_targets: frozenset[str]
    export_targets: frozenset[str]

    @property
    def key(self) -> Key:
        return frr.vrf_key(self.vrf)

    @property
    def refs(self) -> frozenset[Key]:
        router = f"router bgp {self.asn} vrf {self.vrf}"
        return frozenset(
            {netns_key(self.vrf), frr.key((), router), frr.key((), f"vrf {self.vrf}")}
            | {frr.key((router, frr.EVPN), f"advertise {family} unicast") for family in ("ipv4", "ipv6")}
        )

    @property
    def claims(self) -> frozenset[str]:
        return frozenset({f"rd:{self.rd}"} if self.rd else ())


AnyItem = (
    Netns
    | Bridge
    | Vxlan
    | Placement
    | Bond
    | BondMember
    | Tag
    | PortLink
    | Address
    | Pair
    | Route
    | NftTable
    | FrrLine
    | EvpnVni
    | EvpnVrf
)
"""The closed union of native items."""

__all__ = [
    "Address",
    "AnyItem",
    "Bond",
    "BondMember",
    "Bridge",
    "EvpnVni",
    "EvpnVrf",
    "FrrLine",
    "Item",
    "Netns",
    "NftTable",
    "Pair",
    "Placement",
    "PortLink",
    "Route",
    "Settings",
    "Tag",
    "Vxlan",
    "netns_key",
    "on_tag",
    "pair_key",
    "passed",
    "passing",
    "tag_key",
]
