"""A link aggregation group: several ports of one leaf that are one port, by LACP or without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from underlace.kinds.base import Devices, Kind, Spec, finding, wanted
from underlace.kinds.fields import interface_name, is_port
from underlace.kinds.port import PortSpec, no_such_port
from underlace.kinds.ports import is_front_port, is_lag, split, whole_claim
from underlace.model.device import Lag, Port
from underlace.model.diagnostic import Diagnostic
from underlace.model.fact import Fact, port_scope
from underlace.model.ids import fabric, is_hostname
from underlace.model.resource import Claim, Reference, Resource, View

MEMBERS_MAX = 8
"""What any switch can do; an 802.3ad aggregator of Linux has no such limit."""


def _member(text: str) -> str:
    return text if is_port(text) else interface_name(text)


MemberName = Annotated[str, Field(max_length=80), AfterValidator(_member)]
"""PORT. PORT@DEVICE is understood, so that one of another switch is answered with what to do instead."""


class Aggregation(Spec):
    members: tuple[MemberName, ...] = Field(
        min_length=1, max_length=MEMBERS_MAX, description="Its ports, all of its own switch, such as [swp5, swp6]."
    )
    mode: Literal["lacp", "static"] = Field(
        default="lacp",
        description="`lacp`: only members on which the other side speaks LACP (IEEE 802.1AX) carry packets. "
        "`static`: all that have a link; a wrong cable goes unnoticed.",
    )
    minimum_links: int = Field(
        default=1,
        strict=True,
        ge=1,
        le=MEMBERS_MAX,
        description="With fewer members that carry packets the lag is down. More than 1 needs LACP.",
    )


# A lag is a port. In this order of bases, what it is made of is told before what every port has.
class LagSpec(PortSpec, Aggregation):
    pass


class LagKind(Kind[LagSpec]):
    name: ClassVar[str] = "lag"
    tenanted: ClassVar[bool] = False
    summary: ClassVar[str] = (
        "Ports of one leaf that are one port, named bondN@DEVICE; V-Nets name it as they name a port. Its members "
        "are used by nothing else."
    )
    spec = LagSpec
    columns: ClassVar[tuple[str, ...]] = ("members", "mode", "tenant", "enabled")
    order: ClassVar[int] = 66

    def name_fault(self, name: str) -> str:
        port, at, device = name.partition("@")
        return "" if at and is_lag(port) and is_hostname(device) else "is written bondN@DEVICE, such as bond1@leaf1"

    def refs(self, r: Resource[LagSpec]) -> Iterable[Reference]:
        yield Reference(fabric("switch", split(r.ref.name)[1]), "/name")
        if r.spec.tenant is not None:
            yield Reference(fabric("tenant", r.spec.tenant), "/spec/tenant")
        for i, port in _own(r):
            yield Reference(fabric("port", port), f"/spec/members/{i}", soft=True)

    def claims(self, r: Resource[LagSpec], view: View) -> Iterable[Claim]:
        for i, port in _own(r):
            yield whole_claim(port, f"/spec/members/{i}")

    def exports(self, r: Resource[LagSpec]) -> object:
        return r.spec.tenant, r.spec.mtu

    def check(self, r: Resource[LagSpec], view: View) -> Iterable[Diagnostic]:
        switch = view.get(fabric("switch", split(r.ref.name)[1]))
        if switch is not None:
            yield from _check_switch(r, switch)
        yield from _check_members(r)
        for i, port in _own(r):
            described = view.get(fabric("port", port))
            if described is not None:
                yield from _check_described(r, f"/spec/members/{i}", described)
        yield from _check_minimum(r)

    def compile(self, r: Resource[LagSpec], view: View, devices: Devices = None) -> Iterator[Fact]:
        lag, device = split(r.ref.name)
        if not wanted(device, devices):
            return
        spec, scope = r.spec, port_scope(lag)
        members = frozenset(split(port)[0] for _, port in _own(r))
        yield Fact(device, scope, Port(lag, enabled=spec.enabled, mtu=spec.mtu), r.ref)
        yield Fact(device, scope, Lag(lag, members, spec.mode, spec.minimum_links), r.ref)


def _named(r: Resource[LagSpec]) -> Iterator[tuple[int, str]]:
    """Members as PORT@DEVICE, with their place."""
    device = split(r.ref.name)[1]
    for i, member in enumerate(r.spec.members):
        yield i, member if "@" in member else f"{member}@{device}"


def _own(r: Resource[LagSpec]) -> Iterator[tuple[int, str]]:
    """Each member on its own switch, once."""
    device, seen = split(r.ref.name)[1], set[str]()
    for i, port in _named(r):
        if split(port)[1] == device and port not in seen:
            seen.add(port)
            yield i, port


def _check_switch(r: Resource[LagSpec], switch: Resource[Any]) -> Iterable[Diagnostic]:
    device = switch.ref.name
    if switch.spec.role != "leaf":
        yield finding(
            r,
            "/name",
            "not-a-leaf",
            "Only leaves have access ports",
            f"Lag {r.ref.name} is on {device}, whose role is {switch.spec.role}.",
            "Choose a leaf: fabric links are not aggregated, each has a session of its own.",
        )
    for i, port in _own(r):
        name = split(port)[0]
        if not is_front_port(name, switch.spec.ports):
            yield no_such_port(r, f"/spec/members/{i}", name, device, switch.spec.ports)


def _check_members(r: Resource[LagSpec]) -> Iterable[Diagnostic]:
    lag, device = split(r.ref.name)
    own = dict(_own(r))
    for i, port in _named(r):
        other = split(port)[1]
        if other != device:
            yield finding(
                r,
                f"/spec/members/{i}",
                "lag-on-two-switches",
                "A lag has members on two switches",
                f"Lag {r.ref.name} names {port}. Its members are ports of {device}: there is no multihoming (EVPN "
                "Ethernet segments, MLAG).",
                f"Make one lag per leaf, here {lag}@{device} and {lag}@{other}, and an active-backup bond over both "
                "on the server; or make two single ports members of the V-Net.",
            )
        elif i not in own:
            yield finding(
                r,
                f"/spec/members/{i}",
                "duplicate-member",
                "A port is in the lag twice",
                f"Port {port} is already a member of lag {r.ref.name}.",
                "Remove one of them.",
            )


def _check_described(r: Resource[LagSpec], pointer: str, port: Resource[Any]) -> Iterable[Diagnostic]:
    """As a member a port has the owner, the state and the MTU of the lag."""
    said = {
        "tenant": port.spec.tenant is not None,
        "mtu": port.spec.mtu is not None,
        "enabled": not port.spec.enabled,
    }
    fields = ", ".join(field for field, there in said.items() if there)
    if fields:
        yield finding(
            r,
            pointer,
            "lag-member-settings",
            "A member of a lag has settings of its own",
            f"Port {port.ref.name} is a member of lag {r.ref.name} and says {fields}; a lag says that for "
            "its members.",
            f"Take {fields} away from the port and write it in the lag, or take the port out of the lag.",
        )


def _check_minimum(r: Resource[LagSpec]) -> Iterable[Diagnostic]:
    spec, own = r.spec, len(list(_own(r)))
    if spec.minimum_links > own:
        yield finding(
            r,
            "/spec/minimum_links",
            "too-few-members",
            "A lag has fewer members than it needs",
            f"Lag {r.ref.name} needs {spec.minimum_links} links and has {own}: it would never be up.",
            f"Write at most {own}, or add members.",
        )
    if spec.minimum_links > 1 and spec.mode == "static":
        yield finding(
            r,
            "/spec/minimum_links",
            "minimum-links-need-lacp",
            "A static lag counts no links",
            f"Lag {r.ref.name} is static and asks for {spec.minimum_links} links; only LACP tells which "
            "members carry.",
            "Leave minimum_links out, or choose the mode lacp.",
        )


KIND = LagKind()
