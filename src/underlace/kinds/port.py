"""A front-panel port where it differs from the rest: its owner, state and MTU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from pydantic import Field

from underlace.kinds.base import Devices, Kind, Spec, finding, wanted
from underlace.kinds.fields import Description, FabricReference, Mtu, is_interface
from underlace.kinds.ports import is_front_port, split
from underlace.model.device import Port
from underlace.model.diagnostic import Diagnostic
from underlace.model.fact import Fact, port_scope
from underlace.model.ids import fabric, is_hostname
from underlace.model.resource import Mark, Reference, Resource, View


def port_mtu_space(device: str) -> str:
    """Marks of ports of a device with an MTU of their own, for V-Nets that are there without naming them."""
    return f"port-mtu/{device}"


class PortSpec(Spec):
    tenant: FabricReference | None = Field(
        default=None,
        description="The tenant whose V-Nets may use it; its users may then name it. None: operators only.",
    )
    enabled: bool = Field(default=True, strict=True, description="Whether it is up.")
    mtu: Mtu | None = Field(default=None, description="Largest packet that it takes; not below that of its V-Nets.")
    description: Description = Field(default="", description="For people; never sent to a device.")


class FrontPort(Kind[PortSpec]):
    name: ClassVar[str] = "port"
    tenanted: ClassVar[bool] = False
    summary: ClassVar[str] = (
        "A port of a switch, named PORT@DEVICE. Ports exist by the switch's count; one is written down only to "
        "assign it to a tenant, to disable it or to limit its MTU."
    )
    spec = PortSpec
    columns: ClassVar[tuple[str, ...]] = ("tenant", "enabled", "mtu", "description")
    order: ClassVar[int] = 65

    def name_fault(self, name: str) -> str:
        port, at, device = name.partition("@")
        return (
            "" if at and is_interface(port) and is_hostname(device) else "is written PORT@DEVICE, such as swp5@leaf1"
        )

    def refs(self, r: Resource[PortSpec]) -> Iterable[Reference]:
        yield Reference(fabric("switch", split(r.ref.name)[1]), "/name")
        if r.spec.tenant is not None:
            yield Reference(fabric("tenant", r.spec.tenant), "/spec/tenant")

    def marks(self, r: Resource[PortSpec], view: View) -> Iterable[Mark]:
        if r.spec.mtu is not None:
            yield Mark(port_mtu_space(split(r.ref.name)[1]), f"{r.ref.name} {r.spec.mtu}")

    def exports(self, r: Resource[PortSpec]) -> object:
        return r.spec.tenant, r.spec.mtu

    def check(self, r: Resource[PortSpec], view: View) -> Iterable[Diagnostic]:
        port, device = split(r.ref.name)
        switch = view.get(fabric("switch", device))
        if switch is not None and not is_front_port(port, switch.spec.ports):
            yield no_such_port(r, "/name", port, device, switch.spec.ports)

    def compile(self, r: Resource[PortSpec], view: View, devices: Devices = None) -> Iterator[Fact]:
        port, device = split(r.ref.name)
        switch = view.get(fabric("switch", device))
        if switch is not None and switch.spec.role != "oob" and wanted(device, devices):
            yield Fact(device, port_scope(port), Port(port, enabled=r.spec.enabled, mtu=r.spec.mtu), r.ref)


def no_such_port(r: Resource[Any], pointer: str, port: str, device: str, count: int) -> Diagnostic:
    return finding(
        r,
        pointer,
        "no-such-port",
        "The switch has no such port",
        f"Switch {device} has the ports swp1 to swp{count}; there is no {port} that could be used here.",
        f"Choose one of them, or correct the number of ports of switch {device}.",
    )


KIND = FrontPort()
