"""EVPN routes. A route's VNIs are in its route targets, `<AS>:<VNI>`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import (
    Arguments,
    Probe,
    Said,
    Step,
    entries,
    inner,
    number,
    objects,
    text,
    vtysh,
)
from underlace.model.question import Row

TYPES = {2: "macip", 3: "multicast", 5: "prefix"}
"""Types that FRR can be asked for."""

_TARGET = re.compile(r"RT:(\S+)")


def _steps(asked: Arguments, _vrfs: Sequence[str]) -> list[Step]:
    word = TYPES.get(arguments.whole(asked, "type", 0, 5))
    arguments.whole(asked, "vni", 0, 16_777_215)
    return [vtysh(f"show bgp l2vpn evpn route{f' type {word}' if word else ''} json")]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    vni, kind, rd = asked.get("vni", 0), asked.get("type", 0), arguments.text(asked, "rd")
    for answer in objects(said[0].output):
        for where, routes in inner(answer):
            if rd and where != rd:
                continue
            for route, told in inner(routes):
                for path in entries(told.get("paths")):
                    row = _path(where, route, path)
                    if (not vni or vni in row["vnis"]) and kind in (0, row["type"]):
                        yield row


def _path(rd: str, route: str, path: dict[str, Any]) -> dict[str, Any]:
    community = path.get("extendedCommunity")
    targets = _TARGET.findall(text(community.get("string"))) if isinstance(community, dict) else []
    kind, length, address = number(path.get("routeType")), path.get("ipLen"), text(path.get("ip"))
    return {
        "rd": rd,
        "type": kind,
        "route": route,
        "mac": text(path.get("mac")),
        "address": f"{address}/{number(length)}" if kind == 5 else address,
        "vnis": sorted({number(target.rpartition(":")[2]) for target in targets}),
        "route_targets": targets,
        "next_hop": next((text(hop.get("ip")) for hop in entries(path.get("nexthops"))), ""),
        "best": bool(path.get("bestpath")),
        "as_path": text(path.get("path")),
    }


PROBE = Probe("evpn", _steps, _rows)
