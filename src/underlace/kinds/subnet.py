"""Prefixes for one purpose: gateways of V-Nets, loopbacks of devices, management."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Any, ClassVar, Literal

from pydantic import Field

from underlace.kinds.base import Kind, Spec, finding, tenant_of
from underlace.kinds.fields import FabricReference, Prefix, TenantReference
from underlace.kinds.link_addresses import EVERYWHERE, LINKS, site_space
from underlace.kinds.ports import listed
from underlace.model.diagnostic import Diagnostic
from underlace.model.ids import BORDER_VPC, Ref, fabric, within
from underlace.model.net import MARTIANS, Network, network, span
from underlace.model.resource import Claim, Mark, Reference, Resource, View, Watch

UNDERLAY = "underlay"
"""Marks of all prefixes of the underlay: nothing that enters by another port may reach them (law 11)."""

_ALL = "subnet"
_CLOSED = ("loopback", "underlay")
_LOOPBACK_LENGTHS = (16, 32)
_LINK_LENGTHS = {4: (16, 31), 6: (112, 127)}
"""Short enough to look every prefix inside up by its name."""


class SubnetSpec(Spec):
    prefix: Prefix = Field(
        description="IPv4 or IPv6 prefix inside an allocation of its VPC, apart from the other subnets there."
    )
    vpc: TenantReference = Field(
        default="system/border", description="The VPC it belongs to: NAME, or TENANT/NAME of another tenant."
    )
    purpose: Literal["common", "loopback", "underlay", "management", "inactive"] = Field(
        default="common",
        description="`common`: gateways of V-Nets. `loopback`: VTEP addresses of devices, IPv4, in system/border, "
        "closed to everything that is not underlay. `underlay`: addresses of fabric links, in system/border, closed "
        "likewise; per site one of IPv6. `management`: the out-of-band network. `inactive`: kept free.",
    )
    sites: tuple[FabricReference, ...] = Field(default=(), description="Sites that may use it; none named: all.")


def prefix_space(vpc: Ref) -> str:
    """Marks of the routed prefixes of a VPC."""
    return f"prefix/{vpc.tenant}/{vpc.name}"


def gateway_space(vpc: Ref, prefix: str) -> str:
    """Marks of one common subnet: the sites that may use it, or "*"."""
    return f"gateway/{vpc.tenant}/{vpc.name}/{prefix}"


def around(vpc: Ref, prefix: Network, view: View) -> frozenset[str]:
    """The common subnet of a VPC that a prefix lies in, by look-ups of its name: at most one, they do not overlap."""
    return view.marked(prefix_space(vpc), [str(prefix.supernet(new_prefix=n)) for n in range(prefix.prefixlen + 1)])


def allocation_space(vpc: Ref) -> str:
    """Marks of the allocations of a VPC."""
    return f"allocation/{vpc.tenant}/{vpc.name}"


def loopback_prefixes(view: View, site: str) -> list[str]:
    """The loopback subnets that devices of a site may use, in order of address."""
    found = view.marked(f"loopback/{site}") | view.marked(f"loopback/{EVERYWHERE}")
    return sorted(found, key=lambda p: span(network(p)))


def check_sites(
    r: Resource[Any], pointer: str, prefix: str, whose: str, sites: Iterable[str], view: View
) -> Iterable[Diagnostic]:
    """A V-Net's subnet is for all sites where the V-Net has members. One that there is not, others find."""
    marks = view.marked(gateway_space(vpc_of(r), prefix))
    for site in sorted(sites):
        if marks and not any(mark == EVERYWHERE or site in mark.split("\n") for mark in marks):
            yield finding(
                r,
                pointer,
                "subnet-not-at-site",
                "The subnet may not be used at a site of the V-Net",
                f"V-Net {r.ref.name} has members at {site}, but subnet {prefix} of its {whose} is not for it.",
                f"Add {site} to the sites of the subnet, or remove the members there.",
            )


def vpc_of(r: Resource[SubnetSpec]) -> Ref:
    return within("vpc", r.spec.vpc, r.ref.tenant)


class Subnet(Kind[SubnetSpec]):
    name: ClassVar[str] = "subnet"
    tenanted: ClassVar[bool] = True
    summary: ClassVar[str] = "A prefix of a VPC in use: where gateways of V-Nets, or loopbacks of devices, lie."
    spec = SubnetSpec
    writers: ClassVar[Literal["tenant"]] = "tenant"
    columns: ClassVar[tuple[str, ...]] = ("prefix", "vpc", "purpose", "sites")
    order: ClassVar[int] = 90

    def refs(self, r: Resource[SubnetSpec]) -> Iterable[Reference]:
        yield tenant_of(r)
        yield Reference(vpc_of(r), "/spec/vpc")
        for i, site in enumerate(r.spec.sites):
            yield Reference(fabric("site", site), f"/spec/sites/{i}")

    def claims(self, r: Resource[SubnetSpec], view: View) -> Iterable[Claim]:
        vpc = vpc_of(r)
        low, high = span(network(r.spec.prefix))
        yield Claim(
            f"subnet/{vpc.tenant}/{vpc.name}", low, high, "/spec/prefix", f"prefix {r.spec.prefix} in VPC {vpc.name}"
        )

    def marks(self, r: Resource[SubnetSpec], view: View) -> Iterable[Mark]:
        vpc, prefix, sites = vpc_of(r), r.spec.prefix, r.spec.sites or (EVERYWHERE,)
        match r.spec.purpose:
            case "common":
                yield Mark(prefix_space(vpc), prefix)
                yield Mark(gateway_space(vpc, prefix), "\n".join(sorted(sites)))
            case "loopback":
                yield Mark(UNDERLAY, prefix)
                # Marks and needs come before check(): an IPv6 prefix must not become a pool of numbers.
                for site in sites if _fits_loopbacks(network(prefix)) else ():
                    yield Mark(f"loopback/{site}", prefix)
            case "underlay":
                yield Mark(UNDERLAY, prefix)
                yield Mark(LINKS, prefix)
                for site in sites if _fits_links(network(prefix)) else ():
                    yield Mark(site_space(site), prefix)
        if r.spec.purpose not in _CLOSED:
            yield Mark(_ALL, prefix)

    def watches(self, r: Resource[SubnetSpec], view: View) -> Iterable[Watch]:
        yield Watch(allocation_space(vpc_of(r)))

    def exports(self, r: Resource[SubnetSpec]) -> object:
        return None

    def check(self, r: Resource[SubnetSpec], view: View) -> Iterable[Diagnostic]:
        prefix = network(r.spec.prefix)
        unfit = [martian for martian in MARTIANS if overlap(prefix, network(martian))]
        if unfit:
            yield _not_routable(r, unfit)
            return
        yield from self._check_allocation(r, prefix, view)
        if r.spec.purpose in (*_CLOSED, "management") and vpc_of(r) != BORDER_VPC:
            yield finding(
                r,
                "/spec/purpose",
                "purpose-outside-system",
                "Only the system VPC has subnets of this purpose",
                f"Subnet {r.ref.name} is for {r.spec.purpose}, but belongs to VPC {r.spec.vpc}.",
                "Put it into system/border, or choose the purpose common.",
            )
        if r.spec.purpose == "loopback":
            yield from _check_loopback(r, prefix, view)
        elif r.spec.purpose == "underlay":
            yield from _check_links(r, prefix, view)
        else:
            yield from _check_beside_underlay(r, prefix, view)

    def _check_allocation(self, r: Resource[SubnetSpec], prefix: Network, view: View) -> Iterable[Diagnostic]:
        vpc = vpc_of(r)
        allocations = view.marked(allocation_space(vpc))
        if any(_inside(prefix, network(a)) for a in allocations):
            return
        there = f"It has {listed(allocations)}." if allocations else "It has none."
        yield finding(
            r,
            "/spec/prefix",
            "subnet-outside-allocation",
            "The subnet lies in no allocation of its VPC",
            f"Prefix {r.spec.prefix} of subnet {r.ref.name} is inside no allocation of VPC {vpc.name}. {there}",
            f"Add an allocation that covers {r.spec.prefix} to this VPC, or choose a prefix inside one.",
        )


def _not_routable(r: Resource[SubnetSpec], unfit: list[str]) -> Diagnostic:
    return finding(
        r,
        "/spec/prefix",
        "prefix-not-routable",
        "The prefix holds addresses that no host can have",
        f"Prefix {r.spec.prefix} of subnet {r.ref.name} overlaps {listed(unfit)}: reserved for loopback, link-local, "
        "multicast, unspecified or IPv4-mapped addresses (RFC 6890). Hosts and devices use these by themselves, and "
        "no router forwards to them.",
        "Choose a private prefix (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7), or a public one of your own.",
    )


def _inside(inner: Network, outer: Network) -> bool:
    (low, high), (first, last) = span(inner), span(outer)
    return first <= low and high <= last


def _fits_loopbacks(prefix: Network) -> bool:
    shortest, longest = _LOOPBACK_LENGTHS
    return isinstance(prefix, IPv4Network) and shortest <= prefix.prefixlen <= longest


def _check_loopback(r: Resource[SubnetSpec], prefix: Network, view: View) -> Iterable[Diagnostic]:
    shortest, longest = _LOOPBACK_LENGTHS
    if not _fits_loopbacks(prefix):
        yield finding(
            r,
            "/spec/prefix",
            "loopback-prefix",
            "Loopbacks need an IPv4 prefix of a fitting size",
            f"Prefix {r.spec.prefix} of subnet {r.ref.name} is not an IPv4 prefix of length {shortest} to {longest}; "
            "VTEP addresses are IPv4.",
            "Choose an IPv4 prefix such as 10.255.0.0/24.",
        )
        return
    yield from _check_free(r, prefix, view)


def _fits_links(prefix: Network) -> bool:
    shortest, longest = _LINK_LENGTHS[prefix.version]
    return shortest <= prefix.prefixlen <= longest


def _check_links(r: Resource[SubnetSpec], prefix: Network, view: View) -> Iterable[Diagnostic]:
    if not _fits_links(prefix):
        shortest, longest = _LINK_LENGTHS[prefix.version]
        yield finding(
            r,
            "/spec/prefix",
            "link-subnet-prefix",
            "Fabric links need a prefix of a fitting size",
            f"Prefix {prefix} of subnet {r.ref.name} is of another length than {shortest} to {longest}.",
            "Choose a prefix such as 10.254.0.0/24 or fd00:0:0:1::/112.",
        )
        return
    for site in r.spec.sites or (EVERYWHERE,):
        others = view.marked(site_space(site)) | view.marked(site_space(EVERYWHERE))
        six = sorted(p for p in others if network(p).version == 6)
        if prefix.version == 6 and len(six) > 1:
            yield finding(
                r,
                "/spec/prefix",
                "two-link-subnets",
                "Links would be numbered from two IPv6 subnets",
                f"Subnet {r.ref.name} is for the fabric links of sites that have {listed(six)}.",
                "Keep one per site.",
            )
    yield from _check_free(r, prefix, view)


def _check_free(r: Resource[SubnetSpec], prefix: Network, view: View) -> Iterable[Diagnostic]:
    """No tenant uses what will be closed."""
    # Every prefix that could overlap, by name: an indexed look-up each, where a search over all tenants' subnets
    # would grow with the fabric.
    around = [str(prefix.supernet(new_prefix=n)) for n in range(prefix.prefixlen)]
    lengths = range(prefix.prefixlen, prefix.max_prefixlen + 1)
    within_it = [str(p) for n in lengths for p in prefix.subnets(new_prefix=n)]
    for other in sorted(view.marked(_ALL, around + within_it)):
        yield _overlaps_underlay(
            r, r.spec.prefix, f"a subnet of a VPC, {other}", "Choose a prefix that no tenant uses."
        )


def _check_beside_underlay(r: Resource[SubnetSpec], prefix: Network, view: View) -> Iterable[Diagnostic]:
    """Does not say which prefix: the underlay's are not a tenant's to know."""
    if any(overlap(prefix, network(other)) for other in view.marked(UNDERLAY)):
        yield _overlaps_underlay(
            r,
            r.spec.prefix,
            "addresses of the fabric's devices",
            "Choose another prefix; an operator knows which are free.",
        )


def overlap(one: Network, other: Network) -> bool:
    (low, high), (first, last) = span(one), span(other)
    return low <= last and first <= high


def _overlaps_underlay(r: Resource[SubnetSpec], prefix: str, what: str, remedy: str) -> Diagnostic:
    return finding(
        r,
        "/spec/prefix",
        "overlaps-underlay",
        "A prefix of a VPC overlaps the underlay",
        f"Prefix {prefix} of subnet {r.ref.name} overlaps {what}. Devices drop everything from tenants to underlay "
        "addresses, so nothing would reach the overlapping ones.",
        remedy,
    )


KIND = Subnet()
