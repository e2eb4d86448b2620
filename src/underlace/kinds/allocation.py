"""Address space of a VPC, from which its subnets are taken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from pydantic import Field

from underlace.kinds.base import Kind, Spec, tenant_of
from underlace.kinds.fields import Prefix, TenantReference
from underlace.kinds.subnet import allocation_space
from underlace.model.ids import Ref, within
from underlace.model.net import network, span
from underlace.model.resource import Claim, Mark, Reference, Resource, View


class AllocationSpec(Spec):
    prefix: Prefix = Field(
        description="IPv4 or IPv6 prefix. Allocations of one VPC do not overlap; those of different VPCs may."
    )
    vpc: TenantReference = Field(
        default="system/border", description="The VPC it belongs to: NAME, or TENANT/NAME of another tenant."
    )


class Allocation(Kind[AllocationSpec]):
    name: ClassVar[str] = "allocation"
    tenanted: ClassVar[bool] = True
    summary: ClassVar[str] = "Address space that a VPC may use. Its subnets lie inside."
    spec = AllocationSpec
    writers: ClassVar[Literal["tenant"]] = "tenant"
    columns: ClassVar[tuple[str, ...]] = ("prefix", "vpc")
    order: ClassVar[int] = 80

    def _vpc(self, r: Resource[AllocationSpec]) -> Ref:
        return within("vpc", r.spec.vpc, r.ref.tenant)

    def refs(self, r: Resource[AllocationSpec]) -> Iterable[Reference]:
        yield tenant_of(r)
        yield Reference(self._vpc(r), "/spec/vpc")

    def claims(self, r: Resource[AllocationSpec], view: View) -> Iterable[Claim]:
        vpc, (low, high) = self._vpc(r), span(network(r.spec.prefix))
        yield Claim(
            allocation_space(vpc), low, high, "/spec/prefix", f"address space {r.spec.prefix} in VPC {vpc.name}"
        )

    def marks(self, r: Resource[AllocationSpec], view: View) -> Iterable[Mark]:
        yield Mark(allocation_space(self._vpc(r)), r.spec.prefix)

    def exports(self, r: Resource[AllocationSpec]) -> object:
        return None


KIND = Allocation()
