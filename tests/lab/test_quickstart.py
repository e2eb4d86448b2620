"""The quickstart on the wire: its matrix, and the faults that `lab test` must notice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from lab.quickstart_matrix import matrix as by_hand
from support.fabric import converged, judged, poll, settled
from underlace.lab import flows, frr
from underlace.lab.expect import NOBODY, Flow
from underlace.lab.fabric import Fabric
from underlace.lab.topology import End


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


Notices = Sequence[Callable[[flows.Wrong], bool]]
"""What a verdict must hold about a fault: for each of these at least one finding."""


def other_blue(wrong: flows.Wrong) -> bool:
    return wrong.source.startswith("b") or wrong.expected.startswith("b")


@pytest.mark.parametrize(
    ("plant", "notices"),
    [
        (wrong_route_target, [other_blue]),
        (missing_vni, [lambda w: {w.source, w.expected} >= {"r1", "r2"}]),
        (leaked_route, [lambda w: w.expected == NOBODY and {w.source[0], w.got[:1]} == {"r", "d"}]),
        # Both ways in: a detector of forged VXLAN that is deaf would call every fabric closed.
        (
            open_underlay,
            [lambda w: w.protocol == "icmp", lambda w: w.protocol.startswith("vxlan ") and w.got != NOBODY],
        ),
    ],
    ids=["wrong-route-target", "missing-vni", "leaked-route", "open-underlay"],
)
def test_a_planted_fault_turns_the_verdict_red(
    fabric: Fabric, plant: Callable[[Fabric], None], notices: Notices
) -> None:
    def shows() -> bool:
        wrong = judged(fabric).wrong
        return all(any(noticed(w) for w in wrong) for noticed in notices)

    assert judged(fabric).good
    with paused(fabric, *fabric.lab.switches):
        try:
            plant(fabric)
            poll("the fault to show", shows)
        finally:
            close_links(fabric)
    mended(fabric)


def far_ends(fabric: Fabric, device: str) -> list[End]:
    """The spines' ports that a leaf is cabled to."""
    ends = [(c.a, c.b) for c in fabric.lab.cables] + [(c.b, c.a) for c in fabric.lab.cables]
    return [far for near, far in ends if near.node == device and far.node in fabric.lab.switches]


def test_with_every_fabric_link_down_the_agent_still_reports(fabric: Fabric) -> None:
    """The far ends go down and nobody mends those, so that leaf3 is cut off for as long as the test looks.

    An agent without news is silent, so it gets an order: it must come, and the report must go, out of band.
    """

    def cut_off() -> bool:
        return fabric.probe("r1", [{"id": "x", "address": "10.1.2.13"}])["x"] == NOBODY

    ends = far_ends(fabric, "leaf3")
    assert len(ends) == 2, "leaf3 has two uplinks"
    order = {"kind": "port", "name": "swp9@leaf3"}

    def heard() -> bool:
        told = fabric.api.get("/v1/devices/leaf3")
        return bool(told["last_report"] > before and told["state"] == "in-sync")

    with paused(fabric, *{end.node for end in ends}):
        for end in ends:
            fabric.node(end.node).ip([f"link set {end.port} down"])
        poll("leaf3 to be cut off", cut_off)
        # Not before: a report that was sent while a link was up says nothing.
        before = fabric.api.get("/v1/devices/leaf3")["last_report"]
        try:
            fabric.api.apply([{**order, "spec": {"enabled": False}}], [])
            poll("leaf3 to report that it holds what was ordered", heard)
            assert cut_off()
        finally:
            fabric.api.apply([], [order])
    mended(fabric)
