"""Hazards 5 and 18: a port scan from outside finds what the device protection permits, and nothing else.

Every address that a device holds is asked, from a tenant's host, from public hosts, from upstream routers and from
management: a list of well-known ports and some others, TCP and UDP, and echo requests.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from support import scan
from support.fabric import poll, settled
from underlace.lab import control, frr
from underlace.lab.fabric import OOB, Fabric
from underlace.lab.namespace import Namespace
from underlace.lab.probe import PORT
from underlace.lab.wiring import CONTROLLER_ADDRESS, OOB_BRIDGE

BGP = 179
WELL_KNOWN = [
    *(20, 21, 22, 23, 25, 53, 67, 68, 69, 80, 111, 123, 161, 162, BGP, 443, 514, 546, 547, 646, 830),
    *range(2_600, 2_620),  # FRR's
    *(
        2_222,
        3_306,
        3_784,
        3_785,
        4_784,
        4_789,
        5_201,
        5_353,
        6_640,
        6_653,
        8_000,
        8_080,
        8_472,
        9_100,
        9_339,
        50_051,
    ),
    *(control.AGENT_PORT, PORT),
]
OTHERS = random.Random(18).sample(range(1_024, 65_536), 24)
PORTS = sorted({*WELL_KNOWN, *OTHERS})
SECONDS = 2.0


class Address(NamedTuple):
    """An address that a device holds. place: "" for the underlay, "mgmt", or a VRF."""

    text: str
    place: str
    device: str


@pytest.fixture(scope="module")
def held(fabric: Fabric) -> list[Address]:
    """Everything that the devices hold, and nothing less than what intent names."""
    settled(fabric)
    found = []
    for device in fabric.lab.switches:
        node = fabric.node(device)
        for place in ("", "mgmt", *(path.name for path in node.path("/run/netns").iterdir())):
            links = json.loads(node.run(["ip", "-json", "address"], place))
            texts = {a["local"] for link in links for a in link.get("addr_info", ())} - {"127.0.0.1", "::1"}
            found += [Address(text, place, device) for text in sorted(texts)]
    texts = {a.text for a in found}
    assert {str(g).partition("/")[0] for _, v in fabric.intent.of("vnet") for g in v.gateways} <= texts
    assert {n for sessions in fabric.lab.sessions.values() for s in sessions for n in s.neighbours} <= texts
    assert set(fabric.underlay().loopbacks) < texts
    assert len({a.device for a in found if a.place == "mgmt"}) == len(fabric.lab.switches)
    assert any(a.text.startswith("fe80::") and not a.place for a in found), "unnumbered links have link-local ones"
    return found


def scanned(node: Namespace, targets: set[str], link: str, place: str = "") -> dict[str, str]:
    """What answers. Link-local addresses are asked for on the link of the asker."""
    named = sorted(f"{t}%{link}" if t.startswith("fe80:") else t for t in targets)
    asked = json.dumps({"targets": named, "ports": PORTS, "seconds": SECONDS})
    said = node.run([sys.executable, str(Path(scan.__file__))], place, stdin=asked)
    found: dict[str, str] = json.loads(said)
    return found


def of(addresses: list[Address], *places: str) -> set[str]:
    return {a.text for a in addresses if a.place in places}


def answers(found: dict[str, str]) -> dict[str, str]:
    """Without echoes."""
    return {name: what for name, what in found.items() if not name.startswith("echo ")}


def echoing(found: dict[str, str]) -> set[str]:
    return {name.removeprefix("echo ").partition("%")[0] for name in found if name.startswith("echo ")}


@pytest.mark.parametrize(
    ("source", "other", "vpcs"),
    [
        ("r1", "r2", ("acme/red", "platform/shared")),  # they are peered
        ("b2", "b1", ("bolt/blue",)),
        ("d1", "d2", ("system/border",)),
    ],
    ids=["tenant", "tenant-with-two-segments", "public"],
)
def test_a_host_finds_nothing_but_echoes_of_its_own_vpc(
    fabric: Fabric, held: list[Address], source: str, other: str, vpcs: tuple[str, ...]
) -> None:
    (nic, *_), (neighbour, *_) = fabric.lab.hosts[source], fabric.lab.hosts[other]
    near = {str(i.ip) for i in neighbour.interfaces}
    found = scanned(fabric.node(source), {a.text for a in held} | {CONTROLLER_ADDRESS} | near, nic.name)
    seen = {name for name in found if name.split(" ")[1] in near}
    assert {f"tcp {a} {PORT}" for a in near} <= seen, "the scan sees what is open"
    for address in near:  # most UDP refusals are kept back: hosts limit the rate of such messages
        assert [n for n in seen if n.startswith(f"udp {address} ") and found[n] == "refused"], (
            "the scan sees refusals"
        )
    assert {name: what for name, what in answers(found).items() if name not in seen} == {}
    assert set(nic.gateways) <= echoing(found), "the gateway answers echo requests"
    assert echoing(found) <= of(held, *map(fabric.vrf, vpcs)) | near


@contextmanager
def ways(fabric: Fabric, router: str) -> Iterator[str]:
    """Routes to everything by way of the fabric, as an attacker would give himself. The link."""
    (nic,), (session,) = fabric.lab.routers[router], fabric.lab.sessions[router]
    lines = [
        f"{prefix} via {n} dev {nic.name} metric 1"
        for n in session.neighbours
        for prefix in (("2001:db8::/33",) if ":" in n else ("10.0.0.0/8", "172.16.0.0/12", "203.0.113.0/24"))
    ]
    node = fabric.node(router)
    node.ip([f"route add {line}" for line in lines])
    try:
        yield nic.name
    finally:
        node.ip([f"route del {line}" for line in lines])


@pytest.mark.parametrize("router", ["isp1", "isp2"])
def test_an_upstream_router_finds_its_own_session(fabric: Fabric, held: list[Address], router: str) -> None:
    (session,) = fabric.lab.sessions[router]
    with ways(fabric, router) as link:
        found = scanned(fabric.node(router), {a.text for a in held} | {CONTROLLER_ADDRESS}, link)
    assert answers(found) == {f"tcp {a} {BGP}": "open" for a in session.neighbours}
    assert set(session.neighbours) <= echoing(found) <= of(held, fabric.vrf("system/border"))


@pytest.mark.parametrize("peer", ["leaf2", OOB])
def test_management_leads_to_the_controller_and_nowhere_else(fabric: Fabric, held: list[Address], peer: str) -> None:
    """Nothing listens on a device there; of the controller only what agents speak to; and no way into the fabric."""
    node, place, link = (fabric.node(peer), "", OOB_BRIDGE) if peer == OOB else (fabric.node(peer), "mgmt", "mgmt0")
    (through,) = (a.text for a in held if a.place == "mgmt" and a.device == "leaf1" and "." in a.text)
    own = {a.text for a in held if a.device == peer and a.place == place} | (
        {CONTROLLER_ADDRESS} if peer == OOB else set()
    )
    node.ip([f"route add default via {through}"], place)
    try:
        targets = {a.text for a in held} | {CONTROLLER_ADDRESS}
        found = scanned(node, targets - own, link, place)
    finally:
        node.ip([f"route del default via {through}"], place)
    agents = {f"tcp {CONTROLLER_ADDRESS} {control.AGENT_PORT}"} if peer != OOB else set()
    assert {name for name, what in found.items() if what == "open"} == agents
    management = {CONTROLLER_ADDRESS, *of(held, "mgmt")}
    assert {name for name in found if name.split(" ")[1].partition("%")[0] not in management} == set()


@pytest.mark.parametrize(
    "rule", [f"tcp dport {OTHERS[0]} accept", f"udp dport {OTHERS[0]} accept", f"tcp dport {BGP} accept"]
)
def test_the_scan_finds_a_guard_that_is_open(fabric: Fabric, rule: str) -> None:
    """As long as nobody mends it: the agent is away."""
    node, vrf, (nic,) = fabric.node("leaf1"), fabric.vrf("acme/red"), fabric.lab.hosts["r1"]
    chain = ["inet", "underlace", "input"]

    def listed() -> list[str]:
        return [line.strip() for line in node.run(["nft", "list", "chain", *chain], vrf).splitlines()]

    fabric.stop_agents(["leaf1"])
    try:
        node.run(["nft", "insert", "rule", *chain, *rule.split(" ")], vrf)
        assert rule in listed()
        found = answers(scanned(fabric.node("r1"), set(nic.gateways), nic.name))
    finally:
        fabric.start_agents(["leaf1"])
    word, port = rule.split(" ")[0], rule.split(" ")[2]
    assert set(found) == {f"{word} {gateway} {port}" for gateway in nic.gateways}
    poll("the agent to mend it", lambda: rule not in listed())


def test_the_scan_finds_who_listens_on_management(fabric: Fabric, held: list[Address]) -> None:
    (address,) = (a.text for a in held if a.place == "mgmt" and a.device == "leaf1" and "." in a.text)
    node = fabric.node("leaf1")
    pidfile = "/run/frr/planted.pid"
    argv = [f"{frr.DAEMONS}/staticd", "-d", "-A", address, "-P", "2222", "-i", pidfile, "-z", "/run/frr/nobody"]
    node.run(argv, "mgmt")
    try:
        found = scanned(fabric.node("leaf2"), {address}, "mgmt0", "mgmt")
    finally:
        frr.stop(node.path(frr.RUN), ["planted"])
    assert found[f"tcp {address} 2222"] == "open"
