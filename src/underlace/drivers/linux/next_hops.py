"""Keeping the next hops of EVPN routes alive where FRR loses them.

FRR 8.4 to 8.5.2 (FRRouting/frr issues 12391, 14108): a route that is withdrawn and announced again at once is added
before its withdrawal is worked off, and the withdrawal then takes the neighbour entry and the router MAC of a VTEP
away that the new route needs. A route that comes before its L3VNI is up never gets them. Either way the route looks
right, and its packets die until something happens to the VTEP again.

    kernel ──"neighbour of a VTEP deleted"──┬──► wait a moment ──► has every VTEP that routes of that VRF use
           ──"route of BGP added"───────────┘                      its entries? If not: put them back, as FRR would

One socket in the main namespace hears of the neighbours and routes of all VRFs. A VTEP's router MAC is a function of
its address (model.net.router_mac), so nothing has to be asked. What is put back is what FRR itself would install.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_address

import msgspec

from underlace.drivers.linux import names, programs
from underlace.drivers.linux.namespaces import Namespaces, NoNamespace
from underlace.drivers.linux.neighbours import decode
from underlace.model.net import router_mac

_SOL_NETLINK, _LISTEN_ALL_NSID = 270, 8
_GROUPS = 0x4 | 0x40 | 0x400 | 1 << 27
"""RTMGRP_NEIGH, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE, and the group RTNLGRP_NSID, which is number 28."""
_RTM_DELNSID = 89
_RTM_NEWROUTE, _RTPROT_BGP = 24, 186
_RTM_DELNEIGH, _NTF_EXT_LEARNED = 29, 0x10
_HEADER = struct.Struct("=IHHII")
_ROUTE, _NEIGHBOUR = struct.Struct("=BBBBBB"), struct.Struct("=BBHiHB")
_BUFFER = 1 << 20

LOOKS = (0.15, 1.0, 5.0)
"""Seconds after a loss when the VRF is looked at: the route that needs the entry may come after it went."""


class _Hop(msgspec.Struct):
    gateway: str = ""
    dev: str = ""


class _Route(msgspec.Struct):
    """A route of `ip -json route`: one next hop, or several."""

    gateway: str = ""
    dev: str = ""
    nexthops: tuple[_Hop, ...] = ()


class _Entry(msgspec.Struct):
    """An entry of `bridge -json fdb`."""

    mac: str = ""
    ifname: str = ""
    dst: str = ""


class _Numbered(msgspec.Struct):
    """A line of `ip -json netns list-id`."""

    nsid: int = -1
    name: str = ""


_numbers = msgspec.json.Decoder(list[_Numbered])
_routes = msgspec.json.Decoder(list[_Route])
_entries = msgspec.json.Decoder(list[_Entry])


def used(said: str) -> set[tuple[str, str]]:
    """(VTEP, bridge) of all EVPN routes in what `ip -json route show proto bgp` says."""
    found = set()
    for route in _routes.decode(said.strip() or "[]"):
        for hop in (_Hop(route.gateway, route.dev), *route.nexthops):
            if hop.gateway and names.BRIDGE_PATTERN.fullmatch(hop.dev):
                found.add((hop.gateway, hop.dev))
    return found


def vtep_of(gateway: str) -> str | None:
    """The VTEP behind a next hop: an IPv4 address, for IPv6 routes written as a mapped one; None for any other."""
    address = ip_address(gateway)
    if isinstance(address, IPv6Address):
        return None if address.ipv4_mapped is None else str(address.ipv4_mapped)
    return str(address)


def lost(routes: Iterable[tuple[str, str]], neighbours: str, entries: str) -> tuple[list[str], list[str]]:
    """Commands of `ip` and of `bridge` that put back what routes use and the kernel does not have."""
    known = {(n.dst, n.dev) for n in decode(neighbours) if n.lladdr}
    there = {(e.mac, e.ifname, e.dst) for e in _entries.decode(entries.strip() or "[]")}
    of_ip, of_bridge = [], []
    for gateway, bridge in sorted(routes):
        if (vtep := vtep_of(gateway)) is None:
            continue
        mac, vxlan = router_mac(vtep), names.vxlan(int(bridge.removeprefix("br")))
        if (gateway, bridge) not in known:
            how = "nud noarp extern_learn protocol zebra"
            of_ip.append(f"neigh replace {gateway} lladdr {mac} dev {bridge} {how}")
        if (mac, vxlan, vtep) not in there:
            line = f"fdb replace {mac} dev {vxlan} dst {vtep} self extern_learn"
            of_bridge += [] if line in of_bridge else [line]
    return of_ip, of_bridge


def looks(now: float, due: Sequence[float] = ()) -> list[float]:
    """When to look at a VRF that was heard of now. due: when it was to be looked at anyway, the earliest first.

    What is due sooner stays, or a busy VRF would never be looked at; a late look left of an earlier loss puts nothing
    off, or packets of this one would die until then.
    """
    first, *later = (now + after for after in LOOKS)
    return [min((first, *due[:1])), *later]


def concerns(data: bytes) -> bool:
    """Whether netlink messages say that an EVPN next hop of FRR went, or that a route of BGP came."""
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        if length < _HEADER.size + _NEIGHBOUR.size:
            return False
        if kind == _RTM_DELNEIGH and _NEIGHBOUR.unpack_from(data, _HEADER.size)[5] & _NTF_EXT_LEARNED:
            return True
        if kind == _RTM_NEWROUTE and _ROUTE.unpack_from(data, _HEADER.size)[5] == _RTPROT_BGP:
            return True
        data = data[(length + 3) & ~3 :]
    return False


def frees_a_number(data: bytes) -> bool:
    """Whether a netlink message says that a number of a namespace is free for another."""
    return len(data) >= _HEADER.size and _HEADER.unpack_from(data)[1] == _RTM_DELNSID


class NextHops:
    """A thread of the agent, in the main namespace. It ends with the process."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._due: dict[str, list[float]] = {}
        self._numbers: dict[int, str | None] = {}
        """Each number that was heard, with its VRF. None: whoever else a link leads to, as a neighbour in a lab."""

    def start(self) -> None:
        """Listen from now on, and look at every VRF once. Raises OSError."""
        ear = self.listen()
        self._look_at(self._namespaces.vrfs())
        threading.Thread(target=self._run, args=(ear,), name="next-hops", daemon=True).start()

    def listen(self) -> socket.socket:
        """A socket that hears of neighbours, routes and numbers of namespaces. Raises OSError."""
        with self._namespaces.inside(names.MAIN):
            ear = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        ear.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        ear.bind((0, _GROUPS))
        ear.setblocking(False)
        return ear

    @property
    def due(self) -> frozenset[str]:
        """VRFs that will be looked at."""
        return frozenset(self._due)

    def _run(self, ear: socket.socket) -> None:
        with ear, selectors.DefaultSelector() as selector:
            selector.register(ear, selectors.EVENT_READ)
            while True:
                selector.select(self._pause())
                self.hear(ear)
                now = time.monotonic()
                for vrf in [v for v, times in self._due.items() if times[0] <= now]:
                    self._due[vrf] = [t for t in self._due[vrf] if t > now]
                    if not self._due[vrf]:
                        del self._due[vrf]
                    with suppress(OSError, msgspec.DecodeError):
                        self.mend(vrf)

    def _pause(self) -> float | None:
        times = [due[0] for due in self._due.values()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def hear(self, ear: socket.socket) -> None:
        """Note what everything that was said until now is about."""
        while True:
            try:
                data, about, _, _ = ear.recvmsg(1 << 16, socket.CMSG_SPACE(4))
            except BlockingIOError:
                return
            except OSError:  # messages were dropped: any VRF may be concerned
                self._look_at(self._namespaces.vrfs())
                return
            if frees_a_number(data):
                self._numbers.clear()
            elif concerns(data):
                self._look_at(self._named(about))

    def _named(self, about: list[tuple[int, int, bytes]]) -> Iterable[str]:
        """The VRF that a message is about: the kernel gives its number, `ip` the name behind it."""
        for level, kind, value in about:
            if level == _SOL_NETLINK and kind == _LISTEN_ALL_NSID:
                number = struct.unpack("=i", value[:4])[0]
                if number not in self._numbers:
                    self._numbers = {number: None, **self._numbers, **self._numbered()}
                vrf = self._numbers[number]
                return [vrf] if vrf is not None else []
        return []

    def _numbered(self) -> dict[int, str]:
        """VRFs by their number in the main namespace, which the kernel gives them when zebra or a link asks."""
        with self._namespaces.inside(names.MAIN):
            said = programs.run(["ip", "-json", "netns", "list-id"]).output
        return {n.nsid: n.name for n in _numbers.decode(said.strip() or "[]") if names.VRF_PATTERN.fullmatch(n.name)}

    def _look_at(self, vrfs: Iterable[str]) -> None:
        now = time.monotonic()
        for vrf in vrfs:
            self._due[vrf] = looks(now, self._due.get(vrf, ()))

    def mend(self, vrf: str) -> None:
        """Put back what the VRF's routes use and does not exist. Raises OSError."""
        with suppress(NoNamespace), self._namespaces.inside(vrf):
            routes = set()
            for family in ("-4", "-6"):
                routes |= used(programs.ask("ip", "-json", family, "route", "show", "proto", "bgp"))
            if not routes:
                return
            neighbours = programs.ask("ip", "-json", "neigh", "show", "nud", "all")
            of_ip, of_bridge = lost(routes, neighbours, programs.ask("bridge", "-json", "fdb", "show"))
            for program, lines in (("ip", of_ip), ("bridge", of_bridge)):
                if lines:
                    programs.run([program, "-force", "-batch", "-"], "".join(f"{line}\n" for line in lines))
