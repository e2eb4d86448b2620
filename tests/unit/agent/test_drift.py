"""The live question `drift`: what differs from the confirmed state, read through a door of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from support.agent_rig import Rig, port, vrf
from support.memory_door import MemoryDoor, MemoryDriver
from underlace.agent.drift import Drift
from underlace.drivers.protocol import Door
from underlace.model.question import Observed, Value


class Others:
    """Whatever else is asked."""

    def probe(self, name: str, arguments: Mapping[str, Value], seconds: float) -> Observed:
        return Observed(({"asked": name, **arguments},))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path).settled_on({"base": [port("swp1"), port("swp2")], "vrf:vpc-1": [vrf("vpc-1")]})


def drift(rig: Rig, door: Door | None = None) -> Drift:
    return Drift(Others(), MemoryDriver(), lambda: door or rig.door, lambda: rig.agent.holding.good)


def test_nothing_differs(rig: Rig) -> None:
    found = drift(rig).probe("drift", {}, 1.0)
    assert (found.rows, found.source) == ((), "the device, and revision 1")


def test_what_is_missing_and_changed(rig: Rig) -> None:
    del rig.door.state[port("swp1").key]
    rig.door.state[port("swp2").key] = port("swp2", mtu=1500)
    rows = {str(row["item"]): row for row in drift(rig).probe("drift", {}, 1.0).rows}
    assert {(item, row["change"], row["scope"]) for item, row in rows.items()} == {
        ("port/swp1", "missing", "base"),
        ("port/swp2", "changed", "base"),
    }
    assert "mtu=1500" in str(rows["port/swp2"]["found"])
    assert "mtu=9000" in str(rows["port/swp2"]["wanted"])
    assert rig.door.reads[-1] is not None, "a full read tends to the device"


def test_without_a_confirmed_state_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no confirmed state"):
        drift(Rig(tmp_path).start()).probe("drift", {}, 1.0)


def test_one_look_at_a_time(rig: Rig) -> None:
    asked: list[Drift] = []

    class Twice(MemoryDoor):
        def read(self, scope=None):  # type: ignore[no-untyped-def]
            with pytest.raises(OSError, match="same question"):
                asked[0].probe("drift", {}, 1.0)
            return super().read(scope)

    asked.append(drift(rig, Twice(rig.door.state)))
    assert asked[0].probe("drift", {}, 1.0).rows == ()
    assert asked[0].probe("ports", {"port": "swp1"}, 1.0).rows == ({"asked": "ports", "port": "swp1"},)
