"""Hypothesis strategies that draw legal models of one device: what a compiler may emit, and nothing it would refuse.

`leaves()` draws models of a leaf with VRFs, V-Nets, gateways, peerings and outside neighbours; `field_changes()`
yields a model with one field changed to another legal value, for each field of each object: it goes by the registry.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any, NamedTuple, get_args

from hypothesis import strategies as st
from msgspec.structs import FieldInfo, fields, replace

from underlace.model.device import (
    DEFAULT_VRF,
    AccessPort,
    AnyObject,
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

OBJECT_TYPES: tuple[type[DeviceObject], ...] = get_args(AnyObject)

LOOPBACK, ASN, FABRIC_AS = "10.255.0.1", 4_200_000_001, 65_000
PORTS = tuple(f"swp{n}" for n in range(1, 9))
LINK_ENDS = (("10.254.0.0/31",), ("2001:db8:e::/127",), ("10.254.1.0/31", "2001:db8:e::1:0/127"))
VRFS = ("vpc-1", "vpc-22", "vpc-333")

Model = dict[Key, DeviceObject]

bfds = st.builds(
    Bfd,
    transmit=st.sampled_from([100, 300, 1000]),
    receive=st.sampled_from([100, 300]),
    multiplier=st.sampled_from([3, 5]),
)
_FOUR = ["10.1.0.0/16", "10.1.4.0/24", "10.2.0.0/16", "192.0.2.7/32"]
_SIX = ["2001:db8:1::/48", "2001:db8:1:7::/64", "2001:db8:2::/48"]
prefixes = st.frozensets(st.sampled_from(_FOUR + _SIX), max_size=4)


def _own_prefixes(vrf: str) -> st.SearchStrategy[frozenset[str]]:
    """Prefixes that only this VRF has: peered VPCs may not overlap."""
    n = VRFS.index(vrf) + 1
    return st.frozensets(
        st.sampled_from([f"10.{n}.0.0/17", f"10.{n}.128.0/24", f"10.{n}.200.1/32", f"2001:db8:{n}::/48"])
    )


_gateways = st.frozensets(st.sampled_from(["10.1.1.1/24", "10.1.2.1/25", "2001:db8:1:1::1/64"]), max_size=3)


def _targets(vni: int) -> st.SearchStrategy[frozenset[str]]:
    own = f"{FABRIC_AS}:{vni}"
    return st.sampled_from([frozenset({own}), frozenset({own, f"{FABRIC_AS}:{vni + 1}"})])


class _Draft:
    """A model being drawn; RD numbers and ports are handed out once."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.objects: list[DeviceObject] = []
        self._rd = 0
        self.asn = draw(st.sampled_from([ASN, ASN + 1]))
        ports = draw(st.permutations(PORTS))
        self.underlay, self.free = sorted(ports[:2]), list(ports[2:])
        self.lagged = [self.free.pop() for _ in range(draw(st.integers(0, 2)))]
        if self.lagged:
            self.free.append("bond1")

    def rd(self) -> str:
        self._rd += 1
        return f"{LOOPBACK}:{self._rd}"

    def port(self) -> str | None:
        return self.free.pop() if self.free and self.draw(st.booleans()) else None


@st.composite
def leaves(draw: st.DrawFn, least_vrfs: int = 0) -> Model:
    """A leaf. With least_vrfs that many VRFs route."""
    draft = _Draft(draw)
    _draw_base(draft)
    routed = []
    for index, vrf in enumerate(VRFS):
        if index >= least_vrfs and not draw(st.booleans()):
            continue
        l3 = index < least_vrfs or draw(st.booleans())
        _draw_vrf(draft, vrf, index, l3)
        if l3:
            routed.append(vrf)
    numbers = list(draw(st.permutations((7, 8, 9))))
    for one, other in permutations(routed, 2):
        if one < other and draw(st.booleans()):
            _draw_peering(draft, numbers.pop(), *(draw(st.permutations((one, other)))))
    _draw_tags(draft)
    return {one.key: one for one in draft.objects}


def _draw_base(draft: _Draft) -> None:
    draw = draft.draw
    mac = "02:00:0a:ff:00:01"
    draft.objects += [
        System("leaf1", loopback=LOOPBACK, mac=mac, vtep=True, mtu=draw(st.sampled_from([9216, 9000, None]))),
        Protection(
            vteps=draw(st.frozensets(st.sampled_from(["10.255.0.1", "10.255.0.2", "10.255.1.3"]))),
            underlay=draw(st.frozensets(st.sampled_from(["10.255.0.0/24", "10.255.1.0/24", "2001:db8:f::/48"]))),
            icmp_rate=draw(st.sampled_from([None, 0, 50, 100])),
            links=draw(st.frozensets(st.sampled_from(["10.254.0.0/24", "2001:db8:e::/112", "10.255.0.128/25"]))),
        ),
        BgpRouter(
            DEFAULT_VRF,
            asn=draft.asn,
            router_id=LOOPBACK,
            networks=frozenset({f"{LOOPBACK}/32"}),
            evpn="vtep",
            maximum_paths=draw(st.sampled_from([None, 8, 16])),
            bfd=draw(st.none() | bfds),
        ),
    ]
    for port in PORTS:
        enabled = draw(st.sampled_from([None, True, False]))
        underlay = port in draft.underlay or draw(st.sampled_from([None, False]))
        mtu, description = draw(st.sampled_from([None, 9216, 1500])), draw(st.sampled_from([None, "to a rack"]))
        own = draw(st.sampled_from([*LINK_ENDS, (), ()])) if underlay else ()
        draft.objects.append(Port(port, underlay, enabled, mtu, description, frozenset(own)))
    if draft.lagged:
        mode, least = draw(st.sampled_from([None, "lacp", "static"])), draw(st.sampled_from([None, 1, 2]))
        enabled, mtu = draw(st.sampled_from([None, True, False])), draw(st.sampled_from([None, 9216, 1500]))
        draft.objects += [Port("bond1", None, enabled, mtu), Lag("bond1", frozenset(draft.lagged), mode, least)]
    for i, port in enumerate(draft.underlay):
        evpn, bfd = draw(st.sampled_from([None, True, False])), draw(st.booleans())
        peer = draw(st.sampled_from([port, f"10.254.{i}.1"]))
        draft.objects.append(BgpNeighbor(DEFAULT_VRF, peer, port=port, fabric=True, bfd=bfd, evpn=evpn))
    for peer in draw(st.frozensets(st.sampled_from(["10.255.0.101", "10.255.0.102"]))):
        draft.objects.append(EvpnPeer(peer, draw(st.sampled_from([None, LOOPBACK]))))


def _draw_vrf(draft: _Draft, vrf: str, index: int, l3: bool) -> None:
    draw = draft.draw
    if not l3:
        draft.objects.append(Vrf(vrf))
    else:
        vni = 50_001 + index
        draft.objects += [
            Vrf(vrf, vni, draft.rd(), draw(_targets(vni)), draw(_targets(vni))),
            BgpRouter(
                vrf,
                asn=draft.asn,
                router_id=LOOPBACK,
                aggregates=draw(st.frozensets(st.sampled_from(["10.1.8.0/24", "2001:db8:1:8::/64"]))),
                connected=draw(st.booleans()),
                static=draw(st.sampled_from([None, True, False])),
                bfd=draw(st.none() | bfds),
            ),
        ]
    for offset in range(draw(st.integers(0, 2))):
        _draw_domain(draft, vrf, 10_001 + 10 * index + offset, gateway=l3 and draw(st.booleans()))
    if l3 and draw(st.booleans()):
        _draw_outside(draft, vrf)
    if l3:
        routes = {"10.50.0.0/24": "10.1.1.9", "2001:db8:50::/64": "2001:db8:1:1::9", "0.0.0.0/0": "10.1.1.8"}
        for prefix in draw(st.frozensets(st.sampled_from(sorted(routes)))):
            draft.objects.append(StaticRoute(vrf, prefix, draw(st.sampled_from([None, routes[prefix]]))))
    if l3 and (port := draft.port()) is not None:
        addresses = draw(st.frozensets(st.sampled_from(["10.1.8.0/31", "2001:db8:1:8::3/127"])))
        draft.objects.append(RoutedPort(port, vrf, addresses, draw(st.sampled_from([None, 1500])), hosts=True))


def _draw_domain(draft: _Draft, vrf: str, vni: int, gateway: bool) -> None:
    draw = draft.draw
    mtu = draw(st.sampled_from([None, 1500, 9000]))
    draft.objects.append(L2Vni(vni, vrf, draft.rd(), draw(_targets(vni)), draw(_targets(vni)), mtu))
    if gateway:
        mac = draw(st.sampled_from([None, "02:00:5e:00:01:01", "02:00:5e:00:01:02"]))
        draft.objects.append(Svi(vni, vrf, draw(_gateways), mac))
    while (port := draft.port()) is not None:
        draft.objects.append(AccessPort(port, vni, vrf, draw(st.sampled_from([None, False, True]))))


def _draw_tags(draft: _Draft) -> None:
    """VLANs on ports that are used by no V-Net, or by one untagged. An id means another V-Net on each port."""
    draw = draft.draw
    routed = {one.port for one in draft.objects if isinstance(one, RoutedPort)}
    own = [port for port in PORTS if port not in draft.underlay and port not in draft.lagged]
    ports = [port for port in (*own, *(["bond1"] if draft.lagged else [])) if port not in routed]
    places = st.sets(st.tuples(st.sampled_from(ports), st.sampled_from((10, 4094))), max_size=2)
    taken: set[tuple[str, int]] = set()
    for domain in [one for one in draft.objects if isinstance(one, L2Vni)]:
        for port, vlan in sorted(draw(places) - taken):
            taken.add((port, vlan))
            vrf, bridge = draw(st.sampled_from([None, domain.vrf])), draw(st.sampled_from([None, True]))
            draft.objects.append(TaggedPort(port, vlan, domain.vni, vrf, bridge))


def _draw_outside(draft: _Draft, vrf: str) -> None:
    """A routed port with numbered neighbours, or an unnumbered one."""
    draw = draft.draw
    port = draft.port()
    if port is None:
        return
    numbered = draw(st.booleans())
    addresses = frozenset({"192.0.2.0/31", "2001:db8:ffff::/127"}) if numbered else frozenset()
    draft.objects.append(RoutedPort(port, vrf, addresses))
    for peer in ("192.0.2.1", "2001:db8:ffff::1") if numbered else (port,):
        draft.objects.append(
            BgpNeighbor(
                vrf,
                peer,
                port=port if not numbered else draw(st.sampled_from([None, port])),
                remote_as=draw(st.sampled_from([None, 64_496])),
                local_as=draw(st.sampled_from([None, 64_500])),
                bfd=draw(st.sampled_from([None, True, False])),
                export=draw(st.none() | prefixes),
                refuse=draw(prefixes),
                maximum_prefixes=draw(st.sampled_from([None, 100])),
                description=draw(st.sampled_from([None, "an upstream"])),
            )
        )


def _draw_peering(draft: _Draft, number: int, one: str, other: str) -> None:
    for side, (vrf, peer) in enumerate(((one, other), (other, one))):
        draft.objects.append(Leak(vrf, peer, number, side, draft.draw(_own_prefixes(peer))))


class FieldChange(NamedTuple):
    """A model, and the same one with one field of one object changed."""

    before: Model
    after: Model
    tag: str
    field: str


_VALUES: dict[tuple[str, str], list[Any]] = {
    ("system", "loopback"): ["10.255.0.9"],
    ("system", "mac"): ["02:00:0a:ff:00:77"],
    ("system", "vtep"): [True, False],
    ("protection", "vteps"): [frozenset({"10.255.0.77"})],
    ("protection", "underlay"): [frozenset({"10.254.0.0/24"}), frozenset({"2001:db8:e::/48"})],
    ("protection", "icmp_rate"): [77],
    ("protection", "links"): [frozenset({"10.253.0.0/24"})],
    ("port", "addresses"): [frozenset({"10.253.0.0/31"})],
    ("lag", "members"): [frozenset({"swp1"}), frozenset({"swp2"})],
    ("lag", "mode"): ["lacp", "static"],
    ("bgp-router", "router_id"): ["10.255.0.9"],
    ("bgp-router", "networks"): [frozenset({"10.255.0.9/32"})],
    ("bgp-router", "aggregates"): [frozenset({"10.77.0.0/24"})],
    ("bgp-router", "bfd"): [Bfd(700, 700, 7)],
    ("bgp-router", "evpn"): ["vtep", "transit", None],
    ("vrf", "rd"): [f"{LOOPBACK}:7777"],
    ("l2vni", "rd"): [f"{LOOPBACK}:7777"],
    ("svi", "mac"): ["02:00:5e:00:01:77"],
    ("svi", "addresses"): [frozenset({"10.77.0.1/24"})],
    ("routed-port", "addresses"): [frozenset({"198.51.100.0/31"})],
    ("static-route", "next_hop"): [None, "10.1.1.77"],
    ("leak", "side"): [0, 1],
    ("bgp-neighbor", "remote_as"): [64_777],
    ("bgp-neighbor", "local_as"): [64_778],
    ("evpn-peer", "source"): ["10.255.0.9"],
}
"""Other legal values of a field, where its type alone does not tell them."""

_SETS = {
    "import_targets": frozenset({f"{FABRIC_AS}:77777"}),
    "export_targets": frozenset({f"{FABRIC_AS}:77777"}),
    "export": frozenset({"10.77.0.0/16"}),
    "refuse": frozenset({"10.77.0.0/16"}),
    "prefixes": frozenset({"10.77.0.0/16"}),
}


def _others(one: DeviceObject, field: FieldInfo) -> list[Any]:
    """Other legal values of a field."""
    tag, held = str(one.key[0]), getattr(one, field.name)
    if (tag, field.name) in _VALUES:
        return [value for value in _VALUES[(tag, field.name)] if value != held]
    if field.name in _SETS:
        return [_SETS[field.name]]
    if isinstance(held, bool):
        return [not held]
    if isinstance(held, int):
        return [held + 1]
    kinds = get_args(field.type) or (field.type,)
    if bool in kinds:
        return [True]
    if int in kinds:
        return [4_321]
    return [f"{held or 'vpc-'}9"]


def identity(kind: type[DeviceObject]) -> frozenset[str]:
    """Fields that name an object: another value is another object."""
    return frozenset(field.name for field in fields(kind) if field.required)


def resolvable(one: DeviceObject, field: str, model: Model) -> bool:
    """Whether a field means something where it stands; some are decided by another object of the model."""
    if isinstance(one, BgpRouter) and field == "evpn":
        return one.vrf == DEFAULT_VRF
    if isinstance(one, BgpNeighbor) and field == "evpn":  # of fabric sessions, where the router has it
        router = model.get(("bgp-router", DEFAULT_VRF))
        return bool(one.fabric) and isinstance(router, BgpRouter) and router.evpn is not None
    if isinstance(one, Port) and any(isinstance(o, Lag) and one.name in o.members for o in model.values()):
        return False  # its lag says everything
    if isinstance(one, Port) and field == "underlay":  # a port in use by a VRF cannot be underlay
        return not any(
            isinstance(o, (AccessPort, RoutedPort, TaggedPort)) and o.port == one.name for o in model.values()
        )
    if isinstance(one, Port) and field == "mtu":
        return not any(isinstance(o, RoutedPort) and o.port == one.name for o in model.values())
    if isinstance(one, Port) and field == "addresses":
        return bool(one.underlay)
    if isinstance(one, Vrf) and one.l3vni is None:
        return False  # the other fields come with the L3VNI
    if isinstance(one, BgpNeighbor) and field == "fabric":
        return one.vrf == DEFAULT_VRF
    if isinstance(one, BgpNeighbor) and field in ("port", "export", "refuse"):
        return one.vrf != DEFAULT_VRF and one.peer not in PORTS
    return True


def field_changes(model: Model) -> Iterator[FieldChange]:
    """Every object of a model with every field changed, one at a time. Values of the model should be explicit."""
    for key in sorted(model):
        one = model[key]
        for field in fields(type(one)):
            if field.name in identity(type(one)) or not resolvable(one, field.name, model):
                continue
            for value in _others(one, field):
                other = replace(one, **{field.name: value})
                yield FieldChange(model, {**model, key: other}, str(key[0]), field.name)
