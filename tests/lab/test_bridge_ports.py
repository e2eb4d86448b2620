"""A bridge port: a switch of others is behind a leaf's port, and a VLAN of it joins a V-Net with all its hosts.

r1 ── leaf1 ══ fabric ══ leaf2 ── r2            red-web, VLAN 100 of swp12@leaf1 and swp12@leaf2
      swp12 ══ old1 ─┬─ h1                      old1, old2: switches whose ports are in VLAN 100
                     ├─ h2
                     └─ h3                      old2 has no host at first
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from lab.test_attacks import SEND
from lab.test_tagged_ports import WEB, member, server
from support.fabric import Pinger, judged, poll
from underlace.lab.fabric import Fabric

HOSTS = {f"h{n}": (f"10.1.1.6{n}", f"2001:db8:1:1::6{n}") for n in (1, 2, 3)}
BRIDGED = ("swp12@leaf1 100", "swp12@leaf2 100")
BPDU = "0180c2000000OWN0026424203" + "00" * 38
"""To the group address of spanning tree (IEEE 802.1D)."""

HEAR = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind((sys.argv[1], 0)); s.settimeout(20)
print("listens", flush=True)
while (got := s.recvfrom(2000))[0][:6].hex() != "0180c2000000" or got[1][2] == socket.PACKET_OUTGOING: pass
print("heard", flush=True)
"""
MANY = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind((sys.argv[1], 0))
for n in range(int(sys.argv[2])):
    s.send(b"\\xff" * 6 + bytes.fromhex("0677") + n.to_bytes(4, "big") + bytes.fromhex("88b5") + bytes(46))
"""


@pytest.fixture(scope="module")
def more() -> tuple[dict[str, Any], ...]:
    ports = [{**member(port), "bridge": True} for port in BRIDGED]
    ports = [*ports, member("swp5@leaf1"), member("swp5@leaf2")]
    loose = [
        {
            "kind": "server",
            "name": name,
            "spec": {"site": "dc1", "nics": [{"name": "eth1", "addresses": [f"{four}/24", f"{six}/64"]}]},
        }
        for name, (four, six) in HOSTS.items()
    ]
    return (
        {
            "kind": "vnet",
            "tenant": "acme",
            "name": "red-web",
            "spec": {"vpc": "red", "gateways": WEB, "ports": ports},
        },
        *server("old1", "swp12@leaf1", v100=[]),
        *server("old2", "swp12@leaf2", v100=[]),
        *loose,
    )


def plug(fabric: Fabric, name: str, switch: str) -> None:
    """A cable between a host and a port of an old switch. The host's MAC address is its own."""
    four, six = HOSTS[name]
    host, other = fabric.node(name), fabric.node(switch)
    fabric.void().ip([f"link add eth1 netns {host.net()} type veth peer name {name} netns {other.net()}"])
    other.ip([f"link set {name} mtu 9000 master br0 up"])
    host.ip(
        [
            "link set lo up",
            f"link set eth1 address 06:00:00:00:00:0{name[1:]} mtu 9000 up",
            f"addr add {four}/24 dev eth1",
            f"addr add {six}/64 dev eth1 nodad",
            "route add default via 10.1.1.1",
            "route add default via 2001:db8:1:1::1",
        ]
    )


@pytest.fixture(scope="module")
def legacy(fabric: Fabric) -> Fabric:
    """The fabric with its old switches, and their hosts."""
    for switch in ("old1", "old2"):
        fabric.node(switch).ip(
            ["link add br0 type bridge", "link set br0 addrgenmode none up", "link set eth1.100 master br0 up"]
        )
    for name in HOSTS:
        plug(fabric, name, "old1")
    return fabric


def answers(fabric: Fabric, source: str, *addresses: str) -> list[str]:
    asked = [{"id": a, "protocol": "tcp", "address": a, "timeout": 1.0} for a in addresses]
    found = fabric.probe(source, asked)
    return [found[a] for a in addresses]


def test_the_hosts_of_a_vlan_are_in_the_v_net(legacy: Fabric) -> None:
    """Both families, from each other, from both leaves and by the gateway; and nobody of another VPC reaches them."""
    addresses = [address for pair in HOSTS.values() for address in pair]
    names = [name for name in HOSTS for _ in range(2)]
    for source in ("r1", "r2", "r3"):
        poll(f"{source} to reach them", lambda s=source: answers(legacy, s, *addresses) == names)
    for source in HOSTS:
        others = ["10.1.1.11", "2001:db8:1:1::12", "10.1.2.13", "10.9.1.11"]
        poll(
            f"{source} to reach others", lambda s=source, o=others: answers(legacy, s, *o) == ["r1", "r2", "r3", "s1"]
        )
    assert answers(legacy, "h1", HOSTS["h2"][0], HOSTS["h3"][1]) == ["h2", "h3"]
    assert answers(legacy, "b1", *addresses) == [""] * 6
    verdict = judged(legacy)
    assert [wrong for wrong in verdict.wrong if not {wrong.source, wrong.expected, wrong.got} & HOSTS.keys()] == []


def test_spanning_tree_passes_between_bridge_ports_and_from_no_other(legacy: Fabric) -> None:
    """The old network may be on two leaves: it must see the loop. A server has no say in its tree."""
    leaf, old2, red = legacy.node("leaf1"), legacy.node("old2"), legacy.vrf("acme/red")
    ear = subprocess.Popen(
        old2.command([sys.executable, "-c", HEAR, "eth1.100"]),
        stdout=subprocess.PIPE,
        text=True,
        env=old2.environment(),
    )
    assert ear.stdout is not None
    with ear:
        assert ear.stdout.readline() == "listens\n"
        legacy.node("old1").run([sys.executable, "-c", SEND.replace("eth1", "eth1.100"), "3", BPDU])
        assert ear.stdout.readline() == "heard\n"

    def dropped() -> int:
        listed = leaf.run(["nft", "list", "table", "netdev", "underlace_swp5"], red)
        words = next(line for line in listed.splitlines() if "01:80:c2:00:00:00" in line).split()
        return int(words[words.index("packets") + 1])

    before = dropped()
    legacy.node("r1").run([sys.executable, "-c", SEND, "3", BPDU])
    poll("it to be dropped", lambda: dropped() == before + 3)


def learnt(fabric: Fabric, link: str) -> int:
    said = fabric.node("leaf1").run(["bridge", "-json", "fdb", "show", "brport", link], fabric.vrf("acme/red"))
    return len([row for row in json.loads(said) if row["mac"].startswith("06:77")])


def test_many_hosts_are_behind_a_bridge_port_and_few_behind_a_server(legacy: Fabric) -> None:
    """Broadcast is bounded: a storm of the old network is not the fabric's."""
    for _ in range(2):  # at most 4,000 at once
        legacy.node("old1").run([sys.executable, "-c", MANY, "eth1.100", "3000"])
    poll("their addresses to be learnt", lambda: learnt(legacy, "swp12.100") == 3000)
    legacy.node("r1").run([sys.executable, "-c", MANY, "eth1", "3000"])
    assert learnt(legacy, "swp5") <= 1_024


def test_a_host_moves_from_one_old_switch_to_another(legacy: Fabric) -> None:
    legacy.node("h1").ip(["link del eth1"])
    plug(legacy, "h1", "old2")
    ping = Pinger(legacy, "h1", "10.1.1.1", 0.1)  # it speaks, as a host does that comes up
    try:
        poll(
            "r1 and r2 to reach it",
            lambda: [answers(legacy, s, HOSTS["h1"][0]) for s in ("r1", "r2")] == [["h1"]] * 2,
        )
        poll("h3 to reach it", lambda: answers(legacy, "h3", *HOSTS["h1"]) == ["h1", "h1"])
    finally:
        ping.stop()


def test_a_gateway_of_the_old_network_is_a_host(legacy: Fabric) -> None:
    """One with another address than the V-Net's; one that claims the V-Net's is reported."""
    legacy.node("h3").ip(["addr add 10.1.1.254/24 dev eth1"])
    poll("it to be reached", lambda: answers(legacy, "r2", "10.1.1.254") == ["h3"])
    claim = "ff" * 6 + "OWN08060001080006040001OWN0a0101010000000000000a010101"
    legacy.node("h3").run([sys.executable, "-c", SEND, "5", claim])
    legacy.stop_agents(["leaf1"])
    legacy.start_agents(["leaf1"])
    poll(
        "the status to say so",
        lambda: "10.1.1.1 is claimed by" in json.dumps(legacy.api.get("/v1/status")["warnings"]),
    )
