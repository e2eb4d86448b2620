"""What the keeper of next hops hears of a real kernel: of which VRF, and at what price."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.device_ns import DeviceNamespace, missing
from underlace.drivers.linux import programs
from underlace.drivers.linux.namespaces import Namespaces
from underlace.drivers.linux.next_hops import NextHops

pytestmark = pytest.mark.contract

ROUTES = 40


@pytest.fixture
def leaf() -> Iterator[DeviceNamespace]:
    if reason := missing():
        pytest.fail(reason)
    with DeviceNamespace("leaf1") as device:
        device.run("ip", "link", "set", "lo", "up")
        yield device


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The programs that are run in this process."""
    found: list[list[str]] = []
    real = programs.run

    def counted(arguments: Any, stdin: str = "") -> programs.Answer:
        found.append(list(arguments))
        return real(arguments, stdin)

    monkeypatch.setattr(programs, "run", counted)
    return found


@pytest.fixture
def keeper(leaf: DeviceNamespace) -> Iterator[SimpleNamespace]:
    """A keeper inside the device that listens and has heard nothing yet."""
    namespaces = leaf.call(Namespaces, None, Path("/run/frr/netns"), Path("/run/netns"))
    hops = NextHops(namespaces)
    with leaf.call(hops.listen) as ear:
        yield SimpleNamespace(namespaces=namespaces, hops=hops, ear=ear)


def _vrf(leaf: DeviceNamespace, keeper: SimpleNamespace, name: str) -> None:
    """A VRF, with a number in the main namespace: on a device it is zebra that asks for one."""
    leaf.call(keeper.namespaces.create, name)
    leaf.run("ip", "netns", "set", name, "auto")
    leaf.run("ip", "link", "set", "lo", "up", netns=name)


def _routes(leaf: DeviceNamespace, netns: str) -> None:
    lines = "".join(f"route add 10.9.0.{n}/32 dev lo proto bgp\n" for n in range(ROUTES))
    leaf.run("ip", "-batch", "-", netns=netns, stdin=lines)


def test_a_route_of_bgp_makes_its_vrf_due(leaf: DeviceNamespace, keeper: SimpleNamespace) -> None:
    _vrf(leaf, keeper, "vpc-1")
    _routes(leaf, "vpc-1")
    leaf.call(keeper.hops.hear, keeper.ear)
    assert keeper.hops.due == {"vpc-1"}


def test_neighbours_in_a_lab_are_told_apart_once(
    leaf: DeviceNamespace, keeper: SimpleNamespace, ran: list[list[str]]
) -> None:
    """A cable to another namespace gives that one a number too; its routes must cost no program each."""
    leaf.run("ip", "netns", "add", "other")
    leaf.run("ip", "link", "add", "swp1", "type", "veth", "peer", "name", "swp1", "netns", "other")
    leaf.run("ip", "link", "set", "lo", "up", netns="other")
    _routes(leaf, "other")
    leaf.call(keeper.hops.hear, keeper.ear)
    assert keeper.hops.due == frozenset()
    assert len(ran) == 1


def test_a_number_that_is_used_again_is_the_new_vrfs(leaf: DeviceNamespace, keeper: SimpleNamespace) -> None:
    _vrf(leaf, keeper, "vpc-1")
    _routes(leaf, "vpc-1")
    leaf.call(keeper.hops.hear, keeper.ear)
    before = leaf.run("ip", "netns", "list-id")
    leaf.call(keeper.namespaces.delete, "vpc-1")
    while leaf.run("ip", "netns", "list-id"):
        pass  # the kernel takes a namespace down beside everything else
    _vrf(leaf, keeper, "vpc-2")
    assert "vpc-1" in before
    assert leaf.run("ip", "netns", "list-id") == before.replace("vpc-1", "vpc-2")
    _routes(leaf, "vpc-2")
    leaf.call(keeper.hops.hear, keeper.ear)
    assert "vpc-2" in keeper.hops.due
