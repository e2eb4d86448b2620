"""A VPC on a device: its VRF, and who placed it there.

    V-Net with gateways ─┐
    session of a VPC ────┼──► mark placed/<vpc> = device ──► peering of the VPC places the other side there too
                         └──► VRF + L3VNI + BGP router on that device, with the RD number of (VPC, device)

Each of them emits the same facts, which merge; when the last one goes, the VRF goes with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address
from typing import NamedTuple

from underlace.kinds.base import number
from underlace.kinds.site import overlay_space
from underlace.kinds.vpc import scope_of, vrf_of
from underlace.model.device import BgpRouter, DeviceObject, Vrf
from underlace.model.ids import Ref, fabric
from underlace.model.net import RD_RANGE, route_distinguisher, route_target
from underlace.model.resource import Mark, Need, View, Watch


class Leaf(NamedTuple):
    """What the overlay needs to know of a device."""

    name: str
    loopback: str
    asn: int
    fabric_as: int
    anycast_mac: str
    site: str
    profile: str


class PlacedVpc(NamedTuple):
    """What a device needs to know of a VPC."""

    ref: Ref
    vrf: str
    scope: str
    vni: int


@lru_cache(maxsize=65_536)
def _dotted(value: int) -> str:
    return str(IPv4Address(value))


def leaf(view: View, device: str) -> Leaf:
    """Raises LookupError for a device that check() would have refused."""
    ref = fabric("switch", device)
    switch = view.get(ref)
    site = None if switch is None else view.get(fabric("site", switch.spec.site))
    if switch is None or site is None:
        raise LookupError(f"{device} is no switch of a site")
    return Leaf(
        device,
        _dotted(number(view, ref, "loopback")),
        number(view, ref, "asn"),
        site.spec.fabric_as,
        site.spec.anycast_mac,
        site.ref.name,
        switch.spec.profile,
    )


def placed_vpc(view: View, ref: Ref) -> PlacedVpc:
    """Raises LookupError for a VPC that does not exist."""
    vpc = view.get(ref)
    if vpc is None:
        raise LookupError(f"there is no {ref}")
    return PlacedVpc(ref, vrf_of(vpc), scope_of(vpc), number(view, ref, "vni"))


def site_watches(view: View, devices: Iterable[str]) -> Iterable[Watch]:
    """Of everything that puts route targets or gateways on these devices: their sites may change them."""
    switches = (view.get(fabric("switch", device)) for device in devices)
    for site in sorted({switch.spec.site for switch in switches if switch is not None}):
        yield Watch(overlay_space(site))


def placed_space(vpc: Ref) -> str:
    """Marks of the devices where a VPC routes."""
    return f"placed/{vpc.tenant}/{vpc.name}"


def placed_mark(vpc: Ref, device: str) -> Mark:
    return Mark(placed_space(vpc), device)


def rd_slot(device: str) -> str:
    """Slot and pool of RD numbers: one number space per device for its VRFs and L2VNIs (hazards 1)."""
    return f"rd/{device}"


def rd_need(owner: Ref, device: str) -> Need:
    slot = rd_slot(device)
    return Need(owner, slot, slot, (RD_RANGE,))


def rd(view: View, owner: Ref, at: Leaf) -> str:
    return route_distinguisher(at.loopback, number(view, owner, rd_slot(at.name)))


def vrf_objects(view: View, vpc: PlacedVpc, at: Leaf) -> Iterable[DeviceObject]:
    """The VPC as a routing domain on a device."""
    targets = frozenset((route_target(at.fabric_as, vpc.vni),))
    yield Vrf(vpc.vrf, l3vni=vpc.vni, rd=rd(view, vpc.ref, at), import_targets=targets, export_targets=targets)
    yield BgpRouter(vpc.vrf, asn=at.asn, router_id=at.loopback, connected=True)
