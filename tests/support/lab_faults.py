"""Each fault of a lab as it is tried on the quickstart: where it is put, and how others than its proof see it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from underlace.lab.control import ControllerGone
from underlace.lab.expect import NOBODY
from underlace.lab.fabric import Fabric


class Case(NamedTuple):
    """words: after the fault's name. shows: whether the fault is noticed."""

    words: Callable[[Fabric], Sequence[str]]
    shows: Callable[[Fabric], bool]


def said(fabric: Fabric, node: str, command: str, vpc: str = "") -> str:
    """What a command says on a node, or in a VPC on it."""
    return fabric.node(node).run(command.split(), fabric.vrf(vpc) if vpc else "", check=False)


def answers(fabric: Fabric, source: str, address: str) -> bool:
    return fabric.probe(source, [{"id": "x", "address": address, "timeout": 0.5}])["x"] != NOBODY


def pinged(fabric: Fabric, source: str, address: str, count: int = 1, size: int = 56) -> int:
    """How many echo requests were answered."""
    told = said(fabric, source, f"ping -n -q -c {count} -i 0.01 -s {size} -W 1 {address}")
    found = re.search(r"(\d+) received", told)
    assert found, told
    return int(found[1])


def neighbour_of(fabric: Fabric, node: str, port: str) -> str:
    """Who speaks BGP at the other end of a port."""
    command = ["vtysh", "-c", f"show bgp neighbors {port} json"]
    return str(json.loads(fabric.node(node).run(command))[port].get("hostname"))


def hangs(fabric: Fabric, node: str, daemon: str) -> bool:
    words = ["timeout", "1", "vtysh", "-d", daemon, "-c", "show version"]
    return "FRRouting" not in fabric.node(node).run(words, check=False)


def in_reach(fabric: Fabric, node: str) -> bool:
    """Whether a device gets a connection to its controller."""
    words = ["timeout", "1", "bash", "-c", "echo > /dev/tcp/172.31.0.1/8443 && echo fine"]
    return "fine" in fabric.node(node).run(words, "mgmt", check=False)


def controlled(fabric: Fabric) -> bool:
    try:
        fabric.answering()
    except ControllerGone:
        return False
    return True


def room(fabric: Fabric, node: str) -> int:
    """KiB that are free where an agent keeps its state."""
    place = fabric.state.directory / "devices" / node / "agent"
    return int(said(fabric, node, f"df --output=avail {place}").split()[1])


def established(fabric: Fabric, node: str, neighbour: str, vpc: str = "") -> bool:
    vrf = f" vrf {fabric.vrf(vpc)}" if vpc else ""
    command = ["vtysh", "-c", f"show bgp{vrf} neighbors {neighbour} json"]
    told = json.loads(fabric.node(node).run(command, check=False) or "{}")
    return bool(told.get(neighbour, {}).get("bgpState") == "Established")


def checksum_errors(fabric: Fabric, node: str) -> int:
    """IPv4 packets that a node dropped because their checksum was wrong."""
    lines = [line.split() for line in said(fabric, node, "cat /proc/net/netstat").splitlines()]
    names, values = (line for line in lines if line[0] == "IpExt:")
    return int(dict(zip(names, values, strict=True))["InCsumErrors"])


def damaged(fabric: Fabric) -> bool:
    before = checksum_errors(fabric, "r1")
    return pinged(fabric, "r1", "10.1.1.1", 50) < 50 and checksum_errors(fabric, "r1") > before


def vni(fabric: Fabric) -> str:
    """Of the V-Net of r1 and r2."""
    return str(fabric.api.get("/v1/resources/vnet/acme/red-web")["status"]["allocated"]["vni"])


def on(*words: str) -> Callable[[Fabric], Sequence[str]]:
    return lambda fabric: words


CASES = {
    "shut": Case(on("swp1@leaf1"), lambda f: ",UP" not in said(f, "leaf1", "ip link show dev swp1")),
    "flap": Case(on("swp2@leaf1", "0.3"), lambda f: "NO-CARRIER" in said(f, "spine2", "ip link show dev swp1")),
    "mtu": Case(on("swp1@leaf2"), lambda f: " mtu 1500 " in said(f, "leaf2", "ip link show dev swp1")),
    "silent-loss": Case(on("swp1@leaf3"), lambda f: not established(f, "spine1", "swp3")),
    "packet-loss": Case(on("swp5@leaf1"), lambda f: pinged(f, "r1", "10.1.1.1", 50) < 50),
    "corruption": Case(on("swp5@leaf1"), damaged),
    "slow-link": Case(on("swp5@leaf1"), lambda f: pinged(f, "r1", "10.1.1.1", 50, 1_400) < 50),
    "carrier-loss": Case(on("swp1@leaf3"), lambda f: "NO-CARRIER" in said(f, "spine1", "ip link show dev swp3")),
    "swapped-cables": Case(on("swp1@leaf1", "swp1@leaf2"), lambda f: neighbour_of(f, "spine1", "swp1") == "leaf2"),
    "misrouted-prefix": Case(
        on("leaf1/red", "10.1.2.13/32", "10.1.1.11"), lambda f: not answers(f, "r1", "10.1.2.13")
    ),
    "stopped-daemon": Case(on("leaf1"), lambda f: not established(f, "spine1", "swp1")),
    "hung-daemon": Case(on("leaf2"), lambda f: hangs(f, "leaf2", "bgpd")),
    "killed-agent": Case(on("leaf3"), lambda f: not f.agent("leaf3")),
    "killed-controller": Case(on(), lambda f: not controlled(f)),
    "blocked-controller": Case(on("leaf2"), lambda f: not in_reach(f, "leaf2")),
    "full-disk": Case(on("leaf1"), lambda f: room(f, "leaf1") == 0),
    "power-off": Case(on("spine2"), lambda f: "NO-CARRIER" in said(f, "leaf1", "ip link show dev swp2")),
    "wrong-gateway": Case(on("r1"), lambda f: not answers(f, "r1", "10.1.2.13")),
    "wrong-as": Case(on("swp1@leaf1"), lambda f: not established(f, "spine1", "swp1")),
    "bgp-shutdown": Case(on("swp16@leaf1"), lambda f: not established(f, "isp1", "192.0.2.0")),
    "wrong-password": Case(on("swp2@leaf2"), lambda f: not established(f, "spine2", "swp2")),
    "hijack": Case(
        on("leaf3/red", "10.1.1.0/25"),
        lambda f: "via 10.255.0.5 " in said(f, "leaf1", "ip route show 10.1.1.0/25", "red"),
    ),
    "missing-advertisement": Case(on("leaf2"), lambda f: not said(f, "leaf1", "ip route show 10.255.0.4/32")),
    "wrong-rt": Case(on("leaf1/red"), lambda f: not answers(f, "r1", "10.1.2.13")),
    "missing-vni": Case(lambda f: ("leaf1", vni(f)), lambda f: not answers(f, "r1", "10.1.1.12")),
    "blackhole-route": Case(on("leaf1/red", "10.1.2.13/32"), lambda f: not answers(f, "r1", "10.1.2.13")),
    "foreign-acl": Case(
        on("leaf3"), lambda f: not any(established(f, spine, "swp3") for spine in ("spine1", "spine2"))
    ),
    "icmp-filter": Case(
        on("leaf1/red"), lambda f: not pinged(f, "r1", "10.1.2.13") and answers(f, "r1", "10.1.2.13")
    ),
    "blocked-prefix": Case(on("leaf1/red", "10.1.2.0/24"), lambda f: not answers(f, "r1", "10.1.2.13")),
}
