"""Law 11: the underlay is closed. What the driver loads for the quickstart; packets: tests/lab/test_hazards.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.controlled import ADMIN, Rig, quickstart, rig
from underlace.access import device_actor
from underlace.drivers.linux import LinuxDriver
from underlace.drivers.linux.native import NftTable
from underlace.model.device import AnyObject, Port, Protection, System, decode_fragment

SWITCHES = {d.ref.name: d.spec["role"] for d in quickstart() if d.ref.kind == "switch"}
DEVICES = sorted(name for name, role in SWITCHES.items() if role != "oob")
LEAVES = {name for name in DEVICES if SWITCHES[name] == "leaf"}
LOOPBACKS = "10.255.0.0/24"


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    opened = rig(Path(tmp_path_factory.mktemp("law11")))
    opened.put(*quickstart())
    yield opened
    opened.close()


def objects(fabric: Rig, device: str) -> list[AnyObject]:
    """All that the device would be given, as its agent gets it."""
    actor = device_actor(device)
    manifest = fabric.controller.desired(actor)
    assert manifest is not None
    bodies = fabric.controller.fragments(actor, tuple(set(manifest.scopes.values()))).bodies
    return [o for body in bodies.values() for o in decode_fragment(body.encode())]


def tables(found: list[AnyObject]) -> list[NftTable]:
    return [item for item in LinuxDriver().items(found).values() if isinstance(item, NftTable)]


@pytest.mark.parametrize("device", DEVICES)
def test_every_port_that_is_not_underlay_is_guarded(fabric: Rig, device: str) -> None:
    found = objects(fabric, device)
    guards = {t.name: t for t in tables(found) if t.family == "netdev"}
    open_ports = [o for o in found if isinstance(o, Port) and not o.underlay]
    assert open_ports
    for port in open_ports:
        guard = guards[f"underlace_{port.name}"]
        closed = any("ip daddr @underlay4" in line and "drop" in line for line in guard.skeleton)
        if closed:
            assert any(LOOPBACKS in "".join(elements) for name, elements in guard.sets if name == "underlay4")
        else:
            assert any(line.strip() == "counter drop" for line in guard.skeleton), f"{port.name} is open"


@pytest.mark.parametrize("device", DEVICES)
def test_no_port_of_the_fabric_is_guarded_against_the_fabric(fabric: Rig, device: str) -> None:
    found = objects(fabric, device)
    guards = {t.name for t in tables(found) if t.family == "netdev"}
    assert not guards & {f"underlace_{o.name}" for o in found if isinstance(o, Port) and o.underlay}


def test_the_quickstart_has_devices_of_both_roles(fabric: Rig) -> None:
    assert LEAVES
    assert set(DEVICES) > LEAVES
    assert {d.name for d in fabric.controller.devices(ADMIN)} == set(DEVICES)


def test_vxlan_is_taken_from_known_vteps_only(fabric: Rig) -> None:
    loopbacks = {}
    for device in DEVICES:
        system = next(o for o in objects(fabric, device) if isinstance(o, System))
        loopbacks[device] = system.loopback
    vteps = {loopbacks[d] for d in LEAVES}
    for device in DEVICES:
        found = objects(fabric, device)
        known = next(o for o in found if isinstance(o, Protection)).vteps
        assert known <= vteps, f"{device} takes VXLAN from {known - vteps}"
        main = next(t for t in tables(found) if t.family == "inet" and t.netns == "")
        rules = [line for line in main.skeleton if "4789" in line and "accept" in line]
        assert all("@vteps" in line and "@underlay_ports" in line for line in rules)
        if device in LEAVES:
            assert known == vteps
            assert rules
