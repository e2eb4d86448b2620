"""Routes as BGP has them. FRR shows a table in one form and a single prefix in another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step, entries, inner, objects, text, vtysh
from underlace.model.question import Row

ITSELF = "(unspec)"


def _steps(asked: Arguments, _vrfs: Sequence[str]) -> list[Step]:
    family, prefix = arguments.family(asked)
    if not prefix:
        return [vtysh(f"show bgp {arguments.vrf_words(asked)} {family} unicast json")]
    vrf = arguments.vrf(asked)
    return [vtysh(f"show bgp {f'vrf {vrf} ' if vrf else ''}{family} unicast {prefix} json")]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    vrf = arguments.vrf(asked)
    for answer in objects(said[0].output):
        if arguments.family(asked)[1]:
            for path in entries(answer.get("paths")):
                yield _path(vrf or arguments.DEFAULT, text(answer.get("prefix")), path)
            continue
        for name, table in inner({vrf: answer} if vrf else answer):
            routes = table.get("routes")
            for prefix, paths in routes.items() if isinstance(routes, dict) else ():
                for path in entries(paths):
                    yield _path(name, prefix, path)


def _path(vrf: str, prefix: str, path: dict[str, Any]) -> Row:
    best, as_path, peer = path.get("bestpath"), path.get("aspath"), path.get("peer")
    from_peer = text(peer.get("interface") or peer.get("peerId")) if isinstance(peer, dict) else ""
    announced = from_peer or text(path.get("peerId"))
    hops = list(entries(path.get("nexthops")))
    used = next((hop for hop in hops if hop.get("used")), hops[0] if hops else {})
    return {
        "vrf": vrf,
        "prefix": prefix,
        "best": bool(best.get("overall")) if isinstance(best, dict) else bool(best),
        "multipath": bool(path.get("multipath")),
        "valid": bool(path.get("valid")),
        "next_hop": text(used.get("ip")),
        "peer": "" if announced in (ITSELF, "::", "0.0.0.0") else announced,  # noqa: S104 - FRR's word for itself
        "as_path": text(as_path.get("string")) if isinstance(as_path, dict) else text(path.get("path")),
        "origin": text(path.get("origin")),
    }


PROBE = Probe("bgp-routes", _steps, _rows)
