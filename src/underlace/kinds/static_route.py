"""A prefix behind a host of a VPC, or one that the VPC throws away: a route that no protocol tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from underlace.kinds.base import Devices, Kind, Spec, finding, tenant_of, wanted
from underlace.kinds.fields import Address, FabricReference, Prefix, TenantReference
from underlace.kinds.membership import VnetSpec, home_space, joined, label_spaces, link_space
from underlace.kinds.placement import leaf, placed_mark, placed_space, placed_vpc, rd_need, site_watches, vrf_objects
from underlace.kinds.ports import listed, split
from underlace.kinds.routed_links import by_port
from underlace.kinds.subnet import UNDERLAY, around, overlap, prefix_space
from underlace.kinds.switch import leaf_space
from underlace.kinds.vpc_peering import reachable, sides
from underlace.model.device import BgpRouter, StaticRoute
from underlace.model.diagnostic import Diagnostic
from underlace.model.fact import Fact
from underlace.model.ids import Ref, fabric, within
from underlace.model.net import MARTIANS, interface, network, point
from underlace.model.resource import Claim, Mark, Need, Reference, Resource, View, Watch


class StaticRouteSpec(Spec):
    vpc: TenantReference = Field(description="The VPC it belongs to: NAME, or TENANT/NAME of another tenant.")
    prefix: Prefix = Field(
        description="What it leads to: apart from the subnets of the VPC, and once in the VPC. 0.0.0.0/0 and ::/0 "
        "are possible."
    )
    next_hop: Address | None = Field(
        default=None,
        description="A host of the VPC, of the same family: an address in the subnet of a V-Net with gateways, or "
        "the host's end of a routed link.",
    )
    blackhole: bool = Field(
        default=False, strict=True, description="Packets to the prefix are dropped; instead of a next hop."
    )
    devices: tuple[FabricReference, ...] = Field(
        default=(),
        description="Leaves that have the route. Without any: those of the V-Net that the next hop is in; for a "
        "blackhole, all with a V-Net or session of the VPC. The others learn it from them.",
    )


Route = Resource[StaticRouteSpec]


def vpc_of(r: Route) -> Ref:
    return within("vpc", r.spec.vpc, r.ref.tenant)


def _subnet(r: Route, view: View) -> str | None:
    """The common subnet that the next hop lies in; they do not overlap."""
    if r.spec.next_hop is None:
        return None
    return next(iter(around(vpc_of(r), network(r.spec.next_hop), view)), None)


def _vnet(r: Route, view: View) -> Resource[VnetSpec] | None:
    """The V-Net that has the next hop's network on interfaces."""
    if r.spec.next_hop is None:
        return None
    ref = view.holder(link_space(vpc_of(r)), point(r.spec.next_hop))
    return view.get(ref) if ref is not None and ref.kind == "vnet" else None


def _homes(r: Route, view: View) -> set[str]:
    """Leaves on whose interfaces the next hop is."""
    vnet = _vnet(r, view)
    if vnet is None:
        return set()
    if vnet.spec.type == "l2vpn":
        return set(joined(vnet, view))
    links = by_port(vnet, lambda slot: view.number(vnet.ref, slot))
    hosts = {port: [_other(a) for a in addresses] for port, addresses in links.items()}
    return {split(port)[1] for port, found in hosts.items() if r.spec.next_hop in found}


def _other(end: str) -> str:
    """The host's address of a link."""
    own = interface(end)
    return str(next(a for a in own.network if a != own.ip))


def _devices(r: Route, view: View) -> set[str]:
    return _named(r, view) or _homes(r, view)


def _candidates(r: Route, view: View) -> set[str]:
    """Leaves that may get the route: told without the numbers of links, which are picked later than this is asked."""
    vnet = _vnet(r, view)
    return _named(r, view) or (set() if vnet is None else set(joined(vnet, view)))


def _named(r: Route, view: View) -> set[str]:
    """Leaves of the spec, or all that have the VPC, if it is not the next hop that says where."""
    if r.spec.blackhole and not r.spec.devices:
        return set(view.marked(placed_space(vpc_of(r))))
    return set(r.spec.devices)


class StaticRouteKind(Kind[StaticRouteSpec]):
    name: ClassVar[str] = "static-route"
    tenanted: ClassVar[bool] = True
    summary: ClassVar[str] = "A prefix of a VPC behind one of its hosts, or a blackhole."
    spec = StaticRouteSpec
    writers: ClassVar[Literal["tenant"]] = "tenant"
    columns: ClassVar[tuple[str, ...]] = ("vpc", "prefix", "next_hop", "blackhole", "devices")
    order: ClassVar[int] = 125

    def refs(self, r: Route) -> Iterable[Reference]:
        yield tenant_of(r)
        yield Reference(vpc_of(r), "/spec/vpc")
        for i, device in enumerate(r.spec.devices):
            yield Reference(fabric("switch", device), f"/spec/devices/{i}")

    def claims(self, r: Route, view: View) -> Iterable[Claim]:
        vpc, prefix = vpc_of(r), r.spec.prefix
        what = f"the static route to {prefix} in VPC {vpc.name}"
        yield Claim(f"static/{vpc.tenant}/{vpc.name}", prefix, prefix, "/spec/prefix", what)

    def marks(self, r: Route, view: View) -> Iterable[Mark]:
        """Only for devices that are named: elsewhere the VPC routes without this."""
        for device in sorted(set(r.spec.devices)):
            yield placed_mark(vpc_of(r), device)

    def watches(self, r: Route, view: View) -> Iterable[Watch]:
        vpc, devices = vpc_of(r), _candidates(r, view)
        yield Watch(UNDERLAY)
        yield Watch(prefix_space(vpc))
        if (subnet := _subnet(r, view)) is not None:
            yield Watch(home_space(vpc, subnet))
        if (vnet := _vnet(r, view)) is not None:
            yield from map(Watch, label_spaces(vnet))
        if r.spec.blackhole and not r.spec.devices:
            yield Watch(placed_space(vpc), by_device=True)
        yield from site_watches(view, devices)
        for device in sorted(devices):
            yield Watch(leaf_space(device))

    def needs(self, r: Route, view: View, devices: Devices = None) -> Iterable[Need]:
        for device in sorted(_candidates(r, view)):
            if wanted(device, devices):
                yield rd_need(vpc_of(r), device)

    def exports(self, r: Route) -> object:
        return None

    def check(self, r: Route, view: View) -> Iterable[Diagnostic]:
        yield from _check_target(r)
        yield from _check_prefix(r, view)
        yield from _check_devices(r, view)
        yield from _check_peerings(r, view)
        if r.spec.next_hop is not None:
            yield from _check_next_hop(r, r.spec.next_hop, view)

    def compile(self, r: Route, view: View, devices: Devices = None) -> Iterator[Fact]:
        vpc = placed_vpc(view, vpc_of(r))
        for device in sorted(_devices(r, view)):
            if not wanted(device, devices):
                continue
            for item in vrf_objects(view, vpc, leaf(view, device)):
                yield Fact(device, vpc.scope, item, r.ref)
            yield Fact(device, vpc.scope, BgpRouter(vpc.vrf, static=True), r.ref)
            yield Fact(device, vpc.scope, StaticRoute(vpc.vrf, r.spec.prefix, r.spec.next_hop), r.ref)


def _check_target(r: Route) -> Iterable[Diagnostic]:
    if (r.spec.next_hop is not None) == r.spec.blackhole:
        yield finding(
            r,
            "/spec/next_hop",
            "route-to-nowhere",
            "A static route needs a next hop or is a blackhole",
            f"Route {r.ref.name} has {'both' if r.spec.blackhole else 'neither'}.",
            "Give a next_hop, or say blackhole: true.",
        )
    if r.spec.next_hop is not None and (":" in r.spec.next_hop) != (":" in r.spec.prefix):
        yield finding(
            r,
            "/spec/next_hop",
            "next-hop-of-another-family",
            "The next hop is of another address family than the prefix",
            f"Route {r.ref.name} leads to {r.spec.prefix} by {r.spec.next_hop}.",
            "Write a next hop of the same family.",
        )


def _check_prefix(r: Route, view: View) -> Iterable[Diagnostic]:
    prefix, vpc = network(r.spec.prefix), vpc_of(r)
    if prefix.prefixlen == 0:
        return
    for others, code, summary, what in (
        (MARTIANS, "prefix-not-routable", "The prefix holds addresses that no host can have", "addresses reserved for"
         " loopback, link-local, multicast and the like (RFC 6890)"),
        (view.marked(UNDERLAY), "overlaps-underlay", "A prefix of a VPC overlaps the underlay", "loopbacks of the "
         "fabric's devices, to which devices drop everything"),
    ):  # fmt: skip
        if any(overlap(prefix, network(other)) for other in others):
            yield finding(
                r,
                "/spec/prefix",
                code,
                summary,
                f"Prefix {prefix} of route {r.ref.name} overlaps {what}.",
                "Choose another prefix.",
            )
    if inside := around(vpc, prefix, view):
        yield finding(
            r,
            "/spec/prefix",
            "route-inside-subnet",
            "A static route leads to a part of a subnet",
            f"Prefix {prefix} of route {r.ref.name} lies in subnet {listed(inside)} of VPC {vpc.name}, whose hosts "
            "are reached directly.",
            "Choose a prefix outside of the VPC's subnets.",
        )


def _check_peerings(r: Route, view: View) -> Iterable[Diagnostic]:
    """A device has one route to a prefix. Names the peering where it is of the same tenant."""
    for peering in view.referrers(vpc_of(r), "vpc-peering"):
        for side in sides(peering):
            if side.vpc != vpc_of(r) and r.spec.prefix in reachable(side, view):
                which = f"peering {peering.ref.name}" if peering.ref.tenant == r.ref.tenant else "a peering"
                yield finding(
                    r,
                    "/spec/prefix",
                    "route-is-peered",
                    "A static route leads where a peering leads",
                    f"Prefix {r.spec.prefix} of route {r.ref.name} is what VPC {vpc_of(r).name} reaches by {which}.",
                    "Choose another prefix, or open other ones in the peering.",
                )


def _check_devices(r: Route, view: View) -> Iterable[Diagnostic]:
    homes = _homes(r, view)
    for i, device in enumerate(r.spec.devices):
        switch: Resource[Any] | None = view.get(fabric("switch", device))
        if switch is None:
            continue  # a dangling reference, found by whoever resolves references
        if switch.spec.role != "leaf":
            yield finding(
                r,
                f"/spec/devices/{i}",
                "not-a-leaf",
                "Only leaves have VPCs",
                f"Route {r.ref.name} names {device}, whose role is {switch.spec.role}.",
                "Name leaves.",
            )
        elif homes and device not in homes:
            yield finding(
                r,
                f"/spec/devices/{i}",
                "next-hop-elsewhere",
                "The next hop is not on a leaf that shall have the route",
                f"Route {r.ref.name} names {device}, which has no port of the V-Net that {r.spec.next_hop} is in; "
                "it learns the route from those that have one.",
                "Leave this device out.",
            )


def _check_next_hop(r: Route, next_hop: str, view: View) -> Iterable[Diagnostic]:
    """Does not name the V-Net: it may be another tenant's in this VPC."""
    vpc, vnet = vpc_of(r), _vnet(r, view)
    if _subnet(r, view) is None:
        problem = f"in no subnet of VPC {vpc.name} with the purpose common"
    elif vnet is None:
        problem = "in a subnet that no V-Net has on its interfaces"
    elif next_hop in {str(interface(g).ip) for g in vnet.spec.gateways}:
        problem = "a gateway itself"
    elif not joined(vnet, view):
        problem = "in a V-Net without ports"
    elif not _homes(r, view):
        problem = "no host's end of a link"
    else:
        return
    yield finding(
        r,
        "/spec/next_hop",
        "next-hop-not-a-host",
        "The next hop is no host that a leaf can reach directly",
        f"Next hop {next_hop} of route {r.ref.name} is {problem}.",
        "Name an address of a host in a V-Net of this VPC.",
    )


KIND = StaticRouteKind()
