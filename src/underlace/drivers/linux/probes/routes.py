"""Routes as zebra has them, and whether the kernel took them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step, entries, number, objects, text, vtysh
from underlace.model.question import Row


def _steps(asked: Arguments, _vrfs: Sequence[str]) -> list[Step]:
    family, prefix = arguments.family(asked)
    show = f"show {'ip' if family == 'ipv4' else 'ipv6'} route"
    if not prefix:
        return [vtysh(f"{show} {arguments.vrf_words(asked)} json")]
    vrf = arguments.vrf(asked)
    return [vtysh(f"{show}{f' vrf {vrf}' if vrf else ''} {prefix} json")]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    for answer in objects(said[0].output):
        # Of all VRFs, newer releases give one object with a member for each.
        for table in (answer, *(t for t in answer.values() if isinstance(t, dict))):
            for prefix, routes in table.items():
                for route in entries(routes) if "/" in prefix else ():
                    yield _route(prefix, route)


def _route(prefix: str, route: dict[str, Any]) -> Row:
    return {
        "vrf": text(route.get("vrfName")),
        "prefix": prefix,
        "protocol": text(route.get("protocol")),
        "selected": bool(route.get("selected")),
        "installed": bool(route.get("installed")),
        "distance": number(route.get("distance")),
        "metric": number(route.get("metric")),
        "next_hops": [hop for one in entries(route.get("nexthops")) if (hop := _hop(one))],
    }


def _hop(hop: dict[str, Any]) -> str:
    if hop.get("blackhole") or hop.get("unreachable") or hop.get("reject"):
        return "blackhole"
    return " ".join(part for part in (text(hop.get("ip")), text(hop.get("interfaceName"))) if part)


PROBE = Probe("routes", _steps, _rows)
