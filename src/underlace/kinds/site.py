"""A place with a fabric: what its devices have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from pydantic import Field

from underlace.kinds.base import Kind, Spec, finding
from underlace.kinds.fields import Asn, FabricAs, Mac
from underlace.model.diagnostic import Diagnostic
from underlace.model.resource import Mark, Resource, View


def overlay_space(site: str) -> str:
    """Marks of what V-Nets and VPCs on devices of a site read of it."""
    return f"overlay/{site}"


def outside_space(site: str) -> str:
    """Marks of what outside sessions on devices of a site read of it."""
    return f"outside/{site}"


class SiteSpec(Spec):
    fabric_as: FabricAs = Field(
        default=65_000,
        description="Private 2-byte AS number in the route targets of all VPCs and V-Nets (`<fabric AS>:<VNI>`). "
        "The same on all sites of a controller; no device has it as its own AS.",
    )
    public_asn: Asn | None = Field(
        default=None,
        description="AS number that outside routers see on sessions of this site; without it the leaf's own.",
    )
    anycast_mac: Mac = Field(
        default="02:00:5e:00:01:01",
        description="MAC address of the V-Net gateways, the same on every leaf of the site.",
    )


class Site(Kind[SiteSpec]):
    name: ClassVar[str] = "site"
    tenanted: ClassVar[bool] = False
    summary: ClassVar[str] = "A data centre or room with a fabric: AS numbers and addresses that its devices share."
    spec = SiteSpec
    columns: ClassVar[tuple[str, ...]] = ("fabric_as", "public_asn")
    order: ClassVar[int] = 10

    def marks(self, r: Resource[SiteSpec], view: View) -> Iterable[Mark]:
        yield Mark(overlay_space(r.ref.name), f"{r.spec.fabric_as} {r.spec.anycast_mac}")
        yield Mark(outside_space(r.ref.name), str(r.spec.public_asn))

    def exports(self, r: Resource[SiteSpec]) -> object:
        return r.spec.public_asn

    def check(self, r: Resource[SiteSpec], view: View) -> Iterable[Diagnostic]:
        others = {s.spec.fabric_as: s.ref.name for s in view.all("site") if s.spec.fabric_as != r.spec.fabric_as}
        for fabric_as in sorted(others):
            yield finding(
                r,
                "/spec/fabric_as",
                "fabric-as-differs",
                "Sites have different fabric AS numbers",
                f"Site {r.ref.name} has {r.spec.fabric_as}, site {others[fabric_as]} has {fabric_as}: their devices "
                "would not import each other's routes, and a VPC on both would be cut in two.",
                f"Give all sites one fabric AS, for example {min(fabric_as, r.spec.fabric_as)}.",
            )


KIND = Site()
