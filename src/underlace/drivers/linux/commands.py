"""FRR commands that carry out changes of its configuration. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile

from underlace.drivers.linux import frr
from underlace.drivers.linux.native import EvpnVni, EvpnVrf, FrrLine, Item
from underlace.drivers.linux.programs import Command
from underlace.model.change import Change, Key, Verb

LONGEST = 1_000
"""Commands of a session: short enough for an argument list, and for the time that a program has."""

Placed = tuple[frr.Context, str]
"""A command and the headers below which it is given."""


def sessions(changes: Iterable[Change[Item]], longest: int = LONGEST) -> list[list[Command]]:
    """Commands for `configure terminal`, in the order of the changes, cut into sessions.

    Each command costs a daemon a look at all of its sockets, of which it has several a VRF. So a context is left only
    as far as the next one asks for, and with what the fewest daemons hear: `end` is for all of them.
    """
    plan = list(changes)
    removed = {change.key for change in plan if change.verb is Verb.DELETE}
    found: list[list[Command]] = []
    here: frr.Context = ()
    for change in plan:
        for context, line in _placed(change, removed):
            if not found or len(found[-1]) >= longest:
                found.append([])
                here = ()
            found[-1] += [Command(word, change.key) for word in (*_way(here, context), line)]
            here = (*context, line) if frr.opens(context, line) else context
    return found


def _way(here: frr.Context, there: frr.Context) -> Iterator[str]:
    """Words that lead from one context to another."""
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(here, there, strict=False)))
    for header in reversed(here[shared:]):
        yield frr.leave(header)
    yield from there[shared:]


def _placed(change: Change[Item], removed: set[Key]) -> Iterator[Placed]:
    match change.before, change.after:
        case _, FrrLine() as after:
            yield after.context, after.line
        case FrrLine() as before, None:
            if not _goes_with_parent(before, removed):
                yield before.context, frr.undo(before.line)
        case before, EvpnVni() as after:
            yield from _domain(before if isinstance(before, EvpnVni) else None, after)
        case EvpnVni() as before, None:
            yield (f"router bgp {before.asn}", frr.EVPN), f"no vni {before.vni}"
        case before, EvpnVrf() as after:
            yield from _binding(before if isinstance(before, EvpnVrf) else None, after)
        case EvpnVrf() as before, None:
            router = frr.key((), f"router bgp {before.asn} vrf {before.vrf}")
            yield from _unbind(before, router in removed)


def _goes_with_parent(line: FrrLine, removed: set[Key]) -> bool:
    """FRR removes it with something else of this plan: saying it twice would be an error."""
    parent = frr.parent(line.context, line.line)
    while parent is not None and parent != line.key:
        if parent in removed:
            return True
        parent = frr.key((), line.context[0]) if line.context and len(parent) > 2 else None
    return False


def _domain(before: EvpnVni | None, after: EvpnVni) -> Iterator[Placed]:
    router = (f"router bgp {after.asn}", frr.EVPN)
    yield router, f"vni {after.vni}"
    yield from _values((*router, f"vni {after.vni}"), before, after)


def _binding(before: EvpnVrf | None, after: EvpnVrf) -> Iterator[Placed]:
    vrf = (f"vrf {after.vrf}",)
    moved = before is not None and before.vni not in (0, after.vni)
    if before is not None and moved:
        yield vrf, f"no vni {before.vni}"
    if after.asn:
        yield from _values((f"router bgp {after.asn} vrf {after.vrf}", frr.EVPN), before, after)
    if before is None or before.vni != after.vni:
        yield vrf, f"vni {after.vni}"


def _unbind(before: EvpnVrf, with_router: bool) -> Iterator[Placed]:
    """The VNI first: FRR keeps a router whose L3VNI is still bound ("Please unconfigure l3vni")."""
    if before.vni:
        yield (f"vrf {before.vrf}",), f"no vni {before.vni}"
    if not with_router and before.asn:
        context = (f"router bgp {before.asn} vrf {before.vrf}", frr.EVPN)
        for line in _all_targets(before):
            yield context, f"no {line}"


def _values(context: frr.Context, before: EvpnVni | EvpnVrf | None, after: EvpnVni | EvpnVrf) -> Iterator[Placed]:
    old = before if before is not None and before.asn == after.asn else None
    if after.rd and (old is None or old.rd != after.rd):
        if old is None or old.rd is None:
            # FRR 8.4 ignores an explicit RD that equals the automatic one it holds at the moment, and would change
            # it after a restart. No RD of ours has the number 0.
            yield context, f"rd {after.rd.rpartition(':')[0]}:0"
        yield context, f"rd {after.rd}"
    if not after.rd and old is not None and old.rd:
        yield context, f"no rd {old.rd}"
    held = set(_targets(old)) if old is not None else set()
    wanted = set(_targets(after))
    for line in sorted(wanted - held):
        yield context, line
    for line in sorted(held - wanted):
        yield context, f"no {line}"


def _targets(item: EvpnVni | EvpnVrf) -> list[str]:
    return [f"route-target import {t}" for t in sorted(item.import_targets)] + [
        f"route-target export {t}" for t in sorted(item.export_targets)
    ]


def _all_targets(item: EvpnVrf) -> list[str]:
    return ([f"rd {item.rd}"] if item.rd else []) + _targets(item)
