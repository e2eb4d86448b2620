"""VLANs of ports on real Linux, frame by frame: what a tag leads to, and what it never leads to.

red is VNI 10101 in vpc-1: untagged at swp2, VLAN 10 at swp3, VLAN 20 at swp6. shared is VNI 10201 in vpc-2: untagged
at swp3, VLAN 10 at swp2. Nothing is untagged at swp6.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from contract.test_linux_door import DRIVER, Bench, bench, poll
from support.frames import End, Tags, frame, q
from support.linux_models import PORTS, TAGS, Objects, base, red, shared, trunk, vnet
from underlace.diff.change import changes
from underlace.drivers.linux.io import LinuxDoor

__all__ = ["bench"]

pytestmark = pytest.mark.contract

FABRIC = base() + red() + shared() + TAGS
WATCHED = ("swp2", "swp3", "swp6")
MANY = range(100, 140)


class Wires:
    """The far ends of a device's ports."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._number = 0
        device = bench.device
        device.run("ip", "-batch", "-", stdin="".join(f"link set x-{port} up mtu 9216\n" for port in PORTS))
        self.ends = {port: device.call(End, f"x-{port}") for port in WATCHED}

    def close(self) -> None:
        for end in self.ends.values():
            end.close()

    def sent(self, port: str, tags: Tags = (), **more: Any) -> dict[str, list[int]]:
        """Where in `FABRIC` a frame that enters by a port comes out, and its VLANs there. Frames of the untagged
        V-Nets, sent later, say when to stop."""
        text, end = self._next(), b"end of %d" % self._number
        self.ends[port].send(frame(text, tags, **more))
        for marking in ("swp2", "swp3"):
            self.ends[marking].send(frame(end))
        return {name: seen for name in self.ends if (seen := self._seen(name, text, end)) is not None}

    def comes_out(self, port: str, tags: Tags, at: str) -> list[int]:
        """The VLANs of a frame where it has to come out."""
        text = self._next()
        self.ends[port].send(frame(text, tags))
        seen = self._seen(at, text, text)
        assert seen is not None
        return seen

    def _next(self) -> bytes:
        self._number += 1
        return b"frame %d" % self._number

    def _seen(self, name: str, text: bytes, end: bytes) -> list[int] | None:
        found = None
        while True:
            seen = self.ends[name].receive(5.0)
            assert seen is not None, f"{end!r} does not arrive at {name}"
            if seen[1] == text:
                found = seen[0]
            if seen[1] == end:
                return found

    def drain(self) -> None:
        """Forget what has come."""
        for end in self.ends.values():
            while end.receive(0.05) is not None:
                pass


@pytest.fixture
def wires(bench: Bench) -> Iterator[Wires]:
    bench.reach(FABRIC)
    made = Wires(bench)
    yield made
    made.close()


def counted(bench: Bench, netns: str, port: str, word: str) -> int:
    """Packets that the rule of a guard with this word has dropped."""
    listed = bench.device.run("nft", "list", "table", "netdev", f"underlace_{port}", netns=netns)
    words = next(line for line in listed.splitlines() if word in line and "counter" in line).split()
    return int(words[words.index("packets") + 1])


def test_a_tag_leads_into_the_v_net_of_its_port(wires: Wires) -> None:
    """The same VLAN id is another V-Net on each port, and tags are of one cable only."""
    assert wires.sent("swp2") == {"swp3": [10], "swp6": [20]}
    assert wires.sent("swp3", q(10)) == {"swp2": [], "swp6": [20]}
    assert wires.sent("swp6", q(20)) == {"swp2": [], "swp3": [10]}
    assert wires.sent("swp3") == {"swp2": [10]}
    assert wires.sent("swp2", q(10)) == {"swp3": []}


NOWHERE: list[tuple[str, Tags, str, str, str]] = [
    # port, tags, and who drops and counts it: namespace and name of a guard, and words of a rule of it
    ("swp2", q(20), "vpc-1", "swp2", "vlan id != 0"),
    ("swp3", q(30), "vpc-2", "swp3", "vlan id != 0"),
    ("swp6", q(10), "", "swp6", "vlan id != 0"),
    ("swp6", q(10, 20), "", "swp6", "meta protocol"),
    ("swp2", q(20, 10), "vpc-1", "swp2", "meta protocol"),
    ("swp2", q(10, 20), "vpc-2", "swp2.10", "ether type"),
    ("swp2", q(10, 10), "vpc-2", "swp2.10", "ether type"),
    ("swp2", q(10, 0), "vpc-2", "swp2.10", "ether type"),
    ("swp2", q(10, 20, 20), "vpc-2", "swp2.10", "ether type"),
    ("swp2", q(0, 10), "vpc-1", "swp2", "meta protocol"),
    ("swp2", [(0x88A8, 10)], "vpc-1", "swp2", "8021ad counter"),
    ("swp2", [(0x88A8, 10), (0x8100, 10)], "vpc-1", "swp2", "meta protocol"),
    ("swp6", (), "", "swp6", "\t\tcounter"),
    ("swp6", q(0), "", "swp6", "\t\tcounter"),
]


def test_any_other_tag_leads_nowhere(wires: Wires) -> None:
    for port, tags, netns, guard, word in NOWHERE:
        before = counted(wires.bench, netns, guard, word)
        assert wires.sent(port, tags) == {}, (port, tags)
        poll(
            f"{tags} at {port} to be counted",
            lambda at=(netns, guard, word), b=before: counted(wires.bench, *at) == b + 1,
        )


def test_a_priority_tag_is_none(wires: Wires) -> None:
    """VLAN 0 is the port's own V-Net, and no second tag goes out with it."""
    assert wires.sent("swp2", q(0)) == {"swp3": [10], "swp6": [20]}


@pytest.mark.parametrize("port", ["10.255.0.9", "10.255.0.2"])
def test_behind_a_tag_the_underlay_is_closed(wires: Wires, port: str) -> None:
    """VXLAN, and anything else, to an underlay address: dropped and counted at the guard of the VLAN."""
    target = bytes(int(part) for part in port.split("."))
    udp = bytes.fromhex("c00012b5") + (16).to_bytes(2, "big") + bytes(2)
    packet = bytes.fromhex("4500002400010000401100000a010163") + target + udp + bytes.fromhex("0800000000277500")
    to = bytes.fromhex("02005e000101")
    for tags, netns, guard in ((q(10), "vpc-1", "swp3.10"), ((), "vpc-2", "swp3"), (q(0), "vpc-2", "swp3")):
        before = counted(wires.bench, netns, guard, "dport 4789")
        wires.ends["swp3"].send(frame(packet, tags, kind=0x0800, to=to))
        poll(
            f"a packet behind {tags} to be counted at {guard}",
            lambda n=netns, g=guard, b=before: counted(wires.bench, n, g, "4789") > b,
        )


def test_hosts_behind_a_tag_are_bounded_and_heard(wires: Wires) -> None:
    """The limits of a port are those of each of its VLANs, and who claims an address is noticed there too."""
    guard = wires.bench.device.run("nft", "list", "table", "netdev", "underlace_swp3.10", netns="vpc-1")
    assert "size 1024" in guard
    assert "arp saddr ip != @hosts4" in guard
    for source in (7, 8):
        mac = f"0666aabbcc{source:02x}"
        arp = bytes.fromhex(f"0001080006040001{mac}0a010109{'00' * 6}0a010109")
        wires.ends["swp3"].send(frame(arp, q(10), source=source, kind=0x0806))

    def told() -> bool:
        wires.bench.read()
        return [d.address for d in wires.bench.door.duplicates()] == ["10.1.1.9"]

    poll("the second claim to be noticed", told)
    stranger = bytes.fromhex(f"00010800060400010666aabbcc01{'08080808'}{'00' * 6}08080808")
    before = counted(wires.bench, "vpc-1", "swp3.10", "arp saddr ip !=")
    wires.ends["swp3"].send(frame(stranger, q(10), kind=0x0806))
    poll("it to be dropped", lambda: counted(wires.bench, "vpc-1", "swp3.10", "arp saddr ip !=") == before + 1)


def test_the_largest_frame_passes_behind_a_tag(wires: Wires) -> None:
    """The tag is not part of the MTU."""
    text = b"x" * 9_000
    wires.ends["swp3"].send(frame(text, q(10)))
    assert wires.ends["swp6"].receive(2.0) == ([20], text)


class Flood:
    """A frame after the other from swp3, VLAN 10, to swp6, VLAN 20: the next one when the last one has come."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self._over = threading.Event()
        self.sent = self.lost = 0
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        there, here = self._wires.ends["swp3"], self._wires.ends["swp6"]
        while not self._over.is_set():
            self.sent += 1
            there.send(frame(b"%d" % self.sent, q(10)))
            while (seen := here.receive(0.5)) is not None and seen[1] != b"%d" % self.sent:
                pass
            self.lost += seen is None

    def __enter__(self) -> Flood:
        self._thread.start()
        poll("the flood to begin", lambda: self.sent > 10)
        return self

    def __exit__(self, *_: object) -> None:
        before = self.sent
        poll("the flood to go on", lambda: self.sent > before + 10)
        self._over.set()
        self._thread.join()
        self._wires.drain()


def test_vlans_of_a_port_come_and_go_without_a_loss_for_others(wires: Wires) -> None:
    """On both ports of the flow: others are added, moved to another V-Net, taken away, forty at a time."""
    more = vnet("vpc-2", 10_202, 9)
    many: Objects = [one for vlan in MANY for one in trunk(("swp3", vlan, 10_202, "vpc-2"))]
    with Flood(wires) as flood:
        wires.bench.reach([*FABRIC, *more, *many, *trunk(("swp6", 30, 10_202, "vpc-2"))])
        wires.bench.reach([*FABRIC, *more, *trunk(("swp6", 30, 10_202, "vpc-2"), ("swp3", 99, 10_202, "vpc-2"))])
        wires.bench.reach([*FABRIC, *more, *trunk(("swp6", 31, 10_202, "vpc-2"))])
        wires.bench.reach(FABRIC)
    assert (flood.lost, flood.sent > 100) == (0, True)
    assert wires.sent("swp3", q(100)) == {}


def test_what_was_there_is_kept_when_the_agent_starts_again(wires: Wires) -> None:
    """No program is loaded, no filter replaced."""
    ask = ("sh", "-c", "for link in swp6 swp6_20; do tc filter show dev $link ingress; done")
    before = wires.bench.device.run(*ask)
    assert before.count("direct-action") == 2
    wires.bench.door = wires.bench.device.call(LinuxDoor)
    with Flood(wires) as flood:
        assert wires.bench.reach(FABRIC) == 0
    assert flood.lost == 0
    assert wires.bench.device.run(*ask) == before


HAND = {
    "a VLAN's link is gone": ("vpc-1", ["ip", "link", "del", "swp3.10"]),
    "a VLAN's link is down": ("vpc-1", ["ip", "link", "set", "swp6.20", "down"]),
    "a VLAN's link leaves its bridge": ("vpc-1", ["ip", "link", "set", "swp6.20", "nomaster"]),
    "a VLAN's link has another MTU": ("vpc-2", ["ip", "link", "set", "swp2.10", "mtu", "1400"]),
    "nobody knows whose a VLAN's link is": ("vpc-1", ["ip", "link", "set", "swp6.20", "alias", ""]),
    "its guard is gone": ("vpc-1", ["nft", "delete", "table", "netdev", "underlace_swp3.10"]),
    "a VLAN is let in": ("", ["nft", "add", "element", "netdev", "underlace_swp6", "tags", "{ 77 }"]),
    "a VLAN is kept out": ("", ["nft", "flush", "set", "netdev", "underlace_swp6", "tags"]),
}
PROGRAMS = {
    "the other end is down": ("", ["ip", "link", "set", "swp6_20", "down"]),
    "what enters is not sorted": ("", ["tc", "qdisc", "del", "dev", "swp6", "clsact"]),
    "what leaves gets no tag": ("", ["tc", "filter", "del", "dev", "swp6_20", "ingress"]),
}


def test_what_a_hand_changed_is_seen_and_mended(wires: Wires) -> None:
    for what, (netns, command) in (HAND | PROGRAMS).items():
        wires.bench.device.run(*command, netns=netns)
        assert changes(wires.bench.read(), DRIVER.items(FABRIC)), f"not seen: {what}"
        assert wires.bench.mend(FABRIC), what
        assert wires.sent("swp2") == {"swp3": [10], "swp6": [20]}, what


def test_a_vlan_moves_to_another_vpc_and_a_port_to_another_namespace(wires: Wires) -> None:
    """In one change each: the port's own V-Net goes to another VPC, and takes its VLANs' programs along."""
    bench = wires.bench
    bench.reach(base() + red() + shared() + trunk(("swp2", 10, 10_101, "vpc-1"), ("swp6", 20, 10_101, "vpc-1")))
    bench.reach(FABRIC)
    bench.reach(base() + red(("swp3",)) + shared(("swp2",)) + trunk(("swp2", 10, 10_101, "vpc-1")))
    assert wires.comes_out("swp2", q(10), at="swp3") == []
    assert wires.comes_out("swp3", (), at="swp2") == [10]
    bench.reach(FABRIC)
    assert wires.sent("swp2", q(10)) == {"swp3": []}
    bench.reach(base() + red(()) + shared(()) + TAGS)
    assert wires.comes_out("swp3", q(10), at="swp6") == [20]


def test_nothing_is_left(wires: Wires) -> None:
    device = wires.bench.device
    wires.bench.reach(base())
    assert "clsact" not in device.run("tc", "qdisc", "show")
    assert "swp6_20" not in device.run("ip", "link")
    wires.bench.reach([])
    assert not device.path("/run/frr/underlace-programs").exists()
    assert "underlace-programs" not in device.run("cat", "/proc/self/mounts")


MEANS = """
from pathlib import Path
from underlace.drivers.linux.namespaces import Namespaces
from underlace.drivers.linux.tags import Tags
print(*Tags(Namespaces(None, Path("/nowhere")), Path("/run/underlace-programs")).means, sep="\\n")
"""


def test_without_root_it_says_why_not() -> None:
    ordinary = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--propagation", "private"]
    inside = f"mount -t tmpfs none /run && exec {sys.executable} -c '{MEANS}'"
    done = subprocess.run([*ordinary, "sh", "-c", inside], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip("no user namespaces on this machine")
    way, lacking = done.stdout.splitlines()
    if way == "8021q":
        pytest.skip("the kernel has 8021q, which needs no root")
    assert way == ""
    assert "no 8021q in the kernel" in lacking
    assert "Operation not permitted" in lacking
