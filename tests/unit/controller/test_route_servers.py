"""EVPN sessions with route servers: who has sessions with whom, and what it costs to change that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.controlled import Rig, doc, quickstart, rig
from underlace.controller.document import Document
from underlace.drivers.linux import LinuxDriver
from underlace.model.device import BgpNeighbor, EvpnPeer, decode_fragment
from underlace.model.diagnostic import Refused
from underlace.model.ids import NO_TENANT, Ref
from underlace.store import fragments

SERVED = doc("profile", "default", overlay={"evpn": "route-servers"})


def switch(name: str, **spec: Any) -> Document:
    found = next((d.spec for d in quickstart() if str(d.ref) == f"switch/-/{name}"), None)
    return Document(
        Ref("switch", NO_TENANT, name), {**(found or {"site": "dc1", "role": "leaf", "ports": 16}), **spec}
    )


SERVERS = (switch("spine1", route_server=True), switch("spine2", route_server=True))


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path, LinuxDriver())
    opened.put(*quickstart())
    opened.hold_all()
    yield opened
    opened.close()


def objects(fabric: Rig, kind: type[Any]) -> dict[str, list[Any]]:
    """By device; what is stored is what a full compile gives."""
    fabric.check_derived()
    found: dict[str, list[Any]] = {}
    with fabric.store.read() as c:
        keys = fragments.every_key(c)
        bodies = fragments.bodies(c, keys)
    for key, one in sorted(keys.items()):
        items = [o for o in decode_fragment(bodies[one].encode()) if isinstance(o, kind)]
        found.setdefault(key.device, []).extend(items)
    return found


def peers(fabric: Rig) -> dict[str, set[str]]:
    return {device: {p.peer for p in found} for device, found in objects(fabric, EvpnPeer).items()}


def codes(refused: pytest.ExceptionInfo[Refused]) -> set[str]:
    return {d.code for d in refused.value.diagnostics}


def loopback(fabric: Rig, name: str) -> str:
    return f"10.255.0.{fabric.number('loopback', 'switch', name) % 256}"


def test_to_go_over_to_route_servers_is_a_plan_with_its_outage(fabric: Rig) -> None:
    before = fabric.hashes()
    fabric.put(*SERVERS)
    assert fabric.hashes() == before, "nobody asks for them yet"
    plan = fabric.plan(SERVED)
    assert {d.device: d.disruption for d in plan.devices} == dict.fromkeys(
        ("leaf1", "leaf2", "leaf3", "spine1", "spine2"), "outage"
    )
    fabric.put(SERVED)
    leaves = {loopback(fabric, f"leaf{n}") for n in (1, 2, 3)}
    servers = {loopback(fabric, f"spine{n}") for n in (1, 2)}
    expected = {f"leaf{n}": servers for n in (1, 2, 3)} | {f"spine{n}": leaves for n in (1, 2)}
    assert peers(fabric) == expected
    sessions = [n for found in objects(fabric, BgpNeighbor).values() for n in found if n.fabric]
    assert len(sessions) == 12
    assert all(n.evpn is False for n in sessions)
    fabric.put(doc("profile", "default"))
    assert fabric.hashes() == before


def test_leaves_and_route_servers_come_and_go(fabric: Rig) -> None:
    fabric.put(SERVED, *SERVERS)
    third = switch("rs3", role="spine", route_server=True, ports=4)
    fabric.put(third, switch("leaf4"), doc("link", "x", a="swp1@leaf4", b="swp8@spine1", underlay=True))
    found = peers(fabric)
    assert loopback(fabric, "rs3") in found["leaf1"] & found["leaf4"]
    assert loopback(fabric, "leaf4") in found["spine1"] & found["rs3"]
    fabric.put(switch("spine2"))
    assert loopback(fabric, "spine2") not in peers(fabric)["leaf1"]
    assert peers(fabric)["spine2"] == set()
    with pytest.raises(Refused) as refused:
        fabric.delete(third.ref)
    assert codes(refused) == {"too-few-route-servers"}


def test_all_devices_have_sessions_of_one_kind(fabric: Rig) -> None:
    other = doc("profile", "other", overlay={"evpn": "route-servers"})
    with pytest.raises(Refused) as refused:
        fabric.put(*SERVERS, other, switch("leaf1", profile="other"))
    assert codes(refused) == {"evpn-sessions-differ"}
    with pytest.raises(Refused) as refused:
        fabric.put(SERVED)
    assert codes(refused) == {"too-few-route-servers"}
    fabric.put(*SERVERS, other, SERVED, switch("leaf1", profile="other"))
    assert peers(fabric)["leaf1"] == peers(fabric)["leaf2"]
