"""Cables: veth pairs made directly in the namespaces that they join, in one `ip -batch`.

Every front-panel port of a switch exists: one without a cable has its other end, down, in the holder's namespace, so
that the device sees a port without carrier, as on a real switch. Ports are down until the device's agent enables
them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from underlace.lab.namespace import Namespace
from underlace.lab.topology import UNDERLAY_MTU, Cable, End, Nic, Topology

OOB_BRIDGE = "br0"
MGMT_PORT = "mgmt0"
CONTROLLER_ADDRESS = "172.31.0.1"
_MGMT_FIRST = 10

VIRTUAL_KINDS = frozenset({"veth", "bridge", "vxlan", "vrf", "vlan"})
"""What a lab and its agents make."""

FALLBACK_KINDS = frozenset({"sit", "ipip", "gre", "gretap", "erspan", "vti", "ip6tnl", "ip6gre", "ip6gretap", "vti6"})
"""Tunnels that some kernels put into every new namespace, unasked and down."""


class PhysicalPort(Exception):
    """A namespace of the lab holds a real network port: a simulated fabric never mixes with a real one (law 6)."""


def mgmt_addresses(devices: Iterable[str]) -> dict[str, str]:
    """The management address of each device, in the out-of-band network that exists in the lab only."""
    found = {}
    for index, name in enumerate(sorted(devices), _MGMT_FIRST):
        found[name] = f"172.31.{index >> 8}.{index & 255}"
    return found


def _pair(a: str, a_net: str, a_mtu: int, b: str, b_net: str, b_mtu: int) -> str:
    return f"link add {a} mtu {a_mtu} netns {a_net} type veth peer name {b} mtu {b_mtu} netns {b_net}"


def _mtus(topology: Topology) -> dict[End, int]:
    """The MTU of each interface with a cable: it carries what is behind its tags too."""
    nodes = {**topology.hosts, **topology.routers}
    found: dict[End, int] = {}
    for node, nics in nodes.items():
        for nic in nics:
            plug = End(node, nic.plug)
            found[plug] = max(found.get(plug, 0), nic.mtu)
    return found


def _cable(cable: Cable, mtus: Mapping[End, int], nodes: Mapping[str, Namespace]) -> str:
    a, b = ((end.port, nodes[end.node].net(), mtus.get(end, UNDERLAY_MTU)) for end in cable)
    return _pair(*a, *b)


def _spare(topology: Topology) -> Iterator[End]:
    """Switch ports without a cable."""
    used = {end for cable in topology.cables for end in cable}
    for name, count in topology.switches.items():
        for number in range(1, count + 1):
            if (end := End(name, f"swp{number}")) not in used:
                yield end


def cables(topology: Topology, nodes: Mapping[str, Namespace], oob: Namespace, holder: Namespace) -> list[str]:
    """`ip` commands that make every link of the lab."""
    mtus = _mtus(topology)
    lines = [_cable(cable, mtus, nodes) for cable in topology.cables]
    for index, end in enumerate(_spare(topology)):
        node = nodes[end.node].net()
        lines.append(_pair(end.port, node, UNDERLAY_MTU, f"spare{index}", holder.net(), UNDERLAY_MTU))
    for index, name in enumerate(topology.switches):
        lines.append(_pair(MGMT_PORT, nodes[name].net("mgmt"), 1_500, f"m{index}", oob.net(), 1_500))
    return lines


def out_of_band(topology: Topology) -> list[str]:
    """`ip` commands inside the out-of-band switch once its links exist."""
    return [f"link set m{index} master {OOB_BRIDGE} up" for index, _ in enumerate(topology.switches)]


def controller_side() -> list[str]:
    """`ip` commands that give the controller its address on the out-of-band switch."""
    return [
        "link set lo up",
        f"link add {OOB_BRIDGE} type bridge",
        f"link set {OOB_BRIDGE} addrgenmode none up",
        f"addr add {CONTROLLER_ADDRESS}/16 dev {OOB_BRIDGE}",
    ]


def management(address: str) -> list[str]:
    """`ip` commands inside a device's management namespace."""
    return ["link set lo up", f"link set {MGMT_PORT} up", f"addr add {address}/16 dev {MGMT_PORT}"]


def end_system(nics: Sequence[Nic], loopbacks: Sequence[str] = (), routes: bool = False) -> list[str]:
    """`ip` commands that bring up a host, or an upstream router, which routes. Links behind tags exist by then."""
    lines = ["link set lo up", *(f"addr add {a} dev lo" for a in loopbacks)]
    for nic in nics:
        if nic.port is None:
            continue
        if nic.vlan is not None:
            lines += [f"link set {nic.plug} up", f"link set {nic.name} mtu {nic.mtu}"]
        # FRR resets IPv6 sessions on a link without a link-local address; a host stays silent without one.
        lines += [f"link set {nic.name} addrgenmode {'eui64' if routes else 'none'}", f"link set {nic.name} up"]
        lines += [f"addr add {i} dev {nic.name}{' nodad' if i.version == 6 else ''}" for i in nic.interfaces]
        lines += [f"route add default via {g} dev {nic.name}" for g in nic.gateways]
    return lines


def physical(links: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the links that are no software of the kernel, from `ip -details -json link`."""
    found = []
    for link in links:
        kind = link.get("linkinfo", {}).get("info_kind", "")
        software = link.get("link_type") == "loopback" or kind in VIRTUAL_KINDS | FALLBACK_KINDS
        if not software or "parentdev" in link:
            found.append(str(link["ifname"]))
    return found


def refuse_physical(nodes: Iterable[Namespace]) -> None:
    """Raises PhysicalPort when a namespace holds a real port."""
    for node in nodes:
        links = json.loads(node.run(["ip", "-details", "-json", "link", "show"]) or "[]")
        if held := physical(links):
            raise PhysicalPort(f"the namespace of {node.name} holds {', '.join(held)}: no lab touches a real port")
