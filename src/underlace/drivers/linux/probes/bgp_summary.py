"""BGP sessions, as FRR sums them up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step, inner, number, objects, text, vtysh
from underlace.model.question import Row

FAMILIES = {
    "ipv4Unicast": ("ipv4", "unicast"),
    "ipv6Unicast": ("ipv6", "unicast"),
    "l2VpnEvpn": ("l2vpn", "evpn"),
}

UP = "Established"
"""The state of a session that is up. Of one that is not, FRR's uptime is how long it has been down."""


def _steps(asked: Arguments, _vrfs: Sequence[str]) -> list[Step]:
    return [vtysh(f"show bgp {arguments.vrf_words(asked)} summary json")]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    for answer in objects(said[0].output):
        for vrf, families in by_vrf(answer, FAMILIES.keys(), arguments.vrf(asked)):
            for family, summary in inner(families):
                if family in FAMILIES:
                    yield from _sessions(vrf, *FAMILIES[family], summary)


def by_vrf(answer: dict[str, Any], own: Any, asked: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """FRR names the VRFs only where it was asked about all of them."""
    if asked or answer.keys() & set(own):
        yield asked or arguments.DEFAULT, answer
    else:
        yield from inner(answer)


def _sessions(vrf: str, afi: str, safi: str, summary: dict[str, Any]) -> Iterator[Row]:
    for peer, session in inner(summary.get("peers")):
        state = text(session.get("state"))
        yield {
            "vrf": vrf,
            "peer": peer,
            "afi": afi,
            "safi": safi,
            "state": state,
            "local_as": number(session.get("localAs", summary.get("as"))),
            "peer_as": number(session.get("remoteAs")),
            "uptime_seconds": number(session.get("peerUptimeMsec")) // 1000 if state == UP else 0,
            "received": number(session.get("pfxRcd")),
            "sent": number(session.get("pfxSnt")),
            "messages_received": number(session.get("msgRcvd")),
            "messages_sent": number(session.get("msgSent")),
            "flaps": number(session.get("connectionsDropped")),
            "hostname": text(session.get("hostname")),
        }


PROBE = Probe("bgp-summary", _steps, _rows)
