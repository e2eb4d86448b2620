"""What a V-Net says of itself: its VPC, its ports, its addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from underlace.kinds.base import Spec
from underlace.kinds.fields import InterfaceAddress, Mtu, PortReference, Prefix, TenantReference, Vlan, Vni
from underlace.kinds.nic_labels import NAME_PATTERN, member_space
from underlace.kinds.ports import split
from underlace.model.ids import Ref, within
from underlace.model.resource import Resource, View


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Member:
    """A dataclass, not a model: a fabric has tens of thousands of these."""

    port: PortReference = Field(description="A port or a lag of a leaf, PORT@DEVICE.")
    vlan: Vlan | None = Field(
        default=None,
        description="802.1Q tag on this port; without it the port is an untagged member, of one V-Net only.",
    )
    bridge: bool = Field(
        default=False,
        strict=True,
        description="Another layer-2 network is behind the port, such as a VLAN of a switch of others: "
        "all its hosts join the V-Net. 16,384 MAC addresses may be there instead of 1,024, broadcasts are limited, "
        "and its spanning tree passes. Not for l3vpn.",
    )
    addresses: tuple[InterfaceAddress, ...] = Field(
        default=(),
        description="In a V-Net of type l3vpn, the leaf's addresses on this port, one per family: a /31 and a /127 "
        "in common subnets of the VPC that no V-Net takes its links from. The host has the other address of each. "
        "Without one of a family, it is allocated from the V-Net's subnets.",
    )


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class PortLabel:
    """Ports that are selected, not named."""

    label: str = Field(
        pattern=f"^{NAME_PATTERN}$",
        description="A label of this tenant. Its ports are those that servers' interfaces with the label are cabled "
        "to (`iface.eth1: LABEL` among the labels of a server); fabric links are none.",
    )
    vlan: Vlan | None = Field(
        default=None,
        description="802.1Q tag on these ports; without it they are untagged members, each of one V-Net only.",
    )


class VnetSpec(Spec):
    vpc: TenantReference = Field(description="The VPC it belongs to: NAME, or TENANT/NAME of another tenant.")
    type: Literal["l2vpn", "l3vpn"] = Field(
        default="l2vpn",
        description="`l2vpn`: one layer-2 segment. `l3vpn`: every port is a routed link of its own (/31, /127); the "
        "V-Net has no VNI and no broadcast domain.",
    )
    vni: Vni | None = Field(
        default=None,
        description="The VNI, unique in the controller, chosen by an operator; without it one is allocated. Not for "
        "l3vpn.",
    )
    gateways: tuple[InterfaceAddress, ...] = Field(
        default=(),
        description="Anycast gateways, IPv4 and IPv6, each with the prefix length of its subnet. On every leaf with "
        "a member they have the same addresses and MAC. Without any the V-Net is a plain layer-2 segment. Not for "
        "l3vpn.",
    )
    subnets: tuple[Prefix, ...] = Field(
        default=(),
        description="Of type l3vpn: the common subnets of the VPC, one per family, from which a link is allocated "
        "for every port that has no address given. They are this V-Net's alone. The addresses are in its status.",
    )
    ports: tuple[Member, ...] = Field(default=(), description="Its members.")
    port_labels: tuple[PortLabel, ...] = Field(
        default=(),
        description="Its members by label, beside `ports`; what `ports` says of a port holds. Not for l3vpn.",
    )
    mtu: Mtu = Field(
        default=9_000, description="MTU of packets inside, at least 50 below the underlay's for the VXLAN header."
    )


Members = list[tuple[int, str, Member]]
"""Members on one device: place in the spec (below 0: of a label, see `place`), port on the device, and the rest."""


def by_device(spec: VnetSpec) -> dict[str, Members]:
    found: dict[str, Members] = {}
    for i, member in enumerate(spec.ports):
        port, _, device = member.port.partition("@")
        found.setdefault(device, []).append((i, port, member))
    return found


def joined(r: Resource[VnetSpec], view: View) -> dict[str, Members]:
    """All members: those that are named, and what labels select beside them."""
    found = by_device(r.spec)
    if r.spec.port_labels:
        named = {member.port for member in r.spec.ports}
        for i, port, vlan in _selected(r, view):
            if port not in named:
                name, device = split(port)
                found.setdefault(device, []).append((~i, name, Member(port, vlan)))
    return found


def _selected(r: Resource[VnetSpec], view: View) -> Iterator[tuple[int, str, int | None]]:
    """(place, port, VLAN) of what labels select; of labels that say the same of a port, one."""
    seen: set[tuple[str, int | None]] = set()
    for i, one in enumerate(r.spec.port_labels):
        for port in sorted(view.marked(member_space(r.ref.tenant, one.label))):
            if (port, one.vlan) not in seen:
                seen.add((port, one.vlan))
                yield i, port, one.vlan


def place(i: int) -> str:
    """The field that makes a member one, from the place in `Members`."""
    return f"/spec/ports/{i}/port" if i >= 0 else f"/spec/port_labels/{~i}/label"


def label_spaces(r: Resource[VnetSpec]) -> list[str]:
    """Spaces of the marks that its labels select."""
    return [member_space(r.ref.tenant, one.label) for one in r.spec.port_labels]


def vpc_of(r: Resource[VnetSpec]) -> Ref:
    return within("vpc", r.spec.vpc, r.ref.tenant)


def link_space(vpc: Ref) -> str:
    """Claims of the networks that a VPC has on interfaces: gateways of V-Nets, links to hosts and outside routers."""
    return f"network/{vpc.tenant}/{vpc.name}"


def links_space(vpc: Ref) -> str:
    """Marks of what a VPC has as links: networks towards outside routers, and subnets of routed links."""
    return f"link/{vpc.tenant}/{vpc.name}"


def home_space(vpc: Ref, prefix: str) -> str:
    """Marks of where a common subnet of a VPC is on interfaces: a `digest` for each V-Net that has it. What a
    port was allocated is not in it: that changes only with the ports and the subnets."""
    return f"home/{vpc.tenant}/{vpc.name}/{prefix}"


def digest(places: Iterable[str]) -> str:
    """Another text for other places, of a fixed length: a V-Net may be on thousands."""
    return hashlib.sha256("\n".join(sorted(places)).encode()).hexdigest()[:32]
