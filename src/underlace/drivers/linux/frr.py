"""The grammar of FRR's configuration: what a line is about, what it stands on, how it is taken back.

FRR 8.4 to 10 in the datacenter profile (`-F datacenter`); a line is written exactly as it reads back (`config` mends
where releases differ).
"""

from __future__ import annotations

import re

from underlace.drivers.linux import names
from underlace.model.change import Key

Context = tuple[str, ...]

WORD = "frr"
IPV4 = "address-family ipv4 unicast"
IPV6 = "address-family ipv6 unicast"
EVPN = "address-family l2vpn evpn"
ADVERTISE_ALL = "advertise-all-vni"
NO_DEFAULT_FAMILY = "no bgp default ipv4-unicast"

_ROUTER = re.compile(r"router bgp (\d+)(?: vrf (\S+))?")
_NEIGHBOR = re.compile(r"neighbor (\S+) (.*)")
_PEER = re.compile(r"(?:interface )?remote-as .*|interface .*")

_UNDERLAY = re.compile(r"router bgp \d+")
_NAMED = re.compile(r"neighbor \S+ (?:interface )?remote-as .*")
UNDERLAY_NEIGHBORS = "neighbours of the underlay"
"""Held by all of them, so that old ones go before new ones come. To FRR a neighbour on a link with a /31 is the same
by its interface and by its address: an old one that went later would take the new one with it."""

STATIC = re.compile(r"(?:ip|ipv6) route (\S+) (\S+)")
BLACKHOLE = "blackhole"

MULTIHOP = "ebgp-multihop 255"

_STEMS = (
    re.compile(r"(neighbor \S+) (?:(?:interface )?remote-as|interface) .*"),
    re.compile(r"(neighbor \S+ (?:timers connect|advertisement-interval|local-as|bfd profile|maximum-prefix)) .*"),
    re.compile(r"(neighbor \S+ (?:ebgp-multihop|update-source)) .*"),
    re.compile(r"(neighbor \S+ (?:prefix-list|route-map)) \S+ (in|out)"),
    re.compile(r"(bgp router-id|maximum-paths|transmit-interval|receive-interval|detect-multiplier) .*"),
    re.compile(r"((?:ip|ipv6) prefix-list \S+ seq \d+) .*"),
)
"""Lines of which only one may stand: what is outside the groups is left out of the key. Any other line is its own."""

BFD_DEFAULTS = {"transmit-interval": 300, "receive-interval": 300, "detect-multiplier": 3}
"""FRR does not print these; to take such a line back is to write the default."""


def stem(line: str) -> str:
    """What a line is about, without its value where only one value may stand."""
    for pattern in _STEMS:
        if match := pattern.fullmatch(line):
            return " ".join(match.groups())
    return line


def key(context: Context, line: str) -> Key:
    return (WORD, *context, stem(line))


CLEANED = ("set community none", "set extcommunity none", "set large-community none")
"""What an outside neighbour says about its routes beyond their path. FRR would carry its route targets into type-5
routes, and so into any VPC; a community could make them a blackhole (hazards 25)."""


def route_map(name: str) -> str:
    return f"route-map {name} permit 10"


def vni_key(vni: int) -> Key:
    return (WORD, f"vni {vni}")


def vrf_key(vrf: str) -> Key:
    return (WORD, f"l3vni {vrf}")


def list_end(family: str, name: str) -> Key:
    """Key of the last entry of a prefix list of ours: it always has one."""
    return (WORD, f"{family} prefix-list {name} seq {names.LAST_SEQUENCE}")


def router(context: Context, line: str) -> tuple[str, str] | None:
    """(AS, VRF) of the router that a line opens; the VRF is "" for the default one."""
    match = _ROUTER.fullmatch(line) if not context else None
    return (match[1], match[2] or "") if match else None


def opens(context: Context, line: str) -> bool:
    """Whether a line, beyond what it says, is a header: what is said next stands below it."""
    match context:
        case ():
            return router(context, line) is not None or line.startswith(("vrf ", "route-map "))
        case ("bfd",):
            return line.startswith("profile ")
    return context[-1] == EVPN and line.startswith("vni ")


def leave(header: str) -> str:
    """The command that leaves what a header opened. For `exit` from a VRF, vtysh would say `end` to every daemon."""
    return "exit-vrf" if header.startswith("vrf ") else "exit"


def vrf(context: Context) -> str:
    """The VRF of ours in whose block a line stands; "" elsewhere."""
    name = context[0].removeprefix("vrf ") if len(context) == 1 and context[0].startswith("vrf ") else ""
    return name if names.VRF_PATTERN.fullmatch(name) else ""


def refs(context: Context, line: str) -> frozenset[Key]:
    """Keys of what must stand while a line stands. Keys of lines that are not configured are harmless."""
    needed: set[Key] = set()
    if context and context[0].startswith("router bgp "):
        needed.add(key((), context[0]))
        needed |= _neighbor_refs(context, line)
    if context[:1] == ("bfd",) and len(context) == 2:
        needed.add(key(context[:1], context[1]))
    if context and context[0].startswith("route-map "):
        needed.add(key((), context[0]))
    if vrf(context):
        needed.add(("netns", vrf(context)))
    opened = router(context, line)
    if opened is not None and opened[1]:
        needed |= {key((), f"router bgp {opened[0]}"), ("netns", opened[1])}
    return frozenset(needed)


def _neighbor_refs(context: Context, line: str) -> set[Key]:
    match = _NEIGHBOR.fullmatch(line)
    if match is None:
        return set()
    peer, rest = match[1], match[2]
    if _PEER.fullmatch(rest):
        return {key(context[:1], NO_DEFAULT_FAMILY)}
    top = context[:1]
    needed: set[Key] = {(WORD, *top, f"neighbor {peer}")}
    words = rest.split()
    if words[:2] == ["bfd", "profile"]:
        needed |= {key(top, f"neighbor {peer} bfd"), key(("bfd",), f"profile {words[2]}")}
    if words[0] == "prefix-list":
        needed.add(list_end("ipv6" if context[-1] == IPV6 else "ip", words[1]))
    if words[0] == "route-map":
        header = route_map(words[1])
        needed |= {key((), header), *(key((header,), line) for line in CLEANED)}
    if words[0] == "activate":  # filters stand before the first route passes
        needed |= {(WORD, *context, f"neighbor {peer} prefix-list {way}") for way in ("in", "out")}
        needed.add((WORD, *context, f"neighbor {peer} route-map in"))
    return needed


def claims(context: Context, line: str) -> frozenset[str]:
    """One router per VRF: another AS comes only after the old instance is gone. A left-over VRF goes first, too."""
    if not context and line.startswith("vrf "):
        return frozenset({line})
    if len(context) == 1 and _UNDERLAY.fullmatch(context[0]) and _NAMED.fullmatch(line):
        return frozenset({UNDERLAY_NEIGHBORS})
    opened = router(context, line)
    return frozenset() if opened is None else frozenset({f"bgp:{opened[1]}"})


def parent(context: Context, line: str) -> Key | None:
    """Key of the line with which FRR removes this one too."""
    if context and context[0].startswith("router bgp "):
        match = _NEIGHBOR.fullmatch(line)
        if match and not _PEER.fullmatch(match[2]):
            return (WORD, *context[:1], f"neighbor {match[1]}")
        return key((), context[0])
    if context and context[0].startswith("route-map "):
        return key((), context[0])
    return key(context[:1], context[1]) if context[:1] == ("bfd",) and len(context) == 2 else None


def undo(line: str) -> str:
    """The command that takes a line back."""
    if line.startswith("no "):
        return line.removeprefix("no ")
    default = BFD_DEFAULTS.get(line.partition(" ")[0])
    return f"no {line}" if default is None else f"{line.partition(' ')[0]} {default}"


def owned(context: Context, line: str) -> bool:
    """Whether a line of the running configuration is Underlace's to keep: BGP as a whole, the rest by its names."""
    if vrf(context):
        return STATIC.fullmatch(line) is not None
    top = context[0] if context else line
    if top.startswith("router bgp "):
        return True
    if top == "bfd":
        return (context[1] if len(context) > 1 else line).startswith(f"profile {names.BFD_PROFILE}")
    if top.startswith("route-map "):
        return top.startswith(f"route-map {names.LIST_PREFIX}")
    return re.match(rf"(?:ip|ipv6) prefix-list {re.escape(names.LIST_PREFIX)}", top) is not None
