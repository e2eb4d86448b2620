"""V-Nets of routed links: what their ports get, and when a link may be given to another port (law 8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.controlled import ADMIN, Rig, doc, quickstart, rig
from underlace.access import Actor, Role
from underlace.controller.document import Document
from underlace.model.device import BgpRouter, RoutedPort, decode_fragment
from underlace.model.diagnostic import Refused
from underlace.model.ids import Ref
from underlace.store import fragments

RAIL = Ref("vnet", "acme", "rail")
SUBNETS = ["10.1.9.0/30", "2001:db8:1:9::/64"]


def rail(*ports: str, **more: Any) -> Document:
    return doc(
        "vnet", "rail", "acme", vpc="red", type="l3vpn", subnets=SUBNETS, ports=[{"port": p} for p in ports], **more
    )


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path)
    subnets = [doc("subnet", p, "acme", prefix=p, vpc="red") for p in (*SUBNETS, "10.1.8.0/24")]
    opened.put(*quickstart(), *subnets)
    opened.hold_all()
    yield opened
    opened.close()


def objects(fabric: Rig, device: str, kind: type[Any]) -> dict[Any, Any]:
    with fabric.store.read() as c:
        bodies = fragments.bodies(c, {k: h for k, h in fragments.every_key(c).items() if k.device == device})
    found = [o for body in bodies.values() for o in decode_fragment(body.encode()) if isinstance(o, kind)]
    return {o.key: o for o in found}


def links(fabric: Rig) -> dict[str, tuple[str, ...]]:
    return dict(fabric.controller.get(ADMIN, RAIL).status.addresses)


def test_every_port_gets_a_link_of_both_families_and_status_shows_it(fabric: Rig) -> None:
    fabric.put(rail("swp10@leaf1", "swp10@leaf2"))
    fabric.check_derived()
    assert links(fabric) == {
        "swp10@leaf1": ("10.1.9.0/31", "2001:db8:1:9::/127"),
        "swp10@leaf2": ("10.1.9.2/31", "2001:db8:1:9::2/127"),
    }
    held = objects(fabric, "leaf2", RoutedPort)["routed-port", "swp10"]
    assert (held.addresses, held.mtu, held.hosts) == (frozenset(links(fabric)["swp10@leaf2"]), 9_000, True)
    allocated = fabric.controller.get(ADMIN, RAIL).status.allocated
    assert "vni" not in allocated


def test_a_full_subnet_is_said(fabric: Rig) -> None:
    with pytest.raises(Refused) as refused:
        fabric.put(rail("swp10@leaf1", "swp10@leaf2", "swp10@leaf3"))
    assert [d.code for d in refused.value.diagnostics] == ["pool-exhausted"]


def test_a_link_is_given_again_only_after_its_leaf_has_confirmed(fabric: Rig) -> None:
    fabric.put(rail("swp10@leaf1", "swp10@leaf2"))
    fabric.hold_all()
    fabric.put(rail("swp10@leaf2"))
    with pytest.raises(Refused) as refused:
        fabric.put(rail("swp10@leaf2", "swp10@leaf3"))
    assert [d.code for d in refused.value.diagnostics] == ["pool-exhausted"]
    fabric.hold("leaf1")
    fabric.put(rail("swp10@leaf2", "swp10@leaf3"))
    assert links(fabric)["swp10@leaf3"][0] == "10.1.9.0/31"
    assert links(fabric)["swp10@leaf2"][0] == "10.1.9.2/31", "no other port's link changes"


def test_a_given_link_takes_none_from_the_subnet(fabric: Rig) -> None:
    given = {"port": "swp11@leaf1", "addresses": ["10.1.8.7/31"]}
    fabric.put(doc("vnet", "rail", "acme", vpc="red", type="l3vpn", subnets=SUBNETS, ports=[given]))
    assert links(fabric) == {"swp11@leaf1": ("10.1.8.7/31", "2001:db8:1:9::/127")}


def test_a_tenants_user_may_have_links_and_give_them(fabric: Rig) -> None:
    fabric.put(*(doc("port", f"swp{n}@leaf1", tenant="acme") for n in (10, 11)))
    user = Actor("user", Role.TENANT, frozenset({"acme"}))
    ports = [{"port": "swp10@leaf1"}, {"port": "swp11@leaf1", "addresses": ["10.1.8.0/31"]}]
    fabric.put(doc("vnet", "rail", "acme", vpc="red", type="l3vpn", subnets=SUBNETS, ports=ports), actor=user)
    assert fabric.controller.get(user, RAIL).status.addresses["swp11@leaf1"][0] == "10.1.8.0/31"


def test_a_session_announces_the_subnet_of_links_as_a_whole(fabric: Rig) -> None:
    """On no leaf there is more of it than links, so the session's own device makes the aggregate; and only that."""
    peer = doc(
        "bgp-peer",
        "partner",
        "acme",
        vpc="red",
        port="swp12@leaf3",
        local_addresses=["192.0.2.8/31"],
        remote_addresses=["192.0.2.9"],
        remote_asn=64_499,
    )
    fabric.put(peer)

    def aggregates(device: str) -> list[frozenset[str]]:
        return [r.aggregates for r in objects(fabric, device, BgpRouter).values() if r.aggregates]

    assert aggregates("leaf3") == []
    fabric.put(rail("swp10@leaf1"))
    fabric.check_derived()
    assert aggregates("leaf3") == [frozenset(SUBNETS)]
    assert aggregates("leaf1") == []


def test_a_v_net_may_change_its_type(fabric: Rig) -> None:
    fabric.put(rail("swp10@leaf1"))
    fabric.put(doc("vnet", "rail", "acme", vpc="red", ports=[{"port": "swp10@leaf1"}]))
    fabric.check_derived()
    assert not objects(fabric, "leaf1", RoutedPort).keys() & {("routed-port", "swp10")}
    fabric.put(rail("swp10@leaf1"))
    fabric.check_derived()
