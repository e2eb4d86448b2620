"""Static routes with real packets: what is behind a host is reached from all of its VPC, and from nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from lab.test_hazards import host
from lab.test_routed_links import subnet
from support.fabric import apply, converged, judged, poll
from underlace.lab.expect import NOBODY, matrix
from underlace.lab.fabric import Fabric


def route(name: str, tenant: str, vpc: str, prefix: str, **spec: Any) -> dict[str, Any]:
    return {"kind": "static-route", "tenant": tenant, "name": name, "spec": {"vpc": vpc, "prefix": prefix, **spec}}


@pytest.fixture(scope="module")
def more() -> tuple[dict[str, Any], ...]:
    """Prefixes behind a host of red-web on leaf2 and one on a link at leaf3; the same prefix in blue, elsewhere."""
    web = [{"port": p} for p in ("swp5@leaf1", "swp5@leaf2", "swp12@leaf2")]
    gateways = ["10.1.1.1/24", "2001:db8:1:1::1/64"]
    link = {"vpc": "red", "type": "l3vpn", "subnets": ["10.1.9.0/24"], "ports": [{"port": "swp12@leaf3"}]}
    return (
        {
            "kind": "vnet",
            "tenant": "acme",
            "name": "red-web",
            "spec": {"vpc": "red", "gateways": gateways, "ports": web},
        },
        subnet("links", "acme", "red", "10.1.9.0/24"),
        {"kind": "vnet", "tenant": "acme", "name": "links", "spec": link},
        *host("fw", "swp12@leaf2", "1", "10.1.1.77/24", "2001:db8:1:1::77/64", "10.50.0.1/32", "2001:db8:50::1/128"),
        *host("gw", "swp12@leaf3", "1", "10.1.9.1/31", "10.51.0.1/32"),
        route("behind-fw", "acme", "red", "10.50.0.0/24", next_hop="10.1.1.77"),
        route("behind-fw-v6", "acme", "red", "2001:db8:50::/64", next_hop="2001:db8:1:1::77"),
        route("behind-gw", "acme", "red", "10.51.0.0/24", next_hop="10.1.9.1"),
        route("behind-b2", "bolt", "blue", "10.50.0.0/24", next_hop="10.1.1.12"),
        route("dropped", "acme", "red", "10.50.0.128/25", blackhole=True),
    )


def test_what_is_behind_a_host_is_reached_from_its_vpc_only(fabric: Fabric) -> None:
    answers = {(f.source, f.address): f.answer for f in matrix(fabric.current_intent()).flows}
    for source in ("r1", "r2", "r3", "gw"):
        assert answers[source, "10.50.0.1"] == "fw"
    assert answers["r3", "2001:db8:50::1"] == "fw"
    assert answers["r1", "10.51.0.1"] == answers["fw", "10.51.0.1"] == "gw"
    for source in ("b1", "b3", "s1", "d1", "isp1"):
        assert answers[source, "10.50.0.1"] == NOBODY
    assert judged(fabric).wrong == ()


def test_the_route_is_in_its_own_vpc_only(fabric: Fabric) -> None:
    """Leaf1 learns both routes to one prefix by EVPN, or has them: each VPC has its own next hop."""
    red, blue = fabric.vrf("acme/red"), fabric.vrf("bolt/blue")
    leaf3 = fabric.node("leaf3")
    assert "10.50.0.0/24" in leaf3.run(["ip", "route"], red)
    assert "blackhole 10.50.0.128/25" in leaf3.run(["ip", "route"], red)
    assert "10.50.0.128" not in leaf3.run(["ip", "route"], blue)
    assert "10.51.0.0/24" not in leaf3.run(["ip", "route"], blue)


def test_a_blackhole_takes_what_a_shorter_route_would_deliver(fabric: Fabric) -> None:
    asked = [{"id": "x", "protocol": "tcp", "address": "10.50.0.1", "timeout": 1.0}]
    drop = route("dropped", "acme", "red", "10.50.0.0/25", blackhole=True)
    apply(fabric, drop)
    poll("10.50.0.1 to be dropped", lambda: fabric.probe("r3", asked)["x"] == NOBODY)
    assert judged(fabric).wrong == ()
    apply(fabric, delete=({name: drop[name] for name in ("kind", "tenant", "name")},))
    poll("10.50.0.1 to answer again", lambda: fabric.probe("r3", asked)["x"] == "fw")


def test_a_route_over_a_link_comes_back_with_its_cable(fabric: Fabric) -> None:
    """The kernel forgets routes of a link that goes; the route must not wait for the agent to see that."""
    node, leaf2, red = fabric.node("leaf3"), fabric.node("leaf2"), fabric.vrf("acme/red")
    fabric.node("gw").ip(["link set eth1 down"])
    poll("the route to go", lambda: "10.51.0.0/24" not in leaf2.run(["ip", "route"], red))
    fabric.node("gw").ip(["link set eth1 up", "route add default via 10.1.9.0 dev eth1"])
    poll("the route to be back", lambda: "10.51.0.0/24" in leaf2.run(["ip", "route"], red))
    assert "10.51.0.0/24 " in node.run(["ip", "route"], red)
    converged(fabric)
