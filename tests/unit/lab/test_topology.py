"""What a lab consists of, from intent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from underlace.lab import intent
from underlace.lab.build import up
from underlace.lab.topology import Cable, End, bfd_interval, topology
from underlace.model.diagnostic import Refused

QUICKSTART = Path(__file__).resolve().parents[3] / "examples" / "quickstart"


def documents(*extra: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"kind": "site", "name": "dc", "spec": {}},
        {"kind": "switch", "name": "leaf1", "spec": {"site": "dc", "role": "leaf", "ports": 4}},
        *extra,
    ]


@pytest.mark.parametrize(("devices", "interval"), [(1, 100), (10, 100), (11, 300), (30, 300), (31, 1000), (64, 1000)])
def test_bfd_timers_grow_with_the_lab(devices: int, interval: int) -> None:
    assert bfd_interval(devices) == interval


def test_the_quickstart_has_its_nodes_and_cables() -> None:
    found = topology(intent.read(QUICKSTART))
    assert set(found.switches) == {"spine1", "spine2", "leaf1", "leaf2", "leaf3"}, (
        "the out-of-band switch is no device"
    )
    assert len(found.hosts) == 10
    assert set(found.routers) == {"isp1", "isp2"}
    assert len(found.cables) == 20, "fabric 6, routers 2, hosts 12; management cables are the lab's own"
    assert Cable(End("r1", "eth1"), End("leaf1", "swp5")) in found.cables


def test_a_host_has_the_gateways_and_the_mtu_of_its_v_net() -> None:
    found = topology(intent.read(QUICKSTART))
    (nic,) = found.hosts["r3"]
    assert nic.gateways == ("10.1.2.1", "2001:db8:1:2::1")
    assert nic.mtu == 9_000
    heartbeat = found.hosts["b2"][1]
    assert heartbeat.gateways == ()


def test_an_upstream_router_expects_the_site_s_public_as() -> None:
    (session,) = topology(intent.read(QUICKSTART)).sessions["isp1"]
    assert (session.local_as, session.remote_as, session.bfd) == (64_496, 64_500, True)
    assert session.neighbours == ("192.0.2.0", "2001:db8:ffff::")


def test_intent_without_a_switch_is_no_lab() -> None:
    with pytest.raises(Refused, match="declares no switch"):
        topology(intent.parse([{"kind": "site", "name": "dc", "spec": {}}], Path("x")))


def test_an_intent_with_lags_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    lag = {"kind": "lag", "name": "bond1@leaf1", "spec": {"members": ["swp1", "swp2"]}}
    with pytest.raises(Refused, match="bond1@leaf1 is to be made of swp1, swp2") as refused:
        up(intent.parse(documents(lag), Path("x")), tmp_path / "lab")
    assert [d.code for d in refused.value.diagnostics] == ["lab-has-no-lags"]
    assert not (tmp_path / "lab").exists()


def test_a_cable_to_an_unknown_node_is_left_to_the_controller() -> None:
    cable = {"kind": "link", "name": "c", "spec": {"a": "swp1@leaf1", "b": "eth1@gone"}}
    assert topology(intent.parse(documents(cable), Path("x"))).cables == ()


def test_an_interface_with_a_number_is_behind_that_tag_of_its_cable() -> None:
    """Unless it has a cable of its own: then that is its name."""
    nics = [
        {"name": n, "addresses": [f"10.1.{i}.9/24"]} for i, n in enumerate(("eth1", "eth1.7", "eth2.7", "eth3.9"))
    ]
    found = topology(
        intent.parse(
            documents(
                {"kind": "server", "name": "s", "spec": {"site": "dc", "nics": nics}},
                {"kind": "link", "name": "one", "spec": {"a": "eth1@s", "b": "swp1@leaf1"}},
                {"kind": "link", "name": "two", "spec": {"a": "eth2.7@s", "b": "swp2@leaf1"}},
            ),
            Path("x"),
        )
    )
    seen = {nic.name: (nic.port and str(nic.port), nic.vlan, nic.plug) for nic in found.hosts["s"]}
    assert seen == {
        "eth1": ("swp1@leaf1", None, "eth1"),
        "eth1.7": ("swp1@leaf1", 7, "eth1"),
        "eth2.7": ("swp2@leaf1", None, "eth2.7"),
        "eth3.9": (None, 9, "eth3"),
    }
