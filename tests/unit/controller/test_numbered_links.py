"""Addresses of fabric links: who gets which, how long they rest, and what follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.controlled import Rig, doc, quickstart, rig
from underlace.controller.document import Document
from underlace.drivers.linux import LinuxDriver
from underlace.model.device import Port, Protection, decode_fragment
from underlace.model.diagnostic import Refused
from underlace.store import fragments

LINKS = doc("subnet", "links", "system", prefix="10.254.0.0/29", purpose="underlay")
LINKS6 = doc("subnet", "links-v6", "system", prefix="fd00::/124", purpose="underlay")


def link(leaf: int, spine: int, **spec: Any) -> Document:
    ends = {"a": f"swp{spine}@leaf{leaf}", "b": f"swp{leaf}@spine{spine}", "underlay": True}
    return doc("link", f"leaf{leaf}-spine{spine}", **ends, **spec)


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path, LinuxDriver())
    opened.put(
        *quickstart(),
        doc("allocation", "links", "system", prefix="10.254.0.0/24"),
        doc("allocation", "links-v6", "system", prefix="fd00::/64"),
        LINKS,
    )
    opened.hold_all()
    yield opened
    opened.close()


def addresses(fabric: Rig) -> dict[str, set[str]]:
    """Of ports that have any; what is stored is what a full compile gives."""
    fabric.check_derived()
    with fabric.store.read() as c:
        keys = fragments.every_key(c)
        bodies = fragments.bodies(c, keys)
    found: dict[str, set[str]] = {}
    for key, one in keys.items():
        for item in decode_fragment(bodies[one].encode()):
            if isinstance(item, Port) and item.addresses:
                found[f"{item.name}@{key.device}"] = set(item.addresses)
            if isinstance(item, Protection):
                assert not item.links & item.underlay
    return found


def codes(refused: pytest.ExceptionInfo[Refused]) -> set[str]:
    return {d.code for d in refused.value.diagnostics}


def test_links_are_allocated_and_stated_side_by_side(fabric: Rig) -> None:
    fabric.put(link(1, 1, numbered=True), link(1, 2, addresses=["10.254.0.1/31"]), link(2, 1, numbered=True))
    found = addresses(fabric)
    assert found["swp2@leaf1"] == {"10.254.0.1/31"}
    assert found["swp1@spine2"] == {"10.254.0.0/31"}
    assert len(set().union(*found.values())) == 6
    fabric.put(LINKS6)
    six = set().union(*addresses(fabric).values()) - set().union(*found.values())
    assert six == {f"fd00::{n:x}/127" if n else "fd00::/127" for n in range(6)}


def test_going_over_to_addresses_is_planned_with_its_outage(fabric: Rig) -> None:
    plan = fabric.plan(link(1, 1, numbered=True))
    assert {d.device: d.disruption for d in plan.devices} == {"leaf1": "outage", "spine1": "outage"}
    assert [(n.kind, n.slot, n.value) for n in plan.numbers] == [("link", "link4", 0x0AFE0000 >> 1)]


def test_an_address_rests_until_both_ends_have_let_go_of_it(fabric: Rig) -> None:
    fabric.put(link(1, 1, addresses=["10.254.0.0/31"]))
    fabric.hold_all()
    fabric.put(link(1, 1))
    fabric.fetch("leaf1")
    fabric.put(link(2, 1, addresses=["10.254.0.0/31"]))
    assert fabric.state("link", "leaf2-spine1") == "Provisioning"
    assert "swp1@leaf2" not in addresses(fabric)
    fabric.hold_all()
    assert addresses(fabric)["swp1@leaf2"] == {"10.254.0.0/31"}


def test_what_cannot_be_is_refused(fabric: Rig) -> None:
    fabric.put(link(1, 1, addresses=["10.254.0.0/31"]))
    with pytest.raises(Refused) as refused:
        fabric.put(link(2, 1, addresses=["10.254.0.1/31"]))
    assert codes(refused) == {"number-in-use"}
    with pytest.raises(Refused) as refused:
        fabric.delete(LINKS.ref)
    assert codes(refused) == {"no-link-subnet"}
    more = [link(n, s, numbered=True) for n in (2, 3) for s in (1, 2)]
    with pytest.raises(Refused) as refused:
        fabric.put(*more)
    assert codes(refused) == {"pool-exhausted"}
    fabric.put(*more, doc("subnet", "more", "system", prefix="10.254.0.8/29", purpose="underlay"))
    assert len(addresses(fabric)) == 10
    with pytest.raises(Refused) as refused:
        fabric.put(LINKS6, doc("subnet", "more-v6", "system", prefix="fd00::1:0/124", purpose="underlay"))
    assert codes(refused) == {"two-link-subnets"}


def test_no_tenant_uses_what_is_closed(fabric: Rig) -> None:
    with pytest.raises(Refused) as refused:
        fabric.put(
            doc("allocation", "sneaky", "acme", prefix="10.254.0.0/24", vpc="red"),
            doc("subnet", "sneaky", "acme", prefix="10.254.0.0/24", vpc="red"),
        )
    assert codes(refused) == {"overlaps-underlay"}
    with pytest.raises(Refused) as refused:
        fabric.put(doc("static-route", "sneaky", "acme", vpc="red", prefix="10.254.0.4/30", blackhole=True))
    assert codes(refused) == {"overlaps-underlay"}
