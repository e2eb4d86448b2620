"""Who owns VPCs and V-Nets."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from underlace.kinds.base import Kind, Spec
from underlace.kinds.fields import Description
from underlace.model.ids import NO_TENANT
from underlace.model.resource import Resource


class TenantSpec(Spec):
    description: Description = Field(default="", description="For people; never sent to a device.")


class Tenant(Kind[TenantSpec]):
    name: ClassVar[str] = "tenant"
    tenanted: ClassVar[bool] = False
    summary: ClassVar[str] = (
        "An owner of VPCs, V-Nets and address space. `system` is built in and owns the fabric's own."
    )
    spec = TenantSpec
    columns: ClassVar[tuple[str, ...]] = ("description",)
    order: ClassVar[int] = 20

    def name_fault(self, name: str) -> str:
        if "/" in name or name == NO_TENANT:
            return 'may hold no "/", which separates tenant and name in references, and may not be "-"'
        return ""

    def exports(self, r: Resource[TenantSpec]) -> object:
        return None


KIND = Tenant()
