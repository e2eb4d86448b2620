"""Static routes follow their next hop: whatever V-Net, port or link changes, the right leaves have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.controlled import Rig, doc, quickstart, rig
from underlace.access import Actor, Role
from underlace.controller.document import Document
from underlace.model.device import StaticRoute, decode_fragment
from underlace.model.diagnostic import Refused
from underlace.model.ids import Ref
from underlace.store import fragments

WEB = ("swp5@leaf1", "swp5@leaf2")


def route(name: str = "behind", **spec: Any) -> Document:
    return doc("static-route", name, "acme", **{"vpc": "red", "prefix": "10.50.0.0/24", **spec})


def web(*ports: str) -> Document:
    gateways = ["10.1.1.1/24", "2001:db8:1:1::1/64"]
    return doc("vnet", "red-web", "acme", vpc="red", gateways=gateways, ports=[{"port": p} for p in ports])


def rail(*ports: str) -> Document:
    members = [{"port": p} for p in ports]
    return doc("vnet", "rail", "acme", vpc="red", type="l3vpn", subnets=["10.1.9.0/24"], ports=members)


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path)
    opened.put(*quickstart())
    opened.hold_all()
    yield opened
    opened.close()


def having(fabric: Rig) -> set[str]:
    """Devices that have a static route; what is stored is what a full compile gives."""
    fabric.check_derived()
    with fabric.store.read() as c:
        keys = fragments.every_key(c)
        bodies = fragments.bodies(c, keys)
    return {
        key.device
        for key, found in keys.items()
        if any(isinstance(o, StaticRoute) for o in decode_fragment(bodies[found].encode()))
    }


def test_it_is_where_the_next_hops_v_net_is_and_follows_it(fabric: Rig) -> None:
    fabric.put(route(next_hop="10.1.1.77"))
    assert having(fabric) == {"leaf1", "leaf2"}
    fabric.put(web("swp5@leaf1"))
    assert having(fabric) == {"leaf1"}
    fabric.put(web(*WEB, "swp10@leaf3"))
    assert having(fabric) == {"leaf1", "leaf2", "leaf3"}
    fabric.put(route(next_hop="10.1.2.77"))
    assert having(fabric) == {"leaf3"}


def test_it_is_on_the_one_leaf_that_has_the_link(fabric: Rig) -> None:
    """All in one change, then with the link given to another port."""
    subnet = doc("subnet", "rail", "acme", prefix="10.1.9.0/24", vpc="red")
    fabric.put(route(next_hop="10.1.9.3"), rail("swp10@leaf1", "swp10@leaf2"), subnet)
    assert having(fabric) == {"leaf2"}
    with pytest.raises(Refused) as refused:
        fabric.put(rail("swp10@leaf1"))
    assert [d.code for d in refused.value.diagnostics] == ["next-hop-not-a-host"]
    given = {"port": "swp11@leaf3", "addresses": ["10.1.8.0/31"]}
    fabric.put(
        doc("subnet", "given", "acme", prefix="10.1.8.0/24", vpc="red"),
        doc("vnet", "given", "acme", vpc="red", type="l3vpn", ports=[given]),
        route(next_hop="10.1.8.1"),
    )
    assert having(fabric) == {"leaf3"}


def test_a_blackhole_is_wherever_a_v_net_of_the_vpc_is(fabric: Rig) -> None:
    """On leaf3 the peering has the VPC still; what it sends to the prefix is dropped on the others."""
    fabric.put(route(blackhole=True))
    assert having(fabric) == {"leaf1", "leaf2", "leaf3"}
    fabric.delete(Ref("vnet", "acme", "red-db"))
    assert having(fabric) == {"leaf1", "leaf2"}
    fabric.put(route(blackhole=True, devices=["leaf3"]))
    assert having(fabric) == {"leaf3"}


def test_what_it_stands_on_cannot_go(fabric: Rig) -> None:
    fabric.put(route(next_hop="10.1.1.77"))
    with pytest.raises(Refused) as refused:
        fabric.delete(Ref("vnet", "acme", "red-web"))
    assert [d.code for d in refused.value.diagnostics] == ["next-hop-not-a-host"]
    fabric.delete(Ref("vnet", "acme", "red-web"), Ref("static-route", "acme", "behind"))
    assert having(fabric) == set()


def test_it_cannot_lead_where_a_peering_leads(fabric: Rig) -> None:
    """Whichever of route, peering and peered subnet comes last."""
    with pytest.raises(Refused) as refused:
        fabric.put(route(prefix="10.9.1.0/24", next_hop="10.1.1.77"))
    (fault,) = refused.value.diagnostics
    assert fault.code == "route-is-peered"
    assert "10.9.1.0/24 of route behind" in fault.detail
    peering = next(d for d in quickstart() if d.ref.kind == "vpc-peering")
    fabric.delete(peering.ref)
    fabric.put(route(prefix="10.9.1.0/24", next_hop="10.1.1.77"))
    with pytest.raises(Refused) as refused:
        fabric.put(peering)
    assert [d.code for d in refused.value.diagnostics] == ["route-is-peered"]
    fabric.put(route(prefix="10.9.7.0/24", next_hop="10.1.1.77"), peering)
    with pytest.raises(Refused) as refused:
        fabric.put(doc("subnet", "late", "platform", prefix="10.9.7.0/24", vpc="shared"))
    assert [d.code for d in refused.value.diagnostics] == ["route-is-peered"]


def test_a_tenants_user_names_no_devices(fabric: Rig) -> None:
    """A leaf that it names would get its VPC: to a user of a tenant there are no leaves."""
    user = Actor("user", Role.TENANT, frozenset({"acme"}))
    answers = []
    for device in ("leaf3", "leaf9"):
        with pytest.raises(Refused) as refused:
            fabric.put(route(blackhole=True, devices=[device]), actor=user)
        answers.append([str(d).replace(device, "DEVICE") for d in refused.value.diagnostics])
        assert [d.code for d in refused.value.diagnostics] == ["dangling-reference"]
    assert answers[0] == answers[1]
    fabric.put(route(blackhole=True), actor=user)


def test_a_subnet_cannot_come_around_it(fabric: Rig) -> None:
    fabric.put(route(prefix="10.1.77.0/24", next_hop="10.1.1.77"))
    with pytest.raises(Refused) as refused:
        fabric.put(doc("subnet", "late", "acme", prefix="10.1.77.0/24", vpc="red"))
    assert [d.code for d in refused.value.diagnostics] == ["route-inside-subnet"]
