"""What is plugged into the fabric and is not configured by it: servers, and routers of others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from pydantic import Field

from underlace.kinds import nic_labels
from underlace.kinds.base import Kind, Spec, finding
from underlace.kinds.fields import FabricReference, InterfaceAddress, InterfaceName
from underlace.kinds.ports import device_claim
from underlace.kinds.switch import device_name_fault
from underlace.model.diagnostic import Diagnostic
from underlace.model.ids import fabric
from underlace.model.resource import Claim, Reference, Resource, View


class NicSpec(Spec):
    name: InterfaceName = Field(
        description="Interface name on the server, such as eth1; eth1.100 is what is behind tag 100 of eth1."
    )
    addresses: tuple[InterfaceAddress, ...] = Field(
        default=(), description="Addresses with prefix length that it has there; the lab gives them to its hosts."
    )


class ServerSpec(Spec):
    site: FabricReference = Field(description="The site it stands in.")
    role: Literal["server", "router"] = Field(
        default="server",
        description="`server`: a host of a tenant. `router`: an outside router, such as a provider's.",
    )
    nics: tuple[NicSpec, ...] = Field(default=(), description="Its interfaces towards the fabric.")
    tenant: FabricReference | None = Field(
        default=None,
        description="The tenant whose server it is: its users may read it, and labels of its interfaces "
        "(`iface.NIC: LABEL`) are for V-Nets of this tenant. Without one, a label says the tenant: TENANT/LABEL.",
    )


class Server(Kind[ServerSpec]):
    """Compiles to nothing: it is recorded for cables and the lab. Its labels put ports into V-Nets."""

    name: ClassVar[str] = "server"
    tenanted: ClassVar[bool] = False
    summary: ClassVar[str] = "A server, or an outside router, with its interfaces. Recorded; not configured."
    spec = ServerSpec
    columns: ClassVar[tuple[str, ...]] = ("site", "role", "nics")
    order: ClassVar[int] = 50

    def name_fault(self, name: str) -> str:
        return device_name_fault(name)

    def refs(self, r: Resource[ServerSpec]) -> Iterable[Reference]:
        yield Reference(fabric("site", r.spec.site), "/spec/site")
        if r.spec.tenant is not None:
            yield Reference(fabric("tenant", r.spec.tenant), "/spec/tenant")

    def claims(self, r: Resource[ServerSpec], view: View) -> Iterable[Claim]:
        yield device_claim(r.ref)

    def exports(self, r: Resource[ServerSpec]) -> object:
        return tuple(nic.name for nic in r.spec.nics), frozenset(nic_labels.nic_labels(r.labels, r.spec.tenant))

    def check(self, r: Resource[ServerSpec], view: View) -> Iterable[Diagnostic]:
        seen: set[str] = set()
        for i, nic in enumerate(r.spec.nics):
            if nic.name in seen:
                yield finding(
                    r,
                    f"/spec/nics/{i}/name",
                    "duplicate-nic",
                    "A server has two interfaces of one name",
                    f"Server {r.ref.name} has more than one interface {nic.name}.",
                    "Merge their addresses into one, or correct the name.",
                )
            seen.add(nic.name)
        yield from nic_labels.check(r)


KIND = Server()
