"""When devices were last heard, and from when on they are silent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from support.controlled import ADMIN, NOW, Rig, quickstart, rig
from underlace.access import device_actor
from underlace.controller.contact import WRITE_EVERY
from underlace.controller.devices import Device
from underlace.model.diagnostic import Refused
from underlace.model.wire import SILENT_AFTER, WAIT_MAX
from underlace.store import devices, ledger

LEAF1 = device_actor("leaf1")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @property
    def text(self) -> str:
        return ledger.stamp(self.now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fabric(tmp_path: Path, clock: Clock) -> Iterator[Rig]:
    opened = rig(tmp_path, clock=clock)
    opened.put(*quickstart())
    opened.hold_all()
    yield opened
    opened.close()


def leaf1(fabric: Rig) -> Device:
    return fabric.controller.device(ADMIN, "leaf1")


def poll(fabric: Rig) -> None:
    """A long poll that ends without news."""
    with fabric.controller.contact(LEAF1):
        fabric.controller.desired(LEAF1, fabric.said["leaf1"].digest)


def written(fabric: Rig) -> str:
    with fabric.store.read() as c:
        row = devices.one(c, "leaf1")
        assert row is not None
        return row.heard


def test_a_device_is_silent_when_it_was_not_heard_for_too_long(fabric: Rig, clock: Clock) -> None:
    since = clock.text
    clock.wait(SILENT_AFTER)
    assert leaf1(fabric).state == "in-sync"
    clock.wait(0.001)
    assert (leaf1(fabric).state, leaf1(fabric).last_seen) == ("silent", since)
    poll(fabric)
    assert (leaf1(fabric).state, leaf1(fabric).last_seen, leaf1(fabric).last_report) == ("in-sync", clock.text, since)


def test_polls_alone_keep_a_device_from_being_silent(fabric: Rig, clock: Clock) -> None:
    for _ in range(5):
        clock.wait(WAIT_MAX)
        assert leaf1(fabric).state == "in-sync"
        poll(fabric)
    assert fabric.controller.device(ADMIN, "leaf2").state == "silent"


def test_a_device_in_a_poll_is_not_silent_however_long_it_lasts(fabric: Rig, clock: Clock) -> None:
    with fabric.controller.contact(LEAF1):
        with fabric.controller.contact(LEAF1):
            clock.wait(10 * SILENT_AFTER)
        assert leaf1(fabric).state == "in-sync"
    assert leaf1(fabric).state == "silent"


def test_a_device_that_never_came_is_not_silent(tmp_path: Path, clock: Clock) -> None:
    with_intent = rig(tmp_path, clock=clock)
    with_intent.put(*quickstart())
    clock.wait(10 * SILENT_AFTER)
    assert {d.state for d in with_intent.controller.devices(ADMIN)} == {"never-seen"}
    with_intent.close()


def test_contacts_are_written_together_and_now_and_then(fabric: Rig, clock: Clock) -> None:
    poll(fabric)
    first = clock.text
    assert written(fabric) == first
    clock.wait(WRITE_EVERY.total_seconds() - 1)
    poll(fabric)
    assert (written(fabric), leaf1(fabric).last_seen) == (first, clock.text)
    with fabric.controller.contact(device_actor("leaf2")):
        pass
    clock.wait(1)
    poll(fabric)
    assert written(fabric) == clock.text
    with fabric.store.read() as c:
        assert {d.name for d in devices.every(c) if d.heard} == {"leaf1", "leaf2"}
    clock.wait(-3600)
    poll(fabric)
    assert written(fabric) == clock.text, "a clock that was set back"


def test_a_new_controller_knows_since_when_and_waits_before_it_says_so(
    fabric: Rig, clock: Clock, tmp_path: Path
) -> None:
    clock.wait(WAIT_MAX)
    poll(fabric)
    seen = clock.text
    fabric.close()
    clock.wait(10 * SILENT_AFTER)
    again = rig(tmp_path, clock=clock)
    assert (leaf1(again).state, leaf1(again).last_seen) == ("in-sync", seen), "it had no chance to hear anybody"
    clock.wait(SILENT_AFTER + 1)
    assert (leaf1(again).state, leaf1(again).last_seen) == ("silent", seen)
    again.close()


def test_a_forgotten_device_was_never_heard(fabric: Rig, clock: Clock) -> None:
    poll(fabric)
    fabric.controller.forget(ADMIN, "leaf1")
    clock.wait(10 * SILENT_AFTER)
    assert (leaf1(fabric).state, leaf1(fabric).last_seen) == ("never-seen", "")
    assert written(fabric) == ""


def test_only_devices_are_heard(fabric: Rig) -> None:
    with pytest.raises(Refused):
        fabric.controller.contact(ADMIN)


def test_a_clock_that_is_set_back_hides_no_silent_device(fabric: Rig, clock: Clock) -> None:
    poll(fabric)
    clock.wait(-3600)
    assert leaf1(fabric).state == "in-sync", "nobody knows how long ago it was heard"
    clock.wait(SILENT_AFTER + 1)
    assert leaf1(fabric).state == "silent", "not an hour later"
    poll(fabric)
    assert leaf1(fabric).state == "in-sync"
    clock.wait(SILENT_AFTER - 1)
    assert leaf1(fabric).state == "in-sync", "it was heard since"


def test_a_clock_that_is_set_forward_makes_nobody_silent_who_asks_again(fabric: Rig, clock: Clock) -> None:
    with fabric.controller.contact(LEAF1):
        clock.wait(3600)
        assert leaf1(fabric).state == "in-sync", "it waits for an answer"
    poll(fabric)
    assert leaf1(fabric).state == "in-sync"


def test_a_controller_whose_clock_is_a_little_behind_another_s_believes_it(fabric: Rig, clock: Clock) -> None:
    """They share a store: the other one has written when it heard the device."""
    clock.wait(10 * SILENT_AFTER)
    ahead = ledger.stamp(clock.now + timedelta(seconds=2))
    fabric.store.write(lambda c: devices.hear(c, {"leaf1": ahead}))
    assert leaf1(fabric).state == "in-sync"
