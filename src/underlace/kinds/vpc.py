"""A tenant's private network: a routing domain of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from pydantic import Field

from underlace.kinds.base import Devices, Kind, Spec, tenant_of
from underlace.kinds.fields import Description, Vni
from underlace.model.fact import vrf_scope
from underlace.model.net import VNI_AUTO_RANGES, VNI_RANGE
from underlace.model.resource import Need, Reference, Resource, View


class VpcSpec(Spec):
    vni: Vni | None = Field(
        default=None,
        description="The L3VNI, unique in the controller, chosen by an operator; without it one is allocated.",
    )
    description: Description = Field(default="", description="For people; never sent to a device.")


def vrf_of(r: Resource[VpcSpec]) -> str:
    """The VRF's name on devices: by the VPC's id, because a tenant's text never reaches a device."""
    return f"vpc-{r.id}"


def scope_of(r: Resource[VpcSpec]) -> str:
    return vrf_scope(vrf_of(r))


class Vpc(Kind[VpcSpec]):
    """Compiles to nothing: whoever needs it on a device (V-Net, peering, session) places its VRF there."""

    name: ClassVar[str] = "vpc"
    tenanted: ClassVar[bool] = True
    summary: ClassVar[str] = (
        "A routing domain of a tenant (VRF + L3VNI). Addresses may overlap those of any other VPC. `system/border` "
        "is built in and faces the internet."
    )
    spec = VpcSpec
    writers: ClassVar[Literal["tenant"]] = "tenant"
    columns: ClassVar[tuple[str, ...]] = ("vni", "description")
    order: ClassVar[int] = 70

    def refs(self, r: Resource[VpcSpec]) -> Iterable[Reference]:
        yield tenant_of(r)

    def needs(self, r: Resource[VpcSpec], view: View, devices: Devices = None) -> Iterable[Need]:
        yield Need(r.ref, "vni", "vni", VNI_AUTO_RANGES, r.spec.vni, (VNI_RANGE,), "/spec/vni")

    def scopes(self, r: Resource[VpcSpec]) -> Iterable[str]:
        yield scope_of(r)

    def exports(self, r: Resource[VpcSpec]) -> object:
        return r.spec.vni


KIND = Vpc()
