"""The tenant side of a device: VRFs, L2VNIs, gateways, and the ports that belong to them."""

from __future__ import annotations

from underlace.model.device.base import DeviceObject, Key


class Vrf(DeviceObject, frozen=True, tag="vrf"):
    """A VPC on a device. With l3vni it routes (symmetric IRB, RFC 9135); without, it only separates its L2VNIs.

    rd: `<loopback>:<16 bits>`, explicit. import_targets, export_targets: `<fabric AS>:<L3VNI>`, explicit.
    """

    name: str
    l3vni: int | None = None
    rd: str | None = None
    import_targets: frozenset[str] = frozenset()
    export_targets: frozenset[str] = frozenset()

    @property
    def key(self) -> Key:
        return ("vrf", self.name)

    @property
    def claims(self) -> frozenset[str]:
        held = set()
        if self.l3vni is not None:
            held.add(f"vni:{self.l3vni}")
        if self.rd is not None:
            held.add(f"rd:{self.rd}")
        return frozenset(held)


class L2Vni(DeviceObject, frozen=True, tag="l2vni"):
    """A V-Net on a device: a bridge domain carried by VXLAN. mtu: of frames inside, without the VXLAN header."""

    vni: int
    vrf: str | None = None
    rd: str | None = None
    import_targets: frozenset[str] = frozenset()
    export_targets: frozenset[str] = frozenset()
    mtu: int | None = None

    @property
    def key(self) -> Key:
        return ("l2vni", str(self.vni))

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset() if self.vrf is None else frozenset({("vrf", self.vrf)})

    @property
    def claims(self) -> frozenset[str]:
        held = {f"vni:{self.vni}"}
        if self.rd is not None:
            held.add(f"rd:{self.rd}")
        return frozenset(held)


class Svi(DeviceObject, frozen=True, tag="svi"):
    """The distributed anycast gateway of a V-Net: same addresses (with prefix length) and MAC on every leaf."""

    vni: int
    vrf: str | None = None
    addresses: frozenset[str] = frozenset()
    mac: str | None = None

    @property
    def key(self) -> Key:
        return ("svi", str(self.vni))

    @property
    def refs(self) -> frozenset[Key]:
        needed: set[Key] = {("l2vni", str(self.vni))}
        if self.vrf is not None:
            needed.add(("vrf", self.vrf))
        return frozenset(needed)


class AccessPort(DeviceObject, frozen=True, tag="access-port"):
    """A port that is an untagged member of one V-Net. bridge: another layer-2 network is behind it, not a server."""

    port: str
    vni: int | None = None
    vrf: str | None = None
    bridge: bool | None = None

    @property
    def key(self) -> Key:
        return ("access-port", self.port)

    @property
    def refs(self) -> frozenset[Key]:
        needed: set[Key] = {("port", self.port)}
        if self.vni is not None:
            needed.add(("l2vni", str(self.vni)))
        return frozenset(needed)

    @property
    def claims(self) -> frozenset[str]:
        return frozenset({f"port:{self.port}"})


class TaggedPort(DeviceObject, frozen=True, tag="tagged-port"):
    """A port that is a member of a V-Net by an 802.1Q tag. Needs the capability `tagged_ports`. bridge: as of
    `AccessPort`."""

    port: str
    vlan: int
    vni: int | None = None
    vrf: str | None = None
    bridge: bool | None = None

    @property
    def key(self) -> Key:
        return ("tagged-port", self.port, str(self.vlan))

    @property
    def refs(self) -> frozenset[Key]:
        needed: set[Key] = {("port", self.port)}
        if self.vni is not None:
            needed.add(("l2vni", str(self.vni)))
        return frozenset(needed)


class RoutedPort(DeviceObject, frozen=True, tag="routed-port"):
    """A port that belongs to a VRF as a routed interface. No addresses: unnumbered.

    hosts: behind it are hosts, which may claim the addresses of its networks only; else an outside router.
    """

    port: str
    vrf: str | None = None
    addresses: frozenset[str] = frozenset()
    mtu: int | None = None
    hosts: bool | None = None

    @property
    def key(self) -> Key:
        return ("routed-port", self.port)

    @property
    def refs(self) -> frozenset[Key]:
        needed: set[Key] = {("port", self.port)}
        if self.vrf is not None:
            needed.add(("vrf", self.vrf))
        return frozenset(needed)

    @property
    def claims(self) -> frozenset[str]:
        return frozenset({f"port:{self.port}"})


class StaticRoute(DeviceObject, frozen=True, tag="static-route"):
    """A prefix of a VRF by a host that is on one of its links. No next hop: what goes there is dropped."""

    vrf: str
    prefix: str
    next_hop: str | None = None

    @property
    def key(self) -> Key:
        return ("static-route", self.vrf, self.prefix)

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset({("vrf", self.vrf)})


class Leak(DeviceObject, frozen=True, tag="leak"):
    """One direction of a VPC peering on a device: packets of `vrf` to `prefixes` are looked up in `peer`.

    Never an RT import, never `import vrf` (hazards 3). number: of the peering, the same in both directions.
    side: 0 or 1, which end of the pair this direction is.
    """

    vrf: str
    peer: str
    number: int | None = None
    side: int | None = None
    prefixes: frozenset[str] = frozenset()

    @property
    def key(self) -> Key:
        return ("leak", self.vrf, self.peer)

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset({("vrf", self.vrf), ("vrf", self.peer)})
