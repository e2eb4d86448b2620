"""Law 5: the network outlives the controller. On a device in memory; on the wire: tests/lab/test_survival.py."""

from __future__ import annotations

from pathlib import Path

from support.agent_rig import Rig, items, port, vrf

HELD = {"base": [port("swp1")], "vrf:vpc-1": [vrf("vpc-1", 100)]}


def test_with_the_controller_gone_a_restarted_agent_changes_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path).settled_on(HELD)
    rig.controller.reachable = False
    rig.door.done.clear()
    rig.start().turns(5)
    assert rig.door.done == []
    assert rig.door.state == items(HELD)


def test_with_the_controller_gone_a_rebuilt_device_gets_its_last_good_state(tmp_path: Path) -> None:
    rig = Rig(tmp_path).settled_on(HELD)
    rig.controller.reachable = False
    rig.door.state = {}
    rig.start().turns()
    assert rig.door.state == items(HELD)


def test_a_controller_that_comes_back_changes_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path).settled_on(HELD)
    rig.controller.reachable = False
    rig.turns(3)
    rig.door.done.clear()
    rig.controller.reachable = True
    rig.turns(3)
    assert rig.door.done == []
    assert rig.controller.outcomes[-1] == "held"
