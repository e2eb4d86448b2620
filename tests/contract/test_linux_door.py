"""The real door, on real Linux and FRR in a private namespace, and the fake one, side by side.

Whatever is asked of both, both answer the same: what stands afterwards, and what is refused in which words. So what
the property tests show on the fake holds for the real one.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from support.device_ns import DeviceNamespace, missing
from support.fake_linux import FakeLinuxDoor
from support.frames import End
from support.linux_models import (
    ASN,
    PORTS,
    Objects,
    as_route_server,
    base,
    bonded,
    border,
    everything,
    heartbeat,
    numbered,
    red,
    red_shared,
    shared,
    vnet,
    vpc,
    with_route_servers,
)
from underlace.diff.change import changes
from underlace.diff.order import ordered
from underlace.drivers.linux import LinuxDriver, frr, links
from underlace.drivers.linux.io import LinuxDoor
from underlace.drivers.linux.native import Address, Bridge, FrrLine, Item, Netns, Placement, PortLink, Vxlan
from underlace.drivers.protocol import Failure, Items
from underlace.model.change import Change, Keyed, Verb

pytestmark = pytest.mark.contract

DRIVER = LinuxDriver()
ROUTER = f"router bgp {ASN}"
VRF_ROUTER = f"{ROUTER} vrf vpc-1"


class Bench:
    """One device twice: real and fake."""

    def __init__(self, device: DeviceNamespace) -> None:
        self.device = device
        self.door: LinuxDoor = device.call(LinuxDoor)
        self.fake = FakeLinuxDoor(PORTS)

    def read(self) -> Items:
        return self.device.call(self.door.read)

    def run(self, plan: Sequence[Change[Keyed]]) -> list[Failure]:
        return self.device.call(self.door.run, plan)

    def reach(self, objects: Objects) -> int:
        """Bring both to a model; both must agree all the way. The number of changes."""
        target = DRIVER.items(objects)
        actual = self.read()
        assert actual == self.fake.read()
        plan = ordered(actual, target)
        assert self.run(plan) == []
        assert self.fake.run(plan) == []
        assert changes(self.read(), target) == []
        assert changes(self.fake.read(), target) == []
        assert DRIVER.model(self.read()) == DRIVER.normalise(objects)
        return len(plan)

    def mend(self, objects: Objects) -> list[Change[Keyed]]:
        """Bring the real device back; the changes that it took."""
        target = DRIVER.items(objects)
        plan = ordered(self.read(), target)
        assert self.run(plan) == []
        assert changes(self.read(), target) == []
        return plan

    def refused(self, *plan: Change[Keyed]) -> tuple[str, str]:
        """What both say to a plan that neither takes."""
        real, fake = self.run(plan), self.fake.run(plan)
        assert len(real) == len(fake) == 1
        assert real[0].key == fake[0].key
        assert self.read() == self.fake.read()
        return real[0].answer, fake[0].answer


@pytest.fixture
def bench() -> Iterator[Bench]:
    if reason := missing():
        pytest.skip(reason)
    with DeviceNamespace("leaf1") as device:
        for port in PORTS:
            device.add_port(port)
        device.start_frr()
        yield Bench(device)


def poll(what: str, ready: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.02)


def test_it_says_its_version(bench: Bench) -> None:
    version = bench.device.call(bench.door.version)
    assert version.startswith(("8.", "9.", "10."))


def test_the_life_of_a_fabric(bench: Bench) -> None:
    """A VPC, V-Nets, a peering and an upstream come, change and go."""
    steps = [
        base(),
        base() + red(),
        base() + red() + shared(),
        base() + red() + shared() + red_shared(),
        everything(),
        base() + red() + shared() + border(),
        base() + red(("swp2", "swp4")) + vnet("vpc-1", 10_102, 8, (), ("swp6",)) + border(),
        base() + red(()) + heartbeat(),
        base() + vpc("vpc-1", 50_077, 11) + vnet("vpc-1", 10_101, 12, ("10.7.1.1/24",), ("swp2",), mtu=1500),
        base(),
        everything(),
        with_route_servers() + red(),
        as_route_server(),
        numbered() + red(),
        base(),
        [],
    ]
    for step in steps:
        assert bench.reach(step) > 0
        assert bench.reach(step) == 0


def test_a_port_moves_between_vpcs(bench: Bench) -> None:
    bench.reach(base() + red(("swp2",)) + shared(("swp3",)))
    bench.reach(base() + red(("swp3",)) + shared(("swp2",)))
    bench.reach(base() + red(("swp2", "swp3")) + shared(()))
    here = bench.device.run("ip", "-brief", "link", "show", "master", "br10101", netns="vpc-1")
    assert {line.split()[0].split("@")[0] for line in here.splitlines()} == {"swp2", "swp3", "vni10101"}


def test_every_l3vni_is_bound(bench: Bench) -> None:
    bench.reach(everything())
    said = bench.device.run("vtysh", "-c", "show evpn vni detail json")
    assert said.count('"state":"Up"') == 3


def test_zebra_learns_every_address(bench: Bench) -> None:
    """Also when it is slow to hear of the links: FRR 8.4 drops an address of a link that it does not know yet."""
    many = [vnet("vpc-1", 10_101 + n, 2 + n, (f"10.1.{n}.1/24", f"2001:db8:1:{n + 1}::1/64"), ()) for n in range(6)]
    model = [*base(), *vpc("vpc-1", 50_001, 1), *(item for one in many for item in one)]
    plan = ordered(bench.read(), DRIVER.items(model))
    assert bench.run([change for change in plan if change.key[0] == "netns"]) == []
    poll("zebra to see the VRF", lambda: "inactive" not in bench.device.run("vtysh", "-c", "show vrf"))
    # Links and addresses alone: what else a plan does between the two takes some time, which hides it.
    some = [change for change in plan if change.key[0] in ("bridge", "address") and change.key[1] == "vpc-1"]
    wanted = {str(ip_interface(c.after.address)) for c in some if isinstance(c.after, Address)}
    assert len(wanted) == 13
    zebra = int(bench.device.path("/run/frr/zebra.pid").read_text())
    os.kill(zebra, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (zebra, signal.SIGCONT)).start()
    assert bench.run(some) == []

    def unknown() -> set[str]:
        return wanted - set(bench.device.run("vtysh", "-c", "show interface vrf all").split())

    poll("zebra to know every address", lambda: not unknown())


def test_zebra_is_told_of_addresses_that_it_missed(bench: Bench) -> None:
    """Made by hand as fast as zebra 8.4 loses them; each whole read looks, and the second one mends."""
    bench.reach([*base(), *vpc("vpc-1", 50_001, 1)])
    many = [vnet("vpc-1", 10_101 + n, 2 + n, (f"10.1.{n}.1/24", f"2001:db8:1:{n + 1}::1/64"), ()) for n in range(6)]
    model = [*base(), *vpc("vpc-1", 50_001, 1), *(item for one in many for item in one)]
    plan = [c for c in ordered(bench.read(), DRIVER.items(model)) if c.key[0] in ("bridge", "address")]
    made = [line for c in plan for step in links.work(c, "") for line in step.lines]  # type: ignore[arg-type]
    wanted = {str(ip_interface(c.after.address)) for c in plan if isinstance(c.after, Address)}
    zebra = int(bench.device.path("/run/frr/zebra.pid").read_text())

    def unknown() -> set[str]:
        return wanted - set(bench.device.run("vtysh", "-c", "show interface vrf all").split())

    def lose() -> bool:
        os.kill(zebra, signal.SIGSTOP)
        bench.device.run("ip", "-batch", "-", stdin="\n".join(made) + "\n", netns="vpc-1")
        os.kill(zebra, signal.SIGCONT)
        poll(
            "zebra to know the links", lambda: "br10106" in bench.device.run("vtysh", "-c", "show interface vrf all")
        )
        lost = bool(unknown())
        if not lost:
            undo = "".join(f"link del br{10_101 + n}\n" for n in range(6))
            bench.device.run("ip", "-batch", "-", stdin=undo, netns="vpc-1")
        return lost

    poll("FRR to lose an address (a release that never does needs none of this)", lose, 60)
    bench.read()
    assert unknown(), "it may be slow: once is no proof"
    bench.read()
    poll("zebra to know every address", lambda: not unknown())


def test_a_second_apply_is_silent(bench: Bench, tmp_path: Path) -> None:
    """No netlink message in any namespace."""
    bench.reach(everything())
    with ExitStack() as stack:
        monitors = [
            stack.enter_context(Monitor(bench.device, netns, tmp_path / f"monitor{netns}"))
            for netns in ("", "vpc-1", "vpc-2", "vpc-9")
        ]
        bench.reach(everything())
        for monitor in monitors:
            assert monitor.heard() == []


class Monitor:
    """`ip monitor` in a namespace of a device. Marks of its own show that it listens."""

    def __init__(self, device: DeviceNamespace, netns: str, log: Path) -> None:
        self._device, self._netns, self._log = device, netns, log

    def __enter__(self) -> Monitor:
        prefix = ["nsenter", f"--net=/run/netns/{self._netns}", "--"] if self._netns else []
        command = [*prefix, "stdbuf", "-oL", "ip", "-oneline", "monitor", "link", "address", "route"]
        with self._log.open("w") as log:
            self._process = self._device.call(subprocess.Popen, command, stdout=log)
        try:
            self._mark()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)

    def _mark(self) -> None:
        """Change the alias of lo until the monitor shows lo once more."""
        before = self._log.read_text().count(": lo:")

        def seen() -> bool:
            self._device.run("ip", "link", "set", "lo", "alias", str(time.monotonic_ns()), netns=self._netns)
            return self._log.read_text().count(": lo:") > before

        poll("the monitor to see a mark", seen)

    def heard(self) -> list[str]:
        """Everything but the marks."""
        self._mark()
        return [line for line in self._log.read_text().splitlines() if ": lo:" not in line]


HAND = {
    "a bridge is gone": ("vpc-1", ["ip", "link", "del", "br10101"]),
    "an address is added": ("vpc-1", ["ip", "addr", "add", "10.66.0.1/24", "dev", "br10101"]),
    "an address is gone": ("vpc-1", ["ip", "addr", "del", "10.1.1.1/24", "dev", "br10101"]),
    "a tunnel leaves its bridge": ("vpc-1", ["ip", "link", "set", "vni10101", "nomaster"]),
    "a tunnel learns": ("vpc-1", ["ip", "link", "set", "vni50001", "type", "bridge_slave", "learning", "on"]),
    "a port is down": ("", ["ip", "link", "set", "swp1", "down"]),
    "a port has another MTU": ("vpc-1", ["ip", "link", "set", "swp2", "mtu", "1400"]),
    "the loopback has another address": ("", ["ip", "addr", "add", "10.99.0.1/32", "dev", "lo"]),
    "a route of a peering is gone": ("vpc-1", ["ip", "route", "del", "10.9.0.0/16"]),
    "a pair is gone": ("vpc-1", ["ip", "link", "del", "pr7"]),
    "a pair is down": ("vpc-2", ["ip", "link", "set", "pr7", "down"]),
    "a setting is other": ("vpc-1", ["sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/br10101/arp_accept"]),
    "forwarding is off": ("vpc-1", ["sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/all/forwarding"]),
    "a guard lets pass": (
        "vpc-1",
        ["nft", "insert", "rule", "netdev", "underlace_swp2", "ingress", "accept"],
    ),
    "a guard is gone": ("vpc-1", ["nft", "delete", "table", "netdev", "underlace_swp2"]),
    "a VTEP is added": ("", ["nft", "add", "element", "inet", "underlace", "vteps", "{ 10.66.6.6 }"]),
    "everything is let in": ("", ["nft", "add", "rule", "inet", "underlace", "input", "accept"]),
    "a neighbour is gone": (
        "",
        ["vtysh", "-c", "configure terminal", "-c", ROUTER, "-c", "no neighbor swp1 interface remote-as external"],
    ),
    "a neighbour is added": (
        "",
        ["vtysh", "-c", "configure terminal", "-c", VRF_ROUTER, "-c", "neighbor 10.66.0.2 remote-as 65001"],
    ),
    "a filter is gone": (
        "",
        ["vtysh", "-c", "configure terminal", "-c", "no ip prefix-list underlace-fabric"],
    ),
    "a VPC is not bound": ("", ["vtysh", "-c", "configure terminal", "-c", "vrf vpc-1", "-c", "no vni 50001"]),
    # FRR cuts the number of an RD to 16 bits without a word: 65637 becomes 101 (hazards 1).
    "an RD is truncated": (
        "",
        ["vtysh", "-c", "configure terminal", "-c", VRF_ROUTER, "-c", frr.EVPN, "-c", "rd 10.255.0.1:65637"],
    ),
    "another VPC is imported": (
        "",
        [
            "vtysh",
            "-c",
            "configure terminal",
            "-c",
            VRF_ROUTER,
            "-c",
            frr.EVPN,
            "-c",
            "route-target import 65000:50002",
        ],
    ),
}


def test_what_a_hand_changed_is_seen_and_mended(bench: Bench) -> None:
    bench.reach(everything())
    target = DRIVER.items(everything())
    for what, (netns, command) in HAND.items():
        bench.device.run(*command, netns=netns)
        assert changes(bench.read(), target), f"not seen: {what}"
        bench.mend(everything())
        assert bench.read() == bench.fake.read(), what


def test_an_agent_that_starts_again_loads_nothing(bench: Bench) -> None:
    bench.reach(everything())
    bench.door = bench.device.call(LinuxDoor)
    assert bench.reach(everything()) == 0


def test_a_device_that_lost_its_memory_of_rules_loads_them_again(bench: Bench) -> None:
    bench.reach(everything())
    bench.device.path("/run/frr/underlace-rules.json").write_text("{")
    bench.door = bench.device.call(LinuxDoor)
    plan = bench.mend(everything())
    assert plan
    assert {change.key[0] for change in plan} == {"nft"}


def test_rules_that_somebody_edits_before_they_are_read_back_are_loaded_again(bench: Bench) -> None:
    actual = bench.read()
    assert bench.run(ordered(actual, DRIVER.items(everything()))) == []
    bench.device.run(*HAND["a guard lets pass"][1], netns="vpc-1")
    found = changes(bench.read(), DRIVER.items(everything()))
    assert {change.key[:2] for change in found} == {("nft", "vpc-1")}
    bench.mend(everything())
    assert changes(bench.read(), DRIVER.items(everything())) == []


def test_an_apply_cut_short_anywhere_converges(bench: Bench) -> None:
    bench.reach(base() + shared())
    goals = [everything(), base() + red(("swp3",)) + heartbeat(), base() + shared()]
    for round_number in range(6):
        goal = goals[round_number % 3]
        plan = ordered(bench.read(), DRIVER.items(goal))
        cut = len(plan) * (round_number + 1) // 7
        assert bench.run(plan[:cut]) == []
        bench.mend(goal)


def test_foreign_things_are_left_alone(bench: Bench) -> None:
    device = bench.device
    device.run("ip", "netns", "add", "customer")
    device.run("ip", "link", "add", "docker0", "type", "bridge")
    device.run("ip", "addr", "add", "172.17.0.1/16", "dev", "docker0")
    device.run("ip", "link", "set", "docker0", "up")
    device.run("ip", "route", "add", "198.18.0.0/15", "dev", "docker0")
    device.run("nft", "add", "table", "inet", "mine")
    device.run("vtysh", "-c", "configure terminal", "-c", "ip prefix-list mine seq 5 permit any")
    bench.reach(everything())
    bench.reach([])
    assert "customer" in device.run("ip", "netns", "list")
    assert "172.17.0.1/16" in device.run("ip", "addr", "show", "docker0")
    assert "198.18.0.0/15" in device.run("ip", "route")
    assert "inet mine" in device.run("nft", "list", "tables")
    assert "ip prefix-list mine" in device.run("vtysh", "-c", "show running-config")


def test_nothing_of_ours_is_left(bench: Bench) -> None:
    bench.reach(everything())
    bench.reach([])
    device = bench.device
    assert "vpc-" not in device.run("ip", "netns", "list") + device.run("vtysh", "-c", "show running-config")
    assert "underlace" not in device.run("nft", "list", "ruleset") + device.run("ip", "-d", "link")
    assert "router bgp" not in device.run("vtysh", "-c", "show running-config")


def test_a_reboot_starts_from_the_saved_state(bench: Bench) -> None:
    """FRR comes up with all of its part; the agent's cache brings the kernel's, and nothing of FRR changes."""
    bench.reach(everything())
    bench.device.call(bench.door.save, DRIVER.items(everything()))
    files = {file.name: file.read_text() for file in bench.device.path("/etc/frr").iterdir()}
    with DeviceNamespace("leaf1") as device:
        for port in PORTS:
            device.add_port(port)
        for name, text in files.items():
            device.path(f"/etc/frr/{name}").write_text(text)
        device.start_frr(keep=True)
        again = Bench(device)
        plan = again.mend(everything())
        assert {change.key for change in plan if change.key[0] == "frr"} == set()
        assert device.run("vtysh", "-c", "show evpn vni detail json").count('"state":"Up"') == 3


def test_frr_that_restarts_empty_gets_everything_back(bench: Bench) -> None:
    bench.reach(everything())
    bench.device.stop_frr()
    bench.device.start_frr()
    plan = bench.mend(everything())
    assert {change.key[0] for change in plan} == {"frr"}
    assert bench.device.run("vtysh", "-c", "show evpn vni detail json").count('"state":"Up"') == 3


def test_without_frr_the_device_does_not_answer(bench: Bench) -> None:
    bench.reach(base())
    bench.device.stop_frr()
    with pytest.raises(OSError, match="vtysh"):
        bench.read()


def create(item: Item) -> Change[Keyed]:
    return Change(Verb.CREATE, item.key, None, item)


def delete(item: Keyed) -> Change[Keyed]:
    return Change(Verb.DELETE, item.key, item, None)


def refusals() -> dict[str, tuple[Change[Keyed], ...]]:
    """Plans that no device takes on top of `everything()`, one of them each."""
    held = DRIVER.items(everything())
    tunnel = held[("vxlan", "vpc-1", "vni10101")]
    bridge = held[("bridge", "vpc-1", "br10101")]
    assert isinstance(tunnel, Vxlan)
    assert isinstance(bridge, Bridge)
    nowhere = {"settings": (), "up": True, "mtu": 9216}
    return {
        "a bridge without its namespace": (create(replace(bridge, netns="vpc-77")),),
        "a namespace twice": (create(Netns("vpc-1")),),
        "a bridge twice": (create(bridge),),
        "a tunnel without its bridge": (create(replace(tunnel, name="vni77", vni=77)),),
        "a port that is not there": (create(Placement("vpc-1", "swp77")),),
        "a port that is elsewhere": (create(Placement("vpc-2", "swp2")),),
        "a link of a port that is elsewhere": (create(PortLink("vpc-2", "swp2", **nowhere)),),
        "an address without its link": (create(Address("vpc-1", "br77", "10.77.0.1/24")),),
        "a router whose VNI is bound": (delete(held[frr.key((), VRF_ROUTER)]),),
        "the router below others": (delete(held[frr.key((), ROUTER)]),),
        "another AS": (create(FrrLine((), "router bgp 65001")),),
        "an option of no neighbour": (create(FrrLine((ROUTER,), "neighbor 10.77.0.1 timers connect 1")),),
    }


def test_both_refuse_in_the_same_words(bench: Bench) -> None:
    bench.reach(everything())
    for what, plan in refusals().items():
        real, fake = bench.refused(*plan)
        assert fake in real, what


def test_a_kernel_without_bonding_says_so(bench: Bench) -> None:
    lacking = bench.device.call(bench.door.lacks).get("lags", "")
    if not lacking:
        pytest.skip("the kernel has bonding (tests/contract/test_bonds.py)")
    assert lacking == "This device has no bonding in the kernel (Error: Unknown device type.)."
    failed = bench.run(ordered(bench.read(), DRIVER.items(bonded("bond1", "swp2"))))
    assert [one.answer for one in failed] == ["Error: Unknown device type."]


def test_the_guard_of_a_member_drops_what_would_enter_beside_the_lag(bench: Bench) -> None:
    """On a port by itself, as a member is before it joins, and for link-local groups while LACP does not use it."""
    target = {
        key: item
        for key, item in DRIVER.items(bonded("bond1", "swp6")).items()
        if key[0] != "frr-line" and not any(word in key[0] + key[-1] for word in ("bond", "frr"))
    }
    guard = ("nft", "", "netdev", "underlace_swp6")
    assert bench.run(ordered(bench.read(), target)) == []
    assert bench.read()[guard] == target[guard]
    for link in ("swp6", "x-swp6"):
        bench.device.run("ip", "link", "set", link, "up")
    end = bench.device.call(End, "x-swp6")
    dropped = r"counter packets 1 "

    def counted() -> int:
        return len(re.findall(dropped, bench.device.run("nft", "list", "table", "netdev", "underlace_swp6")))

    spoofed = bytes.fromhex("4500001c00000000401100000a0909090aff0001" + "12b512b500080000")
    for group, counters in (("0180c2000002", 0), ("0180c200000e", 1), ("020000000001", 2)):
        kind = "8809" if counters == 0 else "0800"
        end.send(bytes.fromhex(group + "020000000009" + kind) + spoofed.ljust(46, b"\0"))
        poll(f"{counters} frames to be dropped", lambda n=counters: counted() == n)  # type: ignore[misc]
    end.close()
