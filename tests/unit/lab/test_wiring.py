"""The `ip` commands of a lab, and its refusal of real ports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from underlace.lab import intent, wiring
from underlace.lab.namespace import Namespace
from underlace.lab.topology import Nic, topology
from underlace.model.net import interface

QUICKSTART = Path(__file__).resolve().parents[3] / "examples" / "quickstart"


@pytest.fixture(scope="module")
def lines() -> list[str]:
    lab = topology(intent.read(QUICKSTART))
    nodes = {name: Namespace(name, 1_000 + i, True, "x") for i, name in enumerate(lab.nodes)}
    return wiring.cables(lab, nodes, Namespace("oob", 900, True, "x"), Namespace("holder", 901, False, "x"))


def test_every_port_of_every_switch_exists_once(lines: list[str]) -> None:
    ends = [word for line in lines for word in line.split() if word.startswith("swp")]
    assert len(ends) == 3 * 16 + 2 * 8


def test_every_link_is_born_in_a_namespace_of_the_lab(lines: list[str]) -> None:
    assert all(line.count(" netns /proc/") == 2 for line in lines)


def test_switch_ports_take_the_underlay_s_mtu_and_hosts_that_of_their_v_net(lines: list[str]) -> None:
    (fabric,) = [line for line in lines if "add swp1 " in line and "peer name swp1 " in line and "/1000/" in line]
    assert fabric.count("mtu 9216") == 2
    (host,) = [line for line in lines if "peer name swp5 " in line and "/1000/" in line]
    assert host.startswith("link add eth1 mtu 9000 ")
    assert "peer name swp5 mtu 9216" in host


def test_management_addresses_are_distinct_beyond_one_octet() -> None:
    found = wiring.mgmt_addresses(f"leaf{i}" for i in range(400))
    assert len(set(found.values())) == 400
    assert wiring.CONTROLLER_ADDRESS not in found.values()


def test_a_host_s_addresses_are_usable_at_once() -> None:
    nic = Nic("eth1", (interface("10.0.0.2/24"), interface("2001:db8::2/64")), wiring.End("leaf1", "swp1"), 1_500)
    lines = wiring.end_system([nic])
    assert "addr add 10.0.0.2/24 dev eth1" in lines
    assert "addr add 2001:db8::2/64 dev eth1 nodad" in lines


def test_a_nic_without_a_cable_is_left_out() -> None:
    assert wiring.end_system([Nic("eth9", (), None, 1_500)]) == ["link set lo up"]


VIRTUAL = """[
 {"ifname": "lo", "link_type": "loopback"},
 {"ifname": "swp1", "link_type": "ether", "linkinfo": {"info_kind": "veth"}},
 {"ifname": "br10", "link_type": "ether", "linkinfo": {"info_kind": "bridge"}}]"""
REAL = """[
 {"ifname": "eth0", "link_type": "ether", "parentbus": "virtio", "parentdev": "virtio2"},
 {"ifname": "eno1", "link_type": "ether"},
 {"ifname": "wan", "link_type": "ether", "linkinfo": {"info_kind": "veth"}, "parentbus": "pci", "parentdev": "0"}]"""


def test_software_links_are_no_real_ports() -> None:
    assert wiring.physical(json.loads(VIRTUAL)) == []


def test_real_ports_are_recognised() -> None:
    assert wiring.physical(json.loads(REAL)) == ["eth0", "eno1", "wan"]
