"""A device that is no lab: a machine with kernel, service manager and disk of its own, as leaf3 of the quickstart.

The package is installed as docs/how-to/first-real-leaf.md says; the spines and the other leaves are the lab's. A
packet between leaf3's hosts and others goes through the machine's emulated ports. The tests stand on one another.

swp10@leaf3  t3   100 red-db, 300 blue-heartbeat: by 8021q
swp12@leaf3  t5   red-db, once the port is a lag: by bonding
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lab.test_attacks import FRAMES, SEND
from lab.test_tagged_ports import server, vnet
from support import machine as machines
from support.fabric import changes, converged, poll, settled
from support.machine import Machine
from support.machine.leaf import STATE, TOKEN, machine_as, package, provide
from support.scan import checksum
from underlace.lab import control, flows
from underlace.lab.expect import matrix
from underlace.lab.fabric import Fabric

pytestmark = pytest.mark.long

LEAF = "leaf3"
SLOW = 600.0
"""Seconds for what takes a lab's device a few: every instruction is emulated, and others may use the machine."""


class Leaf(NamedTuple):
    fabric: Fabric
    machine: Machine
    deb: Path


@pytest.fixture(scope="module")
def more() -> tuple[dict[str, Any], ...]:
    """BFD that an emulated device can keep up with."""
    timers = {"transmit": 1_000, "receive": 1_000, "multiplier": 5}
    return (
        {"kind": "profile", "name": "default", "spec": {"underlay": {"bfd": timers}}},
        red_db(),
        vnet("bolt", "blue-heartbeat", "blue", [], "swp7@leaf2", "swp7@leaf3", "swp10@leaf3 300"),
        *server("t3", "swp10@leaf3", v100=["10.1.2.53/24", "2001:db8:1:2::53/64"], v300=["192.168.77.53/24"]),
        *server("t5", "swp12@leaf3", v0=["10.1.2.55/24"]),
    )


def red_db(*more: str) -> dict[str, Any]:
    gateways = ["10.1.2.1/24", "2001:db8:1:2::1/64"]
    return vnet("acme", "red-db", "red", gateways, "swp5@leaf3", "swp10@leaf3 100", *more)


@pytest.fixture(scope="module")
def leaf(fabric: Fabric, place: Path, failures: Callable[[], bool]) -> Iterator[Leaf]:
    if reason := machines.missing():
        pytest.skip(reason)
    with machine_as(fabric, LEAF, place / "machine") as machine:
        machine.start()
        try:
            yield Leaf(fabric, machine, package())
        finally:
            if failures():
                print(machine.console.read_text(errors="replace")[-4_000:])


def journal(machine: Machine) -> str:
    return machine.run("journalctl", "--no-pager", "--output=cat", "--unit=underlace-agent", check=False)


def answered(leaf: Leaf) -> None:
    """Every allowed flow is; and then the whole matrix is right."""
    wanted = matrix(leaf.fabric.intent)
    left = flows.converge(wanted, leaf.fabric, SLOW)
    assert not left, f"not answered: {left[:10]}\n{journal(leaf.machine)[-4_000:]}"
    assert flows.run(flows.checks(wanted.flows), leaf.fabric) == []


def test_it_is_installed_enrols_and_joins(leaf: Leaf) -> None:
    provide(leaf.fabric, LEAF, leaf.machine, leaf.deb)
    leaf.machine.run("systemctl", "restart", "underlace-management", "frr", seconds=SLOW)
    before = last_report(leaf.fabric)  # of the lab's own agent
    leaf.machine.run("systemctl", "start", "underlace-agent", seconds=SLOW)
    try:
        poll("the machine's agent to report", lambda: last_report(leaf.fabric) > before, SLOW)
        settled(leaf.fabric, SLOW)
    except AssertionError as late:
        raise AssertionError(f"{late}\n{journal(leaf.machine)[-6_000:]}") from late
    answered(leaf)


def test_the_token_is_gone_and_was_never_in_a_command_line(leaf: Leaf) -> None:
    assert "No such file" in leaf.machine.run("cat", TOKEN, check=False)
    assert leaf.machine.run("stat", "-c", "%a", STATE) == "700\n"
    assert "token" not in leaf.machine.run("ps", "-eo", "args")


def test_the_underlay_is_closed(leaf: Leaf) -> None:
    """Law 11's guards are in the device's own kernel, and the flow matrix with forged packets finds no way in."""
    assert "table inet underlace" in leaf.machine.run("nft", "list", "tables")
    known, own = (
        leaf.fabric.underlay(),
        json.loads(leaf.machine.run("ip", "-json", "-4", "address", "show", "dev", "lo")),
    )
    loopback = next(a["local"] for a in own[0]["addr_info"] if a["scope"] == "global")
    vnis = tuple(sorted(map(int, json.loads(leaf.machine.run("vtysh", "-c", "show evpn vni json")))))
    assert loopback not in known.loopbacks
    assert vnis
    everything = flows.Underlay((*known.loopbacks, loopback), {**known.vnis, loopback: vnis})
    verdict = flows.verdict(matrix(leaf.fabric.current_intent()), everything, leaf.fabric)
    assert verdict.good, verdict.wrong[:10]


def dropped(leaf: Leaf, netns: str, guard: str, word: str) -> int:
    """Packets that a rule of a port's guard has counted."""
    inside = ("ip", "netns", "exec", netns) if netns else ()
    listed = leaf.machine.run(*inside, "nft", "list", "table", "netdev", f"underlace_{guard}")
    words = next(line for line in listed.splitlines() if word in line and "counter" in line).split()
    return int(words[words.index("packets") + 1])


def is_dropped(leaf: Leaf, host: str, frame: str, netns: str, guard: str, word: str) -> None:
    """A host sends a frame some times; a rule of a guard counts them."""
    before = dropped(leaf, netns, guard, word)
    leaf.fabric.node(host).run([sys.executable, "-c", SEND, str(FRAMES), frame])
    poll(f"{word} of {guard} to count", lambda: dropped(leaf, netns, guard, word) >= before + FRAMES, SLOW)


def ipv4(to: str, tags: str = "") -> str:
    """A broadcast frame with an empty UDP packet from 10.1.2.53 to an address. Bridges on its way look at its sum."""
    ends = IPv4Address("10.1.2.53").packed + IPv4Address(to).packed
    head = bytes.fromhex("45000014000100004011")
    packet = head + checksum(head + b"\0\0" + ends).to_bytes(2) + ends
    return "ff" * 6 + "OWN" + tags + "0800" + packet.hex()


def test_tags_are_the_kernels_and_are_guarded(leaf: Leaf) -> None:
    """What the flow matrix has shown for declared VLANs went by 8021q; others are counted and lead nowhere."""
    red = leaf.fabric.vrf("acme/red")
    link = json.loads(leaf.machine.run("ip", "-n", red, "-json", "-details", "link", "show", "swp10.100"))[0]
    assert link["linkinfo"]["info_data"]["protocol"] == "802.1Q"
    is_dropped(leaf, "t3", ipv4("10.1.2.12", "8100012d"), "", "swp10", "vlan id != 0")
    is_dropped(leaf, "t3", ipv4("10.1.2.12", "810000648100004d"), "", "swp10", "meta protocol")
    inwards = ipv4(leaf.fabric.underlay().loopbacks[0], "81000064")
    is_dropped(leaf, "t3", inwards, red, "swp10.100", "ip daddr @underlay4 counter")


LAG = {"kind": "lag", "name": "bond1@leaf3", "spec": {"members": ["swp12"], "mode": "static"}}


def test_a_lag_carries_packets_and_is_guarded(leaf: Leaf) -> None:
    fabric, machine, red = leaf.fabric, leaf.machine, leaf.fabric.vrf("acme/red")
    reach = ["ping", "-c", "1", "-W", "5", "10.1.2.13"]
    assert "1 received" not in fabric.node("t5").run(reach, check=False)
    fabric.api.apply([LAG, red_db("bond1@leaf3")])
    settled(fabric, SLOW)
    poll("a packet through the lag", lambda: "1 received" in fabric.node("t5").run(reach, check=False), SLOW)
    bond = json.loads(machine.run("ip", "-n", red, "-json", "-details", "link", "show", "bond1"))[0]
    assert bond["linkinfo"]["info_kind"] == "bond"
    is_dropped(leaf, "t5", ipv4("10.1.2.12", "81000064"), red, "bond1", "vlan id != 0")
    is_dropped(leaf, "t5", ipv4(fabric.underlay().loopbacks[0]), red, "swp12", "ip daddr @underlay4")
    fabric.api.apply([red_db()], ({"kind": "lag", "name": "bond1@leaf3"},))
    settled(fabric, SLOW)
    assert "bond1" not in machine.run("ip", "-all", "netns", "exec", "ip", "-brief", "link")


def test_management_is_in_no_table_of_the_fabric(leaf: Leaf) -> None:
    assert "mgmt0" not in leaf.machine.run("ip", "-brief", "link")
    assert "mgmt" not in leaf.machine.run("vtysh", "-c", "show vrf")


def test_a_reboot_without_the_controller_brings_everything_back(leaf: Leaf) -> None:
    control.stop(leaf.fabric.state)
    try:
        leaf.machine.reboot()
        answered(leaf)
    finally:
        leaf.fabric.start_controller()
    settled(leaf.fabric, SLOW)


NEW = {
    "kind": "vnet",
    "tenant": "acme",
    "name": "red-late",
    "spec": {"vpc": "red", "gateways": ["10.1.3.1/24"], "ports": [{"port": "swp11@leaf3"}]},
}
SUBNET = {"kind": "subnet", "tenant": "acme", "name": "red-late", "spec": {"prefix": "10.1.3.0/24", "vpc": "red"}}


def test_a_power_cut_before_confirm_boots_what_was_confirmed(leaf: Leaf) -> None:
    """The management port goes down as soon as a manifest is on trial: it is applied, and nobody can confirm it."""
    machine, fabric = leaf.machine, leaf.fabric
    waits = f"while [ ! -e {STATE}/candidate.json ]; do sleep 0.05; done; "
    cut = "nsenter --net=/run/underlace/netns/mgmt ip link set mgmt0 down"
    machine.run("systemd-run", "--unit=cut", "sh", "-c", waits + cut)
    fabric.api.apply([SUBNET, NEW])
    machine.poll("the change to be on the device", "ip", "-all", "netns", "exec", "ip", "addr", says="10.1.3.1/24")
    applied = time.monotonic()
    assert f'"{STATE}/candidate.json"' in machine.run("stat", "-c", '"%n"', f"{STATE}/candidate.json")
    machine.power_off()
    assert time.monotonic() - applied < 30, "too late to show anything: the agent may have reverted by itself"
    control.stop(fabric.state)
    try:
        machine.start()
        answered(leaf)
        assert "10.1.3.1/24" not in machine.run("ip", "-all", "netns", "exec", "ip", "addr")
    finally:
        fabric.start_controller()
    settled(fabric, SLOW)
    machine.poll("the change to be made at last", "ip", "-all", "netns", "exec", "ip", "addr", says="10.1.3.1/24")


def test_an_upgrade_touches_nothing(leaf: Leaf) -> None:
    """The same package once more: the agent starts anew, FRR does not, and no route comes or goes."""
    machine = leaf.machine
    before = machine.run("pidof", "zebra", "bgpd", "bfdd", "staticd")
    agent = machine.run("systemctl", "show", "--property=MainPID", "underlace-agent")
    hear = "ip -oneline -n ${n##*/} monitor label route link >>/run/heard 2>&1"
    machine.run("sh", "-c", f"for n in /run/netns/*; do {hear} & done")
    machine.run("dpkg", "--install", "/root/agent.deb", seconds=SLOW)
    assert machine.run("systemctl", "show", "--property=MainPID", "underlace-agent") != agent
    seen = last_report(leaf.fabric)
    poll("the agent to report again", lambda: last_report(leaf.fabric) > seen, SLOW)
    assert machine.run("pidof", "zebra", "bgpd", "bfdd", "staticd") == before
    assert list(filter(changes, machine.run("cat", "/run/heard").splitlines())) == []
    converged(leaf.fabric)


def test_purge_leaves_nothing(leaf: Leaf) -> None:
    machine = leaf.machine
    machine.run("dpkg", "--purge", "underlace-agent", seconds=SLOW)
    kept = machine.run("sh", "-c", "find / -xdev -iname '*underlace*' -not -path '/proc/*' -not -path '/run/*'")
    assert kept == ""
    assert json.loads(machine.run("ip", "-json", "link", "show", "swp1"))[0]["ifname"] == "swp1"


def last_report(fabric: Fabric) -> str:
    found = next(d for d in fabric.api.get("/v1/devices")["items"] if d["name"] == LEAF)
    return found["last_report"] or ""
