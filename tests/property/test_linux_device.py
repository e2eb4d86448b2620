"""The Linux driver's plans on a device in memory that refuses what Linux and FRR refuse."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from support.fake_linux import FakeLinuxDoor, Killed
from support.strategies import PORTS, Model, leaves
from underlace.diff.change import changes
from underlace.diff.order import ordered
from underlace.drivers.linux import LinuxDriver
from underlace.drivers.protocol import Items

DRIVER = LinuxDriver()


def items(model: Model) -> Items:
    return DRIVER.items(model.values())


def reach(door: FakeLinuxDoor, target: Items) -> int:
    """Bring the device to a state; the number of changes."""
    plan = ordered(door.read(), target)
    assert door.run(plan) == []
    assert changes(door.read(), target) == []
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
