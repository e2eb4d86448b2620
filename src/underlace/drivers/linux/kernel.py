"""What `ip -json` says about one namespace, as native items. Pure: settings of links are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from underlace.drivers.linux import names
from underlace.drivers.linux.native import Address, Bridge, Item, Pair, Placement, PortLink, Route, Settings, Vxlan
from underlace.drivers.linux.render import BRIDGE_SETTINGS, PORT_SETTINGS

ALIAS = "underlace"
"""A port in the underlay's namespace is ours while its link carries this alias."""


class AddressInfo(msgspec.Struct, frozen=True):
    local: str = ""
    prefixlen: int = 0
    scope: str = ""


class LinkData(msgspec.Struct, frozen=True):
    """info_data of a VXLAN link, of a VLAN's or of a bond."""

    id: int | str = 0
    protocol: str = ""
    local: str = ""
    port: int = 0
    learning: bool = True
    mode: int | str = ""
    min_links: int = 0


class SlaveData(msgspec.Struct, frozen=True):
    learning: bool = True
    neigh_suppress: bool = False


class LinkInfo(msgspec.Struct, frozen=True):
    info_kind: str = ""
    info_data: LinkData = LinkData()
    info_slave_data: SlaveData = SlaveData()


class Link(msgspec.Struct):
    """A link of `ip -json -details address show`."""

    ifname: str = ""
    ifindex: int = 0
    flags: list[str] = []
    mtu: int = 0
    master: str = ""
    address: str = ""
    ifalias: str = ""
    link: str = ""
    link_index: int = 0
    link_netnsid: int | None = None
    linkinfo: LinkInfo = LinkInfo()
    addr_info: list[AddressInfo] = []

    @property
    def up(self) -> bool:
        return "UP" in self.flags


class Via(msgspec.Struct, frozen=True):
    host: str = ""


class RouteInfo(msgspec.Struct):
    """A route of `ip -json route show`."""

    dst: str = ""
    dev: str = ""
    gateway: str = ""
    via: Via = Via()


class PairEnd(NamedTuple):
    """One end of a peering's pair. side: from its link-local address, None when it has none of ours."""

    number: int
    netns: str
    side: int | None
    mtu: int
    ready: bool


ReadSettings = Callable[[str, tuple[str, ...]], Settings]

_links = msgspec.json.Decoder(list[Link])
_routes = msgspec.json.Decoder(list[RouteInfo])


def decode_links(output: str) -> list[Link]:
    return _links.decode(output or "[]")


def decode_routes(output: str, everywhere: str) -> list[RouteInfo]:
    """everywhere: what `ip` calls "default" in this family."""
    found = _routes.decode(output or "[]")
    for one in found:
        if one.dst == "default":
            one.dst = everywhere
    return found


def links(netns: str, found: Iterable[Link], settings: ReadSettings) -> Iterator[Item]:
    """Items of a namespace's links; those of pairs are left to `pairs`, lags and their members to `bonding`."""
    found = list(found)
    bonds = {link.ifname for link in found if is_bond(link)}
    for link in found:
        kind = link.linkinfo.info_kind
        if kind == "bridge" and names.BRIDGE_PATTERN.fullmatch(link.ifname):
            held = settings(link.ifname, BRIDGE_SETTINGS)
            yield Bridge(netns, link.ifname, link.address, link.mtu, held, link.up)
        elif kind == "vxlan" and names.VXLAN_PATTERN.fullmatch(link.ifname):
            yield _vxlan(netns, link)
        elif is_ours(netns, link):
            if not _is_tag(link) and not is_bond(link):
                yield Placement(netns, link.ifname)
            if link.master in bonds:
                continue
            held = settings(link.ifname, PORT_SETTINGS)
            yield PortLink(netns, link.ifname, link.up, link.mtu, link.master, held)
        elif link.ifname != names.LOOPBACK:
            continue
        yield from _addresses(netns, link)


def is_ours(netns: str, link: Link) -> bool:
    """Whether a link is a port, a lag or a VLAN of one that Underlace has."""
    named = names.PORT_PATTERN.fullmatch(link.ifname) is not None or _is_tag(link) or is_bond(link)
    return named and (netns != names.MAIN or link.ifalias.split()[:1] == [ALIAS])


def is_bond(link: Link) -> bool:
    return names.BOND_PATTERN.fullmatch(link.ifname) is not None and link.linkinfo.info_kind == "bond"


def _is_tag(link: Link) -> bool:
    return names.TAG_PATTERN.fullmatch(link.ifname) is not None and link.linkinfo.info_kind in ("veth", "vlan")


class TagLink(NamedTuple):
    """A VLAN of a port, as the namespace of its V-Net shows it. trunk: the port's namespace, as its alias says."""

    netns: str
    link: Link
    port: str
    vlan: int
    trunk: str

    def stands_on(self, other: Link) -> bool:
        """Whether the link's other end, or what it is a VLAN of, is this one of the port's namespace."""
        return self.link.link == other.ifname or self.link.link_index == other.ifindex

    def carries(self, vlan: int) -> bool:
        data = self.link.linkinfo.info_data
        return int(data.id) == vlan and data.protocol == "802.1Q"


def tags(netns: str, found: Iterable[Link]) -> Iterator[TagLink]:
    """VLANs of ports among the links of a namespace. Without an alias nobody knows where the port is."""
    for link in found:
        if _is_tag(link) and is_ours(netns, link):
            ours, _, trunk = link.ifalias.partition(" ")
            yield TagLink(netns, link, *names.untag(link.ifname), trunk if ours == ALIAS else "?")


def _vxlan(netns: str, link: Link) -> Vxlan:
    data, slave = link.linkinfo.info_data, link.linkinfo.info_slave_data
    vni = int(data.id)
    ready = link.up and link.master == names.bridge(vni) and not slave.learning and slave.neigh_suppress
    right = data.port == names.VXLAN_PORT and not data.learning
    # A device whose socket is in the VRF itself sends nowhere: no namespace of a link means that.
    here = netns != names.MAIN and link.link_netnsid is None
    return Vxlan(netns, link.ifname, vni, "" if here or not right else data.local, link.mtu, ready)


def _addresses(netns: str, link: Link) -> Iterator[Address]:
    bridge = link.linkinfo.info_kind == "bridge"
    for one in link.addr_info:
        own = one.scope == "host" or (one.local.startswith("fe80:") and not bridge)
        if not own:  # the kernel gave the others
            yield Address(netns, link.ifname, f"{one.local}/{one.prefixlen}")


def loopback_up(found: Iterable[Link]) -> bool:
    return any(link.ifname == names.LOOPBACK and link.up for link in found)


def pair_ends(netns: str, found: Iterable[Link]) -> Iterator[PairEnd]:
    """Ends of peerings in a namespace."""
    for link in found:
        match = names.PAIR_PATTERN.fullmatch(link.ifname)
        if match is None or link.linkinfo.info_kind != "veth":
            continue
        number = int(match[1])
        held = {f"{one.local}/{one.prefixlen}" for one in link.addr_info}
        side = next((s for s in (0, 1) if f"{names.pair_address(number, s)}/64" in held), None)
        yield PairEnd(number, netns, side, link.mtu, link.up and side is not None and len(held) == 1)


def pairs(ends: Iterable[PairEnd]) -> Iterator[Pair]:
    """Pairs from their ends. One whose other end is out of sight is named with a namespace that cannot exist."""
    by_number: dict[int, list[PairEnd]] = {}
    for end in ends:
        by_number.setdefault(end.number, []).append(end)
    for number, found in sorted(by_number.items()):
        if len(found) != 2:
            for end in found:
                yield Pair(number, end.netns, "?", end.mtu, False)
            continue
        first, second = sorted(found, key=lambda end: end.netns)
        if first.side == 1 or second.side == 0:
            first, second = second, first
        ready = first.ready and second.ready and (first.side, second.side) == (0, 1) and first.mtu == second.mtu
        yield Pair(number, first.netns, second.netns, first.mtu, ready)


def routes(
    netns: str, found: Iterable[RouteInfo], known: Mapping[tuple[int, str], tuple[str, int]]
) -> Iterator[Route]:
    """Our routes of a namespace; `known` tells (peer, side) of a pair's end by number and namespace."""
    for one in found:
        match = names.PAIR_PATTERN.fullmatch(one.dev)
        if match is None:
            continue
        number, via = int(match[1]), one.via.host or one.gateway
        peer, side = known.get((number, netns), ("?", 0))
        yield Route(netns, _prefix(one.dst), peer, number, side, via)


def _prefix(text: str) -> str:
    """A prefix in full: `ip` shortens those of single addresses."""
    return text if "/" in text else f"{text}/{'128' if ':' in text else '32'}"
