"""The native configuration as a person reads it: kernel, filters, then FRR's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from underlace.drivers.linux import frr, names
from underlace.drivers.linux.native import (
    Address,
    Bond,
    BondMember,
    Bridge,
    EvpnVni,
    EvpnVrf,
    FrrLine,
    Item,
    Netns,
    NftTable,
    Pair,
    Placement,
    PortLink,
    Route,
    Tag,
    Vxlan,
)

Line = tuple[tuple[str, ...], str]
"""A line of FRR with the headers above it."""


def text(items: Iterable[Item]) -> list[str]:
    """Every item, in a stable order."""
    found = list(items)
    return [*_kernel(found), *_tables(found), *frr_text(found)]


def _kernel(items: Iterable[Item]) -> list[str]:
    blocks: dict[str, list[str]] = {}
    for item in sorted(items, key=lambda one: one.key):
        for netns, line in _kernel_lines(item):
            blocks.setdefault(netns, []).append(line)
    found: list[str] = []
    for netns in sorted(blocks):
        found += [f"# netns {netns or '(underlay)'}", *blocks[netns]]
    return found


def _kernel_lines(item: Item) -> Iterator[tuple[str, str]]:
    match item:
        case Netns():
            for path, value in item.settings:
                yield item.name, f"sysctl net/{path} = {value}"
        case Bridge():
            yield item.netns, f"bridge {item.name} address {item.mac} mtu {item.mtu}{_settings(item.settings)}"
        case Vxlan():
            yield item.netns, f"vxlan {item.name} id {item.vni} local {item.local} mtu {item.mtu}"
        case Placement():
            yield item.netns, f"port {item.port}"
        case Bond():
            yield item.netns, f"bond {item.name} mode {item.mode} min_links {item.minimum_links}"
        case BondMember():
            yield item.netns, f"member {item.port} of {item.bond}"
        case Tag():
            yield item.netns, f"vlan {names.untag(item.link)[1]} of {names.untag(item.link)[0]}"
        case PortLink():
            master = f" master {item.bridge}" if item.bridge else ""
            state = "up" if item.up else "down"
            yield item.netns, f"link {item.port} {state} mtu {item.mtu}{master}{_settings(item.settings)}"
        case Address():
            yield item.netns, f"address {item.address} dev {item.link}"
        case Pair():
            for end in (item.one, item.other):
                yield end, f"pair {names.pair(item.number)} {item.one} {item.other} mtu {item.mtu}"
        case Route():
            yield item.netns, f"route {item.prefix} via {item.via} dev {names.pair(item.number)}"


def _settings(settings: Iterable[tuple[str, str]]) -> str:
    return "".join(f" {path}={value}" for path, value in settings)


def _tables(items: Iterable[Item]) -> Iterator[str]:
    tables = [item for item in items if isinstance(item, NftTable)]
    for table in sorted(tables, key=lambda one: one.key):
        yield f"# netns {table.netns or '(underlay)'}"
        yield f"table {table.family} {table.name} {{"
        yield from table.skeleton
        for name, elements in table.sets:
            yield f" elements {name} {{ {', '.join(sorted(elements))} }}"
        yield "}"


def frr_lines(items: Iterable[Item]) -> Iterator[Line]:
    """All of FRR's configuration that items stand for."""
    for item in items:
        match item:
            case FrrLine():
                yield item.context, item.line
            case EvpnVni():
                context = (f"router bgp {item.asn}", frr.EVPN)
                yield context, f"vni {item.vni}"
                for line in targets(item):
                    yield (*context, f"vni {item.vni}"), line
            case EvpnVrf():
                yield (), f"vrf {item.vrf}"
                yield (f"vrf {item.vrf}",), f"vni {item.vni}"
                for line in targets(item) if item.asn else ():
                    yield (f"router bgp {item.asn} vrf {item.vrf}", frr.EVPN), line


def targets(item: EvpnVni | EvpnVrf) -> list[str]:
    """The lines of an RD and of RTs."""
    lines = [f"rd {item.rd}"] if item.rd else []
    lines += [f"route-target import {target}" for target in sorted(item.import_targets)]
    return lines + [f"route-target export {target}" for target in sorted(item.export_targets)]


_ENDS = (("router bgp ", "exit"), ("address-family ", "exit-address-family"), ("vni ", "exit-vni"))


def frr_text(items: Iterable[Item]) -> list[str]:
    """FRR's configuration as a file that FRR reads: nested, one space a level."""
    tree: dict[tuple[str, ...], list[str]] = {}
    for context, line in sorted(set(frr_lines(items)), key=_place):
        for depth in range(len(context)):
            above = tree.setdefault(context[:depth], [])
            if context[depth] not in above:
                above.append(context[depth])
        siblings = tree.setdefault(context, [])
        if line not in siblings:
            siblings.append(line)
    return list(_print((), tree))


def _place(line: Line) -> tuple[object, ...]:
    """Stable, and an order that FRR can read top-down: a list before its use, a neighbour before its options."""
    context, text = line
    top = (context or (text,))[0]
    rank = next(
        (i for i, word in enumerate(("bfd", "ip", "route-map", "vrf", "router bgp")) if top.startswith(word)), 9
    )
    return (
        rank,
        " vrf " in top,
        context,
        not text.startswith(("no bgp", "bgp", "advertise-all")),
        frr.stem(text),
        text,
    )


def _print(context: tuple[str, ...], tree: dict[tuple[str, ...], list[str]]) -> Iterator[str]:
    indent = " " * len(context)
    for line in tree.get(context, ()):
        yield f"{indent}{line}"
        below = (*context, line)
        if below in tree or line.startswith(("router bgp ", "vrf ")):
            yield from _print(below, tree)
            yield f"{indent}{_end(context, line)}"


def _end(context: tuple[str, ...], line: str) -> str:
    if line.startswith("vrf "):
        return "exit-vrf"
    if not context:
        return "exit"
    return next((f" {end}" for start, end in _ENDS if line.startswith(start)), "exit")
