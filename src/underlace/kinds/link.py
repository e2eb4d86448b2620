"""A cable. Marked `underlay` it carries the fabric: eBGP with BFD on both ends, unnumbered or by addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field

from underlace.kinds import link_addresses
from underlace.kinds.base import Devices, Kind, Spec, finding, wanted
from underlace.kinds.evpn_sessions import on_links
from underlace.kinds.fields import InterfaceAddress, PortReference, UnderlayMtu
from underlace.kinds.nic_labels import KEY, NicLabel, member_space, of_nic
from underlace.kinds.port import no_such_port
from underlace.kinds.ports import MANAGEMENT, cable_claim, end_references, is_front_port, listed, split, whole_claim
from underlace.kinds.profile import evpn_space, mtu_space
from underlace.model.device import DEFAULT_VRF, BgpNeighbor, Port
from underlace.model.device.base import NOTHING
from underlace.model.diagnostic import Diagnostic
from underlace.model.fact import Fact, port_scope
from underlace.model.ids import fabric
from underlace.model.resource import Claim, Mark, Need, Reference, Resource, View, Watch


class LinkSpec(Spec):
    a: PortReference = Field(description="One end, PORT@DEVICE: a switch's port or a server's interface.")
    b: PortReference = Field(description="The other end.")
    underlay: bool = Field(
        default=False,
        strict=True,
        description="Carries the fabric: both ends are leaves or spines, no V-Net uses them.",
    )
    numbered: bool = Field(
        default=False,
        strict=True,
        description="A fabric link with addresses of its own: a /31, and a /127 where the site has an IPv6 subnet "
        "for links, are allocated from subnets with the purpose underlay, and the session runs between the IPv4 "
        "addresses. Without it the link is unnumbered (RFC 8950), which needs no addresses.",
    )
    addresses: tuple[InterfaceAddress, ...] = Field(
        default=(),
        description="Addresses of end `a` instead of allocated ones, a /31 and a /127 in such subnets; end `b` has "
        "the other of each.",
    )
    mtu: UnderlayMtu | None = Field(
        default=None,
        description="MTU of a fabric link, not below the underlay MTU of both profiles; without it that.",
    )


class Link(Kind[LinkSpec]):
    name: ClassVar[str] = "link"
    tenanted: ClassVar[bool] = False
    summary: ClassVar[str] = "A cable between two ports. With `underlay` it is part of the fabric."
    spec = LinkSpec
    columns: ClassVar[tuple[str, ...]] = ("a", "b", "underlay")
    order: ClassVar[int] = 60

    def _ends(self, r: Resource[LinkSpec]) -> tuple[tuple[str, str], tuple[str, str]]:
        return (r.spec.a, "/spec/a"), (r.spec.b, "/spec/b")

    def refs(self, r: Resource[LinkSpec]) -> Iterable[Reference]:
        for port, pointer in self._ends(r):
            yield from end_references(port, pointer)

    def claims(self, r: Resource[LinkSpec], view: View) -> Iterable[Claim]:
        for port, pointer in self._ends(r):
            yield cable_claim(port, pointer)
            if r.spec.underlay:
                yield whole_claim(port, pointer)

    def marks(self, r: Resource[LinkSpec], view: View) -> Iterable[Mark]:
        """The port at the other end of a labelled interface. A fabric link joins no V-Net, nor does management."""
        for port, label in _labelled(r, view):
            switch = view.get(fabric("switch", split(port)[1]))
            if switch is not None and switch.spec.role == "leaf":
                yield Mark(member_space(label.tenant, label.name), port)

    def watches(self, r: Resource[LinkSpec], view: View) -> Iterable[Watch]:
        for end, _ in self._ends(r) if r.spec.underlay else ():
            if (switch := view.get(fabric("switch", split(end)[1]))) is not None:
                yield Watch(evpn_space(switch.spec.profile))
                if r.spec.mtu is not None:
                    yield Watch(mtu_space(switch.spec.profile))

        yield from link_addresses.watches(r, view)

    def needs(self, r: Resource[LinkSpec], view: View, devices: Devices = None) -> Iterable[Need]:
        yield from link_addresses.needs(r, view) if r.spec.underlay else ()

    def addresses(self, r: Resource[LinkSpec], numbers: Mapping[str, int]) -> Mapping[str, tuple[str, ...]]:
        return link_addresses.by_end(r, numbers)

    def exports(self, r: Resource[LinkSpec]) -> object:
        return None

    def check(self, r: Resource[LinkSpec], view: View) -> Iterable[Diagnostic]:
        if split(r.spec.a)[1] == split(r.spec.b)[1]:
            yield finding(
                r,
                "/spec/b",
                "link-to-itself",
                "A cable joins a device to itself",
                f"Both ends of link {r.ref.name}, {r.spec.a} and {r.spec.b}, are on one device.",
                "Correct one of the ends.",
            )
        for port, pointer in self._ends(r):
            yield from _check_end(r, port, pointer, view)
        yield from _check_labels(r, view)
        yield from link_addresses.check(r, view)

    def compile(self, r: Resource[LinkSpec], view: View, devices: Devices = None) -> Iterator[Fact]:
        if not r.spec.underlay:
            return
        addresses = link_addresses.ends(r, view)
        for end, other in ((r.spec.a, r.spec.b), (r.spec.b, r.spec.a)):
            port, device = split(end)
            if wanted(device, devices):
                scope = port_scope(port)
                own = frozenset(addresses[end]) if addresses else NOTHING
                yield Fact(device, scope, Port(port, underlay=True, mtu=r.spec.mtu, addresses=own), r.ref)
                peer = addresses[other][0].partition("/")[0] if addresses else port
                evpn = on_links(view.get(fabric("switch", device)), view)
                session = BgpNeighbor(DEFAULT_VRF, peer, port=port, fabric=True, bfd=True, evpn=evpn)
                yield Fact(device, scope, session, r.ref)


def _labelled(r: Resource[LinkSpec], view: View) -> Iterator[tuple[str, NicLabel]]:
    """Labels of the interfaces at this cable's ends, each with the port opposite."""
    if r.spec.underlay:
        return
    for end, port in ((r.spec.a, r.spec.b), (r.spec.b, r.spec.a)):
        nic, name = split(end)
        server = view.get(fabric("server", name))
        if server is not None and split(port)[0] != MANAGEMENT:
            yield from ((port, label) for label in of_nic(server, nic))


def _check_labels(r: Resource[LinkSpec], view: View) -> Iterable[Diagnostic]:
    for port, label in _labelled(r, view):
        pointer = "/spec/a" if port == r.spec.a else "/spec/b"
        switch, assigned = view.get(fabric("switch", split(port)[1])), view.get(fabric("port", port))
        what = f"{label.nic}, which this cable joins to {port}, has the label {label.tenant}/{label.name}"
        if switch is not None and switch.spec.role != "leaf":
            yield finding(
                r,
                pointer,
                "not-a-leaf",
                "Only leaves have access ports",
                f"Interface {what}, but the role of {switch.ref.name} is {switch.spec.role}.",
                f"Take the label {KEY}{label.nic} away from the server, or correct the cable.",
            )
        if assigned is not None and assigned.spec.tenant not in (None, label.tenant):
            yield finding(
                r,
                pointer,
                "port-of-another-tenant",
                "The port is assigned to another tenant",
                f"Interface {what}, but the port is assigned to {assigned.spec.tenant}.",
                f"Take the label {KEY}{label.nic} away from the server, or the assignment away from port {port}.",
            )


def _check_end(r: Resource[LinkSpec], end: str, pointer: str, view: View) -> Iterable[Diagnostic]:
    port, device = split(end)
    switch, server = view.get(fabric("switch", device)), view.get(fabric("server", device))
    if switch is not None:
        management = port == MANAGEMENT and not r.spec.underlay
        if not management and not is_front_port(port, switch.spec.ports):
            yield no_such_port(r, pointer, port, device, switch.spec.ports)
        if r.spec.underlay:
            yield from _check_underlay(r, pointer, switch, view)
    elif server is not None:
        yield from _check_server(r, end, pointer, server)
    else:
        yield finding(
            r,
            pointer,
            "dangling-reference",
            "A reference leads nowhere",
            f"Link {r.ref.name} ends at {end}, but there is no switch or server {device}.",
            f"Add {device}, or correct the name.",
        )


def _check_server(r: Resource[LinkSpec], end: str, pointer: str, server: Resource[Any]) -> Iterable[Diagnostic]:
    port, device = split(end)
    if r.spec.underlay:
        yield _not_fabric(r, pointer, f"{device} is a server")
    names = [nic.name for nic in server.spec.nics]
    if port not in names:
        yield finding(
            r,
            pointer,
            "no-such-port",
            "The server has no such interface",
            f"Server {device} has {listed(names) or 'no interfaces'}; there is no {port}.",
            f"Add {port} to the nics of server {device}, or correct the name.",
        )


def _check_underlay(r: Resource[LinkSpec], pointer: str, switch: Resource[Any], view: View) -> Iterable[Diagnostic]:
    if switch.spec.role == "oob":
        yield _not_fabric(r, pointer, f"{switch.ref.name} is an out-of-band switch")
        return
    profile = view.get(fabric("profile", switch.spec.profile))
    if profile is not None and r.spec.mtu is not None and r.spec.mtu < profile.spec.underlay.mtu:
        yield finding(
            r,
            "/spec/mtu",
            "link-mtu-too-small",
            "A fabric link carries less than the underlay MTU",
            f"Link {r.ref.name} has an MTU of {r.spec.mtu}, but {switch.ref.name} has the profile {profile.ref.name} "
            f"with {profile.spec.underlay.mtu}.",
            "Leave the link's MTU out, or lower that of the profile.",
        )


def _not_fabric(r: Resource[LinkSpec], pointer: str, why: str) -> Diagnostic:
    return finding(
        r,
        pointer,
        "not-a-fabric-device",
        "An underlay link ends at a device that is not of the fabric",
        f"Link {r.ref.name} is marked underlay, but {why}; only leaves and spines carry the underlay.",
        "Take underlay away from this link, or correct its ends.",
    )


KIND = Link()
