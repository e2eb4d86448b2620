"""What a port and a VRF may take of a device's tables: the rules as the driver makes them, in a real kernel.

Rules are loaded as they are but for numbers that are too large to be reached in a test: those are made smaller.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from support.device_ns import DeviceNamespace, missing
from support.linux_models import base, red
from underlace.drivers.linux import LinuxDriver, filters, guards, rules
from underlace.drivers.linux.native import NftTable

pytestmark = pytest.mark.contract

SEND = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth1", 0))
for line in sys.stdin: s.send(bytes.fromhex(line))
"""
BROADCAST, GATEWAY_MAC = "ff" * 6, "02005e000101"
BRIDGE = "br10101"


class Leaf:
    """A V-Net with gateways on two ports, a host behind each; without tables until they are loaded."""

    def __init__(self, device: DeviceNamespace) -> None:
        self.device = device
        device.run("ip", "link", "add", BRIDGE, "address", "02:00:5e:00:01:01", "type", "bridge")
        device.run("ip", "address", "add", "10.1.1.1/24", "dev", BRIDGE)
        device.run("ip", "link", "set", BRIDGE, "up")
        device.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for port, last in (("swp2", 12), ("swp3", 13)):
            device.run("ip", "netns", "add", port)
            device.run(*f"ip link add {port} type veth peer name eth1 netns {port}".split())
            device.run("ip", "link", "set", port, "master", BRIDGE, "up")
            device.run("ip", "address", "add", f"10.1.1.{last}/24", "dev", "eth1", netns=port)
            device.run("ip", "link", "set", "eth1", "up", netns=port)

    def load(self, table: NftTable, *smaller: tuple[str, str]) -> None:
        lines = table.skeleton
        for old, new in smaller:
            assert any(old in line for line in lines), f"no rule has {old}"
            lines = tuple(line.replace(old, new) for line in lines)
        commands = rules.commands(None, replace(table, skeleton=lines))
        self.device.run("nft", "-f", "-", stdin="\n".join(commands) + "\n")

    def send(self, port: str, frames: list[str]) -> None:
        self.device.run(sys.executable, "-c", SEND, netns=port, stdin="\n".join(frames) + "\n")

    def dropped(self, family: str, table: str, *words: str) -> int:
        """Packets counted by the rules of a table that have all these words."""
        listed = self.device.run("nft", "list", "table", family, table).splitlines()
        found = [line for line in listed if "drop" in line and all(word in line for word in words)]
        assert found, f"no rule of {table} has {words}"
        return sum(int(match[1]) for line in found if (match := re.search(r"packets (\d+) bytes", line)))

    def members(self, name: str, table: str = "underlace_swp2") -> int:
        said = json.loads(self.device.run("nft", "-j", "list", "set", "netdev", table, name))
        return len(next(e["set"].get("elem", []) for e in said["nftables"] if "set" in e))

    def neighbours(self) -> list[str]:
        said = json.loads(self.device.run("ip", "-json", "-4", "neigh", "show", "nud", "all", "dev", BRIDGE))
        return [entry["dst"] for entry in said]


@pytest.fixture
def leaf() -> Iterator[Leaf]:
    if reason := missing():
        pytest.skip(reason)
    with DeviceNamespace("leaf1") as device:
        yield Leaf(device)


def table(*key: str) -> NftTable:
    """A table of a leaf whose V-Net has the ports swp2 and swp3, and the gateway 10.1.1.1/24."""
    found = LinuxDriver().items(base() + red(("swp2", "swp3")))[("nft", *key)]
    assert isinstance(found, NftTable)
    return found


def guard(port: str) -> NftTable:
    return table("vpc-1", "netdev", f"underlace_{port}")


def arp(address: str, mac: str) -> str:
    ip = bytes(map(int, address.split("."))).hex()
    return f"{BROADCAST}{mac}08060001080006040001{mac}{ip}000000000000{ip}"


def test_a_port_has_so_many_mac_addresses(leaf: Leaf) -> None:
    leaf.load(guard("swp2"))
    more = 76
    macs = [f"06000000{n:04x}" for n in range(guards.SERVER.macs + more)]
    leaf.send("swp2", [f"{BROADCAST}{mac}88b5{'00' * 46}" for mac in macs])
    learnt = leaf.device.run("bridge", "fdb", "show", "brport", "swp2").count("06:00:00:00:")
    assert guards.SERVER.macs - 4 <= learnt <= guards.SERVER.macs  # the host itself has one, with IPv6 two
    dropped = leaf.dropped("netdev", "underlace_swp2", "@macs")
    assert more <= dropped <= more + 10
    leaf.send("swp2", [f"{BROADCAST}{macs[0]}88b5{'00' * 46}"])
    assert leaf.dropped("netdev", "underlace_swp2", "@macs") <= dropped + 5, "one that is known passes on"
    leaf.load(guard("swp3"))
    leaf.send("swp3", [f"{BROADCAST}06000001000188b5{'00' * 46}"])
    assert leaf.dropped("netdev", "underlace_swp3", "@macs") == 0, "another port has room of its own"


def test_a_port_claims_so_many_addresses(leaf: Leaf) -> None:
    leaf.load(guard("swp2"), (f"size {guards.SERVER.claims};", "size 4;"))
    claims = [arp(f"10.1.1.{n}", "060000000001") for n in range(20, 30)]
    leaf.send("swp2", claims)
    assert leaf.members("claims4") == 4
    assert leaf.dropped("netdev", "underlace_swp2", "@claims4") == 6
    leaf.send("swp2", claims[:1])
    assert leaf.dropped("netdev", "underlace_swp2", "@claims4") == 6, "one that is known may be said again"


def test_a_port_asks_so_often(leaf: Leaf) -> None:
    leaf.load(guard("swp2"))
    frames = 3 * guards.SERVER.burst
    leaf.send("swp2", [arp("10.1.1.12", "060000000001")] * frames)
    dropped = leaf.dropped("netdev", "underlace_swp2", "arp", "limit rate over")
    assert guards.SERVER.burst <= dropped < frames


def test_a_port_that_floods_its_gateway_starves_nobody(leaf: Leaf) -> None:
    for port in ("swp2", "swp3"):
        leaf.load(guard(port))
    leaf.load(table("vpc-1", "inet", "underlace"))
    flood = leaf.device.call(
        subprocess.Popen, ["nsenter", "--net=/run/netns/swp2", "ping", "-nqf", "10.1.1.1"], stdout=subprocess.DEVNULL
    )
    try:
        seen = "underlace_swp2", "icmp type", "limit rate over"
        until = time.monotonic() + 20
        while leaf.dropped("netdev", *seen) < 500:
            assert time.monotonic() < until, "the flood is not held back at its port"
        answer = leaf.device.run("ping", "-nq", "-c", "50", "-i", "0.02", "-W", "1", "10.1.1.1", netns="swp3")
    finally:
        flood.kill()
        flood.wait()
    assert " 50 received" in answer


def test_packets_make_a_gateway_look_for_so_many_hosts(leaf: Leaf) -> None:
    """From another V-Net, or from outside, to silent addresses."""
    device = leaf.device
    small = (f"rate {filters.GLEAN_RATE}/second burst {filters.GLEAN_BURST}", "rate 1/second burst 5")
    leaf.load(table("vpc-1", "inet", "underlace"), small)
    device.run(*["ip", "netns", "add", "out"])
    device.run(*["ip", "link", "add", "swp5", "type", "veth", "peer", "name", "eth1", "netns", "out"])
    device.run(*["ip", "address", "add", "192.0.2.0/31", "dev", "swp5"])
    device.run(*["ip", "link", "set", "swp5", "up"])
    for words in ("address add 192.0.2.1/31 dev eth1", "link set eth1 up", "route add default via 192.0.2.0"):
        device.run("ip", *words.split(), netns="out")
    device.run("ip", "route", "add", "default", "via", "10.1.1.1", netns="swp3")
    device.run("ping", "-nq", "-c", "1", "-W", "2", "10.1.1.13", netns="out")  # one that answers
    knock = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    knock += "for n in range(100, 200): s.sendto(b'x', (f'10.1.1.{n}', 9))"
    device.run(sys.executable, "-c", knock, netns="out")
    assert 1 <= len([n for n in leaf.neighbours() if n != "10.1.1.13"]) <= 10
    assert leaf.dropped("inet", "underlace", "counter") >= 90
    assert " 5 received" in device.run("ping", "-nq", "-c", "5", "-i", "0.05", "-W", "1", "10.1.1.13", netns="out")
