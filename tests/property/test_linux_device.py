"""The Linux driver's plans on a device in memory that refuses what Linux and FRR refuse."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.agent_rig import Rig
from support.fake_linux import FakeLinuxDoor, Killed
from support.linux_models import Objects, base, everything, peering, upstream, vnet, vpc
from support.strategies import PORTS, Model, leaves
from underlace.diff.order import ordered
from underlace.drivers.linux import LinuxDriver
from underlace.drivers.protocol import Items

DRIVER = LinuxDriver()
ONE = everything()


def _other() -> Objects:
    """VNIs, ports, gateways and the upstream change places; one VPC goes, and one peering becomes another."""
    return [
        *base(),
        *vpc("vpc-1", 50_002, 1),
        *vnet("vpc-1", 10_201, 2, ("10.1.1.1/24",), ("swp3",), mtu=1500),
        *vpc("vpc-2", 50_001, 3),
        *vnet("vpc-2", 10_101, 4, ("10.9.1.1/24", "2001:db8:9:1::1/64"), ("swp2", "swp5")),
        *vnet("vpc-2", 10_301, 5),
        *vpc("vpc-9", 50_009, 7),
        *upstream("vpc-9", "swp4"),
        *peering(7, "vpc-2", ("10.9.0.0/16",), "vpc-9", ("203.0.113.0/24",)),
    ]


OTHER = _other()
WAYS = pytest.mark.parametrize(
    ("one", "other"), [(ONE, OTHER), (OTHER, ONE), ([], ONE), (ONE, [])], ids=["there", "back", "first", "last"]
)
HALF = pytest.mark.parametrize("half", [False, True], ids=["before", "within"])


def items(model: Model) -> Items:
    return DRIVER.items(model.values())


def reach(door: FakeLinuxDoor, target: Items) -> int:
    """Bring the device to a state; the number of changes."""
    plan = ordered(door.read(), target)
    assert door.run(plan) == []
    assert door.read() == target
    return len(plan)


@settings(max_examples=100)
@given(leaves(), leaves())
def test_any_model_follows_any_other(one: Model, other: Model) -> None:
    door = FakeLinuxDoor(PORTS)
    for model in (one, other):
        reach(door, items(model))
        assert DRIVER.model(door.read()) == DRIVER.normalise(model.values())
    assert reach(door, items(other)) == 0


@settings(max_examples=50)
@given(leaves(least_vrfs=3), leaves(least_vrfs=3))
def test_revert_restores_everything(one: Model, other: Model) -> None:
    door = FakeLinuxDoor(PORTS)
    reach(door, items(one))
    before = (door.read(), dict(door.ports))
    reach(door, items(other))
    reach(door, items(one))
    assert (door.read(), door.ports) == before


@settings(max_examples=50)
@given(leaves())
def test_an_empty_model_leaves_nothing(model: Model) -> None:
    door = FakeLinuxDoor(PORTS)
    reach(door, items(model))
    reach(door, {})
    assert door.read() == {}
    assert set(door.ports.values()) == {""}


@settings(max_examples=60)
@given(leaves(), leaves(), st.booleans(), st.data())
def test_an_agent_killed_at_any_operation_converges(
    one: Model, other: Model, half: bool, data: st.DataObject
) -> None:
    door = FakeLinuxDoor(PORTS)
    reach(door, items(one))
    plan = ordered(door.read(), items(other))
    if not plan:
        return
    door.operations, door.half = 0, half
    door.kill_at = data.draw(st.integers(0, len(plan) - 1))
    try:
        door.run(plan)
    except Killed:
        door.kill_at = None
    reach(door, items(other))


@WAYS
@HALF
def test_killed_at_every_operation_it_converges(one: Objects, other: Objects, half: bool) -> None:
    start, target = DRIVER.items(one), DRIVER.items(other)
    door = FakeLinuxDoor(PORTS)
    reach(door, start)
    plan = ordered(door.read(), target)
    assert len(plan) > 50
    for number in range(len(plan)):
        door = FakeLinuxDoor(PORTS)
        reach(door, start)
        door.kill_at, door.half = door.operations + number, half
        with pytest.raises(Killed):
            door.run(plan)
        door.kill_at = None
        reach(door, target)


@HALF
def test_the_agent_killed_at_every_operation_restarts_and_converges(half: bool, tmp_path: Path) -> None:
    """And first it goes back to what was confirmed: nobody said that the new state is good."""
    number, killed = 0, True
    while killed:
        door = FakeLinuxDoor(PORTS)
        rig = Rig(tmp_path / str(number), linux=door)
        rig.controller.want({"base": ONE})
        rig.start().turns()
        assert rig.controller.outcomes[-1] == "held"
        rig.controller.want({"base": OTHER})
        door.kill_at, door.half = door.operations + number, half
        try:
            rig.turns()
            killed = False
        except Killed:
            door.kill_at = None
            rig.start()
            assert door.read() == DRIVER.items(ONE), number
            rig.turns()
        assert door.read() == DRIVER.items(OTHER), number
        assert door.saved == DRIVER.items(OTHER)
        assert rig.controller.outcomes[-1] == "held"
        shutil.rmtree(rig.directory)
        number += 1
    assert number > 50
