"""Addresses that several hosts of a V-Net claim, seen from one device. Pure.

    guards of its ports     (address, MAC) of each ARP and neighbour message of the last minutes
    neighbour table         (address, MAC) of hosts behind other leaves, which EVPN has told
    its own gateways        (address, MAC)

The kernel keeps what EVPN has told and refuses the second claim, so nothing moves in its table, and FRR's own
detection counts only moves between leaves: what hosts say at the ports is the one place where both cases show.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from underlace.drivers.linux import names
from underlace.drivers.linux.native import Address, Bridge, Item, PortLink
from underlace.drivers.linux.neighbours import Neighbour
from underlace.drivers.linux.rules import Listing
from underlace.drivers.protocol import Duplicate


class Claim(NamedTuple):
    """A host's word, or a neighbour's or gateway's place, on a bridge of a VRF."""

    vrf: str
    bridge: str
    address: str
    mac: str


def claims(vrf: str, listings: Iterable[Listing], items: Iterable[Item]) -> list[Claim]:
    """What hosts claim at the ports of a VRF, and its gateways; nothing when no host says anything."""
    bridges: dict[str, str] = {}
    macs: dict[str, str] = {}
    own: list[Address] = []
    for item in items:
        match item:
            case PortLink(netns=netns) if netns == vrf:
                bridges[item.port] = item.bridge
            case Bridge(netns=netns) if netns == vrf:
                macs[item.name] = item.mac
            case Address(netns=netns) if netns == vrf:
                own.append(item)
    found = [
        Claim(vrf, bridge, address, mac)
        for one in listings
        if (bridge := bridges.get(one.name.removeprefix(names.GUARD_PREFIX)))
        for name in ("claims4", "claims6")
        for address, _, mac in (element.partition(" . ") for element in one.seen.get(name, ()))
    ]
    if not found:
        return []
    return found + [Claim(vrf, a.link, a.address.partition("/")[0], macs[a.link]) for a in own if a.link in macs]


def told(vrf: str, neighbours: Iterable[Neighbour]) -> list[Claim]:
    """Hosts behind other leaves."""
    return [
        Claim(vrf, n.dev, n.dst, n.lladdr) for n in neighbours if n.lladdr and n.extern_learn is not msgspec.UNSET
    ]


def duplicates(found: Iterable[Claim]) -> list[Duplicate]:
    """Addresses with more than one MAC address on a bridge, in order."""
    macs: dict[tuple[str, str, str], set[str]] = {}
    for one in found:
        macs.setdefault((one.vrf, one.bridge, one.address), set()).add(one.mac)
    return [
        Duplicate(vrf, int(domain[1]), address, tuple(sorted(several)))
        for (vrf, bridge, address), several in sorted(macs.items())
        if len(several) > 1 and (domain := names.BRIDGE_PATTERN.fullmatch(bridge))
    ]
