"""What was seen to break isolation or forwarding (hazards 1, 2, 3, 8, 17, 21), on the wire."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from support.fabric import Pinger, apply, converged, judged, poll, settled
from underlace.drivers.linux import names
from underlace.lab import flows, frr, wiring
from underlace.lab.expect import NOBODY
from underlace.lab.fabric import Fabric
from underlace.lab.topology import End, Nic

TENANT = "probe"
MANAGEMENT = "172.31.0.0/16"
"""Where the lab has the controller and every agent."""


def host(name: str, port: str, number: str, *addresses: str) -> list[dict[str, Any]]:
    """A server on a port, and its cable."""
    return [
        {
            "kind": "server",
            "name": name,
            "spec": {"site": "dc1", "nics": [{"name": "eth1", "addresses": [*addresses]}]},
        },
        {"kind": "link", "name": f"{name}-{number}", "spec": {"a": f"eth1@{name}", "b": port}},
    ]


def segment(vpc: str, tenant: str, name: str, net: tuple[int, int], *ports: str) -> list[dict[str, Any]]:
    """A V-Net with its subnets: 10.<net>.0/24 and 2001:db8:<net>::/64, gateway .1."""
    v4, v6 = f"10.{net[0]}.{net[1]}", f"2001:db8:{net[0]}:{net[1]}:"
    return [
        {"kind": "subnet", "tenant": tenant, "name": f"{name}-v4", "spec": {"prefix": f"{v4}.0/24", "vpc": vpc}},
        {"kind": "subnet", "tenant": tenant, "name": f"{name}-v6", "spec": {"prefix": f"{v6}:/64", "vpc": vpc}},
        {
            "kind": "vnet",
            "tenant": tenant,
            "name": name,
            "spec": {
                "vpc": vpc,
                "gateways": [f"{v4}.1/24", f"{v6}:1/64"],
                "ports": [{"port": port} for port in ports],
            },
        },
    ]


def on(net: tuple[int, int], host_number: int) -> tuple[str, str]:
    return f"10.{net[0]}.{net[1]}.{host_number}/24", f"2001:db8:{net[0]}:{net[1]}::{host_number}/64"


def vpc(name: str, first: int, **spec: int) -> list[dict[str, Any]]:
    v4, v6 = f"10.{first}.0.0/16", f"2001:db8:{first}::/48"
    return [
        {"kind": "vpc", "tenant": TENANT, "name": name, "spec": spec},
        {"kind": "allocation", "tenant": TENANT, "name": f"{name}-v4", "spec": {"prefix": v4, "vpc": name}},
        {"kind": "allocation", "tenant": TENANT, "name": f"{name}-v6", "spec": {"prefix": v6, "vpc": name}},
    ]


def truncation_pair() -> list[dict[str, Any]]:
    """VNIs that are equal in their lower 16 bits, the same prefixes, the same leaves."""
    found = []
    for name, vni, port in (("low", 100, "swp10"), ("high", 65_636, "swp11")):
        found += vpc(name, 66, vni=vni)
        found += segment(name, TENANT, f"{name}-1", (66, 1), f"{port}@leaf1")
        found += segment(name, TENANT, f"{name}-2", (66, 2), f"{port}@leaf2")
        found += host(f"{name}1", f"{port}@leaf1", "1", *on((66, 1), 11))
        found += host(f"{name}2", f"{port}@leaf2", "2", *on((66, 2), 12))
    return found


def peers() -> list[dict[str, Any]]:
    """VPCs on leaf1+leaf2 (pa, pb), on leaf2+leaf3 (pc), on leaf3 alone (pd)."""
    found = []
    for name, first, places in (
        ("pa", 70, ("swp13@leaf1", "swp13@leaf2")),
        ("pb", 71, ("swp14@leaf1", "swp14@leaf2")),
        ("pc", 72, ("swp15@leaf2", "swp15@leaf3")),
        ("pd", 73, ("swp13@leaf3", "swp14@leaf3")),
    ):
        found += vpc(name, first)
        for number, port in enumerate(places, 1):
            found += segment(name, TENANT, f"{name}-{number}", (first, number), port)
            found += host(f"{name}{number}", port, "x", *on((first, number), 10 + number))
    return found


def silent() -> list[dict[str, Any]]:
    """A network of red on leaf1 alone, and a host in red-web on leaf2 that has no address yet."""
    web = [{"port": p} for p in ("swp5@leaf1", "swp5@leaf2", "swp12@leaf2")]
    gateways = ["10.1.1.1/24", "2001:db8:1:1::1/64"]
    return [
        *segment("red", "acme", "red-app", (1, 3), "swp12@leaf1"),
        *host("y1", "swp12@leaf1", "1", *on((1, 3), 11)),
        *host("z1", "swp12@leaf2", "1"),
        {
            "kind": "vnet",
            "tenant": "acme",
            "name": "red-web",
            "spec": {"vpc": "red", "gateways": gateways, "ports": web},
        },
    ]


@pytest.fixture(scope="module")
def more() -> tuple[dict[str, Any], ...]:
    tenant = {"kind": "tenant", "name": TENANT, "spec": {}}
    return (tenant, *truncation_pair(), *peers(), *silent())


def test_a_host_that_never_spoke_is_reached_from_another_leaf(fabric: Fabric) -> None:
    """First of this module: nothing has made z1 speak yet."""
    node = fabric.node("z1")
    node.ip(
        [
            "addr add 10.1.1.99/24 dev eth1",
            "addr add 2001:db8:1:1::99/64 dev eth1 nodad",
            "route add default via 10.1.1.1 dev eth1",
            "route add default via 2001:db8:1:1::1 dev eth1",
        ]
    )
    for address in ("2001:db8:1:1::99", "10.1.1.99"):
        asked = [{"id": "x", "protocol": "tcp", "address": address, "timeout": 2.0}]
        poll(f"silent {address} to answer", lambda asked=asked: fabric.probe("y1", asked)["x"] == "z1", 15)  # type: ignore[misc]


def test_equal_vnis_modulo_65536_stay_apart(fabric: Fabric) -> None:
    verdict = judged(fabric)
    assert [w for w in verdict.wrong if w.source.startswith(("low", "high"))] == []
    for device in ("leaf1", "leaf2"):
        routes = frr.vtysh(fabric.node(device), "show bgp l2vpn evpn route type prefix")
        for prefix in ("10.66.1.0", "10.66.2.0"):
            lines = routes.splitlines()
            held = {rd_above(lines, i) for i, line in enumerate(lines) if f"[{prefix}]" in line}
            assert len(held) >= 2, f"{device} holds {prefix} under one RD only"
        text = frr.vtysh(fabric.node(device), "show running-config")
        distinguishers = re.findall(r"^ +rd (\S+)", text, re.MULTILINE)
        assert len(distinguishers) == len(set(distinguishers)), f"{device} has one RD twice"
        assert {"65000:100", "65000:65636"} <= set(re.findall(r"route-target import (\S+)", text))


def rd_above(lines: list[str], index: int) -> str:
    """The route distinguisher under which a line of `show bgp l2vpn evpn` stands."""
    return next(line.split(":", 1)[1].strip() for line in reversed(lines[:index]) if "Route Distinguisher" in line)


def guarded(fabric: Fabric, port: End) -> int:
    """Packets dropped by the guard of a port, the one table before anything else of the device sees them."""
    node, name = fabric.node(port.node), names.guard(port.port)
    places = ["", *(path.name for path in node.path("/run/netns").iterdir())]
    tables = [json.loads(node.run(["nft", "-j", "list", "ruleset"], place))["nftables"] for place in places]
    rules = [r for table in tables for r in (e.get("rule") for e in table) if r and r["table"] == name]
    # Others drop tags and claimed addresses: these are the ones about the underlay.
    dropping = [r["expr"] for r in rules if any("drop" in w for w in r["expr"]) and "@underlay" in json.dumps(r)]
    assert len(dropping) == 2, f"{port} has one guard: VXLAN and the rest"
    return sum(word["counter"]["packets"] for words in dropping for word in words if "counter" in word)


@pytest.mark.parametrize("source", ["r1", "d2", "isp1"], ids=["tenant", "public", "upstream"])
@pytest.mark.parametrize("spoofed", [False, True], ids=["own-source", "spoofed-source"])
def test_forged_vxlan_reaches_nobody_and_is_counted(fabric: Fabric, source: str, spoofed: bool) -> None:
    underlay = fabric.underlay()
    assert len(underlay.vnis) == 3, "three leaves are VTEPs"
    packets = [p for p in underlay.packets(source) if bool(p["source"]) == spoofed]
    send = {"do": "forge", "packets": packets}
    hosts = [*fabric.lab.hosts, *fabric.lab.routers]
    port = nic_of(fabric, source).port
    assert port is not None
    before, counted = {h: len(fabric.intruders(h)) for h in hosts}, guarded(fabric, port)
    # A host without a route cannot even send: give it one, as an attacker would.
    node = fabric.node(source)
    gateway = route_to_the_underlay(fabric, source)
    node.ip([gateway])
    try:
        left = sum(fabric.ask(source, send)["sent"])
    finally:
        node.ip([gateway.replace("route add", "route delete")])
    assert left == len(packets), "the attacker's packets did not leave"
    poll("every packet to be counted", lambda: guarded(fabric, port) - counted >= left, 10)
    assert {h: len(fabric.intruders(h)) for h in hosts} == before
    assert guarded(fabric, port) - counted == left, "the guard drops what was forged and nothing else"


def nic_of(fabric: Fabric, name: str) -> Nic:
    nodes = {**fabric.lab.hosts, **fabric.lab.routers}
    (nic,) = nodes[name]
    return nic


def route_to_the_underlay(fabric: Fabric, source: str) -> str:
    nic = nic_of(fabric, source)
    sessions = fabric.lab.sessions.get(source)
    gateway = sessions[0].neighbours[0] if sessions else next(g for g in nic.gateways if "." in g)
    return f"route add 10.255.0.0/24 via {gateway} dev {nic.name}"


def tables(fabric: Fabric, *vpcs: str) -> dict[tuple[str, str], list[str]]:
    """Routes of VPCs on every leaf that has them."""
    found = {}
    for device in ("leaf1", "leaf2", "leaf3"):
        node = fabric.node(device)
        for name in vpcs:
            vrf = fabric.vrf(name)
            if node.path(f"/run/netns/{vrf}").exists():
                both = node.run(["ip", "-4", "route"], vrf) + node.run(["ip", "-6", "route"], vrf)
                found[device, name] = sorted(
                    re.sub(r" (nhid \d+|expires \S+)", "", line) for line in both.splitlines()
                )
    return found


@pytest.mark.parametrize("other", ["pb", "pc", "pd"], ids=["both-leaves", "one-leaf", "no-leaf"])
def test_a_peering_comes_and_goes_without_loss_inside_either_vpc(fabric: Fabric, other: str) -> None:
    before = tables(fabric, "pa", other)
    first = {"pa": 70, "pb": 71, "pc": 72, "pd": 73}[other]
    pingers = [
        Pinger(fabric, "pa1", "10.70.2.12"),
        Pinger(fabric, "pa1", "2001:db8:70:2::12"),
        Pinger(fabric, f"{other}1", f"10.{first}.2.12"),
        Pinger(fabric, f"{other}1", f"2001:db8:{first}:2::12"),
    ]
    peering = {"kind": "vpc-peering", "tenant": TENANT, "name": f"pa-{other}"}
    try:
        assert who(fabric, "pa1", f"10.{first}.1.11") == NOBODY
        apply(fabric, {**peering, "spec": {"a": {"vpc": "pa"}, "b": {"vpc": other}}})
        converged(fabric)
        assert who(fabric, "pa1", f"10.{first}.1.11") == f"{other}1"
        assert who(fabric, f"{other}2", "2001:db8:70:1::11") == "pa1"
        assert wrong(fabric) == []
        apply(fabric, delete=(peering,))
        poll("the peering to be gone", lambda: who(fabric, "pa1", f"10.{first}.1.11") == NOBODY)
        poll("the tables to be as before", lambda: tables(fabric, "pa", other) == before, 20)
    finally:
        fates = {p.what: p.lost() for p in pingers}
    assert fates == dict.fromkeys(fates, 0)
    assert wrong(fabric) == []


@pytest.mark.parametrize(
    ("version", "headers", "address", "gateways"),
    [
        ("-4", 28, "10.1.2.13", ("10.1.1.1", "10.1.2.1")),
        ("-6", 48, "2001:db8:1:2::13", ("2001:db8:1:1::1", "2001:db8:1:2::1")),
    ],
    ids=["ipv4", "ipv6"],
)
def test_the_largest_packet_passes_and_one_byte_more_is_answered_by_too_big(
    fabric: Fabric, version: str, headers: int, address: str, gateways: tuple[str, str]
) -> None:
    """Hazard 21, from leaf to leaf. r1's own interface takes more, or the packet would not even leave it."""
    node, nic = fabric.node("r1"), nic_of(fabric, "r1")

    def ping(size: int) -> str:
        node.run(["ip", version, "route", "flush", "cache"])  # what r1 has learnt would keep the packet at home
        argv = ["ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", str(size - headers), address]
        return node.run(argv, check=False)

    def refusal() -> tuple[str, int] | None:
        """Who says too-big to one byte more, and what may pass."""
        said = ping(nic.mtu + 1)
        assert " 0 received" in said
        found = re.search(r"^From (\S+) icmp_seq=1 .*\bmtu ?= ?(\d+)", said, re.MULTILINE)
        return (found[1], int(found[2])) if found else None

    node.ip([f"link set {nic.name} mtu {nic.mtu + 100}"])
    try:
        poll("the largest packet to be answered", lambda: " 1 received" in ping(nic.mtu), 10)
        by, mtu = poll("too-big", refusal, 10)  # more than one try: kernels limit the rate of such messages
    finally:
        node.ip([f"link set {nic.name} mtu {nic.mtu}"])
        node.run(["ip", version, "route", "flush", "cache"])
    assert by in gateways, "an address of the VPC, not of the underlay"
    assert mtu == nic.mtu


def management() -> list[dict[str, Any]]:
    """A tenant whose V-Net covers the management network, its gateway on the controller's address."""
    where = {"vpc": "mine", "prefix": MANAGEMENT}
    spec = {"vpc": "mine", "gateways": [f"{wiring.CONTROLLER_ADDRESS}/16"], "ports": [{"port": "swp15@leaf1"}]}
    return [
        {"kind": "vpc", "tenant": TENANT, "name": "mine", "spec": {}},
        {"kind": "allocation", "tenant": TENANT, "name": "mine", "spec": where},
        {"kind": "subnet", "tenant": TENANT, "name": "mine", "spec": where},
        {"kind": "vnet", "tenant": TENANT, "name": "mine", "spec": spec},
    ]


def test_agents_stay_connected_whatever_the_fabric_routes(fabric: Fabric) -> None:
    """Hazard 17: a default and the controller's prefix, from upstream and from a tenant."""
    session = fabric.lab.sessions["isp1"][0]
    upstream = ("configure terminal", f"router bgp {session.local_as}", "address-family ipv4 unicast")
    prefixes = (MANAGEMENT, f"{wiring.CONTROLLER_ADDRESS}/32")
    documents, border = management(), fabric.vrf("border")

    def learnt(device: str) -> bool:
        routes = fabric.node(device).run(["ip", "-4", "route"], border)
        return all(f"\n{p.removesuffix('/32')} " in f"\n{routes}" for p in ("default", *prefixes))

    frr.vtysh(fabric.node("isp1"), *upstream, *(f"network {p}" for p in prefixes))
    try:
        for device in ("leaf1", "leaf2"):
            poll(f"{device} to route the controller's prefix upstream", lambda device=device: learnt(device))  # type: ignore[misc]
        apply(fabric, *documents)
        # New agents: what reports has connected with all these routes in place.
        fabric.stop_agents(fabric.lab.switches)
        before = last_report(fabric)
        assert set(before) >= set(fabric.lab.switches)
        fabric.start_agents(fabric.lab.switches)
        poll("every agent to report", lambda: all(last_report(fabric)[d] > at for d, at in before.items()), 90)
        assert all(map(learnt, ("leaf1", "leaf2")))
    finally:
        frr.vtysh(fabric.node("isp1"), *upstream, *(f"no network {p}" for p in prefixes))
        removal = [{k: d[k] for k in ("kind", "tenant", "name")} for d in reversed(documents)]
        fabric.api.apply((), removal)
    settled(fabric)


def last_report(fabric: Fabric) -> dict[str, str]:
    return {d["name"]: d["last_report"] or "" for d in fabric.api.get("/v1/devices")["items"]}


def who(fabric: Fabric, source: str, address: str) -> str:
    return fabric.probe(source, [{"id": "x", "protocol": "tcp", "address": address, "timeout": 1.0}])["x"]


def wrong(fabric: Fabric) -> list[flows.Wrong]:
    """What differs from intent; z1 got its addresses by hand and is not of it."""
    return [w for w in judged(fabric).wrong if "z1" not in (w.source, w.got)]
