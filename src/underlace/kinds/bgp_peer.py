"""A BGP session with an outside router on a port of a leaf: upstream of the border VPC, or into a tenant's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from pydantic import Field

from underlace.kinds.base import Devices, Kind, Spec, finding, tenant_of, wanted
from underlace.kinds.fields import Address, Asn, InterfaceAddress, PortReference, Prefix, TenantReference
from underlace.kinds.membership import link_space, links_space
from underlace.kinds.placement import leaf, placed_mark, placed_vpc, rd_need, site_watches, vrf_objects
from underlace.kinds.port import no_such_port
from underlace.kinds.ports import is_front_port, listed, port_references, split, whole_claim
from underlace.kinds.profile import bfd_timers, timers_space
from underlace.kinds.site import outside_space
from underlace.kinds.subnet import UNDERLAY, overlap, prefix_space
from underlace.model.device import BgpNeighbor, BgpRouter, RoutedPort
from underlace.model.diagnostic import Diagnostic
from underlace.model.fact import Fact
from underlace.model.ids import Ref, fabric, within
from underlace.model.net import MARTIANS, interface, network, point, span
from underlace.model.resource import Claim, Mark, Need, Reference, Resource, View, Watch


class BgpPeerSpec(Spec):
    vpc: TenantReference = Field(
        default="system/border",
        description="The VPC that holds the session: `system/border` for upstreams, a tenant's for direct connect.",
    )
    port: PortReference = Field(description="The port of a leaf that it runs on. Nothing else may use this port.")
    local_addresses: tuple[InterfaceAddress, ...] = Field(
        min_length=1, description="The leaf's addresses on the port, one per family, such as 192.0.2.0/31."
    )
    remote_addresses: tuple[Address, ...] = Field(
        min_length=1, description="The other router's addresses, one session each, in the networks of the local ones."
    )
    remote_asn: Asn = Field(description="The other router's AS number.")
    bfd: bool = Field(
        default=False, strict=True, description="Whether BFD watches the session (timers of the profile)."
    )
    announce: tuple[Prefix, ...] | None = Field(
        default=None,
        description="Subnets of the VPC that are announced, and nothing else; without it all of them. An empty list "
        "announces nothing.",
    )
    maximum_prefixes: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=10_000_000,
        description="Prefixes beyond which the device warns. The session stays up: closing it would turn one fault "
        "of the other side into the loss of all its routes.",
    )


def vpc_of(r: Resource[BgpPeerSpec]) -> Ref:
    return within("vpc", r.spec.vpc, r.ref.tenant)


class BgpPeer(Kind[BgpPeerSpec]):
    name: ClassVar[str] = "bgp-peer"
    tenanted: ClassVar[bool] = True
    summary: ClassVar[str] = "An eBGP session with an outside router on a port of a leaf."
    spec = BgpPeerSpec
    columns: ClassVar[tuple[str, ...]] = ("vpc", "port", "remote_addresses", "remote_asn")
    order: ClassVar[int] = 130

    def refs(self, r: Resource[BgpPeerSpec]) -> Iterable[Reference]:
        yield tenant_of(r)
        yield Reference(vpc_of(r), "/spec/vpc")
        yield from port_references(r.spec.port, "/spec/port")

    def claims(self, r: Resource[BgpPeerSpec], view: View) -> Iterable[Claim]:
        yield whole_claim(r.spec.port, "/spec/port")
        vpc = vpc_of(r)
        for i, address in enumerate(r.spec.local_addresses):
            net = interface(address).network
            yield Claim(
                link_space(vpc), *span(net), f"/spec/local_addresses/{i}", f"the network {net} in VPC {vpc.name}"
            )

    def marks(self, r: Resource[BgpPeerSpec], view: View) -> Iterable[Mark]:
        vpc = vpc_of(r)
        yield placed_mark(vpc, split(r.spec.port)[1])
        for address in r.spec.local_addresses:
            yield Mark(links_space(vpc), str(interface(address).network))

    def watches(self, r: Resource[BgpPeerSpec], view: View) -> Iterable[Watch]:
        device = split(r.spec.port)[1]
        yield from site_watches(view, [device])
        switch = view.get(fabric("switch", device))
        if switch is not None:
            yield Watch(outside_space(switch.spec.site))
            if r.spec.bfd:
                yield Watch(timers_space(switch.spec.profile))
        yield Watch(UNDERLAY)
        yield Watch(prefix_space(vpc_of(r)))
        yield Watch(links_space(vpc_of(r)))

    def needs(self, r: Resource[BgpPeerSpec], view: View, devices: Devices = None) -> Iterable[Need]:
        device = split(r.spec.port)[1]
        if wanted(device, devices):
            yield rd_need(vpc_of(r), device)

    def exports(self, r: Resource[BgpPeerSpec]) -> object:
        return None

    def check(self, r: Resource[BgpPeerSpec], view: View) -> Iterable[Diagnostic]:
        port, device = split(r.spec.port)
        switch = view.get(fabric("switch", device))
        if switch is not None:
            yield from _check_device(r, port, switch, view)
        yield from _check_addresses(r, view)
        yield from _check_announced(r, view)

    def compile(self, r: Resource[BgpPeerSpec], view: View, devices: Devices = None) -> Iterator[Fact]:
        port, device = split(r.spec.port)
        if not wanted(device, devices):
            return
        spec, vpc, at = r.spec, placed_vpc(view, vpc_of(r)), leaf(view, device)
        site = view.get(fabric("site", at.site))
        own = view.marked(prefix_space(vpc.ref))
        announced = own if spec.announce is None else frozenset(spec.announce)
        # A host route inside another session's link would take that session away.
        links = view.marked(links_space(vpc.ref))
        refused = own | links | view.marked(UNDERLAY) | frozenset(MARTIANS)
        for item in vrf_objects(view, vpc, at):
            yield Fact(device, vpc.scope, item, r.ref)
        # On no leaf there is more of such a subnet than links.
        if whole := announced & links:
            yield Fact(device, vpc.scope, BgpRouter(vpc.vrf, aggregates=whole), r.ref)
        if spec.bfd and (profile := view.get(fabric("profile", at.profile))) is not None:
            yield Fact(device, vpc.scope, BgpRouter(vpc.vrf, bfd=bfd_timers(profile.spec)), r.ref)
        yield Fact(device, vpc.scope, RoutedPort(port, vpc.vrf, frozenset(spec.local_addresses)), r.ref)
        for remote in spec.remote_addresses:
            neighbour = BgpNeighbor(
                vpc.vrf,
                remote,
                port=port,
                remote_as=spec.remote_asn,
                local_as=None if site is None else site.spec.public_asn,
                bfd=spec.bfd,
                export=_of_family(announced, remote),
                refuse=_of_family(refused, remote),
                maximum_prefixes=spec.maximum_prefixes,
            )
            yield Fact(device, vpc.scope, neighbour, r.ref)


def _of_family(prefixes: Iterable[str], like: str) -> frozenset[str]:
    """The prefixes of the family that a session between such addresses carries."""
    return frozenset(p for p in prefixes if (":" in p) == (":" in like))


def _check_device(r: Resource[BgpPeerSpec], port: str, switch: Resource[Any], view: View) -> Iterable[Diagnostic]:
    device = switch.ref.name
    if switch.spec.role != "leaf":
        yield finding(
            r,
            "/spec/port",
            "not-a-leaf",
            "Only leaves have access ports",
            f"Session {r.ref.name} names a port of {device}, whose role is {switch.spec.role}.",
            "Choose a port of a leaf.",
        )
    elif not is_front_port(port, switch.spec.ports):
        yield no_such_port(r, "/spec/port", port, device, switch.spec.ports)
    assigned = view.get(fabric("port", r.spec.port))
    if assigned is not None and assigned.spec.tenant not in (None, r.ref.tenant):
        yield finding(
            r,
            "/spec/port",
            "port-of-another-tenant",
            "The port is assigned to another tenant",
            f"Session {r.ref.name} names port {r.spec.port}, which is not assigned to {r.ref.tenant}.",
            "Choose another port, or take the assignment away from it.",
        )
    site = view.get(fabric("site", switch.spec.site))
    own = {view.number(switch.ref, "asn"): f"{device}'s own"}
    if site is not None and site.spec.public_asn is not None:
        own[site.spec.public_asn] = f"the public one of site {site.ref.name}"
    if r.spec.remote_asn in own:
        yield finding(
            r,
            "/spec/remote_asn",
            "not-external",
            "The neighbour's AS number is our own",
            f"Session {r.ref.name} expects AS {r.spec.remote_asn}, which is {own[r.spec.remote_asn]}; outside "
            "sessions are eBGP.",
            "Write the AS number of the other router.",
        )


def _check_addresses(r: Resource[BgpPeerSpec], view: View) -> Iterable[Diagnostic]:
    locals_ = [interface(a) for a in r.spec.local_addresses]
    for version in (4, 6):
        same = [str(a) for a in locals_ if a.version == version]
        if len(same) > 1:
            yield finding(
                r,
                "/spec/local_addresses",
                "two-local-addresses",
                "The port has two addresses of one family",
                f"Session {r.ref.name} has {listed(same)}; the router would choose a source among them by itself.",
                "Keep one address per family.",
            )
    for i, local in enumerate(locals_):
        for prefix in sorted(view.marked(UNDERLAY)):
            if overlap(local.network, network(prefix)):
                yield finding(
                    r,
                    f"/spec/local_addresses/{i}",
                    "overlaps-underlay",
                    "A prefix of a VPC overlaps the underlay",
                    f"Network {local.network} of session {r.ref.name} overlaps the underlay's loopbacks, {prefix}; "
                    "devices drop everything that comes from outside for these addresses.",
                    "Choose a network outside of it.",
                )
    for i, remote in enumerate(r.spec.remote_addresses):
        yield from _check_remote(r, i, remote)


def _check_remote(r: Resource[BgpPeerSpec], i: int, remote: str) -> Iterable[Diagnostic]:
    pointer = f"/spec/remote_addresses/{i}"
    networks = [interface(a) for a in r.spec.local_addresses]
    inside = [a for a in networks if span(a.network)[0] <= point(remote) <= span(a.network)[1]]
    if not inside:
        yield finding(
            r,
            pointer,
            "remote-not-connected",
            "The neighbour is not in a network of the port",
            f"Neighbour {remote} of session {r.ref.name} is in none of {listed(str(a.network) for a in networks)}; "
            "outside sessions are with directly connected routers, and each needs a local address of its own family.",
            "Correct the address, or add the local address that reaches it.",
        )
    elif any(str(a.ip) == remote for a in inside):
        yield finding(
            r,
            pointer,
            "remote-is-local",
            "The neighbour has the leaf's own address",
            f"Neighbour {remote} of session {r.ref.name} is also its local address.",
            "Write the address of the other router.",
        )
    if remote in r.spec.remote_addresses[:i]:
        yield finding(
            r,
            pointer,
            "duplicate-neighbour",
            "The neighbour is there twice",
            f"Session {r.ref.name} names {remote} more than once.",
            "Remove one of them.",
        )


def _check_announced(r: Resource[BgpPeerSpec], view: View) -> Iterable[Diagnostic]:
    announced = r.spec.announce or ()
    known = view.marked(prefix_space(vpc_of(r)), announced) if announced else frozenset()
    for i, prefix in enumerate(announced):
        if prefix not in known:
            yield finding(
                r,
                f"/spec/announce/{i}",
                "announces-no-subnet",
                "What is announced is no subnet of the VPC",
                f"Session {r.ref.name} would announce {prefix}, which is not a subnet with the purpose common of VPC "
                f"{vpc_of(r).name}.",
                "Add the subnet, or announce one that exists.",
            )


KIND = BgpPeer()
