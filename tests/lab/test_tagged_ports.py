"""Tagged ports with real packets: V-Nets behind tags beside untagged ones, on several leaves and in several VPCs.

swp10@leaf1  t1   100 red-web, 77 blue-heartbeat (no gateway)
swp11@leaf1  t2   100 blue-web: the same VLAN id in another VPC
swp11@leaf2  t4   300 red-web
swp10@leaf3  t3   untagged shared-a, 300 blue-heartbeat
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lab.test_attacks import FRAMES, SEND
from support.fabric import Monitor, Pinger, apply, changes, converged, judged, poll, settled
from underlace.lab.expect import NOBODY, matrix
from underlace.lab.fabric import Fabric


def server(name: str, port: str, **addresses: list[str]) -> list[dict[str, Any]]:
    """A server whose eth1 is on a port. addresses: by VLAN ("v100"), of eth1 itself as "v0"."""
    nics = [
        {"name": f"eth1.{vlan[1:]}" if vlan != "v0" else "eth1", "addresses": held}
        for vlan, held in {"v0": [], **addresses}.items()
    ]
    return [
        {"kind": "server", "name": name, "spec": {"site": "dc1", "nics": nics}},
        {"kind": "link", "name": f"{name}-1", "spec": {"a": f"eth1@{name}", "b": port}},
    ]


def member(text: str) -> dict[str, Any]:
    """ "swp5@leaf1", or "swp5@leaf1 100"."""
    port, _, vlan = text.partition(" ")
    return {"port": port, "vlan": int(vlan)} if vlan else {"port": port}


def vnet(tenant: str, name: str, vpc: str, gateways: list[str], *ports: str) -> dict[str, Any]:
    spec = {"vpc": vpc, "gateways": gateways, "ports": [member(port) for port in ports]}
    return {"kind": "vnet", "tenant": tenant, "name": name, "spec": spec}


WEB = ["10.1.1.1/24", "2001:db8:1:1::1/64"]


@pytest.fixture(scope="module")
def more() -> tuple[dict[str, Any], ...]:
    red_web = ("swp5@leaf1", "swp5@leaf2", "swp10@leaf1 100", "swp11@leaf2 300")
    beat = ("swp7@leaf2", "swp7@leaf3", "swp10@leaf1 77", "swp10@leaf3 300")
    shared = ["10.9.1.1/24", "2001:db8:9:1::1/64"]
    return (
        vnet("acme", "red-web", "red", WEB, *red_web),
        vnet("bolt", "blue-web", "blue", WEB, "swp6@leaf1", "swp6@leaf2", "swp11@leaf1 100"),
        vnet("bolt", "blue-heartbeat", "blue", [], *beat),
        vnet("platform", "shared-a", "shared", shared, "swp8@leaf2", "swp10@leaf3"),
        *server("t1", "swp10@leaf1", v100=["10.1.1.51/24", "2001:db8:1:1::51/64"], v77=["192.168.77.51/24"]),
        *server("t2", "swp11@leaf1", v100=["10.1.1.52/24", "2001:db8:1:1::52/64"]),
        *server("t3", "swp10@leaf3", v0=["10.9.1.53/24", "2001:db8:9:1::53/64"], v300=["192.168.77.53/24"]),
        *server("t4", "swp11@leaf2", v300=["10.1.1.54/24", "2001:db8:1:1::54/64"]),
    )


def test_hosts_behind_tags_reach_their_v_nets_and_nothing_else(fabric: Fabric) -> None:
    """The whole matrix, full-size packets and law 11's attempts included; and it says what a person would."""
    answers = {(f.source, f.address): f.answer for f in matrix(fabric.current_intent()).flows}
    for source in ("r1", "r2", "r3", "t1", "s1"):
        assert answers[source, "10.1.1.54"] == answers[source, "2001:db8:1:1::54"] == "t4"
    assert answers["t1", "192.168.77.53"] == answers["b2", "192.168.77.53"] == "t3"
    assert answers["b1", "10.1.1.52"] == answers["b3", "2001:db8:1:1::52"] == "t2"
    assert answers["t4", "10.9.1.53"] == "t3"
    for source, address in (("t2", "10.1.1.51"), ("t1", "10.1.1.52"), ("t4", "192.168.77.53"), ("b1", "10.9.1.53")):
        assert answers[source, address] == NOBODY
    verdict = judged(fabric)
    assert (verdict.wrong, verdict.skipped) == ((), ())


def dropped(fabric: Fabric, netns: str, guard: str, word: str) -> int:
    listed = fabric.node("leaf1").run(["nft", "list", "table", "netdev", f"underlace_{guard}"], netns)
    words = next(line for line in listed.splitlines() if word in line and "counter" in line).split()
    return int(words[words.index("packets") + 1])


def test_tags_that_are_not_declared_lead_nowhere(fabric: Fabric) -> None:
    """From t1: a VLAN that its port does not have, and one tag behind another. Each is counted, nobody is reached."""
    red = fabric.vrf("acme/red")
    body = "".join(("080045000014000100004011", "0000", "0a010133", "0a01010b"))
    for tags, netns, guard, word in (
        ("8100012c", "", "swp10", "vlan id != 0"),
        ("810000648100004d", red, "swp10.100", "ether type"),
        ("88a80064", "", "swp10", "8021ad counter"),
    ):
        before = dropped(fabric, netns, guard, word)
        frame = "ff" * 6 + "OWN" + tags + body
        fabric.node("t1").run([sys.executable, "-c", SEND, str(FRAMES), frame])
        poll(f"{tags} to be counted", lambda at=(netns, guard, word), b=before: dropped(fabric, *at) >= b + FRAMES)


def test_vlans_come_and_go_without_a_loss_for_others(fabric: Fabric) -> None:
    """Ten more on each port of the flow, some with gateways, and away again."""
    tens = [
        vnet("acme", f"more-{n}", "red", [], f"swp10@leaf1 {500 + n}", f"swp11@leaf2 {500 + n}") for n in range(10)
    ]
    pings = [Pinger(fabric, "t1", address, 0.005) for address in ("10.1.1.54", "10.1.1.12", "2001:db8:1:1::54")]
    apply(fabric, *tens)
    links = fabric.node("leaf1").run(["ip", "-brief", "link"], fabric.vrf("acme/red"))
    assert len([line for line in links.splitlines() if line.startswith("swp10.")]) == 11
    apply(fabric, delete=tuple({k: d[k] for k in ("kind", "tenant", "name")} for d in tens))
    assert {ping.what: ping.lost() for ping in pings} == {ping.what: 0 for ping in pings}
    left = fabric.node("leaf1").run(["ip", "-brief", "link"], fabric.vrf("acme/red"))
    assert len([line for line in left.splitlines() if line.startswith("swp10.")]) == 1


def test_an_agent_that_starts_again_changes_nothing(fabric: Fabric, tmp_path: Path) -> None:
    places = ["", *(fabric.vrf(vpc) for vpc in ("acme/red", "bolt/blue"))]
    leaf = fabric.node("leaf1")
    ask = ["sh", "-c", "for l in swp10 swp11 swp10_100; do tc filter show dev $l ingress; done"]
    programs = leaf.run(ask, check=False)
    ping = Pinger(fabric, "t1", "10.1.1.54", 0.005)
    with ExitStack() as stack:
        monitors = [stack.enter_context(Monitor(leaf, place, tmp_path / f"m{place}")) for place in places]
        fabric.stop_agents(["leaf1"])
        fabric.start_agents(["leaf1"])
        poll("the agent", lambda: fabric.api.get("/v1/devices/leaf1")["state"] == "in-sync")
        settled(fabric)
        assert [list(filter(changes, monitor.heard())) for monitor in monitors] == [[], [], []]
    assert ping.lost() == 0
    assert leaf.run(ask, check=False) == programs


def test_a_leaf_that_loses_its_power_has_its_vlans_again(fabric: Fabric) -> None:
    fabric.rebuild("leaf1")
    settled(fabric)
    converged(fabric)
    links = json.loads(fabric.node("leaf1").run(["ip", "-json", "link"], fabric.vrf("acme/red")))
    assert "swp10.100" in {link["ifname"] for link in links}
