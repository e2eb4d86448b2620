"""Law 4: nothing is green without the device's word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.controlled import ADMIN, NOW, Rig, doc, quickstart, report, rig
from underlace.access import device_actor
from underlace.controller.resources import Waiting
from underlace.model.ids import Ref
from underlace.model.wire import SILENT_AFTER, Outcome

RED_WEB = Ref("vnet", "acme", "red-web")


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path)
    opened.put(*quickstart())
    yield opened
    opened.close()


def waiting(fabric: Rig) -> list[tuple[str, str]]:
    status = fabric.controller.get(ADMIN, RED_WEB).status
    assert (status.state == "Active") == (not status.waiting)
    assert status.waiting_for == len(status.waiting)
    return [(w.device, w.reason) for w in status.waiting]


def test_active_only_when_every_device_it_touches_holds_it(fabric: Rig) -> None:
    assert waiting(fabric) == [("leaf1", "never-seen"), ("leaf2", "never-seen")]
    fabric.hold("leaf1")
    assert waiting(fabric) == [("leaf2", "never-seen")]
    fabric.hold("leaf3", "spine1", "spine2")
    assert waiting(fabric) == [("leaf2", "never-seen")]
    fabric.hold("leaf2")
    assert waiting(fabric) == []


def test_a_vpc_is_active_only_when_every_device_with_its_vrf_holds_it(fabric: Rig) -> None:
    """It says nothing to devices itself: V-Nets, sessions and peerings place it there."""
    red = Ref("vpc", "acme", "red")

    def missing() -> list[str]:
        return [w.device for w in fabric.controller.get(ADMIN, red).status.waiting]

    assert missing() == ["leaf1", "leaf2", "leaf3"]
    fabric.hold("leaf1")
    fabric.hold("leaf3")
    assert missing() == ["leaf2"]
    fabric.hold("leaf2")
    assert missing() == []
    assert fabric.controller.get(ADMIN, red).status.state == "Active"


def test_an_offer_is_no_word(fabric: Rig) -> None:
    fabric.fetch("leaf1")
    fabric.fetch("leaf2")
    assert waiting(fabric) == [("leaf1", "never-seen"), ("leaf2", "never-seen")]


def test_a_change_makes_it_wait_again_for_the_devices_that_change(fabric: Rig) -> None:
    fabric.hold_all()
    assert fabric.controller.status(ADMIN).state == "Active"
    done = fabric.put(
        doc("vnet", "red-web", "acme", vpc="red", gateways=["10.1.1.1/24"], ports=[{"port": "swp5@leaf1"}])
    )
    assert waiting(fabric) == [("leaf1", "behind")], "leaf2 has nothing of it any more"
    assert fabric.controller.status(ADMIN, done.revision).state == "Provisioning"
    fabric.hold("leaf1")
    assert waiting(fabric) == []
    assert fabric.controller.status(ADMIN, done.revision).state == "Provisioning", "leaf2 still has what went"
    fabric.hold("leaf2")
    assert fabric.controller.status(ADMIN, done.revision).state == "Active"


def test_what_was_held_and_is_lost_is_not_green(fabric: Rig) -> None:
    fabric.hold_all()
    old = fabric.said["leaf1"]
    fabric.put(doc("vnet", "red-web", "acme", vpc="red", ports=[{"port": "swp5@leaf1"}], mtu=1500))
    new = fabric.fetch("leaf1")
    assert new is not None
    fabric.say("leaf1", Outcome.APPLIED)
    assert waiting(fabric) == []
    # No confirmation came, so the device went back.
    fabric.controller.report(device_actor("leaf1"), report(old, Outcome.REVERTED, rejected=new.digest))
    assert waiting(fabric) == [("leaf1", "rejected")]
    fabric.say("leaf1", Outcome.FAILED)
    assert waiting(fabric) == [("leaf1", "failed")]
    assert fabric.controller.device(ADMIN, "leaf1").state == "failed"


def test_silent_devices_are_not_green(tmp_path: Path) -> None:
    """What they confirmed stays Active; whether they still hold it nobody knows."""
    now = [NOW]
    fabric = rig(tmp_path, clock=lambda: now[0])
    done = fabric.put(*quickstart())
    fabric.hold_all()
    assert fabric.controller.status(ADMIN).state == "Active"
    now[0] += timedelta(seconds=SILENT_AFTER + 1)
    with fabric.controller.contact(device_actor("leaf1")):
        status = fabric.controller.status(ADMIN)
    assert (status.state, status.in_sync, status.silent, status.total) == ("Silent", 1, 4, 5)
    assert {d.name: d.state for d in status.devices} == dict.fromkeys(
        ("leaf2", "leaf3", "spine1", "spine2"), "silent"
    )
    assert waiting(fabric) == [], "they said that they hold it"
    assert fabric.controller.status(ADMIN, done.revision).state == "Active"
    fabric.put(doc("vnet", "red-web", "acme", vpc="red", ports=[{"port": "swp5@leaf2"}]))
    assert waiting(fabric) == [("leaf2", "silent")]
    assert fabric.controller.status(ADMIN).state == "Provisioning"
    fabric.close()


def test_fabric_resources_wait_too(fabric: Rig) -> None:
    fabric.hold("leaf1", "leaf2", "leaf3", "spine1")
    item = fabric.controller.get(ADMIN, Ref("link", "-", "leaf1-spine2"))
    assert item.status.waiting == (Waiting("spine2", "never-seen"),)
    status = fabric.controller.status(ADMIN)
    assert [d.name for d in status.devices] == ["spine2"]
    assert (status.in_sync, status.total) == (4, 5)


def test_a_forgotten_device_is_waited_for_again_while_it_is_intended(fabric: Rig) -> None:
    fabric.hold_all()
    fabric.controller.forget(ADMIN, "leaf1")
    assert waiting(fabric) == [("leaf1", "never-seen")]
