"""What a change does to each device: its objects, the lines of its native configuration, and whom it hurts.

A plan reads the fragments that change and those they stand on, never the whole device.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from underlace.controller.devices import lasting
from underlace.controller.run import Run, decoded
from underlace.diff.change import changes
from underlace.drivers.protocol import Driver
from underlace.model.change import Change, Disruption
from underlace.model.device import DEFAULT_VRF, DeviceObject, Key, Model
from underlace.model.diagnostic import Diagnostic
from underlace.model.fact import BASE, FragmentKey, port_scope, vrf_scope
from underlace.model.ids import fabric
from underlace.model.wire import UPGRADE_PENDING
from underlace.store import devices, fragments

NATIVE = 10
"""Devices whose native configuration a plan shows if nobody says which."""

Hashes = Mapping[FragmentKey, str | None]


class ObjectChange(msgspec.Struct, frozen=True):
    """verb: "create", "update" or "delete". before, after: fields that are not at their default."""

    verb: str
    key: Key
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    disruption: str


class DevicePlan(msgspec.Struct, frozen=True):
    """disruption: the worst of the changes. native: unified diff of the native configuration, without headers; None
    when it was left out: ask for this device."""

    device: str
    disruption: str
    changes: tuple[ObjectChange, ...]
    native: tuple[str, ...] | None

    @property
    def worst(self) -> Disruption:
        return Disruption[self.disruption.upper()]


def device_plans(run: Run, native: Collection[str] | None) -> tuple[DevicePlan, ...]:
    """One for each device whose desired fragments change. native: which of them show native configuration."""
    by_device: dict[str, list[FragmentKey]] = {}
    for key in sorted(run.fragments):
        by_device.setdefault(key.device, []).append(key)
    held = fragments.held(run.c, run.fragments)
    reporting = {n for n, row in devices.some(run.c, by_device).items() if row.outcome}
    before: Hashes = {
        key: held.get(key) if key.device in reporting else old for key, (old, _) in run.fragments.items()
    }
    after: Hashes = {key: new for key, (_, new) in run.fragments.items()}
    bodies = run.bodies | fragments.bodies(run.c, {k: h for k, h in before.items() if h not in run.bodies})
    sides = {
        device: (_objects(keys, before, bodies), _objects(keys, after, bodies)) for device, keys in by_device.items()
    }
    shown = sorted(sides)[:NATIVE] if native is None else [d for d in sides if d in native]
    context = _context(run, {d: sides[d] for d in shown}, set(run.fragments))
    return tuple(_device_plan(run, device, *sides[device], context.get(device)) for device in sorted(sides))


def upgrades_brought(run: Run) -> list[Diagnostic]:
    """What devices hold back until their next change, which this one is: no line of the plan shows it (law 10)."""
    if not run.actor.sees_all:
        return []
    rows = devices.some(run.c, {key.device for key in run.fragments})
    return [one for name in sorted(rows) for one in lasting(rows[name]) if one.code == UPGRADE_PENDING]


def _objects(keys: Iterable[FragmentKey], hashes: Hashes, bodies: Mapping[str, str]) -> Model:
    found = [decoded(bodies[name]) for key in keys if (name := hashes[key]) is not None and name in bodies]
    return found[0] if len(found) == 1 else {key: item for one in found for key, item in one.items()}


def _context(
    run: Run,
    sides: Mapping[str, tuple[Model, Model]],
    changed: set[FragmentKey],
) -> dict[str, list[DeviceObject]]:
    """The unchanged objects that the changed ones stand on: the device's own, and what they refer to."""
    wanted: set[FragmentKey] = set()
    found: dict[str, list[DeviceObject]] = {device: [] for device in sides}
    for device, both in sides.items():
        wanted.add(FragmentKey(device, BASE))
        for side in both:
            for item in side.values():
                wanted |= {FragmentKey(device, s) for ref in item.refs - side.keys() if (s := _scope(ref))}
    hashes = fragments.hashes(run.c, wanted - changed)
    bodies = fragments.bodies(run.c, hashes)
    for key, name in hashes.items():
        found[key.device].extend(decoded(bodies[name]).values() if name in bodies else ())
    return found


def _scope(key: Key) -> str:
    """Where an object that others refer to is found."""
    match key:
        case ("port", name):
            return port_scope(name)
        case ("vrf", name) | ("bgp-router", name):
            return BASE if name == DEFAULT_VRF else vrf_scope(name)
        case ("system",) | ("protection",):
            return BASE
        case _:
            return ""


def _device_plan(
    run: Run,
    device: str,
    before: Model,
    after: Model,
    context: list[DeviceObject] | None,
) -> DevicePlan:
    switch = run.view.get(fabric("switch", device))
    driver = run.engine.drivers.get(switch.spec.os) if switch is not None else None
    found = changes(before, after)
    hurts = [Disruption.HITLESS if driver is None else driver.disruption(c) for c in found]
    worst = max(hurts, default=Disruption.HITLESS)
    shown = tuple(_object_change(c, hurt) for c, hurt in zip(found, hurts, strict=True))
    native = None if driver is None or context is None else native_diff(driver, before, after, context)
    return DevicePlan(device, str(worst), shown, native)


def _object_change(change: Change[DeviceObject], hurt: Disruption) -> ObjectChange:
    before = None if change.before is None else msgspec.to_builtins(change.before, order="deterministic")
    after = None if change.after is None else msgspec.to_builtins(change.after, order="deterministic")
    return ObjectChange(str(change.verb), change.key, before, after, str(hurt))


def native_diff(
    driver: Driver,
    before: Model,
    after: Model,
    context: Iterable[DeviceObject],
) -> tuple[str, ...]:
    """Lines that go and come, with three lines around."""
    around = {item.key: item for item in context}
    old = driver.text(driver.items((around | dict(before)).values())) if before else []
    new = driver.text(driver.items((around | dict(after)).values())) if after else []
    if not before or not after:
        # Of a scope that comes or goes whole, what it stands on is no change.
        still = driver.text(driver.items(around.values()))
        old, new = old or still, new or still
    return tuple(difflib.unified_diff(old, new, lineterm=""))[2:]
