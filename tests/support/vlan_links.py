"""Tests for a guest whose kernel has 8021q (tests/contract/test_vlan_links.py): a device whose VLANs are its links.

That kernel has no netdev tables and the device no FRR, so all items but filters, tunnels and routing stand here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from support.device_ns import DeviceNamespace
from support.frames import End, Tags, frame, q
from support.linux_models import PORTS, TAGS, Objects, base, red, shared, trunk, vnet
from underlace.diff.change import changes
from underlace.diff.order import ordered
from underlace.drivers.linux import LinuxDriver
from underlace.drivers.linux.io import LinuxDoor
from underlace.drivers.linux.native import Bridge
from underlace.drivers.protocol import Items
from underlace.model.device import Port

DRIVER = LinuxDriver()
HERE = frozenset({"netns", "bridge", "placement", "tag", "port"})
FABRIC = base() + red() + shared() + TAGS


class Device:
    """here: the types of items that can stand on it."""

    def __init__(self, device: DeviceNamespace, here: frozenset[str] = HERE) -> None:
        self.device, self.door, self.here = device, device.call(LinuxDoor), here

    def items(self, objects: Objects) -> Items:
        return {key: item for key, item in DRIVER.items(objects).items() if key[0] in self.here}

    def read(self, target: Items) -> Items:
        """What is there. A bridge without a tunnel takes the MTU of its ports."""
        found = self.device.call(self.door.read, [*target, ("netns", "vpc-1"), ("netns", "vpc-2"), ("netns", "")])
        here = {key: item for key, item in found.items() if key[0] in self.here}
        for key, wanted in target.items():
            if isinstance(wanted, Bridge) and isinstance(held := here.get(key), Bridge):
                here[key] = replace(held, mtu=wanted.mtu)
        return here

    def reach(self, objects: Objects) -> int:
        target = self.items(objects)
        plan = ordered(self.read(target), target)
        assert self.device.call(self.door.run, plan) == []
        assert changes(self.read(target), target) == []
        return len(plan)

    def links(self, netns: str) -> dict[str, str]:
        """Kinds of the VLANs' links."""
        said = json.loads(self.device.run("ip", "-json", "-details", "link", netns=netns))
        return {link["ifname"]: link["linkinfo"]["info_kind"] for link in said if "." in link["ifname"]}


@pytest.fixture
def leaf() -> Iterator[Device]:
    with DeviceNamespace("leaf1") as device:
        for port in PORTS:
            device.add_port(port)
        device.run("ip", "-batch", "-", stdin="".join(f"link set x-{port} up mtu 9216\n" for port in PORTS))
        yield Device(device)


def test_a_vlan_is_a_link_of_the_kernel(leaf: Device) -> None:
    assert leaf.device.call(leaf.door.lacks) == {}
    assert leaf.reach(FABRIC) > 0
    assert leaf.reach(FABRIC) == 0
    assert leaf.links("vpc-1") == {"swp3.10": "vlan", "swp6.20": "vlan"}
    assert leaf.links("vpc-2") == {"swp2.10": "vlan"}
    assert "clsact" not in leaf.device.run("tc", "qdisc", "show")
    leaf.door = leaf.device.call(LinuxDoor)
    assert leaf.reach(FABRIC) == 0


def test_tags_lead_into_the_v_net_of_their_port(leaf: Device) -> None:
    leaf.reach(FABRIC)
    ends = {port: leaf.device.call(End, f"x-{port}") for port in ("swp2", "swp3", "swp6")}

    def out(by: str, tags: Tags, at: str) -> list[int]:
        text = f"{by} {tags} {at}".encode()
        ends[by].send(frame(text, tags))
        while (seen := ends[at].receive(10.0)) is not None:
            if seen[1] == text:
                return seen[0]
        raise AssertionError(f"{text!r} does not arrive")

    assert out("swp3", q(10), "swp2") == []
    assert out("swp3", q(10), "swp6") == [20]
    assert out("swp2", (), "swp6") == [20]
    assert out("swp2", q(10), "swp3") == []
    assert out("swp3", (), "swp2") == [10]
    for end in ends.values():
        end.close()


def test_vlans_come_and_go_and_move(leaf: Device) -> None:
    leaf.reach(FABRIC)
    many = [one for vlan in range(100, 112) for one in trunk(("swp3", vlan, 10_202, "vpc-2"))]
    index = leaf.device.run("cat", "/proc/net/vlan/config", netns="vpc-1")
    leaf.reach([*FABRIC, *vnet("vpc-2", 10_202, 9), *many])
    assert len(leaf.links("vpc-2")) == 13
    assert leaf.device.run("cat", "/proc/net/vlan/config", netns="vpc-1") == index
    leaf.reach(base() + red(("swp3",)) + shared(("swp2",)) + trunk(("swp2", 10, 10_101, "vpc-1")))
    assert leaf.links("vpc-1") == {"swp2.10": "vlan"}
    leaf.reach(FABRIC)
    assert leaf.links("vpc-1") == {"swp3.10": "vlan", "swp6.20": "vlan"}


HAND = {
    "a VLAN's link is gone": ("vpc-1", ["ip", "link", "del", "swp3.10"]),
    "a VLAN's link is down": ("vpc-1", ["ip", "link", "set", "swp6.20", "down"]),
    "nobody knows whose a VLAN's link is": ("vpc-1", ["ip", "link", "set", "swp6.20", "alias", ""]),
    "a link is of another VLAN": (
        "",
        [
            "sh",
            "-c",
            "ip -n vpc-1 link del swp6.20 && ip link add link swp6 name swp6.20 netns vpc-1 type vlan id 21",
        ],
    ),
}


def test_what_a_hand_changed_is_seen_and_mended(leaf: Device) -> None:
    leaf.reach(FABRIC)
    target = leaf.items(FABRIC)
    for what, (netns, command) in HAND.items():
        leaf.device.run(*command, netns=netns)
        assert changes(leaf.read(target), target), f"not seen: {what}"
        assert leaf.reach(FABRIC) > 0, what


def test_the_mtu_of_a_port_and_of_its_vlans_grow_together(leaf: Device) -> None:
    """A VLAN's is at most that of its port."""
    for mtu in (1_500, 9_216, 9_000):
        assert leaf.reach([replace(one, mtu=mtu) if isinstance(one, Port) else one for one in FABRIC]) > 0
