"""BGP neighbours in detail. The AS that is configured stands in the configuration alone; FRR shows what it sees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step, inner, number, objects, text, vtysh
from underlace.drivers.linux.probes.bgp_summary import FAMILIES, UP
from underlace.model.question import Row

_ROUTER = re.compile(r"router bgp \d+(?: vrf (\S+))?")
_REMOTE = re.compile(r" neighbor (\S+) (?:interface )?remote-as (\S+)")


def _steps(asked: Arguments, _vrfs: Sequence[str]) -> list[Step]:
    arguments.peer(asked)
    return [vtysh(f"show bgp {arguments.vrf_words(asked)} neighbors json"), vtysh("show running-config bgpd")]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    configured = _configured(said[1].output)
    wanted = arguments.peer(asked)
    for answer in objects(said[0].output):
        whole = {arguments.vrf(asked): answer} if arguments.vrf(asked) else answer
        for vrf, neighbors in inner(whole):
            for peer, one in inner(neighbors):
                if "bgpState" in one and wanted in ("", peer):
                    yield _neighbor(vrf, peer, one, configured.get((vrf, peer), ""))


def _neighbor(vrf: str, peer: str, one: dict[str, Any], configured: str) -> Row:
    families = list(inner(one.get("addressFamilyInfo")))
    up = one["bgpState"] == UP
    return {
        "vrf": vrf,
        "peer": peer,
        "state": text(one["bgpState"]),
        "admin": "down" if one.get("adminShutDown") else "up",
        "local_as": number(one.get("localAs")),
        "as_configured": configured,
        "as_seen": number(one.get("remoteAs")) if up else 0,
        "uptime_seconds": number(one.get("bgpTimerUpMsec")) // 1000 if up else 0,
        "received": {_family(name): number(info.get("acceptedPrefixCounter")) for name, info in families},
        "sent": {_family(name): number(info.get("sentPrefixCounter")) for name, info in families},
        "flaps": number(one.get("connectionsDropped")),
        "last_reset": text(one.get("lastResetDueTo")),
        "last_reset_seconds": number(one.get("lastResetTimerMsecs")) // 1000,
        "last_notification": _notification(one),
        "bfd": text(one["peerBfdInfo"].get("status")) if isinstance(one.get("peerBfdInfo"), dict) else "",
        "hostname": text(one.get("hostname")),
    }


def _family(name: str) -> str:
    return " ".join(FAMILIES.get(name, (name,)))


def _notification(one: dict[str, Any]) -> str:
    """Words and code, as `OPEN Message Error/Bad Peer AS (2/2)`."""
    reason, code = text(one.get("lastNotificationReason")), text(one.get("lastErrorCodeSubcode"))
    if re.fullmatch(r"[0-9A-Fa-f]{4}", code):
        code = f"({int(code[:2], 16)}/{int(code[2:], 16)})"
    return " ".join(part for part in (reason, code) if part)


def _configured(running: str) -> dict[tuple[str, str], str]:
    found = {}
    vrf = ""
    for line in running.splitlines():
        if (router := _ROUTER.fullmatch(line)) is not None:
            vrf = router[1] or arguments.DEFAULT
        elif vrf and (remote := _REMOTE.fullmatch(line)) is not None:
            found[vrf, remote[1]] = remote[2]
        elif not line.startswith(" "):
            vrf = ""
    return found


PROBE = Probe("bgp-neighbor", _steps, _rows)
