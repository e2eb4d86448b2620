"""V-Nets of type l3vpn with real packets: hosts on links of their own reach their VPC, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from lab.test_hazards import host
from support.fabric import apply, judged, poll
from underlace.lab.expect import NOBODY, matrix
from underlace.lab.fabric import Fabric

RAIL_V4, RAIL_V6, GIVEN = "10.1.9.0/24", "2001:db8:1:9::/64", "10.1.8.0/24"


def rail(*ports: str) -> dict[str, Any]:
    spec = {"vpc": "red", "type": "l3vpn", "subnets": [RAIL_V4, RAIL_V6], "ports": [{"port": p} for p in ports]}
    return {"kind": "vnet", "tenant": "acme", "name": "rail", "spec": spec}


def subnet(name: str, tenant: str, vpc: str, prefix: str) -> dict[str, Any]:
    return {"kind": "subnet", "tenant": tenant, "name": name, "spec": {"prefix": prefix, "vpc": vpc}}


@pytest.fixture(scope="module")
def more() -> tuple[dict[str, Any], ...]:
    """Links picked by the controller on leaf1 and leaf3 (in the order of the ports), one that is given on leaf2,
    the same networks in another VPC, and links with public addresses."""
    blue = {"vpc": "blue", "type": "l3vpn", "subnets": [RAIL_V4, RAIL_V6], "ports": [{"port": "swp11@leaf3"}]}
    given = {"port": "swp12@leaf2", "addresses": ["10.1.8.5/31", "2001:db8:1:8::1/127"]}
    public = {"vpc": "border", "type": "l3vpn", "subnets": ["100.64.9.0/24"], "ports": [{"port": "swp13@leaf3"}]}
    return (
        {"kind": "allocation", "tenant": "system", "name": "links", "spec": {"prefix": "100.64.9.0/24"}},
        subnet("links", "system", "border", "100.64.9.0/24"),
        {"kind": "vnet", "tenant": "system", "name": "links", "spec": public},
        *host("p3", "swp13@leaf3", "1", "100.64.9.1/31"),
        subnet("rail-v4", "acme", "red", RAIL_V4),
        subnet("rail-v6", "acme", "red", RAIL_V6),
        subnet("given-v4", "acme", "red", GIVEN),
        subnet("given-v6", "acme", "red", "2001:db8:1:8::/64"),
        subnet("rail-v4", "bolt", "blue", RAIL_V4),
        subnet("rail-v6", "bolt", "blue", RAIL_V6),
        rail("swp11@leaf1", "swp12@leaf3"),
        {
            "kind": "vnet",
            "tenant": "acme",
            "name": "given",
            "spec": {"vpc": "red", "type": "l3vpn", "mtu": 1_500, "ports": [given]},
        },
        {"kind": "vnet", "tenant": "bolt", "name": "rail", "spec": blue},
        *host("l1", "swp11@leaf1", "1", "10.1.9.1/31", "2001:db8:1:9::1/127"),
        *host("l3", "swp12@leaf3", "1", "10.1.9.3/31", "2001:db8:1:9::3/127"),
        *host("l2", "swp12@leaf2", "1", "10.1.8.4/31", "2001:db8:1:8::/127"),
        *host("m3", "swp11@leaf3", "1", "10.1.9.1/31", "2001:db8:1:9::1/127"),
    )


def test_hosts_on_links_reach_their_vpc_and_nothing_else(fabric: Fabric) -> None:
    """The whole matrix, law 11's attempts included; and it says of links what a person would."""
    answers = {(f.source, f.address): f.answer for f in matrix(fabric.current_intent()).flows}
    for reached, taker in (("10.1.9.3", "l3"), ("10.1.8.4", "l2"), ("10.1.1.12", "r2"), ("10.9.1.11", "s1")):
        assert answers["l1", reached] == taker
    for reached, taker in (("2001:db8:1:9::3", "l3"), ("2001:db8:1:8::", "l2"), ("2001:db8:1:2::13", "r3")):
        assert answers["l1", reached] == taker
    assert answers["isp1", "100.64.9.1"] == answers["isp2", "100.64.9.1"] == "p3", "announced as a whole"
    assert answers["p3", "198.51.100.1"] == "isp1"
    assert answers["b1", "10.1.9.1"] == "m3"
    assert answers["r1", "10.1.9.1"] == "l1"
    assert answers["m3", "10.1.9.3"] == answers["d1", "10.1.9.1"] == NOBODY
    assert judged(fabric).wrong == ()


def test_a_host_claims_the_addresses_of_its_link_only(fabric: Fabric) -> None:
    """Hazard 2 and 8 on a routed port: another address of the VPC is not to be had by ARP or ND."""
    node, leaf, red = fabric.node("l1"), fabric.node("leaf1"), fabric.vrf("acme/red")
    node.ip(["addr add 10.1.9.77/24 dev eth1", "addr add 2001:db8:1:9::77/64 dev eth1 nodad"])
    try:
        for source, gateway in (("10.1.9.77", "10.1.9.0"), ("2001:db8:1:9::77", "2001:db8:1:9::")):
            node.ip(["neigh flush dev eth1"])  # so that it asks for the leaf, under its false address
            node.run(["ping", "-n", "-c", "1", "-W", "1", "-I", source, gateway], check=False)
        known = leaf.run(["ip", "neigh", "show", "dev", "swp11"], red)
        assert "10.1.9.77" not in known
        assert "2001:db8:1:9::77" not in known
        node.ip(["neigh flush dev eth1"])
        node.run(["ping", "-n", "-c", "1", "-W", "1", "-I", "10.1.9.1", "10.1.9.0"])
        node.run(["ping", "-n", "-c", "1", "-W", "1", "-I", "2001:db8:1:9::1", "2001:db8:1:9::"])
    finally:
        node.ip(["addr del 10.1.9.77/24 dev eth1", "addr del 2001:db8:1:9::77/64 dev eth1"])


def test_a_link_that_goes_takes_its_route_with_it(fabric: Fabric) -> None:
    asked = [{"id": "x", "protocol": "tcp", "address": "10.1.9.1", "timeout": 1.0}]
    assert fabric.probe("r2", asked)["x"] == "l1"
    apply(fabric, rail("swp12@leaf3"))
    poll("l1 to be unreachable", lambda: fabric.probe("r2", asked)["x"] == NOBODY)
    poll(
        "the route to be gone",
        lambda: "10.1.9.0/31" not in fabric.node("leaf2").run(["ip", "route"], fabric.vrf("acme/red")),
    )
    apply(fabric, rail("swp12@leaf3", "swp11@leaf2"))
    assert judged(fabric).wrong == ()
