"""Upstream routers: not ours, so the lab plays them with an FRR of their own. Pure text; `fabric` starts it."""

from __future__ import annotations

from ipaddress import ip_network

from underlace.lab.intent import PlayedRouter
from underlace.lab.topology import Nic, Session

DAEMONS = ("zebra", "bgpd", "bfdd")


def _neighbour(session: Session, address: str) -> list[str]:
    remote = "external" if session.remote_as is None else str(session.remote_as)
    lines = [f" neighbor {address} remote-as {remote}", f" neighbor {address} timers connect 1"]
    if session.bfd:
        lines.append(f" neighbor {address} bfd profile lab")
    return lines


def _family(version: int, sessions: tuple[Session, ...], played: PlayedRouter) -> list[str]:
    words = {4: "ipv4", 6: "ipv6"}
    inside = [f"  network {p}" for p in played.announce if ip_network(p).version == version]
    inside += [f"  neighbor {a} activate" for s in sessions for a in s.neighbours if (":" in a) == (version == 6)]
    return [f" address-family {words[version]} unicast", *inside, " exit-address-family"] if inside else []


def bgpd(nics: tuple[Nic, ...], sessions: tuple[Session, ...], played: PlayedRouter) -> str:
    """The router's bgpd.conf. `no bgp network import-check`: it announces a default without having one."""
    if not sessions:
        return ""
    identifier = next((i.ip for nic in nics for i in nic.interfaces if i.version == 4), "192.0.2.254")
    lines = [
        f"router bgp {sessions[0].local_as}",
        f" bgp router-id {identifier}",
        " no bgp ebgp-requires-policy",
        " no bgp default ipv4-unicast",
        " no bgp network import-check",
    ]
    for session in sessions:
        for address in session.neighbours:
            lines += _neighbour(session, address)
    for version in (4, 6):
        lines += _family(version, sessions, played)
    return "\n".join(lines) + "\n"


def bfdd(interval: int) -> str:
    """The router's bfdd.conf."""
    timers = [f"  transmit-interval {interval}", f"  receive-interval {interval}", "  detect-multiplier 3"]
    return "\n".join(["bfd", " profile lab", *timers]) + "\n"
