"""FRR of a node as faults change it: its BGP instances and sessions, by what it shows of its own configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface
from typing import Any, NamedTuple

from underlace.lab import frr
from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError
from underlace.lab.faults import where
from underlace.lab.namespace import CommandFailed, Namespace

_INSTANCE = re.compile(r"router bgp (\d+)(?: vrf (\S+))?$")
_REMOTE = re.compile(r" neighbor (\S+) (interface )?remote-as (\S+)$")


class Session(NamedTuple):
    """A neighbour of a BGP instance. instance: the line that begins that; line: the one with the neighbour's AS."""

    instance: str
    vrf: str
    neighbour: str
    line: str


def running(node: Namespace) -> list[str]:
    """The lines of FRR's configuration."""
    return frr.vtysh(node, "show running-config").splitlines()


def instances(node: Namespace) -> dict[str, str]:
    """VRF ("" for the underlay's) -> the line that begins its BGP instance."""
    found = [(m[2] or "", line) for line in running(node) if (m := _INSTANCE.match(line))]
    return dict(found)


def instance(node: Namespace, vrf: str) -> str:
    """The line that begins the BGP instance of a VRF. Raises LabError."""
    try:
        return instances(node)[vrf]
    except KeyError:
        raise LabError(f"{node.name} speaks no BGP in {vrf or 'the underlay'}") from None


def block(node: Namespace, vrf: str) -> str:
    """The configuration of the BGP instance of a VRF. Raises LabError."""
    return "\n".join(running(node)).partition(f"{instance(node, vrf)}\n")[2].partition("\nexit\n")[0]


def asn(line: str) -> int:
    return int(line.split()[2])


def sessions(node: Namespace) -> Iterator[Session]:
    """Every session that a node is configured for."""
    begun, vrf = "", ""
    for line in running(node):
        if match := _INSTANCE.match(line):
            begun, vrf = line, match[2] or ""
        elif match := _REMOTE.match(line):
            yield Session(begun, vrf, match[1], line.strip())


def session_of(fabric: Fabric, text: str) -> Session:
    """The session over a port: unnumbered, or with an address of its network. Raises LabError."""
    port = where.port(fabric, text)
    shown = json.loads(port.node.run(["ip", "-json", "address", "show", "dev", port.name], port.where))
    held = [f"{a['local']}/{a['prefixlen']}" for a in shown[0]["addr_info"] if a["scope"] == "global"]
    networks = [ip_interface(one).network for one in held]
    for one in sessions(port.node):
        if one.vrf == port.where and (
            one.neighbour == port.name
            or (_is_address(one.neighbour) and any(ip_address(one.neighbour) in n for n in networks))
        ):
            return one
    raise LabError(f"no BGP session runs over {text}", "Name a port of a fabric link or of a bgp-peer.")


def _is_address(text: str) -> bool:
    return text[0].isdigit() or ":" in text


def state(node: Namespace, session: Session) -> dict[str, Any]:
    """What FRR says of a session."""
    words = f"show bgp {f'vrf {session.vrf} ' if session.vrf else ''}neighbors {session.neighbour} json"
    try:
        said = json.loads(frr.vtysh(node, words) or "{}")
    except CommandFailed:
        return {}
    return dict(said.get(session.neighbour, {}))


def configure(node: Namespace, *lines: str) -> None:
    """Change FRR's configuration."""
    frr.vtysh(node, "configure terminal", *lines)


def family(prefix: str) -> str:
    return "ipv6" if ":" in prefix else "ipv4"


def origins(node: Namespace, vrf: str, prefix: str) -> set[int]:
    """The ASes that a prefix comes from, as a node has heard; its own are not among them."""
    words = f"show bgp {f'vrf {vrf} ' if vrf else ''}{family(prefix)} unicast {prefix} json"
    try:
        told = json.loads(frr.vtysh(node, words) or "{}")
    except (CommandFailed, ValueError):
        return set()
    if told.get("prefix") != prefix:
        return set()
    paths = [path["aspath"]["string"].split() for path in told.get("paths", ())]
    return {int(path[-1]) for path in paths if path and path[-1].isdigit()}
