"""FRR's configuration lines back to BGP routers and neighbours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from underlace.drivers.linux import frr, names
from underlace.drivers.linux.native import FrrLine, NftTable
from underlace.drivers.linux.normalise import is_address
from underlace.model.device import DEFAULT_VRF, Bfd, BgpNeighbor, BgpRouter, EvpnPeer, StaticRoute

_PEER = re.compile(r"neighbor (\S+) (?:interface )?remote-as (\S+)")
_ENTRY = re.compile(r"(?:ip|ipv6) prefix-list (\S+) seq (\d+) (?:permit|deny) (\S+)(?: .*)?")


class Configuration:
    """Lines by context."""

    def __init__(self, lines: Iterable[FrrLine]) -> None:
        self.below: dict[tuple[str, ...], set[str]] = {}
        self.lists: dict[str, set[str]] = {}
        for one in lines:
            self.below.setdefault(one.context, set()).add(one.line)
            entry = _ENTRY.fullmatch(one.line) if not one.context else None
            if entry is not None:
                members = self.lists.setdefault(entry[1], set())
                if int(entry[2]) != names.LAST_SEQUENCE:
                    members.add(entry[3])

    def lines(self, *context: str) -> set[str]:
        return self.below.get(context, set())

    def value(self, context: tuple[str, ...], start: str) -> str | None:
        """What follows the words of a line that may stand once."""
        found = sorted(line for line in self.lines(*context) if line.startswith(f"{start} "))
        return found[0].removeprefix(f"{start} ") if found else None

    def headers(self) -> Iterator[tuple[str, int, str]]:
        """(line, AS, VRF) of each router."""
        for line in sorted(self.lines()):
            opened = frr.router((), line)
            if opened is not None:
                yield line, int(opened[0]), opened[1] or DEFAULT_VRF


def routers(config: Configuration) -> Iterator[BgpRouter]:
    for top, asn, vrf in config.headers():
        families = [config.lines(top, family) for family in (frr.IPV4, frr.IPV6)]
        paths = config.value((top, frr.IPV4), "maximum-paths")
        evpn = None
        if vrf == DEFAULT_VRF:
            evpn = "vtep" if frr.ADVERTISE_ALL in config.lines(top, frr.EVPN) else _transit(config, top)
        yield BgpRouter(
            vrf,
            asn=asn,
            router_id=config.value((top,), "bgp router-id"),
            networks=_prefixes("network ", families),
            aggregates=_prefixes("aggregate-address ", families),
            connected=any("redistribute connected" in lines for lines in families),
            static=any("redistribute static" in lines for lines in families),
            evpn=evpn,
            maximum_paths=int(paths) if paths else None,
            bfd=_timers(config, vrf),
        )


def routes(config: Configuration) -> Iterator[StaticRoute]:
    for context, lines in sorted(config.below.items()):
        vrf = frr.vrf(context)
        for match in filter(None, map(frr.STATIC.fullmatch, sorted(lines))) if vrf else ():
            yield StaticRoute(vrf, match[1], None if match[2] == frr.BLACKHOLE else match[2])


def _prefixes(word: str, families: Iterable[set[str]]) -> frozenset[str]:
    return frozenset(line.removeprefix(word) for lines in families for line in lines if line.startswith(word))


def _transit(config: Configuration, top: str) -> str | None:
    """EVPN without VNIs of its own shows by the sessions that carry it."""
    return "transit" if config.lines(top, frr.EVPN) else None


def _timers(config: Configuration, vrf: str) -> Bfd:
    context = ("bfd", f"profile {names.profile(vrf)}")

    def timer(word: str) -> int:
        return int(config.value(context, word) or frr.BFD_DEFAULTS[word])

    return Bfd(timer("transmit-interval"), timer("receive-interval"), timer("detect-multiplier"))


def neighbors(config: Configuration, tables: Iterable[NftTable]) -> Iterator[BgpNeighbor]:
    """Sessions; the port of one with an address is what its VRF's input filter ties it to."""
    behind = _ports_of_neighbors(tables)
    for top, _, vrf in config.headers():
        for line in sorted(config.lines(top)):
            match = _PEER.fullmatch(line)
            if match is not None and f"neighbor {match[1]} {frr.MULTIHOP}" not in config.lines(top):
                port = behind.get((vrf, match[1])) if is_address(match[1]) else match[1]
                yield _neighbor(config, top, vrf, match[1], match[2], port)


def _ports_of_neighbors(tables: Iterable[NftTable]) -> dict[tuple[str, str], str]:
    found = {}
    for table in tables:
        for name, elements in table.sets:
            if name in ("neighbors4", "neighbors6"):
                for element in elements:
                    port, _, address = element.partition(" . ")
                    if not names.BRIDGE_PATTERN.fullmatch(port.strip('"')):
                        found[(table.netns or DEFAULT_VRF, address)] = port.strip('"')
    return found


def _neighbor(config: Configuration, top: str, vrf: str, peer: str, remote: str, port: str | None) -> BgpNeighbor:
    start = f"neighbor {peer}"
    contexts = [(top, family) for family in (frr.IPV4, frr.IPV6)]
    attached = {
        line.removeprefix(f"{start} prefix-list ")
        for context in contexts
        for line in config.lines(*context)
        if line.startswith(f"{start} prefix-list ")
    }
    announced, accepted = names.announced_list(vrf, peer), names.accepted_list(vrf, peer)
    limits = (config.value(context, f"{start} maximum-prefix") for context in contexts)
    limit = next((found for found in limits if found), None)
    local = config.value((top,), f"{start} local-as")
    return BgpNeighbor(
        vrf,
        peer,
        port=port,
        fabric=bool({f"{names.FABRIC_LIST} in", f"{names.FABRIC_LIST} out"} & attached),
        remote_as=None if remote == "external" else int(remote),
        local_as=int(local.split()[0]) if local else None,
        bfd=f"{start} bfd" in config.lines(top),
        export=frozenset(config.lists.get(announced, ())) if f"{announced} out" in attached else None,
        refuse=frozenset(config.lists.get(accepted, ())),
        maximum_prefixes=int(limit.split()[0]) if limit else None,
        evpn=f"{start} activate" in config.lines(top, frr.EVPN),
    )


def evpn_peers(config: Configuration) -> Iterator[EvpnPeer]:
    """Sessions between loopbacks; a neighbour beyond its link is one."""
    for top, _, _ in config.headers():
        for line in sorted(config.lines(top)):
            match = _PEER.fullmatch(line)
            if match is not None and f"neighbor {match[1]} {frr.MULTIHOP}" in config.lines(top):
                yield EvpnPeer(match[1], config.value((top,), f"neighbor {match[1]} update-source"))
