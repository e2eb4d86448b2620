"""A device of the fabric: its identity, its underlay session parameters, and what protects it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import ClassVar, Literal

from pydantic import Field

from underlace.kinds import evpn_sessions
from underlace.kinds.base import Devices, Kind, Spec, finding, number, wanted
from underlace.kinds.evpn_sessions import VTEP
from underlace.kinds.fields import Asn, FabricReference, Ipv4
from underlace.kinds.link_addresses import LINKS
from underlace.kinds.ports import device_claim, front_ports, listed
from underlace.kinds.profile import ProfileSpec, bfd_timers
from underlace.kinds.subnet import UNDERLAY, loopback_prefixes
from underlace.model.device import DEFAULT_VRF, BgpRouter, DeviceObject, Port, Protection, System
from underlace.model.device.base import NOTHING
from underlace.model.diagnostic import Diagnostic
from underlace.model.fact import BASE, Fact, port_scope
from underlace.model.ids import fabric, is_hostname
from underlace.model.net import ASN_AUTO_RANGE, ASN_RANGE, network, router_mac
from underlace.model.resource import Claim, Mark, Need, Reference, Resource, View, Watch


def leaf_space(device: str) -> str:
    """Marks of what the overlay reads of a leaf, for those who are on it without referring to it."""
    return f"leaf/{device}"


def profile_space(device: str) -> str:
    """Marks of the profile of a leaf, for V-Nets that are there without naming it."""
    return f"profile-of/{device}"


UNDERLAY_PATHS = 64
"""ECMP width of the underlay: as many spines as a fabric has."""


class SwitchSpec(Spec):
    site: FabricReference = Field(description="The site it stands in.")
    role: Literal["leaf", "spine", "oob"] = Field(
        description="`leaf`: a VTEP with access ports. `spine`: joins leaves, carries no VPC. `oob`: the switch of "
        "the management network; recorded with its cables, not configured."
    )
    os: str = Field(
        default="linux", pattern=r"^[a-z][a-z0-9_-]*$", max_length=32, description="Its operating system."
    )
    os_version: str = Field(
        default="",
        pattern=r"^[0-9A-Za-z._+~-]*$",
        max_length=32,
        description="Version of its routing suite, such as 8.4.4; without it the oldest supported one is assumed.",
    )
    asn: Asn | None = Field(
        default=None, description="Its AS number; without it one of 4200000000-4209999999 is allocated."
    )
    loopback: Ipv4 | None = Field(
        default=None,
        description="Its loopback, on a leaf the VTEP address; without it one is allocated from a loopback subnet.",
    )
    ports: int = Field(
        strict=True, ge=1, le=1_024, description="Number of front-panel ports, swp1 to swpN. Each also has mgmt0."
    )
    profile: FabricReference = Field(default="default", description="The profile it runs with.")
    route_server: bool = Field(
        default=False,
        strict=True,
        description="A spine with which leaves have their EVPN sessions, where profiles say `route-servers`.",
    )


class Switch(Kind[SwitchSpec]):
    name: ClassVar[str] = "switch"
    tenanted: ClassVar[bool] = False
    summary: ClassVar[str] = "A leaf, spine or out-of-band switch with its ports."
    spec = SwitchSpec
    columns: ClassVar[tuple[str, ...]] = ("site", "role", "os", "ports", "profile")
    order: ClassVar[int] = 40

    def name_fault(self, name: str) -> str:
        return device_name_fault(name)

    def refs(self, r: Resource[SwitchSpec]) -> Iterable[Reference]:
        yield Reference(fabric("site", r.spec.site), "/spec/site")
        yield Reference(fabric("profile", r.spec.profile), "/spec/profile")

    def claims(self, r: Resource[SwitchSpec], view: View) -> Iterable[Claim]:
        yield device_claim(r.ref)

    def marks(self, r: Resource[SwitchSpec], view: View) -> Iterable[Mark]:
        if r.spec.role == "leaf" and (loopback := view.number(r.ref, "loopback")) is not None:
            yield Mark(VTEP, str(ip_address(loopback)))
            yield Mark(leaf_space(r.ref.name), f"{loopback} {view.number(r.ref, 'asn')} {r.spec.site}")
        if r.spec.role == "leaf":
            yield Mark(profile_space(r.ref.name), r.spec.profile)
        if r.spec.role != "oob":
            yield from evpn_sessions.marks(r, view)

    def watches(self, r: Resource[SwitchSpec], view: View) -> Iterable[Watch]:
        if r.spec.role == "oob":
            return
        yield Watch(UNDERLAY)
        yield Watch(LINKS)
        if r.spec.role == "leaf":
            yield Watch(VTEP)
        yield from evpn_sessions.watches(r, view)

    def needs(self, r: Resource[SwitchSpec], view: View, devices: Devices = None) -> Iterable[Need]:
        if r.spec.role == "oob":
            return
        yield Need(r.ref, "asn", "asn", (ASN_AUTO_RANGE,), r.spec.asn, (ASN_RANGE,), "/spec/asn")
        hosts = tuple(_hosts(prefix) for prefix in loopback_prefixes(view, r.spec.site))
        if hosts:
            requested = None if r.spec.loopback is None else int(ip_address(r.spec.loopback))
            if requested is not None and not _is_host(requested, hosts):
                requested = None  # check() refuses it, in words and not in numbers
            yield Need(r.ref, "loopback", "loopback", hosts, requested, hosts, "/spec/loopback")

    def addresses(self, r: Resource[SwitchSpec], numbers: Mapping[str, int]) -> Mapping[str, tuple[str, ...]]:
        return {"loopback": (str(ip_address(numbers["loopback"])),)} if "loopback" in numbers else {}

    def check(self, r: Resource[SwitchSpec], view: View) -> Iterable[Diagnostic]:
        if r.spec.role == "oob":
            return
        yield from _check_loopback(r, view)
        yield from _check_asn(r, view)
        yield from evpn_sessions.check(r, view)

    def compile(self, r: Resource[SwitchSpec], view: View, devices: Devices = None) -> Iterator[Fact]:
        name, spec = r.ref.name, r.spec
        if spec.role == "oob" or not wanted(name, devices):
            return
        profile = view.get(fabric("profile", spec.profile))
        assert profile is not None
        for item in _base(r, profile.spec, view):
            yield Fact(name, BASE, item, r.ref)
        for port in front_ports(spec.ports):
            yield Fact(name, port_scope(port), Port(port), r.ref)


def device_name_fault(name: str) -> str:
    if is_hostname(name):
        return ""
    return "is a device's host name: at most 63 lower-case letters, digits, hyphens and dots (RFC 1123)"


def _base(r: Resource[SwitchSpec], profile: ProfileSpec, view: View) -> Iterable[DeviceObject]:
    loopback = str(ip_address(number(view, r.ref, "loopback")))
    leaf = r.spec.role == "leaf"
    yield System(
        r.ref.name,
        loopback=loopback,
        mac=router_mac(loopback) if leaf else None,
        vtep=leaf,
        mtu=profile.underlay.mtu,
        os_version=r.spec.os_version or None,
    )
    yield Protection(
        vteps=view.marked(VTEP) if leaf else frozenset(),
        underlay=view.marked(UNDERLAY) - view.marked(LINKS),
        links=view.marked(LINKS) or NOTHING,
        icmp_rate=profile.protection.icmp_rate,
    )
    yield BgpRouter(
        DEFAULT_VRF,
        asn=number(view, r.ref, "asn"),
        router_id=loopback,
        networks=frozenset((f"{loopback}/32",)),
        evpn=evpn_sessions.role(r, view),
        maximum_paths=UNDERLAY_PATHS,
        bfd=bfd_timers(profile),
    )
    yield from evpn_sessions.peers(r, loopback, view)


def _hosts(prefix: str) -> tuple[int, int]:
    """First and last address for devices: no network or broadcast address, so that no tool takes one for such."""
    net = network(prefix)
    low, high = int(net[0]), int(net[-1])
    return (low, high) if net.prefixlen >= 31 else (low + 1, high - 1)


def _is_host(address: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(low <= address <= high for low, high in ranges)


def _check_loopback(r: Resource[SwitchSpec], view: View) -> Iterable[Diagnostic]:
    prefixes = loopback_prefixes(view, r.spec.site)
    if not prefixes:
        yield finding(
            r,
            "/spec/site",
            "no-loopback-subnet",
            "The site has no subnet for loopbacks",
            f"Switch {r.ref.name} needs a loopback address, but no subnet with the purpose loopback is for site "
            f"{r.spec.site}.",
            f"Add a subnet: {{kind: subnet, tenant: system, name: loopbacks, spec: {{prefix: 10.255.0.0/24, "
            f"purpose: loopback, sites: [{r.spec.site}]}}}}",
        )
        return
    requested = r.spec.loopback
    held = int(ip_address(requested)) if requested else view.number(r.ref, "loopback")
    if held is None or _is_host(held, map(_hosts, prefixes)):
        return
    yield finding(
        r,
        "/spec/loopback" if requested else "/spec/site",
        "loopback-outside-subnet",
        "The loopback is not in a loopback subnet of the site",
        f"Loopback {ip_address(held)} of switch {r.ref.name} is not a host address of {listed(prefixes)}, the "
        f"loopback subnets of site {r.spec.site}.",
        "Choose an address inside, or keep the subnet as long as devices have addresses of it.",
    )


def _check_asn(r: Resource[SwitchSpec], view: View) -> Iterable[Diagnostic]:
    site = view.get(fabric("site", r.spec.site))
    if site is not None and r.spec.asn is not None and r.spec.asn == site.spec.public_asn:
        yield finding(
            r,
            "/spec/asn",
            "asn-is-public",
            "A device's AS number equals the site's public one",
            f"Switch {r.ref.name} asks for AS {r.spec.asn}, which site {site.ref.name} shows to outside routers.",
            "Leave asn out: a private one is allocated.",
        )


KIND = Switch()
