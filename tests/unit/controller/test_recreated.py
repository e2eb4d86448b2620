"""A VPC that goes and comes again under its name, faster than devices follow, beside one that is off (law 8)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.controlled import ADMIN, Rig, doc, quickstart, rig
from underlace.access import device_actor
from underlace.controller.document import Document
from underlace.controller.resources import Waiting
from underlace.model.device import Vrf, decode_fragment
from underlace.model.ids import Ref
from underlace.model.wire import Outcome

NAME, TENANT, OFF = "web", "acme", "leaf2"
KINDS = ("vpc", "allocation", "subnet", "vnet")
ROUNDS = 20


def documents(vni: int | None = None) -> tuple[Document, ...]:
    net = "10.77.0.0/24"
    return (
        doc("vpc", NAME, TENANT),
        doc("allocation", NAME, TENANT, prefix=net, vpc=NAME),
        doc("subnet", NAME, TENANT, prefix=net, vpc=NAME),
        doc(
            "vnet",
            NAME,
            TENANT,
            vpc=NAME,
            gateways=["10.77.0.1/24"],
            ports=[{"port": "swp11@leaf1"}, {"port": f"swp11@{OFF}"}],
            **({} if vni is None else {"vni": vni}),
        ),
    )


class Devices:
    """Which VNIs each device may hold: what it held, and what it was offered since."""

    def __init__(self, fabric: Rig) -> None:
        self._fabric = fabric
        self.may_hold: dict[str, set[int]] = {d.name: set() for d in fabric.controller.devices(ADMIN)}
        self._offered = dict(self.may_hold)

    def fetch(self, device: str) -> None:
        if self._fabric.fetch(device) is not None:
            self._offered[device] = self._vnis(device)
            self.may_hold[device] |= self._offered[device]

    def hold(self, device: str) -> None:
        self.fetch(device)
        self._fabric.say(device, Outcome.HELD)
        self.may_hold[device] = set(self._offered[device])

    def anywhere(self) -> set[int]:
        return set().union(*self.may_hold.values())

    def _vnis(self, device: str) -> set[int]:
        scopes = self._fabric.said[device].scopes.values()
        found = self._fabric.controller.fragments(device_actor(device), scopes).bodies.values()
        objects = [item for body in found for item in decode_fragment(body.encode())]
        return {int(o.key[1]) for o in objects if o.key[0] == "l2vni"} | {
            o.l3vni for o in objects if isinstance(o, Vrf) and o.l3vni
        }


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path)
    opened.put(*quickstart())
    yield opened
    opened.close()


def create(fabric: Rig, devices: Devices, vni: int | None = None) -> set[int]:
    """Create it once more; its numbers, which no device may hold any more."""
    fabric.put(*documents(vni))
    numbers = {fabric.number("vni", kind, NAME, TENANT) for kind in ("vpc", "vnet")}
    if vni is None:
        assert not numbers & devices.anywhere(), "a number that a device may still hold was given out"
    return numbers


def remove(fabric: Rig) -> None:
    fabric.delete(*(Ref(kind, TENANT, NAME) for kind in reversed(KINDS)))


def test_twenty_times_and_nobody_follows(fabric: Rig) -> None:
    devices = Devices(fabric)
    for name in devices.may_hold:
        devices.hold(name)
    for _ in range(ROUNDS):
        create(fabric, devices)
        remove(fabric)
    create(fabric, devices)
    fabric.check_derived()
    for name in devices.may_hold:
        devices.hold(name)
    assert fabric.state("vnet", NAME, TENANT) == "Active"


@pytest.mark.parametrize("seed", range(3))
def test_twenty_times_while_some_follow_and_one_is_off(fabric: Rig, seed: int) -> None:
    """Others fetch without a word, or hold what they were told, at moments of their own. leaf2 held the first one and
    is off from then on: what it held and what it had fetched stay its own until it is forgotten."""
    dice, devices = random.Random(seed), Devices(fabric)
    first = create(fabric, devices)
    old = fabric.number("vni", "vnet", NAME, TENANT)
    for name in devices.may_hold:
        devices.hold(name)
    assert first <= devices.may_hold[OFF]
    others = sorted(devices.may_hold.keys() - {OFF})
    for _ in range(ROUNDS):
        remove(fabric)
        for name in dice.sample(others, dice.randrange(len(others) + 1)):
            dice.choice((devices.fetch, devices.hold))(name)
        create(fabric, devices)
        for name in dice.sample(others, dice.randrange(len(others) + 1)):
            dice.choice((devices.fetch, devices.hold))(name)
    fabric.check_derived()
    assert fabric.state("vnet", NAME, TENANT) == "Provisioning", "it waits for the device that is off"

    remove(fabric)
    for name in others:
        devices.hold(name)
    fabric.put(doc("vnet", "heir", TENANT, vpc="red", vni=old, ports=[{"port": "swp12@leaf3"}]))
    heir = Ref("vnet", TENANT, "heir")
    assert fabric.controller.get(ADMIN, heir).status.waiting == (Waiting(OFF, "quarantine"),)
    assert old not in {v for name in others for v in devices.may_hold[name]}
    fabric.controller.forget(ADMIN, OFF)
    assert fabric.controller.get(ADMIN, heir).status.waiting == (Waiting("leaf3", "behind"),)
    devices.hold("leaf3")
    assert fabric.state("vnet", "heir", TENANT) == "Active"
    assert old in devices.may_hold["leaf3"]
    fabric.check_derived()
