"""FRR's `show running-config` as native items. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from underlace.drivers.linux import frr, names
from underlace.drivers.linux.native import EvpnVni, EvpnVrf, FrrLine, Item

_SKIPPED = re.compile(r"!|exit(?:-\S+)?|end|Building configuration\.\.\.|Current configuration:|")
_VNI = re.compile(r"vni (\d+)")
_TARGET = re.compile(r"(rd|route-target import|route-target export) (\S+)")

_MAPPED = re.compile(r"(?<=::ffff:)(\d+)\.(\d+)\.(\d+)\.(\d+)(?=/)")


def _in_hexadecimal(dotted: re.Match[str]) -> str:
    """The end of an IPv4-mapped prefix as FRR 8.4 and Python write it; FRR 10 writes it with dots."""
    a, b, c, d = map(int, dotted.groups())
    return f"{a << 8 | b:x}:{c << 8 | d:x}"


Lines = list[tuple[frr.Context, str]]


def lines(text: str) -> Lines:
    """Every line with the headers above it, told by indentation."""
    found: Lines = []
    stack: list[str] = []
    for raw in text.splitlines():
        line = _MAPPED.sub(_in_hexadecimal, raw.strip())
        if _SKIPPED.fullmatch(line):
            continue
        depth = len(raw) - len(raw.lstrip(" "))
        del stack[depth:]
        found.append((tuple(stack), line))
        stack.append(line)
    return found


def items(text: str, vrfs: Collection[str]) -> Iterator[Item]:
    """Items of a running configuration; vrfs: namespaces that exist."""
    held = lines(text)
    evpn = _Evpn(held)
    yield from evpn.items()
    for context, line in held:
        if not context and line.startswith("vrf "):
            yield from _leftover(line, held, vrfs)
        elif frr.owned(context, line) and not evpn.takes(context, line) and not _is_frame(context, line):
            yield FrrLine(context, line)


def _leftover(line: str, held: Lines, vrfs: Collection[str]) -> Iterator[FrrLine]:
    """A VRF without a namespace and without a VNI: its removal was cut short."""
    name = line.removeprefix("vrf ")
    bound = any(context == (line,) and _VNI.fullmatch(below) for context, below in held)
    if names.VRF_PATTERN.fullmatch(name) and name not in vrfs and not bound:
        yield FrrLine((), line)


def _is_frame(context: frr.Context, line: str) -> bool:
    """A header that FRR prints by itself as soon as something stands below it."""
    return line == "bfd" or (line.startswith("address-family ") and bool(context))


class _Evpn:
    """RD, RT and VNI bindings, which are items of their own."""

    def __init__(self, held: Lines) -> None:
        self._targets: dict[frr.Context, dict[str, set[str]]] = {}
        self._domains: list[tuple[int, int]] = []
        self._bound: dict[str, int] = {}
        self._routers: dict[str, int] = {}
        for context, line in held:
            self._take(context, line)

    def _take(self, context: frr.Context, line: str) -> None:
        opened = frr.router(context, line)
        if opened is not None and opened[1]:
            self._routers[opened[1]] = int(opened[0])
        vni, target = _VNI.fullmatch(line), _TARGET.fullmatch(line)
        if vni and len(context) == 1 and context[0].startswith("vrf "):
            self._bound[context[0].removeprefix("vrf ")] = int(vni[1])
        elif vni and self._is_evpn(context):
            asn = frr.router((), context[0])
            self._domains.append((int(vni[1]), int(asn[0]) if asn else 0))
        elif target and self.takes(context, line):
            self._targets.setdefault(context, {}).setdefault(target[1], set()).add(target[2])

    def _is_evpn(self, context: frr.Context) -> bool:
        return len(context) == 2 and context[1] == frr.EVPN and context[0].startswith("router bgp ")

    def takes(self, context: frr.Context, line: str) -> bool:
        """Whether a line is part of one of these items."""
        if len(context) < 2 or not self._is_evpn(context[:2]):
            return False
        below = len(context) == 3 and _VNI.fullmatch(context[2]) is not None
        if _VNI.fullmatch(line):
            return len(context) == 2
        return _TARGET.fullmatch(line) is not None and (below or (len(context) == 2 and " vrf " in context[0]))

    def _values(self, context: frr.Context) -> tuple[str | None, frozenset[str], frozenset[str]]:
        held = self._targets.get(context, {})
        rd = min(held.get("rd", ()), default=None)
        return rd, frozenset(held.get("route-target import", ())), frozenset(held.get("route-target export", ()))

    def items(self) -> Iterator[Item]:
        for vni, asn in self._domains:
            yield EvpnVni(vni, asn, *self._values((f"router bgp {asn}", frr.EVPN, f"vni {vni}")))
        for vrf in sorted(self._bound.keys() | self._routers.keys()):
            asn, number = self._routers.get(vrf, 0), self._bound.get(vrf, 0)
            values = self._values((f"router bgp {asn} vrf {vrf}", frr.EVPN))
            ours = names.VRF_PATTERN.fullmatch(vrf) is not None
            if ours and (number or any(values)):
                yield EvpnVrf(vrf, number, asn, *values)
