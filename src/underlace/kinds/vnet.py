"""A network of a VPC on ports of leaves: one layer-2 segment, or a routed link for each port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal

from underlace.kinds import routed_links
from underlace.kinds.base import Devices, Kind, finding, number, tenant_of, wanted
from underlace.kinds.membership import (
    Member,
    Members,
    VnetSpec,
    by_device,
    digest,
    home_space,
    joined,
    label_spaces,
    link_space,
    place,
    vpc_of,
)
from underlace.kinds.placement import leaf, placed_mark, placed_vpc, rd, rd_need, site_watches, vrf_objects
from underlace.kinds.port import no_such_port, port_mtu_space
from underlace.kinds.ports import is_front_port, is_lag, listed, member_claim, member_references
from underlace.kinds.profile import mtu_space
from underlace.kinds.subnet import check_sites, gateway_space, prefix_space
from underlace.kinds.switch import leaf_space, profile_space
from underlace.model.device import AccessPort, DeviceObject, L2Vni, Svi, TaggedPort, Vrf
from underlace.model.diagnostic import Diagnostic
from underlace.model.fact import Fact
from underlace.model.ids import fabric
from underlace.model.net import (
    VNI_AUTO_RANGES,
    VNI_RANGE,
    VXLAN_OVERHEAD,
    Interface,
    interface,
    network,
    route_target,
    span,
)
from underlace.model.resource import Claim, Mark, Need, Reference, Resource, View, Watch


class Vnet(Kind[VnetSpec]):
    name: ClassVar[str] = "vnet"
    tenanted: ClassVar[bool] = True
    summary: ClassVar[str] = (
        "A network of a VPC on ports of any leaves: one layer-2 segment (L2VNI) with anycast gateways or without, or "
        "a routed link for each port."
    )
    spec = VnetSpec
    writers: ClassVar[Literal["tenant"]] = "tenant"
    columns: ClassVar[tuple[str, ...]] = ("vpc", "vni", "gateways", "mtu")
    order: ClassVar[int] = 110

    def refs(self, r: Resource[VnetSpec]) -> Iterable[Reference]:
        yield tenant_of(r)
        yield Reference(vpc_of(r), "/spec/vpc")
        for device, members in by_device(r.spec).items():
            yield Reference(fabric("switch", device), f"/spec/ports/{members[0][0]}/port")
        for i, member in enumerate(r.spec.ports):
            yield from member_references(member.port, f"/spec/ports/{i}/port")

    def claims(self, r: Resource[VnetSpec], view: View) -> Iterable[Claim]:
        if r.spec.type == "l3vpn":
            yield from routed_links.claims(r)
            return
        for members in joined(r, view).values():
            for i, _, member in members:
                yield member_claim(member.port, member.vlan, place(i))
        vpc = vpc_of(r)
        space = link_space(vpc)
        for i, gateway in enumerate(r.spec.gateways):
            net = interface(gateway).network
            low, high = span(net)
            yield Claim(space, low, high, f"/spec/gateways/{i}", f"the gateway of {net} in VPC {vpc.name}")

    def marks(self, r: Resource[VnetSpec], view: View) -> Iterable[Mark]:
        if r.spec.type == "l3vpn":
            yield from routed_links.marks(r, view)
        vpc, devices = vpc_of(r), joined(r, view)
        if r.spec.type == "l2vpn":
            for gateway in r.spec.gateways:
                where = digest((*devices, *label_spaces(r)))
                yield Mark(home_space(vpc, str(interface(gateway).network)), where)
        if r.spec.type == "l3vpn" or r.spec.gateways:
            for device in devices:
                yield placed_mark(vpc, device)

    def watches(self, r: Resource[VnetSpec], view: View) -> Iterable[Watch]:
        devices = joined(r, view)
        yield from site_watches(view, devices)
        if r.spec.type == "l3vpn":
            yield from routed_links.watches(r)
            return
        for space in label_spaces(r):
            yield Watch(space, by_device=True)
        yield from _leaf_watches(view, [d for d, members in devices.items() if members[-1][0] < 0])
        vpc = vpc_of(r)
        for gateway in r.spec.gateways:
            yield Watch(gateway_space(vpc, str(interface(gateway).network)))

    def needs(self, r: Resource[VnetSpec], view: View, devices: Devices = None) -> Iterable[Need]:
        if r.spec.type == "l3vpn":
            yield from routed_links.needs(r, devices)
            return
        yield Need(r.ref, "vni", "vni", VNI_AUTO_RANGES, r.spec.vni, (VNI_RANGE,), "/spec/vni")
        vpc, routed = vpc_of(r), bool(r.spec.gateways)
        for device in joined(r, view):
            if wanted(device, devices):
                yield rd_need(r.ref, device)
                if routed:
                    yield rd_need(vpc, device)

    def exports(self, r: Resource[VnetSpec]) -> object:
        return None

    def addresses(self, r: Resource[VnetSpec], numbers: Mapping[str, int]) -> Mapping[str, tuple[str, ...]]:
        return routed_links.by_port(r, numbers.get) if r.spec.type == "l3vpn" else {}

    def check(self, r: Resource[VnetSpec], view: View) -> Iterable[Diagnostic]:
        sites: dict[str, Resource[Any]] = {}
        for device, members in joined(r, view).items():
            switch = view.get(fabric("switch", device))
            if switch is None:
                continue  # a dangling reference, found by whoever resolves references
            if (site := view.get(fabric("site", switch.spec.site))) is not None:
                sites[site.ref.name] = site
            yield from _check_leaf(r, switch, members, view)
        yield from _check_members(r, view)
        yield from routed_links.check_type(r)
        if r.spec.type == "l3vpn":
            yield from routed_links.check(r, sites, view)
        else:
            yield from _check_gateways(r, sites, view)

    def compile(self, r: Resource[VnetSpec], view: View, devices: Devices = None) -> Iterator[Fact]:
        """The inner loops run once per leaf and once per member: what does not vary there is made before."""
        if r.spec.type == "l3vpn":
            yield from routed_links.facts(r, view, devices)
            return
        spec, ref = r.spec, r.ref
        vpc = placed_vpc(view, vpc_of(r))
        vni, vrf, scope = number(view, ref, "vni"), vpc.vrf, vpc.scope
        gateways = frozenset(spec.gateways)
        targets: dict[int, frozenset[str]] = {}
        for device, members in joined(r, view).items():
            if devices is not None and device not in devices:
                continue
            at = leaf(view, device)
            if at.fabric_as not in targets:
                targets[at.fabric_as] = frozenset((route_target(at.fabric_as, vni),))
            target = targets[at.fabric_as]
            objects: list[DeviceObject] = [L2Vni(vni, vrf, rd(view, ref, at), target, target, spec.mtu)]
            if gateways:
                objects += vrf_objects(view, vpc, at)
                objects.append(Svi(vni, vrf, gateways, at.anycast_mac))
            else:
                objects.append(Vrf(vrf))
            for _, port, member in members:
                vlan, bridge = member.vlan, member.bridge or None
                if vlan is None:
                    objects.append(AccessPort(port, vni, vrf, bridge))
                else:
                    objects.append(TaggedPort(port, vlan, vni, vrf, bridge))
            for item in objects:
                yield Fact(device, scope, item, ref)


def _leaf_watches(view: View, devices: Iterable[str]) -> Iterator[Watch]:
    """Of leaves that a V-Net is on by label: it does not refer to them, nor to their ports."""
    for device in sorted(devices):
        yield Watch(leaf_space(device))
        yield Watch(port_mtu_space(device))
        yield Watch(profile_space(device))
        if (switch := view.get(fabric("switch", device))) is not None:
            yield Watch(mtu_space(switch.spec.profile))


def _check_leaf(r: Resource[VnetSpec], switch: Resource[Any], members: Members, view: View) -> Iterable[Diagnostic]:
    device, first = switch.ref.name, place(members[0][0])
    if switch.spec.role != "leaf":
        yield finding(
            r,
            first,
            "not-a-leaf",
            "Only leaves have access ports",
            f"V-Net {r.ref.name} names ports of {device}, whose role is {switch.spec.role}.",
            "Choose ports of leaves.",
        )
        return
    count = switch.spec.ports
    for i, port, _ in members:
        if not is_front_port(port, count) and not is_lag(port):
            yield no_such_port(r, place(i), port, device, count)
    profile = view.get(fabric("profile", switch.spec.profile))
    if profile is not None and r.spec.mtu > profile.spec.underlay.mtu - VXLAN_OVERHEAD:
        underlay = profile.spec.underlay.mtu
        yield finding(
            r,
            "/spec/mtu",
            "mtu-too-large",
            "A V-Net's packets do not fit through the underlay",
            f"V-Net {r.ref.name} has an MTU of {r.spec.mtu}; the underlay of {device} carries {underlay}, which "
            f"leaves {underlay - VXLAN_OVERHEAD} beside the VXLAN header.",
            f"Choose at most {underlay - VXLAN_OVERHEAD}, or raise the underlay MTU of profile {profile.ref.name}.",
        )


def _check_members(r: Resource[VnetSpec], view: View) -> Iterable[Diagnostic]:
    first: set[str] = set()
    for members in joined(r, view).values():
        for i, _, member in members:
            if member.port in first:
                yield finding(
                    r,
                    place(i),
                    "duplicate-member",
                    "A port is in the V-Net twice",
                    f"Port {member.port} is already a member of V-Net {r.ref.name}. Two memberships would "
                    "join two VLANs of one port into one network.",
                    "Remove one of them.",
                )
            first.add(member.port)
            port = view.get(member_references(member.port, "")[0].target)
            if port is not None:
                yield from _check_port(r, i, member, port)


def _check_port(r: Resource[VnetSpec], i: int, member: Member, port: Resource[Any]) -> Iterable[Diagnostic]:
    """That a label is not for another tenant's port is the link's rule: this V-Net's tenant cannot mend it."""
    if i >= 0 and port.spec.tenant not in (None, r.ref.tenant):
        yield finding(
            r,
            place(i),
            "port-of-another-tenant",
            "The port is assigned to another tenant",
            f"V-Net {r.ref.name} names port {member.port}, which is not assigned to {r.ref.tenant}.",
            f"Choose another port, or have an operator assign it: {{kind: {port.ref.kind}, name: {member.port}, "
            f"spec: {{tenant: {r.ref.tenant}}}}}",
        )
    if port.spec.mtu is not None and port.spec.mtu < r.spec.mtu:
        yield finding(
            r,
            place(i),
            "port-mtu-too-small",
            "A port takes smaller packets than its V-Net",
            f"Port {member.port} has an MTU of {port.spec.mtu}, V-Net {r.ref.name} has {r.spec.mtu}.",
            "Raise the port's MTU, or lower the V-Net's.",
        )


def _check_gateways(r: Resource[VnetSpec], sites: dict[str, Resource[Any]], view: View) -> Iterable[Diagnostic]:
    seen: dict[str, str] = {}
    for i, text in enumerate(r.spec.gateways):
        gateway, pointer = interface(text), f"/spec/gateways/{i}"
        net = str(gateway.network)
        if seen.setdefault(net, text) != text or r.spec.gateways.index(text) != i:
            yield finding(
                r,
                pointer,
                "duplicate-gateway",
                "The V-Net has two gateways in one subnet",
                f"V-Net {r.ref.name} has {seen[net]} and {text}, both in {net}.",
                "Keep one of them.",
            )
        yield from _check_host(r, pointer, gateway)
        yield from _check_subnet(r, pointer, gateway, sites, view)
    macs = {site.spec.anycast_mac for site in sites.values()}
    if r.spec.gateways and len(macs) > 1:
        yield finding(
            r,
            "/spec/gateways",
            "anycast-mac-differs",
            "The gateway would have different MAC addresses",
            f"V-Net {r.ref.name} has members in {listed(sites)}, whose gateways have the MACs {listed(macs)}: a host "
            "that moves between them would lose its gateway.",
            "Give these sites the same anycast_mac.",
        )


def _check_host(r: Resource[VnetSpec], pointer: str, gateway: Interface) -> Iterable[Diagnostic]:
    net = gateway.network
    if net.max_prefixlen - net.prefixlen < 2:
        return
    unfit = {net[0]: "the network address"} | ({net[-1]: "the broadcast address"} if net.version == 4 else {})
    if gateway.ip in unfit:
        yield finding(
            r,
            pointer,
            "gateway-not-a-host",
            "The gateway is not a host address",
            f"Gateway {gateway} of V-Net {r.ref.name} is {unfit[gateway.ip]} of {net}.",
            f"Choose another address, for example {net[1]}/{net.prefixlen}.",
        )


def _check_subnet(
    r: Resource[VnetSpec], pointer: str, gateway: Interface, sites: Iterable[str], view: View
) -> Iterable[Diagnostic]:
    """The gateway's network is a subnet: no part of one, so that what BGP announces is what IPAM has."""
    net = str(gateway.network)
    if not view.marked(gateway_space(vpc_of(r), net)):
        yield _outside(r, pointer, gateway, view)
    yield from check_sites(r, pointer, net, f"gateway {gateway}", sites, view)


def _outside(r: Resource[VnetSpec], pointer: str, gateway: Interface, view: View) -> Diagnostic:
    vpc = vpc_of(r)
    prefixes = view.marked(prefix_space(vpc))
    around = [p for p in prefixes if gateway.ip in network(p)]
    if around:
        length = network(around[0]).prefixlen
        return finding(
            r,
            pointer,
            "gateway-prefix-length",
            "The gateway's prefix length is not that of its subnet",
            f"Gateway {gateway} of V-Net {r.ref.name} lies in subnet {around[0]}, whose prefix length is {length}.",
            f"Write {gateway.ip}/{length}.",
        )
    there = f"It has {listed(prefixes)}." if prefixes else "It has none."
    return finding(
        r,
        pointer,
        "gateway-outside-subnet",
        "The gateway is in no subnet of its VPC",
        f"Gateway {gateway} of V-Net {r.ref.name} is in no subnet of VPC {vpc.name} with the purpose common. {there}",
        f"Add a subnet {gateway.network} to the VPC, or choose a gateway inside one.",
    )


KIND = Vnet()
