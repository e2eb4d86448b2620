"""The quickstart on the wire: its matrix, and the faults that `lab test` must notice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lab.quickstart_matrix import matrix as by_hand
from support.fabric import converged, judged, poll, settled
from underlace.lab import flows, frr
from underlace.lab.expect import NOBODY, Flow
from underlace.lab.fabric import Fabric


def test_every_flow_is_as_written_by_hand(fabric: Fabric) -> None:
    wanted = [Flow(source, address, answer) for (source, address), answer in sorted(by_hand().items())]
    sourced = [f._replace(bind=bind(fabric, f)) for f in wanted]
    checks = [c for c in flows.checks(sourced) if c.protocol != "size"]
    assert flows.run(checks, fabric) == []
    assert len(checks) == 2 * len(by_hand())


def bind(fabric: Fabric, flow: Flow) -> str:
    """An upstream router speaks from the address that it announces."""
    played = fabric.lab.played.get(flow.source)
    same = [a for a in played.addresses if (":" in a) == (":" in flow.address)] if played else []
    return same[0].partition("/")[0] if same else ""


def test_the_whole_matrix_holds(fabric: Fabric) -> None:
    verdict = judged(fabric)
    assert verdict.wrong == ()
    assert verdict.undecided == 0
    assert verdict.flows > 2 * len(by_hand()), "full-size packets and attacks are part of it"


def test_every_device_and_answer_says_that_it_is_simulated(fabric: Fabric) -> None:
    devices = fabric.api.get("/v1/devices")["items"]
    assert {d["name"]: d["simulated"] for d in devices} == dict.fromkeys(fabric.lab.switches, True)
    assert judged(fabric).json()["simulated"] is True


@contextmanager
def paused(fabric: Fabric, *devices: str) -> Iterator[None]:
    """Nobody mends what a test plants; afterwards the agents do."""
    fabric.stop_agents(devices)
    try:
        yield
    finally:
        fabric.start_agents(devices)


def mended(fabric: Fabric) -> None:
    """The agents have put everything right."""
    settled(fabric)
    converged(fabric)
    assert poll("a good verdict", lambda: judged(fabric).good)


def running(fabric: Fabric, device: str, *words: str) -> list[str]:
    """Lines of FRR's configuration that hold all words."""
    text = frr.vtysh(fabric.node(device), "show running-config")
    return [line.strip() for line in text.splitlines() if all(word in line for word in words)]


def wrong_route_target(fabric: Fabric) -> None:
    """blue on leaf2 imports what red exports."""
    asn = running(fabric, "leaf2", "router bgp", fabric.vrf("blue"))[0]
    red = numbers(fabric, "vpc", "acme", "red")["vni"]
    blue = numbers(fabric, "vpc", "bolt", "blue")["vni"]
    frr.vtysh(
        fabric.node("leaf2"),
        "configure terminal",
        asn,
        "address-family l2vpn evpn",
        f"no route-target import 65000:{blue}",
        f"route-target import 65000:{red}",
    )


def missing_vni(fabric: Fabric) -> None:
    """The V-Net red-web has lost its VXLAN on leaf1."""
    vni = numbers(fabric, "vnet", "acme", "red-web")["vni"]
    where = fabric.vrf("red")
    links = json.loads(fabric.node("leaf1").run(["ip", "-json", "-details", "link", "show", "type", "vxlan"], where))
    (name,) = [k["ifname"] for k in links if k["linkinfo"]["info_data"]["id"] == vni]
    fabric.node("leaf1").ip([f"link delete {name}"], where)


def leaked_route(fabric: Fabric) -> None:
    """On leaf1 and leaf3, red and the public servers can reach each other."""
    for device in ("leaf1", "leaf3"):
        node = fabric.node(device)
        red, border = fabric.vrf("red"), fabric.vrf("border")
        ends = (node.net(red), node.net(border))
        node.run(
            ["ip", "link", "add", "lk0", "netns", ends[0], "type", "veth", "peer", "name", "lk1", "netns", ends[1]]
        )
        node.ip(
            ["addr add 169.254.99.0/31 dev lk0", "link set lk0 up", "route add 203.0.113.0/24 via 169.254.99.1"], red
        )
        node.ip(
            ["addr add 169.254.99.1/31 dev lk1", "link set lk1 up", "route add 10.1.0.0/16 via 169.254.99.0"], border
        )


def open_underlay(fabric: Fabric) -> None:
    """leaf1 guards no port any more, and red can reach the underlay from there."""
    node, red = fabric.node("leaf1"), fabric.vrf("red")
    for where in ("", red):
        node.run(["nft", "flush", "ruleset"], where)
    node.run(["ip", "link", "add", "lk0", "netns", node.net(red), "type", "veth", "peer", "name", "lk1"])
    node.ip(["addr add 169.254.99.0/31 dev lk0", "link set lk0 up", "route add 10.255.0.0/24 via 169.254.99.1"], red)
    node.ip(["addr add 169.254.99.1/31 dev lk1", "link set lk1 up", "route add 10.1.0.0/16 via 169.254.99.0"])


def close_links(fabric: Fabric) -> None:
    """Take away what the agents do not own: the veth pairs that a test added."""
    for device in ("leaf1", "leaf2", "leaf3"):
        node = fabric.node(device)
        for where in ("", fabric.vrf("red")):
            node.run(["ip", "link", "delete", "lk0"], where, check=False)


def numbers(fabric: Fabric, kind: str, tenant: str, name: str) -> dict[str, int]:
    """What was allocated to a resource."""
    return dict(fabric.api.get(f"/v1/resources/{kind}/{tenant}/{name}")["status"]["allocated"])


def other_blue(wrong: flows.Wrong) -> bool:
    return wrong.source.startswith("b") or wrong.expected.startswith("b")


@pytest.mark.parametrize(
    ("plant", "noticed"),
    [
        (wrong_route_target, other_blue),
        (missing_vni, lambda w: {w.source, w.expected} >= {"r1", "r2"}),
        (leaked_route, lambda w: w.expected == NOBODY and {w.source[0], w.got[:1]} == {"r", "d"}),
        (open_underlay, lambda w: w.protocol == "icmp" or w.protocol.startswith("vxlan")),
    ],
    ids=["wrong-route-target", "missing-vni", "leaked-route", "open-underlay"],
)
def test_a_planted_fault_turns_the_verdict_red(
    fabric: Fabric, plant: Callable[[Fabric], None], noticed: Callable[[flows.Wrong], bool]
) -> None:
    assert judged(fabric).good
    with paused(fabric, *fabric.lab.switches):
        try:
            plant(fabric)
            poll("the fault to show", lambda: any(noticed(w) for w in judged(fabric).wrong))
        finally:
            close_links(fabric)
    mended(fabric)


def test_with_every_fabric_link_down_the_agent_still_reports(fabric: Fabric) -> None:
    node = fabric.node("leaf3")
    before = fabric.api.get("/v1/devices/leaf3")["last_seen"]
    node.ip([f"link set {port} down" for port in ("swp1", "swp2")])
    poll("leaf3 to be cut off", lambda: fabric.probe("r1", [{"id": "x", "address": "10.1.2.13"}])["x"] == NOBODY)
    poll("leaf3 to report", lambda: fabric.api.get("/v1/devices/leaf3")["last_seen"] > before, 90)
    mended(fabric)
