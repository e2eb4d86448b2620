"""Tests for a guest whose kernel has bonding (tests/contract/test_bonds.py): a device whose lags are its bonds.

As in vlan_links.py there are no netdev tables and no FRR, so all items but filters, tunnels and routing stand here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.device_ns import DeviceNamespace
from support.linux_models import PORTS, bonded, red, shared, trunk
from support.vlan_links import HERE, Device
from underlace.drivers.linux.io import LinuxDoor

ITEMS = HERE | {"bond", "bond-member"}
TWO = bonded("bond1", "swp2", "swp6")
FABRIC = TWO + red(("bond1", "swp5")) + shared()


@pytest.fixture
def leaf() -> Iterator[Device]:
    with DeviceNamespace("leaf1") as device:
        for port in PORTS:
            device.add_port(port)
        device.run("ip", "-batch", "-", stdin="".join(f"link set x-{port} up mtu 9216\n" for port in PORTS))
        yield Device(device, ITEMS)


def bond(leaf: Device, netns: str, name: str = "bond1") -> tuple[set[str], dict[str, Any]]:
    """Members of a bond that are up, and what the kernel says of it."""
    said = json.loads(leaf.device.run("ip", "-json", "-details", "link", netns=netns))
    members = {link["ifname"] for link in said if link.get("master") == name and "UP" in link["flags"]}
    (data,) = (
        link["linkinfo"]["info_data"] | {"ifindex": link["ifindex"]} for link in said if link["ifname"] == name
    )
    return members, data


def test_a_lag_is_a_bond_of_the_kernel(leaf: Device) -> None:
    assert leaf.device.call(leaf.door.lacks) == {}
    assert leaf.reach(FABRIC) > 0
    assert leaf.reach(FABRIC) == 0
    members, data = bond(leaf, "vpc-1")
    assert members == {"swp2", "swp6"}
    assert (data["mode"], data["min_links"], data["ad_lacp_rate"], data["miimon"]) == ("802.3ad", 1, "fast", 100)
    leaf.door = leaf.device.call(LinuxDoor)
    assert leaf.reach(FABRIC) == 0


def test_members_come_and_go_and_are_ports_again(leaf: Device) -> None:
    leaf.reach(FABRIC)
    index = bond(leaf, "vpc-1")[1]["ifindex"]
    leaf.reach(bonded("bond1", "swp2", "swp3", least=2) + red(("bond1", "swp5", "swp6")) + shared(()))
    members, data = bond(leaf, "vpc-1")
    assert (members, data["min_links"]) == ({"swp2", "swp3"}, 2)
    assert data["ifindex"] == index
    leaf.reach(bonded("bond1", "swp3") + bonded("bond2", "swp2")[-2:] + red(("bond1", "bond2")) + shared(()))
    assert (bond(leaf, "vpc-1")[0], bond(leaf, "vpc-1", "bond2")[0]) == ({"swp3"}, {"swp2"})


def test_a_lag_moves_between_vpcs_carries_vlans_and_goes(leaf: Device) -> None:
    leaf.reach(FABRIC)
    leaf.reach(TWO + red(()) + shared(("bond1",)) + trunk(("bond1", 10, 10_101, "vpc-1")))
    assert bond(leaf, "vpc-2")[0] == {"swp2", "swp6"}
    assert leaf.links("vpc-1") == {"bond1.10": "vlan"}
    leaf.reach(TWO + red(("swp3",)) + shared(()))
    assert bond(leaf, "")[0] == {"swp2", "swp6"}
    leaf.reach(bonded() + red(("swp2",)) + shared(()))
    assert "bond1" not in leaf.device.run("ip", "link") + leaf.device.run("ip", "link", netns="vpc-1")


def test_another_mode_is_another_bond(leaf: Device) -> None:
    leaf.reach(FABRIC)
    leaf.reach(bonded("bond1", "swp2", "swp6", mode="static") + red(("bond1", "swp5")) + shared())
    members, data = bond(leaf, "vpc-1")
    assert (members, data["mode"]) == ({"swp2", "swp6"}, "balance-xor")


HAND = {
    "a member has left": ["ip", "link", "set", "swp6", "nomaster"],
    "a member is down": ["ip", "link", "set", "swp6", "down"],
    "another port has joined": ["sh", "-c", "ip link set swp5 down && ip link set swp5 master bond1"],
    "the bond is gone": ["ip", "link", "del", "bond1"],
    "the bond is down": ["ip", "link", "set", "bond1", "down"],
    "fewer links are enough": ["ip", "link", "set", "bond1", "type", "bond", "min_links", "0"],
}


def test_what_a_hand_changed_is_seen_and_mended(leaf: Device) -> None:
    leaf.reach(FABRIC)
    for what, command in HAND.items():
        leaf.device.run(*command, netns="vpc-1")
        assert leaf.reach(FABRIC) > 0, what
        assert bond(leaf, "vpc-1")[0] == {"swp2", "swp6"}, what
