"""V-Nets of type l3vpn: every port is a link of its own, with a /31 and a /127 of which the host has the other end.

    subnet 10.1.9.0/24, link number 3   ──►   leaf 10.1.9.4/31, host 10.1.9.5

A number is bound to the leaf of its port: it is free again when this leaf has confirmed that the link is gone. What
is given in the spec is claimed instead, and lies outside of what is allocated, so that neither ever meets the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from underlace.kinds.base import Devices, finding, number, wanted
from underlace.kinds.membership import (
    Member,
    VnetSpec,
    by_device,
    digest,
    home_space,
    link_space,
    links_space,
    vpc_of,
)
from underlace.kinds.placement import leaf, placed_vpc, rd_need, vrf_objects
from underlace.kinds.ports import split, whole_claim
from underlace.kinds.subnet import around, check_sites, gateway_space, prefix_space
from underlace.model.device import RoutedPort
from underlace.model.diagnostic import Diagnostic
from underlace.model.fact import Fact
from underlace.model.net import interface, network, span
from underlace.model.resource import Claim, Mark, Need, Resource, View, Watch

_LINKS_MAX = 1_048_576
"""Links of one subnet: a /64 has more than a store counts."""

Vnet = Resource[VnetSpec]


def claims(r: Vnet) -> Iterable[Claim]:
    vpc = vpc_of(r)
    for i, prefix in enumerate(r.spec.subnets):
        yield Claim(
            link_space(vpc), *span(network(prefix)), f"/spec/subnets/{i}", f"the network {prefix} in VPC {vpc.name}"
        )
    for i, member in enumerate(r.spec.ports):
        yield whole_claim(member.port, f"/spec/ports/{i}/port")
        for j, address in enumerate(member.addresses):
            net = interface(address).network
            pointer = f"/spec/ports/{i}/addresses/{j}"
            yield Claim(link_space(vpc), *span(net), pointer, f"the network {net} in VPC {vpc.name}")


def marks(r: Vnet, view: View) -> Iterable[Mark]:
    vpc = vpc_of(r)
    places = digest(" ".join((member.port, *member.addresses)) for member in r.spec.ports)
    given = {interface(a).network for member in r.spec.ports for a in member.addresses}
    taken = {prefix for net in given for prefix in around(vpc, net, view)}.union(r.spec.subnets)
    for prefix in sorted(taken):
        yield Mark(links_space(vpc), prefix)
        yield Mark(home_space(vpc, prefix), places)


def watches(r: Vnet) -> Iterable[Watch]:
    vpc = vpc_of(r)
    for prefix in r.spec.subnets:
        yield Watch(gateway_space(vpc, prefix))
    if any(member.addresses for member in r.spec.ports):
        yield Watch(prefix_space(vpc))


def needs(r: Vnet, devices: Devices) -> Iterable[Need]:
    vpc = vpc_of(r)
    for device, members in by_device(r.spec).items():
        if not wanted(device, devices):
            continue
        yield rd_need(vpc, device)
        for _, _, member in members:
            for prefix in _allocating(r.spec, member):
                pool = f"link/{vpc.tenant}/{vpc.name}/{prefix}"
                yield Need(r.ref, _slot(member, prefix), pool, ((1, _count(prefix)),))


def facts(r: Vnet, view: View, devices: Devices) -> Iterator[Fact]:
    vpc = placed_vpc(view, vpc_of(r))
    for device, members in by_device(r.spec).items():
        if not wanted(device, devices):
            continue
        for item in vrf_objects(view, vpc, leaf(view, device)):
            yield Fact(device, vpc.scope, item, r.ref)
        for _, port, member in members:
            addresses = frozenset(_addresses(r.spec, member, lambda slot: number(view, r.ref, slot)))
            yield Fact(device, vpc.scope, RoutedPort(port, vpc.vrf, addresses, r.spec.mtu, hosts=True), r.ref)


def by_port(r: Vnet, numbers: Callable[[str], int | None]) -> Mapping[str, tuple[str, ...]]:
    """The leaf's addresses on each port, as far as they are known."""
    return {member.port: tuple(_addresses(r.spec, member, numbers)) for member in r.spec.ports}


def _addresses(spec: VnetSpec, member: Member, numbers: Callable[[str], int | None]) -> Iterator[str]:
    yield from member.addresses
    for prefix in _allocating(spec, member):
        if (given := numbers(_slot(member, prefix))) is not None:
            net = network(prefix)
            yield f"{net[2 * (given - 1)]}/{net.max_prefixlen - 1}"


def _allocating(spec: VnetSpec, member: Member) -> Iterator[str]:
    """The subnets from which a port has a link: of each family the first, if no address of it is given."""
    done = {":" in address for address in member.addresses}
    for prefix in spec.subnets:
        if (":" in prefix) not in done and _count(prefix) > 0:
            done.add(":" in prefix)
            yield prefix


def _slot(member: Member, prefix: str) -> str:
    port, device = split(member.port)
    return f"link{6 if ':' in prefix else 4}:{port}/{device}"


def _count(prefix: str) -> int:
    """Links in a subnet; none in a single address."""
    net = network(prefix)
    bits = net.max_prefixlen - net.prefixlen
    return min(1 << bits >> 1, _LINKS_MAX)


def check_type(r: Vnet) -> Iterable[Diagnostic]:
    """Fields that mean nothing in a V-Net of this type."""
    spec, members = r.spec, list(enumerate(r.spec.ports))
    if spec.type == "l3vpn":
        said = [("/spec/vni", spec.vni is not None), ("/spec/gateways", bool(spec.gateways))]
        said += [("/spec/port_labels", bool(spec.port_labels))]
        said += [(f"/spec/ports/{i}/vlan", member.vlan is not None) for i, member in members]
        said += [(f"/spec/ports/{i}/bridge", member.bridge) for i, member in members]
    else:
        said = [("/spec/subnets", bool(spec.subnets))]
        said += [(f"/spec/ports/{i}/addresses", bool(member.addresses)) for i, member in members]
    for pointer in (pointer for pointer, is_said in said if is_said):
        field = pointer.rpartition("/")[2]
        yield finding(
            r,
            pointer,
            "field-of-another-type",
            "A field means nothing in a V-Net of this type",
            f"V-Net {r.ref.name} is of type {spec.type}, in which there is no use for {field}.",
            f"Leave {field} out, or choose the other type.",
        )


def check(r: Vnet, sites: Mapping[str, Resource[Any]], view: View) -> Iterable[Diagnostic]:
    yield from _check_subnets(r, sites, view)
    first: dict[str, str] = {}
    for i, member in enumerate(r.spec.ports):
        yield from _check_member(r, i, member, sites, view)
        for j, address in enumerate(member.addresses):
            net = str(interface(address).network)
            if first.setdefault(net, member.port) != member.port:
                yield finding(
                    r,
                    f"/spec/ports/{i}/addresses/{j}",
                    "duplicate-link",
                    "Two ports are given one link",
                    f"Ports {first[net]} and {member.port} of V-Net {r.ref.name} are both given {net}.",
                    "Give one of them another.",
                )


def _check_subnets(r: Vnet, sites: Iterable[str], view: View) -> Iterable[Diagnostic]:
    vpc, first = vpc_of(r), dict[bool, str]()
    for i, prefix in enumerate(r.spec.subnets):
        pointer = f"/spec/subnets/{i}"
        if first.setdefault(":" in prefix, prefix) != prefix or r.spec.subnets.index(prefix) != i:
            yield finding(
                r,
                pointer,
                "two-link-subnets",
                "The V-Net takes its links from two subnets of one family",
                f"V-Net {r.ref.name} names {first[':' in prefix]} and {prefix}.",
                "Keep one per family; for more ports make another V-Net in this VPC.",
            )
        if not view.marked(gateway_space(vpc, prefix)):
            yield _outside(r, pointer, prefix, "Write the prefix of such a subnet, whole.")
        yield from check_sites(r, pointer, prefix, "links", sites, view)
        if _count(prefix) == 0:
            yield finding(
                r,
                pointer,
                "link-subnet-too-small",
                "A subnet is too small for a link",
                f"Subnet {prefix} of V-Net {r.ref.name} is a single address; a link takes two.",
                "Choose a larger subnet.",
            )


def _check_member(r: Vnet, i: int, member: Member, sites: Iterable[str], view: View) -> Iterable[Diagnostic]:
    if not member.addresses and not r.spec.subnets:
        yield finding(
            r,
            f"/spec/ports/{i}",
            "link-without-address",
            "A routed link has no address",
            f"Port {member.port} of V-Net {r.ref.name} has no addresses, and the V-Net no subnets to take them from.",
            "Name subnets of the VPC, or give the port addresses.",
        )
    families = [":" in address for address in member.addresses]
    for j, address in enumerate(member.addresses):
        pointer, net = f"/spec/ports/{i}/addresses/{j}", interface(address).network
        if net.max_prefixlen - net.prefixlen != 1:
            yield finding(
                r,
                pointer,
                "link-prefix-length",
                "A routed link has another prefix length",
                f"Address {address} of port {member.port} in V-Net {r.ref.name} is of a network with other than two "
                "addresses; a link has a /31 or a /127 (RFC 3021, RFC 6164).",
                f"Write {interface(address).ip}/{net.max_prefixlen - 1}.",
            )
            continue
        if families.index(families[j]) != j:
            yield finding(
                r,
                pointer,
                "two-link-addresses",
                "A link has two addresses of one family",
                f"Port {member.port} of V-Net {r.ref.name} has {', '.join(member.addresses)}.",
                "Keep one address per family.",
            )
        inside = around(vpc_of(r), net, view)
        if not inside:
            yield _outside(r, pointer, str(net), "Choose an address inside one, or add a subnet.")
        for prefix in inside:
            yield from check_sites(r, pointer, prefix, "links", sites, view)


def _outside(r: Vnet, pointer: str, prefix: str, remedy: str) -> Diagnostic:
    vpc = vpc_of(r)
    return finding(
        r,
        pointer,
        "links-outside-subnet",
        "Links are in no subnet of their VPC",
        f"{prefix} of V-Net {r.ref.name} is in no subnet of VPC {vpc.name} with the purpose common.",
        remedy,
    )
