"""Two VPCs that may reach each other: leaked prefixes on every device that has either. Never a route target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from underlace.kinds.base import Devices, Kind, Spec, finding, number, tenant_of
from underlace.kinds.fields import Prefix, TenantReference
from underlace.kinds.placement import leaf, placed_space, placed_vpc, rd_need, site_watches, vrf_objects
from underlace.kinds.subnet import overlap, prefix_space
from underlace.kinds.switch import leaf_space
from underlace.model.device import Leak
from underlace.model.diagnostic import Diagnostic
from underlace.model.fact import Fact
from underlace.model.ids import Ref, within
from underlace.model.net import Network, network, span
from underlace.model.resource import Claim, Need, Reference, Resource, View, Watch

_NUMBERS = (1, 65_535)


class SideSpec(Spec):
    vpc: TenantReference = Field(description="The VPC: NAME, or TENANT/NAME of another tenant.")
    prefixes: tuple[Prefix, ...] = Field(
        default=(),
        description="What of it the other side may reach, each inside one of its subnets; none: all subnets.",
    )


class VpcPeeringSpec(Spec):
    a: SideSpec = Field(description="One VPC.")
    b: SideSpec = Field(description="The other VPC.")


class Side(NamedTuple):
    name: Literal["a", "b"]
    vpc: Ref
    prefixes: tuple[str, ...]


def sides(r: Resource[VpcPeeringSpec]) -> tuple[Side, Side]:
    a, b = r.spec.a, r.spec.b
    return (
        Side("a", within("vpc", a.vpc, r.ref.tenant), a.prefixes),
        Side("b", within("vpc", b.vpc, r.ref.tenant), b.prefixes),
    )


def reachable(side: Side, view: View) -> frozenset[str]:
    """The prefixes of this side that the other may reach."""
    return frozenset(side.prefixes) or view.marked(prefix_space(side.vpc))


class VpcPeering(Kind[VpcPeeringSpec]):
    name: ClassVar[str] = "vpc-peering"
    tenanted: ClassVar[bool] = True
    summary: ClassVar[str] = "Two VPCs that reach each other's subnets, or some of them. Not transitive."
    spec = VpcPeeringSpec
    writers: ClassVar[Literal["tenant"]] = "tenant"
    columns: ClassVar[tuple[str, ...]] = ("a.vpc", "b.vpc")
    order: ClassVar[int] = 120

    def refs(self, r: Resource[VpcPeeringSpec]) -> Iterable[Reference]:
        yield tenant_of(r)
        for side in sides(r):
            yield Reference(side.vpc, f"/spec/{side.name}/vpc")

    def claims(self, r: Resource[VpcPeeringSpec], view: View) -> Iterable[Claim]:
        names = sorted(f"{side.vpc.tenant}/{side.vpc.name}" for side in sides(r))
        yield Claim("peering", pair := "|".join(names), pair, "/spec", f"the peering of {names[0]} with {names[1]}")

    def watches(self, r: Resource[VpcPeeringSpec], view: View) -> Iterable[Watch]:
        devices = _devices(r, view, None)
        yield from site_watches(view, devices)
        for device in devices:
            yield Watch(leaf_space(device))
        for side in sides(r):
            yield Watch(placed_space(side.vpc), by_device=True)
            yield Watch(prefix_space(side.vpc))

    def needs(self, r: Resource[VpcPeeringSpec], view: View, devices: Devices = None) -> Iterable[Need]:
        yield Need(r.ref, "number", "peering", (_NUMBERS,))
        for device in _devices(r, view, devices):
            for side in sides(r):
                yield rd_need(side.vpc, device)

    def exports(self, r: Resource[VpcPeeringSpec]) -> object:
        return None

    def check(self, r: Resource[VpcPeeringSpec], view: View) -> Iterable[Diagnostic]:
        a, b = sides(r)
        if a.vpc == b.vpc:
            yield finding(
                r,
                "/spec/b/vpc",
                "peering-with-itself",
                "A VPC is peered with itself",
                f"Both sides of peering {r.ref.name} are VPC {a.vpc.tenant}/{a.vpc.name}.",
                "Name another VPC.",
            )
            return
        for side in (a, b):
            yield from _check_inside(r, side, view)
        yield from _check_overlap(r, a, b, view)
        for side, other in ((a, b), (b, a)):
            yield from _check_third(r, side, other, view)
            yield from _check_statics(r, side, other, view)

    def compile(self, r: Resource[VpcPeeringSpec], view: View, devices: Devices = None) -> Iterator[Fact]:
        pair = number(view, r.ref, "number")
        ends = [(placed_vpc(view, side.vpc), reachable(side, view)) for side in sides(r)]
        for device in _devices(r, view, devices):
            at = leaf(view, device)
            for i, (vpc, _) in enumerate(ends):
                peer, prefixes = ends[1 - i]
                for item in vrf_objects(view, vpc, at):
                    yield Fact(device, vpc.scope, item, r.ref)
                yield Fact(device, vpc.scope, Leak(vpc.vrf, peer.vrf, pair, i, prefixes), r.ref)


def _devices(r: Resource[VpcPeeringSpec], view: View, devices: Devices) -> list[str]:
    """Where either VPC routes by itself: a placement by another peering does not count, so nothing is transitive."""
    found: set[str] = set()
    for side in sides(r):
        found |= view.marked(placed_space(side.vpc), devices)
    return sorted(found)


def _check_inside(r: Resource[VpcPeeringSpec], side: Side, view: View) -> Iterable[Diagnostic]:
    if not side.prefixes:
        return
    spans = [span(network(p)) for p in view.marked(prefix_space(side.vpc))]
    for i, prefix in enumerate(side.prefixes):
        low, high = span(network(prefix))
        if not any(first <= low and high <= last for first, last in spans):
            yield finding(
                r,
                f"/spec/{side.name}/prefixes/{i}",
                "peering-prefix-outside",
                "A peered prefix is in no subnet of its VPC",
                f"Peering {r.ref.name} opens {prefix}, which is inside no subnet of VPC {_spoken(side)}.",
                "Open a prefix inside one of its subnets, or leave prefixes out to open all.",
            )


def _check_overlap(r: Resource[VpcPeeringSpec], a: Side, b: Side, view: View) -> Iterable[Diagnostic]:
    """All subnets, not only what is opened: a leaked route beats, or loses to, an own one of the same packets."""
    for near, far in ((a, b), (b, a)):
        own, leaked = _networks(view.marked(prefix_space(near.vpc))), _networks(reachable(far, view))
        if pair := _first_overlap(own, leaked):
            yield finding(
                r,
                f"/spec/{far.name}",
                "peering-overlap",
                "Peered VPCs have overlapping prefixes",
                f"{pair[0]} of VPC {_spoken(near)} and {pair[1]} of VPC {_spoken(far)} overlap in peering "
                f"{r.ref.name}: packets for the common addresses would have two places to go.",
                f"Open only prefixes of {_spoken(far)} that do not overlap, or renumber one of the subnets.",
            )
            return  # the other direction would say the same again


def _check_third(r: Resource[VpcPeeringSpec], side: Side, other: Side, view: View) -> Iterable[Diagnostic]:
    """What `other` opens must not overlap what a third VPC opens to `side`. Does not say which: it may be another
    tenant's."""
    leaked = _networks(reachable(other, view))
    for peering in view.referrers(side.vpc, "vpc-peering"):
        if peering.ref == r.ref:
            continue
        for third in sides(peering):
            if third.vpc in (side.vpc, other.vpc):
                continue
            if pair := _first_overlap(leaked, _networks(reachable(third, view))):
                yield finding(
                    r,
                    f"/spec/{other.name}",
                    "peering-overlap",
                    "Peered VPCs have overlapping prefixes",
                    f"VPC {_spoken(side)} would reach {pair[0]} of {_spoken(other)} by peering {r.ref.name}, and an "
                    "overlapping prefix by another of its peerings.",
                    "Open only prefixes that do not overlap.",
                )


def _check_statics(r: Resource[VpcPeeringSpec], side: Side, other: Side, view: View) -> Iterable[Diagnostic]:
    """A device has one route to a prefix. Names the static route where it is of the same tenant."""
    opened = reachable(other, view)
    for route in view.referrers(side.vpc, "static-route"):
        if route.spec.prefix in opened:
            which = f"static route {route.ref.name}" if route.ref.tenant == r.ref.tenant else "a static route"
            yield finding(
                r,
                f"/spec/{other.name}",
                "route-is-peered",
                "A static route leads where a peering leads",
                f"VPC {_spoken(side)} reaches {route.spec.prefix} by {which}, and would by peering {r.ref.name}.",
                f"Open other prefixes of {_spoken(other)}, or delete the route.",
            )


def _networks(prefixes: Iterable[str]) -> list[Network]:
    return sorted((network(p) for p in prefixes), key=span)


def _first_overlap(ones: list[Network], others: list[Network]) -> tuple[Network, Network] | None:
    """The first pair that overlaps: one is enough to refuse, and a thousand help nobody.

    Both lists are sorted, and within each nothing overlaps, so one pass finds it.
    """
    i = j = 0
    while i < len(ones) and j < len(others):
        if overlap(ones[i], others[j]):
            return ones[i], others[j]
        if span(ones[i])[1] < span(others[j])[1]:
            i += 1
        else:
            j += 1
    return None


def _spoken(side: Side) -> str:
    return f"{side.vpc.tenant}/{side.vpc.name}"


KIND = VpcPeering()
