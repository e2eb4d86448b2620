"""Law 10 on the device: an agent of another release changes nothing by itself, whatever its driver renders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace

from support.agent_rig import Rig, items, port, vrf
from support.memory_door import Faults, Killed, MemoryDriver
from underlace.agent.cache import Rendered
from underlace.agent.upgrade import digest
from underlace.drivers.protocol import Items
from underlace.model.device import DeviceObject, Port, Vrf

SCOPES = {"port:swp1": [port("swp1")], "vrf:red": [vrf("red")]}
MORE = {**SCOPES, "vrf:blue": [vrf("blue", 200)]}


class NewerDriver(MemoryDriver):
    """Gives every port a description."""

    def items(self, objects: Iterable[DeviceObject]) -> Items:
        return {one.key: newer(one) for one in objects}


def newer(one: DeviceObject) -> DeviceObject:
    return replace(one, description="ours") if isinstance(one, Port) else one


def rendered(scopes: dict[str, list[Port] | list[Vrf]]) -> Items:
    return {key: newer(one) for key, one in items(scopes).items()}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Settled by one release; the next `start` is of another."""
    found = Rig(tmp_path).settled_on(SCOPES)
    found.driver = NewerDriver()
    found.door.done.clear()
    return found


def waiting(rig: Rig) -> list[str]:
    """Details of what the last report says is pending."""
    return [d.detail for d in rig.controller.reports[-1].diagnostics if d.code == "upgrade-pending"]


def test_nothing_changes_and_every_report_says_so(rig: Rig) -> None:
    rig.start().turns(3)
    rig.clock.pass_by(100)
    rig.turns(2)
    assert rig.door.done == []
    assert rig.door.state == rig.door.boot == items(SCOPES)
    assert rig.controller.outcomes[-1] == "held"
    assert "port/swp1" in waiting(rig)[0]


def test_it_waits_through_restarts_of_the_agent(rig: Rig) -> None:
    rig.start().turns()
    rig.start().turns()
    assert rig.door.done == []
    assert waiting(rig)


def test_the_next_change_brings_it_on_trial(rig: Rig) -> None:
    rig.start().turns()
    rig.controller.want(MORE)
    rig.turns(2)
    assert rig.door.state == rig.door.boot == rendered(MORE)
    assert rig.controller.outcomes[-1] == "held"
    assert not waiting(rig)
    rig.door.done.clear()
    rig.start().turns()
    assert rig.door.done == []


def test_a_change_that_is_not_confirmed_goes_back_to_what_was_found(rig: Rig) -> None:
    rig.start().turns()
    rig.controller.want(MORE, confirm_within=5)
    rig.controller.confirms = False
    rig.turns()
    assert rig.door.state == rig.door.boot == items(SCOPES)
    assert rig.controller.outcomes[-1] == "reverted"
    assert waiting(rig)


def test_an_operator_brings_it_at_once(rig: Rig) -> None:
    rig.start().turns()
    rig.agent.urge()
    rig.turns()
    assert rig.door.state == rig.door.boot == rendered(SCOPES)
    assert rig.controller.outcomes[-1] == "held"
    assert not waiting(rig)


def test_what_an_operator_brought_and_nobody_confirmed_goes_back(rig: Rig) -> None:
    rig.controller.confirms = False
    rig.start().turns()
    rig.agent.urge()
    rig.turns()
    assert rig.door.state == rig.door.boot == items(SCOPES)
    last = rig.controller.reports[-1]
    assert (last.outcome, last.digest, last.rejected) == ("held", rig.controller.manifest.digest, "")  # type: ignore[union-attr]
    assert waiting(rig)


def test_killed_while_an_operator_brings_it_it_is_finished(rig: Rig) -> None:
    rig.start().turns()
    rig.agent.urge()
    rig.door.faults = Faults(die={rig.door.operations})
    with pytest.raises(Killed):
        rig.turns()
    rig.door.mend()
    rig.start().turns()
    assert rig.door.state == rendered(SCOPES)


def test_urging_an_agent_for_which_nothing_waits_does_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path).settled_on(SCOPES)
    rig.door.done.clear()
    rig.agent.urge()
    rig.turns(2)
    assert rig.door.done == []


def test_what_somebody_changes_meanwhile_is_put_back_as_it_was_found(rig: Rig) -> None:
    rig.start().turns()
    del rig.door.state["vrf", "red"]
    rig.clock.pass_by(100)
    rig.turns()
    assert rig.door.state == items(SCOPES)
    assert "drift-mended" in rig.codes()


def test_a_reboot_ends_the_waiting(rig: Rig) -> None:
    """What a reboot has cleared needs no protection."""
    rig.start().turns()
    rig.door.lives += 1
    rig.door.state.clear()
    rig.start().turns()
    assert rig.door.state == rendered(SCOPES)
    assert not waiting(rig)


def test_an_undecided_manifest_is_taken_back_as_ever(rig: Rig) -> None:
    rig.driver = MemoryDriver()
    rig.controller.want(MORE)
    rig.door.faults = Faults(die={rig.door.operations})
    with pytest.raises(Killed):
        rig.start().turns()
    rig.door.mend()
    rig.controller.reachable = False
    rig.driver = NewerDriver()
    rig.start()
    assert rig.door.state == rendered(SCOPES)


def test_a_release_that_renders_the_same_mends_as_ever(rig: Rig) -> None:
    rig.driver = MemoryDriver()
    del rig.door.state["vrf", "red"]
    rig.start().turns()
    assert rig.door.state == items(SCOPES)
    assert "state-restored" in rig.codes()


def test_a_device_that_holds_the_new_rendering_already_waits_for_nothing(rig: Rig) -> None:
    rig.door.state = dict(rendered(SCOPES))
    rig.start().turns()
    assert not waiting(rig)
    rig.door.state["port", "swp1"] = port("swp1", mtu=1500)
    rig.start().turns()
    assert rig.door.state == rendered(SCOPES)


def test_a_cache_without_the_note_is_of_a_release_before_it(rig: Rig) -> None:
    (rig.directory / "rendered.json").unlink()
    rig.start().turns()
    assert rig.door.state == rendered(SCOPES)


def test_a_damaged_note_protects_nothing_and_is_named(rig: Rig) -> None:
    (rig.directory / "rendered.json").write_text("not sealed")
    rig.start().turns()
    assert "agent-cache-damaged" in rig.codes()
    assert rig.parts.cache.rendered() == Rendered(digest(rendered(SCOPES)), "life 1")
